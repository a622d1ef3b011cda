// SPDX-License-Identifier: Apache-2.0
#include "user/cache/cache_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace alloctrail {
namespace {

constexpr const char* kSecretName = "secret";
constexpr std::string_view kSuffix = ".entry";
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

/// Precedes the content of every entry.
struct EntryHeader {
  std::array<char, 8> magic;
  uint64_t content_bytes;
  Fingerprint fingerprint;
};
constexpr std::array<char, 8> kMagic = {'A', 'T', 'C', 'A', 'C', 'H', 'E', '1'};

bool is_ours_alone(const struct stat& status) {
  return status.st_uid == ::geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

UniqueFd own_folder(UniqueFd folder) {
  struct stat status {};
  const bool ours = folder && ::fstat(folder.get(), &status) == 0 && is_ours_alone(status);
  return ours ? std::move(folder) : UniqueFd();
}

/// A folder in another one; made if it is not there.
UniqueFd subfolder(const UniqueFd& parent, const std::string& name) {
  if (!parent) return {};
  if (::mkdirat(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST) return {};
  return own_folder(UniqueFd(::openat(parent.get(), name.c_str(), kFolderFlags)));
}

/// The path itself comes from the user's environment and may lead through links; what it leads to must be the user's.
UniqueFd open_folder(const std::string& path) {
  return own_folder(UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
}

UniqueFd open_cache_home() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/')
    if (UniqueFd folder = open_folder(cache)) return folder;
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/')
    if (UniqueFd folder = subfolder(open_folder(home), ".cache")) return folder;
  std::array<char, 4096> text;
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, text.data(), text.size(), &found) != 0 || found == nullptr) return {};
  return subfolder(open_folder(entry.pw_dir), ".cache");
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

bool write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return true;
}

}  // namespace

struct CacheFolder::Entry {
  std::string name;
  uint64_t bytes = 0;
  timespec used{};
};

std::optional<CacheFolder> CacheFolder::open(std::string_view name, uint64_t max_bytes) {
  UniqueFd folder = subfolder(subfolder(open_cache_home(), "alloctrail"), std::string(name));
  if (!folder) return std::nullopt;
  CacheFolder cache(std::move(folder), max_bytes);
  return cache.read_secret() ? std::optional(std::move(cache)) : std::nullopt;
}

/// Whoever comes first chooses it.
bool CacheFolder::read_secret() {
  uint64_t fresh = 0;
  if (!read_file(kSecretName)) {
    if (::getrandom(&fresh, sizeof fresh, 0) != sizeof fresh) return false;
    const std::span<const std::byte> parts[] = {bytes_of(fresh)};
    (void)write_file(kSecretName, parts);  // fails where another process was faster
  }
  const auto bytes = read_file(kSecretName);
  if (!bytes || bytes->size() != sizeof secret_) return false;
  std::memcpy(&secret_, bytes->data(), sizeof secret_);
  return true;
}

Fingerprint CacheFolder::fingerprint(std::span<const std::byte> bytes, Fingerprint before) const {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), secret_ ^ before.low);
  return {hash.low64, hash.high64 ^ before.high};
}

std::optional<std::vector<std::byte>> CacheFolder::read_file(const std::string& name) const {
  const UniqueFd file(::openat(folder_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || !is_ours_alone(status)) return {};
  if (status.st_size < 0 || static_cast<uint64_t>(status.st_size) > max_bytes_) return {};
  std::vector<std::byte> bytes(static_cast<size_t>(status.st_size));
  for (size_t have = 0; have < bytes.size();) {
    const ssize_t count = ::read(file.get(), bytes.data() + have, bytes.size() - have);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return {};
    have += static_cast<size_t>(count);
  }
  (void)::futimens(file.get(), nullptr);  // it has been used: kept longer
  return bytes;
}

/// A file without a name gets it once it is whole; a name that is taken stays as it is.
bool CacheFolder::write_file(const std::string& name, std::span<const std::span<const std::byte>> parts) const {
  const UniqueFd file(::openat(folder_.get(), ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
  if (!file) return false;
  for (const auto part : parts)
    if (!write_all(file.get(), part)) return false;
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  return ::linkat(AT_FDCWD, path.c_str(), folder_.get(), name.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

std::optional<std::vector<std::byte>> CacheFolder::read(std::string_view key) const {
  const std::string name = std::string(key).append(kSuffix);
  auto bytes = read_file(name);
  if (!bytes) return {};
  EntryHeader header;
  if (bytes->size() >= sizeof header) {
    std::memcpy(&header, bytes->data(), sizeof header);
    bytes->erase(bytes->begin(), bytes->begin() + sizeof header);
    if (header.magic == kMagic && header.content_bytes == bytes->size() && header.fingerprint == fingerprint(*bytes))
      return bytes;
  }
  ::unlinkat(folder_.get(), name.c_str(), 0);  // damaged, or of another version: to be made anew
  return {};
}

void CacheFolder::write(std::string_view key, std::span<const std::byte> content) const {
  const EntryHeader header{kMagic, content.size(), fingerprint(content)};
  const std::span<const std::byte> parts[] = {bytes_of(header), content};
  if (make_room(sizeof header + content.size())) (void)write_file(std::string(key).append(kSuffix), parts);
}

void CacheFolder::replace(std::string_view key, std::span<const std::byte> content) const {
  ::unlinkat(folder_.get(), std::string(key).append(kSuffix).c_str(), 0);
  write(key, content);
}

std::vector<CacheFolder::Entry> CacheFolder::entries() const {
  std::vector<Entry> result;
  const int copy = ::openat(folder_.get(), ".", kFolderFlags);
  const std::unique_ptr<DIR, CloseFolder> folder(copy < 0 ? nullptr : ::fdopendir(copy));
  if (!folder) return result;
  while (const dirent* entry = ::readdir(folder.get())) {
    struct stat status {};
    const std::string_view name = entry->d_name;
    if (!name.ends_with(kSuffix) || ::fstatat(folder_.get(), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    result.push_back({std::string(name), static_cast<uint64_t>(status.st_size), status.st_mtim});
  }
  return result;
}

bool CacheFolder::make_room(uint64_t bytes) const {
  if (bytes > max_bytes_) return false;
  std::vector<Entry> all = entries();
  uint64_t used = 0;
  for (const Entry& entry : all) used += entry.bytes;
  std::sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) {
    return a.used.tv_sec != b.used.tv_sec ? a.used.tv_sec < b.used.tv_sec : a.used.tv_nsec < b.used.tv_nsec;
  });
  for (const Entry& oldest : all) {
    if (used + bytes <= max_bytes_) break;
    if (::unlinkat(folder_.get(), oldest.name.c_str(), 0) == 0) used -= oldest.bytes;
  }
  return used + bytes <= max_bytes_;
}

}  // namespace alloctrail
