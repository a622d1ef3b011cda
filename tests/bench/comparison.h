// SPDX-License-Identifier: Apache-2.0
// One program measured under several conditions in alternating order, so that what the machine does meanwhile falls on
// all of them alike; then the table and its JSON.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/bench/bench.h"
#include "tests/bench/subject.h"
#include "tests/bench/watcher.h"

namespace alloctrail::bench {

struct Effort {
  int visits = 4;  ///< times each condition has its turn
  int rounds = 5;  ///< rounds a turn
  int pieces = 0;  ///< pieces of work a round
};

class Comparison {
 public:
  /// `command` starts the program; `title` says what it does.
  Comparison(std::string title, std::vector<std::string> command, const test::Deadline& deadline);

  /// Blocks the program keeps during the rounds, allocated under the condition's eyes.
  void keep_blocks(uint64_t count) { kept_blocks_ = count; }
  void run(const std::vector<Condition>& conditions, const Effort& effort);
  /// Prints medians, what they add to the first condition, and ratios to it and to `floor`; returns them.
  [[nodiscard]] nlohmann::json print(const std::string& floor) const;
  /// Nanoseconds a piece took under a condition: the least of all rounds.
  [[nodiscard]] double least_ns(const std::string& condition) const { return series_.at(condition).min(); }

 private:
  void visit(const Condition& condition, const Effort& effort);
  void take_turn(Subject& subject, const Effort& effort, Series& into) const;
  [[nodiscard]] const Series* series_of(const std::string& condition) const;

  std::string title_;
  std::vector<std::string> command_;
  const test::Deadline& deadline_;
  uint64_t kept_blocks_ = 0;
  Subject shared_;  // all conditions that attach have the same process
  std::vector<Condition> conditions_;
  std::map<std::string, Series> series_;
};

}  // namespace alloctrail::bench
