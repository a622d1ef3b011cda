// SPDX-License-Identifier: Apache-2.0
// Which of the files that are offered is the separate debug file.
#pragma once

#include <optional>
#include <string_view>

#include "user/symbols/debug_file_request.h"
#include "user/symbols/elf_image.h"
#include "user/symbols/mapped_file.h"

namespace alloctrail {

/// The debug file of `file`: by its build-id, then by .gnu_debuglink. It is taken only if its build-id is the same or, for
/// files without one, if its checksum is the one in the link.
[[nodiscard]] std::optional<MappedFile> find_debug_file(const ElfImage& file, DebugFileSource& source);

/// The supplementary file (made by dwz) that debug information names as `name`.
[[nodiscard]] std::optional<MappedFile> find_supplementary_file(std::string_view name, std::string_view build_id,
                                                                DebugFileSource& source);

}  // namespace alloctrail
