// SPDX-License-Identifier: Apache-2.0
// Compiles the call frame information of one ELF image into the unwind tables the kernel side walks stacks with.
// On the line: ELF file -> unwind_image -> cfi_reader -> cfi_program -> unwind_rule -> rows; kernel/ loads them.
// Own parser because elfutils' takes 3 to 10 times as long and would be exposed to the same hostile files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "alloctrail/unwind.h"
#include "user/elf/unwind_image.h"
#include "user/result.h"

namespace alloctrail {

/// How much of a file's frame information made it into the table.
struct UnwindStats {
  uint64_t functions = 0;         ///< entries read
  uint64_t broken = 0;            ///< entries that made no sense, lay outside the code, or were cut short
  uint64_t unsupported_rows = 0;  ///< rows of type AT_UNWIND_UNSUPPORTED
  bool truncated = false;         ///< a limit was met: addresses from some point on have no rule
};

/// Unwind table of one image, independent of where it is loaded. An image without frame information has one row that
/// says so. Offsets in rows count from image_base_vaddr, the page where its first executable segment begins.
struct UnwindTable {
  uint64_t image_base_vaddr = 0;
  std::vector<ImageSegment> segments;   ///< executable ones only
  std::vector<at_unwind_row> rows;      ///< ascending pc, the first at 0; neighbours differ in their rule
  std::vector<at_unwind_block> blocks;  ///< from offset 0; offsets beyond the last block have no rule
  std::vector<at_unwind_side> sides;
  UnwindStats stats;
  /// False if more of the file went into it than its segments and .eh_frame.
  bool from_frames_alone = true;
};

inline constexpr size_t kMaxUnwindRows = 4'000'000;
/// Code further than this from the image's base is left out: x86-64 code and its calls span at most 2 GiB.
inline constexpr uint64_t kMaxUnwindImageBytes = 1ull << 31;

/// Compiles an open file, which is read by pread only. Time and memory are bounded by its size and the limits above,
/// whatever it holds. Errors: not a regular file, not an x86-64 ELF file. `name` is for messages.
[[nodiscard]] Result<UnwindTable> compile_unwind_table(int fd, std::string_view name);
/// The same in two steps, of which read_unwind_image() is the first.
[[nodiscard]] UnwindTable compile_unwind_table(const ImageReader& reader, const UnwindImage& image);
/// The same for an image in memory, such as the vdso.
[[nodiscard]] Result<UnwindTable> compile_unwind_table(std::span<const std::byte> image, std::string_view name);

/// UnwindTable::blocks of these rows.
[[nodiscard]] std::vector<at_unwind_block> unwind_blocks(const std::vector<at_unwind_row>& rows);

/// The rule in force at an address of the image; AT_UNWIND_INVALID where there is none.
[[nodiscard]] uint32_t rule_at(const UnwindTable& table, uint64_t vaddr);

/// at_unwind_mapping::bias for a mapping of the image's file: address - bias is an offset in the table's rows.
/// Nothing if the table's segments do not cover the mapped part.
[[nodiscard]] std::optional<uint64_t> mapping_bias(const UnwindTable& table, uint64_t start, uint64_t file_offset);

/// A table's rows and blocks as they go into the pools all tables share.
struct PlacedUnwindTable {
  std::vector<at_unwind_row> rows;      ///< to be stored from the asked row on; may begin with padding
  std::vector<at_unwind_block> blocks;  ///< their `row` counts from the pool's beginning
};

/// Places a table at row `first_row` of the pool, whose chunks no block may straddle. `side_indices[i]` is where the
/// table's side rule i lies in the shared side table.
[[nodiscard]] PlacedUnwindTable place_unwind_table(const UnwindTable& table, uint32_t first_row,
                                                   std::span<const uint32_t> side_indices);

}  // namespace alloctrail
