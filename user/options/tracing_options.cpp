// SPDX-License-Identifier: Apache-2.0
#include "user/options/tracing_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "alloctrail/config.h"
#include "user/kernel/sample_table.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

using std::chrono::nanoseconds;

constexpr size_t kMaxCommLength = 15;  // TASK_COMM_LEN - 1
constexpr size_t kMaxPids = 1000;      // below AT_MAX_SLOTS, which execs use up too

bool add_pids(const std::string& list, std::vector<Tgid>& pids) {
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    Tgid pid{};
    if (!store<uint64_t>(parse_number(std::string_view(list).substr(at, comma - at)), 1, kMaxPid, pid)) return false;
    if (std::find(pids.begin(), pids.end(), pid) == pids.end()) pids.push_back(pid);
    at = comma + 1;
  }
  return pids.size() <= kMaxPids;
}

bool add_name(const std::string& name, size_t longest, Words& names) {
  if (name.empty() || name.size() > longest) return false;
  names.push_back(name);
  return true;
}

/// A number is a thread id; any other word is a name.
bool add_thread(const std::string& text, TracingOptions& o) {
  if (o.only_tids.size() == AT_MAX_WANTED_THREADS || o.only_names.size() == AT_MAX_WANTED_THREADS) return false;
  if (text.find_first_not_of("0123456789") != std::string::npos)
    return add_name(text, kMaxCommLength, o.only_names);
  Tid tid{};
  if (!store<uint64_t>(parse_number(text), 1, kMaxPid, tid)) return false;
  o.only_tids.push_back(tid);
  return true;
}

}  // namespace

void declare_targets(CLI::App& app, TargetOptions& targets) {
  OptionGroup group(app, "What to trace");
  group.values("-p,--pid", "PID[,PID...]", "running processes by number",
               "process ids from 1 to 4194304, separated by commas, at most 1000",
               [&](const std::string& text) { return add_pids(text, targets.pids); });
  group.values("--comm", "NAME", "running processes by name, as ps -o comm shows it", "a name of 1 to 15 bytes",
               [&](const std::string& text) { return add_name(text, kMaxCommLength, targets.comms); });
  group.values("--cgroup", "DIR", "running processes of a cgroup and of those below it", "a directory",
               [&](const std::string& text) { return add_name(text, 4096, targets.cgroups); });
}

void declare_filters(OptionGroup& group, TracingOptions& o) {
  group.value("--sample", "SIZE", "record about one allocation in SIZE bytes, and estimate",
              "a size from 1KiB to 16MiB, such as 64KiB; without it every allocation is recorded",
              [&](const std::string& text) {
                return store<uint64_t>(parse_size(text), kLowestSampleRate, kHighestSampleRate, o.sample_rate_bytes);
              });
  group.value("--min-size", "SIZE", "leave out smaller allocations", "a size up to 1TiB, such as 64, 4KiB or 1M",
              [&](const std::string& text) {
                return store<uint64_t>(parse_size(text), 0, uint64_t{1} << 40, o.min_size_bytes);
              });
  group.values("--thread", "TID|NAME", "record only allocations of this thread; may be repeated",
               "a thread id from 1 to 4194304 or a name of 1 to 15 bytes, at most 256 of each",
               [&](const std::string& text) { return add_thread(text, o); });
  group.value("--older", "TIME", "rank by blocks that have lived longer than this",
              "a time from 1ms to 30d, such as 10s or 5m", [&](const std::string& text) {
                return store<nanoseconds>(parse_duration(text), std::chrono::milliseconds(1),
                                          std::chrono::hours(30 * 24), o.older);
              });
}

void declare_warning(OptionGroup& group, TracingOptions& o) {
  group.value("--warn-at", "SHARE",
              "a report when the process's nearest memory limit is used up to this share, again every 5% further, and "
              "when the kernel begins to take memory back; what can be taken back does not count as used",
              "a share of the limit from 1% to 99%, such as 80%", [&](const std::string& text) {
                const std::string_view digits =
                    text.ends_with('%') ? std::string_view(text).substr(0, text.size() - 1) : std::string_view(text);
                return store<uint64_t>(parse_number(digits), 1, 99, o.warn_at_percent);
              });
}

void declare_growth(OptionGroup& group, TracingOptions& o) {
  group.flag("--growth", "who touches memory, by page faults; no allocator is probed", o.growth);
  group.value("--fault-interval", "N", "with --growth: take every Nth page fault of a thread [61]",
              "a number from 1 to 1000000", [&](const std::string& text) {
                return store<uint64_t>(parse_count(text), 1, 1'000'000, o.fault_interval);
              });
}

void declare_kernel(CLI::App& app, TracingOptions& o) {
  OptionGroup group(app, "Kernel side");
  const auto table = [&](const char* name, const char* help, const char* expected, uint64_t most, uint32_t& target) {
    group.value(name, "N", help, expected, [&target, most](const std::string& text) {
      return store<uint64_t>(parse_count(text), 1, most, target);
    });
  };
  table("--max-live", "live blocks to keep track of [2Mi]", "a number from 1 to 128Mi", 128u << 20, o.max_live_blocks);
  table("--max-stacks", "different stacks [64Ki]", "a number from 1 to 4Mi", 4u << 20, o.max_stacks);
  table("--max-sites", "pairs of thread and stack [256Ki]", "a number from 1 to 16Mi", 16u << 20, o.max_sites);
  group.value("--probe-kind", "KIND", "auto, session, multi or perf [auto]", "auto, session, multi or perf",
              [&](const std::string& text) {
                if (text == "session") o.probe_kind = ProbeKind::Session;
                if (text == "multi") o.probe_kind = ProbeKind::Multi;
                if (text == "perf") o.probe_kind = ProbeKind::Perf;
                return o.probe_kind || text == "auto";
              });
}

Status choose_targets(const char* subcommand, const std::optional<Words>& program, TargetOptions& targets) {
  const bool selects = targets.names_running_processes();
  if (program && program->empty()) {
    return usage("nothing follows \"--\"",
                 fmt::format("write the command to start after it: alloctrail {} -- COMMAND ARGS...", subcommand));
  }
  if (program && selects) {
    return usage("running processes (-p, --comm, --cgroup) and a command to start (after \"--\") exclude each other",
                 "choose one of the two");
  }
  if (!program && !selects) {
    return usage("nothing to trace",
                 "name a running process with -p PID, --comm NAME or --cgroup DIR, or a command after \"--\"");
  }
  if (program) targets.command = *program;
  return ok();
}

}  // namespace alloctrail
