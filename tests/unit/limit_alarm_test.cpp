// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/limit_alarm.h"

#include <gtest/gtest.h>

namespace alloctrail {
namespace {

using std::chrono::seconds;

Headroom use_of(uint64_t use_bytes, uint64_t limit_bytes = 1000) {
  return {.cgroup = "/app",
          .limit_bytes = limit_bytes,
          .use_bytes = use_bytes,
          .swap_bytes = 0,
          .room_bytes = limit_bytes > use_bytes ? limit_bytes - use_bytes : 0};
}

TEST(LimitAlarm, TellsEachStepOnce) {
  LimitAlarm alarm(80);
  EXPECT_EQ(alarm.reached(use_of(799), seconds(0)), std::nullopt);
  EXPECT_EQ(alarm.reached(use_of(800), seconds(1)), 80U);
  EXPECT_EQ(alarm.reached(use_of(849), seconds(2)), std::nullopt);
  EXPECT_EQ(alarm.reached(use_of(850), seconds(3)), 85U);
  EXPECT_EQ(alarm.reached(use_of(820), seconds(4)), std::nullopt);
  EXPECT_EQ(alarm.reached(use_of(860), seconds(5)), std::nullopt);
}

TEST(LimitAlarm, OfSeveralStepsTheHighest) {
  LimitAlarm alarm(80);
  EXPECT_EQ(alarm.reached(use_of(967), seconds(0)), 95U);
  EXPECT_EQ(alarm.reached(use_of(1000), seconds(1)), 100U);
  EXPECT_EQ(alarm.reached(use_of(1200), seconds(2)), std::nullopt);  // v1 counts swap in: more than the limit
}

TEST(LimitAlarm, AShareThatIsNoMultipleOfTheStep) {
  LimitAlarm alarm(97);
  EXPECT_EQ(alarm.reached(use_of(970), seconds(0)), 97U);
  EXPECT_EQ(alarm.reached(use_of(1000), seconds(0)), std::nullopt);
}

TEST(LimitAlarm, IsSetAgainBelowTheFirstStepAfterAWhile) {
  LimitAlarm alarm(80);
  EXPECT_EQ(alarm.reached(use_of(860), seconds(0)), 85U);
  EXPECT_EQ(alarm.reached(use_of(500), seconds(29)), std::nullopt);
  EXPECT_EQ(alarm.reached(use_of(860), seconds(29)), std::nullopt);
  EXPECT_EQ(alarm.reached(use_of(500), seconds(30)), std::nullopt);
  EXPECT_EQ(alarm.reached(use_of(810), seconds(31)), 80U);
}

TEST(LimitAlarm, SaysHowFarTheNextStepIs) {
  LimitAlarm alarm(80);
  EXPECT_EQ(alarm.bytes_to_next(use_of(100)), 700U);
  EXPECT_EQ(alarm.reached(use_of(800), seconds(0)), 80U);
  EXPECT_EQ(alarm.bytes_to_next(use_of(820)), 30U);
  EXPECT_EQ(alarm.bytes_to_next(use_of(900)), 0U);
}

TEST(LimitAlarm, HugeLimitsDoNotOverflow) {
  LimitAlarm alarm(80);
  const uint64_t limit = uint64_t{1} << 61;
  EXPECT_EQ(alarm.reached(use_of(limit / 2, limit), seconds(0)), std::nullopt);
  EXPECT_EQ(alarm.reached(use_of(limit / 100 * 81, limit), seconds(0)), 80U);
  EXPECT_EQ(alarm.reached(use_of(0, 0), seconds(0)), std::nullopt);
}

}  // namespace
}  // namespace alloctrail
