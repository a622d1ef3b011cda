// SPDX-License-Identifier: Apache-2.0
// What a program is measured under: nothing, empty probes, alloctrail, or a peer.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/bench.h"
#include "user/kernel/probe_link.h"

namespace alloctrail::bench {

/// Something attached to a running process for as long as it lives. Afterwards the process's code is as it was.
class Watcher {
 public:
  virtual ~Watcher() = default;
};

struct Condition {
  std::string name;
  /// Attaches to a running process. Null: nothing to attach.
  std::function<std::unique_ptr<Watcher>(pid_t)> attach = nullptr;
  /// For what cannot attach: the program is started anew as an argument of this command.
  std::vector<std::string> wrapper = {};
  /// Why it cannot be measured here; empty: it can.
  std::string missing = {};
};

enum class EmptySites {
  FunctionEntries,       ///< the probes of full tracing at the functions' first instructions, as most tools have them
  ChosenEntries,         ///< entries only, at the instructions alloctrail chooses
  ChosenEntriesReturns,  ///< the floor: the probes of full tracing
};

/// Programs that do nothing, on all of the process's allocator functions.
std::unique_ptr<Watcher> attach_empty(ProbeKind kind, EmptySites sites, pid_t pid);

/// bpf_get_stackid() in the entry of every allocation, at the instructions alloctrail chooses, and nothing else.
std::unique_ptr<Watcher> attach_stack_ids(ProbeKind kind, pid_t pid);
/// Names of the conditions that costs are compared with: empty programs on the probes of full tracing, and on their entries.
inline constexpr const char* kFloor = "empty probes, chosen sites";
inline constexpr const char* kEntryFloor = "empty entries, chosen sites";

Condition nothing();
Condition empty_probes(std::string name, ProbeKind kind, EmptySites sites);
/// `alloctrail report -p PID --interval 1h`, the real program.
Condition alloctrail_full(ProbeKind kind, const test::Deadline& deadline);
/// The same with more options.
Condition alloctrail_with(std::string name, std::vector<std::string> options, const test::Deadline& deadline);
/// The same on another process than the one that is measured.
Condition alloctrail_elsewhere(std::string name, const test::Deadline& deadline);
/// libbpf-tools' memleak, on libc.
Condition memleak(const Options& options, const test::Deadline& deadline);
Condition heaptrack(const std::string& folder);
Condition massif();

}  // namespace alloctrail::bench
