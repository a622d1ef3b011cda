// SPDX-License-Identifier: Apache-2.0
// The accounting lines of the text report, and the wording that its sections share.
#include <fmt/format.h>

#include <cmath>
#include <string_view>
#include <vector>

#include "user/output/report_text_parts.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

const CounterLine* find(const Accounting& accounting, std::string_view name) {
  for (const CounterLine& line : accounting.lines) {
    if (line.name == name) return &line;
  }
  return nullptr;
}

uint64_t calls(const Accounting& accounting, std::string_view name) {
  const CounterLine* line = find(accounting, name);
  ALLOCTRAIL_CHECK(line != nullptr);
  return line->calls;
}

// "seen 12 calls 98.10 MiB = live 2 + freed 9 + failed 1 + sampled out 0 + lost 0; frees of ...", where it may be
// broken.
std::vector<std::string> identity_sentence(const Accounting& account, const ReportStyle& style) {
  const CounterLine* seen = find(account, "seen");
  ALLOCTRAIL_CHECK(seen != nullptr && seen->bytes);
  const uint64_t filtered = calls(account, "filtered");
  const bool only_older = filtered == 0 && account.lost.blocks == 0 && calls(account, "sampled_out") == 0;
  std::vector<std::string> pieces;
  const auto add = [&](std::string_view words, uint64_t count) {
    pieces.push_back(fmt::format("{} {}", words, format_count(count)));
  };
  add("seen", seen->calls);
  pieces.push_back("calls " + bytes_text(*seen->bytes, style));
  add("= live", account.live.blocks);
  add("+ freed", account.freed.blocks);
  add("+ failed", calls(account, "failed"));
  add("+ sampled out", calls(account, "sampled_out"));
  if (filtered != 0) add("+ filtered", filtered);
  add("+ lost", account.lost.blocks);
  if (account.in_flight.calls != 0) {
    pieces.push_back(fmt::format("(+ in flight {})", format_signed_count(account.in_flight.calls)));
  }
  pieces.back() += ';';
  add(only_older ? "frees of blocks older than the attach:"
                 : "frees of blocks older than the attach, left out or lost:",
      calls(account, "free_unknown"));
  return pieces;
}

std::string counter_sentence(const CounterLine& line, const ReportStyle& style) {
  const char* word = line.kind == CounterKind::Loss ? "LOST" : "NOTE";
  std::string figures = format_count(line.calls);
  if (line.bytes) figures += fmt::format(" ({})", bytes_text(*line.bytes, style));
  return fmt::format("{} {} {}", word, figures, line.sentence);
}

std::string imbalance_sentence(const Accounting& account) {
  return fmt::format(
      "NOT BALANCED: more is accounted for than was seen (rest {} calls, {} bytes; untracked {} calls, {} "
      "bytes; unmatched releases {}): do not trust the totals",
      account.in_flight.calls, account.in_flight.bytes, account.untracked.calls, account.untracked.bytes,
      account.unmatched_releases);
}

uint64_t rounded_up(double value) { return static_cast<uint64_t>(std::ceil(value)); }

std::string relative_text(const Interval& interval, uint64_t estimate) {
  if (interval.low == interval.high) return "exact";
  const auto percent = [&](double limit) { return (limit / static_cast<double>(estimate) - 1) * 100; };
  // Rounded outwards.
  return fmt::format("-{:.0f}% +{:.0f}%", std::ceil(-percent(interval.low)), std::ceil(percent(interval.high)));
}

}  // namespace

std::string bytes_text(uint64_t bytes, const ReportStyle& style) {
  return style.bytes == ByteFigures::Exact ? format_exact_bytes(bytes) : format_bytes(bytes);
}

std::string bytes_interval_text(const Interval& interval, uint64_t bytes, const ReportStyle& style) {
  if (bytes == 0 && interval.high > 0) return "<" + bytes_text(rounded_up(interval.high), style);
  return relative_text(interval, bytes);
}

std::string blocks_interval_text(const Interval& interval, uint64_t blocks) {
  if (blocks == 0 && interval.high > 0) return "<" + format_count(rounded_up(interval.high));
  return relative_text(interval, blocks);
}

std::string change_text(int64_t bytes, const ReportStyle& style) {
  if (bytes == 0) return "0";
  const auto magnitude = bytes < 0 ? 0 - static_cast<uint64_t>(bytes) : static_cast<uint64_t>(bytes);
  return (bytes < 0 ? "-" : "+") + bytes_text(magnitude, style);
}

std::string signed_count_text(int64_t count) {
  return count > 0 ? "+" + format_signed_count(count) : format_signed_count(count);
}

std::string rate_text(double bytes_per_s, const ReportStyle& style) {
  return style.bytes == ByteFigures::Exact ? format_count_rate(bytes_per_s) + " B" : format_byte_rate(bytes_per_s);
}

std::string ranked_words(const Snapshot& snapshot, const ReportView& view) {
  if (view.ranking == Ranking::Outstanding) return "outstanding bytes";
  ALLOCTRAIL_CHECK(snapshot.older_than);
  return "bytes older than " + format_duration(*snapshot.older_than);
}

std::string accounting_text(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  const Accounting& account = view.accounting;
  std::string text = wrapped(identity_sentence(account, style), 2, Look::Plain, style.text);
  for (const CounterLine& line : account.lines) {
    if (line.kind == CounterKind::Flow || line.calls == 0) continue;
    const Look look = line.kind == CounterKind::Loss ? Look::Loss : Look::Warning;
    text += wrapped(counter_sentence(line, style), 2, look, style.text);
  }
  if (snapshot.probe_misses != 0) {
    text +=
        wrapped(fmt::format("LOST {} probe hits that the kernel did not deliver", format_count(snapshot.probe_misses)),
                2, Look::Loss, style.text);
  }
  if (!account.balanced) text += wrapped(imbalance_sentence(account), 2, Look::Loss, style.text);
  return text;
}

}  // namespace alloctrail
