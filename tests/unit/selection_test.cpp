// SPDX-License-Identifier: Apache-2.0
#include "user/target/selection.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace alloctrail {
namespace {

/// A child of the given name that waits to be killed.
class NamedChild {
 public:
  explicit NamedChild(const char* name) {
    int ready[2];
    if (pipe(ready) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      prctl(PR_SET_NAME, name);
      if (write(ready[1], "x", 1) != 1) _exit(1);
      for (;;) pause();
    }
    char byte;
    if (read(ready[0], &byte, 1) != 1) std::abort();
    close(ready[0]);
    close(ready[1]);
  }
  ~NamedChild() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  NamedChild(const NamedChild&) = delete;
  NamedChild& operator=(const NamedChild&) = delete;
  [[nodiscard]] Tgid id() const { return Tgid{static_cast<uint32_t>(pid_)}; }

 private:
  pid_t pid_ = 0;
};

std::string unique_name(const char* prefix) {
  return prefix + std::to_string(getpid());
}

TEST(Selection, ProcessesOfANameAreFound) {
  const std::string name = unique_name("sel");
  const NamedChild first(name.c_str()), second(name.c_str()), other(unique_name("oth").c_str());
  const auto found = find_by_comm(name);
  ASSERT_TRUE(found);
  std::vector<Tgid> expected = {first.id(), second.id()};
  std::ranges::sort(expected);
  EXPECT_EQ(*found, expected);
}

TEST(Selection, NameIsComparedAsAWhole) {
  const std::string name = unique_name("whole");
  const NamedChild child(name.c_str());
  EXPECT_FALSE(find_by_comm(name.substr(0, name.size() - 1)));
  EXPECT_FALSE(find_by_comm(name + "x"));
}

TEST(Selection, OwnProcessIsNeverFound) {
  const NamedChild child("anything");
  const auto found = find_by_comm(std::filesystem::read_symlink("/proc/self/exe").filename());
  ASSERT_TRUE(found) << "the child runs the same executable";
  EXPECT_TRUE(std::ranges::find(*found, child.id()) != found->end());
  EXPECT_TRUE(std::ranges::find(*found, Tgid{static_cast<uint32_t>(getpid())}) == found->end());
}

TEST(Selection, DeadProcessIsNotFound) {
  const std::string name = unique_name("dead");
  const NamedChild child(name.c_str());
  kill(static_cast<pid_t>(raw(child.id())), SIGKILL);
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(raw(child.id())), &info, WEXITED | WNOWAIT);
  EXPECT_FALSE(find_by_comm(name));
}

TEST(Selection, NameNobodyHasIsAnErrorThatTellsIt) {
  const auto found = find_by_comm("no such name");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().message, "no process is named 'no such name'");
  EXPECT_NE(found.error().hint, "");
  EXPECT_FALSE(find_by_comm(""));
}

/// A directory tree that looks like a cgroup's.
class CgroupTree {
 public:
  CgroupTree() : root_(mkdtemp(path_)) {}
  ~CgroupTree() { std::filesystem::remove_all(root_); }
  CgroupTree(const CgroupTree&) = delete;
  CgroupTree& operator=(const CgroupTree&) = delete;
  void put(const std::string& directory, const std::string& procs) const {
    std::filesystem::create_directories(root_ + "/" + directory);
    std::ofstream(root_ + "/" + directory + "/cgroup.procs") << procs;
  }
  [[nodiscard]] const std::string& root() const { return root_; }

 private:
  char path_[32] = "/tmp/cgroup-test-XXXXXX";
  std::string root_;
};

std::string line(Tgid id) {
  return std::to_string(raw(id)) + "\n";
}

TEST(Selection, ProcessesOfACgroupAndBelowAreFoundOnceEach) {
  const NamedChild top("top"), middle("middle"), leaf("leaf");
  const CgroupTree tree;
  tree.put("", line(top.id()) + line(middle.id()));
  tree.put("a", line(middle.id()));
  tree.put("a/b", line(leaf.id()) + line(Tgid{static_cast<uint32_t>(getpid())}) + "0\n999999999\ngarbage\n");
  std::vector<Tgid> expected = {top.id(), middle.id(), leaf.id()};
  std::ranges::sort(expected);
  const auto all = find_by_cgroup(tree.root());
  ASSERT_TRUE(all);
  EXPECT_EQ(*all, expected);
  const auto below = find_by_cgroup(tree.root() + "/a/b");
  ASSERT_TRUE(below);
  EXPECT_EQ(*below, std::vector<Tgid>{leaf.id()});
}

TEST(Selection, LinksInsideACgroupDirectoryAreNotFollowed) {
  const NamedChild child("child");
  const CgroupTree tree, other;
  tree.put("", "");
  other.put("", line(child.id()));
  std::filesystem::create_directory_symlink(other.root(), tree.root() + "/link");
  EXPECT_FALSE(find_by_cgroup(tree.root()));
}

TEST(Selection, DirectoryThatIsNoCgroupIsAnError) {
  for (const char* directory : {"/tmp", "/no/such/directory", "no-such-group", ""}) {
    const auto found = find_by_cgroup(directory);
    ASSERT_FALSE(found) << directory;
    EXPECT_EQ(found.error().kind, ErrorKind::Usage);
    EXPECT_EQ(found.error().message, "'" + std::string(directory) + "' is no cgroup");
  }
}

TEST(Selection, CgroupWithoutProcessesIsAnError) {
  const CgroupTree tree;
  tree.put("", "");
  const auto found = find_by_cgroup(tree.root());
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().message, "cgroup '" + tree.root() + "' has no process that can be traced");
}

}  // namespace
}  // namespace alloctrail
