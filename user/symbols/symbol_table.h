// SPDX-License-Identifier: Apache-2.0
// The functions of one mapped file by address, from its ELF symbol tables. The names stay in the files,
// which must outlive the table.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "user/symbols/elf_image.h"
#include "user/symbols/range_map.h"

namespace alloctrail {

class SymbolTable {
 public:
  SymbolTable() = default;
  /// From .symtab and .dynsym of all `files` (a program and its separate debug information). A symbol of size 0 reaches
  /// to the next one, at most to the end of its section. Of several names at one address the one is kept that a
  /// programmer would use: see the .cpp. The result does not depend on the order of symbols.
  SymbolTable(std::span<const ElfImage* const> files, const CodeSegments& code);

  /// The mangled name of the function that covers `address`; empty if none does.
  [[nodiscard]] std::string_view find(uint64_t address) const;
  [[nodiscard]] bool empty() const { return ranges_.empty(); }

 private:
  RangeMap ranges_;  ///< value: address of the name
};

}  // namespace alloctrail
