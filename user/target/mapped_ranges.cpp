// SPDX-License-Identifier: Apache-2.0
#include "user/target/mapped_ranges.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace alloctrail {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint16_t kKept = AT_RANGE_ANONYMOUS | AT_RANGE_SHARED | AT_RANGE_NO_ACCESS | AT_RANGE_THREAD_STACK |
                           AT_RANGE_GROWS_DOWN | AT_RANGE_ALLOCATOR | AT_RANGE_SEGMENT;

uint64_t page_up(uint64_t address) { return (address + kPageBytes - 1) & ~(kPageBytes - 1); }

AddressInterval overlap(AddressInterval a, AddressInterval b) {
  return {std::max(a.start, b.start), std::min(a.end, b.end)};
}
bool is_empty(AddressInterval interval) { return interval.start >= interval.end; }

/// `from` without `gone`.
std::vector<AddressInterval> without(const std::vector<AddressInterval>& from, AddressInterval gone) {
  std::vector<AddressInterval> left;
  for (const AddressInterval& one : from) {
    const AddressInterval before{one.start, std::min(one.end, gone.start)};
    const AddressInterval after{std::max(one.start, gone.end), one.end};
    if (is_empty(overlap(one, gone))) {
      left.push_back(one);
    } else {
      if (!is_empty(before)) left.push_back(before);
      if (!is_empty(after)) left.push_back(after);
    }
  }
  return left;
}

bool has_access(const Mapping& m) { return m.readable || m.writable || m.executable; }

bool is_kernel_made(const Mapping& m) { return m.path == "[uprobes]"; }

uint16_t flags_of(const Mapping& m) {
  return static_cast<uint16_t>((m.file.inode == 0 ? AT_RANGE_ANONYMOUS : 0u) | (m.shared ? AT_RANGE_SHARED : 0u) |
                               (has_access(m) ? 0u : AT_RANGE_NO_ACCESS));
}

/// Adjacent intervals as one: /proc/PID/maps splits where we do not.
void append(std::vector<AddressInterval>& list, AddressInterval interval) {
  if (is_empty(interval)) return;
  if (!list.empty() && list.back().end == interval.start)
    list.back().end = interval.end;
  else
    list.push_back(interval);
}

bool grows_down(const MappedRange& range) {
  return (range.flags & AT_RANGE_GROWS_DOWN) || (range.path && *range.path == "[stack]");
}

RangeMaker maker_of(const at_range_record& record) { return {record.thread, StackId{record.stack}}; }

bool is_shared(const MappedRange& range) {
  if (range.flags & AT_RANGE_SEGMENT) return true;
  if ((range.flags & AT_RANGE_SHARED) && (range.flags & AT_RANGE_ANONYMOUS)) return true;
  return range.path && names_shared_memory(*range.path);
}

bool can_merge(const MappedRange& a, const MappedRange& b) {
  return a.end == b.start && a.area == b.area && a.maker == b.maker && a.origin == b.origin && a.flags == b.flags &&
         a.path == b.path;
}

}  // namespace

uint64_t total_bytes(std::span<const AddressInterval> intervals) {
  uint64_t sum = 0;
  for (const AddressInterval& one : intervals) sum += one.end - one.start;
  return sum;
}

RangeKind kind_of(const MappedRange& range) {
  const std::string_view path = range.path ? std::string_view(*range.path) : std::string_view();
  if (path == "[stack]") return RangeKind::MainStack;
  if (range.flags & AT_RANGE_ALLOCATOR) return RangeKind::Allocator;
  if (path == "[heap]" && range.origin != RangeOrigin::Call) return RangeKind::Allocator;
  if (range.flags & AT_RANGE_THREAD_STACK) return RangeKind::ThreadStack;
  if (is_shared(range)) return RangeKind::Shared;
  if (!(range.flags & AT_RANGE_ANONYMOUS)) return RangeKind::File;
  if (path.starts_with('[') && !path.starts_with("[anon:") && path != "[heap]") return RangeKind::Special;
  return range.flags & AT_RANGE_NO_ACCESS ? RangeKind::Reserved : RangeKind::Anonymous;
}

// ---- the map itself --------------------------------------------------------------------------------------------------

