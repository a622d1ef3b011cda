// SPDX-License-Identifier: Apache-2.0
// The search for a probe site: one pass over the function for jumps into its beginning, one over the beginning itself.
#include "user/elf/probe_site.h"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace alloctrail {
namespace {

constexpr uint32_t arguments_of(at_shape shape) {
  switch (shape) {
    case AT_SHAPE_SIZE:
    case AT_SHAPE_FREE:
      return 0b001;
    case AT_SHAPE_ALIGN_SIZE:
    case AT_SHAPE_COUNT_SIZE:
    case AT_SHAPE_REALLOC:
      return 0b011;
    case AT_SHAPE_OUT_ALIGN_SIZE:
    case AT_SHAPE_REALLOC_ARRAY:
    case AT_SHAPE_COUNT:
      break;
  }
  return 0b111;
}

/// The lowest offset behind the entry that a direct jump or call in `code` leads to; code.size() if there is none. The
/// entry itself is not looked for: a jump there starts the function anew. Bytes that do not decode are stepped over.
size_t first_jump_target(const Decoder& decoder, std::span<const uint8_t> code) {
  uint64_t lowest = code.size();
  for (size_t at = 0; at < code.size();) {
    const std::optional<Instruction> instruction = decoder.decode(code.subspan(at), at);
    if (instruction && instruction->target && *instruction->target > 0) lowest = std::min(lowest, *instruction->target);
    at += instruction ? instruction->length : 1;
  }
  return static_cast<size_t>(lowest);
}

/// Why the code behind this instruction is no place for a site any more; null if it may be passed.
const char* obstacle(const Instruction& instruction, at_shape shape, SiteUse use) {
  if (!instruction.plain) return "leaves the straight line";
  if ((instruction.arguments_written & arguments_of(shape)) != 0) return "overwrites an argument";
  if (!instruction.pushed_bytes) return "changes the stack pointer";
  if (use == SiteUse::EntryAndReturn && *instruction.pushed_bytes != 0) return "moves the stack pointer";
  return nullptr;
}

class SiteSearch {
 public:
  SiteSearch(const Decoder& decoder, std::span<const uint8_t> code, at_shape shape, SiteUse use)
      : decoder_(decoder), code_(code), shape_(shape), use_(use), jump_target_(first_jump_target(decoder, code)) {}

  SiteChoice run() {
    for (size_t passed = 0; passed < kMaxSiteInstructions && at_ < std::min(code_.size(), kMaxSiteOffset); ++passed) {
      if (at_ >= jump_target_) return entry("a jump leads to +" + std::to_string(jump_target_));
      const std::optional<Instruction> instruction = decoder_.decode(code_.subspan(at_), at_);
      if (!instruction) return entry("unknown instruction at +" + std::to_string(at_));
      if (instruction->emulated) return here();
      if (const char* why = obstacle(*instruction, shape_, use_))
        return entry(decoder_.text(code_.subspan(at_)) + " at +" + std::to_string(at_) + " " + why);
      pushed_bytes_ += static_cast<uint32_t>(*instruction->pushed_bytes);
      if (pushed_bytes_ > kMaxPushedBytes) return entry("the stack frame is too large");
      at_ += instruction->length;
    }
    return entry("no emulated instruction near the entry");
  }

 private:
  static constexpr uint32_t kMaxPushedBytes = 0xffff;  // what a cookie can carry

  SiteChoice here() const {
    const std::string text = decoder_.text(code_.subspan(at_));
    if (at_ == 0) return {0, 0, true, "entry: " + text + " is emulated"};
    return {static_cast<uint32_t>(at_), pushed_bytes_, true,
            "+" + std::to_string(at_) + ": " + text + " is emulated, " + decoder_.text(code_) + " at the entry is not"};
  }

  SiteChoice entry(const std::string& why) const {
    if (code_.empty()) return {0, 0, false, "entry, unseen: no code"};
    return {0, 0, false, "entry, single-stepped (" + decoder_.text(code_) + "): " + why};
  }

  const Decoder& decoder_;
  const std::span<const uint8_t> code_;
  const at_shape shape_;
  const SiteUse use_;
  const size_t jump_target_;
  size_t at_ = 0;
  uint32_t pushed_bytes_ = 0;
};

}  // namespace

SiteChoice choose_site(const Decoder& decoder, std::span<const uint8_t> code, at_shape shape, SiteUse use) {
  return SiteSearch(decoder, code, shape, use).run();
}

}  // namespace alloctrail
