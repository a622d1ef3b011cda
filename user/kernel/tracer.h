// SPDX-License-Identifier: Apache-2.0
// The kernel half as the program sees it: load it, attach it to processes, read what it has gathered. Together with
// probe_link the only place that knows BPF; only tracer.cpp includes libbpf and the skeleton.
#pragma once

#include <chrono>
#include <cstdint>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "alloctrail/counters.h"
#include "alloctrail/faults.h"
#include "alloctrail/records.h"
#include "alloctrail/sampling.h"
#include "user/elf/probe_plan.h"
#include "user/handles.h"
#include "user/ids.h"
#include "user/kernel/custodian.h"
#include "user/kernel/fault_events.h"
#include "user/kernel/load_notices.h"
#include "user/kernel/oom_feed.h"
#include "user/kernel/probe_link.h"
#include "user/kernel/range_feed.h"
#include "user/kernel/sample_table.h"
#include "user/kernel/site_index.h"
#include "user/kernel/unwind_pool.h"
#include "user/model/snapshot.h"
#include "user/result.h"

namespace alloctrail {

/// Whether allocations are accounted.
enum class HeapAccounting { On, Off };
/// Whether system calls that map memory are traced.
enum class RangeTracking { On, Off };
/// Whose deaths by the OOM killer are recorded.
enum class OomWatch { Nobody, Targets, EveryProcess };
/// Whether the flight recorder also tells when the kernel takes memory back for a target, which comes before a kill.
enum class ReclaimNotices { Off, On };

struct TracerOptions {
  ProbeKind probe_kind = ProbeKind::Session;
  HeapAccounting accounting = HeapAccounting::On;
  OomWatch oom = OomWatch::Nobody;
  RangeTracking ranges = RangeTracking::Off;
  ReclaimNotices reclaim = ReclaimNotices::Off;
  uint32_t max_live_blocks = 1u << 21;
  std::optional<uint32_t> fault_interval = std::nullopt;  ///< every how manieth page fault is sampled; none: they are not watched
  uint32_t max_sites = 1u << 18;
  uint32_t max_stacks = 1u << 16;
  uint32_t max_threads = 1u << 14;
  uint64_t min_size_bytes = 0;
  std::optional<SampleRates> sample_rates = {};  ///< none: everything is recorded, and no rung can be set
  std::vector<Tid> only_tids = {};          ///< with only_names: record allocations of these threads alone; both empty: all
  std::vector<std::string> only_names = {}; ///< at most 15 bytes each
};

/// A notice from the kernel half; what it announces is already in the maps.
struct KernelEvent {
  at_event_kind kind{};
  Slot slot{};
  Tgid pid{};
  uint32_t value = 0;
};

/// A stack as the kernel walked it: the probed instruction first, then return addresses.
struct RawStack {
  std::vector<Addr> addresses;
  at_stack_status status = AT_STACK_complete;
};

/// A thread that has allocated. `index` is its identity: a reused tid gets a new one.
struct RawThread {
  uint32_t index = 0;
  Tid tid{};
  std::string comm;  ///< raw bytes: the name at its first allocation, or at its exit
  bool exited = false;
};

struct RawSite {
  uint32_t thread = 0;  ///< RawThread::index
  StackId stack{};
  Amount allocated;
  Amount freed;
  Amount older;  ///< as of the last age pass
  std::array<at_sample_sums, AT_SAMPLE_SIDES> samples{};  ///< of the recorded amounts above; all zero without sampling
};

/// What became of the probes of one file.
struct AttachedProbes {
  /// A probe that is not there: the kernel refused it, at its entry or at its return.
  struct Refused {
    size_t probe = 0;  ///< which of those planned
    std::string why;
  };
  std::vector<uint32_t> indices;  ///< of each planned probe's hit counter
  std::vector<Refused> refused;
};

struct RawFaultSite {
  uint32_t thread = 0;  ///< RawThread::index
  StackId stack{};
  at_touched_kind kind{};
  uint64_t samples = 0;
  Addr last_address{};
};

/// What became of a process's page faults.
struct FaultCounts {
  uint64_t counted = 0;  ///< by the kernel
  at_fault_counters program{};
  size_t uncertain_threads = 0;
};

/// Kernel memory of one map.
struct MapMemory {
  std::string name;
  uint32_t max_entries = 0;
  uint64_t bytes = 0;
};

struct BpfObject;

class Tracer {
 public:
  /// Loads the programs and makes the maps; nothing is attached yet.
  static Result<std::unique_ptr<Tracer>> load(const TracerOptions& options);
  ~Tracer();
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  [[nodiscard]] ProbeKind probe_kind() const { return kind_; }

