// SPDX-License-Identifier: Apache-2.0
// Builds small ELF files for tests: functions of given bytes, imports with their linkage stubs, symbols of any binding.
#pragma once

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "user/handles.h"

namespace alloctrail::test {

using Bytes = std::vector<uint8_t>;

inline UniqueFd file_of(const Bytes& content) {
  UniqueFd fd(memfd_create("test", MFD_CLOEXEC));
  if (write(fd.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size())) std::abort();
  return fd;
}

/// Every function occupies a slot of kSlotBytes in order of addition, imports' stubs included.
class ElfImage {
 public:
  static constexpr uint64_t kTextOffset = 0x1000;
  static constexpr uint64_t kTextAddress = 0x31000;  // differs from the offset, so that mixing them up shows
  static constexpr uint64_t kSlotBytes = 64;
  static constexpr uint64_t kGotAddress = 0x90000;

  std::string soname;
  uint16_t machine = EM_X86_64;

  /// Adds a function; its slot.
  size_t add(const std::string& name, Bytes code, unsigned char binding = STB_GLOBAL) {
    functions_.push_back({name, std::move(code), binding});
    return functions_.size() - 1;
  }
  /// Adds another name for a slot.
  void alias(const std::string& name, size_t slot) { aliases_.push_back({name, slot}); }
  /// Adds a stub that jumps through a pointer the loader fills with the address of `name`; its slot.
  size_t import(const std::string& name) {
    const uint64_t got = kGotAddress + 8 * imports_.size();
    const uint64_t end_of_jump = address(functions_.size()) + 6;
    imports_.push_back(name);
    return add("", with_u32({0xff, 0x25}, static_cast<uint32_t>(got - end_of_jump)), STB_LOCAL);
  }

  static uint64_t address(size_t slot) { return kTextAddress + slot * kSlotBytes; }
  static uint64_t file_offset(size_t slot) { return kTextOffset + slot * kSlotBytes; }
  /// A jump (0xe9) or call (0xe8) that stands `at` bytes into slot `from` and leads to the start of slot `to`.
  static Bytes transfer(uint8_t opcode, size_t from, size_t at, size_t to) {
    return with_u32({opcode}, static_cast<uint32_t>(address(to) - (address(from) + at + 5)));
  }
  static Bytes join(std::initializer_list<Bytes> parts) {
    Bytes out;
    for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
  }

  [[nodiscard]] Bytes build() const {
    Bytes text(functions_.size() * kSlotBytes, 0xcc);
    for (size_t i = 0; i < functions_.size(); ++i)
      std::memcpy(text.data() + i * kSlotBytes, functions_[i].code.data(), functions_[i].code.size());
    Bytes image(kTextOffset, 0);
    append(image, text);
    std::vector<Elf64_Shdr> sections(1);
    add_section(sections, SHT_PROGBITS, kTextOffset, text.size(), 0, 0);
    add_tables(image, sections);
    finish(image, sections, text.size());
    return image;
  }

 private:
  struct Function {
    std::string name;
    Bytes code;
    unsigned char binding;
  };
  struct Alias {
    std::string name;
    size_t slot;
  };

  static Bytes with_u32(Bytes bytes, uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<uint8_t>(value >> shift));
    return bytes;
  }
  static void append(Bytes& image, const void* data, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    image.insert(image.end(), bytes, bytes + size);
  }
  static void append(Bytes& image, const Bytes& bytes) { append(image, bytes.data(), bytes.size()); }
  static void add_section(std::vector<Elf64_Shdr>& sections, uint32_t type, uint64_t offset, uint64_t size,
                          uint32_t link, uint64_t entry) {
    Elf64_Shdr header{};
    header.sh_type = type;
    header.sh_offset = offset;
    header.sh_size = size;
    header.sh_link = link;
    header.sh_entsize = entry;
    header.sh_addralign = 1;
    sections.push_back(header);
  }
  static uint32_t add_name(std::string& strings, const std::string& name) {
    const auto at = static_cast<uint32_t>(strings.size());
    strings += name + '\0';
    return at;
  }
  template <class T>
  static void add_table(Bytes& image, std::vector<Elf64_Shdr>& sections, uint32_t type, const std::vector<T>& rows,
                        uint32_t link) {
    while (image.size() % 8 != 0) image.push_back(0);
    add_section(sections, type, image.size(), rows.size() * sizeof(T), link, sizeof(T));
    append(image, rows.data(), rows.size() * sizeof(T));
  }

  /// Sections 2 to 6: strings, .symtab, .dynsym, .rela.plt, .dynamic.
  void add_tables(Bytes& image, std::vector<Elf64_Shdr>& sections) const {
    std::string strings(1, '\0');
    std::vector<Elf64_Sym> symbols(1), dynamic_symbols(1);
    std::vector<Elf64_Rela> relocations;
    const auto add_symbol = [&](const std::string& name, size_t slot, unsigned char binding) {
      symbols.push_back({add_name(strings, name), static_cast<unsigned char>(ELF64_ST_INFO(binding, STT_FUNC)), 0, 1,
                         address(slot), functions_[slot].code.size()});
    };
    for (size_t i = 0; i < functions_.size(); ++i)
      if (!functions_[i].name.empty()) add_symbol(functions_[i].name, i, functions_[i].binding);
    for (const Alias& alias : aliases_) add_symbol(alias.name, alias.slot, STB_GLOBAL);
    for (size_t i = 0; i < imports_.size(); ++i) {
      relocations.push_back({kGotAddress + 8 * i, ELF64_R_INFO(dynamic_symbols.size(), R_X86_64_JUMP_SLOT), 0});
      dynamic_symbols.push_back(
          {add_name(strings, imports_[i]), ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, SHN_UNDEF, 0, 0});
    }
    std::vector<Elf64_Dyn> dynamic;
    if (!soname.empty()) dynamic.push_back({DT_SONAME, {add_name(strings, soname)}});
    dynamic.push_back({DT_NULL, {0}});
    add_section(sections, SHT_STRTAB, image.size(), strings.size(), 0, 0);
    append(image, strings.data(), strings.size());
    add_table(image, sections, SHT_SYMTAB, symbols, 2);
    add_table(image, sections, SHT_DYNSYM, dynamic_symbols, 2);
    add_table(image, sections, SHT_RELA, relocations, 4);
    add_table(image, sections, SHT_DYNAMIC, dynamic, 2);
  }

  void finish(Bytes& image, const std::vector<Elf64_Shdr>& sections, uint64_t text_bytes) const {
    while (image.size() % 8 != 0) image.push_back(0);
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = header.e_version = EV_CURRENT;
    header.e_type = ET_DYN;
    header.e_machine = machine;
    header.e_phoff = sizeof(header);
    header.e_shoff = image.size();
    header.e_ehsize = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 1;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = static_cast<uint16_t>(sections.size());
    header.e_shstrndx = 2;
    Elf64_Phdr load{PT_LOAD, PF_R | PF_X, kTextOffset, kTextAddress, kTextAddress, text_bytes, text_bytes, 0x1000};
    std::memcpy(image.data(), &header, sizeof(header));
    std::memcpy(image.data() + sizeof(header), &load, sizeof(load));
    append(image, sections.data(), sections.size() * sizeof(Elf64_Shdr));
  }

  std::vector<Function> functions_;
  std::vector<Alias> aliases_;
  std::vector<std::string> imports_;
};

}  // namespace alloctrail::test
