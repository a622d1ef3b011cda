// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/range_feed.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "user/handles.h"
#include "user/kernel/bpf_object.h"

namespace alloctrail {
namespace {

Error cannot_attach(const char* what, int error) {
  return Error{.kind = ErrorKind::NotSupported,
               .message = fmt::format("tracing mmap and its kin: {}: {}", what, std::strerror(error)),
               .hint = "the kernel needs CONFIG_FTRACE_SYSCALLS; leave mapped ranges out with --no-mappings",
               .os_error = error};
}

}  // namespace

/// The ring before the links: what is sent is read.
struct RangeFeed::Attachments {
  Ring ring;
  Link exit;
};

RangeFeed::RangeFeed(BpfObject& object) : object_(object), attachments_(std::make_unique<Attachments>()) {}

RangeFeed::~RangeFeed() = default;

Result<std::unique_ptr<RangeFeed>> RangeFeed::attach(BpfObject& object) {
  std::unique_ptr<RangeFeed> feed(new RangeFeed(object));
  if (auto started = feed->start(); !started) return std::move(started).error();
  return feed;
}

Status RangeFeed::start() {
  const auto& maps = object_.skeleton->maps;
  auto calls = ArrayView<at_range_calls>::map(bpf_map__fd(maps.range_calls), bpf_map__max_entries(maps.range_calls),
                                              bpf_map__name(maps.range_calls));
  if (!calls) return std::move(calls).error();
  calls_ = *std::move(calls);
  attachments_->ring.reset(ring_buffer__new(bpf_map__fd(maps.range_records), on_record, this, nullptr));
  if (!attachments_->ring) return cannot_attach("ring", errno);
  const auto& programs = object_.skeleton->progs;
  if (!bpf_program__autoload(programs.at_syscall_exit)) return cannot_attach("tracepoint sys_exit", ENOENT);
  attachments_->exit.reset(bpf_program__attach_trace(programs.at_syscall_exit));
  if (!attachments_->exit) return cannot_attach("tracepoint sys_exit", errno);
  return ok();
}

int RangeFeed::event_fd() const { return ring_buffer__epoll_fd(attachments_->ring.get()); }

/// A pass over all tasks of the machine, which finds the address space of each target.
Status RangeFeed::follow(Slot slot) {
  pending_.try_emplace(slot);
  const Link link(bpf_program__attach_iter(object_.skeleton->progs.at_find_address_spaces, nullptr));
  if (!link) return cannot_attach("iterator over tasks", errno);
  const UniqueFd iterator(bpf_iter_create(bpf_link__fd(link.get())));
  if (!iterator) return cannot_attach("iterator over tasks", errno);
  char nothing[64];
  for (ssize_t got = 0; (got = read(iterator.get(), nothing, sizeof(nothing))) != 0;)
    if (got < 0 && errno != EAGAIN && errno != EINTR) return cannot_attach("iterator over tasks", errno);
  return ok();
}

int RangeFeed::on_record(void* self, void* data, size_t size) {
  RangeFeed& feed = *static_cast<RangeFeed*>(self);
  at_range_record received{};
  if (size < sizeof(received)) return 0;
  std::memcpy(&received, data, sizeof(received));
  const auto wanted = feed.pending_.find(Slot(received.slot));
  if (wanted != feed.pending_.end()) wanted->second.push_back(received);
  return 0;
}

std::vector<at_range_record> RangeFeed::take(Slot slot) {
  ring_buffer__consume(attachments_->ring.get());
  const auto found = pending_.find(slot);
  return found == pending_.end() ? std::vector<at_range_record>{} : std::exchange(found->second, {});
}

at_range_calls RangeFeed::calls(Slot slot) const {
  if (raw(slot) >= calls_.size()) return {};
  volatile at_range_calls& now = calls_[raw(slot)];
  at_range_calls result{};
  result.recorded = now.recorded;
  result.failed = now.failed;
  result.without_effect = now.without_effect;
  result.lost = now.lost;
  return result;
}

uint64_t RangeFeed::missed() const {
  bpf_prog_info info{};
  uint32_t size = sizeof(info);
  const int program = bpf_program__fd(object_.skeleton->progs.at_syscall_exit);
  return bpf_obj_get_info_by_fd(program, &info, &size) == 0 ? info.recursion_misses : 0;
}

}  // namespace alloctrail
