// SPDX-License-Identifier: Apache-2.0
#include "user/target/residence.h"

#include <algorithm>
#include <set>
#include <string>

#include "user/target/memory_status.h"
#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

constexpr uint64_t kArenaBytes = 64u << 20;  // HEAP_MAX_SIZE of glibc on 64-bit, malloc/arena.c
constexpr uint64_t kUsualStackBytes = 8u << 20;
constexpr int64_t kShareOfTime = 100;
constexpr size_t kMaxSyscallBytes = 256;
constexpr size_t kMaxModeBytes = 16;
constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kHugePageBytes = 2u << 20;

bool is_anonymous(const Mapping& m) {
  return m.file.inode == 0 && (m.path.empty() || m.path.starts_with("[anon:"));
}
bool no_access(const Mapping& m) {
  return !m.readable && !m.writable && !m.executable;
}

/// Names that allocators give their memory with PR_SET_VMA_ANON_NAME: "[anon: glibc: malloc arena]",
/// "[anon:jemalloc_pg]" ...
bool is_named_by_allocator(const Mapping& m) {
  if (!m.path.starts_with("[anon:")) return false;
  for (const std::string_view name : {"malloc", "scudo", "mi_", "mimalloc"})
    if (m.path.find(name) != std::string::npos) return true;
  return false;
}

/// Room for an arena's heap is mapped without access and with MAP_NORESERVE, trimmed to exactly its largest size at a
/// multiple of it, and opened from its start as it is needed. A program's own map may lie like that, but not flagged so;
/// without flags the place must do, and a stack's guard above may be one range with the rest.
bool is_arena(const std::vector<ResidentRange>& ranges, size_t at, ReserveFlags flags) {
  const auto flagged = [&](size_t i) { return flags == ReserveFlags::Dropped || ranges[i].no_reserve; };
  const Mapping& m = ranges[at].mapping;
  if (m.start % kArenaBytes != 0 || !m.writable || m.end - m.start > kArenaBytes || !flagged(at)) return false;
  const uint64_t end = m.start + kArenaBytes;
  if (m.end == end) return true;
  if (at + 1 == ranges.size()) return false;
  const Mapping& next = ranges[at + 1].mapping;
  const bool ends_there = flags == ReserveFlags::Kept ? next.end == end : next.end >= end;
  return is_anonymous(next) && no_access(next) && next.start == m.end && ends_there && flagged(at + 1);
}

bool has_guard(const std::vector<ResidentRange>& ranges, size_t at) {
  if (at == 0) return false;
  const Mapping& below = ranges[at - 1].mapping;
  return is_anonymous(below) && no_access(below) && below.end == ranges[at].mapping.start;
}

/// The sizes of ranges that are stacks for certain; of these the others are told.
std::set<uint64_t> stack_sizes(const std::vector<ResidentRange>& ranges, const std::vector<uint64_t>& pointers) {
  std::set<uint64_t> out = {kUsualStackBytes};
  for (size_t i = 0; i < ranges.size(); ++i) {
    const Mapping& m = ranges[i].mapping;
    const auto inside = std::ranges::lower_bound(pointers, m.start);
    if (inside != pointers.end() && *inside < m.end && is_anonymous(m) && has_guard(ranges, i))
      out.insert(m.end - m.start);
  }
  return out;
}

ResidentKind kind_of(const std::vector<ResidentRange>& ranges, size_t at, const std::vector<uint64_t>& pointers,
                  const std::set<uint64_t>& sizes, ReserveFlags flags) {
  const Mapping& m = ranges[at].mapping;
  if (m.path == "[heap]") return ResidentKind::BrkHeap;
  if (m.path == "[stack]" || ranges[at].grows_down) return ResidentKind::MainStack;
  if (names_shared_memory(m.path) || (m.shared && m.file.inode == 0)) return ResidentKind::Shared;
  if (m.file.inode != 0) return ResidentKind::File;
  if (is_named_by_allocator(m)) return ResidentKind::NamedAllocator;
  if (!is_anonymous(m)) return ResidentKind::Special;
  if (is_arena(ranges, at, flags)) return ResidentKind::Arena;
  const auto inside = std::ranges::lower_bound(pointers, m.start);
  const bool used_as_stack = inside != pointers.end() && *inside < m.end;
  const bool looks_like_stack = m.writable && has_guard(ranges, at) && sizes.contains(m.end - m.start);
  return used_as_stack || looks_like_stack ? ResidentKind::ThreadStack : ResidentKind::OtherAnonymous;
}

uint64_t Residence::*figure_of(ResidentKind kind) {
  switch (kind) {
    case ResidentKind::BrkHeap:
      return &Residence::brk_heap;
    case ResidentKind::Arena:
      return &Residence::arenas;
    case ResidentKind::NamedAllocator:
      return &Residence::named_allocator;
    case ResidentKind::ThreadStack:
      return &Residence::thread_stacks;
    case ResidentKind::MainStack:
      return &Residence::main_stack;
    case ResidentKind::File:
      return &Residence::file;
    case ResidentKind::Shared:
      return &Residence::shared;
    case ResidentKind::Special:
      return &Residence::special;
    case ResidentKind::OtherAnonymous:
    case ResidentKind::Unknown:
      break;
  }
  return &Residence::other_anonymous;
}

/// What a page of the range has on the average.
uint64_t mean_page_bytes(const ResidentBytes& bytes) {
  if (bytes.anon_huge == 0 || bytes.rss < bytes.anon_huge) return kPageBytes;
  const uint64_t pages = bytes.anon_huge / kHugePageBytes + (bytes.rss - bytes.anon_huge) / kPageBytes;
  return pages == 0 ? kPageBytes : bytes.rss / pages;
}

