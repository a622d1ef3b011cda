// SPDX-License-Identifier: Apache-2.0
// The functions of [vdso], the code that the kernel maps into each process, read from this process' own.
#pragma once

#include <cstdint>
#include <string>

#include "user/symbols/elf_image.h"
#include "user/symbols/symbol_table.h"
#include "user/target/mappings.h"

namespace alloctrail {

class Vdso {
 public:
  Vdso();

  /// The name of the function at `address` of a target; empty if unknown or if the target's [vdso] is another one (that
  /// of a 32-bit program).
  [[nodiscard]] std::string find(const Mapping& mapping, uint64_t address) const;

 private:
  uint64_t size_bytes_ = 0;
  CodeSegments code_;
  SymbolTable symbols_;
};

}  // namespace alloctrail
