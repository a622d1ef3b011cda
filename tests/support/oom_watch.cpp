// SPDX-License-Identifier: Apache-2.0
#include "tests/support/oom_watch.h"

#include <csignal>
#include <utility>

#include "tests/support/tracer.h"

namespace alloctrail::test {
namespace {

ChildOptions oom_command(const std::vector<std::string>& arguments, std::vector<std::string> wrapper) {
  wrapper.insert(wrapper.end(), {Tracer::binary(), "oom", "--json-lines"});
  wrapper.insert(wrapper.end(), arguments.begin(), arguments.end());
  return {.arguments = std::move(wrapper)};
}

}  // namespace

OomWatch::OomWatch(std::vector<std::string> arguments, const Deadline& deadline, std::vector<std::string> wrapper)
    : child_(oom_command(arguments, std::move(wrapper)), deadline) {
  child_.wait_error_text("for OOM kills\n");
}

nlohmann::json OomWatch::next_report() { return nlohmann::json::parse(child_.read_line()); }

std::vector<nlohmann::json> OomWatch::finish() {
  child_.signal(SIGINT);
  child_.wait_exit();
  std::vector<nlohmann::json> reports;
  for (const std::string& line : child_.take_lines()) reports.push_back(nlohmann::json::parse(line));
  return reports;
}

std::vector<nlohmann::json> threads_named(const nlohmann::json& report, const std::string& name) {
  std::vector<nlohmann::json> found;
  for (const nlohmann::json& thread : report.at("threads"))
    if (thread.at("name").get<std::string>().starts_with(name)) found.push_back(thread);
  return found;
}

bool stack_has(const nlohmann::json& report, const nlohmann::json& stack, const std::string& function) {
  for (const nlohmann::json& frame : report.at("stacks").at(stack.get<size_t>()).at("frames"))
    if (frame.at("function") == function) return true;
  return false;
}

}  // namespace alloctrail::test
