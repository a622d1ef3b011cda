// SPDX-License-Identifier: Apache-2.0
// Builds small x86-64 ELF images with call frame information written by hand, for the tests of the unwind compiler.
#pragma once

#include <dwarf.h>
#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace alloctrail::test {

class ByteWriter {
 public:
  ByteWriter() = default;
  ByteWriter(std::initializer_list<int> bytes) {
    for (const int byte : bytes) u8(byte);
  }

  ByteWriter& u8(int value) {
    bytes_.push_back(static_cast<std::byte>(value));
    return *this;
  }
  template <class T>
  ByteWriter& raw(const T& value) {
    const auto* from = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof value);
    return *this;
  }
  ByteWriter& append(const ByteWriter& other) {
    bytes_.insert(bytes_.end(), other.bytes_.begin(), other.bytes_.end());
    return *this;
  }
  ByteWriter& fill_to(size_t size) {
    bytes_.resize(size);
    return *this;
  }
  template <class T>
  void patch(size_t at, const T& value) {
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  }

  [[nodiscard]] size_t size() const { return bytes_.size(); }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

inline constexpr uint64_t kCodeVaddr = 0x401000;
inline constexpr uint64_t kFrameVaddr = 0x700000;

/// Entries as compilers write them: version 1, "zR", addresses absolute and 8 bytes wide.
class FrameSection {
 public:
  enum class Kind { EhFrame, DebugFrame };
  explicit FrameSection(Kind kind = Kind::EhFrame) : debug_(kind == Kind::DebugFrame) {}

  /// CFA = rsp + 8, return address at CFA - 8, then `more`. Returns its offset.
  size_t common(const ByteWriter& more = {}, const std::string& augmentation = "zR") {
    ByteWriter body;
    body.raw<uint32_t>(debug_ ? 0xffffffff : 0).u8(1);
    const std::string letters = debug_ ? "" : augmentation;
    for (const char letter : letters) body.u8(letter);
    body.u8(0).u8(1).u8(0x78).u8(16);  // code factor 1, data factor -8, return address column 16
    if (!debug_) body.u8(1).u8(DW_EH_PE_absptr);
    body.append({DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1}).append(more);
    return entry(body);
  }

  void function(size_t common, uint64_t begin, uint64_t size, const ByteWriter& instructions) {
    ByteWriter body;
    const size_t id_at = bytes_.size() + 4;
    body.raw(static_cast<uint32_t>(debug_ ? common : id_at - common)).raw(begin).raw(size);
    if (!debug_) body.u8(0);
    entry(body.append(instructions));
  }

  ByteWriter& bytes() { return bytes_; }

 private:
  size_t entry(ByteWriter body) {
    const size_t at = bytes_.size();
    while (body.size() % 4 != 0) body.u8(DW_CFA_nop);
    bytes_.raw(static_cast<uint32_t>(body.size())).append(body);
    return at;
  }

  bool debug_;
  ByteWriter bytes_;
};

struct ImageParts {
  uint64_t code_bytes = 0x2000;
  const std::vector<std::byte>* eh_frame = nullptr;
  const std::vector<std::byte>* debug_frame = nullptr;
  uint64_t frame_vaddr = kFrameVaddr;
  uint64_t code_vaddr = kCodeVaddr;
  bool section_headers = true;
  uint64_t entry_vaddr = 0;
};

/// Header, code at file offset 0x1000, then the frame sections; .eh_frame is also a segment with a frame header.
inline std::vector<std::byte> build_image(const ImageParts& parts) {
  constexpr uint64_t kCodeOffset = 0x1000;
  const char names[] = "\0.eh_frame\0.debug_frame\0.shstrtab";
  ByteWriter file;
  file.fill_to(kCodeOffset + parts.code_bytes);
  const uint64_t frame_offset = file.size();
  if (parts.eh_frame)
    for (const std::byte byte : *parts.eh_frame) file.raw(byte);
  const uint64_t frame_bytes = file.size() - frame_offset;
  const uint64_t debug_offset = file.size();
  if (parts.debug_frame)
    for (const std::byte byte : *parts.debug_frame) file.raw(byte);
  const uint64_t debug_bytes = file.size() - debug_offset;
  const uint64_t lookup_offset = file.size();
  file.append({1, DW_EH_PE_udata8, DW_EH_PE_omit, DW_EH_PE_omit}).raw(parts.frame_vaddr).raw(uint64_t{0});
  const uint64_t names_offset = file.size();
  file.raw(names);
  const uint64_t sections_offset = file.size();

  const auto section = [&](uint32_t name, uint32_t type, uint64_t address, uint64_t offset, uint64_t size) {
    Elf64_Shdr header{};
    header.sh_name = name;
    header.sh_type = type;
    header.sh_addr = address;
    header.sh_offset = offset;
    header.sh_size = size;
    file.raw(header);
  };
  section(0, SHT_NULL, 0, 0, 0);
  section(1, parts.eh_frame ? SHT_PROGBITS : SHT_NOBITS, parts.frame_vaddr, frame_offset, frame_bytes);
  section(11, parts.debug_frame ? SHT_PROGBITS : SHT_NOBITS, 0, debug_offset, debug_bytes);
  section(24, SHT_STRTAB, 0, names_offset, sizeof names);

  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_DYN;
  header.e_machine = EM_X86_64;
  header.e_entry = parts.entry_vaddr;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 3;
  header.e_shoff = parts.section_headers ? sections_offset : 0;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = parts.section_headers ? 4 : 0;
  header.e_shstrndx = parts.section_headers ? 3 : 0;
  file.patch(0, header);
  const auto segment = [&](size_t index, uint32_t type, uint32_t flags, uint64_t offset, uint64_t vaddr,
                           uint64_t size) {
    Elf64_Phdr program{};
    program.p_type = type;
    program.p_flags = flags;
    program.p_offset = offset;
    program.p_vaddr = vaddr;
    program.p_filesz = program.p_memsz = size;
    file.patch(sizeof header + index * sizeof program, program);
  };
  segment(0, PT_LOAD, PF_R | PF_X, kCodeOffset, parts.code_vaddr, parts.code_bytes);
  segment(1, PT_LOAD, PF_R, frame_offset, parts.frame_vaddr, frame_bytes);
  segment(2, PT_GNU_EH_FRAME, PF_R, lookup_offset, 0x800000, 20);
  return file.bytes();
}

inline std::vector<std::byte> build_image(FrameSection& section) {
  ImageParts parts;
  parts.eh_frame = &section.bytes().bytes();
  return build_image(parts);
}

}  // namespace alloctrail::test
