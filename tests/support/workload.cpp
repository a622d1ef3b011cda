// SPDX-License-Identifier: Apache-2.0
// Workload: the handshake over the child's standard streams.
#include "tests/support/workload.h"

#include <stdexcept>
#include <utility>

namespace alloctrail::test {

Workload::Workload(std::vector<std::string> arguments, const Deadline& deadline)
    : Workload(ChildOptions{.arguments = std::move(arguments)}, deadline) {}

Workload::Workload(ChildOptions options, const Deadline& deadline) : child_(std::move(options), deadline) {
  wait_ready();
}

nlohmann::json Workload::go(std::string_view argument) {
  go_without_truth(argument);
  return nlohmann::json::parse(child_.read_line());
}

void Workload::go_without_truth(std::string_view argument) {
  child_.write(std::string(argument) + "\n");
}

void Workload::wait_ready() {
  if (const std::string line = child_.read_line(); !line.starts_with("ready "))
    throw std::runtime_error(child_.name() + ": said '" + line + "' instead of 'ready PID'");
}

int Workload::finish() {
  child_.close_input();
  return child_.wait_exit();
}

}  // namespace alloctrail::test
