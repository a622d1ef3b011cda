// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/load_notices.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "user/kernel/bpf_object.h"

namespace alloctrail {

void LoadNotices::Close::operator()(ring_buffer* ring) const { ring_buffer__free(ring); }

Result<LoadNotices> LoadNotices::open(const BpfObject& object) {
  LoadNotices notices;
  notices.ring_.reset(ring_buffer__new(bpf_map__fd(object.skeleton->maps.load_notices), on_notice, notices.slots_.get(),
                                       nullptr));
  if (notices.ring_) return notices;
  return Error{.message = fmt::format("opening the ring of the loader's notices: {}", std::strerror(errno)),
               .hint = "",
               .os_error = errno};
}

int LoadNotices::event_fd() const { return ring_buffer__epoll_fd(ring_.get()); }

std::vector<Slot> LoadNotices::take() {
  ring_buffer__consume(ring_.get());
  return std::exchange(*slots_, {});
}

int LoadNotices::on_notice(void* self, void* data, size_t size) {
  auto& slots = *static_cast<std::vector<Slot>*>(self);
  uint32_t slot = 0;
  if (size < sizeof(slot)) return 0;
  std::memcpy(&slot, data, sizeof(slot));
  if (std::find(slots.begin(), slots.end(), Slot(slot)) == slots.end()) slots.push_back(Slot(slot));
  return 0;
}

}  // namespace alloctrail
