// SPDX-License-Identifier: Apache-2.0
// Separate debug files, looked for on the host and nowhere else: no network, and no path inside the target's root.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "user/handles.h"
#include "user/symbols/elf_image.h"

namespace alloctrail {

struct DebugFile {
  UniqueFd fd;
  ElfAccess access = ElfAccess::Read;  ///< Map: only root can change the file
  std::string directory;               ///< where it was found, with '/' at the end
};

/// The debug file of `file`, which the target has mapped as `path`: by build-id below /usr/lib/debug, then by
/// .gnu_debuglink beside `path`, in its .debug folder and below /usr/lib/debug. A debug file is taken only if its
/// build-id is the same or, for files without one, if its checksum is the one in the link.
[[nodiscard]] std::optional<DebugFile> find_debug_file(const ElfImage& file, std::string_view path);

/// The supplementary file (made by dwz) that the debug information in `main` names as `name`.
[[nodiscard]] std::optional<DebugFile> find_supplementary_file(const DebugFile& main, std::string_view name,
                                                               std::string_view build_id);

}  // namespace alloctrail
