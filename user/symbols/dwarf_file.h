// SPDX-License-Identifier: Apache-2.0
// libdw's handle on one file's DWARF: opened, closed and opened again as memory allows; offsets stay valid.
#pragma once

#include <elfutils/libdw.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "user/symbols/debug_files.h"
#include "user/symbols/elf_image.h"
#include "user/symbols/line_header.h"

namespace alloctrail {

class DwarfFile {
 public:
  /// Of packed sections at most `max_unpacked_bytes` are unpacked at a time. `file` must outlive this.
  DwarfFile(const MappedFile& file, uint64_t max_unpacked_bytes, DebugFileSource& source)
      : file_(file), max_unpacked_bytes_(max_unpacked_bytes), source_(source) {}

  /// libdw's handle, opened if need be; null if there is no DWARF in the file, or too much: then there is a problem().
  [[nodiscard]] Dwarf* handle();
  /// A sentence for the user, or nothing.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] bool is_open() const { return elf_.has_value(); }
  /// Frees what libdw has parsed; the sections stay read.
  void forget_parsed();
  void close();

  /// The text libdw returned as a string. libdw 0.188 does not always look whether it ends inside of its section; empty
  /// if it does not.
  [[nodiscard]] std::string_view checked(const char* text) const;
  /// The sections of line programs. The file must be open.
  [[nodiscard]] const LineSections& line_sections() const { return lines_; }
  /// Memory that unpacked sections take while open; others take none.
  [[nodiscard]] uint64_t bytes() const { return is_open() ? bytes_ : 0; }

 private:
  struct End {
    void operator()(Dwarf* dwarf) const { dwarf_end(dwarf); }
  };
  using Handle = std::unique_ptr<Dwarf, End>;

  void attach_supplementary();
  void remember_strings(const ElfImage& elf);

  [[nodiscard]] std::optional<uint64_t> bytes_to_unpack(const ElfImage& file);

  const MappedFile& file_;
  uint64_t max_unpacked_bytes_;
  DebugFileSource& source_;
  bool looked_for_supplementary_ = false;
  std::optional<MappedFile> supplementary_file_;
  std::string problem_;
  uint64_t bytes_ = 0;
  bool is_unusable_ = false;
  LineSections lines_;
  std::vector<std::string_view> strings_;  ///< the sections that strings are in
  // Destroyed from the last to the first: what libdw reads goes after libdw's handles.
  std::optional<ElfImage> elf_;
  std::optional<ElfImage> supplementary_elf_;
  Handle supplementary_;
  Handle main_;
};

}  // namespace alloctrail
