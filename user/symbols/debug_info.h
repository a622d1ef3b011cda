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

/// What one file may cost.
struct DebugInfoLimits {
  /// Of the processor, for all lookups together; each address that is found adds some.
  std::chrono::nanoseconds time = std::chrono::seconds(20);
  uint64_t unpacked_bytes = 96 << 20;  ///< of packed sections
};

class DebugInfo {
 public:
  /// `file` is the one with the .debug sections: the mapped one, or its separate one; it must outlive this. `code` are
  /// the mapped file's segments.
  DebugInfo(const MappedFile& file, CodeSegments code, DebugInfoLimits limits, DebugFileSource& source);
  ~DebugInfo();
  DebugInfo(const DebugInfo&) = delete;
  DebugInfo& operator=(const DebugInfo&) = delete;

  /// Inlined functions first, innermost first, at most 64 of them; then the function that has the code. Empty if the
  /// address is not described. Reads `address` as that of a call: the line is the one whose code contains it.
  [[nodiscard]] std::vector<SourceFrame> find(uint64_t address);

  /// Gives back the memory that can be had again from the file; the next find() opens it anew.
  void close();
  [[nodiscard]] bool is_open() const;
  /// Memory that unpacked sections and line tables take while open.
  [[nodiscard]] uint64_t bytes() const;
  /// A sentence for the user if the debug information cannot be used.
  [[nodiscard]] std::string problem() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace alloctrail
