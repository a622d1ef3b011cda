// SPDX-License-Identifier: Apache-2.0
// The code a signal handler returns to, in files whose frame information does not mention it.
#pragma once

#include <span>
#include <vector>

#include "user/elf/cfi_reader.h"
#include "user/elf/unwind_image.h"

namespace alloctrail {

/// Looks for `mov $15, %rax; syscall` (rt_sigreturn) in the executable segments between the functions, which are sorted.
/// The entries begin one byte early, as callers are looked up by the byte before their return address.
[[nodiscard]] std::vector<CfiFunction> find_signal_restorers(const ImageReader& reader,
                                                             std::span<const ImageSegment> segments,
                                                             std::span<const CfiFunction> functions);

/// The rules such an entry starts, and ends, with: registers are in the kernel's signal frame.
[[nodiscard]] CfiCommon signal_restorer_common();

}  // namespace alloctrail
