// SPDX-License-Identifier: Apache-2.0
// Packs the state of a call frame program into the 32-bit rule of a row.
#include "user/elf/unwind_rule.h"

#include <dwarf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

namespace alloctrail {
namespace {

constexpr int64_t kWordBytes = 8;
constexpr int64_t kReturnOffset = -8;
constexpr uint32_t kStubBytes = 16;
/// Where the kernel's signal frame holds the interrupted %rsp, from the stack pointer of its restorer.
constexpr int64_t kSignalRspOffset = 160;

/// DW_OP_breg<base> offset, and what may follow it.
struct BaseExpression {
  uint64_t base = 0;
  int64_t offset = 0;
  bool dereferenced = false;
  int64_t added = 0;
};

/// base + offset, *(base + offset), *(base + offset) + added: the forms compilers and hand-written prologues use.
std::optional<BaseExpression> parse_base_expression(std::span<const std::byte> bytes) {
  CfiCursor cursor(bytes);
  BaseExpression result;
  const uint8_t first = cursor.u8();
  if (first < DW_OP_breg0 || first > DW_OP_breg31) return std::nullopt;
  result.base = first - DW_OP_breg0;
  result.offset = cursor.sleb();
  if (!cursor.at_end()) {
    if (cursor.u8() != DW_OP_deref) return std::nullopt;
    result.dereferenced = true;
  }
  if (!cursor.at_end()) {
    if (cursor.u8() != DW_OP_plus_uconst) return std::nullopt;
    result.added = static_cast<int64_t>(cursor.uleb());
  }
  return cursor.ok() && cursor.at_end() ? std::optional(result) : std::nullopt;
}

/// The expression linkers write for .plt: rsp + 8 + ((rip & 15) >= threshold) * 8. Gives the threshold.
std::optional<uint32_t> parse_plt_expression(std::span<const std::byte> bytes) {
  constexpr size_t kThresholdAt = 6;
  constexpr std::array<uint8_t, 11> kPattern = {DW_OP_breg7, 8,        DW_OP_breg16, 0,         DW_OP_lit15, DW_OP_and,
                                                DW_OP_lit0,  DW_OP_ge, DW_OP_lit3,   DW_OP_shl, DW_OP_plus};
  if (bytes.size() != kPattern.size()) return std::nullopt;
  for (size_t i = 0; i < kPattern.size(); i++)
    if (i != kThresholdAt && std::to_integer<uint8_t>(bytes[i]) != kPattern[i]) return std::nullopt;
  const auto threshold = std::to_integer<uint32_t>(bytes[kThresholdAt]) - DW_OP_lit0;
  return threshold < kStubBytes ? std::optional(threshold) : std::nullopt;
}

template <class T>
bool fits(int64_t value) {
  return value >= std::numeric_limits<T>::min() && value <= std::numeric_limits<T>::max();
}

bool keeps_value(const CfiRule& rule) {
  return rule.kind == CfiRule::Kind::Unspecified || rule.kind == CfiRule::Kind::Same;
}

/// The caller's %rsp is the CFA, as everywhere but in signal frames and context switches.
bool rsp_is_cfa(const CfiRule& rule) {
  return rule.kind == CfiRule::Kind::Unspecified || (rule.kind == CfiRule::Kind::CfaPlus && rule.offset == 0);
}

bool is_kernel_signal_frame(const CfiState& state) {
  const auto cfa = parse_base_expression(state.cfa.expression);
  return state.cfa.kind == CfiCfa::Kind::Expression && cfa && cfa->base == kRegisterRsp && cfa->dereferenced &&
         cfa->added == 0 && cfa->offset == kSignalRspOffset;
}

/// `offset` in words, if it is that many whole ones and the field of a rule can hold it.
std::optional<uint32_t> words(int64_t offset) {
  if (offset < 0 || offset % kWordBytes != 0 || offset / kWordBytes > int64_t{AT_UNWIND_WORDS_MAX}) return std::nullopt;
  return static_cast<uint32_t>(offset / kWordBytes);
}

/// The two frequent forms: CFA at a distance from %rsp or %rbp, %rbp unchanged or saved below the CFA.
std::optional<uint32_t> pack_frame(const CfiState& state) {
  const bool by_rsp = state.cfa.base == kRegisterRsp;
  if (state.cfa.kind != CfiCfa::Kind::Register || (!by_rsp && state.cfa.base != kRegisterRbp)) return std::nullopt;
  if (state.return_address.offset != kReturnOffset) return std::nullopt;
  const auto cfa_words = words(state.cfa.offset);
  std::optional<uint32_t> rbp_words;
  if (keeps_value(state.rbp)) rbp_words = 0;
  if (state.rbp.kind == CfiRule::Kind::AtCfa && state.rbp.offset < 0) rbp_words = words(-state.rbp.offset);
  if (!cfa_words || !rbp_words) return std::nullopt;
  return AT_UNWIND_FRAME(by_rsp ? AT_UNWIND_CFA_RSP : AT_UNWIND_CFA_RBP, *cfa_words, *rbp_words);
}

bool side_cfa(const CfiCfa& cfa, at_unwind_side& side) {
  BaseExpression form{cfa.base, cfa.offset, false, 0};
  if (cfa.kind == CfiCfa::Kind::Expression) {
    const auto parsed = parse_base_expression(cfa.expression);
    if (!parsed) return false;
    form = *parsed;
  }
  if (cfa.kind == CfiCfa::Kind::Unset || (form.base != kRegisterRsp && form.base != kRegisterRbp)) return false;
  if (!fits<int32_t>(form.offset) || !fits<int32_t>(form.added)) return false;
  const bool by_rsp = form.base == kRegisterRsp;
  if (form.dereferenced)
    side.cfa = by_rsp ? AT_UNWIND_SIDE_AT_RSP : AT_UNWIND_SIDE_AT_RBP;
  else
    side.cfa = by_rsp ? AT_UNWIND_SIDE_RSP : AT_UNWIND_SIDE_RBP;
  side.offset = static_cast<int32_t>(form.offset);
  side.add = static_cast<int32_t>(form.added);
  return true;
}

bool side_rbp(const CfiRule& rbp, at_unwind_side& side) {
  int64_t offset = 0;
  if (keeps_value(rbp)) {
    side.rbp = AT_UNWIND_RBP_SAME;
  } else if (rbp.kind == CfiRule::Kind::Undefined) {
    side.rbp = AT_UNWIND_RBP_LOST;
  } else if (rbp.kind == CfiRule::Kind::AtCfa) {
    side.rbp = AT_UNWIND_RBP_AT_CFA;
    offset = rbp.offset;
  } else if (rbp.kind == CfiRule::Kind::AtExpression) {
    const auto parsed = parse_base_expression(rbp.expression);
    if (!parsed || parsed->dereferenced || parsed->base != kRegisterRbp) return false;
    side.rbp = AT_UNWIND_RBP_AT_RBP;
    offset = parsed->offset;
  } else {
    return false;
  }
  side.rbp_offset = static_cast<int32_t>(offset);
  return fits<int32_t>(offset);
}

}  // namespace

uint32_t UnwindRulePacker::pack(const CfiState& state, bool signal_frame) {
  if (signal_frame) return is_kernel_signal_frame(state) ? AT_UNWIND_SIGNAL : AT_UNWIND_UNSUPPORTED;
  if (state.return_address.kind == CfiRule::Kind::Undefined) return AT_UNWIND_STOP;
  if (state.return_address.kind != CfiRule::Kind::AtCfa || !rsp_is_cfa(state.rsp)) return AT_UNWIND_UNSUPPORTED;
  if (const auto frame = pack_frame(state)) return *frame;
  if (state.cfa.kind == CfiCfa::Kind::Expression && keeps_value(state.rbp) &&
      state.return_address.offset == kReturnOffset) {
    if (const auto threshold = parse_plt_expression(state.cfa.expression))
      return AT_UNWIND_RULE(AT_UNWIND_PLT, *threshold);
  }
  return pack_side(state);
}

uint32_t UnwindRulePacker::pack_side(const CfiState& state) {
  at_unwind_side side{};
  const int64_t return_offset = state.return_address.offset;
  if (!fits<int16_t>(return_offset) || !side_cfa(state.cfa, side) || !side_rbp(state.rbp, side))
    return AT_UNWIND_UNSUPPORTED;
  side.return_offset = static_cast<int16_t>(return_offset);
  return side_index_rule(side);
}

uint32_t UnwindRulePacker::side_index_rule(const at_unwind_side& side) {
  const auto same = [&](const at_unwind_side& other) { return std::memcmp(&side, &other, sizeof side) == 0; };
  const auto found = std::find_if(sides_.begin(), sides_.end(), same);
  if (found == sides_.end() && sides_.size() >= kMaxSides) return AT_UNWIND_UNSUPPORTED;
  const auto index = static_cast<uint32_t>(found - sides_.begin());
  if (found == sides_.end()) sides_.push_back(side);
  return AT_UNWIND_RULE(AT_UNWIND_SIDE, index);
}

}  // namespace alloctrail
