// SPDX-License-Identifier: Apache-2.0
// libdw's handle on one file's DWARF: opened, closed and opened again as memory allows; offsets stay valid.
#pragma once

#include <elfutils/libdw.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "user/symbols/debug_files.h"
#include "user/symbols/elf_image.h"

namespace alloctrail {

class DwarfFile {
 public:
  explicit DwarfFile(DebugFile source) : source_(std::move(source)) {}

  /// libdw's handle, opened if need be; null if there is no DWARF in the file, or more than 2 GiB.
  [[nodiscard]] Dwarf* handle();
  [[nodiscard]] bool is_open() const { return elf_.has_value(); }
  /// Frees what libdw has parsed; the sections stay read.
  void forget_parsed();
  void close();

  /// The text libdw returned as a string. libdw 0.188 does not always look whether it ends inside of its section; empty
  /// if it does not.
  [[nodiscard]] std::string_view checked(const char* text) const;
  /// Length in bytes of the line program at `offset` of .debug_line; nothing if it is broken. The file must be open.
  [[nodiscard]] std::optional<uint64_t> line_program_bytes(uint64_t offset) const;
  /// Memory of this process that the sections take while open; mapped ones take none.
  [[nodiscard]] uint64_t bytes() const { return is_open() ? bytes_ : 0; }

 private:
  struct End {
    void operator()(Dwarf* dwarf) const { dwarf_end(dwarf); }
  };
  using Handle = std::unique_ptr<Dwarf, End>;

  void attach_supplementary();
  void remember_strings(const ElfImage& elf);

  DebugFile source_;
  std::optional<DebugFile> supplementary_source_;
  uint64_t bytes_ = 0;
  bool is_unusable_ = false;
  std::string_view lines_;
  std::vector<std::string_view> strings_;  ///< the sections that strings are in
  // Destroyed from the last to the first: what libdw reads goes after libdw's handles.
  std::optional<ElfImage> elf_;
  std::optional<ElfImage> supplementary_elf_;
  Handle supplementary_;
  Handle main_;
};

}  // namespace alloctrail
