// SPDX-License-Identifier: Apache-2.0
// Search for separate debug files. The names that are tried come from hostile files, so each candidate is looked at
// before it is opened (a FIFO would block, a device may act on being opened) and verified before it is used.
#include "user/symbols/debug_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

namespace alloctrail {
namespace {

constexpr std::string_view kDebugRoot = "/usr/lib/debug";
constexpr size_t kMaxLinkBytes = 4096;
constexpr off_t kMaxChecksumBytes = 512 << 20;

std::optional<DebugFile> open_candidate(const std::string& path) {
  const UniqueFd place(::open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat info {};
  if (!place || ::fstat(place.get(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  const std::string reopen = fmt::format("/proc/self/fd/{}", place.get());
  UniqueFd fd(::open(reopen.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return std::nullopt;
  const bool only_root_writes = info.st_uid == 0 && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  const bool trusted = only_root_writes && path.starts_with(kDebugRoot);
  return DebugFile{std::move(fd), trusted ? ElfAccess::Map : ElfAccess::Read, path.substr(0, path.rfind('/') + 1)};
}

std::string path_of_build_id(std::string_view build_id) {
  if (build_id.size() < 3) return {};
  std::string path = fmt::format("{}/.build-id/{:02x}/", kDebugRoot, static_cast<unsigned char>(build_id[0]));
  for (const char byte : build_id.substr(1)) path += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return path + ".debug";
}

bool has_build_id(const DebugFile& candidate, std::string_view build_id) {
  const auto elf = ElfImage::open(candidate.fd.get(), candidate.access);
  return elf && elf->build_id() == build_id;
}

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value & 1) != 0 ? value >> 1 ^ 0xedb88320U : value >> 1;
    table[i] = value;
  }
  return table;
}

/// The checksum .gnu_debuglink carries: CRC-32 of the whole file.
std::optional<uint32_t> checksum(int fd) {
  static constexpr auto kTable = crc_table();
  std::vector<unsigned char> buffer(1 << 16);
  uint32_t crc = ~0U;
  off_t offset = 0;
  for (;;) {
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), offset);
    if (got < 0 || offset > kMaxChecksumBytes) return std::nullopt;
    if (got == 0) return ~crc;
    for (ssize_t i = 0; i < got; ++i) crc = kTable[(crc ^ buffer[static_cast<size_t>(i)]) & 0xff] ^ crc >> 8;
    offset += got;
  }
}

struct DebugLink {
  std::string name;
  uint32_t crc = 0;
};

/// .gnu_debuglink: a file name, padding to 4 bytes, CRC-32.
std::optional<DebugLink> debug_link(const ElfImage& file) {
  const std::string_view bytes = file.section_bytes(".gnu_debuglink", kMaxLinkBytes);
  const size_t length = bytes.find('\0');
  if (length == std::string_view::npos || length == 0) return std::nullopt;
  const size_t crc_at = (length + 4) & ~size_t{3};
  if (crc_at + sizeof(uint32_t) > bytes.size()) return std::nullopt;
  DebugLink link{std::string(bytes.substr(0, length)), 0};
  std::memcpy(&link.crc, bytes.data() + crc_at, sizeof link.crc);
  if (link.name.find('/') != std::string::npos || link.name == "." || link.name == "..") return std::nullopt;
  return link;
}

std::optional<DebugFile> find_by_link(const DebugLink& link, std::string_view build_id, std::string_view path) {
  const size_t slash = path.rfind('/');
  if (!path.starts_with('/') || slash == std::string_view::npos) return std::nullopt;
  const std::string_view directory = path.substr(0, slash + 1);
  for (const std::string& place :
       {fmt::format("{}{}", directory, link.name), fmt::format("{}.debug/{}", directory, link.name),
        fmt::format("{}{}{}", kDebugRoot, directory, link.name)}) {
    auto candidate = open_candidate(place);
    if (!candidate) continue;
    const bool same = build_id.empty() ? checksum(candidate->fd.get()) == link.crc : has_build_id(*candidate, build_id);
    if (same) return candidate;
  }
  return std::nullopt;
}

}  // namespace

std::optional<DebugFile> find_debug_file(const ElfImage& file, std::string_view path) {
  const std::string build_id = file.build_id();
  if (!build_id.empty()) {
    auto candidate = open_candidate(path_of_build_id(build_id));
    if (candidate && has_build_id(*candidate, build_id)) return candidate;
  }
  const auto link = debug_link(file);
  return link ? find_by_link(*link, build_id, path) : std::nullopt;
}

std::optional<DebugFile> find_supplementary_file(const DebugFile& main, std::string_view name,
                                                 std::string_view build_id) {
  std::vector<std::string> places{path_of_build_id(build_id)};
  // A path is followed only where root wrote it.
  if (main.access == ElfAccess::Map) {
    places.push_back(name.starts_with('/') ? std::string(name) : main.directory + std::string(name));
  }
  for (const std::string& place : places) {
    auto candidate = open_candidate(place);
    if (candidate && has_build_id(*candidate, build_id)) return candidate;
  }
  return std::nullopt;
}

}  // namespace alloctrail
