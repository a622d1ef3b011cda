// SPDX-License-Identifier: Apache-2.0
#include "user/trace/process_image.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "user/target/figures.h"
#include "user/target/memory_cgroup.h"
#include "user/trace/estimates.h"

namespace alloctrail {

namespace {

Site named(const RawSite& site, uint32_t thread, uint32_t stack) {
  const auto& samples = site.samples;
  return {.thread = thread,
          .stack = stack,
          .allocated = estimate(site.allocated, samples[AT_SAMPLES_ALLOCATED]),
          .freed = estimate(site.freed, samples[AT_SAMPLES_FREED]),
          .older = estimate(site.older, samples[AT_SAMPLES_OLDER]),
          .sampled = {.allocated = sampled_part(samples[AT_SAMPLES_ALLOCATED]),
                      .freed = sampled_part(samples[AT_SAMPLES_FREED]),
                      .older = sampled_part(samples[AT_SAMPLES_OLDER])}};
}

}  // namespace

ProcessImage::ProcessImage(TraceContext context, TargetProcess target, Slot slot)
    : context_(context), target_(std::move(target)), slot_(slot), attached_at_(std::chrono::steady_clock::now()) {
  space_.pid = target_.identity.pid;
}

Result<ProcessImage> ProcessImage::open(TraceContext context, TargetProcess target) {
  auto slot = context.tracer.open_slot(target.identity.pid);
  if (!slot) return std::move(slot).error();
  ProcessImage image(context, std::move(target), *slot);
  image.begin_ranges();
  return image;
}

/// Before the probes: what is mapped while they are being attached is known by who mapped it.
void ProcessImage::begin_ranges() {
  if (context_.ranges == nullptr) return;
  auto watch = RangeWatch::begin(*context_.ranges, slot_, pid());
  if (watch)
    ranges_ = *std::move(watch);
  else
    warnings_.push_back(fmt::format("mapped memory is not tracked: {}", watch.error().message));
}

void ProcessImage::close() {
  if (ranges_) ranges_->end();
  context_.tracer.close_slot(slot_);
  context_.unwinding.forget(slot_);
}

Status ProcessImage::set_rung(uint32_t rung) {
  rung_ = rung;
  highest_rung_ = std::max(highest_rung_, rung);
  return context_.tracer.set_rung(slot_, rung);
}

Status ProcessImage::attach_mapped_files() {
  const bool starting = !hooked();
  auto mappings = context_.unwinding.refresh(slot_, pid());
  if (!mappings) return std::move(mappings).error();
  space_.mappings = *std::move(mappings);
  stack_names_.forget_addresses();
  context_.symbolizer.hold_files(space_);
  if (auto watched = watch_faults(); !watched) return watched;
  ProcessPlan plan = context_.probes.plan(pid(), space_.mappings);
  if (context_.heap == HeapAccounting::Off)
    for (PlannedModule& module : plan.modules) module.plan.probes.clear();  // the loader's notice stays
  for (const std::string& warning : plan.warnings) warn(warning);
  if (context_.unwinding.left_out(slot_) > 0)
    warn(fmt::format("it has more than {} executable mappings: stacks end where they lead through the others",
                     AT_UNWIND_MAX_MAPPINGS));
  Status first_failure = ok();
  for (const PlannedModule& module : plan.modules) {
    if (attached_files_[module.mapping.file]) continue;
    attached_files_[module.mapping.file] = true;
    if (auto attached = attach_module(module); !attached) {
      warnings_.push_back(fmt::format("{}: not hooked: {}", module.mapping.path, attached.error().message));
      if (first_failure) first_failure = std::move(attached);
    }
  }
  if (starting && hooked())
    if (auto kept = context_.unwinding.keep_for_good(slot_); !kept) return kept;
  refresh_figures();
  return hooked() ? ok() : std::move(first_failure);
}

Status ProcessImage::watch_faults() {
  if (!context_.fault_interval || faults_watched_) return ok();
  if (auto watched = context_.tracer.watch_faults(slot_); !watched) return watched;
  faults_watched_ = true;
  return ok();
}

void ProcessImage::warn(const std::string& warning) {
  if (std::find(warnings_.begin(), warnings_.end(), warning) == warnings_.end()) warnings_.push_back(warning);
}

Status ProcessImage::attach_module(const PlannedModule& module) {
  auto file = open_mapped_file(pid(), module.mapping);
  if (!file) return std::move(file).error();
  if (module.loader_offset != 0) {
    auto notice = context_.tracer.attach_loader(slot_, target_.live_thread, file->get(), module.loader_offset);
    if (!notice) return notice;
  }
  if (module.plan.probes.empty()) return ok();
  auto attached = context_.tracer.attach(slot_, target_.live_thread, file->get(), module.plan.probes);
  if (!attached) return std::move(attached).error();
  remember_probes(module, *attached);
  return ok();
}

void ProcessImage::remember_probes(const PlannedModule& module, const AttachedProbes& attached) {
  std::set<size_t> left_out;
  for (const AttachedProbes::Refused& refused : attached.refused) {
    left_out.insert(refused.probe);
    warnings_.push_back(fmt::format("{}: not hooked: {}: {}", module.mapping.path,
                                    module.plan.probes[refused.probe].function, refused.why));
  }
  for (size_t i = 0; i < attached.indices.size(); ++i) {
    if (left_out.contains(i)) continue;
    const PlannedProbe& planned = module.plan.probes[i];
    probes_.push_back({.index = attached.indices[i],
                       .row = {.function = planned.function,
                               .module = module.mapping.path,
                               .offset = planned.file_offset,
                               .kind = name_of(context_.tracer.kind_of(planned)),
                               .site = planned.reason,
                               .hits = 0}});
  }
}

void ProcessImage::name_stacks(std::span<const StackId> ids) {
  stack_names_.name(ids, context_.tracer, context_.symbolizer, space_);
}

/// A process that is gone, or has only its exit left to be seen, keeps the figures it had when it was last looked at.
void ProcessImage::refresh_figures() {
  if (!still_same(target_.identity)) return;
  if (auto figures = read_figures(pid()); figures && figures->memory.vm_size_bytes != 0) figures_ = *std::move(figures);
}

/// Enters threads and stacks into a Snapshot, each once.
class ProcessImage::SnapshotRows {
 public:
  SnapshotRows(ProcessImage& image, Snapshot& snapshot, bool ended) : image_(image), snapshot_(snapshot) {
    if (ended) return;
    for (ThreadName& thread : read_threads(image.pid())) names_[raw(thread.tid)] = std::move(thread.comm);
  }

