// SPDX-License-Identifier: Apache-2.0
// Everything known about the code of one mapped file, and what was resolved in it already.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "user/handles.h"
#include "user/model/snapshot.h"
#include "user/symbols/debug_info.h"
#include "user/symbols/elf_image.h"
#include "user/symbols/symbol_table.h"

namespace alloctrail {

class FileSymbols {
 public:
  /// `path` is how the target names the file; it is used to look for separate debug files beside it, on the host.
  /// A file that is not ELF has no symbols. The descriptor stays open: so long, no other file can have this inode.
  FileSymbols(UniqueFd fd, std::string path);

  [[nodiscard]] bool is_elf() const { return is_elf_; }
  /// The file was written to since it was opened.
  [[nodiscard]] bool has_changed() const;

  /// At least one frame, without address, module and offset. Valid until the next call.
  [[nodiscard]] const std::vector<Frame>& frames_at(uint64_t file_offset);

  /// Debug information in memory, for whoever bounds it over all files.
  [[nodiscard]] bool has_open_debug_info() const { return debug_info_ && debug_info_->is_open(); }
  [[nodiscard]] uint64_t debug_info_bytes() const { return debug_info_ ? debug_info_->bytes() : 0; }
  void close_debug_info() { debug_info_->close(); }

  uint64_t last_used = 0;  ///< by the clock of the owner

 private:
  [[nodiscard]] std::vector<Frame> resolve(uint64_t file_offset);

  UniqueFd fd_;
  struct stat opened_ {};
  bool is_elf_ = false;
  CodeSegments code_;
  SymbolTable symbols_;
  std::optional<DebugInfo> debug_info_;
  std::unordered_map<uint64_t, std::vector<Frame>> resolved_;
};

}  // namespace alloctrail
