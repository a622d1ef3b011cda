// SPDX-License-Identifier: Apache-2.0
// Looks again and again at how near the processes of a live command are to their limits, and says when a warning is due.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "user/analysis/limit_alarm.h"
#include "user/analysis/limit_history.h"
#include "user/ids.h"

namespace alloctrail {

class LimitWatch {
 public:
  /// The next look is due when memory could be used up to the next step at this rate. A process can be faster; then
  /// the kernel's notice that it takes memory back comes first.
  static constexpr uint64_t kFastestBytesPerSecond = 256u << 20;
  static constexpr std::chrono::milliseconds kSoonestLook{10};
  static constexpr std::chrono::milliseconds kLatestLook{100};

  /// Without a share it never warns and never looks.
  explicit LimitWatch(std::optional<uint32_t> warn_at_percent) : warn_at_percent_(warn_at_percent) {}

  struct Warning {
    Tgid pid{};
    LimitView limit;
  };
  /// Milliseconds until look() is to be called, for poll(); -1: never.
  [[nodiscard]] int wait_ms() const;
  /// Looks at the processes whose time has come. Those that are not named are forgotten.
  [[nodiscard]] std::vector<Warning> look(const std::vector<Tgid>& pids);

  /// The kernel takes memory back to let the process go on: how near its limit is now, or nothing if that was told already.
  /// It is told once below the first step, where that is mostly page cache, and once from there on.
  [[nodiscard]] std::optional<LimitView> at_reclaim(Tgid pid);

 private:
  using Clock = std::chrono::steady_clock;
  struct Process {
    explicit Process(uint32_t percent) : alarm(percent) {}
    LimitAlarm alarm;
    LimitHistory history;
    Clock::time_point next_look;
    Clock::time_point next_sample;
    bool told_reclaim_below = false;
    bool told_reclaim_above = false;
  };
  std::optional<LimitView> look_at(Tgid pid, Process& process);

  std::optional<uint32_t> warn_at_percent_;
  std::map<Tgid, Process> processes_;
};

/// Of two timeouts for poll(), where -1 is never.
[[nodiscard]] inline int sooner(int a_ms, int b_ms) { return a_ms < 0 ? b_ms : b_ms < 0 ? a_ms : std::min(a_ms, b_ms); }

}  // namespace alloctrail
