// SPDX-License-Identifier: Apache-2.0
// Where in a function its calls are best probed: the first instruction that the kernel emulates instead of
// single-stepping, if there the arguments and the stack are still what they were at the entry. Bytes in, offset out.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "alloctrail/probe.h"
#include "user/elf/instruction.h"

namespace alloctrail {

enum class SiteUse {
  EntryOnly,       ///< only the arguments are read here
  EntryAndReturn,  ///< a return probe is put on it as well: the stack pointer must be as at the entry
};

struct SiteChoice {
  uint32_t offset = 0;        ///< from the function's start; always an instruction start that every call passes once
  uint32_t pushed_bytes = 0;  ///< how far the stack pointer has moved down before it; 0 for EntryAndReturn
  bool emulated = false;      ///< false: the entry, for want of a better one; a probe there costs a second trap
  std::string reason;         ///< for people
};

/// How far into a function a site may lie.
inline constexpr size_t kMaxSiteInstructions = 16;
inline constexpr size_t kMaxSiteOffset = 64;

/// Chooses the site in `code`, the whole function or as much as is known of it. Only straight-line code is passed: no
/// branch, call or system call stands before the site, nothing before it writes a register that holds an argument of
/// `shape`, and no direct jump in `code` leads between the entry and the site. There is always a choice: if need be,
/// offset 0.
[[nodiscard]] SiteChoice choose_site(const Decoder& decoder, std::span<const uint8_t> code, at_shape shape,
                                     SiteUse use);

}  // namespace alloctrail
