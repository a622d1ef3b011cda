// SPDX-License-Identifier: Apache-2.0
// Everything known about the code of one mapped file, read from its bytes. Part of the symbol worker.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "user/model/snapshot.h"
#include "user/symbols/debug_info.h"
#include "user/symbols/elf_image.h"
#include "user/symbols/mapped_file.h"
#include "user/symbols/symbol_table.h"

namespace alloctrail {

class FileSymbols {
 public:
  /// A file that is not ELF has no symbols. `source` is asked for its separate debug files and must outlive this.
  FileSymbols(MappedFile file, DebugFileSource& source, DebugInfoLimits limits = {});
  FileSymbols(const FileSymbols&) = delete;
  FileSymbols& operator=(const FileSymbols&) = delete;

  [[nodiscard]] bool is_elf() const { return elf_.has_value(); }
  /// At least one frame, without address, module and offset.
  [[nodiscard]] std::vector<Frame> frames_at(uint64_t file_offset);
  /// A sentence for the user if something that is there cannot be read; or empty.
  [[nodiscard]] std::string problem() const { return debug_info_ ? debug_info_->problem() : std::string(); }

  /// Debug information in memory, for whoever bounds it over all files.
  [[nodiscard]] bool has_open_debug_info() const { return debug_info_ && debug_info_->is_open(); }
  [[nodiscard]] uint64_t debug_info_bytes() const { return debug_info_ ? debug_info_->bytes() : 0; }
  void close_debug_info() { debug_info_->close(); }
  /// Takes the pages of its files out of this process.
  void drop_pages() const;

  uint64_t last_used = 0;  ///< by the clock of the owner

 private:
  // What is read goes after what reads it.
  MappedFile file_;
  std::optional<MappedFile> separate_;
  std::vector<char> minidebug_;
  std::optional<ElfImage> elf_;
  std::optional<ElfImage> separate_elf_;
  std::optional<ElfImage> minidebug_elf_;
  CodeSegments code_;
  SymbolTable symbols_;
  std::optional<DebugInfo> debug_info_;
};

}  // namespace alloctrail
