// SPDX-License-Identifier: Apache-2.0
// Compares the stacks of a report with those that libgcc's unwinder found in the program itself, frame by frame.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

namespace alloctrail::test {

/// Addresses of calls, innermost first.
using CallStack = std::vector<uint64_t>;

/// Where the compared allocations were made: the report's frames from there inwards are not compared.
struct CodeRange {
  uint64_t begin = 0;
  uint64_t end = 0;
  [[nodiscard]] bool contains(uint64_t address) const { return address >= begin && address < end; }
};

/// How often each stack allocated, by the program's own word.
struct StackTruth {
  CodeRange allocating;
  std::map<CallStack, uint64_t> blocks;
};

/// The line a program of tests/workloads/stacks prints.
StackTruth stack_truth_of(const nlohmann::json& printed);

/// All in blocks. Every block of the truth is in exactly one of equal, truncated, incomplete, beyond and missing.
struct StackComparison {
  uint64_t equal = 0;      ///< every frame, and the status says that the stack is whole
  uint64_t guessed = 0;    ///< of those: found with the help of frame pointers
  uint64_t truncated = 0;  ///< as many frames as a stack may have, all of them right
  uint64_t beyond = 0;     ///< libgcc stopped at code without unwind information, and we did not
  uint64_t missing = 0;    ///< of the truth, and in no site
  std::map<std::string, uint64_t> incomplete;  ///< by status: right as far as they go
  uint64_t wrong = 0;
  std::vector<std::string> misses;  ///< the first of all that are not equal, in words

  [[nodiscard]] uint64_t incomplete_blocks() const;
  [[nodiscard]] uint64_t compared() const;
};
std::ostream& operator<<(std::ostream& out, const StackComparison& comparison);

/// Compares all sites of the report that allocated from the truth's range.
StackComparison compare_stacks(const nlohmann::json& report, const StackTruth& truth);

/// The calls of a site from the given range outwards; empty if it did not allocate there.
CallStack calls_outside(const nlohmann::json& site, const CodeRange& allocating);

}  // namespace alloctrail::test
