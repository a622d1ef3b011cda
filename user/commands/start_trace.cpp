// SPDX-License-Identifier: Apache-2.0
#include "user/commands/start_trace.h"

#include <algorithm>

#include "user/target/selection.h"

namespace alloctrail {
namespace {

TraceOptions trace_options(const TracingOptions& options, TraceExtras extras) {
  TraceOptions result;
  result.tracer.oom = extras.oom;
  result.tracer.ranges = extras.ranges;
  result.tracer.reclaim = options.warn_at_percent ? ReclaimNotices::On : ReclaimNotices::Off;
  result.tracer.max_live_blocks = options.max_live_blocks;
  result.tracer.max_sites = options.max_sites;
  result.tracer.max_stacks = options.max_stacks;
  result.tracer.min_size_bytes = options.min_size_bytes;
  result.tracer.only_tids = options.only_tids;
  result.tracer.only_names = options.only_names;
  if (options.sample_rate_bytes) {
    result.tracer.sample_rates = SampleRates{.lowest_bytes = *options.sample_rate_bytes};
    result.first_rung = 1;
  }
  if (options.growth) {
    result.tracer.accounting = HeapAccounting::Off;
    result.tracer.fault_interval = options.fault_interval;
  }
  result.probe_kind = options.probe_kind;
  result.older = options.older;
  return result;
}

}  // namespace

Result<std::vector<Tgid>> select_targets(const TargetOptions& selection) {
  std::vector<Tgid> pids = selection.pids;
  const auto add = [&](Result<std::vector<Tgid>> found) {
    if (!found) return Status(std::move(found).error());
    pids.insert(pids.end(), found->begin(), found->end());
    return ok();
  };
  for (const std::string& comm : selection.comms)
    if (auto added = add(find_by_comm(comm)); !added) return std::move(added).error();
  for (const std::string& cgroup : selection.cgroups)
    if (auto added = add(find_by_cgroup(cgroup)); !added) return std::move(added).error();
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return pids;
}

Result<std::unique_ptr<Trace>> start_trace(const TracingOptions& options, TraceExtras extras) {
  if (!options.targets.command.empty()) return Trace::launch(trace_options(options, extras), options.targets.command);
  auto pids = select_targets(options.targets);
  if (!pids) return std::move(pids).error();
  std::vector<TargetProcess> targets;
  for (const Tgid pid : *pids) {
    auto target = open_target(pid);
    if (!target) return std::move(target).error();
    targets.push_back(*std::move(target));
  }
  return Trace::attach(trace_options(options, extras), std::move(targets));
}

}  // namespace alloctrail
