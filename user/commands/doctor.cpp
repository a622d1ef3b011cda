// SPDX-License-Identifier: Apache-2.0
#include "user/commands/doctor.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "user/kernel/features.h"
#include "user/output/terminal_text.h"
#include "user/output/units.h"
#include "user/symbols/symbol_worker.h"
#include "user/target/figures.h"
#include "user/target/process.h"
#include "user/trace/probe_planner.h"

namespace alloctrail {
namespace {

/// What was found in the target.
struct TargetFindings {
  ProcessFigures figures;
  ProcessPlan plan;
};

struct Findings {
  KernelFeatures kernel;
  Result<Confinement> symbols;  ///< how the worker that reads them is confined
  std::optional<TargetFindings> target;
};

Result<TargetFindings> examine_target(Tgid pid) {
  auto target = open_target(pid);
  if (!target) return std::move(target).error();
  auto figures = read_figures(pid);
  if (!figures) return std::move(figures).error();
  auto mappings = read_mappings(pid);
  if (!mappings) return std::move(mappings).error();
  ProbePlanner planner;
  return TargetFindings{.figures = *std::move(figures), .plan = planner.plan(pid, *mappings)};
}

const char* moment_name(const PlannedProbe& probe) {
  switch (probe.moment) {
    case ProbeMoment::Entry: return "entry";
    case ProbeMoment::EntryAndReturn: return "entry+return";
    case ProbeMoment::ReturnSite: return "at ret";
  }
  return "";
}

std::string safe(const std::string& text) { return terminal_text(text, Charset::Utf8); }

void print_kernel(const KernelFeatures& kernel) {
  fmt::print("kernel {}\n", safe(kernel.release));
  for (const FeatureCheck& check : kernel.checks)
    fmt::print("  {:3}  {:32} {}\n", check.available ? "yes" : "NO", check.name, safe(check.detail));
  if (kernel.maps.empty()) return;
  uint64_t total = 0;
  fmt::print("kernel memory with the default limits, nothing traced yet\n");
  for (const MapMemory& map : kernel.maps) {
    fmt::print("  {:>10}  {:16} {} entries\n", format_bytes(map.bytes), map.name, map.max_entries);
    total += map.bytes;
  }
  fmt::print("  {:>10}  in all; 'live' and the '_ids' tables grow with what they hold (72 bytes a live block)\n",
             format_bytes(total));
}

void print_symbols(const Result<Confinement>& symbols) {
  fmt::print("worker that reads symbols\n");
  if (!symbols) fmt::print("  NO   {}: places in code have no names\n", safe(symbols.error().message));
  if (!symbols) return;
  for (const ConfinementStep& step : confinement_steps())
    fmt::print("  {:3}  {:32} {}\n", (*symbols & step.bit) != 0 ? "yes" : "NO", step.name, step.meaning);
}

void print_target(const TargetFindings& target) {
  fmt::print("process {} {}\n", raw(target.figures.pid), safe(target.figures.command));
  for (const PlannedModule& module : target.plan.modules) {
    if (module.loader_offset != 0)
      fmt::print("  {}\n    loader: library loads are noticed at +{:#x}\n", safe(module.mapping.path), module.loader_offset);
    if (module.plan.probes.empty()) continue;
    fmt::print("  {}: {}\n", safe(module.mapping.path), module.plan.allocator);
    for (const PlannedProbe& probe : module.plan.probes)
      fmt::print("    {:28} +{:#08x}  {:12}  {}\n", safe(probe.function), probe.file_offset, moment_name(probe),
                 safe(probe.reason));
  }
  for (const std::string& note : target.plan.notes) fmt::print("  note: {}\n", safe(note));
  for (const std::string& warning : target.plan.warnings) fmt::print("  warning: {}\n", safe(warning));
}

nlohmann::json kernel_json(const KernelFeatures& kernel) {
  nlohmann::json result{{"release", kernel.release}, {"checks", nlohmann::json::array()}, {"maps", nlohmann::json::array()}};
  for (const FeatureCheck& check : kernel.checks)
    result["checks"].push_back({{"name", check.name}, {"available", check.available}, {"detail", check.detail}});
  for (const MapMemory& map : kernel.maps)
    result["maps"].push_back({{"name", map.name}, {"max_entries", map.max_entries}, {"bytes", map.bytes}});
  return result;
}

nlohmann::json symbols_json(const Result<Confinement>& symbols) {
  if (!symbols) return {{"error", symbols.error().message}};
  nlohmann::json result{{"confinement", nlohmann::json::array()}};
  for (const ConfinementStep& step : confinement_steps())
    result["confinement"].push_back(
        {{"name", step.name}, {"in_force", (*symbols & step.bit) != 0}, {"detail", step.meaning}});
  return result;
}

nlohmann::json target_json(const TargetFindings& target) {
  nlohmann::json result{{"pid", raw(target.figures.pid)},
                        {"command", target.figures.command},
                        {"warnings", target.plan.warnings},
                        {"notes", target.plan.notes},
                        {"probes", nlohmann::json::array()}};
  for (const PlannedModule& module : target.plan.modules)
    for (const PlannedProbe& probe : module.plan.probes)
      result["probes"].push_back({{"function", probe.function},
                                  {"module", module.mapping.path},
                                  {"allocator", module.plan.allocator},
                                  {"offset", probe.file_offset},
                                  {"moment", moment_name(probe)},
                                  {"site", probe.reason}});
  return result;
}

void print_json(const Findings& findings) {
  nlohmann::json document{{"schema", "alloctrail/doctor/1"}, {"kernel", kernel_json(findings.kernel)},
                          {"symbol_worker", symbols_json(findings.symbols)}};
  if (findings.target) document["process"] = target_json(*findings.target);
  fmt::print("{}\n", document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

bool all_needed_available(const KernelFeatures& kernel) { return !kernel.maps.empty(); }

bool any_allocator(const TargetFindings& target) {
  for (const PlannedModule& module : target.plan.modules)
    if (!module.plan.probes.empty()) return true;
  return false;
}

}  // namespace

Result<ExitCode> run_doctor(const DoctorOptions& options) {
  SymbolWorker worker;
  Findings findings{.kernel = examine_kernel(), .symbols = worker.confinement(), .target = {}};
  if (options.pid) {
    auto target = examine_target(*options.pid);
    if (!target) return std::move(target).error();
    findings.target = *std::move(target);
  }
  if (options.json) {
    print_json(findings);
  } else {
    print_kernel(findings.kernel);
    print_symbols(findings.symbols);
    if (findings.target) print_target(*findings.target);
    if (findings.target && !any_allocator(*findings.target)) fmt::print("  no allocator found: nothing to hook\n");
  }
  const bool usable = all_needed_available(findings.kernel) && (!findings.target || any_allocator(*findings.target));
  return usable ? kExitOk : kExitNotSupported;
}

}  // namespace alloctrail
