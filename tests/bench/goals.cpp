// SPDX-License-Identifier: Apache-2.0
// What tracing may cost, as ratios of the conditions of section "pairs", beside what was measured.
#include <fmt/core.h>

#include <functional>
#include <optional>

#include "tests/bench/bench.h"
#include "tests/bench/watcher.h"

namespace alloctrail::bench {
namespace {

using nlohmann::json;

/// Nanoseconds a pair of one condition in one shape of the work, by one statistic; nothing where it was not measured.
class Figures {
 public:
  Figures(const json& pairs, const char* statistic) : pairs_(pairs), statistic_(statistic) {}

  [[nodiscard]] std::optional<double> of(const std::string& condition, int threads = 1, uint64_t kept_blocks = 0) const {
    for (const json& shape : pairs_) {
      if (shape.at("mix") != "pair" || shape.at("depth") != 5 || shape.at("threads") != threads ||
          shape.at("kept_blocks") != kept_blocks)
        continue;
      for (const json& row : shape.at("conditions"))
        if (row.at("name") == condition && row.contains(statistic_)) return row.at(statistic_).get<double>();
    }
    return std::nullopt;
  }

 private:
  const json& pairs_;
  const char* statistic_;
};

std::optional<double> ratio(std::optional<double> some, std::optional<double> other) {
  return some && other ? std::optional(*some / *other) : std::nullopt;
}

std::optional<double> added(std::optional<double> some, std::optional<double> nothing) {
  return some && nothing ? std::optional(*some - *nothing) : std::nullopt;
}

struct Goal {
  const char* name;
  const char* goal;
  std::function<std::optional<double>(const Figures&)> measured;
};

constexpr const char* kFull = "alloctrail, session probes";

const std::vector<Goal>& goals() {
  static const std::vector<Goal> all = {
      {"added by full tracing, of what memleak adds", "<= 0.17",
       [](const Figures& f) {
         return ratio(added(f.of(kFull), f.of("nothing")), added(f.of("libbpf-tools memleak"), f.of("nothing")));
       }},
      {"full tracing, of empty probes at the same sites", "<= 1.50",
       [](const Figures& f) { return ratio(f.of(kFull), f.of(kFloor)); }},
      {"sampled 512 KiB, of one empty entry probe each", "<= 1.08",
       [](const Figures& f) { return ratio(f.of("alloctrail, sampled 512KiB"), f.of(kEntryFloor)); }},
      {"1,000,000 live blocks, of an empty table", "<= 1.15",
       [](const Figures& f) { return ratio(f.of(kFull, 1, 1'000'000), f.of(kFull)); }},
      {"throughput of 2 threads, of one's", ">= 1.80",
       [](const Figures& f) {
         const auto two = ratio(f.of(kFull), f.of(kFull, 2));
         return two ? std::optional(2 * *two) : std::nullopt;
       }},
  };
  return all;
}

std::string text(std::optional<double> value) {
  return value ? fmt::format("{:.2f}", *value) : "-";
}

}  // namespace

json print_goals(const json& pairs) {
  json result = json::array();
  fmt::print("\npairs at depth 5, as ratios\n  {:<50} {:>8} {:>10} {:>12}\n", "", "goal", "medians", "minima");
  for (const Goal& goal : goals()) {
    const auto by_median = goal.measured({pairs, "median_ns"}), by_min = goal.measured({pairs, "min_ns"});
    fmt::print("  {:<50} {:>8} {:>10} {:>12}\n", goal.name, goal.goal, text(by_median), text(by_min));
    result.push_back({{"name", goal.name}, {"goal", goal.goal}, {"medians", nullptr}, {"minima", nullptr}});
    if (by_median) result.back()["medians"] = *by_median;
    if (by_min) result.back()["minima"] = *by_min;
  }
  std::fflush(stdout);
  return result;
}

}  // namespace alloctrail::bench
