// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/mapped_table.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "user/analysis/allocator_frames.h"

namespace alloctrail {
namespace {

/// Between the system call's wrapper and the allocator's entry lie frames of the C library, and of the allocator's own
/// library if it has one; behind that the program begins.
bool comes_from_allocator(const Stack& stack) {
  for (const Frame& frame : stack.frames) {
    if (is_allocator_frame(frame)) return true;
    if (frame.module != stack.frames[0].module) return false;
  }
  return false;
}

}  // namespace

RangeKind kind_of(const MappingRow& row, const Snapshot& snapshot) {
  const bool undecided = row.kind == RangeKind::Anonymous || row.kind == RangeKind::Reserved;
  return undecided && row.stack && comes_from_allocator(snapshot.stacks[*row.stack]) ? RangeKind::Allocator : row.kind;
}

std::optional<MappedView> mapped_view(const Snapshot& snapshot, std::optional<Tid> only_tid) {
  if (!snapshot.mapped) return std::nullopt;
  const Mapped& mapped = *snapshot.mapped;
  MappedView view;
  std::map<RangeKind, MappedKindRow> kinds;
  for (size_t i = 0; i < mapped.rows.size(); ++i) {
    const MappingRow& row = mapped.rows[i];
    const RangeKind kind = kind_of(row, snapshot);
    MappedKindRow& sum = kinds[kind];
    sum.kind = kind;
    sum.all += row.standing;
    view.all += row.standing;
    view.with_resident = view.with_resident || row.resident_bytes;
    sum.resident_bytes += row.resident_bytes.value_or(0);
    if (row.origin == RangeOrigin::Call) {
      sum.since += row.standing;
      view.since += row.standing;
      sum.resident_since_bytes += row.resident_bytes.value_or(0);
    }
    if (!only_tid || (row.origin == RangeOrigin::Call && row.tid == *only_tid)) view.rows.push_back({i, kind});
  }
  for (const auto& [kind, sum] : kinds) view.kinds.push_back(sum);
  std::sort(view.rows.begin(), view.rows.end(), [&](const MappedRow& a, const MappedRow& b) {
    const auto rank = [&](const MappedRow& one) {
      const MappingRow& row = mapped.rows[one.row];
      return std::tuple(row.origin != RangeOrigin::Call, ~row.standing.bytes, one.row);
    };
    return rank(a) < rank(b);
  });
  view.balanced = mapped.mapped_bytes == view.since.bytes + mapped.unmapped_bytes;
  return view;
}

const char* name_of(RangeKind kind) {
  switch (kind) {
    case RangeKind::Anonymous: return "anonymous";
    case RangeKind::Reserved: return "reserved";
    case RangeKind::Allocator: return "allocator";
    case RangeKind::ThreadStack: return "thread_stack";
    case RangeKind::MainStack: return "main_stack";
    case RangeKind::File: return "file";
    case RangeKind::Shared: return "shared";
    case RangeKind::Special: return "special";
  }
  return "";
}

const char* name_of(RangeOrigin origin) {
  switch (origin) {
    case RangeOrigin::Call: return "call";
    case RangeOrigin::BeforeAttach: return "before_attach";
    case RangeOrigin::Found: return "found";
  }
  return "";
}

}  // namespace alloctrail
