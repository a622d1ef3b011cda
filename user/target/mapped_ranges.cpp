// SPDX-License-Identifier: Apache-2.0
#include "user/target/mapped_ranges.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace alloctrail {
namespace {

constexpr size_t kMaxChanges = 16384;  // 640 KiB; calls that other threads end during one call
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

void MappedRanges::add_change(Change change) {
  if (is_empty(change.at)) return;
  changes_.push_back(change);
  if (changes_.size() <= kMaxChanges) return;
  changes_forgotten_below_ = changes_.front().place + 1;
  changes_.pop_front();
}

/// Of an interval that was mapped or unmapped: certain is what was occupied before. A mapping with MAP_FIXED proves
/// nothing.
void MappedRanges::note(uint64_t place, AddressInterval interval, const std::vector<MappedRange>& removed, bool mapped,
                        bool fixed) {
  uint64_t at = interval.start;
  for (const MappedRange& range : removed) {
    add_change({place, {at, range.start}, mapped, false});
    add_change({place, {range.start, range.end}, mapped, !fixed});
    at = range.end;
  }
  add_change({place, {at, interval.end}, mapped, false});
}

void MappedRanges::for_each_change_since(uint64_t began, AddressInterval interval,
                                         const std::function<void(const Change&)>& visit) {
  if (began < changes_forgotten_below_) doubt();
  const auto first = std::lower_bound(changes_.begin(), changes_.end(), began,
                                      [](const Change& change, uint64_t place) { return change.place < place; });
  for (auto change = first; change != changes_.end(); ++change)
    if (!is_empty(overlap(change->at, interval))) visit(*change);
}

void MappedRanges::forget(const std::vector<MappedRange>& removed) {
  for (const MappedRange& range : removed)
    if (range.origin == RangeOrigin::Call) unmapped_bytes_ += range.bytes();
}

void MappedRanges::occupy(const Call& call, MappedRange range) {
  const AddressInterval interval{range.start, range.end};
  if (is_empty(interval)) return;
  const bool fixed = call.record.flags & AT_RANGE_FIXED;
  bool unordered = false;
  for_each_change_since(call.record.began, interval, [&](const Change& change) {
    // Somebody unmapped it during our call and found nothing there: before it, or after it and we do not know?
    unordered = unordered || fixed || (!change.mapped && !change.certain);
  });
  if (unordered) doubt();
  const std::vector<MappedRange> removed = cut(interval);
  forget(removed);
  note(call.place, interval, removed, true, fixed);
  if (range.origin == RangeOrigin::Call) mapped_bytes_ += range.bytes();
  insert(std::move(range));
}

std::vector<MappedRange> MappedRanges::vacate(const Call& call, AddressInterval interval) {
  std::vector<MappedRange> removed;
  std::vector<AddressInterval> left;
  append(left, interval);
  bool unordered = false;
  for_each_change_since(call.record.began, interval, [&](const Change& change) {
    if (!change.mapped) return;
    if (change.certain) {
      left = without(left, change.at);  // it could only be mapped because we had unmapped it, and so could all after it
      return;
    }
    for (const AddressInterval& one : left) unordered = unordered || !is_empty(overlap(one, change.at));
  });
  if (unordered) doubt();
  for (const AddressInterval& one : left) {
    std::vector<MappedRange> here = cut(one);
    note(call.place, one, here, false, false);
    std::move(here.begin(), here.end(), std::back_inserter(removed));
  }
  return removed;
}

// ---- what each call does ---------------------------------------------------------------------------------------------

void MappedRanges::apply(const at_range_record& record, uint64_t place) {
  const Call call{record, place};
  switch (record.kind) {
    case AT_RANGE_MAP: map(call); break;
    case AT_RANGE_UNMAP: forget(vacate(call, {record.start, record.start + record.bytes})); break;
    case AT_RANGE_REMAP: remap(call); break;
    case AT_RANGE_BREAK: move_break(call); break;
    case AT_RANGE_PROTECT: protect(call); break;
    case AT_RANGE_ADVISE: advise(call); break;
    case AT_RANGE_DETACH: detach(call); break;
    case AT_RANGE_STACK: mark_stack(call); break;
    default: doubt();
  }
}

void MappedRanges::map(const Call& call) {
  const at_range_record& record = call.record;
  if (record.flags & AT_RANGE_SEGMENT) {
    segments_.push_back({record.start, call.maker()});
    doubt();
    return;
  }
  occupy(call, {.start = record.start,
                .end = record.start + record.bytes,
                .area = record.start,
                .maker = call.maker(),
                .origin = RangeOrigin::Call,
                .flags = static_cast<uint16_t>(record.flags & kKept),
                .path = nullptr});
}

void MappedRanges::remap(const Call& call) {
  const at_range_record& record = call.record;
  const AddressInterval from{record.old_start, record.old_start + record.old_bytes};
  const AddressInterval to{record.start, record.start + record.bytes};
  if (record.start != record.old_start || (record.flags & AT_RANGE_KEEPS_OLD)) {
    move(call, from, to);
    return;
  }
  if (to.end < from.end) {
    forget(vacate(call, {to.end, from.end}));
    return;
  }
  const std::vector<MappedRange> stays = within(from);
  if (stays.empty() || stays.back().end != from.end) doubt();
  if (stays.empty()) return;
  MappedRange tail = stays.back();
  tail.start = from.end;
  tail.end = to.end;
  tail.maker = call.maker();
  tail.origin = RangeOrigin::Call;
  tail.flags |= record.flags & AT_RANGE_ALLOCATOR;
  occupy(call, std::move(tail));
}

/// What is moved stays its maker's; what is added, or copied, is the caller's.
void MappedRanges::move(const Call& call, AddressInterval from, AddressInterval to) {
  const bool copies = call.record.flags & AT_RANGE_KEEPS_OLD;
  const std::vector<MappedRange> pieces =
      copies ? within({from.start, from.start + (to.end - to.start)}) : vacate(call, from);
  if (pieces.empty()) doubt();  // it is not known what was moved
  MappedRange whole = pieces.empty() ? MappedRange{.flags = AT_RANGE_ANONYMOUS} : pieces.back();
  whole.start = to.start;
  whole.end = to.end;
  whole.area = to.start;
  whole.maker = call.maker();
  whole.origin = RangeOrigin::Call;
  whole.flags |= call.record.flags & AT_RANGE_ALLOCATOR;
  occupy(call, std::move(whole));
  if (!copies)
    for (const MappedRange& piece : pieces) place_moved(piece, to.start - from.start, to);
}

/// Puts a piece of what was moved to its new place, over what its mover was given there.
void MappedRanges::place_moved(MappedRange piece, uint64_t distance, AddressInterval to) {
  piece.area = to.start;
  piece.start += distance;
  piece.end += distance;
  MappedRange beyond = piece;
  beyond.start = std::max(piece.start, to.end);
  if (beyond.start < beyond.end) forget({beyond});  // it has shrunk as it moved
  piece.end = std::min(piece.end, to.end);
  if (piece.start >= piece.end) return;
  mapped_bytes_ -= piece.bytes();
  cut({piece.start, piece.end});
  insert(std::move(piece));
}

void MappedRanges::move_break(const Call& call) {
  const at_range_record& record = call.record;
  if (last_break_place_ > record.began) doubt();  // two at once: which of them moved it from where?
  last_break_place_ = call.place + 1;
  const uint64_t before = page_up(record.old_start), after = page_up(record.start);
  if (after < before) forget(vacate(call, {after, before}));
  if (after > before)
    occupy(call, {.start = before,
                  .end = after,
                  .area = 0,
                  .maker = call.maker(),
                  .origin = RangeOrigin::Call,
                  .flags = static_cast<uint16_t>(record.flags & kKept),
                  .path = nullptr});
}

void MappedRanges::protect(const Call& call) {
  const AddressInterval interval{call.record.start, call.record.start + call.record.bytes};
  bool unordered = false;
  for_each_change_since(call.record.began, interval, [&](const Change&) { unordered = true; });
  if (unordered) doubt();
  for (MappedRange& range : cut(interval)) {
    range.flags = static_cast<uint16_t>((range.flags & ~AT_RANGE_NO_ACCESS) | (call.record.flags & AT_RANGE_NO_ACCESS));
    insert(std::move(range));
  }
}

void MappedRanges::advise(const Call& call) {
  for (const MappedRange& range : within({call.record.start, call.record.start + call.record.bytes}))
    given_back_bytes_ += range.bytes();
}

void MappedRanges::detach(const Call& call) {
  const uint64_t area = call.record.start;
  std::erase_if(segments_, [&](const Segment& segment) { return segment.start == area; });
  std::vector<AddressInterval> gone;
  for (auto at = ranges_.lower_bound(area); at != ranges_.end() && at->second.area == area; ++at)
    if (at->second.flags & AT_RANGE_SEGMENT) append(gone, {at->second.start, at->second.end});
  if (gone.empty()) doubt();
  for (const AddressInterval& one : gone) forget(vacate(call, one));
}

void MappedRanges::mark_stack(const Call& call) {
  auto at = ranges_.upper_bound(call.record.start);
  if (at == ranges_.begin() || std::prev(at)->second.end <= call.record.start) return;
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
                        .path = nullptr};
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

void MappedRanges::set_flags(std::span<const AddressInterval> intervals, uint16_t flags) {
  for (const AddressInterval& one : intervals)
    for (auto at = ranges_.lower_bound(one.start); at != ranges_.end() && at->first < one.end; ++at)
      at->second.flags |= flags;
}

}  // namespace alloctrail
