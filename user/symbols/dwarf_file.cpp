// SPDX-License-Identifier: Apache-2.0
// DwarfFile: dwarf_begin_elf and not libdwfl, which maps files privately, opens paths that the file names and asks
// debuginfod servers.
#include "user/symbols/dwarf_file.h"

#include <elfutils/libdwelf.h>
#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>

namespace alloctrail {
namespace {

constexpr size_t kMaxStringBytes = 16 * 1024;

bool is_debug_section(std::string_view name) {
  return name.starts_with(".debug_") || name.starts_with(".zdebug_");
}

/// The bytes as libdw sees them, unpacked if they were compressed; empty if there is no such section.
std::string_view unpacked_bytes(const ElfImage& file, std::string_view name) {
  auto section = file.section(fmt::format(".{}", name));
  if (!section) section = file.section(fmt::format(".z{}", name));
  const Elf_Data* data = section ? elf_getdata(section->handle, nullptr) : nullptr;
  if (data == nullptr || data->d_buf == nullptr) return {};
  return {static_cast<const char*>(data->d_buf), data->d_size};
}

/// libdw takes strings from these sections, and some of them it copies up to a NUL that need not be there.
bool has_terminated_strings(const ElfImage& file) {
  for (const std::string_view name : {"debug_str", "debug_line_str"}) {
    const std::string_view strings = unpacked_bytes(file, name);
    if (!strings.empty() && strings.back() != '\0') return false;
  }
  return true;
}

/// An ELF file whose DWARF is one empty line program. Set as the supplementary file where the true one is missing, it
/// keeps libdw from opening whatever path the debug information names.
struct EmptyDebugImage {
  Elf64_Ehdr header{};
  std::array<Elf64_Shdr, 3> sections{};
  std::array<char, 32> names{};
  std::array<char, 8> lines{};

