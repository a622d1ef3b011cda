// SPDX-License-Identifier: Apache-2.0
#include "user/symbols/names_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "user/symbols/packed_frames.h"

namespace alloctrail {
namespace {

/// To be raised whenever the same file gets other names, or names other bytes.
constexpr uint64_t kVersion = 1;
constexpr size_t kMaxEntryBytes = 16 << 20;
constexpr size_t kMaxPathBytes = 16 * 1024;

void pack(const FileIdentity& file, WireWriter& out) {
  out.number(file.device);
  out.number(file.inode);
  out.number(file.size_bytes);
  out.number(static_cast<uint64_t>(file.modified_ns));
  out.number(static_cast<uint64_t>(file.changed_ns));
}

FileIdentity take_identity(WireReader& in) {
  FileIdentity file;
  file.device = in.number();
  file.inode = in.number();
  file.size_bytes = in.number();
  file.modified_ns = static_cast<int64_t>(in.number());
  file.changed_ns = static_cast<int64_t>(in.number());
  return file;
}

}  // namespace

std::vector<std::byte> pack_names(const KnownNames& names) {
  WireWriter out;
  out.number(names.looks.size());
  for (const DebugFilePlaces::Look& look : names.looks) {
    out.text(look.path);
    out.number(look.found ? 1 : 0);
    if (look.found) pack(*look.found, out);
  }
  out.number(names.frames.size());
  for (const auto& [offset, frames] : names.frames) {
    out.number(offset);
    pack_frames(frames, out);
  }
  return out.bytes();
}

std::optional<KnownNames> unpack_names(std::span<const std::byte> bytes) {
  WireReader in(bytes);
  KnownNames names;
  const uint64_t looks = in.number(bytes.size());
  for (uint64_t i = 0; i < looks && in.is_good(); ++i) {
    DebugFilePlaces::Look& look = names.looks.emplace_back();
    look.path = in.text(kMaxPathBytes);
    if (in.number(1) == 1) look.found = take_identity(in);
  }
  const uint64_t offsets = in.number(bytes.size());
  for (uint64_t i = 0; i < offsets && in.is_good(); ++i) {
    const uint64_t offset = in.number();
    names.frames[offset] = take_frames(in);
  }
  return in.is_good() && in.is_at_end() ? std::optional(std::move(names)) : std::nullopt;
}

bool NamesCache::is_settled(const FileIdentity& file) const {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::nanoseconds(std::max(file.changed_ns, file.modified_ns)) + settled_ < now;
}

std::string NamesCache::key_of(const FileIdentity& file) const {
  WireWriter out;
  out.number(kVersion);
  pack(file, out);
  const Fingerprint print = folder_->fingerprint(out.bytes());
  return fmt::format("{:016x}{:016x}", print.high, print.low);
}

std::optional<KnownNames> NamesCache::read(const FileIdentity& file) const {
  const auto bytes = folder_ ? folder_->read(key_of(file)) : std::nullopt;
  auto names = bytes ? unpack_names(*bytes) : std::nullopt;
  return names && DebugFilePlaces::is_unchanged(names->looks) ? std::move(names) : std::nullopt;
}

void NamesCache::write(const FileIdentity& file, const KnownNames& names) const {
  const bool settled = is_settled(file) && std::ranges::all_of(names.looks, [this](const DebugFilePlaces::Look& look) {
                         return !look.found || is_settled(*look.found);
                       });
  if (!folder_ || !settled) return;
  const std::vector<std::byte> bytes = pack_names(names);
  if (bytes.size() <= kMaxEntryBytes) folder_->replace(key_of(file), bytes);
}

}  // namespace alloctrail