ReserveFlags reserve_flags() {
  const auto mode = read_small_file("/proc/sys/vm/overcommit_memory", kMaxModeBytes);
  return mode && mode->starts_with('2') ? ReserveFlags::Dropped : ReserveFlags::Kept;
}

std::vector<uint64_t> read_stack_pointers(Tgid pid) {
  const std::string tasks = proc_path(static_cast<pid_t>(raw(pid)), "task");
  std::vector<uint64_t> out;
  for (const pid_t id : numbered_entries(tasks)) {
    const auto text = read_small_file(tasks + "/" + std::to_string(id) + "/syscall", kMaxSyscallBytes);
    if (const auto pointer = text ? parse_stack_pointer(*text) : std::nullopt) out.push_back(*pointer);
  }
  return out;
}

}  // namespace

std::vector<ResidentKind> kinds_of(const std::vector<ResidentRange>& ranges, std::vector<uint64_t> stack_pointers,
                                ReserveFlags flags) {
  std::ranges::sort(stack_pointers);
  const std::set<uint64_t> sizes = stack_sizes(ranges, stack_pointers);
  std::vector<ResidentKind> kinds;
  kinds.reserve(ranges.size());
  for (size_t i = 0; i < ranges.size(); ++i) kinds.push_back(kind_of(ranges, i, stack_pointers, sizes, flags));
  return kinds;
}

Residence residence_of(const std::vector<ResidentRange>& ranges, const std::vector<ResidentKind>& kinds) {
  Residence out;
  for (size_t i = 0; i < ranges.size(); ++i) {
    out.*figure_of(kinds[i]) += ranges[i].bytes.rss;
    out.huge_bytes += ranges[i].bytes.anon_huge;
    if (no_access(ranges[i].mapping)) out.reserved_bytes += ranges[i].mapping.end - ranges[i].mapping.start;
  }
  out.ranges = ranges.size();
  return out;
}

Residence residence_of(const std::vector<ResidentRange>& ranges, std::vector<uint64_t> stack_pointers,
                       ReserveFlags flags) {
  return residence_of(ranges, kinds_of(ranges, std::move(stack_pointers), flags));
}

OlderRanges classify_older(const std::vector<Mapping>& maps, Tgid pid) {
  std::vector<ResidentRange> ranges;
  for (const Mapping& mapping : maps) ranges.push_back({.mapping = mapping, .bytes = {}});
  // maps has no flags.
  const std::vector<ResidentKind> kinds = kinds_of(ranges, read_stack_pointers(pid), ReserveFlags::Dropped);
  OlderRanges out;
  for (size_t i = 0; i < ranges.size(); ++i) {
    const Mapping& m = ranges[i].mapping;
    const ResidentKind kind = kinds[i];
    if (kind == ResidentKind::BrkHeap || kind == ResidentKind::NamedAllocator) out.allocators.push_back({m.start, m.end});
    if (kind == ResidentKind::Arena) {
      const bool followed = i + 1 < ranges.size() && no_access(maps[i + 1]) && maps[i + 1].start == m.end;
      out.allocators.push_back({m.start, followed ? maps[i + 1].end : m.end});
    }
    if (kind == ResidentKind::ThreadStack)
      out.thread_stacks.push_back({has_guard(ranges, i) ? maps[i - 1].start : m.start, m.end});
  }
  return out;
}

/// "NUMBER ARG*6 SP PC", "-1 SP PC" outside of a system call, or "running".
std::optional<uint64_t> parse_stack_pointer(std::string_view text) {
  const size_t counter = text.rfind(" 0x");
  if (counter == std::string_view::npos || counter == 0) return std::nullopt;
  const size_t pointer = text.rfind(" 0x", counter - 1);
  if (pointer == std::string_view::npos) return std::nullopt;
  return leading_number(text.substr(pointer + 3), 16);
}

std::optional<Residence> ResidenceReader::get(Tgid pid, std::chrono::nanoseconds now) {
  if (now < next_) return latest_;
  const auto begin = std::chrono::steady_clock::now();
  std::vector<ResidentRange> ranges;
  const auto status = read_memory_status(pid);
  const auto read = read_smaps(pid, [&](const ResidentRange& range) { ranges.push_back(range); });
  if (status && read && !ranges.empty()) {
    const std::vector<ResidentKind> kinds = kinds_of(ranges, read_stack_pointers(pid), reserve_flags());
    latest_ = residence_of(ranges, kinds);
    ranges_.clear();
    parts_.clear();
    for (size_t i = 0; i < ranges.size(); ++i) {
      const Mapping& mapping = ranges[i].mapping;
      ranges_.push_back({mapping.start, mapping.end, kinds[i], mean_page_bytes(ranges[i].bytes)});
      parts_.push_back({mapping.start, mapping.end, ranges[i].bytes.rss});
    }
    latest_->vm_rss_bytes = status->vm_rss_bytes;
    latest_->read_at = now;
  }
  next_ = now + kShareOfTime * (std::chrono::steady_clock::now() - begin);
  return latest_;
}

const KnownRange* ResidenceReader::range_at(uint64_t address) const {
  const auto after = std::ranges::upper_bound(ranges_, address, {}, &KnownRange::start);
  if (after == ranges_.begin() || address >= std::prev(after)->end) return nullptr;
  return &*std::prev(after);
}

}  // namespace alloctrail
