// SPDX-License-Identifier: Apache-2.0
// What stands before a DWARF line program: the files it speaks of, and how its instructions count (DWARF 2 to 5, §6.2.4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace alloctrail {

/// The sections that line programs are in and take strings from; empty if a file has none.
struct LineSections {
  std::span<const std::byte> lines;
  std::span<const std::byte> strings;
  std::span<const std::byte> line_strings;
};

struct LineHeader {
  uint8_t address_bytes = 8;
  uint8_t smallest_instruction_bytes = 1;
  int8_t line_base = 0;
  uint8_t line_range = 1;       ///< never 0
  uint8_t first_special = 1;    ///< opcodes from here on are special ones; never 0
  std::array<uint8_t, 256> operands{};  ///< of the standard opcodes
  std::vector<std::string> files;       ///< full paths, as the program numbers them; may hold empty ones
  std::span<const std::byte> program;
};

/// The header of the line program at `offset`; nothing if it makes no sense. `directory` is the unit's own.
[[nodiscard]] std::optional<LineHeader> read_line_header(const LineSections& sections, uint64_t offset,
                                                         std::string_view directory);

}  // namespace alloctrail
