// SPDX-License-Identifier: Apache-2.0
// Section "walks": what a frame of a stack costs, and a stack without its frames, by the same work at two depths. Beside
// it the kernel's own walk along frame pointers, which the program is built with; unwind tables do not need them.
#include <fmt/core.h>

#include "tests/bench/comparison.h"

namespace alloctrail::bench {
namespace {

constexpr int kShallow = 8;
constexpr int kDeep = 48;
constexpr const char* kStackIds = "entries with bpf_get_stackid";

struct Depths {
  double shallow_ns = 0;
  double deep_ns = 0;
  [[nodiscard]] double ns_per_frame() const { return (deep_ns - shallow_ns) / (kDeep - kShallow); }
  /// What a stack of no frames would cost.
  [[nodiscard]] double fixed_ns() const { return shallow_ns - kShallow * ns_per_frame(); }
};

nlohmann::json print(const std::string& name, const Depths& with, const Depths& empty) {
  const double fixed = with.fixed_ns() - (empty.shallow_ns + empty.deep_ns) / 2;
  fmt::print("  {:<34} {:>8.1f} ns a frame   {:>8.1f} ns a stack besides, beyond the empty probes\n", name,
             with.ns_per_frame(), fixed);
  return {{"name", name}, {"frame_ns", with.ns_per_frame()}, {"fixed_ns", fixed}};
}

}  // namespace

nlohmann::json measure_walks(const Options& options, const test::Deadline& deadline) {
  const Effort effort = options.quick ? Effort{.visits = 2, .rounds = 4, .pieces = 20'000}
                                      : Effort{.visits = 4, .rounds = 8, .pieces = 30'000};
  const Condition full = alloctrail_full(ProbeKind::Session, deadline);
  const std::vector<Condition> conditions = {
      nothing(),
      empty_probes(kEntryFloor, ProbeKind::Session, EmptySites::ChosenEntries),
      {.name = kStackIds, .attach = [](pid_t pid) { return attach_stack_ids(ProbeKind::Session, pid); }},
      empty_probes(kFloor, ProbeKind::Session, EmptySites::ChosenEntriesReturns),
      full};
  std::map<std::string, Depths> depths;
  nlohmann::json result;
  for (const int depth : {kShallow, kDeep}) {
    Comparison comparison(fmt::format("stacks of {} frames, {} pairs a round", depth, effort.pieces),
                          {program("bench_pair"), "1", std::to_string(depth), "pair"}, deadline);
    comparison.run(conditions, effort);
    result["depths"].push_back(comparison.print(kFloor));
    for (const Condition& condition : conditions)
      (depth == kShallow ? depths[condition.name].shallow_ns : depths[condition.name].deep_ns) =
          comparison.least_ns(condition.name);
  }
  fmt::print("\nby the least of all rounds; alloctrail's fixed part holds all of its work on a pair, not the walk alone\n");
  result["walks"] = {print("bpf_get_stackid (frame pointers)", depths[kStackIds], depths[kEntryFloor]),
                     print("alloctrail (unwind tables)", depths[full.name], depths[kFloor])};
  std::fflush(stdout);
  return result;
}

}  // namespace alloctrail::bench
