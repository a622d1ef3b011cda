// SPDX-License-Identifier: Apache-2.0
// OomReport: what is known about one process that the kernel's OOM killer took, as a plain value. Made from the kernel
// half's records (oom/), read by output/, which sees nothing else.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "user/ids.h"
#include "user/model/snapshot.h"

namespace alloctrail {

/// Why the kernel killed.
enum class OomReason {
  CgroupLimit,  ///< a memory cgroup was at its limit
  Host,         ///< the machine had no memory left
  OnRequest,    ///< somebody asked for it (SysRq f)
  Exiting,      ///< no kill: the process was dying already when memory ran out
  Unknown,      ///< an OOM kill, but the kernel's stack does not tell which
};

/// How far a figure can be trusted.
enum class Certainty {
  Exact,        ///< as of the kill
  Approximate,  ///< as of the kill, off by at most OomReport::memory_error_bytes
};

/// One line of /proc/PID/status.
struct OomFigure {
  std::string name;  ///< as the kernel names it: "VmRSS"
  uint64_t bytes = 0;
  Certainty certainty = Certainty::Exact;
};

/// A memory cgroup above (or of) the victim.
struct OomCgroup {
  std::string path;  ///< below the mount of the memory controller
  uint64_t usage_bytes = 0;
  std::optional<uint64_t> limit_bytes;
  uint64_t kernel_bytes = 0;  ///< part of the usage that is kernel memory; 0: not known, as in version 2 (see OomUsage)
};

/// What the memory of the cgroup at its limit consisted of, as its own files said soon after the kill. The usage at the kill
/// itself is OomCgroup's: the victim may have begun to give memory back.
struct OomUsage {
  std::string path;
  uint64_t use_bytes = 0;  ///< of all together, at the same moment
  uint64_t anon_bytes = 0;
  uint64_t file_bytes = 0;  ///< page cache, without shmem
  uint64_t shmem_bytes = 0;
  uint64_t kernel_bytes = 0;
  std::chrono::nanoseconds after_kill{};
};

struct OomThread {
  Tid tid{};
  std::string name;       ///< raw bytes of its comm
  std::string state;      ///< "running", "in futex"
  uint32_t stack = 0;     ///< index into OomReport::stacks
  bool trigger = false;   ///< it asked for the memory that was not there
  bool at_exit = false;   ///< it was exiting already when the signal came
};

/// No kill yet: a cgroup is at its limit, and the kernel takes memory back so that a thread can go on.
struct ReclaimNotice {
  std::chrono::system_clock::time_point time;
  Tgid pid{};
  Tid tid{};
  std::string thread;  ///< its name; raw bytes
  std::string state;   ///< "running", "in write"
  Stack stack;
};

/// What was lost of the picture.
struct OomLosses {
  uint64_t threads_not_seen = 0;
  uint64_t stacks_cut = 0;       ///< stacks whose outer end was not reached
  uint64_t records_dropped = 0;
  uint64_t late_calls = 0;       ///< allocator calls after the kill, not accounted
};

struct OomReport {
  uint64_t number = 0;  ///< of the kill within this run
  std::chrono::system_clock::time_point time;
  OomReason reason = OomReason::Unknown;

  Tgid pid{};
  std::string comm;
  std::string command;  ///< arguments joined by spaces; empty: could not be read
  uint32_t uid = 0;
  int32_t oom_score_adj = 0;

  Tgid trigger_pid{};
  Tid trigger_tid{};
  std::string trigger_comm;
  std::string trigger_state;
  uint32_t trigger_stack = 0;  ///< index into stacks
  std::vector<std::string> kernel_stack;  ///< of the trigger, innermost first: function names

  std::vector<OomCgroup> cgroups;     ///< the victim's own first
  std::optional<size_t> full_cgroup;  ///< index of the one at its limit
  std::optional<OomUsage> usage;      ///< of that one; none: it could not be read in time

  std::vector<OomFigure> figures;
  uint64_t rss_bytes = 0;
  uint64_t memory_error_bytes = 0;  ///< how far approximate figures may be off, each
  uint32_t thread_count = 0;        ///< at the kill

  bool held = false;         ///< the process was held for a moment while it died
  bool mappings_seen = true;  ///< false: stacks could be neither unwound by tables nor named
  std::vector<OomThread> threads;
  std::vector<Stack> stacks;

  std::optional<Snapshot> accounting;  ///< of a traced victim: as of the kill
  std::optional<Snapshot> earlier;     ///< the same some minutes before: what grew in the end
  std::chrono::nanoseconds death_took{};  ///< from the kill to the exit of the last thread; 0: not seen
  OomLosses losses;
  std::vector<std::string> notes;  ///< sentences a reader must know

  [[nodiscard]] bool killed() const { return reason != OomReason::Exiting; }
  [[nodiscard]] bool trigger_is_victim() const { return trigger_pid == pid; }
};

}  // namespace alloctrail
