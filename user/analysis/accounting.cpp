// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/accounting.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace alloctrail {
namespace {

constexpr std::string_view kCallsSuffix = "_calls";
constexpr std::string_view kBytesSuffix = "_bytes";

constexpr std::array<std::string_view, 9> kFlow = {"seen",     "tracked",   "failed",       "sampled_out", "filtered",
                                                   "released", "free_null", "free_unknown", "nested"};
constexpr std::array<std::string_view, 2> kLossWithoutPrefix = {"realloc_aside_full", "event_lost"};

CounterKind kind_of(std::string_view name) {
  if (name.starts_with("lost_")) return CounterKind::Loss;
  if (std::find(kLossWithoutPrefix.begin(), kLossWithoutPrefix.end(), name) != kLossWithoutPrefix.end()) {
    return CounterKind::Loss;
  }
  return std::find(kFlow.begin(), kFlow.end(), name) != kFlow.end() ? CounterKind::Flow : CounterKind::Note;
}

// A *_bytes counter follows the *_calls counter of the same event in the shared list.
void add_counter(std::vector<CounterLine>& lines, std::string_view name, std::string_view sentence, uint64_t value) {
  if (name.ends_with(kBytesSuffix)) {
    name.remove_suffix(kBytesSuffix.size());
    ALLOCTRAIL_CHECK(!lines.empty() && lines.back().name == name);
    lines.back().bytes = value;
    return;
  }
  ALLOCTRAIL_CHECK(name.ends_with(kCallsSuffix));
  name.remove_suffix(kCallsSuffix.size());
  lines.push_back({std::string(name), kind_of(name), value, std::nullopt, std::string(sentence)});
}

struct StackStatus {
  std::string_view name;
  std::string_view sentence;
};
constexpr std::array<StackStatus, AT_STACK_STATUS_COUNT> kStackStatuses{{
#define ALLOCTRAIL_STACK_STATUS(name, sentence) {#name, sentence},
    AT_STACK_STATUSES(ALLOCTRAIL_STACK_STATUS)
#undef ALLOCTRAIL_STACK_STATUS
}};

// Walks that reach the thread's start are the ordinary course; so are guessed ones, which the report marks one by one.
void add_walks(std::vector<CounterLine>& lines, const at_counters& count) {
  for (size_t i = 0; i < AT_STACK_WALK_ENDS; ++i) {
    const auto& [name, sentence] = kStackStatuses[i];
    const bool usual = i == AT_STACK_complete || i == AT_STACK_frame_pointers;
    lines.push_back({.name = "walk_" + std::string(name),
                     .kind = usual ? CounterKind::Flow : CounterKind::Note,
                     .calls = count.walks[i],
                     .bytes = std::nullopt,
                     .sentence = "stacks end early: " + std::string(sentence)});
  }
}

// Differences of counters that wrap at 2^64, read as signed.
int64_t rest(uint64_t whole, uint64_t parts) {
  return static_cast<int64_t>(whole - parts);
}

}  // namespace

bool Accounting::anything_lost() const {
  return std::any_of(lines.begin(), lines.end(),
                     [](const CounterLine& line) { return line.kind == CounterKind::Loss && line.calls != 0; });
}

Accounting accounting(const Snapshot& snapshot) {
  const at_counters& count = snapshot.counters;
  Accounting result;
#define ALLOCTRAIL_ADD_COUNTER(name, sentence) add_counter(result.lines, #name, sentence, count.name);
  AT_COUNTERS(ALLOCTRAIL_ADD_COUNTER)
#undef ALLOCTRAIL_ADD_COUNTER
  add_walks(result.lines, count);
  const Amount in_sites = snapshot.sampling ? snapshot.sampling->recorded_allocated : snapshot.allocated();
  result.freed = snapshot.sampling ? snapshot.sampling->recorded_freed : snapshot.freed();
  result.live = in_sites - result.freed;
  for (const CounterLine& line : result.lines) {
    if (line.name.starts_with("lost_")) result.lost += {line.bytes.value_or(0), line.calls};
  }
  result.untracked = {rest(count.tracked_calls, in_sites.blocks), rest(count.tracked_bytes, in_sites.bytes)};
  result.in_flight = {rest(count.seen_calls, in_sites.blocks + count.failed_calls + count.sampled_out_calls +
                                                 count.filtered_calls + result.lost.blocks),
                      rest(count.seen_bytes, in_sites.bytes + count.failed_bytes + count.sampled_out_bytes +
                                                 count.filtered_bytes + result.lost.bytes)};
  result.unmatched_releases =
      rest(count.released_calls, result.freed.blocks - count.missed_free_calls + count.free_unknown_calls);
  const auto smallest = std::min({result.in_flight.calls, result.in_flight.bytes, result.untracked.calls,
                                  result.untracked.bytes, result.unmatched_releases});
  result.balanced = smallest >= 0;
  return result;
}

}  // namespace alloctrail
