// SPDX-License-Identifier: Apache-2.0
#include "user/trace/estimates.h"

#include <cmath>

namespace alloctrail {

Amount estimate(Amount recorded, const at_sample_sums& sums) {
  constexpr uint64_t kHalf = AT_SAMPLE_WEIGHT_ONE / 2;
  return {.bytes = recorded.bytes - sums.bytes + sums.stand_bytes,
          .blocks = recorded.blocks - sums.samples + (sums.stand_blocks_q16 + kHalf) / AT_SAMPLE_WEIGHT_ONE};
}

SampledPart sampled_part(const at_sample_sums& sums) {
  return {.samples = static_cast<double>(sums.samples),
          .bytes = static_cast<double>(sums.stand_bytes),
          .blocks = std::ldexp(static_cast<double>(sums.stand_blocks_q16), -16),
          .bytes_variance = std::ldexp(static_cast<double>(sums.bytes_variance_q), 16),
          .blocks_variance = std::ldexp(static_cast<double>(sums.blocks_variance_q4), -4)};
}

}  // namespace alloctrail
