// SPDX-License-Identifier: Apache-2.0
// A small memory cgroup of one test's own, version 1 or 2, whichever this machine has. Never more than 128 MiB: whatever is
// killed, is killed in here.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace alloctrail::test {

class MemoryCgroup {
 public:
  /// Throws if the machine has no memory cgroups that can be made, or the limit does not take effect.
  explicit MemoryCgroup(uint64_t limit_bytes);
  /// Below another one.
  MemoryCgroup(const MemoryCgroup& parent, uint64_t limit_bytes);
  ~MemoryCgroup();
  MemoryCgroup(MemoryCgroup&&) = delete;

  [[nodiscard]] const std::string& directory() const { return directory_; }
  /// As /proc/PID/cgroup and reports name it: below the mount.
  [[nodiscard]] std::string path() const;
  [[nodiscard]] bool holds(pid_t pid) const;
  /// Moves a process in and has the OOM killer prefer it. What it holds already stays charged elsewhere.
  void take_in(pid_t pid) const;
  /// How often the OOM killer has killed in here, as the kernel counts it.
  [[nodiscard]] uint64_t oom_kills() const;
  [[nodiscard]] uint64_t usage_bytes() const;

 private:
  void create(const std::string& parent, uint64_t limit_bytes);

  std::string mount_;
  std::string directory_;
  bool unified_ = false;
};

}  // namespace alloctrail::test
