// SPDX-License-Identifier: Apache-2.0
// What every live command is told: which processes to trace, and what the kernel half keeps of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "user/ids.h"
#include "user/kernel/probe_link.h"
#include "user/options/option_group.h"
#include "user/result.h"

namespace alloctrail {

/// Which processes to trace. Numbers, names and cgroups add up; a command stands alone. Never empty.
struct TargetOptions {
  std::vector<Tgid> pids;  ///< each once
  std::vector<std::string> comms;
  std::vector<std::string> cgroups;
  std::vector<std::string> command;

  [[nodiscard]] bool names_running_processes() const { return !pids.empty() || !comms.empty() || !cgroups.empty(); }
};

struct TracingOptions {
  TargetOptions targets;
  uint64_t min_size_bytes = 0;
  std::vector<Tid> only_tids;  ///< with only_names: the threads to trace; both empty: all
  std::vector<std::string> only_names;
  std::optional<uint64_t> sample_rate_bytes;  ///< none: every allocation is recorded
  std::optional<std::chrono::nanoseconds> older;
  std::optional<ProbeKind> probe_kind;  ///< none: the best this kernel has
  /// Only page faults are watched, not the allocator.
  bool growth = false;
  uint32_t fault_interval = 61;  ///< of --growth: a prime, so that no loop over pages keeps step with it
  uint32_t max_live_blocks = 1u << 21;
  uint32_t max_stacks = 1u << 16;
  uint32_t max_sites = 1u << 18;
  std::optional<uint32_t> warn_at_percent;  ///< of the nearest limit; none: no warnings
};

constexpr uint64_t kMaxPid = 1u << 22;  // PID_MAX_LIMIT of 64-bit kernels

/// -p, --comm, --cgroup
void declare_targets(CLI::App& app, TargetOptions& targets);
/// --sample, --min-size, --thread, --older
void declare_filters(OptionGroup& group, TracingOptions& tracing);
/// --warn-at
void declare_warning(OptionGroup& group, TracingOptions& tracing);
/// --growth, --fault-interval
void declare_growth(OptionGroup& group, TracingOptions& tracing);
/// --max-live, --max-stacks, --max-sites, --probe-kind
void declare_kernel(CLI::App& app, TracingOptions& tracing);
/// Takes over the command to start, if one was given. Error: nothing to trace, or both kinds of it. `subcommand` is what
/// the user called.
[[nodiscard]] Status choose_targets(const char* subcommand, const std::optional<Words>& program, TargetOptions& targets);

}  // namespace alloctrail
