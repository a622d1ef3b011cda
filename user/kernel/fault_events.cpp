// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/fault_events.h"

#include <fmt/core.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

constexpr int kMostAttempts = 20;

Error event_error(int error) {
  const bool rights = error == EPERM || error == EACCES;
  const bool descriptors = error == EMFILE || error == ENFILE;
  return Error{.kind = rights ? ErrorKind::NotSupported : ErrorKind::Failed,
               .message = fmt::format("opening a page-fault event: {}", std::strerror(error)),
               .hint = rights        ? "run as root (sudo), or with CAP_PERFMON"
                       : descriptors ? "each thread needs a descriptor: raise the limit with ulimit -n"
                                     : "",
               .os_error = error};
}

/// A process of many threads needs more descriptors than the usual 1,024.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);  // then a process of many threads ends in EMFILE, which has its own words
}

/// Of one thread, not yet enabled. Error ESRCH: it is gone.
Result<UniqueFd> open_event(pid_t thread, int program_fd, uint32_t interval) {
  perf_event_attr attr{};
  attr.size = sizeof(attr);
  attr.type = PERF_TYPE_SOFTWARE;
  attr.config = PERF_COUNT_SW_PAGE_FAULTS;
  attr.sample_period = interval;
  attr.disabled = 1;
  attr.inherit = 1;
  attr.inherit_thread = 1;  // to threads, not to processes
  attr.remove_on_exec = 1;
  UniqueFd event(static_cast<int>(syscall(__NR_perf_event_open, &attr, thread, -1, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event || ioctl(event.get(), PERF_EVENT_IOC_SET_BPF, program_fd) != 0) return event_error(errno);
  return event;
}

std::vector<pid_t> threads_of(Tgid pid) {
  std::vector<pid_t> ids = numbered_entries(proc_path(static_cast<pid_t>(raw(pid)), "task"));
  std::sort(ids.begin(), ids.end());
  return ids;
}

Result<std::vector<UniqueFd>> open_all(const std::vector<pid_t>& threads, int program_fd, uint32_t interval) {
  std::vector<UniqueFd> events;
  for (const pid_t thread : threads) {
    auto event = open_event(thread, program_fd, interval);
    if (!event && event.error().os_error == ESRCH) continue;
    if (!event) return std::move(event).error();
    events.push_back(*std::move(event));
  }
  return events;
}

}  // namespace

/// A thread that appears while the events are opened has inherited one or has none, which cannot be told: then they are
/// all opened anew. One that appears later has inherited.
Result<FaultEvents> FaultEvents::open(Tgid pid, int program_fd, uint32_t interval) {
  raise_descriptor_limit();
  FaultEvents result;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    result.events_.clear();
    const std::vector<pid_t> before = threads_of(pid);
    auto events = open_all(before, program_fd, interval);
    if (!events) return std::move(events).error();
    result.events_ = *std::move(events);
    const std::vector<pid_t> after = threads_of(pid);
    std::vector<pid_t> added;
    std::ranges::set_difference(after, before, std::back_inserter(added));
    result.uncertain_threads_ = added.size();
    if (added.empty()) break;
  }
  if (result.events_.empty()) return event_error(ESRCH);
  for (const UniqueFd& event : result.events_)
    if (ioctl(event.get(), PERF_EVENT_IOC_ENABLE, 0) != 0) return event_error(errno);
  return result;
}

uint64_t FaultEvents::counted() const {
  uint64_t sum = 0;
  for (const UniqueFd& event : events_) {
    uint64_t count = 0;
    if (read(event.get(), &count, sizeof(count)) == sizeof(count)) sum += count;
  }
  return sum;
}

}  // namespace alloctrail
