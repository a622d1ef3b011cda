// SPDX-License-Identifier: Apache-2.0
// The parts behind the symbolizer: overlapping ranges, files that lie, limits.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/symbol_fixtures.h"
#include "user/symbols/debug_file_places.h"
#include "user/symbols/debug_info.h"
#include "user/symbols/file_names.h"
#include "user/symbols/file_symbols.h"
#include "user/symbols/range_map.h"

namespace alloctrail {
namespace {

using test::code_offsets;
using test::fixture_path;
using test::memory_file;
using test::read_file;

MappedFile mapped(const std::vector<char>& bytes) {
  auto file = MappedFile::open(memory_file(bytes));
  EXPECT_TRUE(file);
  return *std::move(file);
}

// ---- RangeMap -----------------------------------------------------------------------------------------------------

TEST(RangeMap, EndIsNotPartOfTheRange) {
  const RangeMap map({{10, 20, 0, 1}, {20, 30, 0, 2}});
  EXPECT_EQ(map.find(9), std::nullopt);
  EXPECT_EQ(map.find(10), 1U);
  EXPECT_EQ(map.find(19), 1U);
  EXPECT_EQ(map.find(20), 2U);
  EXPECT_EQ(map.find(30), std::nullopt);
}

TEST(RangeMap, InnerRangeWithHigherRankInterruptsTheOuterOne) {
  const RangeMap map({{0, 100, 0, 1}, {40, 60, 40, 2}, {50, 55, 50, 3}});
  EXPECT_EQ(map.find(39), 1U);
  EXPECT_EQ(map.find(40), 2U);
  EXPECT_EQ(map.find(50), 3U);
  EXPECT_EQ(map.find(55), 2U);
  EXPECT_EQ(map.find(60), 1U);
  EXPECT_EQ(map.find(99), 1U);
  EXPECT_EQ(map.find(100), std::nullopt);
}

TEST(RangeMap, EmptyAndReversedRangesAreNothing) {
  const RangeMap map({{10, 10, 0, 1}, {30, 20, 0, 2}});
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(map.find(10), std::nullopt);
}

TEST(RangeMap, AgreesWithASearchThroughAllRanges) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<Range> ranges(random() % 20);
    for (size_t i = 0; i < ranges.size(); ++i) {
      const uint64_t start = random() % 64;
      ranges[i] = {start, start + random() % 32, random() % 8 * 100 + i, i};
    }
    const RangeMap map(ranges);
    EXPECT_LE(map.size(), 2 * ranges.size());
    for (uint64_t at = 0; at < 100; ++at) {
      const Range* best = nullptr;
      for (const Range& range : ranges) {
        if (at >= range.start && at < range.end && (best == nullptr || range.rank > best->rank)) best = &range;
      }
      ASSERT_EQ(map.find(at), best != nullptr ? std::optional(best->value) : std::nullopt);
    }
  }
}

// ---- limits -------------------------------------------------------------------------------------------------------

TEST(DebugInfo, WithoutTimeLeftNothingIsFound) {
  const std::vector<char> image = read_file(fixture_path("symbols_dwarf5"));
  const auto count_found = [&](std::chrono::nanoseconds limit) {
    const MappedFile file = mapped(image);
    DebugFilePlaces places("");
    DebugInfo info(file, CodeSegments({{0, 0, image.size()}}), {.time = limit}, places);
    size_t found = 0;
    for (const uint64_t offset : code_offsets(image, 16)) found += info.find(offset).empty() ? 0 : 1;
    return found;
  };
  EXPECT_GT(count_found(std::chrono::seconds(60)), 0U);
  EXPECT_EQ(count_found(std::chrono::nanoseconds(0)), 0U);
}

class OpenedAgain : public testing::TestWithParam<const char*> {};

