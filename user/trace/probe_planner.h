// SPDX-License-Identifier: Apache-2.0
// Which probes a process needs: looks through its mapped files, each file once per run however many processes map it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "user/elf/probe_plan.h"
#include "user/ids.h"
#include "user/result.h"
#include "user/target/mappings.h"

namespace alloctrail {

/// One mapped file in which probes are wanted.
struct PlannedModule {
  Mapping mapping;              ///< its first executable mapping
  ModulePlan plan;
  uint64_t loader_offset = 0;   ///< file offset of `_dl_debug_state` if this is the dynamic loader, else 0
};

/// What looking through a process gave.
struct ProcessPlan {
  std::vector<PlannedModule> modules;   ///< those with probes or a loader notice
  std::vector<std::string> warnings;    ///< files that could not be read, functions that could not be hooked
  std::vector<std::string> notes;       ///< functions that need no probe, and why
};

class ProbePlanner {
 public:
  /// Plans the executable file mappings among `mappings`. A file that cannot be read is a warning, not an error.
  [[nodiscard]] ProcessPlan plan(Tgid pid, const std::vector<Mapping>& mappings);

 private:
  struct FilePlan {
    ModulePlan plan;
    uint64_t loader_offset = 0;
    std::string warning;  ///< empty: the file was read
  };
  const FilePlan& plan_of(Tgid pid, const Mapping& mapping);

  std::map<FileKey, FilePlan> files_;
};

}  // namespace alloctrail
