// SPDX-License-Identifier: Apache-2.0
// What must hold of a probe site in any code whatever, checked by an independent second walk. Used by the unit tests
// with code of a fixed seed and by the fuzz target with the fuzzer's. Returns what is wrong; empty: nothing.
#pragma once

#include <algorithm>
#include <span>
#include <string>

#include "user/elf/probe_site.h"

namespace alloctrail::test {

/// Bit n for every register of integer argument n that the tracer reads for this shape.
constexpr uint32_t arguments_read(at_shape shape) {
  if (shape == AT_SHAPE_SIZE || shape == AT_SHAPE_FREE) return 1;
  return shape == AT_SHAPE_OUT_ALIGN_SIZE || shape == AT_SHAPE_REALLOC_ARRAY ? 7 : 3;
}

inline std::string jump_between_entry_and(uint64_t site, const Decoder& decoder, std::span<const uint8_t> code) {
  for (size_t at = 0; at < code.size();) {
    const auto instruction = decoder.decode(code.subspan(at), at);
    if (instruction && instruction->target && *instruction->target > 0 && *instruction->target <= site)
      return "a jump at " + std::to_string(at) + " leads to " + std::to_string(*instruction->target);
    at += instruction ? instruction->length : 1;
  }
  return "";
}

/// The site must be an instruction start that is reached straight from the entry, with arguments and stack known.
inline std::string what_is_wrong_with(const SiteChoice& choice, const Decoder& decoder, std::span<const uint8_t> code,
                                      at_shape shape, SiteUse use) {
  if (choice.reason.empty()) return "no reason is given";
  if (choice.offset == 0) return choice.pushed_bytes == 0 ? "" : "something was pushed before the entry";
  if (choice.offset >= code.size()) return "the site lies outside the code";
  if (!choice.emulated) return "a site behind the entry gains nothing";
  uint64_t at = 0;
  int64_t pushed = 0;
  while (at < choice.offset) {
    const auto instruction = decoder.decode(code.subspan(at), at);
    if (!instruction) return "undecodable code before the site";
    if (instruction->flow != Flow::Next) return "the straight line is left before the site";
    if ((instruction->arguments_written & arguments_read(shape)) != 0) return "an argument is gone at the site";
    if (!instruction->pushed_bytes) return "the stack pointer is not known at the site";
    pushed += *instruction->pushed_bytes;
    at += instruction->length;
  }
  if (at != choice.offset) return "the site is inside an instruction";
  if (pushed != choice.pushed_bytes) return "the bytes pushed are counted wrong";
  if (use == SiteUse::EntryAndReturn && pushed != 0) return "a return probe away from the entry's stack pointer";
  return jump_between_entry_and(choice.offset, decoder, code);
}

}  // namespace alloctrail::test
