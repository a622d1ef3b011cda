// SPDX-License-Identifier: Apache-2.0
// The kernel's unwind tables: one pool of rows and blocks for all files, one list of mappings for each traced image.
// Private to kernel/; written before the kernel half can see it, never changed after.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "alloctrail/unwind.h"
#include "user/elf/unwind_rows.h"
#include "user/handles.h"
#include "user/ids.h"
#include "user/kernel/map_view.h"
#include "user/result.h"

namespace alloctrail {

/// Where a file's blocks lie in the pool.
struct PooledUnwindTable {
  uint32_t first_block = 0;
  uint32_t block_count = 0;  ///< 0: no room was left, or the file has no unwind information
};

/// Descriptors of the maps it fills.
struct UnwindMaps {
  int rows = -1;
  int blocks = -1;
  int sides = -1;
  int processes = -1;
};

class UnwindPool {
 public:
  UnwindPool() = default;
  static Result<UnwindPool> open(const UnwindMaps& maps);

  /// Adds a file's table. A full pool is not an error: the file then has no rules, and its frames are guessed.
  [[nodiscard]] Result<PooledUnwindTable> add(const UnwindTable& table);
  /// Makes `mappings` (by ascending start) what walks of this slot see from now on; running walks keep what they have.
  [[nodiscard]] Status publish(Slot slot, std::span<const at_unwind_mapping> mappings);

 private:
  struct Chunk {
    UniqueFd map;
    ArrayView<at_unwind_row> rows;
  };

  [[nodiscard]] Result<std::vector<uint32_t>> add_sides(const std::vector<at_unwind_side>& sides);
  [[nodiscard]] Status store_rows(std::span<const at_unwind_row> rows);
  [[nodiscard]] Status add_chunk();

  UnwindMaps maps_;
  ArrayView<at_unwind_block> blocks_;
  std::vector<Chunk> chunks_;
  uint32_t next_row_ = 0;
  uint32_t next_block_ = 0;
  uint32_t next_side_ = 0;
  uint32_t generation_ = 0;
};

}  // namespace alloctrail