void MappedRanges::split_at(uint64_t address) {
  auto next = ranges_.upper_bound(address);
  if (next == ranges_.begin()) return;
  MappedRange& range = std::prev(next)->second;
  if (range.start == address || range.end <= address) return;
  MappedRange upper = range;
  upper.start = address;
  range.end = address;
  ranges_.emplace_hint(next, address, std::move(upper));
}

/// Takes an interval out; returns the ranges that lay in it.
std::vector<MappedRange> MappedRanges::cut(AddressInterval interval) {
  std::vector<MappedRange> removed;
  if (is_empty(interval)) return removed;
  split_at(interval.start);
  split_at(interval.end);
  auto at = ranges_.lower_bound(interval.start);
  while (at != ranges_.end() && at->first < interval.end) {
    removed.push_back(std::move(at->second));
    at = ranges_.erase(at);
  }
  return removed;
}

std::vector<MappedRange> MappedRanges::within(AddressInterval interval) const {
  std::vector<MappedRange> found;
  auto at = ranges_.upper_bound(interval.start);
  if (at != ranges_.begin()) --at;
  for (; at != ranges_.end() && at->first < interval.end; ++at) {
    MappedRange part = at->second;
    part.start = std::max(part.start, interval.start);
    part.end = std::min(part.end, interval.end);
    if (part.start < part.end) found.push_back(std::move(part));
  }
  return found;
}

/// The place is free.
void MappedRanges::insert(MappedRange range) {
  if (range.start >= range.end) return;
  const auto next = ranges_.lower_bound(range.start);
  if (next != ranges_.begin() && can_merge(std::prev(next)->second, range)) {
    std::prev(next)->second.end = range.end;
    return;
  }
  ranges_.emplace_hint(next, range.start, std::move(range));
}

// ---- the order of calls ----------------------------------------------------------------------------------------------

void MappedRanges::doubt() {
  in_doubt_ = true;
  ++doubts_;
}

void MappedRanges::forget(const std::vector<MappedRange>& removed) {
  for (const MappedRange& range : removed)
    if (range.origin == RangeOrigin::Call) unmapped_bytes_ += range.bytes();
}

void MappedRanges::occupy(const at_range_record& record, MappedRange range) {
  if (range.start >= range.end) return;
  touched_.push_back({range.start, range.end});
  for (MappedRange& old : cut({range.start, range.end})) {
    const bool leaves = !(record.flags & AT_RANGE_FIXED) && !old.looked_up;
    forget({old});
    if (leaves) leaving_.push_back({std::move(old)});
  }
  if (range.origin == RangeOrigin::Call) mapped_bytes_ += range.bytes();
  insert(std::move(range));
}

/// What of an interval has been leaving comes first, once each byte; the rest stays in `interval`.
std::vector<MappedRange> MappedRanges::take_leaving(std::vector<AddressInterval>& interval) {
  std::vector<MappedRange> taken;
  std::vector<Leaving> stay;
  for (const Leaving& leaving : leaving_) {
    std::vector<AddressInterval> rest = {{leaving.range.start, leaving.range.end}};
    for (const AddressInterval& wanted : std::vector(interval)) {
      const AddressInterval both = overlap(wanted, {leaving.range.start, leaving.range.end});
      if (is_empty(both)) continue;
      taken.push_back(leaving.range);
      taken.back().start = both.start;
      taken.back().end = both.end;
      interval = without(interval, both);
      rest = without(rest, both);
    }
    for (const AddressInterval& one : rest) {
      stay.push_back(leaving);
      stay.back().range.start = one.start;
      stay.back().range.end = one.end;
    }
  }
  leaving_ = std::move(stay);
  return taken;
}

/// The ranges that a call has unmapped. Those that were leaving count as unmapped already.
std::vector<MappedRange> MappedRanges::vacate(AddressInterval interval) {
  std::vector<AddressInterval> left;
  append(left, interval);
  touched_.push_back(interval);
  std::vector<MappedRange> removed;
  if (!leaving_.empty()) removed = take_leaving(left);
  for (const AddressInterval& one : left) {
    std::vector<MappedRange> here = cut(one);
    forget(here);
    std::move(here.begin(), here.end(), std::back_inserter(removed));
  }
  return removed;
}

