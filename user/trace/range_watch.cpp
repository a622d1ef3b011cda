// SPDX-License-Identifier: Apache-2.0
#include "user/trace/range_watch.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "user/target/residence.h"

namespace alloctrail {
namespace {

bool none_under_way(const at_range_calls& calls) {
  return calls.begun == calls.recorded + calls.failed + calls.without_effect + calls.lost;
}

/// What is in both.
std::vector<AddressInterval> common(const std::vector<AddressInterval>& a, const std::vector<AddressInterval>& b) {
  std::vector<AddressInterval> result;
  for (const AddressInterval& one : a)
    for (const AddressInterval& other : b) {
      const AddressInterval both{std::max(one.start, other.start), std::min(one.end, other.end)};
      if (both.start < both.end) result.push_back(both);
    }
  return result;
}

/// Everything that rows of Mapped::rows must have in common to be one.
using RowKey = std::tuple<RangeKind, RangeOrigin, RangeMaker, std::string>;

RowKey key_of(const MappedRange& range) {
  return {kind_of(range), range.origin, range.maker, range.path ? *range.path : std::string()};
}

}  // namespace

Result<RangeWatch> RangeWatch::begin(RangeFeed& feed, Slot slot, Tgid pid) {
  RangeWatch watch(feed, slot, pid);
  if (auto followed = feed.follow(slot); !followed) return std::move(followed).error();
  watch.missed_at_begin_ = watch.missed_ = feed.missed();
  auto maps = read_mappings(pid);
  if (!maps) return std::move(maps).error();
  watch.load(*maps);
  return watch;
}

/// What the ranges that are there already are for.
void RangeWatch::load(const std::vector<Mapping>& maps) {
  ranges_.repair(ranges_.compare(maps), maps, RangeOrigin::BeforeAttach);
  ranges_.take_names(maps);
  const OlderRanges older = classify_older(maps, pid_);
  ranges_.set_flags(older.allocators, AT_RANGE_ALLOCATOR);
  ranges_.set_flags(older.thread_stacks, AT_RANGE_THREAD_STACK);
}

void RangeWatch::update() {
  for (const RangeRecord& received : feed_->take(slot_)) ranges_.apply(received.record, received.place);
}

std::optional<RangeWatch::Reading> RangeWatch::read_maps() {
  update();
  const at_range_calls before = feed_->calls(slot_);
  auto maps = read_mappings(pid_);
  const at_range_calls after = feed_->calls(slot_);
  update();
  if (!maps || maps->empty()) return std::nullopt;
  return Reading{.maps = *std::move(maps), .quiet = none_under_way(before) && before.begun == after.begun};
}

bool RangeWatch::lost_records() {
  const uint64_t lost = feed_->calls(slot_).lost, missed = feed_->missed();
  const bool any = lost != lost_ || missed != missed_;
  lost_ = lost;
  missed_ = missed;
  return any;
}

void RangeWatch::reconcile() {
  const bool lost = lost_records();
  const auto reading = read_maps();
  check_ = {};
  if (!reading) return;
  check_.done = true;
  check_.quiet = reading->quiet;
  for (const Mapping& mapping : reading->maps) check_.maps_bytes += mapping.end - mapping.start;
  ranges_.adopt_growth(reading->maps);
  RangeDifference difference = ranges_.compare(reading->maps);
  if (lost || ranges_.in_doubt()) {
    check_.looked_up_bytes = total_bytes(difference.missing) + total_bytes(difference.excess);
    if (lost) ++rebuilds_;
    ranges_.repair(difference, reading->maps, RangeOrigin::Found);
    unsettled_ = {};
  } else {
    settle(std::move(difference), *reading);
  }
  ranges_.take_names(reading->maps);
  checked_before_ = true;
}

/// Of a busy process only what differs twice in a row counts: the rest may be calls under way.
void RangeWatch::settle(RangeDifference difference, const Reading& reading) {
  RangeDifference certain = difference;
  if (!reading.quiet) {
    certain = {.missing = common(difference.missing, unsettled_.missing),
               .excess = common(difference.excess, unsettled_.excess),
               .access = common(difference.access, unsettled_.access)};
    unsettled_ = std::move(difference);
  } else {
    unsettled_ = {};
  }
  if (certain.none()) return;
  if (checked_before_) {
    check_.missing_bytes = total_bytes(certain.missing);
    check_.excess_bytes = total_bytes(certain.excess);
    check_.access_bytes = total_bytes(certain.access);
  } else {
    check_.looked_up_bytes = total_bytes(certain.missing) + total_bytes(certain.excess);  // under way at the attach
  }
  ranges_.repair(certain, reading.maps, checked_before_ ? RangeOrigin::Found : RangeOrigin::BeforeAttach);
}

Mapped RangeWatch::state(const Names& names) const {
  Mapped result;
  std::map<RowKey, MappedAmount> amounts;
  const MappedRange* previous = nullptr;
  for (const auto& [start, range] : ranges_.ranges()) {
    const bool continues = previous != nullptr && previous->end == start && previous->area == range.area &&
                           key_of(*previous) == key_of(range);
    amounts[key_of(range)] += {.bytes = range.bytes(),
                               .reserved_bytes = range.flags & AT_RANGE_NO_ACCESS ? range.bytes() : 0,
                               .ranges = continues ? 0u : 1u};
    previous = &range;
  }
  for (const auto& [key, amount] : amounts) {
    const auto& [kind, origin, maker, path] = key;
    MappingRow& row = result.rows.emplace_back();
    row = {.kind = kind, .origin = origin, .tid = {}, .thread = {}, .stack = {}, .path = path, .standing = amount};
    result.standing += amount;
    if (origin != RangeOrigin::Call) continue;
    const RawThread thread = names.thread(maker.thread);
    row.tid = thread.tid;
    row.thread = thread.comm;
    row.stack = names.stack(maker.stack);
  }
  result.mapped_bytes = ranges_.mapped_bytes();
  result.unmapped_bytes = ranges_.unmapped_bytes();
  result.given_back_bytes = ranges_.given_back_bytes();
  result.check = check_;
  result.calls = feed_->calls(slot_);
  result.misses = missed_ - missed_at_begin_;
  result.lookups = ranges_.doubts();
  result.rebuilds = rebuilds_;
  return result;
}

}  // namespace alloctrail
