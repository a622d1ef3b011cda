// SPDX-License-Identifier: Apache-2.0
#include "user/target/smaps.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "user/target/memory_status.h"

namespace alloctrail {
namespace {

constexpr std::string_view kTwoRanges =
    "5581c0000000-5581c0021000 rw-p 00000000 00:00 0                          [heap]\n"
    "Size:                132 kB\nKernelPageSize:        4 kB\nRss:                 100 kB\nPss:                  90 "
    "kB\n"
    "Pss_Dirty:            80 kB\nPrivate_Clean:         7 kB\nPrivate_Dirty:         80 kB\nAnonymous:            99 "
    "kB\n"
    "LazyFree:              3 kB\nAnonHugePages:         2 kB\nShared_Hugetlb:        4 kB\nPrivate_Hugetlb:       5 "
    "kB\n"
    "Swap:                  6 kB\nSwapPss:               1 kB\nTHPeligible:           0\nVmFlags: rd wr mr mw me ac \n"
    "7ffcc7624000-7ffcc7645000 rw-p 00000000 00:00 0                          [stack]\n"
    "Rss:                  12 kB\nVmFlags: rd wr mr mw me gd nr \n";

std::vector<ResidentRange> parse(std::string_view text, size_t piece_bytes) {
  std::vector<ResidentRange> out;
  SmapsParser parser([&](const ResidentRange& range) { out.push_back(range); });
  for (; !text.empty(); text.remove_prefix(std::min(piece_bytes, text.size()))) parser.add(text.substr(0, piece_bytes));
  parser.finish();
  return out;
}

TEST(Smaps, RangesAreReadWithTheirFigures) {
  const auto ranges = parse(kTwoRanges, kTwoRanges.size());
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].mapping.start, 0x5581c0000000u);
  EXPECT_EQ(ranges[0].mapping.path, "[heap]");
  EXPECT_EQ(ranges[0].bytes, (ResidentBytes{.rss = 100 << 10,
                                            .pss = 90 << 10,
                                            .anonymous = 99 << 10,
                                            .anon_huge = 2 << 10,
                                            .private_clean = 7 << 10,
                                            .private_dirty = 80 << 10,
                                            .lazy_free = 3 << 10,
                                            .swap = 6 << 10,
                                            .hugetlb = 9 << 10}));
  EXPECT_FALSE(ranges[0].grows_down);
  EXPECT_TRUE(ranges[1].grows_down);
  EXPECT_FALSE(ranges[0].no_reserve);
  EXPECT_TRUE(ranges[1].no_reserve);
  EXPECT_EQ(ranges[1].bytes.rss, 12u << 10);
}

TEST(Smaps, PiecesMayEndAnywhere) {
  const auto whole = parse(kTwoRanges, kTwoRanges.size());
  for (size_t piece = 1; piece < 200; ++piece) {
    const auto ranges = parse(kTwoRanges, piece);
    ASSERT_EQ(ranges.size(), whole.size()) << piece;
    for (size_t i = 0; i < whole.size(); ++i) {
      EXPECT_EQ(ranges[i].bytes, whole[i].bytes) << piece;
      EXPECT_EQ(ranges[i].mapping.end, whole[i].mapping.end) << piece;
    }
  }
}

TEST(Smaps, NonsenseIsLeftOut) {
  EXPECT_TRUE(parse("Rss: 12 kB\nnot a range\nRss: 7 kB\n\n\n:\n", 5).empty());
  const auto ranges = parse("1000-2000 rw-p 0 00:00 0\nRss:\nRss: kB\nRss: x\nVmFlags:\n", 7);
  ASSERT_EQ(ranges.size(), 1u);
  EXPECT_EQ(ranges[0].bytes, ResidentBytes{});
}

TEST(Smaps, OwnMappingIsFoundWithWhatWasTouched) {
  const size_t size = 64 * 4096, touched = 17 * 4096;
  char* memory = static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(memory, MAP_FAILED);
  madvise(memory, size, MADV_NOHUGEPAGE);  // also keeps it apart from its neighbours
  std::memset(memory, 1, touched);
  ResidentRange found;
  ResidentBytes sum;
  const Tgid self{static_cast<uint32_t>(getpid())};
  ASSERT_TRUE(read_smaps(self, [&](const ResidentRange& range) {
    sum += range.bytes;
    if (range.mapping.start == reinterpret_cast<uintptr_t>(memory)) found = range;
  }));
  EXPECT_EQ(found.mapping.end - found.mapping.start, size);
  EXPECT_EQ(found.bytes.rss, touched);
  EXPECT_EQ(found.bytes.anonymous, touched);
  EXPECT_GT(sum.rss, touched);
  const auto rollup = read_smaps_rollup(self);
  ASSERT_TRUE(rollup);
  EXPECT_GT(rollup->rss, touched);
  EXPECT_GT(rollup->pss, 0u);
  munmap(memory, size);
}

TEST(Smaps, ProcessThatIsGoneIsAnError) {
  const auto read = read_smaps(Tgid{0x7ffffff0}, [](const ResidentRange&) {});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().message, "there is no process 2147483632");
  EXPECT_FALSE(read_smaps_rollup(Tgid{0x7ffffff0}));
}

}  // namespace
}  // namespace alloctrail
