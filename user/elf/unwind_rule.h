// SPDX-License-Identifier: Apache-2.0
// Packs the state of a call frame program into the 32-bit rule of a row, or into the side table.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "alloctrail/unwind.h"
#include "user/elf/cfi_program.h"

namespace alloctrail {

class UnwindRulePacker {
 public:
  /// Never fails: what the types cannot say is AT_UNWIND_UNSUPPORTED.
  [[nodiscard]] uint32_t pack(const CfiState& state, bool signal_frame);

  [[nodiscard]] const std::vector<at_unwind_side>& sides() const { return sides_; }

 private:
  static constexpr size_t kMaxSides = 128;  // real files have up to 21 different ones

  uint32_t pack_side(const CfiState& state);
  uint32_t side_index_rule(const at_unwind_side& side);

  std::vector<at_unwind_side> sides_;
};

}  // namespace alloctrail
