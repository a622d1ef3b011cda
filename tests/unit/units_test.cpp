// SPDX-License-Identifier: Apache-2.0
#include "user/output/units.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <limits>
#include <utility>
#include <vector>

namespace alloctrail {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();

TEST(Units, BytesHaveAtMostFourDigitsAndNeverA1024) {
  const std::vector<std::pair<uint64_t, const char*>> cases = {
      {0, "0 B"},
      {1, "1 B"},
      {1023, "1023 B"},
      {1024, "1 KiB"},
      {1025, "1.001 KiB"},
      {65536, "64 KiB"},
      {10'239, "9.999 KiB"},
      {10'239 + 1, "10 KiB"},
      {10'245, "10.00 KiB"},
      {102'399, "100.0 KiB"},
      {1'023'487, "999.5 KiB"},
      {1'023'948, "999.9 KiB"},
      {1'023'999, "1000 KiB"},
      {1'048'063, "1023 KiB"},
      {1'048'064, "1.000 MiB"},
      {1'048'575, "1.000 MiB"},
      {1'048'576, "1 MiB"},
      {uint64_t{3} << 40, "3 TiB"},
      {kMost, "16.00 EiB"},
  };
  for (const auto& [bytes, text] : cases) EXPECT_EQ(format_bytes(bytes), text) << bytes;
}

TEST(Units, CountsAreGroupedByThousands) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1,000");
  EXPECT_EQ(format_count(1'234'567), "1,234,567");
  EXPECT_EQ(format_count(kMost), "18,446,744,073,709,551,615");
  EXPECT_EQ(format_signed_count(-1000), "-1,000");
  EXPECT_EQ(format_signed_count(std::numeric_limits<int64_t>::min()), "-9,223,372,036,854,775,808");
  EXPECT_EQ(format_exact_bytes(13'000'000), "13,000,000 B");
}

TEST(Units, RatesNearZeroAreNotRoundedToNothing) {
  EXPECT_EQ(format_byte_rate(0), "0 B");
  EXPECT_EQ(format_byte_rate(0.2), "<1 B");
  EXPECT_EQ(format_byte_rate(0.5), "1 B");
  EXPECT_EQ(format_byte_rate(1536.4), "1.500 KiB");
  EXPECT_EQ(format_count_rate(0), "0");
  EXPECT_EQ(format_count_rate(0.001), "<0.01");
  EXPECT_EQ(format_count_rate(0.25), "0.25");
  EXPECT_EQ(format_count_rate(12.34), "12.3");
  EXPECT_EQ(format_count_rate(1234.4), "1,234");
  EXPECT_EQ(format_share(0), "0%");
  EXPECT_EQ(format_share(0.0001), "<0.1%");
  EXPECT_EQ(format_share(1), "100.0%");
}

TEST(Units, ImpossibleRatesAreNotPrintedAsNumbers) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(format_byte_rate(nan), "0 B");
  EXPECT_EQ(format_byte_rate(-5), "0 B");
  EXPECT_EQ(format_byte_rate(infinity), ">1e18 B");
  EXPECT_EQ(format_count_rate(infinity), ">1e18");
}

TEST(Units, DurationsUseTheUnitsPeopleUse) {
  const std::vector<std::pair<int64_t, const char*>> cases = {
      {-1, "0 ms"},
      {0, "0 ms"},
      {999, "999 ms"},
      {1000, "1 s"},
      {1099, "1 s"},
      {4100, "4.1 s"},
      {59'999, "59.9 s"},
      {60'000, "1 min"},
      {125'000, "2 min 5 s"},
      {3'600'000, "1 h"},
      {12'000'000, "3 h 20 min"},
      {172'800'000, "2 d"},
      {187'200'000, "2 d 4 h"},
  };
  for (const auto& [ms, text] : cases) EXPECT_EQ(format_duration(milliseconds(ms)), text) << ms;
}

TEST(Units, TimesAreRfc3339InUtc) {
  using Clock = std::chrono::system_clock;
  EXPECT_EQ(format_rfc3339(Clock::time_point(milliseconds(1'738'555'506'789))), "2025-02-03T04:05:06.789Z");
  EXPECT_EQ(format_rfc3339(Clock::time_point(milliseconds(0))), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(format_rfc3339(Clock::time_point(milliseconds(-1))), "1969-12-31T23:59:59.999Z");
}

TEST(Units, ClockTimeIsLocal) {
  ::setenv("TZ", "XXX-2", 1);
  ::tzset();
  EXPECT_EQ(format_clock(std::chrono::system_clock::time_point(milliseconds(1'738'555'506'789))), "06:05:06");
  ::unsetenv("TZ");
  ::tzset();
}

TEST(Units, SizesTakeBinarySuffixesInAnySpelling) {
  const std::vector<std::pair<const char*, uint64_t>> cases = {
      {"0", 0},
      {"4096", 4096},
      {"4096B", 4096},
      {"4k", 4096},
      {"4K", 4096},
      {"4kb", 4096},
      {"4KiB", 4096},
      {"64KiB", 65536},
      {"1M", 1 << 20},
      {"2GiB", uint64_t{2} << 30},
      {"1Ti", uint64_t{1} << 40},
      {"18446744073709551615", kMost},
  };
  for (const auto& [text, bytes] : cases) {
    const Result<uint64_t> parsed = parse_size(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, bytes) << text;
  }
  for (const char* text : {"", "k", "-1", "+1", " 1", "1 ", "1kk", "1q", "1.5M", "0x10", "18446744073709551616",
                           "16777216Ti", "1KiBs", "1ib"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(Units, CountsTakeNoBytes) {
  EXPECT_EQ(*parse_count("1Mi"), 1u << 20);
  EXPECT_EQ(*parse_count("64k"), 65536u);
  EXPECT_FALSE(parse_count("64kb"));
  EXPECT_FALSE(parse_count("64B"));
  EXPECT_EQ(*parse_number("64"), 64u);
  EXPECT_FALSE(parse_number("64k"));
}

TEST(Units, DurationsAreParsedExactly) {
  const std::vector<std::pair<const char*, int64_t>> cases = {
      {"500ms", 500'000'000},
      {"2s", 2'000'000'000},
      {"2", 2'000'000'000},
      {"1.5s", 1'500'000'000},
      {"0.1", 100'000'000},
      {"1m", 60'000'000'000},
      {"0.25m", 15'000'000'000},
      {"1h", 3'600'000'000'000},
      {"1d", 86'400'000'000'000},
      {"0s", 0},
      {"1.000000001s", 1'000'000'001},
      {"7ns", 7},
  };
  for (const auto& [text, ns] : cases) {
    const Result<nanoseconds> parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->count(), ns) << text;
  }
  for (const char* text : {"", "s", "-1s", "1.s", ".5s", "1.0000000001s", "1ss", "2 s", "1e3s", "99999999999999h"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Units, ARefusedTextIsNamedInTheError) {
  const Result<uint64_t> parsed = parse_size("12x");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().message, "'12x' is not a size");
  EXPECT_EQ(parsed.error().kind, ErrorKind::Usage);
}

}  // namespace
}  // namespace alloctrail
