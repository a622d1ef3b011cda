// SPDX-License-Identifier: Apache-2.0
// Reading /proc/PID/{comm,cmdline,task}; status is memory_status.h's.
#include "user/target/figures.h"

#include <algorithm>

#include "user/target/memory_status.h"
#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxCommandBytes = 4096;
constexpr size_t kMaxCommBytes = 64;

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
  const auto memory = read_memory_status(pid);
  if (!memory) return memory.error();
  ProcessFigures out;
  out.pid = pid;
  out.comm = read_name(static_cast<pid_t>(raw(pid)));
  auto arguments = read_small_file(proc_path(static_cast<pid_t>(raw(pid)), "cmdline"), kMaxCommandBytes);
  out.command = command_line(arguments ? *std::move(arguments) : std::string(), out.comm);
  out.memory = *memory;
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
