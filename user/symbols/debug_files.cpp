// SPDX-License-Identifier: Apache-2.0
#include "user/symbols/debug_files.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>

namespace alloctrail {
namespace {

constexpr size_t kMaxLinkBytes = 4096;
constexpr size_t kMaxChecksumBytes = 512 << 20;

bool has_build_id(const MappedFile& candidate, std::string_view build_id) {
  const auto elf = ElfImage::from_memory(candidate.bytes());
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
bool has_checksum(const MappedFile& candidate, uint32_t wanted) {
  static constexpr auto kTable = crc_table();
  if (candidate.bytes().size() > kMaxChecksumBytes) return false;
  uint32_t crc = ~0U;
  for (const char byte : candidate.bytes()) crc = kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xff] ^ crc >> 8;
  return ~crc == wanted;
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
  return link;
}

/// The first file that suits, of all places.
template <class Suits>
std::optional<MappedFile> search(DebugFileRequest request, DebugFileSource& source, Suits suits) {
  for (bool more = true; more; ++request.place) {
    const DebugFileReply reply = source.open(request);
    more = reply.has_more_places;
    auto file = reply.fd ? MappedFile::open(reply.fd) : std::nullopt;
    if (file && suits(*file)) return file;
  }
  return std::nullopt;
}

}  // namespace

std::optional<MappedFile> find_debug_file(const ElfImage& file, DebugFileSource& source) {
  const std::string build_id = file.build_id();
  const auto is_same_build = [&](const MappedFile& each) { return has_build_id(each, build_id); };
  if (!build_id.empty()) {
    auto found = search({DebugFileRequest::By::BuildId, build_id, 0}, source, is_same_build);
    if (found) return found;
  }
  const auto link = debug_link(file);
  if (!link) return std::nullopt;
  const DebugFileRequest request{DebugFileRequest::By::Link, link->name, 0};
  if (!build_id.empty()) return search(request, source, is_same_build);
  return search(request, source, [&](const MappedFile& each) { return has_checksum(each, link->crc); });
}

std::optional<MappedFile> find_supplementary_file(std::string_view name, std::string_view build_id,
                                                  DebugFileSource& source) {
  const auto is_same_build = [&](const MappedFile& each) { return has_build_id(each, build_id); };
  auto found = search({DebugFileRequest::By::BuildId, std::string(build_id), 0}, source, is_same_build);
  return found ? std::move(found)
               : search({DebugFileRequest::By::Supplementary, std::string(name), 0}, source, is_same_build);
}

}  // namespace alloctrail
