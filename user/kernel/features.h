// SPDX-License-Identifier: Apache-2.0
// What this kernel and our rights allow, each answered by trying it.
#pragma once

#include <string>
#include <vector>

#include "user/kernel/tracer.h"

namespace alloctrail {

/// One question put to the kernel.
struct FeatureCheck {
  std::string name;
  bool available = false;
  std::string detail;  ///< what was found, or why not
};

struct KernelFeatures {
  std::string release;                ///< uname -r
  std::vector<FeatureCheck> checks;
  std::vector<MapMemory> maps;        ///< of a trace with the default limits; empty if it could not be loaded
};

[[nodiscard]] KernelFeatures examine_kernel();

}  // namespace alloctrail