void MappedRanges::grow_old() {
  std::erase_if(leaving_, [](const Leaving& leaving) { return leaving.old; });
  for (Leaving& leaving : leaving_) leaving.old = true;
  for (auto& [start, range] : ranges_) range.looked_up = false;
}

// ---- what each call does ---------------------------------------------------------------------------------------------

void MappedRanges::apply(const at_range_record& record) {
  switch (record.kind) {
    case AT_RANGE_MAP: map(record); break;
    case AT_RANGE_UNMAP: vacate({record.start, record.start + record.bytes}); break;
    case AT_RANGE_REMAP: remap(record); break;
    case AT_RANGE_BREAK: move_break(record); break;
    case AT_RANGE_PROTECT: protect(record); break;
    case AT_RANGE_ADVISE: advise(record); break;
    case AT_RANGE_DETACH: detach(record); break;
    case AT_RANGE_STACK: mark_stack(record); break;
    default: doubt();
  }
}

void MappedRanges::map(const at_range_record& record) {
  if (record.flags & AT_RANGE_SEGMENT) {
    segments_.push_back({record.start, maker_of(record)});
    doubt();
    return;
  }
  occupy(record, {.start = record.start,
                  .end = record.start + record.bytes,
                  .area = record.start,
                  .maker = maker_of(record),
                  .flags = static_cast<uint16_t>(record.flags & kKept)});
}

void MappedRanges::remap(const at_range_record& record) {
  const AddressInterval from{record.old_start, record.old_start + record.old_bytes};
  const AddressInterval to{record.start, record.start + record.bytes};
  if (record.start != record.old_start || (record.flags & AT_RANGE_KEEPS_OLD)) {
    move(record, from, to);
    return;
  }
  if (to.end < from.end) {
    vacate({to.end, from.end});
    return;
  }
  const std::vector<MappedRange> stays = within(from);
  if (stays.empty() || stays.back().end != from.end) doubt();
  if (stays.empty()) return;
  MappedRange tail = stays.back();
  tail.start = from.end;
  tail.end = to.end;
  tail.maker = maker_of(record);
  tail.origin = RangeOrigin::Call;
  tail.flags |= record.flags & AT_RANGE_ALLOCATOR;
  occupy(record, std::move(tail));
}

/// What is moved stays its maker's; what is added, or copied, is the caller's.
void MappedRanges::move(const at_range_record& record, AddressInterval from, AddressInterval to) {
  const bool copies = record.flags & AT_RANGE_KEEPS_OLD;
  const std::vector<MappedRange> pieces =
      copies ? within({from.start, from.start + (to.end - to.start)}) : vacate(from);
  if (pieces.empty()) doubt();  // it is not known what was moved
  MappedRange whole = pieces.empty() ? MappedRange{.flags = AT_RANGE_ANONYMOUS} : pieces.back();
  whole.start = to.start;
  whole.end = to.end;
  whole.area = to.start;
  whole.maker = maker_of(record);
  whole.origin = RangeOrigin::Call;
  whole.flags |= record.flags & AT_RANGE_ALLOCATOR;
  occupy(record, std::move(whole));
  if (!copies)
    for (const MappedRange& piece : pieces) place_moved(piece, to.start - from.start, to);
}

/// Puts a piece of what was moved to its new place, over what its mover was given there. It counts as unmapped by now:
/// that is taken back as far as it is still there.
void MappedRanges::place_moved(MappedRange piece, uint64_t distance, AddressInterval to) {
  piece.area = to.start;
  piece.start += distance;
  piece.end = std::min(piece.end + distance, to.end);
  if (piece.start >= piece.end) return;
  mapped_bytes_ -= piece.bytes();
  if (piece.origin == RangeOrigin::Call) unmapped_bytes_ -= piece.bytes();
  cut({piece.start, piece.end});
  insert(std::move(piece));
}

/// The heap reaches from its base to the break, whatever it was before.
void MappedRanges::move_break(const at_range_record& record) {
  const uint64_t base = page_up(record.old_start), after = page_up(record.start);
  uint64_t before = base;
  for (auto at = ranges_.lower_bound(base); at != ranges_.end() && at->second.area == 0; ++at) before = at->second.end;
  if (after < before) vacate({after, before});
  if (after > before)
    occupy(record, {.start = before,
                    .end = after,
                    .area = 0,
                    .maker = maker_of(record),
                    .flags = static_cast<uint16_t>(record.flags & kKept)});
}

