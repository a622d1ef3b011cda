// SPDX-License-Identifier: Apache-2.0
// When to warn that a process comes near its limit: once at a share of it, and again at every further step. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "user/analysis/forecast.h"

namespace alloctrail {

/// Of one process.
class LimitAlarm {
 public:
  static constexpr uint32_t kStepPercent = 5;
  /// A step that was told is told again once the use has been below the first one, and no sooner than this.
  static constexpr std::chrono::seconds kQuiet{30};

  explicit LimitAlarm(uint32_t first_percent) : first_percent_(first_percent) {}

  /// The step, in percent of the limit, that the use has newly reached; of several the highest. `now`: any clock that
  /// goes forward.
  [[nodiscard]] std::optional<uint32_t> reached(const Headroom& limit, std::chrono::nanoseconds now);
  /// How far the use is from the next step that would be told.
  [[nodiscard]] uint64_t bytes_to_next(const Headroom& limit) const;
  /// Is the use at the first step or above?
  [[nodiscard]] bool raised(const Headroom& limit) const;

 private:
  uint32_t first_percent_;
  std::optional<uint32_t> told_percent_;
  std::chrono::nanoseconds told_at_{};
};

}  // namespace alloctrail
