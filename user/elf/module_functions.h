// SPDX-License-Identifier: Apache-2.0
// One pass over a file's symbols: its allocator functions, one per address, and what the walk over their code must
// know.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "user/elf/allocator_functions.h"
#include "user/elf/elf_file.h"

namespace alloctrail {

/// An allocator function that the file defines, under the best known of its names.
struct DefinedFunction {
  AllocatorFunction kind;
  std::string name;
  uint64_t address = 0;
  uint64_t size = 0;  ///< 0: not known
};

struct ModuleFunctions {
  std::map<uint64_t, DefinedFunction> allocator_functions;  ///< by address
  std::unordered_map<std::string, uint64_t>
      imported_definitions;  ///< functions the file both defines and calls by name
  std::unordered_set<uint64_t> never_returning;
  std::vector<std::string> not_traced;  ///< found, but never traced, each with its reason
  Allocator allocator = Allocator::Custom;

  /// Whether there is more than C++ operators: they come with every program, malloc with an allocator only.
  [[nodiscard]] bool defines_allocator() const;
};

[[nodiscard]] ModuleFunctions collect_functions(const CodeFile& file);

}  // namespace alloctrail
