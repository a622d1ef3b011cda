// SPDX-License-Identifier: Apache-2.0
// What the sections of the bench share: how long to measure, where the programs lie, and figures as they are printed.
// Every section prints its table as it goes and returns the same as JSON. A failure is a std::runtime_error.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/deadline.h"

namespace alloctrail::bench {

struct Options {
  bool quick = false;
  std::string memleak;  ///< root of an unpacked libbpf-tools with its libraries; empty: not there
  std::vector<std::string> sections;

  [[nodiscard]] bool wants(const std::string& section) const {
    return sections.empty() || std::find(sections.begin(), sections.end(), section) != sections.end();
  }
};

/// Measurements of one thing under one condition. Their order does not matter.
class Series {
 public:
  void add(double value) { values_.push_back(value); }
  [[nodiscard]] bool empty() const { return values_.empty(); }
  [[nodiscard]] size_t size() const { return values_.size(); }
  [[nodiscard]] double min() const { return *std::min_element(values_.begin(), values_.end()); }
  [[nodiscard]] double median() const {
    std::vector<double> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    const size_t middle = sorted.size() / 2;
    return sorted.size() % 2 != 0 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

 private:
  std::vector<double> values_;
};

/// Path of a program of this folder.
std::string program(const std::string& name);

/// What a malloc+free pair costs under each condition.
nlohmann::json measure_pairs(const Options& options, const test::Deadline& deadline);
/// Prints and returns the goals and what became of them, from the figures that measure_pairs() returned.
nlohmann::json print_goals(const nlohmann::json& pairs);
/// What a frame of a stack costs, and a stack without its frames.
nlohmann::json measure_walks(const Options& options, const test::Deadline& deadline);
/// What an mmap+munmap pair of the target, and a system call of anybody, cost.
nlohmann::json measure_mappings(const Options& options, const test::Deadline& deadline);
/// What a page touched for the first time costs while page faults are watched.
nlohmann::json measure_growth(const Options& options, const test::Deadline& deadline);
/// Real programs at real work.
nlohmann::json measure_programs(const Options& options, const test::Deadline& deadline);
/// The tracer's own figures: attach, report, memory, detach, size of the BPF programs.
nlohmann::json measure_figures(const Options& options, const test::Deadline& deadline);

}  // namespace alloctrail::bench
