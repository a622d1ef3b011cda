// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/features.h"

#include <fmt/core.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "user/kernel/oom_feed.h"

namespace alloctrail {
namespace {

FeatureCheck check_btf() {
  const bool readable = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
  return {.name = "kernel type information (BTF)",
          .available = readable,
          .detail = readable ? "/sys/kernel/btf/vmlinux" : "/sys/kernel/btf/vmlinux cannot be read: CONFIG_DEBUG_INFO_BTF=y is needed"};
}

FeatureCheck check_probe_kind(ProbeKind kind) {
  const Status tried = try_probe_kind(kind);
  return {.name = fmt::format("{} probes", name_of(kind)),
          .available = static_cast<bool>(tried),
          .detail = tried ? "attached to a function of our own" : tried.error().message};
}

FeatureCheck check_oom_recorder() {
  const auto feed = OomFeed::load();
  return {.name = "recording of OOM kills",
          .available = static_cast<bool>(feed),
          .detail = feed ? "attached to signals, exits and oom:mark_victim" : feed.error().message};
}

FeatureCheck check_ranges(Result<std::unique_ptr<Tracer>>& tracer) {
  const auto feed = tracer ? (*tracer)->attach_range_feed() : Result<std::unique_ptr<RangeFeed>>(tracer.error());
  return {.name = "mapped memory by system calls",
          .available = static_cast<bool>(feed),
          .detail = feed ? "attached to sys_exit" : feed.error().message};
}

}  // namespace

KernelFeatures examine_kernel() {
  KernelFeatures result;
  utsname name{};
  if (uname(&name) == 0) result.release = fmt::format("{} {}", name.release, name.machine);
  result.checks.push_back(check_btf());
  for (const ProbeKind kind : {ProbeKind::Session, ProbeKind::Multi, ProbeKind::Perf})
    result.checks.push_back(check_probe_kind(kind));

  const auto best = best_probe_kind();
  auto tracer = best ? Tracer::load({.probe_kind = *best, .ranges = RangeTracking::On}) : Result<std::unique_ptr<Tracer>>(best.error());
  result.checks.push_back({.name = "programs and maps",
                           .available = static_cast<bool>(tracer),
                           .detail = tracer ? "loaded and verified" : tracer.error().message});
  result.checks.push_back(check_ranges(tracer));
  result.checks.push_back(check_oom_recorder());
  if (tracer) result.maps = (*tracer)->map_memory();
  return result;
}

}  // namespace alloctrail
