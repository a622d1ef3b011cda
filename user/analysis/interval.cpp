// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/interval.h"

#include <algorithm>
#include <cmath>

namespace alloctrail {
namespace {

constexpr double kNormal = 1.959964;       // 97.5 % of the normal distribution
constexpr double kNothingSeen = 3.688879;  // -ln(0.025): the mean of which nothing is seen with 2.5 % chance

/// A limit of a Poisson mean of which `count` was seen; `z` below zero: the lower one.
double byar(double count, double z) {
  const double centre = count + 0.5;
  return centre * std::pow(std::max(1 - 1 / (9 * centre) + z / (3 * std::sqrt(centre)), 0.0), 3);
}

Interval interval(double whole, double estimated, double variance, double if_nothing_seen) {
  if (estimated <= 0) return {whole, whole + kNothingSeen * if_nothing_seen};
  if (variance <= 0) return {whole, whole};
  const double exact = std::max(whole - estimated, 0.0);
  const double count = estimated * estimated / variance;
  return {exact + estimated * std::min(byar(count, -kNormal) / count, 1.0),
          exact + estimated * std::max(byar(count, kNormal) / count, 1.0)};
}

}  // namespace

AmountInterval interval_of(Amount amount, const SampledPart& part, uint64_t unseen_bytes) {
  const auto unseen = static_cast<double>(unseen_bytes);
  return {.bytes = interval(static_cast<double>(amount.bytes), part.bytes, part.bytes_variance, unseen),
          // The smallest blocks stand for most: as many as there are bytes.
          .blocks = interval(static_cast<double>(amount.blocks), part.blocks, part.blocks_variance, unseen)};
}

}  // namespace alloctrail
