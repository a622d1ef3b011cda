// SPDX-License-Identifier: Apache-2.0
// How far an estimate may be off: 95 % intervals of sampled figures. Pure functions.
#pragma once

#include <cstdint>

#include "user/model/sampled.h"
#include "user/model/snapshot.h"

namespace alloctrail {

/// Ends included; low == high: the figure is exact.
struct Interval {
  double low = 0;
  double high = 0;
  friend bool operator==(Interval, Interval) = default;
};

/// Of bytes and of blocks.
struct AmountInterval {
  Interval bytes;
  Interval blocks;
  friend bool operator==(AmountInterval, AmountInterval) = default;
};

/// `amount` holds the estimate with what is exact; `part` what of it is estimated. `unseen_bytes` is the sampling rate if
/// there may be blocks of which no sample is held, else 0: no sample at all still leaves up to 3.7 of them (95 %).
///
/// The estimated part is treated as a Poisson count of n = estimate² / variance samples (n is the number of samples where
/// all are of one size, small against the rate), by Byar's approximation of the mid-P interval: Rothman, Greenland,
/// "Modern Epidemiology", ch. "Person-time data". Its coverage is measured in tests/unit/sampling_test.cpp.
[[nodiscard]] AmountInterval interval_of(Amount amount, const SampledPart& part, uint64_t unseen_bytes);

}  // namespace alloctrail
