// SPDX-License-Identifier: Apache-2.0
// The records of include/alloctrail/ranges.h as the program sees them: attached to the kernel's system call tracepoints, by
// process image and in the order they were sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "alloctrail/ranges.h"
#include "user/ids.h"
#include "user/kernel/map_view.h"
#include "user/result.h"

namespace alloctrail {

struct BpfObject;

class RangeFeed {
 public:
  /// Attaches the programs of an object that was loaded with them; `object` must outlive the feed. Costs every system call
  /// of the machine some nanoseconds for as long as the feed lives.
  static Result<std::unique_ptr<RangeFeed>> attach(BpfObject& object);
  ~RangeFeed();
  RangeFeed(const RangeFeed&) = delete;
  RangeFeed& operator=(const RangeFeed&) = delete;

  /// Readable when the ring fills up; a report takes what there is without waiting for that.
  [[nodiscard]] int event_fd() const;
  /// From now on the system calls of whoever shares the address space of the slot's process make records.
  [[nodiscard]] Status follow(Slot slot);
  /// The slot's records since the last time.
  [[nodiscard]] std::vector<at_range_record> take(Slot slot);
  /// The slot's records are not wanted any more.
  void forget(Slot slot) { pending_.erase(slot); }
  /// What became of the slot's calls.
  [[nodiscard]] at_range_calls calls(Slot slot) const;
  /// System calls that reached none of our programs (recursion), of all processes.
  [[nodiscard]] uint64_t missed() const;

 private:
  struct Attachments;

  explicit RangeFeed(BpfObject& object);
  [[nodiscard]] Status start();
  static int on_record(void* self, void* data, size_t size);

  BpfObject& object_;
  std::unique_ptr<Attachments> attachments_;
  ArrayView<at_range_calls> calls_;
  std::map<Slot, std::vector<at_range_record>> pending_;
};

}  // namespace alloctrail
