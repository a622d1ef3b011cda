// SPDX-License-Identifier: Apache-2.0
// The loader's announcements alone, for whoever must not wait behind other events. None is needed for the account: the
// same news come as events.
#pragma once

#include <memory>
#include <vector>

#include "user/ids.h"
#include "user/result.h"

struct ring_buffer;  // libbpf's

namespace alloctrail {

struct BpfObject;

class LoadNotices {
 public:
  /// The object must outlive this.
  static Result<LoadNotices> open(const BpfObject& object);

  /// Readable when take() has something to return.
  [[nodiscard]] int event_fd() const;
  /// Slots whose loader has announced changes, each once.
  [[nodiscard]] std::vector<Slot> take();

 private:
  struct Close {
    void operator()(ring_buffer* ring) const;
  };
  static int on_notice(void* self, void* data, size_t size);

  std::unique_ptr<std::vector<Slot>> slots_ = std::make_unique<std::vector<Slot>>();  // where the ring's callback finds it
  std::unique_ptr<ring_buffer, Close> ring_;
};

}  // namespace alloctrail
