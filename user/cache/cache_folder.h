// SPDX-License-Identifier: Apache-2.0
// Keeps what can be computed again between runs, in the user's own cache folder. Losing any of it, or all, costs time
// alone: nothing here is an error to the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "user/handles.h"

namespace alloctrail {

/// 128-bit fingerprint of bytes, keyed by a secret of the folder, so that nobody can prepare two inputs that share one.
struct Fingerprint {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};

class CacheFolder {
 public:
  /// The folder alloctrail/`name` of $XDG_CACHE_HOME, of ~/.cache, or of the effective user's home directory by
  /// /etc/passwd: the first of them that belongs to the effective user. So root never uses the folder of the user who
  /// called sudo. Made if it is not there. Below it no link is followed, and nothing is read that others could write.
  [[nodiscard]] static std::optional<CacheFolder> open(std::string_view name, uint64_t max_bytes);

  /// Adds `bytes` to a fingerprint.
  [[nodiscard]] Fingerprint fingerprint(std::span<const std::byte> bytes, Fingerprint before = {}) const;

  /// What was stored under this key, if it is there and whole.
  [[nodiscard]] std::optional<std::vector<std::byte>> read(std::string_view key) const;
  /// Stores content in full or not at all; the least recently used entries make room. A key holds what it first got.
  void write(std::string_view key, std::span<const std::byte> content) const;
  /// Stores content in the place of what the key holds; who reads meanwhile may find nothing.
  void replace(std::string_view key, std::span<const std::byte> content) const;

 private:
  struct Entry;
  CacheFolder(UniqueFd folder, uint64_t max_bytes) : folder_(std::move(folder)), max_bytes_(max_bytes) {}
  [[nodiscard]] bool read_secret();
  [[nodiscard]] std::optional<std::vector<std::byte>> read_file(const std::string& name) const;
  [[nodiscard]] bool write_file(const std::string& name, std::span<const std::span<const std::byte>> parts) const;
  [[nodiscard]] std::vector<Entry> entries() const;
  [[nodiscard]] bool make_room(uint64_t bytes) const;

  UniqueFd folder_;
  uint64_t max_bytes_;
  uint64_t secret_ = 0;
};

}  // namespace alloctrail
