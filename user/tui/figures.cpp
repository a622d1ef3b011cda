// SPDX-License-Identifier: Apache-2.0
#include "user/tui/figures.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "user/output/units.h"

namespace alloctrail {
namespace {

constexpr double kSecondsPerHour = 3600;
constexpr double kLevel = 0.01;
constexpr std::array<const char*, 8> kBars = {"\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83", "\xe2\x96\x84",
                                              "\xe2\x96\x85", "\xe2\x96\x86", "\xe2\x96\x87", "\xe2\x96\x88"};
constexpr std::array<const char*, 8> kAsciiBars = {"_", ".", ":", "-", "=", "+", "*", "#"};

}  // namespace

std::string signed_bytes(int64_t bytes) {
  if (bytes == 0) return "0";
  const auto magnitude = bytes < 0 ? 0 - static_cast<uint64_t>(bytes) : static_cast<uint64_t>(bytes);
  return (bytes < 0 ? "-" : "+") + format_bytes(magnitude);
}

bool surely_grows(const Activity& activity) {
  return activity.course && activity.course->growth && activity.course->growth->grows();
}

std::string growth_text(const Activity& activity) {
  if (!activity.course) return "-";
  if (!activity.course->growth || !activity.course->growth->per_s.bounded()) return "?";
  const Estimate& per_s = activity.course->growth->per_s;
  if (per_s.lower <= 0 && per_s.upper >= 0) return "steady";
  constexpr double kMost = 9e18;
  return signed_bytes(std::llround(std::clamp(per_s.value * kSecondsPerHour, -kMost, kMost)));
}

std::string course_text(const Activity& activity, size_t columns, Charset charset) {
  if (!activity.course || columns == 0) return "";
  const std::vector<double>& values = activity.course->values;
  const auto [low, high] = std::ranges::minmax(values);
  const auto& bars = charset == Charset::Utf8 ? kBars : kAsciiBars;
  const size_t shown = std::min(columns, values.size());
  std::string text;
  for (size_t i = 0; i < shown; ++i) {
    const double value = values[(i + 1) * values.size() / shown - 1];
    const double height = high - low > kLevel * high ? (value - low) / (high - low) : 0;
    text += bars[std::min<size_t>(static_cast<size_t>(height * bars.size()), bars.size() - 1)];
  }
  return text;
}

}  // namespace alloctrail
