// SPDX-License-Identifier: Apache-2.0
#include "user/output/limit_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "user/output/units.h"

namespace alloctrail {
namespace {

/// Whole seconds from ten on; a hundred years stand for everything beyond.
std::string duration_text(double seconds) {
  constexpr double kCentury = 100 * 365.25 * 86400;
  const double shown = std::min(seconds < 10 ? seconds : std::round(seconds), kCentury);
  return format_duration(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(shown)));
}

}  // namespace

std::string limit_name(const Headroom& limit) {
  return limit.cgroup.empty() ? "host" : limit.cgroup;
}

std::string time_left_text(const Forecast& left) {
  switch (left.outcome) {
    case Forecast::Outcome::TooEarly:
      break;
    case Forecast::Outcome::NoneInSight:
      return "no exhaustion in sight";
    case Forecast::Outcome::Beyond:
      return "more than " + duration_text(left.seconds.lower);
    case Forecast::Outcome::Exhausts:
      if (left.seconds.upper == 0) return "none";
      return fmt::format("{} ({} to {})", duration_text(left.seconds.value), duration_text(left.seconds.lower),
                         duration_text(left.seconds.upper));
  }
  return "too early to say";
}

std::string time_left_short(const Forecast& left) {
  switch (left.outcome) {
    case Forecast::Outcome::TooEarly:
      break;
    case Forecast::Outcome::NoneInSight:
      return "-";
    case Forecast::Outcome::Beyond:
      return ">" + duration_text(left.seconds.lower);
    case Forecast::Outcome::Exhausts:
      return left.seconds.upper == 0 ? "0" : duration_text(left.seconds.value);
  }
  return "?";
}

std::string limit_line(const Headroom& limit, const Forecast& left) {
  return fmt::format("limit {} of {}   use {}   room {}   time left {}", format_bytes(limit.limit_bytes),
                     limit_name(limit), format_bytes(limit.use_bytes), format_bytes(limit.room_bytes),
                     time_left_text(left));
}

std::string limit_warning(const Headroom& limit, uint32_t percent) {
  const double share =
      limit.limit_bytes == 0 ? 0 : static_cast<double>(limit.use_bytes) / static_cast<double>(limit.limit_bytes);
  return fmt::format("WARNING: {} of the limit is in use and cannot be taken back: the step of {}%", format_share(share),
                     percent);
}

}  // namespace alloctrail
