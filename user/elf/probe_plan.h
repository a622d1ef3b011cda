// SPDX-License-Identifier: Apache-2.0
// Which functions of one ELF file are allocator entry points, and at which instruction each is probed and why.
// Reads the file only; attaching is kernel/'s work.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alloctrail/probe.h"
#include "user/result.h"

namespace alloctrail {

/// Which moments of a call one planned attachment must report.
enum class ProbeMoment {
  Entry,           ///< releases: the entry is enough
  EntryAndReturn,  ///< allocations: a return probe may be put on this site (stack pointer as at entry)
  ReturnSite,      ///< a `ret` instruction of a function that may throw: the result is in the return register here
};

struct PlannedProbe {
  std::string function;       ///< symbol name, mangled, e.g. "malloc", "_Znwm"; aliases of one address appear once
  at_shape shape = AT_SHAPE_SIZE;
  uint32_t flags = 0;         ///< AT_PROBE_*
  ProbeMoment moment = ProbeMoment::Entry;
  uint64_t file_offset = 0;   ///< of the probed instruction
  uint32_t pushed_bytes = 0;  ///< how far the stack pointer has moved down between function entry and this instruction
  std::string reason;         ///< for people: "entry: push %r12 is emulated", "+3: je, past a test that would be single-stepped"
};

struct ModulePlan {
  std::string allocator;              ///< "glibc", "musl", "jemalloc", "tcmalloc", "mimalloc", "custom"; empty: none here
  std::vector<PlannedProbe> probes;   ///< empty: the file defines no allocator
  std::vector<std::string> not_hooked;///< functions whose calls go unseen, each with its reason: to be warned about
  std::vector<std::string> notes;     ///< functions that need no probe (others see their calls) or never have one
};

/// Plans the probes of one ELF file, given an open descriptor (read with pread only: a private mapping of a probed file
/// would receive the kernel's breakpoints). `name` is for messages. Errors: not an ELF file, truncated, 32-bit, other machine.
[[nodiscard]] Result<ModulePlan> plan_probes(int fd, const std::string& name);

}  // namespace alloctrail
