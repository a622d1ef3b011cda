// SPDX-License-Identifier: Apache-2.0
// The kernel side's unwinding step, compiled natively: its hooks read tables and memory that a test provides.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "alloctrail/unwind.h"

namespace alloctrail::test {

/// What the unwinder's hooks read: tables as the kernel side's maps hold them, and the memory of the walked thread.
struct Kernel {
  std::vector<at_unwind_row> rows;
  std::vector<at_unwind_block> blocks;
  std::vector<at_unwind_side> sides;
  std::map<uint64_t, uint64_t> replaced;  ///< return slot -> address a pending return probe replaced
  std::function<int(void*, size_t, uint64_t)> copy;
  size_t block_lookups = 0;
};
inline Kernel kernel;

inline const at_unwind_block* block_at(uint32_t index) {
  kernel.block_lookups++;
  return index < kernel.blocks.size() ? &kernel.blocks[index] : nullptr;
}
inline const at_unwind_row* chunk_at(uint32_t index) {
  const size_t first = size_t{index} * AT_UNWIND_CHUNK_ROWS;
  return first < kernel.rows.size() ? &kernel.rows[first] : nullptr;
}
inline const at_unwind_side* side_at(uint32_t index) {
  return index < kernel.sides.size() ? &kernel.sides[index] : nullptr;
}
inline uint64_t replaced_at(uint64_t slot) {
  const auto found = kernel.replaced.find(slot);
  return found == kernel.replaced.end() ? 0 : found->second;
}

}  // namespace alloctrail::test

#define AT_UNWIND_GLOBAL inline
#define AT_UNWIND_COPY(to, bytes, from) ::alloctrail::test::kernel.copy((to), (bytes), (from))
#define AT_UNWIND_BLOCK(index) ::alloctrail::test::block_at(index)
#define AT_UNWIND_CHUNK(index) ::alloctrail::test::chunk_at(index)
#define AT_UNWIND_SIDE_RULE(index) ::alloctrail::test::side_at(index)
#define AT_UNWIND_REPAIR(slot) ::alloctrail::test::replaced_at(slot)
#include "bpf/unwind_step.h"

namespace alloctrail::test {

using Frames = std::vector<uint64_t>;
inline constexpr uint64_t kTrampoline = 0x7fffffffe000;

struct Walk {
  Frames frames;
  uint32_t status = 0;
  at_stack_key hash{};
};

struct Walker {
  at_unwind_process process{};
  at_unwind_cache cache{};
  at_unwind_scratch scratch{};

  Walk walk(uint64_t pc, uint64_t sp, uint64_t bp, at_unwind_site site) {
    at_unwind_state state;
    at_unwind_start(&state, pc, sp, bp, site, at_stack_key{1, 2});
    for (int i = 0; i < AT_MAX_FRAMES; i++)
      if (at_unwind_step(&state, &scratch, &process, &cache)) break;
    return {Frames(scratch.frames, scratch.frames + state.frame_count), state.status, state.hash};
  }
};

}  // namespace alloctrail::test
