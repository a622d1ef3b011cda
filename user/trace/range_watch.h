// SPDX-License-Identifier: Apache-2.0
// The mapped ranges of one process image: system call records and /proc/PID/maps -> interval map -> Mapped.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "user/kernel/range_feed.h"
#include "user/kernel/tracer.h"
#include "user/model/snapshot.h"
#include "user/target/mapped_ranges.h"

namespace alloctrail {

class RangeWatch {
 public:
  /// Follows the slot's process, which has just been opened; what it has mapped by now is older than the attach.
  static Result<RangeWatch> begin(RangeFeed& feed, Slot slot, Tgid pid);

  /// Takes the records there are.
  void update();
  /// Compares with /proc/PID/maps and puts right what differs. Nothing if the process is gone.
  void reconcile();
  /// Of what the kernel half knows by index: how a Snapshot shows it.
  struct Names {
    std::function<RawThread(uint32_t thread)> thread;
    std::function<uint32_t(StackId stack)> stack;  ///< its row in Snapshot::stacks
  };
  /// The state after the last update.
  /// `resident`: by smaps; may be empty.
  [[nodiscard]] Mapped state(const Names& names, std::span<const ResidentPart> resident) const;
  /// No records are wanted any more.
  void end() { feed_->forget(slot_); }

 private:
  RangeWatch(RangeFeed& feed, Slot slot, Tgid pid) : feed_(&feed), slot_(slot), pid_(pid) {}
  struct Look {
    std::vector<Mapping> maps;
    RangeDifference difference;
  };
  [[nodiscard]] std::optional<Look> look();
  void take_records();
  void load(const std::vector<Mapping>& maps);
  void put_right(const RangeDifference& difference, const std::vector<Mapping>& maps, bool expected);
  [[nodiscard]] bool lost_records();

  RangeFeed* feed_;
  Slot slot_;
  Tgid pid_;
  MappedRanges ranges_;
  MappedCheck check_;
  bool checked_before_ = false;
  uint64_t lost_ = 0;
  uint64_t missed_ = 0;
  uint64_t missed_at_begin_ = 0;
  uint64_t rebuilds_ = 0;
};

}  // namespace alloctrail
