// SPDX-License-Identifier: Apache-2.0
// What is known about the code of one mapped file, as the symbol worker told it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "user/handles.h"
#include "user/model/snapshot.h"
#include "user/symbols/debug_file_places.h"
#include "user/symbols/file_identity.h"
#include "user/symbols/symbol_worker.h"

namespace alloctrail {

class FileNames {
 public:
  /// `path` is how the target names the file, `number` its own for good. The descriptor stays open: so long, no other
  /// file can have this inode.
  FileNames(UniqueFd fd, std::string path, uint64_t number);

  /// The file was written to since it was opened.
  [[nodiscard]] bool has_changed() const;
  /// Asks for the names at those of the offsets that are not known yet.
  void resolve(std::span<const uint64_t> offsets, SymbolWorker& worker);
  /// At least one frame, without address, module and offset. Valid until the next resolve().
  [[nodiscard]] const std::vector<Frame>& frames_at(uint64_t file_offset) const;
  /// False if the file is known not to be ELF.
  [[nodiscard]] bool may_be_elf() const { return is_elf_; }
  /// A sentence about what could not be read; or empty.
  [[nodiscard]] const std::string& problem() const { return problem_; }

  uint64_t last_used = 0;  ///< by the clock of the owner

 private:
  void take(std::span<const uint64_t> offsets, SymbolAnswer answer);

  UniqueFd fd_;
  DebugFilePlaces places_;
  uint64_t number_;
  std::optional<FileIdentity> opened_;
  bool is_elf_ = true;
  bool is_unreadable_ = false;
  std::string problem_;
  std::unordered_map<uint64_t, std::vector<Frame>> resolved_;
};

}  // namespace alloctrail
