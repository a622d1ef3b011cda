// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/oom_feed.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "user/kernel/bpf_object.h"
#include "user/kernel/oom_programs.h"

namespace alloctrail {

struct OomFeed::Attachments {
  std::vector<Link> links;
  Ring ring;
};

namespace {

int on_record(void* pending, void* data, size_t size) {
  const auto* bytes = static_cast<const std::byte*>(data);
  static_cast<std::vector<OomFeed::Record>*>(pending)->emplace_back(bytes, bytes + size);
  return 0;
}

Error cannot_attach(const char* tracepoint, int error) {
  return Error{.kind = ErrorKind::NotSupported,
               .message = fmt::format("attaching to the kernel's tracepoint {}: {}", tracepoint, std::strerror(error)),
               .hint = "see what this kernel allows with: alloctrail doctor",
               .os_error = error};
}

}  // namespace

OomFeed::OomFeed(BpfObject& object) : object_(object), attachments_(std::make_unique<Attachments>()) {}
OomFeed::~OomFeed() = default;

Result<std::unique_ptr<OomFeed>> OomFeed::load() {
  auto object = load_bpf_object({.accounting = HeapAccounting::Off, .oom = OomWatch::EveryProcess});
  if (!object) return std::move(object).error();
  auto own = std::make_unique<BpfObject>(*std::move(object));
  auto feed = attach(*own);
  if (feed) (*feed)->own_ = std::move(own);
  return feed;
}

Result<std::unique_ptr<OomFeed>> OomFeed::attach(BpfObject& object) {
  std::unique_ptr<OomFeed> feed(new OomFeed(object));
  if (auto started = feed->start(); !started) return std::move(started).error();
  return feed;
}

/// The signal is attached last: a kill that is armed finds everything else in place.
Status OomFeed::start() {
  attachments_->ring.reset(
      ring_buffer__new(bpf_map__fd(object_.skeleton->maps.oom_records), on_record, &pending_, nullptr));
  if (!attachments_->ring) return cannot_attach("ring", errno);
  for (const OomProgram& program : oom_programs(*object_.skeleton)) {
    if (!bpf_program__autoload(program.program)) continue;
    Link link(bpf_program__attach_raw_tracepoint(program.program, program.tracepoint));
    if (!link && program.optional) continue;
    if (!link) return cannot_attach(program.tracepoint, errno);
    attachments_->links.push_back(std::move(link));
  }
  return ok();
}

int OomFeed::event_fd() const { return ring_buffer__epoll_fd(attachments_->ring.get()); }

std::vector<OomFeed::Record> OomFeed::take() {
  ring_buffer__consume(attachments_->ring.get());
  return std::exchange(pending_, {});
}

uint64_t OomFeed::missed() const { return object_.skeleton->bss->oom_missed; }

}  // namespace alloctrail
