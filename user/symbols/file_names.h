// SPDX-License-Identifier: Apache-2.0
// What is known about the code of one mapped file, as the symbol worker told it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "user/handles.h"
#include "user/model/snapshot.h"
#include "user/symbols/debug_file_places.h"
#include "user/symbols/file_identity.h"
#include "user/symbols/names_cache.h"
#include "user/symbols/symbol_worker.h"

namespace alloctrail {

class FileNames {
 public:
  /// `path` is how the target names the file, `number` its own for good. The descriptor stays open: so long, no other
  /// file can have this inode.
  FileNames(UniqueFd fd, std::string path, uint64_t number);

  /// The file was written to since it was opened.
  [[nodiscard]] bool has_changed() const;
  /// Finds the names at those of the offsets that are not known yet: in the cache, if there is one, or by the worker.
  void resolve(std::span<const uint64_t> offsets, const NamesCache* cache, SymbolWorker& worker);
  /// Keeps what the worker has found for the next run.
  void store(const NamesCache& cache) const;
  /// At least one frame, without address, module and offset. Valid until the next resolve().
  [[nodiscard]] const std::vector<Frame>& frames_at(uint64_t file_offset) const;
  /// False if the file is known not to be ELF.
  [[nodiscard]] bool may_be_elf() const { return is_elf_; }
  /// A sentence about what could not be read; or empty.
  [[nodiscard]] const std::string& problem() const { return problem_; }

  uint64_t last_used = 0;  ///< by the clock of the owner

 private:
  [[nodiscard]] std::vector<uint64_t> unknown(std::span<const uint64_t> offsets) const;
  void take(std::span<const uint64_t> offsets, SymbolAnswer answer);

  UniqueFd fd_;
  DebugFilePlaces places_;
  uint64_t number_;
  std::optional<FileIdentity> opened_;
  bool looked_in_cache_ = false;
  bool has_news_ = false;  ///< for the cache
  bool is_elf_ = true;
  bool is_unreadable_ = false;
  std::string problem_;
  KnownNames known_;
};

}  // namespace alloctrail
