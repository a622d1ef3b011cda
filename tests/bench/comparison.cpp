// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/comparison.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace alloctrail::bench {
namespace {

using Statistic = double (Series::*)() const;

/// Cost added by `some` as a multiple of what `other` adds, both over `base`; 0 if that says nothing.
double added_ratio(Statistic of, const Series& some, const Series* other, const Series& base) {
  if (other == nullptr || (other->*of)() <= (base.*of)()) return 0;
  return ((some.*of)() - (base.*of)()) / ((other->*of)() - (base.*of)());
}

std::string times(double ratio) {
  return ratio > 0 ? fmt::format("{:.2f}x", ratio) : "-";
}

}  // namespace

Comparison::Comparison(std::string title, std::vector<std::string> command, const test::Deadline& deadline)
    : title_(std::move(title)), command_(std::move(command)), deadline_(deadline), shared_(command_, deadline) {}

void Comparison::run(const std::vector<Condition>& conditions, const Effort& effort) {
  conditions_ = conditions;
  for (int turn = 0; turn < effort.visits; ++turn) {
    for (const Condition& condition : conditions_) visit(condition, effort);
    std::reverse(conditions_.begin(), conditions_.end());
  }
  conditions_ = conditions;
}

void Comparison::visit(const Condition& condition, const Effort& effort) {
  if (!condition.missing.empty()) return;
  Series& series = series_[condition.name];
  if (condition.wrapper.empty()) {
    const std::unique_ptr<Watcher> watcher = condition.attach ? condition.attach(shared_.pid()) : nullptr;
    take_turn(shared_, effort, series);
    return;
  }
  std::vector<std::string> command = condition.wrapper;
  command.insert(command.end(), command_.begin(), command_.end());
  Subject own(std::move(command), deadline_);
  take_turn(own, effort, series);
}

void Comparison::take_turn(Subject& subject, const Effort& effort, Series& into) const {
  Series warm_up;
  if (kept_blocks_ > 0) subject.tell("fill " + std::to_string(kept_blocks_));
  subject.measure(1, effort.pieces, warm_up);
  subject.measure(effort.rounds, effort.pieces, into);
  if (kept_blocks_ > 0) subject.tell("drain");
}

const Series* Comparison::series_of(const std::string& condition) const {
  const auto found = series_.find(condition);
  return found == series_.end() ? nullptr : &found->second;
}

nlohmann::json Comparison::print(const std::string& floor) const {
  const Series& base = series_.at(conditions_.front().name);
  nlohmann::json result{{"workload", title_}, {"kept_blocks", kept_blocks_}, {"conditions", nlohmann::json::array()}};
  fmt::print("\n{}\n  {:<34} {:>10} {:>10} {:>10} {:>10} {:>12} {:>12}\n", title_, "under", "min ns", "median ns",
             "added ns", "slowdown", "added/floor", "(of minima)");
  for (const Condition& condition : conditions_) {
    const Series* series = series_of(condition.name);
    if (series == nullptr) {
      fmt::print("  {:<34} not measured: {}\n", condition.name, condition.missing);
      result["conditions"].push_back({{"name", condition.name}, {"missing", condition.missing}});
      continue;
    }
    const double added = series->median() - base.median();
    const double slowdown = series->median() / base.median();
    const double to_floor = added_ratio(&Series::median, *series, series_of(floor), base);
    const double minima = added_ratio(&Series::min, *series, series_of(floor), base);
    fmt::print("  {:<34} {:>10.1f} {:>10.1f} {:>10.1f} {:>10} {:>12} {:>12}\n", condition.name, series->min(),
               series->median(), added, times(slowdown), times(to_floor), times(minima));
    result["conditions"].push_back({{"name", condition.name},
                                    {"rounds", series->size()},
                                    {"min_ns", series->min()},
                                    {"median_ns", series->median()},
                                    {"added_ns", added},
                                    {"slowdown", slowdown},
                                    {"added_to_floor", to_floor},
                                    {"min_added_to_floor", minima}});
  }
  std::fflush(stdout);
  return result;
}

}  // namespace alloctrail::bench
