// SPDX-License-Identifier: Apache-2.0
// Unwind tables of files seen in earlier runs. An entry is found by everything its table was compiled from, so a file
// that only claims another one's build-id does not get its table.
#pragma once

#include <string_view>

#include "user/cache/cache_folder.h"
#include "user/elf/unwind_rows.h"

namespace alloctrail {

class UnwindCache {
 public:
  static constexpr uint64_t kMaxBytes = 256u << 20;

  UnwindCache() : folder_(CacheFolder::open("unwind", kMaxBytes)) {}

  /// As compile_unwind_table(), from the cache if it is there.
  [[nodiscard]] Result<UnwindTable> table_of(int fd, std::string_view name) const;

 private:
  [[nodiscard]] std::string key_of(const UnwindImage& image) const;

  std::optional<CacheFolder> folder_;
};

/// A table as a cache entry, and back; nothing if the bytes are not a table that the kernel half can be given.
[[nodiscard]] std::vector<std::byte> pack_unwind_table(const UnwindTable& table);
[[nodiscard]] std::optional<UnwindTable> unpack_unwind_table(std::span<const std::byte> bytes);

}  // namespace alloctrail
