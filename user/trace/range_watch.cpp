// SPDX-License-Identifier: Apache-2.0
#include "user/trace/range_watch.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>
#include <tuple>

#include "user/target/residence.h"

namespace alloctrail {
namespace {

/// How often, and how long apart, a difference is looked at again: a call that was under way ends meanwhile.
constexpr int kLooks = 5;
constexpr std::chrono::milliseconds kBetweenLooks{2};

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

RangeDifference common(const RangeDifference& a, const RangeDifference& b) {
  return {.missing = common(a.missing, b.missing),
          .excess = common(a.excess, b.excess),
          .access = common(a.access, b.access)};
}

/// Everything that rows of Mapped::rows must have in common to be one.
using RowKey = std::tuple<RangeKind, RangeOrigin, RangeMaker, std::string>;

struct Resident {
  uint64_t bytes = 0;
  bool estimated = false;
};

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

void RangeWatch::take_records() {
  for (const at_range_record& record : feed_->take(slot_)) ranges_.apply(record);
}

void RangeWatch::update() {
  take_records();
  ranges_.forget_touched();
}

/// Reads /proc/PID/maps and compares. Nothing if the process is gone.
std::optional<RangeWatch::Look> RangeWatch::look() {
  update();
  auto maps = read_mappings(pid_);
  take_records();
  if (!maps || maps->empty()) return std::nullopt;
  ranges_.adopt_growth(*maps);
  RangeDifference difference = ranges_.untouched(ranges_.compare(*maps));
  return Look{.maps = *std::move(maps), .difference = std::move(difference)};
}

bool RangeWatch::lost_records() {
  const uint64_t lost = feed_->calls(slot_).lost, missed = feed_->missed();
  const bool any = lost != lost_ || missed != missed_;
  lost_ = lost;
  missed_ = missed;
  return any;
}

void RangeWatch::reconcile() {
  check_ = {};
  const bool lost = lost_records();
  auto now = look();
  if (!now) return;
  const bool expected = lost || ranges_.in_doubt() || !checked_before_;
  for (int looks = 1; looks < kLooks && !now->difference.none() && !expected; ++looks) {
    std::this_thread::sleep_for(kBetweenLooks);
    auto again = look();
    if (!again) return;
    again->difference = common(again->difference, now->difference);
    now = std::move(again);
  }
  check_.done = true;
  for (const Mapping& mapping : now->maps) check_.maps_bytes += mapping.end - mapping.start;
  ranges_.grow_old();
  if (expected || !now->difference.none()) put_right(now->difference, now->maps, expected);
  if (lost) ++rebuilds_;
  ranges_.take_names(now->maps);
  checked_before_ = true;
}

/// `expected`: records were lost, a call does not tell what it did, or calls were under way at the attach.
void RangeWatch::put_right(const RangeDifference& difference, const std::vector<Mapping>& maps, bool expected) {
  if (expected) {
    check_.looked_up_bytes = total_bytes(difference.missing) + total_bytes(difference.excess);
  } else {
    check_.missing_bytes = total_bytes(difference.missing);
    check_.excess_bytes = total_bytes(difference.excess);
    check_.access_bytes = total_bytes(difference.access);
  }
  ranges_.repair(difference, maps, checked_before_ ? RangeOrigin::Found : RangeOrigin::BeforeAttach);
}

Mapped RangeWatch::state(const Names& names, std::span<const ResidentPart> resident) const {
  Mapped result;
  std::map<RowKey, Resident> resident_of;
  const uint64_t elsewhere =
      ranges_.share_out(resident, [&](const MappedRange& range, uint64_t bytes, bool estimated) {
        Resident& sum = resident_of[key_of(range)];
        sum.bytes += bytes;
        sum.estimated = sum.estimated || estimated;
      });
  if (!resident.empty()) result.resident_elsewhere_bytes = elsewhere;
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
    row.kind = kind;
    row.origin = origin;
    row.path = path;
    row.standing = amount;
    if (!resident.empty()) {
      const Resident& here = resident_of[key];
      row.resident_bytes = here.bytes;
      row.resident_estimated = here.estimated;
    }
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
