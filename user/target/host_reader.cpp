// SPDX-License-Identifier: Apache-2.0
#include "user/target/host_reader.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>

#include "user/target/memory_status.h"
#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxFileBytes = 65536;
constexpr size_t kMaxMountinfoBytes = 16u << 20;
constexpr size_t kSpareDescriptors = 128;
constexpr size_t kCgroupsPerRead = 32;  // half a dozen small files each

/// How many files may be open at once, after asking for as many as we may have.
size_t raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  rlimit wanted = limit;
  wanted.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) limit = wanted;
  return limit.rlim_cur > kSpareDescriptors ? limit.rlim_cur - kSpareDescriptors : 0;
}

Error read_failure() {
  return {ErrorKind::Failed, std::strerror(errno), "", errno};
}

Result<std::string> read_whole(int fd) {
  std::array<char, 256> text;  // seven numbers
  const ssize_t got = pread(fd, text.data(), text.size(), 0);
  if (got < 0) return read_failure();
  return std::string(text.data(), static_cast<size_t>(got));
}

bool gone(int os_error) {
  return os_error == ESRCH || os_error == ENOENT;
}

}  // namespace

HostReader::HostReader() : started_(std::chrono::steady_clock::now()), most_open_(raise_file_limit()) {
  if (auto found = find_memory_hierarchy()) hierarchy_ = *std::move(found);
  const auto mounts = read_small_file("/proc/self/mountinfo", kMaxMountinfoBytes);
  others_hidden_ = mounts && geteuid() != 0 && hides_processes(*mounts);
}

Result<HostSnapshot> HostReader::read(const std::optional<std::vector<Tgid>>& only) {
  HostSnapshot out;
  out.time = std::chrono::system_clock::now();
  out.elapsed = std::chrono::steady_clock::now() - started_;
  out.others_hidden = others_hidden_;
  const auto host = read_host_memory();
  if (!host) return host.error();
  out.memory = *host;
  std::vector<pid_t> ids;
  if (only)
    for (const Tgid pid : *only) ids.push_back(static_cast<pid_t>(raw(pid)));
  else
    ids = numbered_entries("/proc");
  std::unordered_map<pid_t, Known> still_known;
  still_known.reserve(ids.size());
  for (const pid_t id : ids) {
    auto node = known_.extract(id);
    Known known = node ? std::move(node.mapped()) : Known{};
    Seen seen = read_process(id, known);
    if (seen == Seen::Vanished && node) {  // its number may have a new owner
      known = Known{};
      seen = read_process(id, known);
    }
    if (seen == Seen::Listed) out.processes.push_back(known.process);
    out.vanished += seen == Seen::Vanished;
    out.unreadable += seen == Seen::Unreadable;
    if (seen != Seen::Vanished) still_known.emplace(id, std::move(known));
  }
  known_ = std::move(still_known);
  open_ =
      static_cast<size_t>(std::ranges::count_if(known_, [](const auto& entry) { return bool(entry.second.statm); }));
  read_cgroups(out);
  return out;
}