  uint32_t thread(uint32_t index) {
    const auto [row, is_new] = threads_.try_emplace(index, snapshot_.threads.size());
    if (!is_new) return row->second;
    RawThread raw_thread = image_.context_.tracer.thread(index);
    Thread& thread = snapshot_.threads.emplace_back();
    thread.tid = raw_thread.tid;
    const auto name = names_.find(raw(raw_thread.tid));
    thread.alive = !raw_thread.exited && name != names_.end();
    thread.name = thread.alive ? name->second : std::move(raw_thread.comm);
    return row->second;
  }

  uint32_t stack(StackId id) {
    const auto [row, is_new] = stacks_.try_emplace(raw(id), snapshot_.stacks.size());
    const TraceContext& context = image_.context_;
    if (is_new)
      snapshot_.stacks.push_back(image_.stack_names_.get(id, context.tracer, context.symbolizer, image_.space_));
    return row->second;
  }

 private:
  ProcessImage& image_;
  Snapshot& snapshot_;
  std::unordered_map<uint32_t, std::string> names_;
  std::unordered_map<uint32_t, uint32_t> threads_;
  std::unordered_map<uint32_t, uint32_t> stacks_;
};

void ProcessImage::add_threads_and_sites(Snapshot& snapshot, bool ended) {
  SnapshotRows rows(*this, snapshot, ended);
  for (const RawSite& site : context_.tracer.sites(slot_)) {
    const Site& row =
        snapshot.sites.emplace_back(named(site, rows.thread(site.thread), rows.stack(site.stack)));
    if (snapshot.sampling) {
      snapshot.sampling->recorded_allocated += site.allocated;
      snapshot.sampling->recorded_freed += site.freed;
    }
    Thread& thread = snapshot.threads[row.thread];
    thread.allocated += row.allocated;
    thread.freed += row.freed;
    thread.older += row.older;
    thread.sampled += row.sampled;
  }
  if (faults_watched_) add_faults(snapshot, rows);
}

namespace {

/// The kernel half tells ranges apart as far as it can without a search; the ranges themselves tell the rest.
ResidentKind kind_of(at_touched_kind told, const KnownRange* range) {
  switch (told) {
    case AT_TOUCHED_BREAK:
      return ResidentKind::BrkHeap;
    case AT_TOUCHED_MAIN_STACK:
      return ResidentKind::MainStack;
    case AT_TOUCHED_FILE:
      return ResidentKind::File;
    case AT_TOUCHED_SHARED_MEMORY:
      return ResidentKind::Shared;
    case AT_TOUCHED_ANONYMOUS:
      return range == nullptr ? ResidentKind::OtherAnonymous : range->kind;
    case AT_TOUCHED_UNKNOWN:
      break;
  }
  return range == nullptr ? ResidentKind::Unknown : range->kind;
}

}  // namespace

void ProcessImage::add_faults(Snapshot& snapshot, SnapshotRows& rows) {
  constexpr uint64_t kPageBytes = 4096;
  const FaultCounts counts = context_.tracer.fault_counts(slot_);
  Faults& faults = snapshot.faults.emplace();
  faults.interval = *context_.fault_interval;
  faults.counters = counts.program;
  faults.counted = counts.counted;
  faults.uncertain_threads = counts.uncertain_threads;
  for (const RawFaultSite& site : context_.tracer.fault_sites(slot_)) {
    const KnownRange* range = residence_.range_at(raw(site.last_address));
    const FaultSite& row = faults.sites.emplace_back(
        FaultSite{.thread = rows.thread(site.thread),
                  .stack = rows.stack(site.stack),
                  .kind = kind_of(site.kind, range),
                  .samples = site.samples,
                  .bytes_per_fault = range == nullptr ? kPageBytes : range->mean_page_bytes});
    snapshot.threads[row.thread].touched_bytes += faults.bytes_of(row);
  }
}

void ProcessImage::add_ranges(Snapshot& snapshot, bool ended) {
  if (!ranges_) return;
  ranges_->update();
  std::unordered_map<uint32_t, std::string> living;
  if (!ended) {
    ranges_->reconcile();
    for (ThreadName& thread : read_threads(pid())) living[raw(thread.tid)] = std::move(thread.comm);
  }
  std::unordered_map<uint32_t, uint32_t> stack_rows;
  snapshot.mapped = ranges_->state({
      .thread =
          [&](uint32_t index) {
            RawThread thread = context_.tracer.thread(index);
            const auto name = living.find(raw(thread.tid));
            if (!thread.exited && name != living.end()) thread.comm = name->second;
            return thread;
          },
      .stack =
          [&](StackId id) {
            const auto [row, is_new] = stack_rows.try_emplace(raw(id), snapshot.stacks.size());
            if (is_new) snapshot.stacks.push_back(stack_names_.get(id, context_.tracer, context_.symbolizer, space_));
            return row->second;
          },
  }, residence_.parts());
}

void ProcessImage::add_probes(Snapshot& snapshot) {
  uint64_t hits = 0;
  for (const AttachedProbe& probe : probes_) {
    Probe& row = snapshot.probes.emplace_back(probe.row);
    row.hits = context_.tracer.hits(probe.index);
    hits += row.hits;
  }
  if (hits == 0 && !probes_.empty())
    snapshot.warnings.insert(snapshot.warnings.begin(),
                             "no probe has fired yet: the program has not allocated since the attach, or it uses an "
                             "allocator that was not found");
}

void ProcessImage::add_surroundings(Snapshot& snapshot) {
  if (!still_same(target_.identity)) return;
  snapshot.residence = residence_.get(pid(), snapshot.elapsed);
  if (auto bounds = read_memory_bounds(pid())) snapshot.bounds = *std::move(bounds);
}

Snapshot ProcessImage::snapshot(EndReason end, std::optional<std::chrono::nanoseconds> older) {
  Snapshot result;
  result.time = std::chrono::system_clock::now();
  result.elapsed = std::chrono::steady_clock::now() - attached_at_;
  const bool ended = end == EndReason::Exited || end == EndReason::Execed;
  if (!ended) refresh_figures();
  result.process = figures_;
  result.process.pid = pid();
  result.older_than = older;
  result.end = end;
  result.heap_traced = context_.heap == HeapAccounting::On;
  result.warnings = warnings_;
  if (!ended) add_surroundings(result);
  if (const auto& rates = context_.sample_rates)
    result.sampling = {.rate_bytes = rates->rate_bytes(rung_),
                       .highest_rate_bytes = rates->rate_bytes(highest_rung_),
                       .recorded_allocated = {},
                       .recorded_freed = {}};
  add_threads_and_sites(result, ended);
  add_ranges(result, ended);
  for (std::string& problem : context_.symbolizer.problems(space_)) result.warnings.push_back(std::move(problem));
  add_probes(result);
  result.counters = context_.tracer.counters(slot_);
  result.probe_misses = context_.tracer.missed_hits();
  return result;
}

}  // namespace alloctrail
