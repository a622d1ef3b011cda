// SPDX-License-Identifier: Apache-2.0
// Section "pairs": nanoseconds per malloc+free pair and thread, by condition, for several shapes of the work.
#include <fmt/core.h>

#include "tests/bench/comparison.h"
#include "tests/support/temp_dir.h"

namespace alloctrail::bench {
namespace {

constexpr const char* kFloor = "empty probes, chosen sites";

struct Shape {
  int threads = 1;
  int depth = 5;
  uint64_t kept_blocks = 0;
  const char* mix = "pair";
};

std::vector<Condition> all_conditions(const Options& options, const test::Deadline& deadline,
                                      const std::string& folder) {
  return {nothing(),
          empty_probes("empty entries, chosen sites", ProbeKind::Session, EmptySites::ChosenEntries),
          empty_probes(kFloor, ProbeKind::Session, EmptySites::ChosenEntriesReturns),
          empty_probes("empty probes, chosen sites, multi", ProbeKind::Multi, EmptySites::ChosenEntriesReturns),
          empty_probes("empty probes, chosen sites, perf", ProbeKind::Perf, EmptySites::ChosenEntriesReturns),
          alloctrail_full(ProbeKind::Session, deadline),
          alloctrail_full(ProbeKind::Multi, deadline),
          alloctrail_full(ProbeKind::Perf, deadline),
          empty_probes("empty probes, function entries", ProbeKind::Session, EmptySites::FunctionEntries),
          memleak(options, deadline),
          heaptrack(folder),
          massif()};
}

std::vector<Condition> few_conditions(const Options& options, const test::Deadline& deadline) {
  return {nothing(), empty_probes(kFloor, ProbeKind::Session, EmptySites::ChosenEntriesReturns),
          alloctrail_full(ProbeKind::Session, deadline), memleak(options, deadline)};
}

nlohmann::json measure_shape(const Shape& shape, const std::vector<Condition>& conditions, const Effort& effort,
                             const test::Deadline& deadline) {
  const std::string title = fmt::format("{}: {} thread(s), depth {}, {} blocks kept, {} pairs a round", shape.mix,
                                        shape.threads, shape.depth, shape.kept_blocks, effort.pieces);
  Comparison comparison(
      title, {program("bench_pair"), std::to_string(shape.threads), std::to_string(shape.depth), shape.mix}, deadline);
  comparison.keep_blocks(shape.kept_blocks);
  comparison.run(conditions, effort);
  nlohmann::json result = comparison.print(kFloor);
  result["threads"] = shape.threads;
  result["depth"] = shape.depth;
  result["mix"] = shape.mix;
  return result;
}

}  // namespace

nlohmann::json measure_pairs(const Options& options, const test::Deadline& deadline) {
  const test::TempDir folder;
  nlohmann::json result = nlohmann::json::array();
  const Effort effort = options.quick ? Effort{.visits = 2, .rounds = 3, .pieces = 20'000}
                                      : Effort{.visits = 4, .rounds = 5, .pieces = 50'000};
  const std::vector<Condition> all = all_conditions(options, deadline, folder.path().string());
  const std::vector<Condition> few = few_conditions(options, deadline);
  result.push_back(measure_shape({}, all, effort, deadline));
  if (options.quick) return result;
  result.push_back(measure_shape({.mix = "mix"}, all, effort, deadline));
  const Effort less{.visits = 3, .rounds = 4, .pieces = 30'000};
  for (const Shape& shape : {Shape{.depth = 20}, Shape{.depth = 60}, Shape{.threads = 2}, Shape{.threads = 4},
                             Shape{.threads = 2, .mix = "mix"}, Shape{.kept_blocks = 100'000}})
    result.push_back(measure_shape(shape, few, less, deadline));
  result.push_back(
      measure_shape({.kept_blocks = 1'000'000}, few, {.visits = 2, .rounds = 6, .pieces = 30'000}, deadline));
  return result;
}

}  // namespace alloctrail::bench
