// SPDX-License-Identifier: Apache-2.0
// The part of a figure that is estimated from samples. What is not in it was counted one by one.
#pragma once

#include <algorithm>
#include <cstdint>

namespace alloctrail {

/// What sampled blocks stand for. Estimates of the same blocks at two moments subtract: what is in both cancels.
struct SampledPart {
  double samples = 0;
  double bytes = 0;
  double blocks = 0;
  double bytes_variance = 0;
  double blocks_variance = 0;

  SampledPart& operator+=(const SampledPart& other) {
    samples += other.samples;
    bytes += other.bytes;
    blocks += other.blocks;
    bytes_variance += other.bytes_variance;
    blocks_variance += other.blocks_variance;
    return *this;
  }
  /// Never below zero: counters of a running program are read one after the other.
  friend SampledPart operator-(const SampledPart& a, const SampledPart& b) {
    const auto rest = [](double x, double y) { return std::max(x - y, 0.0); };
    return {rest(a.samples, b.samples), rest(a.bytes, b.bytes), rest(a.blocks, b.blocks),
            rest(a.bytes_variance, b.bytes_variance), rest(a.blocks_variance, b.blocks_variance)};
  }
  friend bool operator==(const SampledPart&, const SampledPart&) = default;
};

/// The sampled parts of what a site, a thread or a process has allocated, freed, and holds for long.
struct Sampled {
  SampledPart allocated;
  SampledPart freed;
  SampledPart older;

  Sampled& operator+=(const Sampled& other) {
    allocated += other.allocated;
    freed += other.freed;
    older += other.older;
    return *this;
  }
  [[nodiscard]] SampledPart outstanding() const { return allocated - freed; }
  friend bool operator==(const Sampled&, const Sampled&) = default;
};

}  // namespace alloctrail
