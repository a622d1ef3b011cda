// SPDX-License-Identifier: Apache-2.0
// Section "pairs": nanoseconds of CPU time per malloc+free pair and thread, by condition, for several shapes of the work.
#include <fmt/core.h>

#include "tests/bench/comparison.h"
#include "tests/support/temp_dir.h"

namespace alloctrail::bench {
namespace {

struct Shape {
  int threads = 1;
  int depth = 5;
  uint64_t kept_blocks = 0;
  const char* mix = "pair";
};

std::vector<Condition> all_conditions(const Options& options, const test::Deadline& deadline,
                                      const std::string& folder) {
  return {nothing(),
          empty_probes(kEntryFloor, ProbeKind::Session, EmptySites::ChosenEntries),
          empty_probes(kFloor, ProbeKind::Session, EmptySites::ChosenEntriesReturns),
          empty_probes("empty probes, chosen sites, multi", ProbeKind::Multi, EmptySites::ChosenEntriesReturns),
          empty_probes("empty probes, chosen sites, perf", ProbeKind::Perf, EmptySites::ChosenEntriesReturns),
          alloctrail_full(ProbeKind::Session, deadline),
          alloctrail_full(ProbeKind::Multi, deadline),
          alloctrail_full(ProbeKind::Perf, deadline),
          alloctrail_with("alloctrail, sampled 64KiB", {"--sample", "64KiB"}, deadline),
          alloctrail_with("alloctrail, sampled 512KiB", {"--sample", "512KiB"}, deadline),
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
  const std::vector<Condition> all = all_conditions(options, deadline, folder.path().string());
  const std::vector<Condition> few = few_conditions(options, deadline);
  // Short rounds, many of them: most are then undisturbed by what else the machine does. Threads need long ones, to run at
  // the same time.
  const int visits = options.quick ? 2 : 4;
  const auto effort = [&](const Shape& shape) {
    return shape.threads > 1 ? Effort{.visits = visits, .rounds = 8, .pieces = 20'000}
                             : Effort{.visits = visits, .rounds = options.quick ? 50 : 100, .pieces = 1'000};
  };
  std::vector<Shape> shapes = {Shape{.threads = 2}, Shape{.kept_blocks = 1'000'000}};
  if (!options.quick)
    shapes = {Shape{.depth = 20},
              Shape{.depth = 60},
              Shape{.threads = 2},
              Shape{.threads = 4},
              Shape{.threads = 2, .mix = "mix"},
              Shape{.threads = 4, .mix = "mix"},
              Shape{.kept_blocks = 100'000},
              Shape{.kept_blocks = 1'000'000},
              Shape{.kept_blocks = 1'000'000, .mix = "mix"}};
  result.push_back(measure_shape({}, all, effort({}), deadline));
  if (!options.quick) result.push_back(measure_shape({.mix = "mix"}, all, effort({}), deadline));
  for (const Shape& shape : shapes) result.push_back(measure_shape(shape, few, effort(shape), deadline));
  return result;
}

}  // namespace alloctrail::bench
