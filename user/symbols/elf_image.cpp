// SPDX-License-Identifier: Apache-2.0
// ElfImage: libelf behind checks of everything it would otherwise allocate for.
#include "user/symbols/elf_image.h"

#include <gelf.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace alloctrail {
namespace {

constexpr size_t kMaxSegments = 4096;
constexpr size_t kMaxBuildIdBytes = 64;
constexpr size_t kMaxNoteBytes = 1 << 20;
constexpr size_t kMaxSectionNamesBytes = 16 << 20;

/// libelf allocates a descriptor a section when it opens a file. Above 65,279 the number is a 64-bit field that a small
/// sparse file can set to anything; linked programs stay far below.
bool is_readable_header(std::span<const char> image) {
  constexpr char kByteOrder = std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
  Elf64_Ehdr ehdr{};
  if (image.size() < sizeof ehdr) return false;
  std::memcpy(&ehdr, image.data(), sizeof ehdr);
  if (std::memcmp(ehdr.e_ident, ELFMAG, SELFMAG) != 0) return false;
  if (ehdr.e_ident[EI_DATA] != kByteOrder || ehdr.e_ident[EI_CLASS] != ELFCLASS64) return false;
  return ehdr.e_shoff == 0 || ehdr.e_shnum != 0;
}

bool start_libelf() {
  static const bool started = elf_version(EV_CURRENT) != EV_NONE;
  return started;
}

/// The size a compressed section claims to have when unpacked: ELF compression header, or GNU's "ZLIB" + 8 bytes.
uint64_t unpacked_size(Elf_Scn* scn, const GElf_Shdr& shdr, std::string_view name) {
  GElf_Chdr chdr{};
  if ((shdr.sh_flags & SHF_COMPRESSED) != 0) return gelf_getchdr(scn, &chdr) != nullptr ? chdr.ch_size : UINT64_MAX;
  if (!name.starts_with(".zdebug")) return shdr.sh_size;
  const Elf_Data* data = elf_rawdata(scn, nullptr);
  if (data == nullptr || data->d_buf == nullptr || data->d_size < 12) return shdr.sh_size;
  const auto* bytes = static_cast<const unsigned char*>(data->d_buf);
  uint64_t size = 0;
  for (int i = 4; i < 12; ++i) size = size << 8 | bytes[i];
  return std::memcmp(bytes, "ZLIB", 4) == 0 ? size : shdr.sh_size;
}

/// The section names, NUL-terminated at the end. Empty if they are not: libelf and libdw would look for that NUL
/// through the whole table at each name.
std::string_view section_names(Elf* elf) {
  size_t index = 0;
  GElf_Shdr shdr{};
  if (elf_getshdrstrndx(elf, &index) != 0) return {};
  Elf_Scn* scn = elf_getscn(elf, index);
  if (scn == nullptr || gelf_getshdr(scn, &shdr) == nullptr || shdr.sh_type != SHT_STRTAB) return {};
  if ((shdr.sh_flags & SHF_COMPRESSED) != 0 || shdr.sh_size > kMaxSectionNamesBytes) return {};
  const Elf_Data* data = elf_rawdata(scn, nullptr);
  if (data == nullptr || data->d_buf == nullptr || data->d_size == 0) return {};
  const std::string_view names(static_cast<const char*>(data->d_buf), data->d_size);
  return names.back() == '\0' ? names : std::string_view();
}

std::string build_id_in_notes(Elf_Data* data) {
  size_t offset = 0;
  GElf_Nhdr note{};
  size_t name_offset = 0;
  size_t value_offset = 0;
  while (data != nullptr && (offset = gelf_getnote(data, offset, &note, &name_offset, &value_offset)) > 0) {
    const auto* bytes = static_cast<const char*>(data->d_buf);
    const bool is_gnu = note.n_namesz == sizeof "GNU" && std::memcmp(bytes + name_offset, "GNU", sizeof "GNU") == 0;
    if (is_gnu && note.n_type == NT_GNU_BUILD_ID && note.n_descsz <= kMaxBuildIdBytes) {
      return {bytes + value_offset, note.n_descsz};
    }
  }
  return {};
}

}  // namespace

std::optional<uint64_t> CodeSegments::address_of(uint64_t file_offset) const {
  for (const Segment& segment : segments_) {
    const uint64_t into = file_offset - segment.file_offset;
    if (file_offset >= segment.file_offset && into < segment.size_bytes) return segment.address + into;
  }
  return std::nullopt;
}

bool CodeSegments::contains(uint64_t address) const {
  return std::any_of(segments_.begin(), segments_.end(), [&](const Segment& segment) {
    return address >= segment.address && address - segment.address < segment.size_bytes;
  });
}

std::optional<ElfImage> ElfImage::from_memory(std::span<char> image) {
  if (!start_libelf() || !is_readable_header(image)) return std::nullopt;
  Elf* elf = elf_memory(image.data(), image.size());
  if (elf == nullptr) return std::nullopt;
  ElfImage file(elf);
  if (elf_kind(elf) != ELF_K_ELF) return std::nullopt;
  return file;
}

CodeSegments ElfImage::code_segments() const {
  std::vector<CodeSegments::Segment> segments;
  size_t count = 0;
  if (elf_getphdrnum(handle(), &count) != 0) return CodeSegments();
  for (size_t i = 0; i < std::min(count, kMaxSegments); ++i) {
    GElf_Phdr phdr{};
    if (gelf_getphdr(handle(), static_cast<int>(i), &phdr) == nullptr) continue;
    if (phdr.p_type != PT_LOAD || (phdr.p_flags & PF_X) == 0) continue;
    segments.push_back({phdr.p_offset, phdr.p_vaddr, phdr.p_filesz});
  }
  return CodeSegments(std::move(segments));
}

std::string ElfImage::build_id() const {
  for (const Section& section : sections()) {
    if (section.type != SHT_NOTE || section.size_bytes > kMaxNoteBytes) continue;
    std::string id = build_id_in_notes(elf_getdata(section.handle, nullptr));
    if (!id.empty()) return id;
  }
  return {};
}

std::vector<ElfImage::Section> ElfImage::sections() const {
  std::vector<Section> found;
  const std::string_view names = section_names(handle());
  if (names.empty()) return found;
  for (Elf_Scn* scn = elf_nextscn(handle(), nullptr); scn != nullptr; scn = elf_nextscn(handle(), scn)) {
    GElf_Shdr shdr{};
    if (gelf_getshdr(scn, &shdr) == nullptr || shdr.sh_name >= names.size()) continue;
    const std::string_view name = names.data() + shdr.sh_name;
    const uint64_t size = shdr.sh_type == SHT_NOBITS ? 0 : shdr.sh_size;
    const uint64_t unpacked = size == 0 ? 0 : unpacked_size(scn, shdr, name);
    found.push_back({scn, name, shdr.sh_type, shdr.sh_link, shdr.sh_addr, shdr.sh_size, size, unpacked});
  }
  return found;
}

std::optional<ElfImage::Section> ElfImage::section(std::string_view name) const {
  for (const Section& section : sections()) {
    if (section.name == name && section.size_bytes > 0) return section;
  }
  return std::nullopt;
}

std::string_view ElfImage::section_bytes(std::string_view name, size_t max_bytes) const {
  const auto found = section(name);
  if (!found || found->size_bytes > max_bytes) return {};
  const Elf_Data* data = elf_rawdata(found->handle, nullptr);
  if (data == nullptr || data->d_buf == nullptr) return {};
  return {static_cast<const char*>(data->d_buf), data->d_size};
}

}  // namespace alloctrail
