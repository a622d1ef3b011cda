// SPDX-License-Identifier: Apache-2.0
#include "user/symbols/names_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "tests/support/temp_dir.h"
#include "tests/unit/symbol_fixtures.h"
#include "user/symbols/symbolizer.h"

namespace alloctrail {
namespace {

namespace fs = std::filesystem;

class NamesCacheTest : public testing::Test {
 protected:
  void SetUp() override { ::setenv("XDG_CACHE_HOME", folder_.path().c_str(), 1); }
  void TearDown() override { ::unsetenv("XDG_CACHE_HOME"); }

  /// Names some addresses of a library as one run of the program would. `worker`: was one needed?
  static std::vector<Frame> run(const fs::path& library, bool& worker, std::chrono::seconds settled = {}) {
    const test::LoadedFile file(library);
    Symbolizer symbolizer{NamesCache(settled)};
    std::vector<Frame> all;
    for (const std::vector<Frame>& frames : symbolizer.resolve(file.space(), file.addresses()))
      all.insert(all.end(), frames.begin(), frames.end());
    worker = symbolizer.worker() != 0;
    return all;
  }
  static void expect_same(const std::vector<Frame>& a, const std::vector<Frame>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].function, b[i].function);
      EXPECT_EQ(a[i].file, b[i].file);
      EXPECT_EQ(a[i].line, b[i].line);
      EXPECT_EQ(a[i].inlined, b[i].inlined);
    }
  }
  static size_t lines(const std::vector<Frame>& frames) {
    return static_cast<size_t>(std::count_if(frames.begin(), frames.end(), [](const Frame& f) { return f.line != 0; }));
  }

  test::TempDir folder_;
};

TEST_F(NamesCacheTest, SecondRunNeedsNoWorkerAndChangedFilesNeedOne) {
  const fs::path library = folder_.path() / "lib.so";
  const fs::path debug = folder_.path() / "libsymbols_split.so.debug";
  fs::copy_file(test::fixture_path("symbols_split"), library);
  bool worker = false;
  const std::vector<Frame> bare = run(library, worker);
  EXPECT_TRUE(worker);
  EXPECT_EQ(lines(bare), 0U);
  expect_same(run(library, worker), bare);
  EXPECT_FALSE(worker);

  // Its debug file is installed: looked at anew.
  fs::copy_file(test::fixture_path("symbols_split") + ".debug", debug);
  const std::vector<Frame> with_lines = run(library, worker);
  EXPECT_TRUE(worker);
  EXPECT_GT(lines(with_lines), 0U);
  expect_same(run(library, worker), with_lines);
  EXPECT_FALSE(worker);

  // Another file of the same name, size and time of change.
  const fs::file_time_type time = fs::last_write_time(library);
  std::vector<char> image = test::read_file(library);
  std::ofstream(library, std::ios::binary).write(image.data(), static_cast<std::streamsize>(image.size()));
  fs::last_write_time(library, time);
  expect_same(run(library, worker), with_lines);
  EXPECT_TRUE(worker);
}

TEST_F(NamesCacheTest, FileThatHasJustChangedIsNotKept) {
  const fs::path library = folder_.path() / "lib.so";
  fs::copy_file(test::fixture_path("symbols_bare"), library);
  bool worker = false;
  run(library, worker, std::chrono::hours(1));
  run(library, worker, std::chrono::hours(1));
  EXPECT_TRUE(worker);
}

TEST(NamesCache, BytesThatAreNoNamesAreRefusedOrHarmless) {
  KnownNames names;
  names.looks.push_back({"/usr/lib/debug/x", FileIdentity{1, 2, 3, -4, 5}});
  names.looks.push_back({"/usr/lib/debug/y", {}});
  Frame frame;
  frame.function = "f";
  frame.line = 7;
  names.frames[4096] = {frame, frame};
  const std::vector<std::byte> good = pack_names(names);
  const auto back = unpack_names(good);
  ASSERT_TRUE(back);
  ASSERT_EQ(back->looks.size(), 2U);
  EXPECT_EQ(back->looks[0].found, names.looks[0].found);
  EXPECT_FALSE(back->looks[1].found);
  EXPECT_EQ(back->frames.at(4096).at(1).line, 7U);
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(unpack_names(std::span(good).first(size))) << size;
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::byte> bytes = good;
    for (int changes = 0; changes < 3; ++changes) bytes[random() % bytes.size()] = std::byte(random());
    (void)unpack_names(bytes);
  }
}

}  // namespace
}  // namespace alloctrail
