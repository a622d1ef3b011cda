// SPDX-License-Identifier: Apache-2.0
// The interval map: which ranges of a process stand, and who made each. Fed with the kernel's records
// (alloctrail/ranges.h) and with /proc/PID/maps; pure, so that every order of events can be tested.
//
// Records come in the order in which calls ended, which is not that in which the kernel carried them out: a range may be
// mapped, by the records, where another still stands, because the end of the call that unmapped that one is seen later.
// As the kernel hands out only what is free (without MAP_FIXED), the old range is leaving then, and the next record that
// unmaps the place is about it. So once all calls have ended the map is right, whatever their order. /proc/PID/maps, which
// every report asks, settles what is left: calls that do not tell what they did, and programs that unmap what others map.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "alloctrail/ranges.h"
#include "user/ids.h"
#include "user/model/mapped.h"
#include "user/target/mappings.h"

namespace alloctrail {

struct RangeMaker {
  uint32_t thread = 0;  ///< index into the kernel half's threads
  StackId stack{};
  friend auto operator<=>(const RangeMaker&, const RangeMaker&) = default;
};

/// A piece of address space that was made by one call and has not been split since.
struct MappedRange {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t area = 0;  ///< where the whole began when it was made; 0: the heap of brk
  RangeMaker maker{};
  RangeOrigin origin = RangeOrigin::Call;
  uint16_t flags = 0;  ///< AT_RANGE_*
  bool looked_up = false;  ///< taken from /proc/PID/maps just now: the record of the call that made it may yet come
  std::shared_ptr<const std::string> path{};  ///< as /proc/PID/maps names it; null: not looked at yet, or no name
  [[nodiscard]] uint64_t bytes() const { return end - start; }
};

[[nodiscard]] RangeKind kind_of(const MappedRange& range);

struct AddressInterval {
  uint64_t start = 0;
  uint64_t end = 0;
  friend bool operator==(const AddressInterval&, const AddressInterval&) = default;
};

/// Where /proc/PID/maps and the ranges disagree.
struct RangeDifference {
  std::vector<AddressInterval> missing;  ///< only in maps
  std::vector<AddressInterval> excess;   ///< only in the ranges
  std::vector<AddressInterval> access;   ///< in both, with access in only one
  [[nodiscard]] bool none() const { return missing.empty() && excess.empty() && access.empty(); }
};

[[nodiscard]] uint64_t total_bytes(std::span<const AddressInterval> intervals);

class MappedRanges {
 public:
  using Ranges = std::map<uint64_t, MappedRange>;  // by start

  /// Carries out what a call has done.
  void apply(const at_range_record& record);

  /// What the kernel does without a system call: stacks that have grown, the page that uprobes work in.
  void adopt_growth(std::span<const Mapping> maps);
  [[nodiscard]] RangeDifference compare(std::span<const Mapping> maps) const;
  /// Where records have changed anything so far is of no interest any more.
  void forget_touched() { touched_.clear(); }
  /// The difference without the places that records have changed since: while maps were read, nobody knows when.
  [[nodiscard]] RangeDifference untouched(RangeDifference difference) const;
  /// Makes the ranges equal to maps where they differ. What is new counts as of this origin, except a segment that shmat
  /// has told of. Ends any doubt.
  void repair(const RangeDifference& difference, std::span<const Mapping> maps, RangeOrigin origin);
  /// Calls that were under way at the last reading have ended by now, and what has been leaving since is gone.
  void grow_old();
  /// Takes over the names of files.
  void take_names(std::span<const Mapping> maps);
  /// Sets flags on ranges that lie in one of these.
  void set_flags(std::span<const AddressInterval> intervals, uint16_t flags);

  /// Shares resident bytes out among the ranges that lie there, in proportion to their accessible bytes; `estimated`:
  /// there were several. Returns the bytes of parts in which none lies.
  uint64_t share_out(std::span<const ResidentPart> parts,
                     const std::function<void(const MappedRange&, uint64_t bytes, bool estimated)>& take) const;

  /// A call does not tell what it has done: only /proc/PID/maps does.
  [[nodiscard]] bool in_doubt() const { return in_doubt_; }
  [[nodiscard]] uint64_t doubts() const { return doubts_; }
  [[nodiscard]] const Ranges& ranges() const { return ranges_; }
  [[nodiscard]] uint64_t mapped_bytes() const { return mapped_bytes_; }
  [[nodiscard]] uint64_t unmapped_bytes() const { return unmapped_bytes_; }
  [[nodiscard]] uint64_t given_back_bytes() const { return given_back_bytes_; }

 private:
  struct Leaving {
    MappedRange range{};
    bool old = false;
  };
  /// A segment whose size /proc/PID/maps will tell.
  struct Segment {
    uint64_t start = 0;
    RangeMaker maker;
  };
  void map(const at_range_record& record);
  void remap(const at_range_record& record);
  void move(const at_range_record& record, AddressInterval from, AddressInterval to);
  void place_moved(MappedRange piece, uint64_t distance, AddressInterval to);
  void move_break(const at_range_record& record);
  void protect(const at_range_record& record);
  void advise(const at_range_record& record);
  void detach(const at_range_record& record);
  void mark_stack(const at_range_record& record);

  void occupy(const at_range_record& record, MappedRange range);
  std::vector<MappedRange> vacate(AddressInterval interval);
  std::vector<MappedRange> take_leaving(std::vector<AddressInterval>& interval);
  void forget(const std::vector<MappedRange>& removed);
  std::vector<MappedRange> cut(AddressInterval interval);
  void split_at(uint64_t address);
  void insert(MappedRange range);
  [[nodiscard]] std::vector<MappedRange> within(AddressInterval interval) const;
  void doubt();

  Ranges ranges_;
  std::vector<Leaving> leaving_;  ///< mapped over by the records, and not yet unmapped by them; oldest first
  std::vector<Segment> segments_;
  std::vector<AddressInterval> touched_;
  bool in_doubt_ = false;
  uint64_t doubts_ = 0;
  uint64_t mapped_bytes_ = 0;
  uint64_t unmapped_bytes_ = 0;
  uint64_t given_back_bytes_ = 0;
};

}  // namespace alloctrail
