// SPDX-License-Identifier: Apache-2.0
// Section "growth": what `report --growth` adds to page faults, on a program that does nothing else.
#include "tests/bench/comparison.h"

namespace alloctrail::bench {

nlohmann::json measure_growth(const Options& options, const test::Deadline& deadline) {
  constexpr int kPagesOfAGibibyte = 1 << 18;
  Comparison comparison("first touch of 1 GiB, a page (CPU time)", {program("bench_touch_pages")}, deadline);
  comparison.run({nothing(), alloctrail_with("alloctrail --growth", {"--growth"}, deadline),
                  alloctrail_with("alloctrail --growth, every fault", {"--growth", "--fault-interval", "1"}, deadline)},
                 {.visits = options.quick ? 2 : 6, .rounds = options.quick ? 2 : 4, .pieces = kPagesOfAGibibyte});
  return comparison.print("");
}

}  // namespace alloctrail::bench
