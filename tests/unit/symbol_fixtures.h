// SPDX-License-Identifier: Apache-2.0
// The fixture libraries of tests/workloads/symbols as bytes.
#pragma once

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "user/handles.h"
#include "user/symbols/symbolizer.h"

namespace alloctrail::test {

inline std::string fixture_path(const std::string& name) {
  return SYMBOLS_FIXTURE_DIR "/lib" + name + ".so";
}

inline std::vector<char> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline UniqueFd memory_file(const std::vector<char>& bytes) {
  UniqueFd fd(::memfd_create("symbols_test", MFD_CLOEXEC));
  EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return fd;
}

/// File offsets of the code: what a target's addresses can become.
inline std::vector<uint64_t> code_offsets(const std::vector<char>& image, uint64_t step) {
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(image.data());
  const auto* segments = reinterpret_cast<const Elf64_Phdr*>(image.data() + header->e_phoff);
  std::vector<uint64_t> offsets;
  for (int i = 0; i < header->e_phnum; ++i) {
    if (segments[i].p_type != PT_LOAD || (segments[i].p_flags & PF_X) == 0) continue;
    for (uint64_t at = 0; at < segments[i].p_filesz; at += step) offsets.push_back(segments[i].p_offset + at);
  }
  return offsets;
}

/// An ELF file that is mapped at address 0 with `code_bytes` of code, section 1 is all of it, and has these sections.
inline std::vector<char> elf_image(uint64_t code_bytes, const std::vector<std::pair<std::string, std::string>>& contents,
                                   const std::vector<Elf64_Sym>& symbols = {}) {
  std::string names("\0.text\0.symtab\0.shstrtab\0f\0", 27);
  std::string bytes(sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr), '\0');
  std::vector<Elf64_Shdr> sections{{}, {1, SHT_PROGBITS, 0, 0, 0, code_bytes, 0, 0, 1, 0}};
  const auto add = [&](uint32_t name, uint32_t type, std::string_view content, uint64_t entry_bytes) {
    sections.push_back({name, type, 0, 0, bytes.size(), content.size(), 3, 0, 1, entry_bytes});
    bytes += content;
  };
  bytes.resize((bytes.size() + 7) & ~size_t{7});
  add(7, SHT_SYMTAB, {reinterpret_cast<const char*>(symbols.data()), symbols.size() * sizeof(Elf64_Sym)}, sizeof(Elf64_Sym));
  std::vector<uint32_t> places;
  for (const auto& [name, content] : contents) {
    places.push_back(static_cast<uint32_t>(names.size()));
    names += name + '\0';
  }
  add(15, SHT_STRTAB, names, 0);
  for (size_t i = 0; i < contents.size(); ++i) add(places[i], SHT_PROGBITS, contents[i].second, 0);
  bytes.resize((bytes.size() + 7) & ~size_t{7});

  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_DYN;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof header;
  header.e_shoff = bytes.size();
  header.e_ehsize = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = static_cast<Elf64_Half>(sections.size());
  header.e_shstrndx = 3;
  const Elf64_Phdr code{PT_LOAD, PF_R | PF_X, 0, 0, 0, code_bytes, code_bytes, 4096};
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, &code, sizeof code);
  bytes.append(reinterpret_cast<const char*>(sections.data()), sections.size() * sizeof(Elf64_Shdr));
  return {bytes.begin(), bytes.end()};
}
constexpr uint32_t kSymbolName = 25;  ///< "f", in the names of elf_image()

/// An address space in which a file is mapped, without any process.
class LoadedFile {
 public:
  explicit LoadedFile(const std::string& path) : image_(read_file(path)) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0);
    Mapping mapping;
    mapping.start = kStart;
    mapping.end = kStart + image_.size();
    mapping.file = {info.st_dev, info.st_ino};
    mapping.path = path;
    mapping.executable = true;
    space_ = {.pid = Tgid{0x7ffffff0}, .mappings = {mapping}};
  }
  [[nodiscard]] const AddressSpace& space() const { return space_; }
  /// All over its code.
  [[nodiscard]] std::vector<Addr> addresses() const {
    std::vector<Addr> result;
    for (const uint64_t offset : code_offsets(image_, 16)) result.push_back(Addr{kStart + offset});
    return result;
  }

 private:
  static constexpr uint64_t kStart = 1 << 20;
  std::vector<char> image_;
  AddressSpace space_;
};

}  // namespace alloctrail::test
