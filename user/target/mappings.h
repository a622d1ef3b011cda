// SPDX-License-Identifier: Apache-2.0
// What a target has mapped (/proc/PID/maps), and safe access to the files behind it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "user/handles.h"
#include "user/ids.h"
#include "user/result.h"

namespace alloctrail {

/// Identity of a mapped file, whatever its name is now.
struct FileKey {
  uint64_t device = 0; ///< as makedev() packs it
  uint64_t inode = 0;
  friend auto operator<=>(const FileKey&, const FileKey&) = default;
};

/// One line of /proc/PID/maps.
struct Mapping {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t file_offset = 0;
  FileKey file;          ///< inode 0: anonymous
  std::string path;      ///< as the kernel names it, without " (deleted)"; "[heap]", "[vdso]" for special ones; may be empty
  bool readable = false;
  bool executable = false;
  bool writable = false;
  bool shared = false;
  bool deleted = false;
};

/// Is this the name of shared memory: tmpfs, a System V segment, memfd? Their inodes are of file systems that no path
/// leads to.
[[nodiscard]] bool names_shared_memory(std::string_view path);

/// Parses one line of a maps or smaps file; nothing if it makes no sense, or is not the head of a range.
[[nodiscard]] std::optional<Mapping> parse_mapping(std::string_view line);

/// Parses the text of a maps file; lines that make no sense are left out.
[[nodiscard]] std::vector<Mapping> parse_mappings(std::string_view text);

/// The mappings of a process, by ascending address. Fails if the process is gone or may not be looked at.
[[nodiscard]] Result<std::vector<Mapping>> read_mappings(Tgid pid);

/// Opens the file behind a mapping for reading, through /proc/PID/map_files or, failing that, the target's root, so that
/// deleted files and other mount namespaces work; of a process that is gone, by its name in our own. The file is a regular one and the very inode that is mapped, or an error.
[[nodiscard]] Result<UniqueFd> open_mapped_file(Tgid pid, const Mapping& mapping);

}  // namespace alloctrail
