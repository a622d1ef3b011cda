// SPDX-License-Identifier: Apache-2.0
#include "user/elf/unwind_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>

#include "tests/support/temp_dir.h"
#include "user/handles.h"

namespace alloctrail {
namespace {

template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

void expect_same(const UnwindTable& a, const UnwindTable& b) {
  EXPECT_EQ(a.image_base_vaddr, b.image_base_vaddr);
  EXPECT_EQ(a.segments.size(), b.segments.size());
  EXPECT_TRUE(same_bytes(a.rows, b.rows));
  EXPECT_TRUE(same_bytes(a.blocks, b.blocks));
  EXPECT_TRUE(same_bytes(a.sides, b.sides));
  EXPECT_EQ(a.stats.functions, b.stats.functions);
}

class UnwindCacheTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { ::setenv("XDG_CACHE_HOME", folder_.path().c_str(), 1); }
  void TearDown() override { ::unsetenv("XDG_CACHE_HOME"); }
  [[nodiscard]] size_t entries() const {
    size_t count = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder_.path() / "alloctrail" / "unwind"))
      count += file.path().extension() == ".entry";
    return count;
  }
  test::TempDir folder_;
};

TEST_P(UnwindCacheTest, SecondRunGetsTheSameTable) {
  const UniqueFd fd(::open(GetParam(), O_RDONLY | O_CLOEXEC));
  if (!fd) GTEST_SKIP() << GetParam() << " is not installed";
  const auto compiled = compile_unwind_table(fd.get(), GetParam());
  ASSERT_TRUE(compiled);
  const auto first = UnwindCache().table_of(fd.get(), GetParam());
  ASSERT_TRUE(first);
  expect_same(*compiled, *first);
  EXPECT_EQ(entries(), 1U);
  const auto start = std::chrono::steady_clock::now();
  const auto second = UnwindCache().table_of(fd.get(), GetParam());
  const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(second);
  expect_same(*compiled, *second);
  EXPECT_EQ(entries(), 1U);
  fmt::print("{}: {} rows from the cache in {:.1f} ms\n", GetParam(), second->rows.size(), spent.count());
}

INSTANTIATE_TEST_SUITE_P(Files, UnwindCacheTest,
                         testing::Values("/proc/self/exe", "/usr/lib/x86_64-linux-gnu/libc.so.6",
                                         "/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1"));

TEST(UnwindCache, BytesThatAreNoTableAreRefused) {
  UnwindTable table;
  table.rows = {{0, AT_UNWIND_INVALID}, {16, AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, 1, 0)}, {32, AT_UNWIND_INVALID}};
  table.segments = {{0, 0x1000, 0x1000, true}};
  table.blocks = unwind_blocks(table.rows);
  const std::vector<std::byte> good = pack_unwind_table(table);
  ASSERT_TRUE(unpack_unwind_table(good));
  expect_same(*unpack_unwind_table(good), table);
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(unpack_unwind_table(std::span(good).first(size)));
  table.rows[1].rule = AT_UNWIND_RULE(AT_UNWIND_SIDE, 0);
  EXPECT_FALSE(unpack_unwind_table(pack_unwind_table(table)));
  table.rows[1] = {40, AT_UNWIND_INVALID};
  EXPECT_FALSE(unpack_unwind_table(pack_unwind_table(table)));
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::byte> bytes = good;
    for (int changes = 0; changes < 3; ++changes) bytes[random() % bytes.size()] = std::byte(random());
    (void)unpack_unwind_table(bytes);
  }
}

}  // namespace
}  // namespace alloctrail
