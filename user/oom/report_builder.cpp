// SPDX-License-Identifier: Apache-2.0
#include "user/oom/report_builder.h"

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "user/oom/cgroup_levels.h"
#include "user/oom/kernel_symbols.h"
#include "user/oom/stack_unwinder.h"
#include "user/oom/syscall_name.h"
#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

uint64_t page_bytes() { return static_cast<uint64_t>(sysconf(_SC_PAGESIZE)); }

template <size_t N>
std::string text_of(const char (&field)[N]) {
  return {field, strnlen(field, N)};
}

/// Records are stamped with the monotonic clock.
std::chrono::system_clock::time_point wall_time(uint64_t monotonic_ns) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const auto since = std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec) -
                     std::chrono::nanoseconds(static_cast<int64_t>(monotonic_ns));
  return std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(since);
}

std::string joined_arguments(std::string arguments) {
  while (!arguments.empty() && arguments.back() == '\0') arguments.pop_back();
  std::ranges::replace(arguments, '\0', ' ');
  return arguments;
}

std::string state_of(const at_oom_stack& stack) {
  return stack.syscall < 0 ? "running" : "in " + syscall_name(stack.syscall);
}

/// Keeps one of equal stacks.
class StackList {
 public:
  explicit StackList(std::vector<Stack>& stacks) : stacks_(stacks) {}

  uint32_t add(Stack stack) {
    for (uint32_t i = 0; i < stacks_.size(); ++i)
      if (equal(stacks_[i], stack)) return i;
    stacks_.push_back(std::move(stack));
    return static_cast<uint32_t>(stacks_.size() - 1);
  }

 private:
  static bool equal(const Stack& a, const Stack& b) {
    return a.status == b.status && std::ranges::equal(a.frames, b.frames, [](const Frame& x, const Frame& y) {
             return x.address == y.address && x.function == y.function && x.module_offset == y.module_offset;
           });
  }
  std::vector<Stack>& stacks_;
};

/// Names the stacks of one process's threads.
class StackNamer {
 public:
  StackNamer(const AddressSpace& space, Symbolizer& symbolizer) : space_(space), symbolizer_(symbolizer) {}

  Stack name(const at_oom_stack& stack, std::span<const std::byte> memory) {
    if (stack.kind == AT_OOM_STACK_WALKED) {
      const size_t count = std::min<size_t>(stack.user_frames, AT_MAX_FRAMES);
      std::vector<Addr> addresses;
      for (size_t i = 0; i < count; ++i) addresses.push_back(Addr(stack.user.frames[i]));
      return name_addresses(addresses, static_cast<at_stack_status>(stack.status));
    }
    if (stack.kind == AT_OOM_STACK_NONE) return Stack{.frames = {}, .status = AT_STACK_fault};
    if (space_.mappings.empty()) return name_build_ids(stack);
    return name_unwound(stack, memory);
  }

 private:
  /// The innermost address is the next instruction, all others are where calls return to.
  Stack name_addresses(const std::vector<Addr>& addresses, at_stack_status status) {
    std::vector<Frame> frames;
    for (size_t i = 0; i < addresses.size(); ++i) {
      const Addr call = i == 0 || raw(addresses[i]) == 0 ? addresses[i] : Addr(raw(addresses[i]) - 1);
      for (Frame& frame : symbolizer_.resolve(space_, call)) frames.push_back(std::move(frame));
    }
    return Stack{.frames = Frames(frames), .status = status};
  }

  Stack name_unwound(const at_oom_stack& stack, std::span<const std::byte> memory) {
    if (!unwinder_)
      unwinder_.emplace(space_.mappings, [this](const Mapping& mapping) { return open_mapped_file(space_.pid, mapping); });
    const UnwoundStack walked =
        unwinder_->walk({.ip = stack.ip, .sp = stack.sp, .bp = stack.bp, .memory = memory});
    return name_addresses(walked.addresses, walked.status);
  }

  /// Without mappings only the files' build-ids say where an address lies.
  static Stack name_build_ids(const at_oom_stack& stack) {
    std::vector<Frame> frames;
    for (size_t i = 0; i < std::min<size_t>(stack.user_frames, AT_OOM_BUILD_IDS); ++i) {
      const at_oom_build_id& id = stack.user.ids[i];
      Frame frame;
      if (id.status == 1) {
        frame.module = fmt::format("[build-id {:02x}]", fmt::join(id.build_id, ""));
        frame.module_offset = id.offset;
      } else {
        frame.address = Addr(id.offset);
      }
      frames.push_back(std::move(frame));
    }
    return Stack{.frames = Frames(frames), .status = AT_STACK_frame_pointers};
  }

  const AddressSpace& space_;
  Symbolizer& symbolizer_;
  std::optional<StackUnwinder> unwinder_;
};

