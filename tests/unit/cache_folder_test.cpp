// SPDX-License-Identifier: Apache-2.0
#include "user/cache/cache_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace alloctrail {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

Bytes bytes(size_t count, int value) {
  return Bytes(count, std::byte(value));
}

/// Changes a byte whatever it was: fingerprints differ from run to run.
void flip_bits(const fs::path& path, int position) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(position);
  const int before = file.get();
  file.seekp(position);
  file.put(static_cast<char>(~before));
}

class CacheFolderTest : public testing::Test {
 protected:
  void SetUp() override { ::setenv("XDG_CACHE_HOME", folder_.path().c_str(), 1); }
  void TearDown() override { ::unsetenv("XDG_CACHE_HOME"); }

  static CacheFolder open(uint64_t max_bytes = 1 << 20) {
    auto cache = CacheFolder::open("test", max_bytes);
    if (!cache) throw std::runtime_error("no cache folder");
    return *std::move(cache);
  }
  [[nodiscard]] fs::path file(const std::string& name) const { return folder_.path() / "alloctrail" / "test" / name; }

  test::TempDir folder_;
};

TEST_F(CacheFolderTest, WhatOneRunStoresTheNextReads) {
  open().write("key", bytes(100, 7));
  EXPECT_EQ(open().read("key"), bytes(100, 7));
  EXPECT_FALSE(open().read("other"));
}

TEST_F(CacheFolderTest, KeyKeepsWhatItFirstGotUnlessItIsReplaced) {
  const CacheFolder cache = open();
  cache.write("key", bytes(100, 7));
  cache.write("key", bytes(10, 8));
  EXPECT_EQ(cache.read("key"), bytes(100, 7));
  cache.replace("key", bytes(10, 8));
  EXPECT_EQ(cache.read("key"), bytes(10, 8));
}

TEST_F(CacheFolderTest, FilesAreTheUsersAlone) {
  open().write("key", bytes(1, 1));
  struct stat status {};
  ASSERT_EQ(::stat(file("key.entry").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
  ASSERT_EQ(::stat(file("").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0700u);
}

TEST_F(CacheFolderTest, DamagedEntryIsIgnoredAndMadeAnew) {
  const CacheFolder cache = open();
  for (const int position : {0, 10, 20, 40, 131}) {
    cache.write("key", bytes(100, 7));
    flip_bits(file("key.entry"), position);
    EXPECT_FALSE(cache.read("key")) << position;
  }
  cache.write("key", bytes(100, 7));
  fs::resize_file(file("key.entry"), 90);
  EXPECT_FALSE(cache.read("key"));
  fs::resize_file(file("secret"), 3);
  EXPECT_FALSE(CacheFolder::open("test", 1 << 20));
}

TEST_F(CacheFolderTest, EntryOfAnotherSecretIsIgnored) {
  open().write("key", bytes(100, 7));
  fs::remove(file("secret"));
  EXPECT_FALSE(open().read("key"));
}

TEST_F(CacheFolderTest, LinksAreNotFollowed) {
  const CacheFolder cache = open();
  cache.write("key", bytes(100, 7));
  fs::rename(file("key.entry"), folder_.path() / "elsewhere");
  fs::create_symlink(folder_.path() / "elsewhere", file("key.entry"));
  EXPECT_FALSE(cache.read("key"));
  fs::create_symlink(folder_.path() / "victim", file("new.entry"));
  cache.write("new", bytes(10, 1));
  EXPECT_FALSE(fs::exists(folder_.path() / "victim"));

  fs::rename(folder_.path() / "alloctrail", folder_.path() / "real");
  fs::create_directory_symlink(folder_.path() / "real", folder_.path() / "alloctrail");
  EXPECT_FALSE(CacheFolder::open("test", 1 << 20));
}

TEST_F(CacheFolderTest, FolderThatOthersCanWriteToIsNotUsed) {
  open();
  ASSERT_EQ(::chmod(file("").c_str(), 0777), 0);
  EXPECT_FALSE(CacheFolder::open("test", 1 << 20));
}

TEST_F(CacheFolderTest, LeastRecentlyUsedEntriesMakeRoom) {
  const CacheFolder cache = open(1000);
  for (const char* key : {"a", "b", "c"}) cache.write(key, bytes(250, 1));
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours(1);
  fs::last_write_time(file("b.entry"), long_ago);
  fs::last_write_time(file("a.entry"), long_ago - std::chrono::hours(1));
  EXPECT_TRUE(cache.read("a"));  // now the youngest
  cache.write("d", bytes(250, 1));
  EXPECT_FALSE(fs::exists(file("b.entry")));
  for (const char* key : {"a", "c", "d"}) EXPECT_TRUE(cache.read(key)) << key;
  cache.write("too large", bytes(1000, 1));
  EXPECT_TRUE(cache.read("a"));
  EXPECT_FALSE(cache.read("too large"));
}

TEST_F(CacheFolderTest, FingerprintsDifferByContentOrderAndFolder) {
  const CacheFolder cache = open();
  const Fingerprint one = cache.fingerprint(bytes(10, 1)), two = cache.fingerprint(bytes(10, 2));
  EXPECT_NE(one, two);
  EXPECT_NE(cache.fingerprint(bytes(10, 1), two), cache.fingerprint(bytes(10, 2), one));
  EXPECT_EQ(open().fingerprint(bytes(10, 1)), one);
  fs::remove(file("secret"));
  EXPECT_NE(open().fingerprint(bytes(10, 1)), one);
}

}  // namespace
}  // namespace alloctrail
