// SPDX-License-Identifier: Apache-2.0
#include "user/target/memory_cgroup.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace alloctrail {
namespace {

using Version = MemoryHierarchy::Version;

/// A folder that looks like a mounted hierarchy.
class FakeHierarchy {
 public:
  explicit FakeHierarchy(Version version, std::string root = "/") : hierarchy_{version, dir_.path(), std::move(root)} {}
  void write(const std::string& file, const std::string& content) const {
    const std::filesystem::path path = dir_.path() / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }
  [[nodiscard]] const MemoryHierarchy& get() const { return hierarchy_; }

 private:
  test::TempDir dir_;
  MemoryHierarchy hierarchy_;
};

constexpr const char* kHybridMounts =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n";

TEST(MemoryHierarchy, V1MountWithTheControllerIsPreferred) {
  const auto found = parse_memory_hierarchy(kHybridMounts);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->version, Version::V1);
  EXPECT_EQ(found->mount_point, "/sys/fs/cgroup/memory");
  EXPECT_EQ(found->root, "/");
}

TEST(MemoryHierarchy, V2MountIsFoundWithItsRootAndEscapes) {
  const auto found = parse_memory_hierarchy(
      "40 31 0:37 /docker/17 /mnt/my\\040groups rw shared:1 master:2 - cgroup2 cgroup2 rw,nsdelegate\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->version, Version::V2);
  EXPECT_EQ(found->mount_point, "/mnt/my groups");
  EXPECT_EQ(found->root, "/docker/17");
}

TEST(MemoryHierarchy, MountOfTheWholeIsPreferredToOneOfAPart) {
  const auto found = parse_memory_hierarchy(
      "40 31 0:37 /part /mnt/part rw - cgroup2 cgroup2 rw\n41 31 0:37 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->mount_point, "/sys/fs/cgroup");
}

TEST(MemoryHierarchy, NoneIsFoundWhereNoneIsMounted) {
  EXPECT_FALSE(parse_memory_hierarchy(""));
  EXPECT_FALSE(parse_memory_hierarchy("nonsense - cgroup\n31 23 0:28 / /a rw - tmpfs tmpfs rw\n - \n"));
}

TEST(MemoryCgroupName, LineOfTheRightHierarchyIsTaken) {
  const std::string_view text = "9:name=systemd:/user\n4:cpu,memory:/outer/in:ner\n3:cpuset:/\n0::/unified\n";
  EXPECT_EQ(memory_cgroup_name(text, Version::V1), "/outer/in:ner");
  EXPECT_EQ(memory_cgroup_name(text, Version::V2), "/unified");
  EXPECT_EQ(memory_cgroup_name("3:cpuset:/\n", Version::V1), "");
  EXPECT_EQ(memory_cgroup_name("", Version::V2), "");
}

TEST(MemoryCgroup, V2LevelsAreReadWithTheirSplit) {
  const FakeHierarchy tree(Version::V2);
  tree.write("memory.stat", "anon 1\n");  // the true root has no memory.current
  tree.write("slice/memory.current", "9000\n");
  tree.write("slice/memory.max", "10000\n");
  tree.write("slice/memory.high", "8000\n");
  tree.write("slice/memory.swap.max", "0\n");
  tree.write("slice/app/memory.current", "5000\n");
  tree.write("slice/app/memory.max", "max\n");
  tree.write("slice/app/memory.swap.current", "77\n");
  tree.write(
      "slice/app/memory.stat",
      "anon 1000\nfile 2500\nkernel 600\nsock 30\nshmem 500\ninactive_anon 1\nactive_anon 2\ninactive_file 1200\n"
      "active_file 700\nslab_reclaimable 100\n");
  const auto levels = read_memory_cgroup(tree.get(), "/slice/app");
  ASSERT_TRUE(levels) << levels.error().message;
  EXPECT_FALSE(levels->outer_hidden);
  ASSERT_EQ(levels->innermost_first.size(), 2u);
  CgroupMemory app;
  app.name = "/slice/app";
  app.use_bytes = 5000;
  app.anon_bytes = 1000;
  app.file_bytes = 2000;
  app.shmem_bytes = 500;
  app.kernel_bytes = 630;
  app.reclaimable_bytes = 2000;
  app.swap_use_bytes = 77;
  EXPECT_EQ(levels->innermost_first[0], app);
  EXPECT_EQ(levels->innermost_first[0].unreclaimable_bytes(), 3000u);
  CgroupMemory slice;
  slice.name = "/slice";
  slice.use_bytes = 9000;
  slice.limit_bytes = 10000;
  slice.high_bytes = 8000;
  slice.swap_limit_bytes = 0;
  EXPECT_EQ(levels->innermost_first[1], slice);
}

TEST(MemoryCgroup, V2KernelMemoryIsAddedUpWhereTheKernelHasNoSum) {
  const FakeHierarchy tree(Version::V2);
  tree.write("a/memory.current", "1\n");
  tree.write("a/memory.stat", "kernel_stack 1\npagetables 2\npercpu 4\nsock 8\nslab 16\nslab_reclaimable 3\n");
  EXPECT_EQ(read_memory_cgroup(tree.get(), "/a")->innermost_first[0].kernel_bytes, 31u);
}

TEST(MemoryCgroup, V1LevelsAreReadWithTheirSplit) {
  const FakeHierarchy tree(Version::V1);
  tree.write("memory.usage_in_bytes", "99999\n");
  tree.write("memory.limit_in_bytes", "9223372036854771712\n");
  tree.write("app/memory.usage_in_bytes", "5000\n");
  tree.write("app/memory.limit_in_bytes", "67108864\n");
  tree.write("app/memory.memsw.limit_in_bytes", "9223372036854771712\n");
  tree.write("app/memory.kmem.usage_in_bytes", "600\n");
  tree.write(
      "app/memory.stat",
      "cache 1\nrss 2\nshmem 3\ninactive_file 4\ntotal_cache 2500\ntotal_rss 1000\ntotal_shmem 500\ntotal_swap 77\n"
      "total_inactive_file 1200\ntotal_active_file 700\n");
  const auto levels = read_memory_cgroup(tree.get(), "/app");
  ASSERT_TRUE(levels) << levels.error().message;
  ASSERT_EQ(levels->innermost_first.size(), 1u);  // the root is the host
  CgroupMemory app;
  app.name = "/app";
  app.use_bytes = 5000;
  app.limit_bytes = 64u << 20;
  app.anon_bytes = 1000;
  app.file_bytes = 2000;
  app.shmem_bytes = 500;
  app.kernel_bytes = 600;
  app.reclaimable_bytes = 1900;
  app.swap_use_bytes = 77;
  EXPECT_EQ(levels->innermost_first[0], app);
}

TEST(MemoryCgroup, MountOfAPartShowsItsLimitAndSaysThatOthersAreHidden) {
  const FakeHierarchy tree(Version::V2, "/docker/17");
  tree.write("memory.current", "10\n");
  tree.write("memory.max", "20\n");
  tree.write("worker/memory.current", "5\n");
  const auto levels = read_memory_cgroup(tree.get(), "/docker/17/worker");
  ASSERT_TRUE(levels) << levels.error().message;
  EXPECT_TRUE(levels->outer_hidden);
  ASSERT_EQ(levels->innermost_first.size(), 2u);
  EXPECT_EQ(levels->innermost_first[0].name, "/docker/17/worker");
  EXPECT_EQ(levels->innermost_first[1].name, "/docker/17");
  EXPECT_EQ(levels->innermost_first[1].limit_bytes, 20u);
}

TEST(MemoryCgroup, CgroupOutsideOfTheMountIsRefused) {
  const FakeHierarchy tree(Version::V2, "/docker/17");
  for (const char* name : {"/docker/170", "/", "/../other", "", "relative"}) {
    const auto levels = read_memory_cgroup(tree.get(), name);
    ASSERT_FALSE(levels) << name;
    EXPECT_EQ(levels.error().kind, ErrorKind::NotSupported);
  }
}

TEST(MemoryCgroup, RemovedCgroupIsAnError) {
  const FakeHierarchy tree(Version::V1);
  const auto levels = read_memory_cgroup(tree.get(), "/gone");
  ASSERT_FALSE(levels);
  EXPECT_EQ(levels.error().os_error, ENOENT);
}

TEST(MemoryCgroup, FilesWithNonsenseAreNoLimits) {
  const FakeHierarchy tree(Version::V2);
  tree.write("a/memory.current", "12junk\n");
  tree.write("a/memory.max", "-5\n");
  tree.write("a/memory.high", "");
  tree.write("a/memory.stat", "anon\nfile x\n\n shmem 4\nkernel 99999999999999999999999\n");
  const auto levels = read_memory_cgroup(tree.get(), "/a");
  ASSERT_TRUE(levels);
  CgroupMemory expected;
  expected.name = "/a";
  expected.use_bytes = 12;
  EXPECT_EQ(levels->innermost_first[0], expected);
}

TEST(MemoryBoundsOfHere, OwnCgroupAndHostAreRead) {
  const auto bounds = read_memory_bounds(Tgid{static_cast<uint32_t>(getpid())});
  ASSERT_TRUE(bounds) << bounds.error().message;
  EXPECT_GT(bounds->host.total_bytes, bounds->host.available_bytes);
  for (const CgroupMemory& cgroup : bounds->cgroups) EXPECT_GT(cgroup.use_bytes, 0u) << cgroup.name;
}

TEST(MemoryBoundsOfHere, ProcessThatIsGoneIsAnError) {
  EXPECT_FALSE(read_memory_bounds(Tgid{0x7ffffff0}));
}

}  // namespace
}  // namespace alloctrail