Result<std::string> HostReader::read_statm(pid_t id, Known& known) {
  if (known.statm) return read_whole(known.statm.get());
  UniqueFd fd(open(proc_path(id, "statm").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return read_failure();
  auto text = read_whole(fd.get());
  if (text && open_ < most_open_) {
    known.statm = std::move(fd);
    ++open_;
  }
  return text;
}

HostReader::Seen HostReader::read_process(pid_t id, Known& known) {
  if (known.kernel_thread) return Seen::WithoutMemory;
  auto line = read_statm(id, known);
  if (!line) return gone(line.error().os_error) ? Seen::Vanished : Seen::Unreadable;
  if (line->starts_with("0 ")) {
    const Seen seen = find_memory(id, known);
    if (seen != Seen::Listed) return seen;
    line = read_statm(id, known);
    if (!line) return Seen::Vanished;
  }
  if (*line == known.line) return Seen::Listed;
  const Seen seen = read_details(id, known);
  if (seen == Seen::Listed) known.line = *std::move(line);
  return seen;
}

/// A process without memory is a kernel thread or a zombie, or its main thread has exited and others live on.
HostReader::Seen HostReader::find_memory(pid_t id, Known& known) {
  const auto stat = read_stat(id);
  if (!stat) return Seen::Vanished;
  known.kernel_thread = stat->kernel_thread();
  if (known.kernel_thread) {
    known.statm.reset();
    return Seen::WithoutMemory;
  }
  const auto thread = live_thread(Tgid{static_cast<uint32_t>(id)});
  if (!stat->dead() || !thread) return Seen::WithoutMemory;
  const std::string path = proc_path(static_cast<pid_t>(raw(*thread)), "statm");
  known.statm = UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return known.statm ? Seen::Listed : Seen::Vanished;
}

HostReader::Seen HostReader::read_details(pid_t id, Known& known) {
  HostProcess& process = known.process;
  process.pid = Tgid{static_cast<uint32_t>(id)};
  const auto thread = live_thread(process.pid);
  if (!thread) return Seen::Vanished;
  const auto status = read_small_file(proc_path(static_cast<pid_t>(raw(*thread)), "status"), kMaxFileBytes);
  if (!status) return gone(status.error().os_error) ? Seen::Vanished : Seen::Unreadable;
  process.memory = parse_memory_status(*status);
  process.parent = Tgid{static_cast<uint32_t>(leading_number(status_value(*status, "PPid")).value_or(0))};
  auto comm = read_small_file(proc_path(id, "comm"), kMaxFileBytes);
  if (comm) process.comm = without_line_end(*std::move(comm));
  if (process.start_ticks == 0)
    if (const auto stat = read_stat(id)) process.start_ticks = stat->start_ticks;
  if (hierarchy_)
    if (auto name = memory_cgroup_of(*hierarchy_, process.pid)) process.cgroup = *std::move(name);
  return process.memory.vm_size_bytes == 0 ? Seen::WithoutMemory : Seen::Listed;
}

/// New cgroups at once, the others in turn.
void HostReader::read_cgroups(HostSnapshot& snapshot) {
  if (!hierarchy_) return;
  std::set<std::string> names;
  for (const HostProcess& process : snapshot.processes)
    if (!process.cgroup.empty()) names.insert(process.cgroup);
  std::erase_if(cgroups_, [&](const auto& entry) { return !names.contains(entry.first); });
  const auto refresh = [&](const std::string& name) {
    auto levels = read_memory_cgroup(*hierarchy_, name);
    cgroups_[name] = levels ? std::move(levels->innermost_first) : std::vector<CgroupMemory>();
  };
  for (const std::string& name : names)
    if (!cgroups_.contains(name)) refresh(name);
  auto next = names.lower_bound(next_cgroup_);
  for (size_t i = 0; i < std::min(kCgroupsPerRead, names.size()); ++i, ++next) {
    if (next == names.end()) next = names.begin();
    refresh(*next);
  }
  next_cgroup_ = next == names.end() ? "" : *next;
  snapshot.cgroups = cgroups_;
}

bool hides_processes(std::string_view mountinfo) {
  while (!mountinfo.empty()) {
    const size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
    const std::string_view line = mountinfo.substr(0, end);
    mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
    const size_t type = line.find(" - proc ");
    if (type == std::string_view::npos || line.find(" /proc ") == std::string_view::npos) continue;
    const size_t option = line.find("hidepid=", type);
    if (option == std::string_view::npos) continue;
    const std::string_view value = line.substr(option + 8);
    for (const std::string_view hiding : {"2", "4", "invisible", "ptraceable"})  // 1 lists them, unreadable
      if (value.starts_with(hiding)) return true;
  }
  return false;
}

}  // namespace alloctrail
