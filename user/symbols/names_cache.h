// SPDX-License-Identifier: Apache-2.0
// Names found in earlier runs. An entry belongs to one file as it was (device, inode, size, times) and to the separate
// debug files that were beside it: a build-id alone could be claimed by any file.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "user/cache/cache_folder.h"
#include "user/model/snapshot.h"
#include "user/symbols/debug_file_places.h"
#include "user/symbols/file_identity.h"

namespace alloctrail {

/// What is kept of one file.
struct KnownNames {
  std::vector<DebugFilePlaces::Look> looks;  ///< where its debug files were looked for
  std::unordered_map<uint64_t, std::vector<Frame>> frames;  ///< by file offset; without address, module and offset
};

class NamesCache {
 public:
  static constexpr uint64_t kMaxBytes = 128u << 20;

  /// A file that has changed less than `settled` ago might change again within one tick of its clock, and is left out.
  explicit NamesCache(std::chrono::seconds settled = std::chrono::seconds(2))
      : folder_(CacheFolder::open("names", kMaxBytes)), settled_(settled) {}

  /// What is known of this file, if its debug files are still the same.
  [[nodiscard]] std::optional<KnownNames> read(const FileIdentity& file) const;
  /// Replaces what was known.
  void write(const FileIdentity& file, const KnownNames& names) const;

 private:
  [[nodiscard]] std::string key_of(const FileIdentity& file) const;
  [[nodiscard]] bool is_settled(const FileIdentity& file) const;

  std::optional<CacheFolder> folder_;
  std::chrono::seconds settled_;
};

/// Names as a cache entry, and back; nothing if the bytes make no sense.
[[nodiscard]] std::vector<std::byte> pack_names(const KnownNames& names);
[[nodiscard]] std::optional<KnownNames> unpack_names(std::span<const std::byte> bytes);

}  // namespace alloctrail
