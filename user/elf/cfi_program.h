// SPDX-License-Identifier: Apache-2.0
// Executes DWARF call frame instructions: which rule gives the CFA, %rbp, %rsp and the return address from which
// address on. cfi_reader.h finds the instructions, unwind_rule.h packs the rules.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "user/elf/cfi_cursor.h"

namespace alloctrail {

/// DWARF numbers of the registers that matter (x86-64 psABI, figure 3.36).
enum CfiRegister : uint64_t { kRegisterRbp = 6, kRegisterRsp = 7, kRegisterReturn = 16 };

/// How a register of the caller is found.
struct CfiRule {
  enum class Kind : uint8_t { Unspecified, Same, Undefined, AtCfa, CfaPlus, InRegister, AtExpression, Expression };
  Kind kind = Kind::Unspecified;
  int64_t offset = 0;                     ///< AtCfa, CfaPlus: from the CFA
  std::span<const std::byte> expression;  ///< AtExpression, Expression
};

struct CfiCfa {
  enum class Kind : uint8_t { Unset, Register, Expression };
  Kind kind = Kind::Unset;
  uint64_t base = 0;  ///< Register: its DWARF number
  int64_t offset = 0;
  std::span<const std::byte> expression;
};

/// The rules in force at one address.
struct CfiState {
  CfiCfa cfa;
  CfiRule rbp;
  CfiRule rsp;
  CfiRule return_address;
};

/// What a common information entry tells about the instructions of its functions.
struct CfiCommon {
  uint64_t code_align = 1;
  int64_t data_align = 1;
  uint8_t pointer_encoding = kPointerAbsolute;
  bool augmented = false;  ///< its functions' entries carry augmentation data
  bool signal_frame = false;
  CfiState initial;
};

/// Executes one instruction sequence at a time, from row to row.
class CfiMachine {
 public:
  enum class Step {
    Advance,  ///< state() is in force from location() up to next_location()
    End,      ///< the instructions ended; state() is in force from location() on
    Broken,   ///< an instruction makes no sense; nothing is known from location() on
  };

  /// `section_vaddr` is where `instructions` lie in the image.
  void start(const CfiCommon& common, std::span<const std::byte> instructions, uint64_t section_vaddr,
             uint64_t location);
  /// Executes up to the end of the row that begins where the last one ended.
  Step run();

  [[nodiscard]] const CfiState& state() const { return state_; }
  [[nodiscard]] uint64_t location() const { return location_; }
  [[nodiscard]] uint64_t next_location() const { return next_location_; }

 private:
  static constexpr size_t kMaxRemembered = 64;

  bool execute(uint8_t opcode);
  bool execute_cfa(uint8_t opcode);
  bool execute_register(uint8_t opcode);
  bool set_cfa(uint64_t base, int64_t offset);
  CfiRule* rule_of(uint64_t number);
  const CfiRule* initial_rule_of(uint64_t number) const;
  bool set_rule(uint64_t number, CfiRule::Kind kind, int64_t offset);
  bool set_expression(uint64_t number, CfiRule::Kind kind);
  bool restore(uint64_t number);
  bool restore_state();
  bool advance(uint64_t delta);
  int64_t scaled(uint64_t value) const;

  CfiCursor cursor_{{}};
  const CfiCommon* common_ = nullptr;
  CfiState state_;
  std::vector<CfiState> remembered_;
  uint64_t section_vaddr_ = 0;
  uint64_t location_ = 0;
  uint64_t next_location_ = 0;
};

}  // namespace alloctrail
