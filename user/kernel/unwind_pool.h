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
  int currents = -1;
};

class UnwindPool {
 public:
  UnwindPool() = default;
  static Result<UnwindPool> open(const UnwindMaps& maps);

  /// Adds a file's table. A full pool is not an error: the file then has no rules, and its frames are guessed.
  [[nodiscard]] Result<PooledUnwindTable> add(const UnwindTable& table);
  /// Makes `mappings` (by ascending start) what walks of this slot see from now on; running walks keep what they have.
  /// Takes no time to speak of, except every few times, when it waits for walks that may still see an old state.
  /// `loads` is what loads() said before the mappings were read.
  [[nodiscard]] Status publish(Slot slot, std::span<const at_unwind_mapping> mappings, uint32_t loads);
  /// How often the slot's loader has announced changes.
  [[nodiscard]] uint32_t loads(Slot slot) const { return currents_[raw(slot)].loads; }
  /// To be called when no walk of this slot begins any more.
  void forget(Slot slot);

 private:
  static constexpr uint32_t kChunksAtATime = 4;  // 2 MiB
  static constexpr uint32_t kChunksAhead = 2;

  struct Chunk {
    UniqueFd map;
    ArrayView<at_unwind_row> rows;
  };

  /// The versions of one slot's mappings.
  struct Process {
    UniqueFd map;
    std::vector<at_unwind_mapping> published;
    uint32_t version = 0;
    uint32_t safe_versions = AT_UNWIND_VERSIONS - 1;  ///< others that no walk can be using
  };

  [[nodiscard]] Status open_process(Slot slot, Process& process);
  [[nodiscard]] Result<std::vector<uint32_t>> add_sides(const std::vector<at_unwind_side>& sides);
  [[nodiscard]] Status store_rows(std::span<const at_unwind_row> rows);
  [[nodiscard]] static Result<Chunk> make_chunk();
  [[nodiscard]] Status add_chunks();
  /// Makes room before it is needed: the next tables belong to a library whose constructors are about to run.
  void make_room_ahead();

  UnwindMaps maps_;
  ArrayView<at_unwind_block> blocks_;
  ArrayView<at_unwind_current> currents_;
  std::vector<Chunk> chunks_;
  std::map<Slot, Process> processes_;
  uint32_t next_row_ = 0;
  uint32_t next_block_ = 0;
  uint32_t next_side_ = 0;
  uint32_t generation_ = 0;
};

}  // namespace alloctrail
