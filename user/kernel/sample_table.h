// SPDX-License-Identifier: Apache-2.0
// The rates a run can sample at, and the table by which the kernel half draws and weighs. Pure; see alloctrail/sampling.h.
#pragma once

#include <cstdint>
#include <vector>

#include "alloctrail/sampling.h"

namespace alloctrail {

constexpr uint64_t kLowestSampleRate = uint64_t{1} << 10;   ///< bytes
constexpr uint64_t kHighestSampleRate = uint64_t{1} << 24;  ///< bytes; sums over days of samples still fit 64 bits

/// The ladder of rates: rung 0 records everything, rung 1 samples at `lowest_bytes`, each further one at twice that, as
/// far as kHighestSampleRate.
struct SampleRates {
  uint64_t lowest_bytes = kLowestSampleRate;

  [[nodiscard]] uint32_t top_rung() const;
  /// Bytes; 0: everything.
  [[nodiscard]] uint64_t rate_bytes(uint32_t rung) const;
};

/// AT_SAMPLE_RUNGS * AT_SAMPLE_CLASSES elements; rungs above the top one are like it.
[[nodiscard]] std::vector<at_sample_class> sample_table(const SampleRates& rates);

}  // namespace alloctrail
