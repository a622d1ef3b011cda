// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/subject.h"

#include <utility>

namespace alloctrail::bench {

Subject::Subject(std::vector<std::string> command, const test::Deadline& deadline)
    : child_({.arguments = std::move(command)}, deadline) {
  static constexpr std::string_view kReady = "ready ";
  std::string line = child_.read_line();
  while (!line.starts_with(kReady)) line = child_.read_line();
  pid_ = static_cast<pid_t>(std::stol(line.substr(kReady.size())));
}

Subject::~Subject() {
  child_.close_input();
  child_.wait_exit();
}

nlohmann::json Subject::tell(std::string_view command) {
  child_.write(std::string(command) + "\n");
  return nlohmann::json::parse(child_.read_line());
}

void Subject::measure(int rounds, int pieces, Series& into) {
  const nlohmann::json answer = tell("rounds " + std::to_string(rounds) + " " + std::to_string(pieces));
  for (const nlohmann::json& ns : answer.at("ns")) into.add(ns.get<double>());
}

}  // namespace alloctrail::bench
