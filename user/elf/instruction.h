// SPDX-License-Identifier: Apache-2.0
// What probe planning must know about one machine instruction, whatever the architecture. The decoders behind it use a
// disassembler library; everything above them (probe sites, code walks) is free of instruction sets.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace alloctrail {

enum class Architecture { X86_64 };

/// Where execution goes after an instruction.
enum class Flow {
  Next,          ///< to the following instruction
  Jump,          ///< always to `target`
  Branch,        ///< to `target` or to the following instruction
  Call,          ///< to `target`, and back
  IndirectJump,  ///< through `slot`, or somewhere unknown
  IndirectCall,  ///< likewise, and back
  Return,
  Stop,  ///< nowhere: a trap
};

/// When a branch is taken, as far as the walk over code cares.
enum class BranchIf { Other, Zero, NotZero };

struct Instruction {
  uint32_t length = 0;
  Flow flow = Flow::Next;
  std::optional<uint64_t> target;  ///< of a direct jump, branch or call
  std::optional<uint64_t> slot;    ///< address of the pointer that an indirect jump or call loads, if it is a constant
  bool emulated = false;  ///< the kernel carries out a probe here without single-stepping (never set for calls)
  bool plain = false;     ///< computes, loads or stores and does nothing else; may stand before a probe site
  uint32_t arguments_written = 0;     ///< bit n: the register of integer argument n is changed
  bool tests_first_argument = false;  ///< compares the register of argument 0 with zero, for a BranchIf to follow
  BranchIf branch_if = BranchIf::Other;
  std::optional<int32_t> pushed_bytes;  ///< how far the stack pointer moves down; empty: not known
};

/// Decodes the instructions of one architecture. Not thread-safe.
class Decoder {
 public:
  virtual ~Decoder() = default;

  /// The instruction at the start of `code`, which lies at `address`; nothing if it is none, or cut short.
  [[nodiscard]] virtual std::optional<Instruction> decode(std::span<const uint8_t> code, uint64_t address) const = 0;

  /// Its text for people, e.g. "push %r12"; jumps without their target.
  [[nodiscard]] virtual std::string text(std::span<const uint8_t> code) const = 0;
};

[[nodiscard]] std::unique_ptr<Decoder> make_decoder(Architecture architecture);

/// No instruction of any supported architecture is longer.
inline constexpr size_t kMaxInstructionBytes = 15;

}  // namespace alloctrail
