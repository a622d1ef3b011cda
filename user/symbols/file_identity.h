// SPDX-License-Identifier: Apache-2.0
// Which file, and which contents of it: nobody can change a file and keep all of these.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>

namespace alloctrail {

struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size_bytes = 0;
  int64_t modified_ns = 0;  ///< since the epoch
  int64_t changed_ns = 0;   ///< of its inode: set by the kernel alone
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

[[nodiscard]] inline std::optional<FileIdentity> identity_of(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return std::nullopt;
  const auto ns = [](const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; };
  return FileIdentity{info.st_dev, info.st_ino, static_cast<uint64_t>(info.st_size), ns(info.st_mtim), ns(info.st_ctim)};
}

}  // namespace alloctrail
