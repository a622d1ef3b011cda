// SPDX-License-Identifier: Apache-2.0
#include "user/tui/collector.h"

#include <fmt/core.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace alloctrail {
namespace {

using Clock = std::chrono::steady_clock;

void ring(const UniqueFd& fd) {
  const uint64_t one = 1;
  (void)!::write(fd.get(), &one, sizeof(one));
}

void silence(const UniqueFd& fd) {
  uint64_t count = 0;
  (void)!::read(fd.get(), &count, sizeof(count));
}

std::chrono::nanoseconds cpu_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace

Collector::Collector(std::unique_ptr<SnapshotSource> source, WriteSnapshot write, std::chrono::nanoseconds interval)
    : source_(std::move(source)),
      write_(std::move(write)),
      news_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  requests_.interval = interval;
  due_ns_ = Clock::now().time_since_epoch().count();
  builder_.set_interval(interval);
  builder_.set_progress("attaching: reading the program's files, building unwind tables");
}

Result<std::unique_ptr<Collector>> Collector::start(std::unique_ptr<SnapshotSource> source, WriteSnapshot write,
                                                    std::chrono::nanoseconds interval) {
  std::unique_ptr<Collector> collector(new Collector(std::move(source), std::move(write), interval));
  if (!collector->news_fd_ || !collector->wake_fd_)
    return Error{.message = fmt::format("eventfd: {}", std::strerror(errno)), .hint = "", .os_error = errno};
  collector->publish();
  sigset_t all, before;
  sigfillset(&all);
  for (const int crash : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) sigdelset(&all, crash);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are the screen's
  collector->thread_ = std::thread([raw = collector.get()] { raw->run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return collector;
}

Collector::~Collector() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    requests_.stop = true;
  }
  ring(wake_fd_);
  thread_.join();
}

Collector::News Collector::take() {
  silence(news_fd_);
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

void Collector::set_interval(std::chrono::nanoseconds interval) {
  {
    const std::lock_guard lock(mutex_);
    if (requests_.interval == interval) return;
    requests_.interval = interval;
  }
  ring(wake_fd_);
}

void Collector::write(std::shared_ptr<const Snapshot> snapshot) {
  {
    const std::lock_guard lock(mutex_);
    requests_.to_write = std::move(snapshot);
  }
  ring(wake_fd_);
}

std::optional<std::chrono::nanoseconds> Collector::overdue() const {
  const int64_t due = due_ns_;
  if (due == 0) return std::nullopt;
  return Clock::now().time_since_epoch() - std::chrono::nanoseconds(due);
}

Collector::Requests Collector::take_requests() {
  silence(wake_fd_);
  const std::lock_guard lock(mutex_);
  Requests taken = requests_;
  requests_.to_write.reset();
  return taken;
}

void Collector::publish() {
  auto scene = builder_.scene();
  {
    const std::lock_guard lock(mutex_);
    news_.scene = std::move(scene);
  }
  ring(news_fd_);
}

void Collector::fail(Error error) {
  {
    const std::lock_guard lock(mutex_);
    news_.failure = std::move(error);
  }
  ring(news_fd_);
}

void Collector::run() {
  if (auto opened = source_->open(); !opened) return fail(std::move(opened).error());
  builder_.set_progress("");
  while (step()) {
  }
  source_.reset();  // detaches
}

/// One wait and what came of it; whether to go on.
bool Collector::step() {
  const Requests requests = take_requests();
  if (requests.stop) return false;
  if (requests.to_write) {
    auto written = write_(*requests.to_write);
    {
      const std::lock_guard lock(mutex_);
      news_.notice = written ? *written : "not written: " + written.error().message;
    }
    ring(news_fd_);
  }
  builder_.set_interval(requests.interval);
  const auto due = looked_at_ + std::max(requests.interval, rest_);
  if (looked_at_ != Clock::time_point{} && due_ns_ != 0) due_ns_ = due.time_since_epoch().count();
  const auto cpu_before = cpu_time();
  auto update = source_->next(due, wake_fd_.get());
  if (!update) return fail(std::move(update).error()), false;
  if (update->snapshots.empty() && update->deaths.empty() && update->messages.empty() && !update->over) return true;
  const bool looked = Clock::now() >= due;
  if (update->over) due_ns_ = 0;
  builder_.add(*std::move(update));
  publish();
  if (looked) {
    looked_at_ = Clock::now();
    rest_ = std::chrono::duration_cast<std::chrono::nanoseconds>((cpu_time() - cpu_before) / kMostCpu);
  }
  return true;
}

}  // namespace alloctrail
