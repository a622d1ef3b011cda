// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/limit_alarm.h"

#include <algorithm>

namespace alloctrail {
namespace {

/// Rounded up: a use of that many bytes has reached the share.
uint64_t share_bytes(uint64_t limit_bytes, uint32_t percent) {
  return limit_bytes / 100 * percent + (limit_bytes % 100 * percent + 99) / 100;
}

}  // namespace

bool LimitAlarm::raised(const Headroom& limit) const {
  return limit.limit_bytes > 0 && limit.use_bytes >= share_bytes(limit.limit_bytes, first_percent_);
}

std::optional<uint32_t> LimitAlarm::reached(const Headroom& limit, std::chrono::nanoseconds now) {
  if (!raised(limit)) {
    if (told_percent_ && now >= told_at_ + kQuiet) told_percent_.reset();
    return std::nullopt;
  }
  uint32_t step = first_percent_;
  while (step + kStepPercent <= 100 && limit.use_bytes >= share_bytes(limit.limit_bytes, step + kStepPercent))
    step += kStepPercent;
  if (told_percent_ && step <= *told_percent_) return std::nullopt;
  told_percent_ = step;
  told_at_ = now;
  return step;
}

uint64_t LimitAlarm::bytes_to_next(const Headroom& limit) const {
  const uint32_t next = told_percent_ ? std::min(100U, *told_percent_ + kStepPercent) : first_percent_;
  const uint64_t at = share_bytes(limit.limit_bytes, next);
  return at > limit.use_bytes ? at - limit.use_bytes : 0;
}

}  // namespace alloctrail
