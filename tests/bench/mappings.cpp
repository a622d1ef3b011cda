// SPDX-License-Identifier: Apache-2.0
// Section "mappings": what the tracing of mapped memory costs the target's mmap and munmap, and every other system call.
#include <fmt/core.h>

#include "tests/bench/comparison.h"

namespace alloctrail::bench {
namespace {

constexpr const char* kNothing = "nothing";

nlohmann::json compare(const std::string& title, int threads, const char* work, const std::vector<Condition>& conditions,
                       const Effort& effort, const test::Deadline& deadline) {
  Comparison comparison(title, {program("bench_pair"), std::to_string(threads), "12", work}, deadline);
  comparison.run(conditions, effort);
  return comparison.print(kNothing);
}

}  // namespace

nlohmann::json measure_mappings(const Options& options, const test::Deadline& deadline) {
  const int visits = options.quick ? 2 : 6;
  const Effort maps{.visits = visits, .rounds = 5, .pieces = 20'000};
  const Effort calls{.visits = visits, .rounds = 5, .pieces = 200'000};
  const std::vector<Condition> on_target = {nothing(), alloctrail_with("alloctrail --no-mappings", {"--no-mappings"}, deadline),
                                            alloctrail_with("alloctrail", {}, deadline)};
  const std::vector<Condition> on_others = {nothing(), alloctrail_elsewhere("alloctrail on another process", deadline)};
  nlohmann::json result = nlohmann::json::object();
  result["pair"] = compare("mmap of a page and munmap, depth 12, of the target", 1, "map", on_target, maps, deadline);
  result["pair_of_2"] = compare("the same by 2 threads at once", 2, "map", on_target, maps, deadline);
  result["pair_elsewhere"] = compare("mmap and munmap of another process", 1, "map", on_others, maps, deadline);
  result["call_elsewhere"] = compare("getppid of another process", 1, "call", on_others, calls, deadline);
  return result;
}

}  // namespace alloctrail::bench
