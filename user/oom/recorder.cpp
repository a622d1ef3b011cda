// SPDX-License-Identifier: Apache-2.0
#include "user/oom/recorder.h"

#include <fmt/core.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "user/oom/cgroup_levels.h"
#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

constexpr int kPendingPollMs = 20;
constexpr int kLettingGoPollMs = 1;
// In a cgroup that is full, even the memory for a record is one page too many: the records wait in the kernel's ring until
// the victim has given back what it held.
constexpr int kKeepStillMs = 250;

std::chrono::nanoseconds monotonic_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

void announce(int fd) {
  const uint64_t one = 1;
  (void)!write(fd, &one, sizeof(one));
}

/// Signals are the main thread's; being first at the CPU is worth a try.
void become_recorder_thread() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  pthread_setname_np(pthread_self(), "oom-recorder");
  const sched_param first{.sched_priority = 1};
  (void)sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
}

constexpr size_t kMostStatusBytes = 65536;

/// Memory that others of the machine wait for is not held up: only a limit of the process's own cgroups.
bool may_be_held(const at_oom_kill& kill) { return (kill.flags & AT_OOM_EXITING) == 0 && full_level(kill); }

std::string read_status(Tgid pid) {
  const auto thread = live_thread(pid);
  if (!thread) return "";
  auto status = read_small_file(proc_path(static_cast<pid_t>(raw(*thread)), "status"), kMostStatusBytes);
  return status ? *std::move(status) : std::string();
}

}  // namespace

OomRecorder::OomRecorder(std::unique_ptr<OomFeed> feed, std::optional<RawLog> log, const RecorderOptions& options)
    : feed_(std::move(feed)), options_(options), log_(std::move(log)) {
  if (auto hierarchy = find_memory_hierarchy()) hierarchy_ = *std::move(hierarchy);
}

Result<std::unique_ptr<OomRecorder>> OomRecorder::start(std::unique_ptr<OomFeed> feed, std::optional<RawLog> log,
                                                        const RecorderOptions& options) {
  std::unique_ptr<OomRecorder> recorder(new OomRecorder(std::move(feed), std::move(log), options));
  recorder->wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  recorder->ready_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!recorder->wake_ || !recorder->ready_)
    return Error{.message = fmt::format("making an event: {}", std::strerror(errno)), .hint = "", .os_error = errno};
  recorder->thread_ = std::thread(&OomRecorder::run, recorder.get());
  return recorder;
}

OomRecorder::~OomRecorder() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    announce(wake_.get());
    thread_.join();
  }
  if (log_ && log_->empty()) log_->remove();
}

void OomRecorder::run() {
  become_recorder_thread();
  std::array<pollfd, 2> events{pollfd{.fd = feed_->event_fd(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
  while (true) {
    (void)poll(events.data(), events.size(), wait_ms());
    if (options_.look == LookAtVictims::No && events[0].revents != 0) (void)poll(nullptr, 0, kKeepStillMs);
    uint64_t ignored = 0;
    (void)!read(wake_.get(), &ignored, sizeof(ignored));
    uint64_t asked = 0;
    {
      const std::lock_guard lock(mutex_);
      asked = rounds_asked_;
    }
    receive();
    std::erase_if(held_, [](ExitHold& hold) { return hold.release(); });
    hand_over(records_.take_finished(monotonic_now()));
    const std::lock_guard lock(mutex_);
    rounds_done_ = asked;
    round_done_.notify_all();
    if (stop_) return;
  }
}

int OomRecorder::wait_ms() const {
  if (!held_.empty()) return kLettingGoPollMs;
  return records_.pending() ? kPendingPollMs : -1;
}

/// What /proc still shows of the dying process, and of the living one whose allocation killed it.
void OomRecorder::look_at(OomCapture& capture) {
  if (options_.look == LookAtVictims::No) return;
  capture.looked_at = true;
  const bool hold = options_.hold == OomHold::Auto && may_be_held(capture.kill);
  if (hold) {
    ExitHold& held = held_.emplace_back(capture.pid(), options_.hold_budget);
    // Threads that were past it already refuse, too: one that is held is enough.
    if (held.holds())
      capture.held_status = read_status(capture.pid());
    else
      capture.hold_refusal = held.refusal();
  }
  if (auto mappings = read_mappings(capture.pid())) capture.mappings = *std::move(mappings);
  read_usage(capture);
  if (hold && held_.back().release()) held_.pop_back();
  if (capture.trigger_pid() == capture.pid() || raw(capture.trigger_pid()) == 0) return;
  if (auto mappings = read_mappings(capture.trigger_pid())) capture.trigger_mappings = *std::move(mappings);
}

void OomRecorder::receive() {
  for (const OomFeed::Record& record : feed_->take()) {
    records_.add(record);
    at_oom_header header{};
    if (record.size() < sizeof(header)) continue;
    std::memcpy(&header, record.data(), sizeof(header));
    if (header.kind == AT_OOM_RECLAIM) {
      take_reclaim(record);
      continue;
    }
    if (header.kind == AT_OOM_KILL)
      if (OomCapture* capture = records_.find(header.kill)) look_at(*capture);
    const std::lock_guard lock(mutex_);
    pending_ = true;
    if (log_) (void)log_->append(record);  // a full disk must not keep the report from being tried
  }
}

/// What the full cgroup's memory consists of.
void OomRecorder::read_usage(OomCapture& capture) {
  const auto full = full_level(capture.kill);
  if (!full || !hierarchy_) return;
  auto levels = read_memory_cgroup(*hierarchy_, level_paths(capture.kill)[*full]);
  if (!levels || levels->innermost_first.empty()) return;
  capture.usage = std::move(levels->innermost_first.front());
  capture.usage_read_after = monotonic_now() - std::chrono::nanoseconds(capture.kill.header.time_ns);
}

void OomRecorder::take_reclaim(const OomFeed::Record& record) {
  auto thread = captured_thread(record);
  if (!thread) return;
  const std::lock_guard lock(mutex_);
  reclaims_.push_back(*std::move(thread));
  announce(ready_.get());
}

void OomRecorder::hand_over(std::vector<OomCapture> finished) {
  const std::lock_guard lock(mutex_);
  pending_ = records_.pending();
  if (finished.empty()) return;
  for (OomCapture& capture : finished) finished_.push_back(std::move(capture));
  announce(ready_.get());
}

std::vector<OomCapture> OomRecorder::take() {
  uint64_t ignored = 0;
  (void)!read(ready_.get(), &ignored, sizeof(ignored));
  const std::lock_guard lock(mutex_);
  return std::exchange(finished_, {});
}

std::vector<CapturedThread> OomRecorder::take_reclaims() {
  const std::lock_guard lock(mutex_);
  return std::exchange(reclaims_, {});
}

bool OomRecorder::settled() {
  std::unique_lock lock(mutex_);
  const uint64_t round = ++rounds_asked_;
  announce(wake_.get());
  round_done_.wait(lock, [&] { return rounds_done_ >= round; });
  return !pending_ && finished_.empty();
}

void OomRecorder::forget_raw_records() {
  const std::lock_guard lock(mutex_);
  if (log_ && !pending_ && finished_.empty()) log_->clear();
}

}  // namespace alloctrail
