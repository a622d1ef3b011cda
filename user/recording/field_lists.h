// SPDX-License-Identifier: Apache-2.0
// The fields of every value that is recorded, in the order of their numbers in the file: the writer and the reader both
// walk these lists. A structure that gains a member does not compile until its list names it; new members are named last,
// so that older recordings stay readable.
#pragma once

#include <bit>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "user/model/oom_report.h"
#include "user/model/snapshot.h"

namespace alloctrail {

/// `T` or `const T`.
template <class Candidate, class T>
concept Is = std::is_same_v<std::remove_const_t<Candidate>, T>;

auto fields(Is<Amount> auto& value) {
  auto& [bytes, blocks] = value;
  return std::tie(bytes, blocks);
}

auto fields(Is<Frame> auto& value) {
  auto& [address, function, module, module_offset, file, line, inlined] = value;
  return std::tie(address, function, module, module_offset, file, line, inlined);
}

auto fields(Is<SampledPart> auto& value) {
  auto& [samples, bytes, blocks, bytes_variance, blocks_variance] = value;
  return std::tie(samples, bytes, blocks, bytes_variance, blocks_variance);
}

auto fields(Is<Sampled> auto& value) {
  auto& [allocated, freed, older] = value;
  return std::tie(allocated, freed, older);
}

auto fields(Is<Sampling> auto& value) {
  auto& [rate, highest_rate, recorded_allocated, recorded_freed] = value;
  return std::tie(rate, highest_rate, recorded_allocated, recorded_freed);
}

auto fields(Is<Thread> auto& value) {
  auto& [tid, name, alive, allocated, freed, older, sampled, touched] = value;
  return std::tie(tid, name, alive, allocated, freed, older, sampled, touched);
}

auto fields(Is<Probe> auto& value) {
  auto& [function, module, offset, kind, site, hits] = value;
  return std::tie(function, module, offset, kind, site, hits);
}

auto fields(Is<MemoryStatus> auto& value) {
  auto& [peak, size, lck, pin, hwm, rss, anon, file, shmem, data, stk, exe, lib, pte, swap, hugetlb, threads] = value;
  return std::tie(peak, size, lck, pin, hwm, rss, anon, file, shmem, data, stk, exe, lib, pte, swap, hugetlb, threads);
}

auto fields(Is<ProcessFigures> auto& value) {
  auto& [pid, comm, command, memory] = value;
  return std::tie(pid, comm, command, memory);
}

auto fields(Is<Residence> auto& value) {
  auto& [heap, arenas, named, thread_stacks, main_stack, anonymous, file, shared, special, ranges, huge, reserved, rss,
         read_at] = value;
  return std::tie(heap, arenas, named, thread_stacks, main_stack, anonymous, file, shared, special, ranges, reserved, rss,
                  read_at, huge);
}

auto fields(Is<CgroupMemory> auto& value) {
  auto& [name, use, limit, high, anon, file, shmem, kernel, reclaimable, swap_use, swap_limit, both_limit] = value;
  return std::tie(name, use, limit, high, anon, file, shmem, kernel, reclaimable, swap_use, swap_limit, both_limit);
}

auto fields(Is<HostMemory> auto& value) {
  auto& [total, free, available, cached, shmem, swap_total, swap_free] = value;
  return std::tie(total, free, available, cached, shmem, swap_total, swap_free);
}

auto fields(Is<MemoryBounds> auto& value) {
  auto& [cgroups, outer_cgroups_hidden, host] = value;
  return std::tie(cgroups, outer_cgroups_hidden, host);
}

auto fields(Is<MappedAmount> auto& value) {
  auto& [bytes, reserved, ranges] = value;
  return std::tie(bytes, reserved, ranges);
}

auto fields(Is<MappingRow> auto& value) {
  auto& [kind, origin, tid, thread, stack, path, standing, resident, resident_estimated] = value;
  return std::tie(kind, origin, tid, thread, stack, path, standing, resident, resident_estimated);
}

auto fields(Is<MappedCheck> auto& value) {
  auto& [done, maps, missing, excess, access, looked_up] = value;
  return std::tie(done, maps, missing, excess, access, looked_up);
}

auto fields(Is<at_range_calls> auto& value) {
  auto& [recorded, failed, without_effect, lost, address_space] = value;
  return std::tie(recorded, failed, without_effect, lost, address_space);
}

auto fields(Is<Mapped> auto& value) {
  auto& [rows, standing, mapped, unmapped, given_back, check, resident_elsewhere, calls, misses, lookups, rebuilds] = value;
  return std::tie(rows, standing, mapped, unmapped, given_back, resident_elsewhere, check, calls, misses, lookups, rebuilds);
}

auto fields(Is<FaultSite> auto& value) {
  auto& [thread, stack, kind, samples, bytes_per_fault] = value;
  return std::tie(thread, stack, kind, samples, bytes_per_fault);
}

auto fields(Is<Faults> auto& value) {
  auto& [interval, counted, counters, uncertain_threads, sites] = value;
  return std::tie(interval, counted, counters, uncertain_threads, sites);
}

/// Stacks are written as numbers of the file's own list, sites as columns, counters by name.
auto fields(Is<Snapshot> auto& value) {
  auto& [time, elapsed, process, residence, bounds, faults, heap_traced, threads, sites, stacks, mapped, probes, counters,
         probe_misses, sampling, older_than, end, warnings] = value;
  return std::tie(time, elapsed, process, residence, bounds, threads, stacks, sites, probes, counters, probe_misses,
                  older_than, end, warnings, mapped, sampling, faults, heap_traced);
}

auto fields(Is<OomFigure> auto& value) {
  auto& [name, bytes, certainty] = value;
  return std::tie(name, bytes, certainty);
}

auto fields(Is<OomCgroup> auto& value) {
  auto& [path, usage, limit, kernel] = value;
  return std::tie(path, usage, limit, kernel);
}

auto fields(Is<OomThread> auto& value) {
  auto& [tid, name, state, stack, trigger, at_exit] = value;
  return std::tie(tid, name, state, stack, trigger, at_exit);
}

auto fields(Is<OomLosses> auto& value) {
  auto& [threads_not_seen, stacks_cut, records_dropped, late_calls] = value;
  return std::tie(threads_not_seen, stacks_cut, records_dropped, late_calls);
}

auto fields(Is<OomUsage> auto& value) {
  auto& [path, use, anon, file, shmem, kernel, after_kill] = value;
  return std::tie(path, use, anon, file, shmem, kernel, after_kill);
}

auto fields(Is<OomReport> auto& value) {
  auto& [number, time, reason, pid, comm, command, uid, oom_score_adj, trigger_pid, trigger_tid, trigger_comm, trigger_state,
         trigger_stack, kernel_stack, cgroups, full_cgroup, usage, figures, rss, memory_error, thread_count, held, mappings_seen,
         threads, stacks, accounting, earlier, death_took, losses, notes] = value;
  return std::tie(number, time, reason, pid, comm, command, uid, oom_score_adj, trigger_pid, trigger_tid, trigger_comm,
                  trigger_state, trigger_stack, kernel_stack, cgroups, full_cgroup, figures, rss, memory_error, thread_count,
                  held, mappings_seen, threads, stacks, accounting, death_took, losses, notes, usage, earlier);
}

/// The columns of a Site, each a number.
auto columns(Is<Site> auto& value) {
  auto& [thread, stack, allocated, freed, older, sampled] = value;
  return std::tuple_cat(
      std::tie(thread, stack, allocated.bytes, allocated.blocks, freed.bytes, freed.blocks, older.bytes, older.blocks),
      fields(sampled.allocated), fields(sampled.freed), fields(sampled.older));
}

/// A column is written as differences of whole numbers; of a floating-point number its bits are one.
template <class Cell>
uint64_t to_whole(Cell cell) {
  if constexpr (std::is_floating_point_v<Cell>)
    return std::bit_cast<uint64_t>(cell);
  else
    return cell;
}
template <class Cell>
void set_whole(Cell& cell, uint64_t whole) {
  if constexpr (std::is_floating_point_v<Cell>)
    cell = std::bit_cast<Cell>(whole);
  else
    cell = static_cast<Cell>(whole);
}

template <class T>
concept HasFields = requires(T& value) { fields(value); };

/// Calls `visit(name, counter)` for each counter.
template <Is<at_counters> Counters, class Visitor>
void for_each_counter(Counters& counters, Visitor visit) {
#define AT_COUNTER_VISIT(name, sentence) visit(std::string_view(#name), counters.name);
  AT_COUNTERS(AT_COUNTER_VISIT)
#undef AT_COUNTER_VISIT
#define AT_WALK_VISIT(name, sentence) \
  if (AT_STACK_##name < AT_STACK_WALK_ENDS) visit(std::string_view("walk_" #name), counters.walks[AT_STACK_##name % AT_STACK_WALK_ENDS]);
  AT_STACK_STATUSES(AT_WALK_VISIT)
#undef AT_WALK_VISIT
}

template <Is<at_fault_counters> Counters, class Visitor>
void for_each_counter(Counters& counters, Visitor visit) {
#define AT_COUNTER_VISIT(name, sentence) visit(std::string_view(#name), counters.name);
  AT_FAULT_COUNTERS(AT_COUNTER_VISIT)
#undef AT_COUNTER_VISIT
}

template <class T>
concept HasCounters = std::is_same_v<T, at_counters> || std::is_same_v<T, at_fault_counters>;

/// Whether a number read from a file names an enumerator. The compiler says if one is missing here.
constexpr bool is_enumerator(EndReason value) {
  switch (value) {
    case EndReason::None:
    case EndReason::Exited:
    case EndReason::Execed:
    case EndReason::Detached: return true;
  }
  return false;
}

constexpr bool is_enumerator(OomReason value) {
  switch (value) {
    case OomReason::CgroupLimit:
    case OomReason::Host:
    case OomReason::OnRequest:
    case OomReason::Exiting:
    case OomReason::Unknown: return true;
  }
  return false;
}

constexpr bool is_enumerator(ResidentKind value) {
  switch (value) {
    case ResidentKind::BrkHeap:
    case ResidentKind::Arena:
    case ResidentKind::NamedAllocator:
    case ResidentKind::ThreadStack:
    case ResidentKind::MainStack:
    case ResidentKind::OtherAnonymous:
    case ResidentKind::File:
    case ResidentKind::Shared:
    case ResidentKind::Special:
    case ResidentKind::Unknown: return true;
  }
  return false;
}

constexpr bool is_enumerator(RangeKind value) {
  switch (value) {
    case RangeKind::Anonymous:
    case RangeKind::Reserved:
    case RangeKind::Allocator:
    case RangeKind::ThreadStack:
    case RangeKind::MainStack:
    case RangeKind::File:
    case RangeKind::Shared:
    case RangeKind::Special: return true;
  }
  return false;
}

constexpr bool is_enumerator(RangeOrigin value) {
  switch (value) {
    case RangeOrigin::Call:
    case RangeOrigin::BeforeAttach:
    case RangeOrigin::Found: return true;
  }
  return false;
}

constexpr bool is_enumerator(Certainty value) {
  switch (value) {
    case Certainty::Exact:
    case Certainty::Approximate: return true;
  }
  return false;
}

// Ids are enumerations without enumerators: every number is one.
constexpr bool is_enumerator(Tgid) { return true; }
constexpr bool is_enumerator(Tid) { return true; }
constexpr bool is_enumerator(Addr) { return true; }

}  // namespace alloctrail
