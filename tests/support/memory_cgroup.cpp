// SPDX-License-Identifier: Apache-2.0
#include "tests/support/memory_cgroup.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace alloctrail::test {
namespace {

constexpr uint64_t kMostBytes = 128u << 20;

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

uint64_t value_of(const std::string& text, const std::string& key) {
  std::istringstream words(text);
  for (std::string name; words >> name;) {
    uint64_t value = 0;
    if (name == key && words >> value) return value;
  }
  throw std::runtime_error("no '" + key + "' in: " + text);
}

/// The mount of the memory controller: version 1, or version 2 with memory handed to children.
struct Hierarchy {
  std::string mount;
  bool unified = false;
};

Hierarchy find_hierarchy() {
  std::ifstream mounts("/proc/mounts");
  for (std::string device, mount, type, options, rest; mounts >> device >> mount >> type >> options;) {
    std::getline(mounts, rest);
    const bool memory = ("," + options + ",").find(",memory,") != std::string::npos;
    if (type == "cgroup" && memory) return {.mount = mount, .unified = false};
    if (type == "cgroup2" && read_text(mount + "/cgroup.controllers").find("memory") != std::string::npos &&
        write_text(mount + "/cgroup.subtree_control", "+memory"))
      return {.mount = mount, .unified = true};
  }
  throw std::runtime_error("no memory cgroup can be made on this machine");
}

}  // namespace

MemoryCgroup::MemoryCgroup(uint64_t limit_bytes) {
  const Hierarchy hierarchy = find_hierarchy();
  mount_ = hierarchy.mount;
  unified_ = hierarchy.unified;
  create(mount_, limit_bytes);
}

MemoryCgroup::MemoryCgroup(const MemoryCgroup& parent, uint64_t limit_bytes)
    : mount_(parent.mount_), unified_(parent.unified_) {
  if (unified_) write_text(parent.directory_ + "/cgroup.subtree_control", "+memory");
  create(parent.directory_, limit_bytes);
}

void MemoryCgroup::create(const std::string& parent, uint64_t limit_bytes) {
  static std::atomic<int> number = 0;
  if (limit_bytes > kMostBytes) throw std::runtime_error("a test's memory cgroup must be small");
  directory_ = parent + "/alloctrail-test-" + std::to_string(getpid()) + "-" + std::to_string(++number);
  if (mkdir(directory_.c_str(), 0755) != 0) throw std::runtime_error(directory_ + ": " + std::strerror(errno));
  const std::string limit = std::to_string(limit_bytes);
  const std::string file = directory_ + (unified_ ? "/memory.max" : "/memory.limit_in_bytes");
  write_text(file, limit);
  const std::string swap = directory_ + (unified_ ? "/memory.swap.max" : "/memory.memsw.limit_in_bytes");
  if (exists(swap)) write_text(swap, unified_ ? "0" : limit);
  if (read_text(file) != limit + "\n") throw std::runtime_error(file + ": the limit did not take effect");
}

MemoryCgroup::~MemoryCgroup() {
  // The last process of a test may be on its way out still.
  for (int i = 0; i < 1000 && rmdir(directory_.c_str()) != 0 && errno == EBUSY; ++i) usleep(1000);
}

std::string MemoryCgroup::path() const { return directory_.substr(mount_.size()); }

bool MemoryCgroup::holds(pid_t pid) const {
  std::istringstream pids(read_text(directory_ + "/cgroup.procs"));
  for (pid_t each = 0; pids >> each;)
    if (each == pid) return true;
  return false;
}

void MemoryCgroup::take_in(pid_t pid) const {
  if (!write_text(directory_ + "/cgroup.procs", std::to_string(pid)) || !holds(pid))
    throw std::runtime_error("the process could not be moved to " + directory_);
  write_text("/proc/" + std::to_string(pid) + "/oom_score_adj", "1000");
}

uint64_t MemoryCgroup::oom_kills() const {
  return value_of(read_text(directory_ + (unified_ ? "/memory.events" : "/memory.oom_control")), "oom_kill");
}

uint64_t MemoryCgroup::usage_bytes() const {
  return std::stoull(read_text(directory_ + (unified_ ? "/memory.current" : "/memory.usage_in_bytes")));
}

}  // namespace alloctrail::test
