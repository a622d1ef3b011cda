// SPDX-License-Identifier: Apache-2.0
// Page faults of a process: who touches memory, from where, in which kind of range. A plain value, part of a Snapshot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "alloctrail/faults.h"
#include "user/model/residence.h"

namespace alloctrail {

/// What one thread touched from one stack in one kind of range.
struct FaultSite {
  uint32_t thread = 0;  ///< index into Snapshot::threads
  uint32_t stack = 0;   ///< index into Snapshot::stacks
  ResidentKind kind = ResidentKind::Unknown;
  uint64_t samples = 0;
  /// What a fault brings there: a page, or the mean of small and huge pages of the range last touched.
  uint64_t bytes_per_fault = 0;
};

struct Faults {
  uint32_t interval = 1;  ///< every how manieth fault of a thread is sampled
  uint64_t counted = 0;   ///< all faults since the attach, exact
  at_fault_counters counters{};
  size_t uncertain_threads = 0;  ///< started during the attach, perhaps missing
  std::vector<FaultSite> sites;

  /// Each sample stands for `interval` faults.
  [[nodiscard]] uint64_t faults_of(const FaultSite& site) const { return site.samples * interval; }
  [[nodiscard]] uint64_t bytes_of(const FaultSite& site) const { return faults_of(site) * site.bytes_per_fault; }
};

}  // namespace alloctrail
