// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/trend.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace alloctrail {
namespace {

/// How often an interval may miss, and the normal distribution's quantile that belongs to it.
struct Confidence {
  double two_sided_risk;
  double quantile;
};
constexpr Confidence kShown{0.05, 1.959964};
// A later part has many chances to look different by mere chance, so it must be surer before it is believed.
constexpr Confidence kContradiction{0.01, 2.575829};
constexpr size_t kLeastForInterval = 5;  // with 4 even the widest interval holds for 92 % only
constexpr size_t kMostExact = 10;
constexpr size_t kLeastForLags = 12;
constexpr size_t kMostLags = 6;
constexpr size_t kLeastHalf = 6;

double median_of_sorted(const std::vector<double>& values) {
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::vector<double> sorted_slopes(std::span<const Sample> floors) {
  std::vector<double> out;
  out.reserve(floors.size() * floors.size() / 2);
  for (size_t i = 0; i < floors.size(); ++i)
    for (size_t j = i + 1; j < floors.size(); ++j)
      if (floors[j].at_s > floors[i].at_s)
        out.push_back((floors[j].value - floors[i].value) / (floors[j].at_s - floors[i].at_s));
  std::ranges::sort(out);
  return out;
}

/// How many slopes at each end may be left out, by the exact distribution: of n! orders of n values without a trend,
/// how many have at most k pairs in descending order.
std::optional<size_t> exact_cut(size_t n, Confidence confidence) {
  std::vector<double> orders = {1};
  for (size_t i = 2; i <= n; ++i) {
    std::vector<double> next(orders.size() + i - 1, 0);
    for (size_t k = 0; k < orders.size(); ++k)
      for (size_t step = 0; step < i; ++step) next[k + step] += orders[k];
    orders = std::move(next);
  }
  const double allowed = confidence.two_sided_risk / 2 * std::accumulate(orders.begin(), orders.end(), 0.0);
  std::optional<size_t> cut;
  double below = 0;
  for (size_t k = 0; k < orders.size() && (below += orders[k]) <= allowed; ++k) cut = k;
  return cut;
}

/// Ranks from 1; equal values share the mean of theirs.
std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });
  std::vector<double> out(values.size());
  for (size_t first = 0, last = 0; first < order.size(); first = last) {
    while (last < order.size() && values[order[last]] == values[order[first]]) ++last;
    for (size_t k = first; k < last; ++k) out[order[k]] = static_cast<double>(first + last + 1) / 2;
  }
  return out;
}

/// Correlation of a series with itself, `lag` places on.
double autocorrelation(const std::vector<double>& series, double mean, double variance, size_t lag) {
  double sum = 0;
  for (size_t i = 0; i + lag < series.size(); ++i) sum += (series[i] - mean) * (series[i + lag] - mean);
  return sum / variance;
}

/// By how much correlation of neighbours widens the variance of Kendall's S (Hamed and Rao 1998, eq. 14); at least 1.
/// If the nearest neighbours resemble each other, all lags count up to the first that do not.
double variance_factor(std::span<const Sample> floors, double slope) {
  const size_t n = floors.size();
  if (n < kLeastForLags) return 1;
  std::vector<double> detrended;
  for (const Sample& floor : floors) detrended.push_back(floor.value - slope * (floor.at_s - floors[0].at_s));
  const std::vector<double> rank = ranks(detrended);
  const double count = static_cast<double>(n), mean = (count + 1) / 2;
  double variance = 0;
  for (const double r : rank) variance += (r - mean) * (r - mean);
  if (variance == 0) return 1;
  double sum = 0;
  for (size_t lag = 1; lag <= kMostLags; ++lag) {
    const double rho = autocorrelation(rank, mean, variance, lag);
    if (rho <= (lag == 1 ? kShown.quantile / std::sqrt(count) : 0)) break;
    const double rest = count - static_cast<double>(lag);
    sum += rest * (rest - 1) * (rest - 2) * rho;
  }
  return 1 + 2 / (count * (count - 1) * (count - 2)) * sum;
}

/// Variance of Kendall's S, with its correction for equal values.
double kendall_variance(std::span<const Sample> floors) {
  const auto term = [](double n) { return n * (n - 1) * (2 * n + 5); };
  std::vector<double> values;
  for (const Sample& floor : floors) values.push_back(floor.value);
  std::ranges::sort(values);
  double sum = term(static_cast<double>(values.size()));
  for (size_t first = 0, last = 0; first < values.size(); first = last) {
    while (last < values.size() && values[last] == values[first]) ++last;
    sum -= term(static_cast<double>(last - first));
  }
  return sum / 18;
}

/// How many of the sorted slopes lie outside of the interval at each end.
std::optional<size_t> slopes_cut(std::span<const Sample> floors, size_t slopes, double slope, Confidence confidence) {
  if (floors.size() < kLeastForInterval) return std::nullopt;
  if (floors.size() <= kMostExact) return exact_cut(floors.size(), confidence);
  const double spread = confidence.quantile * std::sqrt(kendall_variance(floors) * variance_factor(floors, slope));
  const double first = std::floor((static_cast<double>(slopes) - spread) / 2) - 1;
  if (first < 0) return std::nullopt;
  return static_cast<size_t>(first);
}

std::optional<Trend> trend_of_all(std::span<const Sample> floors, Confidence confidence) {
  const std::vector<double> slopes = sorted_slopes(floors);
  if (slopes.empty()) return std::nullopt;
  Trend out;
  out.per_s.value = median_of_sorted(slopes);
  const auto cut = slopes_cut(floors, slopes.size(), out.per_s.value, confidence);
  if (cut && *cut < slopes.size() - *cut) {
    out.per_s.lower = slopes[*cut];
    out.per_s.upper = slopes[slopes.size() - 1 - *cut];
  }
  out.floors = floors.size();
  out.span_s = floors.back().at_s - floors.front().at_s;
  std::vector<double> levels;
  for (const Sample& floor : floors)
    levels.push_back(floor.value + out.per_s.value * (floors.back().at_s - floor.at_s));
  std::ranges::sort(levels);
  out.level = median_of_sorted(levels);
  return out;
}

/// Whether a part of the series is sure to go another way than the whole.
bool contradicts(std::span<const Sample> part, const Trend& whole) {
  const auto own = trend_of_all(part, kContradiction);
  return own && (whole.per_s.value < own->per_s.lower || whole.per_s.value > own->per_s.upper);
}

}  // namespace

void FloorSeries::add(Sample sample) {
  latest_ = sample;
  if (!lowest_ || sample.value <= lowest_->value) lowest_ = sample;
  if (++samples_in_stretch_ < stretch_samples_) return;
  floors_.push_back(*lowest_);
  lowest_.reset();
  samples_in_stretch_ = 0;
  if (floors_.size() < kMostFloors) return;
  for (size_t i = 0; i < kMostFloors / 2; ++i) {
    const Sample &first = floors_[2 * i], &second = floors_[2 * i + 1];
    floors_[i] = second.value <= first.value ? second : first;
  }
  floors_.resize(kMostFloors / 2);
  stretch_samples_ *= 2;
}

std::optional<Trend> trend(std::span<const Sample> floors) {
  auto found = trend_of_all(floors, kShown);
  while (found && floors.size() >= 2 * kLeastHalf) {
    floors = floors.subspan(floors.size() / 2);
    if (!contradicts(floors, *found)) break;
    found = trend_of_all(floors, kShown);
  }
  return found;
}

}  // namespace alloctrail
