// SPDX-License-Identifier: Apache-2.0
// DWARF of one file: address -> source lines and inlined functions. Everything it reads may be hostile: the time and
// memory spent on one file are bounded, and what does not fit is left unnamed.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "user/symbols/debug_files.h"
#include "user/symbols/elf_image.h"

namespace alloctrail {

/// One function at an address. Strings may be empty, the line 0.
struct SourceFrame {
  std::string linkage_name;  ///< mangled
  std::string name;          ///< as declared: without scope or parameters
  std::string file;
  uint32_t line = 0;
  bool inlined = false;
};

class DebugInfo {
 public:
  /// `source` is the file with the .debug sections: the mapped one, or its separate one. `code` are the mapped file's
  /// segments; `time_limit` is the processor time that all lookups in this file may take together.
  DebugInfo(DebugFile source, CodeSegments code, std::chrono::nanoseconds time_limit);
  ~DebugInfo();
  DebugInfo(const DebugInfo&) = delete;
  DebugInfo& operator=(const DebugInfo&) = delete;

  /// Inlined functions first, innermost first, at most 64 of them; then the function that has the code. Empty if the
  /// address is not described. Reads `address` as that of a call: the line is the one whose code contains it.
  [[nodiscard]] std::vector<SourceFrame> find(uint64_t address);

  /// Gives back the memory that can be had again from the file; the next find() opens it anew.
  void close();
  [[nodiscard]] bool is_open() const;
  /// Memory its sections and line tables take in this process while open (mapped sections take none).
  [[nodiscard]] uint64_t bytes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace alloctrail
