// SPDX-License-Identifier: Apache-2.0
#include "user/trace/unwind_planner.h"

#include <sys/auxv.h>

#include <algorithm>
#include <cstring>
#include <span>

namespace alloctrail {
namespace {

/// The kernel gives every 64-bit process the same vdso: ours stands for the target's.
std::span<const std::byte> own_vdso(uint64_t size_bytes) {
  const auto* start = reinterpret_cast<const std::byte*>(getauxval(AT_SYSINFO_EHDR));
  return start == nullptr ? std::span<const std::byte>() : std::span(start, size_bytes);
}

Result<UnwindTable> table_of(const UnwindCache& cache, Tgid pid, const Mapping& mapping) {
  if (mapping.path == "[vdso]") return compile_unwind_table(own_vdso(mapping.end - mapping.start), mapping.path);
  auto fd = open_mapped_file(pid, mapping);
  if (!fd) return std::move(fd).error();
  return cache.table_of(fd->get(), mapping.path);
}

/// A return address in the return probes' trampoline is not where the call returns to: the walk repairs it, provided that
/// the address lies in no mapping.
bool belongs_to_kernel(const Mapping& mapping) { return mapping.path == "[vsyscall]" || mapping.path == "[uprobes]"; }

bool has_tables(const Mapping& mapping) { return mapping.file.inode != 0 || mapping.path == "[vdso]"; }

/// As many as the kernel side takes, those with rules first: JITs and the like may have thousands of others. Returns how
/// many had to go.
size_t cut_to_limit(std::vector<at_unwind_mapping>& mappings) {
  if (mappings.size() <= AT_UNWIND_MAX_MAPPINGS) return 0;
  const size_t excess = mappings.size() - AT_UNWIND_MAX_MAPPINGS;
  std::stable_partition(mappings.begin(), mappings.end(), [](const auto& one) { return one.block_count > 0; });
  mappings.resize(AT_UNWIND_MAX_MAPPINGS);
  std::sort(mappings.begin(), mappings.end(), [](const auto& a, const auto& b) { return a.start < b.start; });
  return excess;
}

}  // namespace

const UnwindPlanner::File& UnwindPlanner::file_of(Tgid pid, const Mapping& mapping) {
  const auto [entry, is_new] = files_.try_emplace(mapping.file);
  File& file = entry->second;
  if (!is_new) return file;
  file.number = static_cast<uint32_t>(files_.size());
  auto table = table_of(cache_, pid, mapping);
  if (!table) return file;
  if (auto pooled = tracer_.add_unwind_table(*table)) file.pooled = *pooled;
  file.table = *std::move(table);
  file.table.rows = {};
  file.table.blocks = {};
  return file;
}

at_unwind_mapping UnwindPlanner::describe(Tgid pid, const Mapping& mapping) {
  at_unwind_mapping result{};
  result.start = mapping.start;
  result.end = mapping.end;
  if (!has_tables(mapping)) return result;
  const File& file = file_of(pid, mapping);
  const auto bias = mapping_bias(file.table, mapping.start, mapping.file_offset);
  if (!bias) return result;
  result.bias = *bias;
  result.first_block = file.pooled.first_block;
  result.block_count = file.pooled.block_count;
  result.file = file.number;
  return result;
}

Result<std::vector<Mapping>> UnwindPlanner::refresh(Slot slot, Tgid pid) {
  const std::lock_guard lock(mutex_);
  pids_[slot] = pid;
  return read_and_publish(slot, pid);
}

void UnwindPlanner::refresh_announced(Slot slot) {
  const std::lock_guard lock(mutex_);
  const auto known = pids_.find(slot);
  if (known != pids_.end()) (void)read_and_publish(slot, known->second);
}

Status UnwindPlanner::keep_for_good(Slot slot) {
  const std::lock_guard lock(mutex_);
  lasting_[slot] = published_[slot];
  auto published = read_and_publish(slot, pids_[slot]);
  return published ? ok() : Status(std::move(published).error());
}

void UnwindPlanner::forget(Slot slot) {
  const std::lock_guard lock(mutex_);
  tracer_.forget_mappings(slot);
  pids_.erase(slot);
  published_.erase(slot);
  lasting_.erase(slot);
  left_out_.erase(slot);
}

size_t UnwindPlanner::left_out(Slot slot) {
  const std::lock_guard lock(mutex_);
  return left_out_[slot];
}

/// Under the lock from the reading on: an older list must not be published after a newer one.
Result<std::vector<Mapping>> UnwindPlanner::read_and_publish(Slot slot, Tgid pid) {
  const uint32_t loads = tracer_.loads(slot);
  auto mappings = read_mappings(pid);
  if (!mappings) return mappings;
  if (auto published = publish(slot, pid, *mappings, loads); !published) return std::move(published).error();
  return mappings;
}

Status UnwindPlanner::publish(Slot slot, Tgid pid, const std::vector<Mapping>& mappings, uint32_t loads) {
  std::vector<at_unwind_mapping> described;
  std::set<FileKey>& published = published_[slot];
  const std::set<FileKey>& lasting = lasting_[slot];
  published.clear();
  for (const Mapping& mapping : mappings) {
    if (!mapping.executable || belongs_to_kernel(mapping)) continue;
    at_unwind_mapping& result = described.emplace_back(describe(pid, mapping));
    published.insert(mapping.file);
    if (!lasting.contains(mapping.file)) result.flags |= AT_UNWIND_UNLOADABLE;
  }
  left_out_[slot] = cut_to_limit(described);
  return tracer_.publish_mappings(slot, described, loads);
}

}  // namespace alloctrail
