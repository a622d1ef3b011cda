// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/stack_oracle.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

#include "tests/workloads/stacks/stack_oracle.h"

namespace alloctrail::test {

StackOracle::StackOracle(const TempDir& folder) : path_(folder.file("stacks")) {
  const UniqueFd file(::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  void* mapped = MAP_FAILED;
  if (file && ::ftruncate(file.get(), sizeof(stack_oracle)) == 0)
    mapped = ::mmap(nullptr, sizeof(stack_oracle), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) throw std::runtime_error("cannot make " + path_);
  shared_ = static_cast<stack_oracle*>(mapped);
}

StackOracle::~StackOracle() {
  ::munmap(shared_, sizeof(stack_oracle));
}

std::vector<std::string> StackOracle::environment() const {
  return {"LD_PRELOAD=" STACK_ORACLE_LIBRARY, STACK_ORACLE_VARIABLE "=" + path_};
}

void StackOracle::look_at_every(uint64_t nth) {
  __atomic_store_n(&shared_->every, nth, __ATOMIC_RELEASE);
}

namespace {

/// How the process calls itself: its id in the innermost of its pid namespaces.
pid_t own_pid_of(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("NSpid:")) return std::stoi(line.substr(line.find_last_of('\t') + 1));
  return pid; // it has ended
}

}  // namespace

StackTruth StackOracle::truth_of(pid_t process) const {
  const pid_t pid = own_pid_of(process);
  const uint64_t used = __atomic_load_n(&shared_->used_words, __ATOMIC_ACQUIRE);
  EXPECT_LE(used, uint64_t{STACK_ORACLE_WORDS}) << "the oracle's file was too small";
  StackTruth truth;
  truth.allocating = {shared_->allocating_begin, shared_->allocating_end};
  for (uint64_t at = 0; at + 2 <= used && at + 2 <= STACK_ORACLE_WORDS;) {
    const uint64_t* record = &shared_->words[at];
    const uint64_t count = record[1];
    if (count == 0 || at + 2 + count > STACK_ORACLE_WORDS) break;
    if (record[0] == static_cast<uint64_t>(pid)) truth.blocks[CallStack(record + 2, record + 2 + count)]++;
    at += 2 + count;
  }
  return truth;
}

Debugger::Debugger(pid_t pid, int stacks, const Deadline& deadline)
    : child_({.arguments = {"/usr/bin/gdb", "-nx", "-batch", "-p", std::to_string(pid), "-x", GDB_STACKS_SCRIPT},
              .environment = {"GDB_STACKS=" + std::to_string(stacks), "GDB_ADDRESS=&stack_oracle_checkpoint",
                              "DEBUGINFOD_URLS="}},
             deadline) {
  while (child_.read_line() != "ready") {
  }
}

std::vector<CallStack> Debugger::wait(const CodeRange& allocating) {
  EXPECT_EQ(child_.wait_exit(), 0) << child_.error_text();
  std::vector<CallStack> stacks;
  for (const std::string& line : child_.take_lines()) {
    if (!line.starts_with("[") || line.starts_with("[Inferior")) continue;
    const auto counters = nlohmann::json::parse(line).get<CallStack>();
    CallStack& calls = stacks.emplace_back();
    for (const uint64_t counter : counters)
      if (!calls.empty() || allocating.contains(counter)) calls.push_back(counter - 1);
    if (!calls.empty()) calls.erase(calls.begin());
  }
  return stacks;
}

std::map<CallStack, uint64_t> whole_stacks(const nlohmann::json& report, const CodeRange& allocating) {
  std::map<CallStack, uint64_t> stacks;
  for (const nlohmann::json& site : report.at("sites"))
    if (site.at("stack_status") == "complete")
      stacks[calls_outside(site, allocating)] += site.at("allocated_blocks").get<uint64_t>();
  return stacks;
}

}  // namespace alloctrail::test
