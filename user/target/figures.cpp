// SPDX-License-Identifier: Apache-2.0
// Reading /proc/PID/{status,comm,cmdline,task}.
#include "user/target/figures.h"

#include <algorithm>
#include <cerrno>

#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxStatusBytes = 65536;
constexpr size_t kMaxCommandBytes = 4096;
constexpr size_t kMaxCommBytes = 64;

uint64_t kilobytes(std::string_view status, std::string_view key) {
  return leading_number(status_value(status, key)).value_or(0) * 1024;
}

/// Arguments joined by blanks; programs that rewrite their command line leave NULs at its end.
std::string command_line(std::string raw_arguments, const std::string& comm) {
  while (!raw_arguments.empty() && raw_arguments.back() == '\0') raw_arguments.pop_back();
  if (raw_arguments.empty()) return "[" + comm + "]";
  std::ranges::replace(raw_arguments, '\0', ' ');
  return raw_arguments;
}

std::string read_name(pid_t id) {
  auto comm = read_small_file(proc_path(id, "comm"), kMaxCommBytes);
  return comm ? without_line_end(*std::move(comm)) : std::string();
}

}  // namespace

Result<ProcessFigures> read_figures(Tgid pid) {
  const auto thread = live_thread(pid);
  if (!thread) return cannot_look_at(pid, ESRCH);
  const pid_t id = static_cast<pid_t>(raw(*thread));
  const auto status = read_small_file(proc_path(id, "status"), kMaxStatusBytes);
  if (!status) return cannot_look_at(pid, status.error().os_error);
  ProcessFigures out;
  out.pid = pid;
  out.comm = read_name(static_cast<pid_t>(raw(pid)));
  auto arguments = read_small_file(proc_path(id, "cmdline"), kMaxCommandBytes);
  out.command = command_line(arguments ? *std::move(arguments) : std::string(), out.comm);
  out.rss_bytes = kilobytes(*status, "VmRSS");
  out.vm_data_bytes = kilobytes(*status, "VmData");
  out.vm_size_bytes = kilobytes(*status, "VmSize");
  out.threads = static_cast<uint32_t>(leading_number(status_value(*status, "Threads")).value_or(0));
  return out;
}

std::vector<ThreadName> read_threads(Tgid pid) {
  const std::string tasks = proc_path(static_cast<pid_t>(raw(pid)), "task");
  std::vector<ThreadName> out;
  for (const pid_t id : numbered_entries(tasks)) {
    auto comm = read_small_file(tasks + "/" + std::to_string(id) + "/comm", kMaxCommBytes);
    if (comm) out.push_back({Tid{static_cast<uint32_t>(id)}, without_line_end(*std::move(comm))});
  }
  return out;
}

}  // namespace alloctrail
