// SPDX-License-Identifier: Apache-2.0
// Tracer: command line, signals and JSON lines of the program under test.
#include "tests/support/tracer.h"

#include <algorithm>
#include <csignal>
#include <utility>

namespace alloctrail::test {
namespace {

/// In ascending order, as the program announces them.
std::string comma_separated(std::vector<pid_t> pids) {
  std::sort(pids.begin(), pids.end());
  std::string result;
  for (const pid_t pid : pids) result += (result.empty() ? "" : ",") + std::to_string(pid);
  return result;
}

ChildOptions report_command(const std::vector<pid_t>& pids, const std::vector<std::string>& extra) {
  ChildOptions options;
  options.arguments = {Tracer::binary(), "report", "-p", comma_separated(pids), "--json-lines"};
  if (std::find(extra.begin(), extra.end(), "--interval") == extra.end())
    options.arguments.insert(options.arguments.end(), {"--interval", "1h"});
  options.arguments.insert(options.arguments.end(), extra.begin(), extra.end());
  return options;
}

}  // namespace

Tracer::Tracer(const std::vector<pid_t>& pids, const Deadline& deadline, const std::vector<std::string>& extra)
    : child_(report_command(pids, extra), deadline) {
  child_.wait_error_text("alloctrail: attached to " + comma_separated(pids) + "\n");
}

nlohmann::json Tracer::snapshot() {
  return std::move(snapshots(1).front());
}

std::vector<nlohmann::json> Tracer::snapshots(size_t count) {
  child_.signal(SIGUSR1);
  std::vector<nlohmann::json> reports;
  while (reports.size() < count) reports.push_back(next_report());
  return reports;
}

nlohmann::json Tracer::next_report() {
  return nlohmann::json::parse(child_.read_line());
}

void Tracer::wait_hooked() {
  while (snapshot().at("probes").empty()) {
  }
}

Tracer::End Tracer::finish() {
  child_.signal(SIGINT);
  return wait_end();
}

Tracer::End Tracer::wait_end() {
  End end;
  end.exit_code = child_.wait_exit();
  for (const std::string& line : child_.take_lines()) end.reports.push_back(nlohmann::json::parse(line));
  end.error_text = child_.error_text();
  return end;
}

std::string Tracer::binary() {
  return ALLOCTRAIL_BINARY;
}

}  // namespace alloctrail::test
