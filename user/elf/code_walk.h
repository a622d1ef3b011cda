// SPDX-License-Identifier: Apache-2.0
// Follows a function's code along every direct path: where it returns, and which other allocator functions it hands its
// work to. Probe planning decides with it what would be counted twice, and where a throwing function ends normally.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "user/elf/elf_file.h"
#include "user/elf/instruction.h"
#include "user/elf/module_functions.h"

namespace alloctrail {

/// Whose calls the walk looks for.
enum class CalleeKind { Allocating, Releasing };

/// What the walk does at a call of such a function. At a jump to one it always notes it and ends the path: from there
/// on the other function's probes see the call.
enum class AtCall {
  GoOn,  ///< nothing: the path goes on behind the call
  End,   ///< notes it and ends the path; helpers called on the way are looked into, one level deep
};

struct CodeWalk {
  std::vector<uint64_t> returns;       ///< addresses of the return instructions reached, ascending
  std::vector<std::string> handed_to;  ///< names of the functions of the kind that were noted
  std::string incomplete;              ///< why some path could not be followed; empty: all were

  /// Whether every path ends in a function of the kind.
  [[nodiscard]] bool hands_all_on() const { return returns.empty() && incomplete.empty() && !handed_to.empty(); }
};

class CodeWalker {
 public:
  CodeWalker(const CodeFile& file, const Decoder& decoder, const ModuleFunctions& functions)
      : file_(file), decoder_(decoder), functions_(functions) {}

  /// Walks from `start` through jumps, also into other functions of the file, until all paths have ended. Of a
  /// releasing function the path of a NULL argument is left out if the function begins with that test: it releases
  /// nothing.
  [[nodiscard]] CodeWalk walk(uint64_t start, CalleeKind kind, AtCall at_call);

 private:
  friend class WalkInProgress;

  /// Where a direct or constant indirect transfer goes.
  struct Callee {
    uint64_t address = 0;  // 0: outside the file
    std::string name;      // if it is called by name
  };
  [[nodiscard]] std::span<const uint8_t> code_at(uint64_t address);  // until the next call
  [[nodiscard]] Callee resolve(uint64_t target);
  [[nodiscard]] Callee resolve_slot(uint64_t slot) const;
  [[nodiscard]] const CodeWalk& helper(uint64_t start, CalleeKind kind);

  const CodeFile& file_;
  const Decoder& decoder_;
  const ModuleFunctions& functions_;
  uint64_t window_address_ = 0;  // the stretch of code read last
  std::vector<uint8_t> window_;
  std::map<std::pair<uint64_t, CalleeKind>, CodeWalk> helpers_;
};

}  // namespace alloctrail
