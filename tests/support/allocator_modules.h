// SPDX-License-Identifier: Apache-2.0
// The files of a running process that define an allocator, and the probes that alloctrail plans for them: for what attaches
// programs of its own to alloctrail's sites.
#pragma once

#include <sys/types.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "user/elf/probe_plan.h"
#include "user/handles.h"

namespace alloctrail::test {

struct AllocatorModule {
  UniqueFd file;
  std::string path;
  ModulePlan plan;
};

/// The value, or what went wrong as a std::runtime_error.
template <class T>
T need(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return *std::move(result);
}

std::vector<AllocatorModule> allocator_modules_of(pid_t pid);

}  // namespace alloctrail::test
