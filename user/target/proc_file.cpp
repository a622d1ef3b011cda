// SPDX-License-Identifier: Apache-2.0
// Reading /proc.
#include "user/target/proc_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "user/handles.h"

namespace alloctrail {
namespace {

constexpr uint64_t kKernelThreadFlag = 0x00200000;  // PF_KTHREAD, include/linux/sched.h; unchanged since 2.6.27
constexpr size_t kMaxStatBytes = 4096;

}  // namespace

Result<std::string> read_small_file(const std::string& path, size_t max_bytes) {
  const auto failed = [&](int error) {
    return Error{ErrorKind::Failed, path + ": " + std::strerror(error), "", error};
  };
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return failed(errno);
  std::string out;
  std::array<char, 16384> chunk;
  while (out.size() < max_bytes) {
    const ssize_t got = read(fd.get(), chunk.data(), std::min(chunk.size(), max_bytes - out.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(errno);
    if (got == 0) break;
    out.append(chunk.data(), static_cast<size_t>(got));
  }
  return out;
}

std::string proc_path(pid_t id, std::string_view name) {
  return "/proc/" + std::to_string(id) + "/" + std::string(name);
}

bool ProcStat::kernel_thread() const {
  return (flags & kKernelThreadFlag) != 0;
}

std::optional<ProcStat> parse_stat(std::string_view text) {
  // "pid (comm) state ...": comm may hold blanks and brackets, so the last bracket is the one that closes it.
  const size_t bracket = text.rfind(')');
  if (bracket == std::string_view::npos || text.size() < bracket + 3) return std::nullopt;
  text.remove_prefix(bracket + 2);
  ProcStat out;
  out.state = text[0];
  for (int field = 3; !text.empty(); ++field) {
    if (field == 9 || field == 22) {
      const auto number = leading_number(text);
      if (!number) return std::nullopt;
      (field == 9 ? out.flags : out.start_ticks) = *number;
      if (field == 22) return out;
    }
    const size_t blank = text.find(' ');
    text.remove_prefix(blank == std::string_view::npos ? text.size() : blank + 1);
  }
  return std::nullopt;
}

std::optional<ProcStat> read_stat(pid_t id) {
  const auto text = read_small_file(proc_path(id, "stat"), kMaxStatBytes);
  return text ? parse_stat(*text) : std::nullopt;
}

std::vector<pid_t> numbered_entries(const std::string& directory) {
  std::vector<pid_t> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(directory.c_str()), closedir);
  while (stream) {
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    pid_t id = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (error == std::errc() && end == name.data() + name.size() && id > 0) out.push_back(id);
  }
  std::ranges::sort(out);
  return out;
}

std::optional<Tid> live_thread(Tgid pid) {
  const pid_t leader = static_cast<pid_t>(raw(pid));
  const auto alive = [](pid_t id) {
    const auto stat = read_stat(id);
    return stat && !stat->dead();
  };
  if (alive(leader)) return Tid{raw(pid)};
  for (const pid_t id : numbered_entries(proc_path(leader, "task")))
    if (alive(id)) return Tid{static_cast<uint32_t>(id)};
  return std::nullopt;
}

std::string_view status_value(std::string_view status, std::string_view key) {
  while (!status.empty()) {
    const size_t end = std::min(status.find('\n'), status.size());
    std::string_view line = status.substr(0, end);
    status.remove_prefix(std::min(end + 1, status.size()));
    if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ':') continue;
    line.remove_prefix(key.size() + 1);
    const size_t first = line.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return line.substr(first, line.find_last_not_of(" \t") - first + 1);
  }
  return {};
}

std::optional<uint64_t> leading_number(std::string_view text, int base) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::string without_line_end(std::string text) {
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

Error cannot_look_at(Tgid pid, int os_error) {
  const std::string process = "process " + std::to_string(raw(pid));
  if (os_error == EACCES || os_error == EPERM)
    return {ErrorKind::NotSupported, "not permitted to look at " + process,
            "run as root, or as its user with CAP_SYS_PTRACE", os_error};
  if (os_error == ENOENT || os_error == ESRCH)
    return {ErrorKind::Failed, "there is no " + process, "'ps -e' lists those that run", os_error};
  return {ErrorKind::Failed, "cannot look at " + process + ": " + std::strerror(os_error), "", os_error};
}

}  // namespace alloctrail
