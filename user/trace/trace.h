// SPDX-License-Identifier: Apache-2.0
// A running trace of a set of processes: attaches, follows their execs, exits and library loads, hands out Snapshots.
#pragma once

#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "user/handles.h"
#include "user/kernel/tracer.h"
#include "user/model/snapshot.h"
#include "user/symbols/symbolizer.h"
#include "user/target/process.h"
#include "user/trace/child_command.h"
#include "user/trace/load_watch.h"
#include "user/trace/probe_planner.h"
#include "user/trace/process_image.h"

namespace alloctrail {

struct TraceOptions {
  TracerOptions tracer;
  std::optional<ProbeKind> probe_kind;  ///< empty: the best this kernel has
  std::optional<std::chrono::nanoseconds> older;
  uint32_t first_rung = 0;  ///< of TracerOptions::sample_rates, for every process
};

class Trace {
 public:
  /// Attaches to processes that run already. All of them, or an error and nothing is left attached.
  static Result<std::unique_ptr<Trace>> attach(const TraceOptions& options, std::vector<TargetProcess> targets);
  /// Starts a command and attaches before its first allocation.
  static Result<std::unique_ptr<Trace>> launch(const TraceOptions& options, const std::vector<std::string>& command);

  /// Readable when handle_events() has something to do.
  [[nodiscard]] int event_fd() const { return epoll_.get(); }
  /// Follows what has happened; the result holds the final Snapshots of images that ended.
  [[nodiscard]] std::vector<Snapshot> handle_events();
  /// All processes now.
  [[nodiscard]] Result<std::vector<Snapshot>> snapshots();
  /// One of them now; nothing if it is not traced any more.
  [[nodiscard]] std::optional<Snapshot> snapshot(Tgid pid);
  /// The last Snapshots; then the probes are removed.
  [[nodiscard]] std::vector<Snapshot> finish();

  [[nodiscard]] bool all_ended() const { return images_.empty(); }
  [[nodiscard]] std::vector<Tgid> pids() const;
  /// Sentences for standard error, each once: a new image could not be traced, a file could not be hooked ...
  [[nodiscard]] std::vector<std::string> take_messages();

  /// The flight recorder, if TracerOptions::oom asked for one; it must not outlive the trace.
  [[nodiscard]] Result<std::unique_ptr<OomFeed>> attach_oom_feed() { return tracer_->attach_oom_feed(); }
  /// What a traced process has mapped, or had when it ended.
  [[nodiscard]] std::optional<AddressSpace> address_space(Tgid pid) const;
  [[nodiscard]] Symbolizer& symbolizer() { return symbolizer_; }

 private:
  using Images = std::list<ProcessImage>;

  explicit Trace(const TraceOptions& options) : options_(options) {}
  Status load();
  Status add(TargetProcess target);
  Status watch(int fd);
  Status watch_ranges();
  Status wait_for_allocator();
  [[nodiscard]] TraceContext context() {
    const TracerOptions& tracer = options_.tracer;
    return {*tracer_,           ranges_.get(),     probes_, *unwinding_, symbolizer_, tracer.sample_rates,
            tracer.accounting, tracer.fault_interval};
  }
  size_t name_stacks_in_front(std::span<const KernelEvent> events);
  void handle(const KernelEvent& event, std::vector<Snapshot>& ended);
  void follow_exec(Images::iterator image, std::vector<Snapshot>& ended);
  void follow_load(ProcessImage& image);
  void collect_exits(std::vector<Snapshot>& ended);
  Images::iterator image_of(Slot slot);

  TraceOptions options_;
  std::unique_ptr<Tracer> tracer_;
  std::unique_ptr<RangeFeed> ranges_;  ///< none if not asked for, or if this kernel has not what it takes
  ProbePlanner probes_;
  std::optional<UnwindPlanner> unwinding_;
  std::unique_ptr<LoadWatch> load_watch_;
  Symbolizer symbolizer_{NamesCache()};
  UniqueFd epoll_;
  Images images_;
  std::optional<ChildCommand> child_;
  std::vector<Snapshot> ended_early_;  ///< of a command so short that it ended while it was being hooked
  std::vector<std::string> messages_;
  std::map<Tgid, AddressSpace> ended_spaces_;  ///< of processes that have exited
};

}  // namespace alloctrail
