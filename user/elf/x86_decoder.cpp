// SPDX-License-Identifier: Apache-2.0
// The x86-64 decoder: capstone tells length, operands and register writes; which instructions a uprobe emulates is
// ours.
#include <capstone/capstone.h>

#include <algorithm>
#include <array>

#include "user/elf/instruction.h"
#include "user/result.h"

namespace alloctrail {
namespace {

/// Instructions that may run before a probe site: no effect but on the registers and memory that capstone reports.
/// A list of what is allowed, so that an instruction nobody thought of ends the search instead of passing it.
constexpr std::array kPlain = {
    X86_INS_MOV,    X86_INS_MOVABS, X86_INS_MOVZX,  X86_INS_MOVSX,  X86_INS_MOVSXD, X86_INS_LEA,   X86_INS_TEST,
    X86_INS_CMP,    X86_INS_XOR,    X86_INS_AND,    X86_INS_OR,     X86_INS_ADD,    X86_INS_ADC,   X86_INS_SUB,
    X86_INS_SBB,    X86_INS_SHL,    X86_INS_SHR,    X86_INS_SAR,    X86_INS_ROL,    X86_INS_ROR,   X86_INS_NEG,
    X86_INS_NOT,    X86_INS_INC,    X86_INS_DEC,    X86_INS_IMUL,   X86_INS_MUL,    X86_INS_NOP,   X86_INS_ENDBR64,
    X86_INS_BT,     X86_INS_BSR,    X86_INS_BSF,    X86_INS_LZCNT,  X86_INS_TZCNT,  X86_INS_PUSH,  X86_INS_CMOVA,
    X86_INS_CMOVAE, X86_INS_CMOVB,  X86_INS_CMOVBE, X86_INS_CMOVE,  X86_INS_CMOVNE, X86_INS_CMOVS, X86_INS_CMOVNS,
    X86_INS_SETA,   X86_INS_SETAE,  X86_INS_SETB,   X86_INS_SETBE,  X86_INS_SETE,   X86_INS_SETNE, X86_INS_SETO,
    X86_INS_MOVAPS, X86_INS_MOVUPS, X86_INS_MOVDQA, X86_INS_MOVDQU, X86_INS_MOVQ,   X86_INS_PXOR,  X86_INS_XORPS,
};

/// Registers of integer arguments 0 to 3 under all their names.
constexpr std::array<std::array<x86_reg, 5>, 4> kArguments = {{
    {X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL, X86_REG_INVALID},
    {X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL, X86_REG_INVALID},
    {X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL, X86_REG_DH},
    {X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL, X86_REG_CH},
}};

bool is_stack_pointer(unsigned reg) {
  return reg == X86_REG_RSP || reg == X86_REG_ESP || reg == X86_REG_SP || reg == X86_REG_SPL;
}

/// What arch/x86/kernel/uprobes.c carries out without a single step (push_setup_xol_ops, branch_setup_xol_ops; Linux
/// 5.0 to 7.3): push of a 64-bit register, one-byte nop, relative jumps. Prefixes other than 41 on a push are left to
/// the stepped path or refused there. Relative calls are emulated too, but older kernels then miss the shadow stack.
bool kernel_emulates(std::span<const uint8_t> bytes) {
  const auto at = [&](size_t i) { return i < bytes.size() ? bytes[i] : uint8_t{0}; };
  const auto between = [](uint8_t value, uint8_t low, uint8_t high) { return value >= low && value <= high; };
  switch (bytes.size()) {
    case 1:
      return between(at(0), 0x50, 0x57) || at(0) == 0x90;
    case 2:
      return (at(0) == 0x41 && between(at(1), 0x50, 0x57)) || at(0) == 0xeb || between(at(0), 0x70, 0x7f);
    case 5:
      return at(0) == 0xe9;
    case 6:
      return at(0) == 0x0f && between(at(1), 0x80, 0x8f);
    default:
      return false;
  }
}

Flow direct_or(const cs_x86& x86, Flow direct, Flow indirect) {
  return x86.op_count == 1 && x86.operands[0].type == X86_OP_IMM ? direct : indirect;
}

bool is_conditional_branch(csh handle, const cs_insn& insn) {
  switch (insn.id) {
    case X86_INS_LOOP:
    case X86_INS_LOOPE:
    case X86_INS_LOOPNE:
    case X86_INS_XBEGIN:
      return true;
    default:
      return cs_insn_group(handle, &insn, CS_GRP_JUMP);
  }
}

Flow flow_of(csh handle, const cs_insn& insn) {
  const cs_x86& x86 = insn.detail->x86;
  switch (insn.id) {
    case X86_INS_JMP:
      return direct_or(x86, Flow::Jump, Flow::IndirectJump);
    case X86_INS_CALL:
      return direct_or(x86, Flow::Call, Flow::IndirectCall);
    case X86_INS_LJMP:
      return Flow::IndirectJump;
    case X86_INS_LCALL:
      return Flow::IndirectCall;
    case X86_INS_RET:
      return Flow::Return;
    case X86_INS_RETF:
    case X86_INS_RETFQ:
    case X86_INS_IRET:
    case X86_INS_IRETD:
    case X86_INS_IRETQ:
    case X86_INS_UD0:
    case X86_INS_UD2:
    case X86_INS_HLT:
    case X86_INS_INT3:
      return Flow::Stop;
    default:
      return is_conditional_branch(handle, insn) ? Flow::Branch : Flow::Next;
  }
}

std::optional<int32_t> pushed_bytes(const cs_insn& insn, bool writes_stack_pointer) {
  if (!writes_stack_pointer) return 0;
  const cs_x86& x86 = insn.detail->x86;
  if (insn.id == X86_INS_PUSH && x86.op_count == 1 && x86.prefix[2] != 0x66) return 8;
  const bool immediate = x86.op_count == 2 && x86.operands[0].type == X86_OP_REG &&
                         x86.operands[0].reg == X86_REG_RSP && x86.operands[1].type == X86_OP_IMM;
  if (insn.id == X86_INS_SUB && immediate && x86.operands[1].imm >= 0 && x86.operands[1].imm <= INT32_MAX)
    return static_cast<int32_t>(x86.operands[1].imm);
  return std::nullopt;
}

bool tests_first_argument(const cs_insn& insn) {
  const cs_x86& x86 = insn.detail->x86;
  const auto is_rdi = [&](int i) { return x86.operands[i].type == X86_OP_REG && x86.operands[i].reg == X86_REG_RDI; };
  return insn.id == X86_INS_TEST && x86.op_count == 2 && is_rdi(0) && is_rdi(1);
}

BranchIf branch_if(const cs_insn& insn) {
  if (insn.id == X86_INS_JE) return BranchIf::Zero;
  return insn.id == X86_INS_JNE ? BranchIf::NotZero : BranchIf::Other;
}

class X86Decoder final : public Decoder {
 public:
  X86Decoder() {
    ALLOCTRAIL_CHECK(cs_open(CS_ARCH_X86, CS_MODE_64, &handle_) == CS_ERR_OK);
    ALLOCTRAIL_CHECK(cs_option(handle_, CS_OPT_DETAIL, CS_OPT_ON) == CS_ERR_OK);
    insn_ = cs_malloc(handle_);
    ALLOCTRAIL_CHECK(insn_ != nullptr);
  }
  ~X86Decoder() override {
    cs_free(insn_, 1);
    cs_close(&handle_);
  }
  X86Decoder(const X86Decoder&) = delete;
  X86Decoder& operator=(const X86Decoder&) = delete;

