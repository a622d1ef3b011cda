// SPDX-License-Identifier: Apache-2.0
// Deciding whether a process can be traced, and pinning its identity.
#include "user/target/process.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxStatusBytes = 65536;

std::string process_text(Tgid pid) {
  return "process " + std::to_string(raw(pid));
}

/// An error about the number the user gave.
Status check_number(Tgid pid) {
  const pid_t id = static_cast<pid_t>(raw(pid));
  if (id == getpid())
    return Error{ErrorKind::Usage, process_text(pid) + " is alloctrail itself", "give the number of another process",
                 0};
  const auto status = id > 0 ? read_small_file(proc_path(id, "status"), kMaxStatusBytes) : cannot_look_at(pid, ESRCH);
  if (!status) {
    // With hidepid the process is there, but its directory is not.
    const bool hidden = id > 0 && kill(id, 0) != 0 && errno == EPERM;
    return cannot_look_at(pid, hidden ? EPERM : status.error().os_error);
  }
  const std::string owner(status_value(*status, "Tgid"));
  if (!owner.empty() && owner != std::to_string(id))
    return Error{ErrorKind::Usage, std::to_string(id) + " is a thread of process " + owner + ", not a process",
                 "trace the process: -p " + owner, 0};
  return ok();
}

/// Which kind of program the executable is; probes and unwinding know 64-bit x86 only.
Status check_program(Tgid pid, Tid thread) {
  const auto header = read_small_file(proc_path(static_cast<pid_t>(raw(thread)), "exe"), sizeof(Elf64_Ehdr));
  if (!header) return cannot_look_at(pid, header.error().os_error);
  if (header->size() < EI_NIDENT || header->compare(0, SELFMAG, ELFMAG) != 0) return ok();  // no answer is no objection
  if ((*header)[EI_CLASS] == ELFCLASS32)
    return Error{ErrorKind::NotSupported, process_text(pid) + " is a 32-bit program", "only 64-bit ones can be traced",
                 0};
  return ok();
}

Status check_state(Tgid pid, const ProcStat& stat) {
  if (stat.kernel_thread())
    return Error{ErrorKind::NotSupported, process_text(pid) + " is a kernel thread", "it has no memory of its own", 0};
  if (stat.dead() && !live_thread(pid))
    return Error{ErrorKind::Failed, process_text(pid) + " has ended; its parent has not collected it yet", "", 0};
  return ok();
}

}  // namespace

Result<TargetProcess> open_target(Tgid pid) {
  const pid_t id = static_cast<pid_t>(raw(pid));
  if (Status number = check_number(pid); !number) return std::move(number).error();
  const auto stat = read_stat(id);
  if (!stat) return cannot_look_at(pid, ESRCH);
  if (Status state = check_state(pid, *stat); !state) return std::move(state).error();
  TargetProcess target;
  target.identity = {pid, stat->start_ticks};
  target.pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, id, 0)));
  if (!target.pidfd) return cannot_look_at(pid, errno);
  const auto thread = live_thread(pid);
  if (!thread) return cannot_look_at(pid, ESRCH);
  target.live_thread = *thread;
  if (Status program = check_program(pid, *thread); !program) return std::move(program).error();
  // The number could have changed hands between the first look and the descriptor.
  if (!still_same(target.identity)) return cannot_look_at(pid, ESRCH);
  return target;
}

bool still_same(const ProcessIdentity& identity) {
  const auto stat = read_stat(static_cast<pid_t>(raw(identity.pid)));
  if (!stat || stat->start_ticks != identity.start_ticks) return false;
  return !stat->dead() || live_thread(identity.pid).has_value();
}

}  // namespace alloctrail
