// SPDX-License-Identifier: Apache-2.0
// .gnu_debugdata: the xz-compressed symbol table that Fedora leaves in stripped programs.
#pragma once

#include <vector>

#include "user/symbols/elf_image.h"

namespace alloctrail {

/// The ELF file inside, unpacked; empty if there is none, it is broken or larger than 64 MiB, or alloctrail was built
/// without liblzma.
[[nodiscard]] std::vector<char> unpack_minidebug(const ElfImage& file);

}  // namespace alloctrail