TEST_P(OpenedAgain, DebugInfoIsTheSame) {
  const std::vector<char> image = read_file(fixture_path(GetParam()));
  const MappedFile file = mapped(image);
  DebugFilePlaces places("");
  DebugInfo info(file, CodeSegments({{0, 0, image.size()}}), {}, places);
  size_t lines = 0;
  for (const uint64_t offset : code_offsets(image, 16)) {
    const std::vector<SourceFrame> before = info.find(offset);
    info.close();
    EXPECT_FALSE(info.is_open());
    EXPECT_EQ(info.bytes(), 0U);
    const std::vector<SourceFrame> after = info.find(offset);
    ASSERT_EQ(before.size(), after.size());
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(before[i].linkage_name, after[i].linkage_name);
      EXPECT_EQ(before[i].line, after[i].line);
      lines += before[i].line;
    }
  }
  EXPECT_GT(lines, 0U);
}

INSTANTIATE_TEST_SUITE_P(Kinds, OpenedAgain, testing::Values("symbols_dwarf5", "symbols_packed"),
                         [](const auto& info) { return std::string(info.param); });

TEST(DebugInfo, MoreThanMayBeUnpackedIsAProblemAndNotRead) {
  const std::vector<char> image = read_file(fixture_path("symbols_packed"));
  const MappedFile file = mapped(image);
  DebugFilePlaces places("");
  DebugInfo info(file, CodeSegments({{0, 0, image.size()}}), {.unpacked_bytes = 1000}, places);
  for (const uint64_t offset : code_offsets(image, 16)) EXPECT_TRUE(info.find(offset).empty());
  EXPECT_NE(info.problem(), "");
}

TEST(FileNames, ChangeOfTheFileIsNoticed) {
  const UniqueFd fd = memory_file(read_file(fixture_path("symbols_bare")));
  const FileNames names(UniqueFd(::dup(fd.get())), "", 1);
  EXPECT_FALSE(names.has_changed());
  ASSERT_EQ(::ftruncate(fd.get(), 100), 0);
  EXPECT_TRUE(names.has_changed());
}

TEST(FileSymbols, DebugLinkToAFifoDoesNotBlock) {
  const std::string folder = testing::TempDir() + "symbol_files_" + std::to_string(::getpid()) + "/";
  ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
  const std::string fifo = folder + "libsymbols_split_by_checksum.so.debug";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const std::vector<char> image = read_file(fixture_path("symbols_split_by_checksum"));
  DebugFilePlaces places(folder + "lib.so");
  FileSymbols symbols(mapped(image), places);
  for (const uint64_t offset : code_offsets(image, 16)) EXPECT_EQ(symbols.frames_at(offset).front().line, 0U);
  ::unlink(fifo.c_str());
  ::rmdir(folder.c_str());
}

TEST(FileSymbols, DebugFileThatBelongsToAnotherBuildIsNotTaken) {
  const std::string folder = testing::TempDir() + "symbol_files_" + std::to_string(::getpid()) + "/";
  ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
  for (const std::string name : {"symbols_split", "symbols_split_by_checksum"}) {
    std::vector<char> debug = read_file(fixture_path(name) + ".debug");
    ASSERT_FALSE(debug.empty());
    // A build-id or, without one, any byte.
    const std::string note("GNU\0", 4);
    const auto at = std::search(debug.begin(), debug.end(), note.begin(), note.end());
    if (name == "symbols_split") {
      ASSERT_NE(at, debug.end());
      at[4] ^= 1;
    } else {
      debug.back() ^= 1;
    }
    const std::string path = folder + "lib" + name + ".so.debug";
    std::ofstream(path, std::ios::binary).write(debug.data(), static_cast<std::streamsize>(debug.size()));
    const std::vector<char> image = read_file(fixture_path(name));
    DebugFilePlaces places(folder + "lib.so");
    FileSymbols symbols(mapped(image), places);
    for (const uint64_t offset : code_offsets(image, 16)) EXPECT_EQ(symbols.frames_at(offset).front().line, 0U);
    ::unlink(path.c_str());
  }
  ::rmdir(folder.c_str());
}

}  // namespace
}  // namespace alloctrail