  /// Reserves a slot for one image of a process; its probes report under it.
  [[nodiscard]] Result<Slot> open_slot(Tgid pid);
  /// AT_SLOT_* flags; for processes that we have started ourselves.
  [[nodiscard]] Status set_slot_flags(Slot slot, uint32_t flags);
  /// Samples the slot's process at this rung of TracerOptions::sample_rates from now on.
  [[nodiscard]] Status set_rung(Slot slot, uint32_t rung);
  /// Attaches planned probes of one file, releases before allocations, so that no free is missed. `thread` is a live
  /// thread of the process. A probe that the kernel refuses is left out; an error if it refuses all releases, or all
  /// allocations.
  [[nodiscard]] Result<AttachedProbes> attach(Slot slot, Tid thread, int file_fd, std::span<const PlannedProbe> probes);
  /// How a probe is attached: releases have no return, so a session is nothing for them.
  [[nodiscard]] ProbeKind kind_of(const PlannedProbe& probe) const {
    return probe.shape == AT_SHAPE_FREE ? plain_kind() : kind_;
  }
  /// Attaches the notice of library loads to the loader's `_dl_debug_state`.
  [[nodiscard]] Status attach_loader(Slot slot, Tid thread, int file_fd, uint64_t file_offset);
  /// Watches the page faults of a process's threads, present and to come.
  [[nodiscard]] Status watch_faults(Slot slot);
  /// Adds a file's unwind table to those all processes share.
  [[nodiscard]] Result<PooledUnwindTable> add_unwind_table(const UnwindTable& table);
  /// From now on stacks of this slot are walked by the tables of these mappings (by ascending start). Without, and before
  /// the first call, they are walked by frame pointers.
  /// `loads` is what loads() said before they were read.
  [[nodiscard]] Status publish_mappings(Slot slot, std::span<const at_unwind_mapping> mappings, uint32_t loads);
  /// To be called when no walk of this slot begins any more.
  void forget_mappings(Slot slot) { unwind_pool_.forget(slot); }
  /// How often the slot's loader has announced changes of what is mapped.
  [[nodiscard]] uint32_t loads(Slot slot) const;
  /// Removes the slot's probes, allocations before releases. What was gathered stays readable.
  void detach(Slot slot);
  /// Detaches, then forgets the slot's live blocks.
  void close_slot(Slot slot);

  /// The loader's announcements, apart from the other events. It must not outlive the tracer.
  [[nodiscard]] Result<LoadNotices> open_load_notices() const { return LoadNotices::open(*object_); }

  /// Readable when take_events() has something to return.
  [[nodiscard]] int event_fd() const;
  [[nodiscard]] std::vector<KernelEvent> take_events();

  [[nodiscard]] at_counters counters(Slot slot) const;
  [[nodiscard]] uint64_t hits(uint32_t probe) const;
  [[nodiscard]] std::vector<RawSite> sites(Slot slot);
  [[nodiscard]] std::vector<RawFaultSite> fault_sites(Slot slot);
  [[nodiscard]] FaultCounts fault_counts(Slot slot) const;
  [[nodiscard]] RawStack stack(StackId id) const;
  [[nodiscard]] RawThread thread(uint32_t index) const;
  /// Fills RawSite::older with the blocks that are older than `age` now.
  [[nodiscard]] Status run_age_pass(std::chrono::nanoseconds age);
  /// Probe hits that reached none of our programs (recursion), over the whole run.
  [[nodiscard]] uint64_t missed_hits() const;
  [[nodiscard]] std::vector<MapMemory> map_memory() const;
  /// The flight recorder, if TracerOptions::oom asked for one. It must not outlive the tracer.
  [[nodiscard]] Result<std::unique_ptr<OomFeed>> attach_oom_feed();
  /// The system calls that map memory, if TracerOptions::ranges asked for them. It must not outlive the tracer.
  [[nodiscard]] Result<std::unique_ptr<RangeFeed>> attach_range_feed();

 private:
  /// The probes of one process image. They go allocations first, so that the free of every block still recorded has a
  /// chance to be recorded too.
  struct SlotLinks {
    std::vector<UniqueFd> allocations;
    std::vector<UniqueFd> releases;
  };
  struct PointLists;

  Tracer(std::unique_ptr<BpfObject> object, const TracerOptions& options);
  Status start();
  Status write_slot(Slot slot, at_slot value);
  [[nodiscard]] ProbeKind plain_kind() const { return kind_ == ProbeKind::Perf ? ProbeKind::Perf : ProbeKind::Multi; }
  Status attach_lists(SlotLinks& links, Tid thread, int file_fd, PointLists lists, AttachedProbes& outcome);
  static int on_event(void* self, void* data, size_t size);

  std::unique_ptr<BpfObject> object_;
  std::unique_ptr<Custodian> custodian_;  ///< makes and removes all probes of targets
  ProbeKind kind_;
  UnwindPool unwind_pool_;
  std::vector<KernelEvent> pending_events_;
  std::map<Slot, SlotLinks> links_;
  std::map<Slot, Tgid> pids_;
  SiteIndex<at_site> index_;
  SiteIndex<at_fault_site> fault_index_;
  std::map<Slot, FaultEvents> fault_events_;
  std::optional<uint32_t> fault_interval_;
  uint32_t next_slot_ = 1;
  uint32_t next_probe_ = 0;
};

}  // namespace alloctrail
