// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/sample_table.h"

#include <algorithm>
#include <cmath>

namespace alloctrail {
namespace {

constexpr at_sample_class kAlways{
    .threshold = AT_SAMPLE_ALWAYS, .weight_q16 = AT_SAMPLE_WEIGHT_ONE, .blocks_variance_q4 = 0};

/// Blocks this many times larger than the rate are all recorded: one in 3,000 would be left out otherwise.
constexpr double kAlwaysFrom = 8;

/// A size in the middle of the class. A block of no bytes is drawn like one of one byte.
double middle_of(uint32_t size_class) {
  if (size_class < 8) return std::max(size_class, 1u);
  return std::ldexp(8 + size_class % 8 + 0.5, static_cast<int>(size_class / 8) - 1);
}

at_sample_class class_at(double size_bytes, double rate_bytes) {
  if (size_bytes >= kAlwaysFrom * rate_bytes) return kAlways;
  const double probability = -std::expm1(-size_bytes / rate_bytes);
  const double threshold = std::max(std::round(std::ldexp(probability, 32)), 1.0);
  const double weight = std::ldexp(1, 32) / threshold;
  return {.threshold = static_cast<uint64_t>(threshold),
          .weight_q16 = static_cast<uint64_t>(std::llround(std::ldexp(weight, 16))),
          .blocks_variance_q4 = static_cast<uint64_t>(std::ceil(16 * weight * (weight - 1)))};
}

}  // namespace

uint32_t SampleRates::top_rung() const {
  uint32_t rung = 1;
  while (rung + 1 < AT_SAMPLE_RUNGS && lowest_bytes << rung <= kHighestSampleRate) ++rung;
  return rung;
}

uint64_t SampleRates::rate_bytes(uint32_t rung) const {
  return rung == 0 ? 0 : lowest_bytes << (std::min(rung, top_rung()) - 1);
}

std::vector<at_sample_class> sample_table(const SampleRates& rates) {
  std::vector<at_sample_class> table(AT_SAMPLE_RUNGS * AT_SAMPLE_CLASSES, kAlways);
  for (uint32_t rung = 1; rung < AT_SAMPLE_RUNGS; ++rung)
    for (uint32_t size_class = 0; size_class < at_size_class(AT_SAMPLE_LARGEST); ++size_class)
      table[rung * AT_SAMPLE_CLASSES + size_class] =
          class_at(middle_of(size_class), static_cast<double>(rates.rate_bytes(rung)));
  return table;
}

}  // namespace alloctrail
