// SPDX-License-Identifier: Apache-2.0
// Does a figure grow, and how fast: a robust slope over the floors of a series, with the interval it lies in. Pure
// functions.
//
// Memory goes up and comes down again with every batch of work; a leak lifts what is left in between. So only the
// lowest value of each stretch of time counts, and the slope is the median over all pairs of those (Theil-Sen), which
// up to 29 % of wild values cannot move.
#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace alloctrail {

/// A figure and the interval in which it lies with 95 % confidence. Unbounded where nothing can be said yet.
struct Estimate {
  double value = 0;
  double lower = -std::numeric_limits<double>::infinity();
  double upper = std::numeric_limits<double>::infinity();
  [[nodiscard]] bool bounded() const { return lower > -std::numeric_limits<double>::infinity(); }
  friend bool operator==(const Estimate&, const Estimate&) = default;
};

struct Sample {
  double at_s = 0;  ///< any clock, the same for a whole series
  double value = 0;
  friend bool operator==(const Sample&, const Sample&) = default;
};

/// The lowest samples of stretches of equal length, in constant memory: when there are many, every two become one, so
/// the stretches grow with the run. Samples are expected in order and about equally far apart.
class FloorSeries {
 public:
  static constexpr size_t kMostFloors = 48;

  void add(Sample sample);
  /// One floor per full stretch, by time.
  [[nodiscard]] std::span<const Sample> floors() const { return floors_; }
  [[nodiscard]] std::optional<Sample> latest() const { return latest_; }

 private:
  std::vector<Sample> floors_;
  std::optional<Sample> lowest_;  ///< of the stretch that is not full yet
  std::optional<Sample> latest_;
  size_t stretch_samples_ = 1;
  size_t samples_in_stretch_ = 0;
};

struct Trend {
  Estimate per_s;
  double level = 0;   ///< of the fitted line at the last floor
  double span_s = 0;  ///< from the first floor used to the last
  size_t floors = 0;  ///< used
  /// With 95 % confidence.
  [[nodiscard]] bool grows() const { return per_s.lower > 0; }
};

/// The trend of floors in order of time; nothing from fewer than two moments. The interval is that of Kendall's rank
/// test (exact up to 10 floors, then by its variance, widened where neighbouring floors resemble each other: Hamed and
/// Rao 1998), and needs 5 floors. If the later half contradicts the whole, the figure has changed its ways, and the
/// later half speaks.
[[nodiscard]] std::optional<Trend> trend(std::span<const Sample> floors);

}  // namespace alloctrail
