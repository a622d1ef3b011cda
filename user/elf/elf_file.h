// SPDX-License-Identifier: Apache-2.0
// CodeFile: one x86-64 ELF file as probe planning sees it: functions, imports, code bytes, addresses and file offsets.
// The file is whatever a target has mapped: every size and offset in it is checked, nothing in it is believed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "user/result.h"

struct Elf;  // libelf's handle

namespace alloctrail {

/// A function symbol that the file defines.
struct ElfFunction {
  std::string_view name;  ///< without a version
  uint64_t address = 0;   ///< as the file numbers addresses, before it is loaded anywhere
  uint64_t size = 0;      ///< 0: the symbol does not say
  bool local = false;     ///< not visible outside the file
};

class CodeFile {
 public:
  /// Reads the headers. `fd` is read with pread alone and must stay open as long as the object; `name` is for messages.
  [[nodiscard]] static Result<CodeFile> open(int fd, std::string name);
  ~CodeFile();
  CodeFile(CodeFile&&) noexcept;
  CodeFile& operator=(CodeFile&&) noexcept;

  [[nodiscard]] const std::string& soname() const { return soname_; }            ///< empty: none
  [[nodiscard]] const std::string& interpreter() const { return interpreter_; }  ///< empty: none
  [[nodiscard]] const std::string& build_id() const { return build_id_; }        ///< hexadecimal; empty: none
  /// Whether it is glibc's dynamic loader, which has a small malloc for its own use only.
  [[nodiscard]] bool is_glibc_loader() const;

  /// Calls `visit` for every function in .dynsym and .symtab; one that is in both comes twice.
  void each_function(const std::function<void(const ElfFunction&)>& visit) const;

  /// File offset of an address, or nothing if the file holds no byte for it; and the reverse.
  [[nodiscard]] std::optional<uint64_t> file_offset(uint64_t address) const;
  [[nodiscard]] std::optional<uint64_t> address_of(uint64_t file_offset) const;

  /// Up to `max_bytes` bytes of code from `address` on; fewer at the end of the segment, none outside executable ones.
  [[nodiscard]] std::vector<uint8_t> read_code(uint64_t address, size_t max_bytes) const;

  /// Name of the function whose address the loader writes to the pointer at `slot`; empty if it is none.
  [[nodiscard]] std::string_view imported_function(uint64_t slot) const;
  [[nodiscard]] bool imports(std::string_view name) const;

 private:
  struct Segment {
    uint64_t address = 0;
    uint64_t file_offset = 0;
    uint64_t file_bytes = 0;
    bool executable = false;
  };
  struct Import {
    uint64_t slot = 0;
    std::string name;
  };
  struct CloseElf {
    void operator()(Elf* elf) const;
  };

  CodeFile() = default;
  [[nodiscard]] Status read_headers();
  [[nodiscard]] Status read_segments();
  void read_notes(uint64_t offset, uint64_t bytes);
  void read_sections();
  void read_dynamic(void* section);
  void read_relocations(void* section);
  void visit_symbols(void* section, const std::function<void(const ElfFunction&)>& visit) const;
  [[nodiscard]] std::vector<uint8_t> read_file(uint64_t offset, size_t bytes) const;
  [[nodiscard]] Error bad(std::string_view why) const;

  int fd_ = -1;
  std::string name_;
  uint64_t file_bytes_ = 0;
  std::unique_ptr<Elf, CloseElf> elf_;
  std::vector<Segment> segments_;
  std::vector<Import> imports_;             // by slot
  std::vector<std::string_view> imported_;  // names of imports_, sorted
  std::string soname_, interpreter_, build_id_;
};

}  // namespace alloctrail