void add_threads(OomReport& report, const OomCapture& capture, const AddressSpace& space, Symbolizer& symbolizer) {
  StackNamer namer(space, symbolizer);
  StackList stacks(report.stacks);
  for (const CapturedThread& captured : capture.threads) {
    const at_oom_stack& stack = captured.record.stack;
    report.threads.push_back({.tid = Tid(captured.record.header.tid),
                              .name = text_of(captured.record.header.comm),
                              .state = state_of(stack),
                              .stack = stacks.add(namer.name(stack, captured.stack_memory)),
                              .trigger = captured.record.header.tid == capture.kill.trigger_tid,
                              .at_exit = captured.record.at_exit != 0});
  }
  const AddressSpace others{.pid = report.trigger_pid, .mappings = capture.trigger_mappings};
  StackNamer stranger(others, symbolizer);
  StackNamer& of_trigger = report.trigger_is_victim() ? namer : stranger;
  report.trigger_stack = stacks.add(of_trigger.name(capture.kill.stack, capture.trigger_memory));
}

/// The kernel's own names for the figures, computed as fs/proc/task_mmu.c does.
void add_figures(OomReport& report, const at_oom_kill& kill) {
  const at_oom_memory& memory = kill.memory;
  const uint64_t page = page_bytes();
  const uint64_t rss = memory.anon + memory.file + memory.shmem;
  const uint64_t text = std::min<uint64_t>(memory.text_bytes, memory.exec_vm * page);
  const Certainty resident = (kill.flags & AT_OOM_SHARED_SUMS) != 0 ? Certainty::Approximate : Certainty::Exact;
  report.rss_bytes = rss * page;
  report.figures = {
      {.name = "VmPeak", .bytes = std::max<uint64_t>(memory.peak_vm, memory.total_vm) * page},
      {.name = "VmSize", .bytes = memory.total_vm * page},
      {.name = "VmLck", .bytes = memory.locked_vm * page},
      {.name = "VmHWM", .bytes = std::max<uint64_t>(memory.peak_rss, rss) * page, .certainty = resident},
      {.name = "VmRSS", .bytes = rss * page, .certainty = resident},
      {.name = "RssAnon", .bytes = memory.anon * page, .certainty = resident},
      {.name = "RssFile", .bytes = memory.file * page, .certainty = resident},
      {.name = "RssShmem", .bytes = memory.shmem * page, .certainty = resident},
      {.name = "VmData", .bytes = memory.data_vm * page},
      {.name = "VmStk", .bytes = memory.stack_vm * page},
      {.name = "VmExe", .bytes = text},
      {.name = "VmLib", .bytes = memory.exec_vm * page - text},
      {.name = "VmPTE", .bytes = memory.page_table_bytes},
      {.name = "VmSwap", .bytes = memory.swap * page, .certainty = resident},
  };
  // Each CPU keeps up to a batch of pages to itself (percpu_counter_batch: twice the CPUs, at least 32).
  const auto cpus = static_cast<uint64_t>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  if (resident == Certainty::Approximate) report.memory_error_bytes = std::max<uint64_t>(32, 2 * cpus) * cpus * page;
}

/// A thread that was held: the kernel's own exact sums. Lines that it does not have keep what the kill's record says.
void use_held_status(OomReport& report, const std::string& status) {
  for (OomFigure& figure : report.figures) {
    const auto kilobytes = leading_number(status_value(status, figure.name));
    if (!kilobytes) continue;
    figure.bytes = *kilobytes * 1024;
    figure.certainty = Certainty::Exact;
    if (figure.name == "VmRSS") report.rss_bytes = figure.bytes;
  }
}

void add_cgroups(OomReport& report, const at_oom_kill& kill) {
  const uint64_t page = page_bytes();
  std::vector<std::string> paths = level_paths(kill);
  for (size_t i = 0; i < paths.size(); ++i) {
    const at_oom_level& level = kill.levels[i];
    OomCgroup group{.path = std::move(paths[i]),
                    .usage_bytes = level.usage_pages * page,
                    .limit_bytes = {},
                    .kernel_bytes = level.kernel_pages * page};
    if (const auto limit = limit_pages(level)) group.limit_bytes = *limit * page;
    report.cgroups.push_back(std::move(group));
  }
}

void add_usage(OomReport& report, const OomCapture& capture) {
  if (!capture.usage || !report.full_cgroup) return;
  report.usage = OomUsage{.path = report.cgroups[*report.full_cgroup].path,
                          .use_bytes = capture.usage->use_bytes,
                          .anon_bytes = capture.usage->anon_bytes,
                          .file_bytes = capture.usage->file_bytes,
                          .shmem_bytes = capture.usage->shmem_bytes,
                          .kernel_bytes = capture.usage->kernel_bytes,
                          .after_kill = capture.usage_read_after};
}

bool has_function(const std::vector<std::string>& stack, std::string_view name) {
  return std::ranges::any_of(stack, [&](const std::string& function) { return function.starts_with(name); });
}

