// SPDX-License-Identifier: Apache-2.0
// One image of one traced process, from attach to exec or exit: its probes, its address space, its Snapshots.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "user/kernel/tracer.h"
#include "user/model/snapshot.h"
#include "user/symbols/symbolizer.h"
#include "user/target/process.h"
#include "user/target/residence.h"
#include "user/trace/probe_planner.h"
#include "user/trace/range_watch.h"
#include "user/trace/stack_names.h"
#include "user/trace/unwind_planner.h"

namespace alloctrail {

/// What all images of a run share.
struct TraceContext {
  Tracer& tracer;
  RangeFeed* ranges;  ///< null: mapped ranges are not tracked
  ProbePlanner& probes;
  UnwindPlanner& unwinding;
  Symbolizer& symbolizer;
  const std::optional<SampleRates>& sample_rates;
  HeapAccounting heap = HeapAccounting::On;
  std::optional<uint32_t> fault_interval = std::nullopt;  ///< of page faults; none: they are not watched
};

class ProcessImage {
 public:
  /// Opens a slot for the process; nothing is attached yet.
  static Result<ProcessImage> open(TraceContext context, TargetProcess target);

  /// Looks through the process's mappings and attaches what is not attached yet. Called again whenever libraries were
  /// loaded. Files that could not be hooked become warnings.
  [[nodiscard]] Status attach_mapped_files();

  /// Is what the run is about attached: an allocator, or the page faults if only they are watched?
  [[nodiscard]] bool hooked() const {
    return context_.heap == HeapAccounting::On ? !probes_.empty() : faults_watched_;
  }
  [[nodiscard]] Slot slot() const { return slot_; }
  [[nodiscard]] Tgid pid() const { return target_.identity.pid; }
  [[nodiscard]] const TargetProcess& target() const { return target_; }
  /// Its mappings as they were last looked at.
  [[nodiscard]] const AddressSpace& address_space() const { return space_; }
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

  /// Takes what system calls have changed since the last time.
  void update_ranges() {
    if (ranges_) ranges_->update();
  }

  /// Names stacks while their libraries are mapped.
  void name_stacks(std::span<const StackId> ids);
  /// The state now. `older` marks an age pass that has just been run.
  [[nodiscard]] Snapshot snapshot(EndReason end, std::optional<std::chrono::nanoseconds> older);
  /// Samples at this rung from now on; for runs that sample.
  [[nodiscard]] Status set_rung(uint32_t rung);
  [[nodiscard]] uint32_t rung() const { return rung_; }
  /// Removes the probes; what was gathered stays readable.
  void detach() { context_.tracer.detach(slot_); }
  /// Removes the probes and forgets the live blocks.
  void close();

 private:
  struct AttachedProbe {
    uint32_t index = 0;  ///< of its hit counter
    Probe row;
  };

  class SnapshotRows;

  ProcessImage(TraceContext context, TargetProcess target, Slot slot);
  /// Adds a sentence for the user, once.
  void warn(const std::string& warning);
  Status attach_module(const PlannedModule& module);
  Status watch_faults();
  void remember_probes(const PlannedModule& module, const AttachedProbes& attached);
  void refresh_figures();
  void add_surroundings(Snapshot& snapshot);
  void begin_ranges();
  void add_threads_and_sites(Snapshot& snapshot, bool ended);
  void add_ranges(Snapshot& snapshot, bool ended);
  void add_faults(Snapshot& snapshot, SnapshotRows& rows);
  void add_probes(Snapshot& snapshot);

  TraceContext context_;
  uint32_t rung_ = 0;
  uint32_t highest_rung_ = 0;
  TargetProcess target_;
  Slot slot_;
  std::chrono::steady_clock::time_point attached_at_;
  AddressSpace space_;
  StackNames stack_names_;
  std::map<FileKey, bool> attached_files_;
  std::vector<AttachedProbe> probes_;
  std::vector<std::string> warnings_;
  ProcessFigures figures_;
  ResidenceReader residence_;
  std::optional<RangeWatch> ranges_;
  bool faults_watched_ = false;
};

}  // namespace alloctrail
