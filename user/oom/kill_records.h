// SPDX-License-Identifier: Apache-2.0
// Puts the kernel half's records of kills together, one OomCapture a process. Knows the races: marks that repeat, come
// late or never, threads sent twice. Pure: records and times in, captures out.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "alloctrail/oom.h"
#include "user/ids.h"
#include "user/model/memory.h"
#include "user/target/mappings.h"

namespace alloctrail {

/// One thread as it met the signal.
struct CapturedThread {
  at_oom_thread record{};
  std::vector<std::byte> stack_memory;  ///< from the stack pointer on
};

/// A record of kind AT_OOM_THREAD or AT_OOM_RECLAIM, if it is long enough to be one.
[[nodiscard]] std::optional<CapturedThread> captured_thread(std::span<const std::byte> record);

/// All that was recorded of one process.
struct OomCapture {
  at_oom_kill kill{};
  std::vector<std::byte> trigger_memory;  ///< the trigger's stack, from its stack pointer on
  std::string command;  ///< arguments separated by NUL
  std::vector<CapturedThread> threads;
  std::optional<at_oom_end> end;
  uint32_t marks = 0;
  bool looked_at = false;  ///< somebody tried to read what follows
  // As /proc showed them after the kill; empty: they were gone, or nobody looked.
  std::vector<Mapping> mappings;
  std::vector<Mapping> trigger_mappings;  ///< of a trigger in another process
  std::string held_status;                ///< /proc/PID/status of a thread that was held; empty: none was
  std::string hold_refusal;               ///< why none could be
  std::optional<CgroupMemory> usage;      ///< of the cgroup at its limit
  std::chrono::nanoseconds usage_read_after{};  ///< the kill

  [[nodiscard]] Tgid pid() const { return Tgid(kill.header.tgid); }
  [[nodiscard]] Tgid trigger_pid() const { return Tgid(kill.trigger_tgid); }
};

class KillRecords {
 public:
  using Nanoseconds = std::chrono::nanoseconds;  ///< CLOCK_MONOTONIC, as the kernel half stamps records

  /// A kill whose mark has not come this long after its process ended was none of the OOM killer's.
  static constexpr Nanoseconds kMarkGrace = std::chrono::milliseconds(100);
  /// A confirmed kill is reported this long after the signal although threads of the process still live.
  static constexpr Nanoseconds kEndGrace = std::chrono::seconds(5);

  /// Takes one record, whole as the kernel half sent it. One that makes no sense is ignored.
  void add(std::span<const std::byte> record);
  /// The kill that has just begun: filled in by whoever can look at the process. Null: none such.
  [[nodiscard]] OomCapture* find(uint64_t kill);
  /// Captures that are complete, or will not become so.
  [[nodiscard]] std::vector<OomCapture> take_finished(Nanoseconds now);
  /// Is anything being recorded? Then take_finished() is to be called again soon.
  [[nodiscard]] bool pending() const { return !open_.empty(); }
  /// Kernel kills that the OOM killer did not claim: not reported.
  [[nodiscard]] uint64_t unclaimed() const { return unclaimed_; }

 private:
  struct Past {
    uint32_t tgid = 0;
    uint64_t start_ns = 0;
  };
  void add_kill(std::span<const std::byte> record);
  void add_mark(const at_oom_mark& mark);
  void add_thread(std::span<const std::byte> record);
  void finish(OomCapture capture, std::vector<OomCapture>& finished);

  std::map<uint64_t, OomCapture> open_;
  std::deque<Past> past_;
  uint64_t unclaimed_ = 0;
};

}  // namespace alloctrail
