// SPDX-License-Identifier: Apache-2.0
#include "user/symbols/perf_map.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>

namespace alloctrail {
namespace {

const Tgid kSelf{static_cast<uint32_t>(::getpid())};

/// The map file of this very process; gone when the test ends.
class OwnPerfMap {
 public:
  OwnPerfMap() : path_("/tmp/perf-" + std::to_string(::getpid()) + ".map") { ::unlink(path_.c_str()); }
  ~OwnPerfMap() { ::unlink(path_.c_str()); }
  [[nodiscard]] const char* path() const { return path_.c_str(); }
  void write(const std::string& text) { std::ofstream(path_, std::ios::app) << text; }

 private:
  std::string path_;
};

std::string find_until(PerfMaps& maps, uint64_t address, const std::string& wanted) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::string found;
  do {
    found = maps.find(kSelf, address);
  } while (found != wanted && std::chrono::steady_clock::now() < deadline);
  return found;
}

TEST(PerfMap, AddressIsFoundFromFirstToLastByte) {
  const PerfMap map("1000 20 one\n0x2000 0x10 Two::two (with spaces) [x]\n");
  EXPECT_EQ(map.find(0xfff), "");
  EXPECT_EQ(map.find(0x1000), "one");
  EXPECT_EQ(map.find(0x101f), "one");
  EXPECT_EQ(map.find(0x1020), "");
  EXPECT_EQ(map.find(0x200f), "Two::two (with spaces) [x]");
}

TEST(PerfMap, LaterLineWinsWhereTheyOverlap) {
  const PerfMap map("1080 100 old\n1000 100 new\n");
  EXPECT_EQ(map.find(0x10ff), "new");
  EXPECT_EQ(map.find(0x1100), "old");
}

TEST(PerfMap, LinesThatMakeNoSenseAreLeftOut) {
  const PerfMap map(
      "nonsense\n1000\n1000 10\n1000 10 \n1000 0 empty\nffffffffffffffff 10 wraps\n"
      "10000000000000000 1 too_big\n-10 10 minus\n\n2000 10 good");
  EXPECT_EQ(map.find(0x1000), "");
  EXPECT_EQ(map.find(~uint64_t{0}), "");
  EXPECT_EQ(map.find(0x200f), "good");
}

TEST(PerfMap, EmptyMapKnowsNothing) {
  EXPECT_EQ(PerfMap("").find(0), "");
}

TEST(PerfMaps, OwnFileIsReadAndReadAgainWhenItGrows) {
  OwnPerfMap file;
  PerfMaps maps;
  file.write("1000 10 first\n");
  EXPECT_EQ(find_until(maps, 0x1008, "first"), "first");
  EXPECT_EQ(maps.find(kSelf, 0x2008), "");
  file.write("2000 10 second\n");
  EXPECT_EQ(find_until(maps, 0x2008, "second"), "second");
  EXPECT_EQ(maps.find(kSelf, 0x1008), "first");
}

TEST(PerfMaps, NamesOutliveTheirFile) {
  OwnPerfMap file;
  PerfMaps maps;
  file.write("1000 10 first\n");
  ASSERT_EQ(find_until(maps, 0x1008, "first"), "first");
  ::unlink(file.path());
  EXPECT_EQ(maps.find(kSelf, 0x1008), "first");
}

TEST(PerfMaps, MissingProcessHasNoNames) {
  PerfMaps maps;
  EXPECT_EQ(maps.find(Tgid{0x7ffffff0}, 0x1000), "");
}

TEST(OpenPerfMap, RegularFileOfOneselfIsOpened) {
  OwnPerfMap file;
  EXPECT_FALSE(open_perf_map(kSelf));
  file.write("1000 10 first\n");
  EXPECT_TRUE(open_perf_map(kSelf));
}

TEST(OpenPerfMap, LinkIsRefused) {
  OwnPerfMap file;
  ASSERT_EQ(::symlink("/etc/passwd", file.path()), 0);
  EXPECT_FALSE(open_perf_map(kSelf));
}

TEST(OpenPerfMap, FifoIsRefusedWithoutBlocking) {
  OwnPerfMap file;
  ASSERT_EQ(::mkfifo(file.path(), 0600), 0);
  EXPECT_FALSE(open_perf_map(kSelf));
}

TEST(OpenPerfMap, FileOfAnotherUserIsRefused) {
  OwnPerfMap file;
  file.write("1000 10 invented\n");
  if (::chown(file.path(), 12345, 12345) != 0) GTEST_SKIP() << "only root can give a file away";
  EXPECT_FALSE(open_perf_map(kSelf));
}

TEST(OpenPerfMap, FileAboveTheLimitIsRefused) {
  OwnPerfMap file;
  file.write("1000 10 first\n");
  ASSERT_EQ(::truncate(file.path(), 64 << 20), 0);
  EXPECT_TRUE(open_perf_map(kSelf));
  ASSERT_EQ(::truncate(file.path(), (64 << 20) + 1), 0);
  EXPECT_FALSE(open_perf_map(kSelf));
}

}  // namespace
}  // namespace alloctrail
