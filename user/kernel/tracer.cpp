// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/tracer.h"

#include <bpf/bpf.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>

#include "user/kernel/bpf_object.h"
#include "user/kernel/live_table.h"
#include "user/kernel/site_index.h"

namespace alloctrail {

/// What one file's probes become: points to attach, by program and side.
struct Tracer::PointLists {
  std::vector<ProbePoint> releases;
  std::vector<ProbePoint> allocation_entries;
  std::vector<ProbePoint> allocation_returns;

  void add(const PlannedProbe& probe, uint32_t index, Slot slot, ProbeKind kind);
};

namespace {

uint64_t cookie_of(const PlannedProbe& probe, uint32_t index, Slot slot, ProbeKind kind, at_phase phase) {
  const uint32_t flags = probe.flags | (kind == ProbeKind::Session ? AT_PROBE_SESSION : 0u);
  return AT_COOKIE(index, raw(slot), probe.shape, phase, flags, probe.pushed_bytes);
}

void move_into(std::vector<UniqueFd>& to, std::vector<UniqueFd>&& from) {
  for (UniqueFd& fd : from) to.push_back(std::move(fd));
}

/// Sums a per-CPU element of 64-bit fields over all CPUs.
template <class T>
T sum_over_cpus(int map_fd, uint32_t key) {
  constexpr size_t kFields = sizeof(T) / sizeof(uint64_t);
  static_assert(sizeof(T) % sizeof(uint64_t) == 0);
  const int cpus = libbpf_num_possible_cpus();
  std::vector<uint64_t> values(kFields * static_cast<size_t>(cpus > 0 ? cpus : 1));
  std::array<uint64_t, kFields> sums{};
  if (bpf_map_lookup_elem(map_fd, &key, values.data()) == 0)
    for (size_t i = 0; i < values.size(); ++i) sums[i % kFields] += values[i];
  T result;
  std::memcpy(&result, sums.data(), sizeof(T));
  return result;
}

void clear_sums(volatile at_sample_sums& sums) {
  auto* words = reinterpret_cast<volatile uint64_t*>(&sums);
  for (size_t i = 0; i < sizeof(sums) / sizeof(*words); ++i) words[i] = 0;
}

at_sample_sums read_sums(const volatile at_sample_sums& sums) {
  return {.samples = sums.samples,
          .bytes = sums.bytes,
          .stand_bytes = sums.stand_bytes,
          .stand_blocks_q16 = sums.stand_blocks_q16,
          .bytes_variance_q = sums.bytes_variance_q,
          .blocks_variance_q4 = sums.blocks_variance_q4};
}

Error bpf_error(const char* what, int error) {
  return Error{.message = fmt::format("{}: {}", what, std::strerror(error)), .hint = "", .os_error = error};
}

}  // namespace

void Tracer::PointLists::add(const PlannedProbe& probe, uint32_t index, Slot slot, ProbeKind kind) {
  const auto point = [&](at_phase phase) {
    return ProbePoint{.file_offset = probe.file_offset, .cookie = cookie_of(probe, index, slot, kind, phase)};
  };
  if (probe.shape == AT_SHAPE_FREE) {
    releases.push_back(point(AT_PHASE_ENTRY));
  } else if (probe.moment == ProbeMoment::ReturnSite) {
    allocation_entries.push_back(point(AT_PHASE_RETURN));
  } else if (probe.moment == ProbeMoment::Entry) {
    allocation_entries.push_back(point(AT_PHASE_ENTRY));
  } else if (kind == ProbeKind::Session) {
    allocation_entries.push_back(point(AT_PHASE_BOTH));
  } else {
    allocation_entries.push_back(point(AT_PHASE_ENTRY));
    allocation_returns.push_back(point(AT_PHASE_RETURN));
  }
}

Tracer::Tracer(std::unique_ptr<BpfObject> object, const TracerOptions& options)
    : object_(std::move(object)), kind_(options.probe_kind), fault_interval_(options.fault_interval) {}

Tracer::~Tracer() {
  while (!links_.empty()) detach(links_.begin()->first);
}

Result<std::unique_ptr<Tracer>> Tracer::load(const TracerOptions& options) {
  auto object = load_bpf_object(options);
  if (!object) return std::move(object).error();
  std::unique_ptr<Tracer> tracer(
      new Tracer(std::make_unique<BpfObject>(*std::move(object)), options));
  if (auto started = tracer->start(); !started) return std::move(started).error();
  return tracer;
}

Status Tracer::start() {
  auto custodian = Custodian::start();
  if (!custodian) return std::move(custodian).error();
  custodian_ = *std::move(custodian);
  object_->exec_link.reset(bpf_program__attach_raw_tracepoint(object_->skeleton->progs.at_exec, "sched_process_exec"));
  if (!object_->exec_link) return bpf_error("attaching to sched_process_exec", errno);
  auto& maps = object_->skeleton->maps;
  auto pool = UnwindPool::open({.rows = bpf_map__fd(maps.unwind_rows),
                                .blocks = bpf_map__fd(maps.unwind_blocks),
                                .sides = bpf_map__fd(maps.unwind_sides),
                                .processes = bpf_map__fd(maps.unwind_processes),
                                .currents = bpf_map__fd(maps.unwind_currents)});
  if (!pool) return std::move(pool).error();
  unwind_pool_ = *std::move(pool);
  object_->exit_link.reset(bpf_program__attach_raw_tracepoint(object_->skeleton->progs.at_exit, "sched_process_exit"));
  if (!object_->exit_link) return bpf_error("attaching to sched_process_exit", errno);
  object_->ring.reset(ring_buffer__new(bpf_map__fd(object_->skeleton->maps.events), on_event, this, nullptr));
  if (!object_->ring) return bpf_error("opening the event ring", errno);
  return ok();
}

Status Tracer::write_slot(Slot slot, at_slot value) {
  const uint32_t index = raw(slot);
  if (bpf_map_update_elem(bpf_map__fd(object_->skeleton->maps.slots), &index, &value, BPF_ANY) != 0)
    return bpf_error("writing the slot table", errno);
  return ok();
}

Result<Slot> Tracer::open_slot(Tgid pid) {
  if (next_slot_ >= AT_MAX_SLOTS)
    return Error{.message = fmt::format("more than {} process images in one run", AT_MAX_SLOTS - 1),
                 .hint = "start another alloctrail for the rest"};
  const Slot slot{next_slot_++};
  const uint32_t index = raw(slot);
  const uint32_t tgid = raw(pid);
  if (auto written = write_slot(slot, {.tgid = tgid, .flags = 0}); !written) return std::move(written).error();
  if (bpf_map_update_elem(bpf_map__fd(object_->skeleton->maps.targets), &tgid, &index, BPF_ANY) != 0)
    return bpf_error("writing the target table", errno);
  pids_[slot] = pid;
  return slot;
}

Status Tracer::set_slot_flags(Slot slot, uint32_t flags) {
  return write_slot(slot, {.tgid = raw(pids_[slot]), .flags = flags});
}

Status Tracer::set_rung(Slot slot, uint32_t rung) {
  const uint32_t index = raw(slot);
  if (bpf_map_update_elem(bpf_map__fd(object_->skeleton->maps.sample_rungs), &index, &rung, BPF_ANY) != 0)
    return bpf_error("setting the sampling rate", errno);
  return ok();
}

/// Releases first, so that no free of a tracked block is missed; returns before entries, so that no call is entered whose
/// return is not seen.
Status Tracer::attach_lists(SlotLinks& links, Tid thread, int file_fd, PointLists lists, AttachedProbes& outcome) {
  const int release = bpf_program__fd(object_->skeleton->progs.at_release);
  const int allocate = bpf_program__fd(object_->skeleton->progs.at_allocate);
  const auto attach = [&](ProbeKind kind, ProbeSide side, int program, const std::vector<ProbePoint>& points,
                          std::vector<UniqueFd>& into) -> Status {
    auto attached = attach_probes(kind, side, program, file_fd, thread, points);
    if (!attached) return std::move(attached).error();
    move_into(into, std::move(attached->links));
    for (const RefusedPoint& point : attached->refused)
      outcome.refused.push_back({AT_COOKIE_PROBE(points[point.index].cookie) - outcome.indices.front(), point.error.message});
    return ok();
  };
  const auto refused = [&](const ProbePoint& point) {
    return std::any_of(outcome.refused.begin(), outcome.refused.end(), [&](const AttachedProbes::Refused& probe) {
      return probe.probe == AT_COOKIE_PROBE(point.cookie) - outcome.indices.front();
    });
  };
  if (auto s = attach(plain_kind(), ProbeSide::Entry, release, lists.releases, links.releases); !s) return s;
  if (auto s = attach(plain_kind(), ProbeSide::Return, allocate, lists.allocation_returns, links.allocations); !s) return s;
  std::erase_if(lists.allocation_entries, refused);
  return attach(kind_, ProbeSide::Entry, allocate, lists.allocation_entries, links.allocations);
}

Result<AttachedProbes> Tracer::attach(Slot slot, Tid thread, int file_fd, std::span<const PlannedProbe> probes) {
  if (next_probe_ + probes.size() > AT_MAX_PROBES)
    return Error{.message = fmt::format("more than {} probes in one run", AT_MAX_PROBES),
                 .hint = "start another alloctrail for the rest"};
  PointLists lists;
  AttachedProbes outcome;
  for (const PlannedProbe& probe : probes) {
    outcome.indices.push_back(next_probe_);
    lists.add(probe, next_probe_++, slot, kind_);
  }
  Status attached = ok();
  custodian_->run([&] {
    SlotLinks links;
    attached = attach_lists(links, thread, file_fd, std::move(lists), outcome);
    if (!attached) return;  // what had been attached goes with `links`
    move_into(links_[slot].releases, std::move(links.releases));
    move_into(links_[slot].allocations, std::move(links.allocations));
  });
  if (!attached) return std::move(attached).error();
  return outcome;
}

Status Tracer::attach_loader(Slot slot, Tid thread, int file_fd, uint64_t file_offset) {
  const uint64_t cookie = AT_COOKIE(0, raw(slot), 0, AT_PHASE_ENTRY, 0, 0);
  Result<AttachedPoints> attached = AttachedPoints{};
  custodian_->run([&] {
    attached = attach_probes(plain_kind(), ProbeSide::Entry, bpf_program__fd(object_->skeleton->progs.at_loader), file_fd,
                             thread, {{.file_offset = file_offset, .cookie = cookie}});
  });
  if (!attached) return std::move(attached).error();
  move_into(links_[slot].releases, std::move(attached->links));
  return ok();
}

Status Tracer::watch_faults(Slot slot) {
  ALLOCTRAIL_CHECK(fault_interval_);
  auto events =
      FaultEvents::open(pids_[slot], bpf_program__fd(object_->skeleton->progs.at_fault), *fault_interval_);
  if (!events) return std::move(events).error();
  fault_events_.insert_or_assign(slot, *std::move(events));
  return ok();
}

Result<PooledUnwindTable> Tracer::add_unwind_table(const UnwindTable& table) { return unwind_pool_.add(table); }

Status Tracer::publish_mappings(Slot slot, std::span<const at_unwind_mapping> mappings, uint32_t loads) {
  return unwind_pool_.publish(slot, mappings, loads);
}

uint32_t Tracer::loads(Slot slot) const { return unwind_pool_.loads(slot); }

void Tracer::detach(Slot slot) {
  fault_events_.erase(slot);
  const auto found = links_.find(slot);
  if (found == links_.end()) return;
  custodian_->run([&] {
    found->second.allocations.clear();
    links_.erase(found);
  });
}

void Tracer::close_slot(Slot slot) {
  detach(slot);
  const uint32_t index = raw(slot);
  if (!write_slot(slot, at_slot{})) return;
  const uint32_t tgid = raw(pids_[slot]);
  uint32_t owner = 0;
  const int targets = bpf_map__fd(object_->skeleton->maps.targets);
  if (bpf_map_lookup_elem(targets, &tgid, &owner) == 0 && owner == index) bpf_map_delete_elem(targets, &tgid);
  forget_live_blocks(*object_, slot);
}

int Tracer::on_event(void* self, void* data, size_t size) {
  if (size < sizeof(at_event)) return 0;
  at_event event;
  std::memcpy(&event, data, sizeof(event));
  static_cast<Tracer*>(self)->pending_events_.push_back(KernelEvent{.kind = static_cast<at_event_kind>(event.kind),
                                                           .slot = Slot(event.slot),
                                                           .pid = Tgid(event.tgid),
                                                           .value = event.value});
  return 0;
}

std::vector<KernelEvent> Tracer::take_events() {
  ring_buffer__consume(object_->ring.get());
  return std::exchange(pending_events_, {});
}

std::vector<RawSite> Tracer::sites(Slot slot) {
  index_.update(object_->sites, object_->cursors[0].sites);
  std::vector<RawSite> result;
  for (const uint32_t index : index_.of(slot)) {
    volatile at_site& site = object_->sites[index];
    RawSite row{.thread = site.thread, .stack = StackId(site.stack), .allocated = {}, .freed = {}, .older = {}};
    // Freed before allocated: a block that comes and goes between the reads then makes no negative number.
    for (const at_sample_side side : {AT_SAMPLES_FREED, AT_SAMPLES_ALLOCATED, AT_SAMPLES_OLDER})
      if (index < object_->site_samples.size()) row.samples[side] = read_sums(object_->site_samples[index].side[side]);
    row.freed = {.bytes = site.freed_bytes, .blocks = site.freed_blocks};
    row.allocated = {.bytes = site.allocated_bytes, .blocks = site.allocated_blocks};
    row.older = {.bytes = site.older_bytes, .blocks = site.older_blocks};
    result.push_back(row);
  }
  return result;
}

std::vector<RawFaultSite> Tracer::fault_sites(Slot slot) {
  fault_index_.update(object_->fault_sites, object_->fault_cursor[0]);
  std::vector<RawFaultSite> result;
  for (const uint32_t index : fault_index_.of(slot)) {
    volatile at_fault_site& site = object_->fault_sites[index];
    result.push_back({.thread = site.thread,
                      .stack = StackId(site.stack),
                      .kind = static_cast<at_touched_kind>(site.kind),
                      .samples = site.samples,
                      .last_address = Addr(site.last_address)});
  }
  return result;
}

/// The program's counters first: what comes in between is no fault that it has missed.
FaultCounts Tracer::fault_counts(Slot slot) const {
  FaultCounts result;
  result.program = sum_over_cpus<at_fault_counters>(bpf_map__fd(object_->skeleton->maps.fault_counters), raw(slot));
  if (const auto events = fault_events_.find(slot); events != fault_events_.end()) {
    result.counted = events->second.counted();
    result.uncertain_threads = events->second.uncertain_threads();
  }
  return result;
}

RawStack Tracer::stack(StackId id) const {
  RawStack result;
  if (raw(id) >= object_->stacks.size()) return result;
  volatile at_stack& stack = object_->stacks[raw(id)];
  const uint32_t first = stack.first_frame;
  const uint32_t count = stack.frame_count;
  result.status = static_cast<at_stack_status>(stack.status);
  for (uint32_t i = 0; i < count && first + i < object_->frames.size(); ++i)
    result.addresses.push_back(Addr(object_->frames[first + i]));
  return result;
}

RawThread Tracer::thread(uint32_t index) const {
  RawThread result{.index = index, .tid = {}, .comm = "(threads beyond the table)", .exited = false};
  if (index == AT_THREAD_OVERFLOW || index >= object_->threads.size()) return result;
  volatile at_thread& thread = object_->threads[index];
  result.tid = Tid(thread.tid);
  result.exited = thread.state == AT_THREAD_EXITED;
  result.comm.clear();
  for (const volatile char& c : thread.comm) {
    if (c == '\0') break;
    result.comm.push_back(c);
  }
  return result;
}

Status Tracer::run_age_pass(std::chrono::nanoseconds age) {
  for (uint32_t i = 0; i < index_.seen(); ++i) {
    object_->sites[i].older_bytes = 0;
    object_->sites[i].older_blocks = 0;
    if (i < object_->site_samples.size()) clear_sums(object_->site_samples[i].side[AT_SAMPLES_OLDER]);
  }
  return add_older_blocks(*object_, age);
}

uint64_t Tracer::missed_hits() const {
  uint64_t missed = 0;
  for (const bpf_program* program : {object_->skeleton->progs.at_allocate, object_->skeleton->progs.at_release}) {
    bpf_prog_info info{};
    uint32_t size = sizeof(info);
    if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) == 0) missed += info.recursion_misses;
  }
  return missed;
}