  std::optional<Instruction> decode(std::span<const uint8_t> code, uint64_t address) const override {
    if (!disassemble(code, address)) return std::nullopt;
    const cs_x86& x86 = insn_->detail->x86;
    Instruction out;
    out.length = insn_->size;
    out.flow = flow_of(handle_, *insn_);
    if (x86.op_count == 1 && x86.operands[0].type == X86_OP_IMM &&
        (out.flow == Flow::Jump || out.flow == Flow::Branch || out.flow == Flow::Call))
      out.target = static_cast<uint64_t>(x86.operands[0].imm);
    if (out.flow == Flow::IndirectJump || out.flow == Flow::IndirectCall) out.slot = constant_slot(address);
    out.emulated = kernel_emulates({insn_->bytes, insn_->size});
    out.plain = out.flow == Flow::Next && std::ranges::find(kPlain, insn_->id) != kPlain.end();
    out.tests_first_argument = tests_first_argument(*insn_);
    out.branch_if = branch_if(*insn_);
    add_writes(out);
    return out;
  }

  std::string text(std::span<const uint8_t> code) const override {
    // Only here: this syntax also reverses the operands that decode() looks at.
    cs_option(handle_, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
    const bool known = disassemble(code, 0);
    cs_option(handle_, CS_OPT_SYNTAX, CS_OPT_SYNTAX_INTEL);
    if (!known) return "(unknown instruction)";
    std::string text = insn_->mnemonic;
    const Flow flow = flow_of(handle_, *insn_);
    const bool direct = flow == Flow::Jump || flow == Flow::Branch || flow == Flow::Call;
    if (!direct && insn_->op_str[0] != '\0') text.append(" ").append(insn_->op_str);
    return text;
  }

 private:
  bool disassemble(std::span<const uint8_t> code, uint64_t address) const {
    const uint8_t* bytes = code.data();
    size_t size = std::min(code.size(), kMaxInstructionBytes);
    return size > 0 && cs_disasm_iter(handle_, &bytes, &size, &address, insn_);
  }

  std::optional<uint64_t> constant_slot(uint64_t address) const {
    const cs_x86& x86 = insn_->detail->x86;
    if (x86.op_count != 1 || x86.operands[0].type != X86_OP_MEM) return std::nullopt;
    const x86_op_mem& memory = x86.operands[0].mem;
    if (memory.base != X86_REG_RIP || memory.index != X86_REG_INVALID || memory.segment != X86_REG_INVALID)
      return std::nullopt;
    return address + insn_->size + static_cast<uint64_t>(memory.disp);
  }

  void add_writes(Instruction& out) const {
    cs_regs read, written;
    uint8_t read_count = 0, written_count = 0;
    if (cs_regs_access(handle_, insn_, read, &read_count, written, &written_count) != CS_ERR_OK) {
      out.plain = false;  // what it changes is not known; pushed_bytes stays unknown too
      return;
    }
    bool stack_pointer = false;
    for (const uint16_t reg : std::span(written, written_count)) {
      stack_pointer |= is_stack_pointer(reg);
      for (size_t i = 0; i < kArguments.size(); ++i)
        if (std::ranges::find(kArguments[i], static_cast<x86_reg>(reg)) != kArguments[i].end() &&
            reg != X86_REG_INVALID)
          out.arguments_written |= 1u << i;
    }
    out.pushed_bytes = pushed_bytes(*insn_, stack_pointer);
  }

  csh handle_ = 0;
  cs_insn* insn_ = nullptr;
};

}  // namespace

std::unique_ptr<Decoder> make_decoder(Architecture architecture) {
  switch (architecture) {
    case Architecture::X86_64:
      return std::make_unique<X86Decoder>();
  }
  broken_invariant("unknown architecture", __FILE__, __LINE__);
}

}  // namespace alloctrail
