// SPDX-License-Identifier: Apache-2.0
#include "user/trace/trace.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

namespace alloctrail {
namespace {

constexpr size_t kMaxStacksAtOnce = 64;

Error no_allocator(Tgid pid) {
  return Error{.kind = ErrorKind::NotSupported,
               .message = fmt::format("no allocator found in process {}", raw(pid)),
               .hint = fmt::format("its files define no malloc by name (a stripped static program?); see what was "
                                   "looked at with: alloctrail doctor -p {}",
                                   raw(pid))};
}

/// The kernel half knows processes by their ids in the initial namespace, whose inode is fixed (linux/proc_ns.h).
Status require_initial_pid_namespace() {
  constexpr ino_t kInitialPidNamespace = 0xEFFFFFFC;
  struct stat own {};
  if (stat("/proc/self/ns/pid", &own) != 0 || own.st_ino == kInitialPidNamespace) return ok();
  return Error{.kind = ErrorKind::NotSupported,
               .message = "alloctrail runs in a pid namespace of its own, where process ids are not the kernel's",
               .hint = "run it on the host, or in a container started with --pid=host"};
}

bool is_readable(int fd) {
  pollfd poll_fd{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&poll_fd, 1, 0) == 1;
}

}  // namespace

Status Trace::load() {
  if (auto initial = require_initial_pid_namespace(); !initial) return initial;
  if (options_.probe_kind) {
    options_.tracer.probe_kind = *options_.probe_kind;
  } else {
    auto kind = best_probe_kind();
    if (!kind) return std::move(kind).error();
    options_.tracer.probe_kind = *kind;
  }
  auto tracer = Tracer::load(options_.tracer);
  if (!tracer) return std::move(tracer).error();
  tracer_ = *std::move(tracer);
  unwinding_.emplace(*tracer_);
  auto loads = LoadWatch::start(*tracer_, *unwinding_);
  if (!loads) return std::move(loads).error();
  load_watch_ = *std::move(loads);
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (auto watched = watch(tracer_->event_fd()); !watched) return watched;
  return options_.tracer.ranges == RangeTracking::On ? watch_ranges() : ok();
}

/// A kernel that cannot trace system calls traces the heap all the same.
Status Trace::watch_ranges() {
  auto feed = tracer_->attach_range_feed();
  if (!feed) {
    messages_.push_back(fmt::format("mapped memory is not tracked: {}", feed.error().message));
    return ok();
  }
  ranges_ = *std::move(feed);
  return watch(ranges_->event_fd());
}

Status Trace::watch(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return ok();
  return Error{.message = fmt::format("watching for events: {}", std::strerror(errno)), .hint = "", .os_error = errno};
}

Status Trace::add(TargetProcess target) {
  auto image = ProcessImage::open(context(), std::move(target));
  if (!image) return std::move(image).error();
  if (auto watched = watch(image->target().pidfd.get()); !watched) return watched;
  if (options_.tracer.sample_rates)
    if (auto set = image->set_rung(options_.first_rung); !set) return set;
  images_.push_back(*std::move(image));
  return ok();
}

Result<std::unique_ptr<Trace>> Trace::attach(const TraceOptions& options, std::vector<TargetProcess> targets) {
  std::unique_ptr<Trace> trace(new Trace(options));
  // The kernel filters newer links by the main thread's memory, which is gone with the main thread.
  for (const TargetProcess& target : targets)
    if (raw(target.live_thread) != raw(target.identity.pid)) trace->options_.probe_kind = ProbeKind::Perf;
  if (auto loaded = trace->load(); !loaded) return std::move(loaded).error();
  for (TargetProcess& target : targets) {
    const Tgid pid = target.identity.pid;
    const std::string context = fmt::format("process {}", raw(pid));
    if (auto added = trace->add(std::move(target)); !added) return std::move(added).error().with(context);
    ProcessImage& image = trace->images_.back();
    if (auto attached = image.attach_mapped_files(); !attached) return std::move(attached).error().with(context);
    if (!image.hooked()) return no_allocator(pid);
    if (is_readable(image.target().pidfd.get()))
      return Error{.message = fmt::format("process {} exited while it was being attached to", raw(pid)), .hint = ""};
  }
  return trace;
}

Result<std::unique_ptr<Trace>> Trace::launch(const TraceOptions& options, const std::vector<std::string>& command) {
  std::unique_ptr<Trace> trace(new Trace(options));
  if (auto loaded = trace->load(); !loaded) return std::move(loaded).error();
  auto child = ChildCommand::fork(command);
  if (!child) return std::move(child).error();
  auto target = open_target(child->pid());
  if (!target) return std::move(target).error();
  if (auto added = trace->add(*std::move(target)); !added) return std::move(added).error();
  auto flagged = trace->tracer_->set_slot_flags(trace->images_.back().slot(), AT_SLOT_STOP_AT_EXEC);
  if (!flagged) return std::move(flagged).error();
  if (auto started = child->run(); !started) return std::move(started).error();
  trace->child_ = *std::move(child);
  if (auto ready = trace->wait_for_allocator(); !ready) return std::move(ready).error();
  return trace;
}

/// The command runs up to the moment its libraries are mapped, and is hooked there.
Status Trace::wait_for_allocator() {
  while (!images_.empty() && !images_.back().hooked()) {
    pollfd events{.fd = epoll_.get(), .events = POLLIN, .revents = 0};
    if (poll(&events, 1, -1) < 0 && errno != EINTR) break;
    std::vector<Snapshot> ended = handle_events();
    std::move(ended.begin(), ended.end(), std::back_inserter(ended_early_));
  }
  if (!images_.empty() || !ended_early_.empty()) return ok();
  return Error{.message = "the command ended before it could be traced",
               .hint = messages_.empty() ? "does it run without alloctrail?" : messages_.back()};
}

Trace::Images::iterator Trace::image_of(Slot slot) {
  return std::find_if(images_.begin(), images_.end(), [&](const ProcessImage& image) { return image.slot() == slot; });
}

std::vector<Snapshot> Trace::handle_events() {
  // In order, so that stacks are named by what was mapped when they were seen. That can take long: meanwhile the
  // LoadWatch sees to new libraries.
  std::vector<Snapshot> ended = std::exchange(ended_early_, {});
  for (auto events = tracer_->take_events(); !events.empty(); events = tracer_->take_events()) {
    for (std::span<const KernelEvent> rest = events; !rest.empty();) {
      if (rest.front().kind == AT_EVENT_STACK) {
        rest = rest.subspan(name_stacks_in_front(rest));
      } else {
        handle(rest.front(), ended);
        rest = rest.subspan(1);
      }
    }
  }
  for (ProcessImage& image : images_) image.update_ranges();
  collect_exits(ended);
  return ended;
}

/// Those of one process that were seen one after the other are named together, though not so many that new libraries wait
/// for long. Returns how many.
size_t Trace::name_stacks_in_front(std::span<const KernelEvent> events) {
  const Slot slot = events.front().slot;
  std::vector<StackId> ids;
  for (const KernelEvent& event : events) {
    if (event.kind != AT_EVENT_STACK || event.slot != slot || ids.size() == kMaxStacksAtOnce) break;
    ids.push_back(StackId{event.value});
  }
  if (const auto image = image_of(slot); image != images_.end()) image->name_stacks(ids);
  return ids.size();
}

void Trace::handle(const KernelEvent& event, std::vector<Snapshot>& ended) {
  const auto image = image_of(event.slot);
  if (image == images_.end()) return;
  switch (event.kind) {
    case AT_EVENT_STACK: break;  // see name_stacks_in_front()
    case AT_EVENT_EXEC: follow_exec(image, ended); break;
    case AT_EVENT_DLOPEN: follow_load(*image); break;
  }
}

void Trace::follow_load(ProcessImage& image) {
  const bool is_child = child_ && child_->pid() == image.pid();
  if (auto attached = image.attach_mapped_files(); !attached)
    messages_.push_back(fmt::format("process {}: {}", raw(image.pid()), attached.error().message));
  if (!is_child) return;
  const uint32_t flags = image.hooked() ? AT_SLOT_STOP_AT_EXEC : AT_SLOT_STOP_AT_EXEC | AT_SLOT_STOP_AT_LOAD;
  (void)tracer_->set_slot_flags(image.slot(), flags);
  child_->resume();
}

void Trace::follow_exec(Images::iterator image, std::vector<Snapshot>& ended) {
  const Tgid pid = image->pid();
  if (image->hooked()) ended.push_back(image->snapshot(EndReason::Execed, {}));
  image->close();
  images_.erase(image);
  auto target = open_target(pid);
  Status added = target ? add(*std::move(target)) : Status(std::move(target).error());
  if (!added) {
    messages_.push_back(fmt::format("process {} runs another program, which is not traced: {}", raw(pid),
                                    added.error().message));
    if (child_ && child_->pid() == pid) child_->resume();
    return;
  }
  // First the loader's notice, then the mappings once more: what was mapped in between is not missed.
  (void)images_.back().attach_mapped_files();
  follow_load(images_.back());
}

void Trace::collect_exits(std::vector<Snapshot>& ended) {
  for (auto image = images_.begin(); image != images_.end();) {
    if (!is_readable(image->target().pidfd.get())) {
      ++image;
      continue;
    }
    if (image->hooked()) ended.push_back(image->snapshot(EndReason::Exited, {}));
    ended_spaces_[image->pid()] = image->address_space();
    image->close();
    image = images_.erase(image);
  }
}

Result<std::vector<Snapshot>> Trace::snapshots() {
  if (options_.older)
    if (auto passed = tracer_->run_age_pass(*options_.older); !passed) return std::move(passed).error();
  std::vector<Snapshot> result;
  for (ProcessImage& image : images_) result.push_back(image.snapshot(EndReason::None, options_.older));
  return result;
}

std::optional<Snapshot> Trace::snapshot(Tgid pid) {
  const auto image = std::find_if(images_.begin(), images_.end(),
                                  [&](const ProcessImage& each) { return each.pid() == pid; });
  if (image == images_.end()) return std::nullopt;
  const bool aged = options_.older && tracer_->run_age_pass(*options_.older);
  return image->snapshot(EndReason::None, aged ? options_.older : std::nullopt);
}

std::vector<Snapshot> Trace::finish() {
  std::vector<Snapshot> result = handle_events();
  const bool aged = options_.older && tracer_->run_age_pass(*options_.older);
  for (ProcessImage& image : images_)
    result.push_back(image.snapshot(EndReason::Detached, aged ? options_.older : std::nullopt));
  for (ProcessImage& image : images_) image.detach();
  images_.clear();
  return result;
}

std::vector<Tgid> Trace::pids() const {
  std::vector<Tgid> result;
  for (const ProcessImage& image : images_) result.push_back(image.pid());
  return result;
}

std::optional<AddressSpace> Trace::address_space(Tgid pid) const {
  for (const ProcessImage& image : images_)
    if (image.pid() == pid) return image.address_space();
  const auto ended = ended_spaces_.find(pid);
  return ended == ended_spaces_.end() ? std::nullopt : std::optional<AddressSpace>(ended->second);
}

std::vector<std::string> Trace::take_messages() { return std::exchange(messages_, {}); }

}  // namespace alloctrail
