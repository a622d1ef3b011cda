// SPDX-License-Identifier: Apache-2.0
// Finding processes by name and by cgroup.
#include "user/target/selection.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxNameBytes = 4096;
constexpr size_t kMaxListBytes = 16u << 20;
constexpr int kMaxCgroupDepth = 64;

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

std::string executable_path(pid_t id) {
  std::array<char, PATH_MAX> path;
  const ssize_t length = readlink(proc_path(id, "exe").c_str(), path.data(), path.size());
  if (length <= 0) return {};
  std::string out(path.data(), static_cast<size_t>(length));
  constexpr std::string_view kDeleted = " (deleted)";
  if (out.ends_with(kDeleted)) out.resize(out.size() - kDeleted.size());
  return out;
}

/// comm is cut to 15 bytes, so a longer name is compared with the executable's and with argv[0].
bool has_name(pid_t id, const std::string& name) {
  auto comm = read_small_file(proc_path(id, "comm"), kMaxNameBytes);
  if (comm && without_line_end(*std::move(comm)) == name) return true;
  if (base_name(executable_path(id)) == name) return true;
  const auto arguments = read_small_file(proc_path(id, "cmdline"), kMaxNameBytes);
  return arguments && base_name(std::string_view(*arguments).substr(0, arguments->find('\0'))) == name;
}

bool can_be_a_target(pid_t id) {
  const auto stat = read_stat(id);
  return id != getpid() && stat && !stat->kernel_thread() && live_thread(Tgid{static_cast<uint32_t>(id)});
}

void add_cgroup(const std::filesystem::path& directory, int depth, std::vector<Tgid>& out) {
  const auto list = read_small_file((directory / "cgroup.procs").string(), kMaxListBytes);
  for (std::string_view rest = list ? std::string_view(*list) : std::string_view(); !rest.empty();) {
    const auto id = leading_number(rest);
    // 0 stands for a process that this pid namespace has no number for.
    if (id && *id != 0 && *id <= INT32_MAX && can_be_a_target(static_cast<pid_t>(*id)))
      out.push_back(Tgid{static_cast<uint32_t>(*id)});
    rest.remove_prefix(std::min(rest.find('\n'), rest.size() - 1) + 1);
  }
  std::error_code error;
  if (depth >= kMaxCgroupDepth) return;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
    if (entry->is_directory(error) && !entry->is_symlink(error)) add_cgroup(entry->path(), depth + 1, out);
}

/// Mount points of all cgroup hierarchies, from mountinfo: "id parent dev root MOUNTPOINT options ... - TYPE ...".
std::vector<std::string> cgroup_mounts() {
  std::vector<std::string> out;
  const auto text = read_small_file("/proc/self/mountinfo", kMaxListBytes);
  for (std::string_view rest = text ? std::string_view(*text) : std::string_view(); !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos || !line.substr(dash + 3).starts_with("cgroup")) continue;
    for (int field = 0; field < 4; ++field) line.remove_prefix(std::min(line.find(' '), line.size() - 1) + 1);
    out.emplace_back(line.substr(0, line.find(' ')));
  }
  return out;
}

bool is_cgroup(const std::string& directory) {
  return access((directory + "/cgroup.procs").c_str(), F_OK) == 0;
}

/// The directories meant: as given, or below every hierarchy that has it.
std::vector<std::string> cgroup_directories(const std::string& given) {
  if (!given.empty() && given[0] == '/' && is_cgroup(given)) return {given};
  std::vector<std::string> out;
  for (const std::string& mount : cgroup_mounts())
    if (const std::string directory = mount + "/" + given; !given.empty() && is_cgroup(directory))
      out.push_back(directory);
  return out;
}

}  // namespace

Result<std::vector<Tgid>> find_by_comm(const std::string& name) {
  std::vector<Tgid> out;
  for (const pid_t id : numbered_entries("/proc"))
    if (!name.empty() && id != getpid() && has_name(id, name) && can_be_a_target(id))
      out.push_back(Tgid{static_cast<uint32_t>(id)});
  if (out.empty())
    return Error{ErrorKind::Failed, "no process is named '" + name + "'", "'ps -eo comm' lists the names", 0};
  return out;
}

Result<std::vector<Tgid>> find_by_cgroup(const std::string& directory) {
  const std::vector<std::string> directories = cgroup_directories(directory);
  if (directories.empty())
    return Error{ErrorKind::Usage, "'" + directory + "' is no cgroup",
                 "give a directory of /sys/fs/cgroup, absolute or relative to a mounted hierarchy", 0};
  std::vector<Tgid> out;
  for (const std::string& each : directories) add_cgroup(each, 0, out);
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  if (out.empty())
    return Error{ErrorKind::Failed, "cgroup '" + directory + "' has no process that can be traced", "", 0};
  return out;
}

}  // namespace alloctrail
