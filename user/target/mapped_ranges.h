// SPDX-License-Identifier: Apache-2.0
// The interval map: which ranges of a process stand, and who made each. Fed with the kernel's records
// (alloctrail/ranges.h) and with /proc/PID/maps; pure, so that every order of events can be tested.
//
// Records come in the order in which calls ended, which is not that in which the kernel carried them out. Where calls of
// two threads overlapped in time and in address, one rule tells what came first: without MAP_FIXED the kernel hands out
// only what is free. So a range that was mapped over one that still stood was mapped after it was unmapped, whatever the
// order of the records. Where even this does not tell, the map is in doubt until /proc/PID/maps is asked.
#pragma once

#include <cstdint>
#include <deque>
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

  /// Carries out what a call has done. `place`: of the record in its ring.
  void apply(const at_range_record& record, uint64_t place);

  /// What the kernel does without a system call: stacks that have grown, the page that uprobes work in.
  void adopt_growth(std::span<const Mapping> maps);
  [[nodiscard]] RangeDifference compare(std::span<const Mapping> maps) const;
  /// Makes the ranges equal to maps where they differ. What is new counts as of this origin, except a segment that shmat
  /// has told of. Ends any doubt.
  void repair(const RangeDifference& difference, std::span<const Mapping> maps, RangeOrigin origin);
  /// Takes over the names of files.
  void take_names(std::span<const Mapping> maps);
  /// Sets flags on ranges that lie in one of these.
  void set_flags(std::span<const AddressInterval> intervals, uint16_t flags);

  /// A call does not tell what it has done: only /proc/PID/maps does.
  [[nodiscard]] bool in_doubt() const { return in_doubt_; }
  [[nodiscard]] uint64_t doubts() const { return doubts_; }
  [[nodiscard]] const Ranges& ranges() const { return ranges_; }
  [[nodiscard]] uint64_t mapped_bytes() const { return mapped_bytes_; }
  [[nodiscard]] uint64_t unmapped_bytes() const { return unmapped_bytes_; }
  [[nodiscard]] uint64_t given_back_bytes() const { return given_back_bytes_; }

 private:
  /// What a record has changed, kept for as long as calls that began before it may still end.
  struct Change {
    uint64_t place = 0;
    AddressInterval at;
    bool mapped = false;
    bool certain = false;  ///< the range mapped took the place of one that had to go first; the one unmapped was there
  };
  /// A segment whose size /proc/PID/maps will tell.
  struct Segment {
    uint64_t start = 0;
    RangeMaker maker;
  };
  struct Call {
    const at_range_record& record;
    uint64_t place;
    [[nodiscard]] RangeMaker maker() const { return {record.thread, StackId{record.stack}}; }
  };

  void map(const Call& call);
  void remap(const Call& call);
  void move(const Call& call, AddressInterval from, AddressInterval to);
  void place_moved(MappedRange piece, uint64_t distance, AddressInterval to);
  void move_break(const Call& call);
  void protect(const Call& call);
  void advise(const Call& call);
  void detach(const Call& call);
  void mark_stack(const Call& call);

  void occupy(const Call& call, MappedRange range);
  std::vector<MappedRange> vacate(const Call& call, AddressInterval interval);
  void forget(const std::vector<MappedRange>& removed);
  std::vector<MappedRange> cut(AddressInterval interval);
  void split_at(uint64_t address);
  void insert(MappedRange range);
  [[nodiscard]] std::vector<MappedRange> within(AddressInterval interval) const;
  void note(uint64_t place, AddressInterval interval, const std::vector<MappedRange>& removed, bool mapped, bool fixed);
  void add_change(Change change);
  /// From the oldest on.
  void for_each_change_since(uint64_t began, AddressInterval interval, const std::function<void(const Change&)>& visit);
  void doubt();

  Ranges ranges_;
  std::deque<Change> changes_;
  uint64_t changes_forgotten_below_ = 0;
  uint64_t last_break_place_ = 0;
  std::vector<Segment> segments_;
  bool in_doubt_ = false;
  uint64_t doubts_ = 0;
  uint64_t mapped_bytes_ = 0;
  uint64_t unmapped_bytes_ = 0;
  uint64_t given_back_bytes_ = 0;
};

}  // namespace alloctrail
