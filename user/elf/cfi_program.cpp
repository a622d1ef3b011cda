// SPDX-License-Identifier: Apache-2.0
// Executes DWARF call frame instructions (DWARF 5, section 6.4.2, and the GNU extensions).
#include "user/elf/cfi_program.h"

#include <dwarf.h>

namespace alloctrail {

void CfiMachine::start(const CfiCommon& common, std::span<const std::byte> instructions, uint64_t section_vaddr,
                       uint64_t location) {
  cursor_ = CfiCursor(instructions);
  common_ = &common;
  state_ = common.initial;
  remembered_.clear();
  section_vaddr_ = section_vaddr;
  location_ = next_location_ = location;
}

CfiMachine::Step CfiMachine::run() {
  location_ = next_location_;
  while (!cursor_.at_end()) {
    if (!execute(cursor_.u8()) || !cursor_.ok()) return Step::Broken;
    if (next_location_ < location_) return Step::Broken;
    if (next_location_ > location_) return Step::Advance;
  }
  return Step::End;
}

bool CfiMachine::execute(uint8_t opcode) {
  const uint8_t operand = opcode & 0x3f;
  switch (opcode & 0xc0) {
    case DW_CFA_advance_loc: return advance(operand);
    case DW_CFA_offset: return set_rule(operand, CfiRule::Kind::AtCfa, scaled(cursor_.uleb()));
    case DW_CFA_restore: return restore(operand);
    default: break;
  }
  switch (opcode) {
    case DW_CFA_nop: return true;
    case DW_CFA_advance_loc1: return advance(cursor_.u8());
    case DW_CFA_advance_loc2: return advance(cursor_.u16());
    case DW_CFA_advance_loc4: return advance(cursor_.u32());
    case DW_CFA_set_loc: {
      const auto location = cursor_.encoded(common_->pointer_encoding, section_vaddr_);
      if (location) next_location_ = *location;
      return location.has_value();
    }
    case DW_CFA_remember_state:
      if (remembered_.size() >= kMaxRemembered) return false;
      remembered_.push_back(state_);
      return true;
    case DW_CFA_restore_state: return restore_state();
    case DW_CFA_GNU_args_size: cursor_.uleb(); return true;
    default: return execute_cfa(opcode) || execute_register(opcode);
  }
}

bool CfiMachine::execute_cfa(uint8_t opcode) {
  const bool by_register = state_.cfa.kind == CfiCfa::Kind::Register;
  switch (opcode) {
    case DW_CFA_def_cfa: {
      const uint64_t base = cursor_.uleb();
      return set_cfa(base, static_cast<int64_t>(cursor_.uleb()));
    }
    case DW_CFA_def_cfa_sf: {
      const uint64_t base = cursor_.uleb();
      return set_cfa(base, scaled(static_cast<uint64_t>(cursor_.sleb())));
    }
    case DW_CFA_def_cfa_register: return by_register && set_cfa(cursor_.uleb(), state_.cfa.offset);
    case DW_CFA_def_cfa_offset: return by_register && set_cfa(state_.cfa.base, static_cast<int64_t>(cursor_.uleb()));
    case DW_CFA_def_cfa_offset_sf:
      return by_register && set_cfa(state_.cfa.base, scaled(static_cast<uint64_t>(cursor_.sleb())));
    case DW_CFA_def_cfa_expression:
      state_.cfa = {};
      state_.cfa.kind = CfiCfa::Kind::Expression;
      state_.cfa.expression = cursor_.take(cursor_.uleb());
      return true;
    default: return false;
  }
}

bool CfiMachine::execute_register(uint8_t opcode) {
  using Kind = CfiRule::Kind;
  if (opcode < DW_CFA_offset_extended || (opcode > DW_CFA_val_expression && opcode < DW_CFA_GNU_args_size))
    return false;
  const uint64_t number = cursor_.uleb();
  switch (opcode) {
    case DW_CFA_offset_extended: return set_rule(number, Kind::AtCfa, scaled(cursor_.uleb()));
    case DW_CFA_offset_extended_sf:
      return set_rule(number, Kind::AtCfa, scaled(static_cast<uint64_t>(cursor_.sleb())));
    case DW_CFA_GNU_negative_offset_extended: return set_rule(number, Kind::AtCfa, scaled(0 - cursor_.uleb()));
    case DW_CFA_val_offset: return set_rule(number, Kind::CfaPlus, scaled(cursor_.uleb()));
    case DW_CFA_val_offset_sf: return set_rule(number, Kind::CfaPlus, scaled(static_cast<uint64_t>(cursor_.sleb())));
    case DW_CFA_restore_extended: return restore(number);
    case DW_CFA_undefined: return set_rule(number, Kind::Undefined, 0);
    case DW_CFA_same_value: return set_rule(number, Kind::Same, 0);
    case DW_CFA_register: cursor_.uleb(); return set_rule(number, Kind::InRegister, 0);
    case DW_CFA_expression: return set_expression(number, Kind::AtExpression);
    case DW_CFA_val_expression: return set_expression(number, Kind::Expression);
    default: return false;
  }
}

bool CfiMachine::set_cfa(uint64_t base, int64_t offset) {
  state_.cfa.kind = CfiCfa::Kind::Register;
  state_.cfa.base = base;
  state_.cfa.offset = offset;
  state_.cfa.expression = {};
  return true;
}

CfiRule* CfiMachine::rule_of(uint64_t number) {
  switch (number) {
    case kRegisterRbp: return &state_.rbp;
    case kRegisterRsp: return &state_.rsp;
    case kRegisterReturn: return &state_.return_address;
    default: return nullptr;
  }
}

const CfiRule* CfiMachine::initial_rule_of(uint64_t number) const {
  switch (number) {
    case kRegisterRbp: return &common_->initial.rbp;
    case kRegisterRsp: return &common_->initial.rsp;
    case kRegisterReturn: return &common_->initial.return_address;
    default: return nullptr;
  }
}

bool CfiMachine::set_rule(uint64_t number, CfiRule::Kind kind, int64_t offset) {
  if (CfiRule* rule = rule_of(number)) *rule = {kind, offset, {}};
  return true;
}

bool CfiMachine::set_expression(uint64_t number, CfiRule::Kind kind) {
  const auto expression = cursor_.take(cursor_.uleb());
  if (CfiRule* rule = rule_of(number)) *rule = {kind, 0, expression};
  return true;
}

bool CfiMachine::restore(uint64_t number) {
  if (CfiRule* rule = rule_of(number)) *rule = *initial_rule_of(number);
  return true;
}

bool CfiMachine::restore_state() {
  if (remembered_.empty()) return false;
  state_ = remembered_.back();
  remembered_.pop_back();
  return true;
}

bool CfiMachine::advance(uint64_t delta) {
  // Factors are small by nature; a huge one, or an overflow, is a lie.
  return !__builtin_mul_overflow(delta, common_->code_align, &delta) &&
         !__builtin_add_overflow(location_, delta, &next_location_);
}

int64_t CfiMachine::scaled(uint64_t value) const {
  return static_cast<int64_t>(value * static_cast<uint64_t>(common_->data_align));
}

}  // namespace alloctrail