void MappedRanges::protect(const at_range_record& record) {
  touched_.push_back({record.start, record.start + record.bytes});
  for (MappedRange& range : cut({record.start, record.start + record.bytes})) {
    range.flags = static_cast<uint16_t>((range.flags & ~AT_RANGE_NO_ACCESS) | (record.flags & AT_RANGE_NO_ACCESS));
    insert(std::move(range));
  }
}

void MappedRanges::advise(const at_range_record& record) {
  for (const MappedRange& range : within({record.start, record.start + record.bytes})) given_back_bytes_ += range.bytes();
}

void MappedRanges::detach(const at_range_record& record) {
  const uint64_t area = record.start;
  std::erase_if(segments_, [&](const Segment& segment) { return segment.start == area; });
  std::vector<AddressInterval> gone;
  for (auto at = ranges_.lower_bound(area); at != ranges_.end() && at->second.area == area; ++at)
    if (at->second.flags & AT_RANGE_SEGMENT) append(gone, {at->second.start, at->second.end});
  if (gone.empty()) doubt();
  for (const AddressInterval& one : gone) vacate(one);
}

void MappedRanges::mark_stack(const at_range_record& record) {
  auto at = ranges_.upper_bound(record.start);
  if (at == ranges_.begin() || std::prev(at)->second.end <= record.start) return;
  const auto inside = std::prev(at);
  const uint64_t area = inside->second.area;
  if (area == 0 || grows_down(inside->second)) return;
  for (auto part = inside; part->second.area == area; --part) {
    part->second.flags |= AT_RANGE_THREAD_STACK;
    if (part == ranges_.begin()) break;
  }
  for (; at != ranges_.end() && at->second.area == area; ++at) at->second.flags |= AT_RANGE_THREAD_STACK;
}

// ---- /proc/PID/maps --------------------------------------------------------------------------------------------------

RangeDifference MappedRanges::compare(std::span<const Mapping> maps) const {
  RangeDifference result;
  auto range = ranges_.begin();
  uint64_t range_from = range == ranges_.end() ? 0 : range->second.start;
  const auto next_range = [&] {
    ++range;
    range_from = range == ranges_.end() ? 0 : range->second.start;
  };
  for (const Mapping& mapping : maps) {
    uint64_t at = mapping.start;
    while (range != ranges_.end() && range_from < mapping.end) {
      const uint64_t range_end = range->second.end;
      append(result.excess, {range_from, std::min(range_end, at)});
      if (range_end > at) {
        const uint64_t shared_from = std::max(range_from, at), shared_to = std::min(range_end, mapping.end);
        append(result.missing, {at, shared_from});
        const bool ours = !(range->second.flags & AT_RANGE_NO_ACCESS);
        if (ours != has_access(mapping)) append(result.access, {shared_from, shared_to});
        at = shared_to;
      }
      if (range_end > mapping.end) {
        range_from = mapping.end;
        break;
      }
      next_range();
    }
    append(result.missing, {at, mapping.end});
  }
  for (; range != ranges_.end(); next_range()) append(result.excess, {range_from, range->second.end});
  return result;
}

RangeDifference MappedRanges::untouched(RangeDifference difference) const {
  for (const AddressInterval& place : touched_)
    for (auto* list : {&difference.missing, &difference.excess, &difference.access}) *list = without(*list, place);
  return difference;
}

void MappedRanges::adopt_growth(std::span<const Mapping> maps) {
  for (const Mapping& mapping : maps) {
    if (is_kernel_made(mapping)) {
      if (within({mapping.start, mapping.end}).empty())
        insert({.start = mapping.start,
                .end = mapping.end,
                .area = mapping.start,
                .maker = {},
                .origin = RangeOrigin::BeforeAttach,
                .flags = flags_of(mapping),
                .path = std::make_shared<const std::string>(mapping.path)});
      continue;
    }
    const auto first = ranges_.lower_bound(mapping.start);
    if (first == ranges_.end() || first->first <= mapping.start || first->first >= mapping.end) continue;
    if (!grows_down(first->second)) continue;
    const bool free = first == ranges_.begin() || std::prev(first)->second.end <= mapping.start;
    if (!free) continue;
    MappedRange grown = std::move(first->second);
    ranges_.erase(first);
    if (grown.origin == RangeOrigin::Call) mapped_bytes_ += grown.start - mapping.start;
    grown.start = mapping.start;
    insert(std::move(grown));
  }
}

