// SPDX-License-Identifier: Apache-2.0
#include "user/output/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <ctime>
#include <limits>
#include <optional>

namespace alloctrail {
namespace {

constexpr std::array<const char*, 7> kByteUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

// A scaled figure with 4 significant digits; the caller has made sure that it is below 1023.5.
std::string four_digits(double value) {
  if (value < 9.9995) return fmt::format("{:.3f}", value);
  if (value < 99.995) return fmt::format("{:.2f}", value);
  if (value < 999.95) return fmt::format("{:.1f}", value);
  return fmt::format("{:.0f}", value);
}

std::string with_separators(std::string digits) {
  for (size_t from_end = 3; from_end < digits.size(); from_end += 4) digits.insert(digits.size() - from_end, 1, ',');
  return digits;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lowered(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = lower(c);
  return result;
}

// The leading digits of `text` as a number; removes them. Nothing if there are none or they do not fit.
std::optional<uint64_t> take_number(std::string_view& text) {
  uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end == text.data()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

// The power of 1024 that a suffix stands for; `bytes` is what may follow the letter ("b" for sizes, "" for counts).
std::optional<unsigned> suffix_shift(std::string_view suffix, std::string_view unit) {
  const std::string text = lowered(suffix);
  if (text.empty() || text == unit) return 0;
  static constexpr std::string_view kLetters = "kmgt";
  const size_t power = kLetters.find(text[0]);
  if (power == std::string_view::npos) return std::nullopt;
  const std::string_view rest = std::string_view(text).substr(1);
  const bool known =
      rest.empty() || rest == "i" || (!unit.empty() && (rest == unit || rest == "i" + std::string(unit)));
  if (!known) return std::nullopt;
  return static_cast<unsigned>(power + 1) * 10;
}

Error not_a(std::string_view what, std::string_view text, std::string_view examples) {
  return Error{ErrorKind::Usage, fmt::format("'{}' is not {}", text, what), fmt::format("examples: {}", examples)};
}

Result<uint64_t> parse_scaled(std::string_view text, std::string_view unit, const Error& malformed) {
  std::string_view rest = text;
  const std::optional<uint64_t> number = take_number(rest);
  if (!number) return malformed;
  const std::optional<unsigned> shift = suffix_shift(rest, unit);
  if (!shift) return malformed;
  if (*number > std::numeric_limits<uint64_t>::max() >> *shift) {
    return Error{ErrorKind::Usage, fmt::format("'{}' is too large", text), ""};
  }
  return *number << *shift;
}

struct TimeUnit {
  std::string_view name;
  int64_t ns;
};
constexpr std::array<TimeUnit, 10> kTimeUnits = {{{"ms", 1'000'000},
                                                  {"s", 1'000'000'000},
                                                  {"", 1'000'000'000},
                                                  {"sec", 1'000'000'000},
                                                  {"m", 60'000'000'000},
                                                  {"min", 60'000'000'000},
                                                  {"h", 3'600'000'000'000},
                                                  {"d", 86'400'000'000'000},
                                                  {"us", 1'000},
                                                  {"ns", 1}}};

// Digits after the decimal point as parts of 10^9; more than nine, or none, is malformed.
std::optional<int64_t> take_fraction(std::string_view& text) {
  int64_t value = 0;
  size_t digits = 0;
  for (; digits < text.size() && is_digit(text[digits]); ++digits) {
    if (digits == 9) return std::nullopt;
    value = value * 10 + (text[digits] - '0');
  }
  if (digits == 0) return std::nullopt;
  text.remove_prefix(digits);
  for (; digits < 9; ++digits) value *= 10;
  return value;
}

std::string two_parts(int64_t large, const char* large_unit, int64_t small, const char* small_unit) {
  if (small == 0) return fmt::format("{} {}", large, large_unit);
  return fmt::format("{} {} {} {}", large, large_unit, small, small_unit);
}

}  // namespace

std::string format_bytes(uint64_t bytes) {
  size_t unit = 0;
  while (unit + 1 < kByteUnits.size() && bytes >> (10 * (unit + 1)) != 0) ++unit;
  if (unit == 0) return fmt::format("{} B", bytes);
  const uint64_t whole = bytes >> (10 * unit);
  if (whole << (10 * unit) == bytes) return fmt::format("{} {}", whole, kByteUnits[unit]);
  double value = std::ldexp(static_cast<double>(bytes), -10 * static_cast<int>(unit));
  if (value >= 1023.5 && unit + 1 < kByteUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{} {}", four_digits(value), kByteUnits[unit]);
}

std::string format_exact_bytes(uint64_t bytes) {
  return format_count(bytes) + " B";
}

std::string format_count(uint64_t count) {
  return with_separators(fmt::format("{}", count));
}

std::string format_signed_count(int64_t count) {
  const auto magnitude = static_cast<uint64_t>(count);
  return count < 0 ? "-" + format_count(0 - magnitude) : format_count(magnitude);
}

std::string format_byte_rate(double bytes_per_s) {
  if (!(bytes_per_s > 0)) return "0 B";
  if (bytes_per_s < 0.5) return "<1 B";
  if (bytes_per_s >= 1e18) return ">1e18 B";
  return format_bytes(static_cast<uint64_t>(std::llround(bytes_per_s)));
}

std::string format_count_rate(double per_s) {
  if (!(per_s > 0)) return "0";
  if (per_s < 0.005) return "<0.01";
  if (per_s < 1) return fmt::format("{:.2f}", per_s);
  if (per_s < 99.95) return fmt::format("{:.1f}", per_s);
  if (per_s >= 1e18) return ">1e18";
  return format_count(static_cast<uint64_t>(std::llround(per_s)));
}

std::string format_share(double share) {
  if (!(share > 0)) return "0%";
  if (share < 0.0005) return "<0.1%";
  return fmt::format("{:.1f}%", share * 100);
}

std::string format_duration(std::chrono::nanoseconds duration) {
  const int64_t ns = duration.count();
  if (ns < 0) return "0 ms";
  const int64_t ms = ns / 1'000'000;
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms < 60'000)
    return ms % 1000 < 100 ? fmt::format("{} s", ms / 1000) : fmt::format("{}.{} s", ms / 1000, ms % 1000 / 100);
  const int64_t minutes = ms / 60'000;
  if (minutes < 60) return two_parts(minutes, "min", ms / 1000 % 60, "s");
  if (minutes < 48 * 60) return two_parts(minutes / 60, "h", minutes % 60, "min");
  return two_parts(minutes / 1440, "d", minutes / 60 % 24, "h");
}

std::string format_rfc3339(std::chrono::system_clock::time_point time) {
  const auto since_epoch = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  const std::time_t clock = seconds.count();
  std::tm fields{};
  gmtime_r(&clock, &fields);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", fields.tm_year + 1900, fields.tm_mon + 1,
                     fields.tm_mday, fields.tm_hour, fields.tm_min, fields.tm_sec, (since_epoch - seconds).count());
}

std::string format_clock(std::chrono::system_clock::time_point time) {
  const std::time_t clock = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  std::tm fields{};
  localtime_r(&clock, &fields);
  return fmt::format("{:02}:{:02}:{:02}", fields.tm_hour, fields.tm_min, fields.tm_sec);
}

Result<uint64_t> parse_size(std::string_view text) {
  return parse_scaled(text, "b", not_a("a size", text, "4096, 64KiB, 4k, 1M"));
}

Result<uint64_t> parse_number(std::string_view text) {
  std::string_view rest = text;
  const std::optional<uint64_t> number = take_number(rest);
  if (!number || !rest.empty()) return not_a("a number", text, "1, 1000");
  return *number;
}

Result<uint64_t> parse_count(std::string_view text) {
  return parse_scaled(text, "", not_a("a number", text, "1000, 64k, 1Mi"));
}

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  const Error malformed = not_a("a duration", text, "500ms, 2s, 1.5s, 10m, 1h");
  std::string_view rest = text;
  const std::optional<uint64_t> whole = take_number(rest);
  if (!whole) return malformed;
  std::optional<int64_t> billionths = 0;
  if (!rest.empty() && rest[0] == '.') {
    rest.remove_prefix(1);
    billionths = take_fraction(rest);
    if (!billionths) return malformed;
  }
  const std::string suffix = lowered(rest);
  for (const TimeUnit& unit : kTimeUnits) {
    if (suffix != unit.name) continue;
    const auto limit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max() / unit.ns) - 1;
    if (*whole > limit) return Error{ErrorKind::Usage, fmt::format("'{}' is too long", text), ""};
    const auto fraction_ns = static_cast<int64_t>(static_cast<long double>(*billionths) * unit.ns / 1e9L);
    return std::chrono::nanoseconds(static_cast<int64_t>(*whole) * unit.ns + fraction_ns);
  }
  return malformed;
}

}  // namespace alloctrail