/// Our own programs and the tracepoint that ran them, which older kernels have no function for.
void drop_own_frames(std::vector<std::string>& stack) {
  const auto last = std::ranges::find_if(stack.rbegin(), stack.rend(), [](const std::string& name) {
    return name.starts_with("__traceiter_") || name.starts_with("bpf_trace_run");
  });
  stack.erase(stack.begin(), last.base());
}

OomReason reason_of(const OomReport& report, const at_oom_kill& kill) {
  if ((kill.flags & AT_OOM_EXITING) != 0) return OomReason::Exiting;
  if (has_function(report.kernel_stack, "mem_cgroup_out_of_memory") ||
      has_function(report.kernel_stack, "mem_cgroup_oom"))
    return OomReason::CgroupLimit;
  if (has_function(report.kernel_stack, "moom_callback")) return OomReason::OnRequest;
  if (has_function(report.kernel_stack, "__alloc_pages") || has_function(report.kernel_stack, "pagefault_out_of_memory"))
    return OomReason::Host;
  return report.full_cgroup ? OomReason::CgroupLimit : OomReason::Unknown;
}

void add_losses(OomReport& report, const OomCapture& capture) {
  const uint64_t seen = capture.threads.size();
  report.losses.threads_not_seen = report.thread_count > seen ? report.thread_count - seen : 0;
  report.losses.stacks_cut = static_cast<uint64_t>(std::ranges::count_if(report.threads, [&](const OomThread& thread) {
    const at_stack_status status = report.stacks[thread.stack].status;
    return status != AT_STACK_complete && status != AT_STACK_frame_pointers;
  }));
  if (!capture.end) {
    report.notes.push_back("the process had not ended 5 s after the kill: threads that still live are missing here");
    return;
  }
  report.losses.records_dropped = capture.end->dropped;
  report.losses.late_calls = capture.end->late_calls;
  report.death_took = std::chrono::nanoseconds(capture.end->header.time_ns - capture.kill.header.time_ns);
}

}  // namespace

ReclaimNotice build_reclaim_notice(const CapturedThread& thread, const AddressSpace& space, Symbolizer& symbolizer) {
  const at_oom_header& header = thread.record.header;
  return {.time = wall_time(header.time_ns),
          .pid = Tgid(header.tgid),
          .tid = Tid(header.tid),
          .thread = text_of(header.comm),
          .state = state_of(thread.record.stack),
          .stack = StackNamer(space, symbolizer).name(thread.record.stack, thread.stack_memory)};
}

OomReport build_oom_report(const OomCapture& capture, const AddressSpace& space, Symbolizer& symbolizer) {
  const at_oom_kill& kill = capture.kill;
  OomReport report;
  report.number = kill.header.kill;
  report.time = wall_time(kill.header.time_ns);
  report.pid = capture.pid();
  report.comm = text_of(kill.header.comm);
  report.command = joined_arguments(capture.command);
  report.uid = kill.uid;
  report.oom_score_adj = kill.oom_score_adj;
  report.thread_count = kill.threads;
  report.trigger_pid = Tgid(kill.trigger_tgid);
  report.trigger_tid = Tid(kill.trigger_tid);
  report.trigger_comm = text_of(kill.trigger_comm);
  report.trigger_state = state_of(kill.stack);
  const size_t kernel_frames = std::min<size_t>(kill.stack.kernel_frames, AT_OOM_KERNEL_FRAMES);
  report.kernel_stack = name_kernel_functions({kill.stack.kernel, kill.stack.kernel + kernel_frames});
  drop_own_frames(report.kernel_stack);
  add_cgroups(report, kill);
  report.full_cgroup = full_level(kill);
  report.reason = reason_of(report, kill);
  if (report.reason != OomReason::CgroupLimit) report.full_cgroup.reset();
  // Between the charge that failed and the signal, another victim may have given memory back.
  else if (!report.full_cgroup) report.full_cgroup = tightest_level(kill);
  add_usage(report, capture);
  add_figures(report, kill);
  report.held = !capture.held_status.empty();
  if (report.held) use_held_status(report, capture.held_status);
  if (!capture.hold_refusal.empty())
    report.notes.push_back("it could not be held while it died, as another program traces it or we may not: " +
                           capture.hold_refusal);
  add_threads(report, capture, space, symbolizer);
  add_losses(report, capture);
  for (std::string& problem : symbolizer.problems(space)) report.notes.push_back(std::move(problem));
  report.mappings_seen = !space.mappings.empty();
  if (!report.mappings_seen)
    report.notes.push_back(
        fmt::format("{}: frames are found by frame pointers, callers may be missing, and a place is a file's build-id and an "
                    "offset",
                    capture.looked_at ? "the process was gone before its mappings could be read"
                                      : "the process's mappings were not read while it was there"));
  return report;
}

}  // namespace alloctrail
