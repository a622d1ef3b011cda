// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/trend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace alloctrail {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<Sample> line(size_t count, double slope, double offset = 0) {
  std::vector<Sample> out;
  for (size_t i = 0; i < count; ++i)
    out.push_back({2.0 * static_cast<double>(i), offset + slope * 2.0 * static_cast<double>(i)});
  return out;
}

TEST(Trend, NothingIsSaidOfOneMoment) {
  EXPECT_FALSE(trend({}));
  EXPECT_FALSE(trend(line(1, 5)));
  const std::vector<Sample> same_moment = {{3, 1}, {3, 100}};
  EXPECT_FALSE(trend(same_moment));
}

TEST(Trend, FourMomentsHaveASlopeButNoInterval) {
  const auto found = trend(line(4, 5, 100));
  ASSERT_TRUE(found);
  EXPECT_DOUBLE_EQ(found->per_s.value, 5);
  EXPECT_EQ(found->per_s.lower, -kInfinity);
  EXPECT_EQ(found->per_s.upper, kInfinity);
  EXPECT_FALSE(found->grows());
}

TEST(Trend, StraightLineIsFoundExactly) {
  for (const size_t count : {5u, 6u, 10u, 11u, 24u, 48u}) {
    const auto found = trend(line(count, 7.5, -40));
    ASSERT_TRUE(found);
    EXPECT_NEAR(found->per_s.value, 7.5, 1e-9) << count;
    EXPECT_NEAR(found->per_s.lower, 7.5, 1e-9) << count;
    EXPECT_NEAR(found->per_s.upper, 7.5, 1e-9) << count;
    EXPECT_NEAR(found->level, -40 + 7.5 * found->span_s, 1e-9);
    EXPECT_TRUE(found->grows());
  }
}

TEST(Trend, ConstantFigureDoesNotGrow) {
  for (const size_t count : {5u, 30u}) {
    const auto found = trend(line(count, 0, 4096));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->per_s, (Estimate{0, 0, 0}));
    EXPECT_FALSE(found->grows());
    EXPECT_EQ(found->level, 4096);
  }
}

TEST(Trend, WildValuesDoNotMoveTheSlope) {
  auto floors = line(24, 10);
  for (const size_t wild : {3u, 4u, 11u, 19u, 20u}) floors[wild].value += 1e9;
  const auto found = trend(floors);
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->per_s.value, 10, 0.01);
  EXPECT_TRUE(found->grows());
}

TEST(Trend, OneStepIsNotGrowth) {
  for (size_t step = 1; step < 24; ++step) {
    auto floors = line(24, 0, 100);
    for (size_t i = step; i < floors.size(); ++i) floors[i].value += 1e6;
    const auto found = trend(floors);
    ASSERT_TRUE(found);
    EXPECT_FALSE(found->grows()) << "step before floor " << step;
  }
}

TEST(Trend, GrowthThatStartsLateSpeaksForItself) {
  auto floors = line(32, 0, 500);
  for (size_t i = 16; i < floors.size(); ++i) floors[i].value += 20 * (floors[i].at_s - floors[16].at_s);
  const auto found = trend(floors);
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->per_s.value, 20, 0.5);
  EXPECT_LT(found->floors, 32u);
}

// 95 % of intervals are to hold the true slope: of 2,000 at least 1,900, less three standard deviations of 9.7.
TEST(Trend, IntervalHoldsTheTrueSlopeAsOftenAsItSays) {
  std::mt19937 random(42);
  std::normal_distribution<double> noise(0, 100);
  for (const size_t count : {5u, 6u, 10u, 11u, 24u}) {
    int held = 0, grows_wrongly = 0;
    for (int round = 0; round < 2000; ++round) {
      auto floors = line(count, 3, 1000);
      for (Sample& floor : floors) floor.value += noise(random);
      const auto found = trend(floors);
      held += found->per_s.lower <= 3 && 3 <= found->per_s.upper;
      for (Sample& floor : floors) floor.value -= 3 * floor.at_s;
      grows_wrongly += trend(floors)->grows();
    }
    EXPECT_GE(held, 1871) << count;
    EXPECT_LE(grows_wrongly, 79) << count;  // 2.5 %, and three standard deviations
  }
}

TEST(Trend, NeighboursThatResembleEachOtherWidenTheInterval) {
  std::mt19937 random(7);
  std::normal_distribution<double> noise(0, 100);
  int wrong_growth = 0;
  for (int round = 0; round < 500; ++round) {
    double wave = 0;
    std::vector<Sample> floors = line(40, 0, 1000);
    for (Sample& floor : floors) floor.value += wave = 0.6 * wave + noise(random);
    wrong_growth += trend(floors)->grows();
  }
  EXPECT_LT(wrong_growth, 70);  // 91 without the widening
}

TEST(FloorSeries, KeepsEverySampleWhileThereAreFew) {
  FloorSeries series;
  for (const Sample& sample : line(FloorSeries::kMostFloors - 1, 1)) series.add(sample);
  EXPECT_EQ(series.floors().size(), FloorSeries::kMostFloors - 1);
  EXPECT_EQ(series.floors()[3], (Sample{6, 6}));
  EXPECT_EQ(series.latest()->value, 2.0 * (FloorSeries::kMostFloors - 2));
}

TEST(FloorSeries, MemoryStaysConstantAndTheWholeRunIsCovered) {
  FloorSeries series;
  const auto samples = line(100'000, 1);
  for (const Sample& sample : samples) series.add(sample);
  EXPECT_LT(series.floors().size(), FloorSeries::kMostFloors);
  EXPECT_GE(series.floors().size(), FloorSeries::kMostFloors / 2);
  EXPECT_EQ(series.floors().front(), samples.front());
  EXPECT_GT(series.floors().back().at_s, 0.9 * samples.back().at_s);
}

TEST(FloorSeries, PeaksBetweenTheFloorsAreForgotten) {
  FloorSeries series;
  for (size_t i = 0; i < 3000; ++i) {
    const double base = 1000 + static_cast<double>(i);  // a leak of 1 a second under waves of 10 million
    series.add({static_cast<double>(i), base + (i % 10 == 0 ? 0 : 1e7)});
  }
  const auto found = trend(series.floors());
  ASSERT_TRUE(found);
  EXPECT_NEAR(found->per_s.value, 1, 0.05);
  EXPECT_TRUE(found->grows());
}

}  // namespace
}  // namespace alloctrail
