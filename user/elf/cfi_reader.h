// SPDX-License-Identifier: Apache-2.0
// Splits .eh_frame or .debug_frame into its entries: one per function, with the rules it starts from. cfi_program.h
// executes what an entry holds.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "user/elf/cfi_program.h"
#include "user/elf/unwind_image.h"

namespace alloctrail {

/// One function's entry (a frame description entry).
struct CfiFunction {
  uint64_t begin = 0;  ///< addresses as in the image
  uint64_t end = 0;
  uint32_t common = 0;              ///< index into CfiEntries::commons
  uint32_t instruction_offset = 0;  ///< in the section
  uint32_t instruction_bytes = 0;
  CfiKind kind = CfiKind::EhFrame;
};

/// The entries of up to two sections. Spans inside point into the sections' bytes, which must outlive this.
struct CfiEntries {
  std::vector<CfiCommon> commons;
  std::vector<CfiFunction> functions;
  uint64_t broken = 0;  ///< entries that could not be read, or do not fit the limits below
};

inline constexpr size_t kMaxCfiCommons = 65'536;
inline constexpr size_t kMaxCfiFunctions = 2'000'000;

/// Adds the entries of a section. A common entry must precede the functions that name it, as every linker writes them:
/// so each byte is executed once, however the entries point at each other.
void read_cfi_entries(const CfiSection& section, CfiEntries& entries);

}  // namespace alloctrail