/// The kernel tells a map's memory in the fdinfo of its descriptor.
std::vector<MapMemory> Tracer::map_memory() const {
  std::vector<MapMemory> result;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object_->skeleton->obj) {
    std::ifstream info(fmt::format("/proc/self/fdinfo/{}", bpf_map__fd(map)));
    MapMemory row{.name = bpf_map__name(map), .max_entries = bpf_map__max_entries(map), .bytes = 0};
    for (std::string field; info >> field;)
      if (field == "memlock:") info >> row.bytes;
    result.push_back(std::move(row));
  }
  return result;
}

Result<std::unique_ptr<OomFeed>> Tracer::attach_oom_feed() { return OomFeed::attach(*object_); }

Result<std::unique_ptr<RangeFeed>> Tracer::attach_range_feed() { return RangeFeed::attach(*object_); }

at_counters Tracer::counters(Slot slot) const {
  return sum_over_cpus<at_counters>(bpf_map__fd(object_->skeleton->maps.counters), raw(slot));
}

uint64_t Tracer::hits(uint32_t probe) const {
  return sum_over_cpus<uint64_t>(bpf_map__fd(object_->skeleton->maps.probe_hits), probe);
}

int Tracer::event_fd() const { return ring_buffer__epoll_fd(object_->ring.get()); }

}  // namespace alloctrail