  EmptyDebugImage() {
    constexpr std::string_view kNames("\0.shstrtab\0.debug_line\0", 23);
    std::memcpy(names.data(), kNames.data(), kNames.size());
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_DYN;
    header.e_version = EV_CURRENT;
    header.e_ehsize = sizeof header;
    header.e_shoff = offsetof(EmptyDebugImage, sections);
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = sections.size();
    header.e_shstrndx = 1;
    sections[1] = section(1, SHT_STRTAB, offsetof(EmptyDebugImage, names), names.size());
    sections[2] = section(11, SHT_PROGBITS, offsetof(EmptyDebugImage, lines), lines.size());
  }
  static Elf64_Shdr section(uint32_t name, uint32_t type, size_t offset, size_t size) {
    Elf64_Shdr shdr{};
    shdr.sh_name = name;
    shdr.sh_type = type;
    shdr.sh_offset = offset;
    shdr.sh_size = size;
    shdr.sh_addralign = 1;
    return shdr;
  }
};

std::optional<ElfImage> empty_debug_file() {
  static EmptyDebugImage image;
  return ElfImage::from_memory(std::span(reinterpret_cast<char*>(&image), sizeof image));
}

}  // namespace

/// What libdw will allocate for the debug sections; nothing if there are none worth opening or it would be too much.
std::optional<uint64_t> DwarfFile::bytes_to_unpack(const ElfImage& file) {
  uint64_t sum = 0;
  bool has_units = false;
  for (const ElfImage::Section& section : file.sections()) {
    if (!is_debug_section(section.name) || section.size_bytes == 0) continue;
    has_units = has_units || section.name == ".debug_info" || section.name == ".zdebug_info";
    if (section.unpacked_bytes == section.size_bytes) continue;
    sum = section.unpacked_bytes > UINT64_MAX - sum ? UINT64_MAX : sum + section.unpacked_bytes;
  }
  if (sum > max_unpacked_bytes_) {
    problem_ = fmt::format("its debug information takes {} MiB when unpacked, more than the {} MiB there are for "
                           "it; files that objcopy --decompress-debug-sections has unpacked are read in place",
                           sum >> 20, max_unpacked_bytes_ >> 20);
    return std::nullopt;
  }
  return has_units ? std::optional(sum) : std::nullopt;
}

Dwarf* DwarfFile::handle() {
  if (main_ || is_unusable_) return main_.get();
  if (!elf_) {
    file_.restore();
    elf_ = ElfImage::from_memory(file_.bytes());
  }
  const auto needed = elf_ ? bytes_to_unpack(*elf_) : std::nullopt;
  if (needed) main_.reset(dwarf_begin_elf(elf_->handle(), DWARF_C_READ, nullptr));
  if (main_ && !has_terminated_strings(*elf_)) main_.reset();
  if (main_) {
    bytes_ = *needed;
    const auto section = [this](const char* name) { return std::as_bytes(std::span(unpacked_bytes(*elf_, name))); };
    lines_ = {section("debug_line"), section("debug_str"), section("debug_line_str")};
    attach_supplementary();
    strings_.clear();
    remember_strings(*elf_);
    if (supplementary_elf_) remember_strings(*supplementary_elf_);
  }
  is_unusable_ = !main_;
  if (is_unusable_) close();
  return main_.get();
}

void DwarfFile::forget_parsed() {
  main_.reset();
  supplementary_.reset();
}

void DwarfFile::close() {
  forget_parsed();
  lines_ = {};
  strings_.clear();
  supplementary_elf_.reset();
  elf_.reset();
}

void DwarfFile::attach_supplementary() {
  const char* name = nullptr;
  const void* id = nullptr;
  const ssize_t id_bytes = dwelf_dwarf_gnu_debugaltlink(main_.get(), &name, &id);
  if (id_bytes <= 0) return;
  if (!looked_for_supplementary_) {
    const std::string_view build_id(static_cast<const char*>(id), static_cast<size_t>(id_bytes));
    supplementary_file_ = find_supplementary_file(checked(name), build_id, source_);
    looked_for_supplementary_ = true;
  }
  if (supplementary_file_ && !supplementary_elf_) {
    supplementary_file_->restore();
    supplementary_elf_ = ElfImage::from_memory(supplementary_file_->bytes());
    const bool is_usable =
        supplementary_elf_ && has_terminated_strings(*supplementary_elf_) && bytes_to_unpack(*supplementary_elf_);
    if (!is_usable) supplementary_elf_.reset();
  }
  if (!supplementary_elf_) supplementary_elf_ = empty_debug_file();
  if (supplementary_elf_) supplementary_.reset(dwarf_begin_elf(supplementary_elf_->handle(), DWARF_C_READ, nullptr));
  // Without a stand-in libdw would go looking by itself.
  if (supplementary_) {
    dwarf_setalt(main_.get(), supplementary_.get());
  } else {
    main_.reset();
  }
}

void DwarfFile::remember_strings(const ElfImage& elf) {
  for (const std::string_view name : {"debug_str", "debug_line_str", "debug_info", "debug_line"}) {
    const std::string_view bytes = unpacked_bytes(elf, name);
    if (!bytes.empty()) strings_.push_back(bytes);
  }
}

std::string_view DwarfFile::checked(const char* text) const {
  if (text == nullptr) return {};
  bool is_end = false;  // of one section, and then perhaps the start of the next one
  for (const std::string_view section : strings_) {
    is_end = is_end || text == section.data() + section.size();
    if (text < section.data() || text >= section.data() + section.size()) continue;
    const std::string_view rest = section.substr(static_cast<size_t>(text - section.data()), kMaxStringBytes);
    const size_t length = rest.find('\0');
    return length == std::string_view::npos ? std::string_view() : rest.substr(0, length);
  }
  // A path that libdw has put together.
  return is_end ? std::string_view() : std::string_view{text, strnlen(text, kMaxStringBytes)};
}

}  // namespace alloctrail