void MappedRanges::repair(const RangeDifference& difference, std::span<const Mapping> maps, RangeOrigin origin) {
  for (const AddressInterval& one : difference.excess) forget(cut(one));
  size_t next = 0;
  for (const AddressInterval& one : difference.missing) {
    while (next < maps.size() && maps[next].end <= one.start) ++next;
    for (size_t i = next; i < maps.size() && maps[i].start < one.end; ++i) {
      const AddressInterval part = overlap(one, {maps[i].start, maps[i].end});
      MappedRange range{.start = part.start,
                        .end = part.end,
                        .area = maps[i].path == "[heap]" ? 0 : maps[i].start,
                        .maker = {},
                        .origin = origin,
                        .flags = flags_of(maps[i]),
                        .looked_up = true};
      const auto segment = std::find_if(segments_.begin(), segments_.end(),
                                        [&](const Segment& known) { return known.start == part.start; });
      if (segment != segments_.end()) {
        range.maker = segment->maker;
        range.origin = RangeOrigin::Call;
        range.flags |= AT_RANGE_SEGMENT;
        mapped_bytes_ += range.bytes();
      }
      insert(std::move(range));
    }
  }
  for (const AddressInterval& one : difference.access)
    for (MappedRange& range : cut(one)) {
      range.flags ^= AT_RANGE_NO_ACCESS;
      insert(std::move(range));
    }
  segments_.clear();
  in_doubt_ = false;
}

void MappedRanges::take_names(std::span<const Mapping> maps) {
  auto range = ranges_.begin();
  std::shared_ptr<const std::string> last;
  for (const Mapping& mapping : maps) {
    if (mapping.path.empty()) {
      last = nullptr;
    } else if (!last || *last != mapping.path) {
      last = std::make_shared<const std::string>(mapping.path);
    }
    while (range != ranges_.end() && range->second.end <= mapping.start) ++range;
    for (; range != ranges_.end() && range->second.start < mapping.end; ++range) {
      MappedRange& named = range->second;
      if (!last || !named.path || *named.path != *last) named.path = last;
      if (mapping.path.starts_with("/SYSV")) named.flags |= AT_RANGE_SEGMENT;
      if (named.end > mapping.end) break;
    }
  }
}

uint64_t MappedRanges::share_out(
    std::span<const ResidentPart> parts,
    const std::function<void(const MappedRange&, uint64_t bytes, bool estimated)>& take) const {
  uint64_t elsewhere = 0;
  auto range = ranges_.begin();
  for (const ResidentPart& part : parts) {
    const AddressInterval interval{part.start, part.end};
    while (range != ranges_.end() && range->second.end <= part.start) ++range;
    std::vector<std::pair<const MappedRange*, uint64_t>> holders;
    uint64_t accessible = 0;
    for (auto at = range; at != ranges_.end() && at->second.start < part.end; ++at) {
      const AddressInterval both = overlap(interval, {at->second.start, at->second.end});
      if (at->second.flags & AT_RANGE_NO_ACCESS) continue;
      holders.push_back({&at->second, both.end - both.start});
      accessible += both.end - both.start;
    }
    if (holders.empty()) {
      elsewhere += part.bytes;
      continue;
    }
    uint64_t left = part.bytes;
    for (size_t i = 0; i < holders.size(); ++i) {
      const double share = static_cast<double>(holders[i].second) / static_cast<double>(accessible);
      const auto bytes = i + 1 == holders.size()
                             ? left
                             : std::min(left, static_cast<uint64_t>(static_cast<double>(part.bytes) * share));
      take(*holders[i].first, bytes, holders.size() > 1);
      left -= bytes;
    }
  }
  return elsewhere;
}

void MappedRanges::set_flags(std::span<const AddressInterval> intervals, uint16_t flags) {
  for (const AddressInterval& one : intervals)
    for (auto at = ranges_.lower_bound(one.start); at != ranges_.end() && at->first < one.end; ++at)
      at->second.flags |= flags;
}

}  // namespace alloctrail
