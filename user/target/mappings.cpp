// SPDX-License-Identifier: Apache-2.0
// Parsing /proc/PID/maps, and opening what is mapped without being led elsewhere by the target.
#include "user/target/mappings.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxMapsBytes = 256u << 20;  // the kernel's limit of 65,530 ranges with the longest paths
constexpr std::string_view kDeleted = " (deleted)";

/// Takes a hexadecimal (or decimal) number off the front of `text`, and the separator behind it.
bool take_number(std::string_view& text, char separator, uint64_t& value, int base = 16) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (separator == '\0') return true;
  if (text.empty() || text[0] != separator) return false;
  text.remove_prefix(1);
  return true;
}

/// The kernel writes a line feed in a path as "\012", and nothing else that way.
std::string unescaped(std::string_view path) {
  static constexpr std::string_view kLineFeed = "\\012";
  std::string out;
  while (!path.empty()) {
    const bool escape = path.starts_with(kLineFeed);
    out += escape ? '\n' : path[0];
    path.remove_prefix(escape ? kLineFeed.size() : 1);
  }
  return out;
}

/// A descriptor for reading of what an O_PATH descriptor stands for, if that is a regular file; opening anything else
/// (a FIFO, a device) could wait or have effects.
Result<UniqueFd> reopened_for_reading(const UniqueFd& path_fd, const std::string& name) {
  struct stat status {};
  if (fstat(path_fd.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return Error{ErrorKind::Failed, name + ": not a regular file", "", 0};
  const std::string self = "/proc/self/fd/" + std::to_string(path_fd.get());
  UniqueFd fd(open(self.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return Error{ErrorKind::Failed, name + ": cannot be opened: " + std::strerror(errno), "", errno};
  return fd;
}

bool is_mapped_file(const UniqueFd& fd, const Mapping& mapping) {
  struct stat status {};
  return fstat(fd.get(), &status) == 0 && FileKey{status.st_dev, status.st_ino} == mapping.file;
}

/// Whether the target still has exactly this mapping.
bool still_mapped(Tgid pid, const Mapping& mapping) {
  const auto now = read_mappings(pid);
  return now && std::ranges::any_of(*now, [&](const Mapping& other) {
           return other.start == mapping.start && other.end == mapping.end && other.file == mapping.file;
         });
}

/// Through /proc/ID/map_files: works for deleted files and any mount namespace, but needs CAP_SYS_ADMIN or
/// CAP_CHECKPOINT_RESTORE. On btrfs and overlayfs stat and maps disagree about the device, so what was opened counts as
/// the mapped file also if the mapping is still the same afterwards.
Result<UniqueFd> open_by_range(Tgid pid, Tid thread, const Mapping& mapping) {
  char range[40];
  std::snprintf(range, sizeof(range), "map_files/%lx-%lx", static_cast<unsigned long>(mapping.start),
                static_cast<unsigned long>(mapping.end));
  const UniqueFd found(open(proc_path(static_cast<pid_t>(raw(thread)), range).c_str(), O_PATH | O_CLOEXEC));
  if (!found) return Error{ErrorKind::Failed, mapping.path + ": " + std::strerror(errno), "", errno};
  auto fd = reopened_for_reading(found, mapping.path);
  if (fd && !is_mapped_file(*fd, mapping) && !still_mapped(pid, mapping))
    return Error{ErrorKind::Failed, mapping.path + ": no longer mapped", "", 0};
  return fd;
}

/// Through the target's root directory, without leaving it.
Result<UniqueFd> open_by_path(Tid thread, const Mapping& mapping) {
  const UniqueFd root(
      open(proc_path(static_cast<pid_t>(raw(thread)), "root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Error{ErrorKind::Failed, mapping.path + ": cannot be opened: " + std::strerror(errno), "", errno};
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const UniqueFd found(static_cast<int>(syscall(SYS_openat2, root.get(), mapping.path.c_str(), &how, sizeof(how))));
  if (!found) return Error{ErrorKind::Failed, mapping.path + ": cannot be opened: " + std::strerror(errno), "", errno};
  auto fd = reopened_for_reading(found, mapping.path);
  if (fd && !is_mapped_file(*fd, mapping))
    return Error{ErrorKind::Failed, mapping.path + ": the file there is not the one that is mapped",
                 "it was replaced or deleted while the program runs: run as root to reach it all the same", 0};
  return fd;
}

/// Of a process that is gone: by the same name under our own root, if that is the very file.
Result<UniqueFd> open_without_process(const Mapping& mapping) {
  const UniqueFd found(open(mapping.path.c_str(), O_PATH | O_CLOEXEC));
  if (!found) return Error{ErrorKind::Failed, mapping.path + ": cannot be opened: " + std::strerror(errno), "", errno};
  auto fd = reopened_for_reading(found, mapping.path);
  if (fd && !is_mapped_file(*fd, mapping))
    return Error{ErrorKind::Failed, mapping.path + ": the file there is not the one that was mapped", "", 0};
  return fd;
}

}  // namespace

bool names_shared_memory(std::string_view path) {
  for (const std::string_view prefix : {"[anon_shmem:", "/memfd:", "/SYSV", "/dev/shm/", "/dev/zero"})
    if (path.starts_with(prefix)) return true;
  return false;
}

std::optional<Mapping> parse_mapping(std::string_view line) {
  Mapping out;
  uint64_t major = 0, minor = 0;
  if (!take_number(line, '-', out.start) || !take_number(line, ' ', out.end) || out.end <= out.start)
    return std::nullopt;
  if (line.size() < 5 || line[4] != ' ') return std::nullopt;
  out.readable = line[0] == 'r';
  out.writable = line[1] == 'w';
  out.executable = line[2] == 'x';
  out.shared = line[3] == 's';
  line.remove_prefix(5);
  if (!take_number(line, ' ', out.file_offset) || !take_number(line, ':', major) || !take_number(line, ' ', minor) ||
      !take_number(line, '\0', out.file.inode, 10))
    return std::nullopt;
  out.file.device = makedev(static_cast<unsigned>(major), static_cast<unsigned>(minor));
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  if (out.file.inode != 0 && line.ends_with(kDeleted)) {
    out.deleted = true;
    line.remove_suffix(kDeleted.size());
  }
  out.path = unescaped(line);
  return out;
}

std::vector<Mapping> parse_mappings(std::string_view text) {
  std::vector<Mapping> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (auto mapping = parse_mapping(text.substr(0, end))) out.push_back(*std::move(mapping));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

Result<std::vector<Mapping>> read_mappings(Tgid pid) {
  auto text = read_small_file(proc_path(static_cast<pid_t>(raw(pid)), "maps"), kMaxMapsBytes);
  if (text && text->empty()) {
    const auto thread = live_thread(pid);
    if (!thread) return cannot_look_at(pid, ESRCH);
    text = read_small_file(proc_path(static_cast<pid_t>(raw(*thread)), "maps"), kMaxMapsBytes);
  }
  if (!text) return cannot_look_at(pid, text.error().os_error);
  return parse_mappings(*text);
}

Result<UniqueFd> open_mapped_file(Tgid pid, const Mapping& mapping) {
  if (mapping.file.inode == 0 || mapping.path.empty() || mapping.path[0] != '/')
    return Error{ErrorKind::Failed, "no file is mapped there", "", 0};
  const auto thread = live_thread(pid);
  if (!thread) return open_without_process(mapping);
  auto by_range = open_by_range(pid, *thread, mapping);
  if (by_range) return by_range;
  return open_by_path(*thread, mapping);
}

}  // namespace alloctrail
