// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/unwind_pool.h"

#include <bpf/bpf.h>
#include <fmt/core.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "alloctrail/probe.h"

namespace alloctrail {
namespace {

Error map_error(const char* what) {
  return Error{.message = fmt::format("{}: {}", what, std::strerror(errno)), .hint = "", .os_error = errno};
}

}  // namespace

Result<UnwindPool> UnwindPool::open(const UnwindMaps& maps) {
  auto blocks = ArrayView<at_unwind_block>::map(maps.blocks, AT_UNWIND_MAX_BLOCKS, "unwind_blocks");
  if (!blocks) return std::move(blocks).error();
  auto currents = ArrayView<at_unwind_current>::map(maps.currents, AT_MAX_SLOTS, "unwind_currents");
  if (!currents) return std::move(currents).error();
  UnwindPool pool;
  pool.maps_ = maps;
  pool.blocks_ = *std::move(blocks);
  pool.currents_ = *std::move(currents);
  return pool;
}

Result<UnwindPool::Chunk> UnwindPool::make_chunk() {
  bpf_map_create_opts options{};
  options.sz = sizeof(options);
  options.map_flags = BPF_F_MMAPABLE;
  UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "at_unwind_rows", sizeof(uint32_t),
                              AT_UNWIND_CHUNK_ROWS * sizeof(at_unwind_row), 1, &options));
  if (!map) return map_error("making room for unwind tables");
  auto rows = ArrayView<at_unwind_row>::map(map.get(), AT_UNWIND_CHUNK_ROWS, "at_unwind_rows");
  if (!rows) return std::move(rows).error();
  return Chunk{.map = std::move(map), .rows = *std::move(rows)};
}

/// The kernel waits for a grace period whenever it is given inner maps, so it is given several at a time.
Status UnwindPool::add_chunks() {
  std::vector<Chunk> added;
  std::vector<uint32_t> indices;
  std::vector<int> maps;
  for (uint32_t i = 0; i < kChunksAtATime && chunks_.size() + i < AT_UNWIND_MAX_CHUNKS; ++i) {
    auto chunk = make_chunk();
    if (!chunk) return std::move(chunk).error();
    indices.push_back(static_cast<uint32_t>(chunks_.size()) + i);
    maps.push_back(chunk->map.get());
    added.push_back(*std::move(chunk));
  }
  auto count = static_cast<uint32_t>(added.size());
  if (bpf_map_update_batch(maps_.rows, indices.data(), maps.data(), &count, nullptr) != 0) {
    // Older kernels take them one by one.
    for (size_t i = 0; i < added.size(); ++i)
      if (bpf_map_update_elem(maps_.rows, &indices[i], &maps[i], BPF_ANY) != 0)
        return map_error("adding room for unwind tables");
  }
  for (Chunk& chunk : added) chunks_.push_back(std::move(chunk));
  return ok();
}

void UnwindPool::make_room_ahead() {
  const size_t used = (next_row_ + AT_UNWIND_CHUNK_ROWS - 1) / AT_UNWIND_CHUNK_ROWS;
  const bool has_room = chunks_.size() >= used + kChunksAhead || chunks_.size() == AT_UNWIND_MAX_CHUNKS;
  if (!has_room) (void)add_chunks();  // else when it is needed
}

Status UnwindPool::store_rows(std::span<const at_unwind_row> rows) {
  for (const at_unwind_row& row : rows) {
    if (next_row_ / AT_UNWIND_CHUNK_ROWS == chunks_.size())
      if (auto added = add_chunks(); !added) return added;
    volatile at_unwind_row& place = chunks_[next_row_ / AT_UNWIND_CHUNK_ROWS].rows[next_row_ % AT_UNWIND_CHUNK_ROWS];
    place.pc = row.pc;
    place.rule = row.rule;
    ++next_row_;
  }
  return ok();
}

Result<std::vector<uint32_t>> UnwindPool::add_sides(const std::vector<at_unwind_side>& sides) {
  std::vector<uint32_t> indices;
  for (const at_unwind_side& side : sides) {
    if (bpf_map_update_elem(maps_.sides, &next_side_, &side, BPF_ANY) != 0) return map_error("storing an unwind rule");
    indices.push_back(next_side_++);
  }
  return indices;
}

Result<PooledUnwindTable> UnwindPool::add(const UnwindTable& table) {
  const bool fits = next_side_ + table.sides.size() <= AT_UNWIND_MAX_SIDES &&
                    next_block_ + table.blocks.size() <= AT_UNWIND_MAX_BLOCKS &&
                    next_row_ + table.rows.size() + AT_UNWIND_CHUNK_ROWS <=
                        size_t{AT_UNWIND_MAX_CHUNKS} * AT_UNWIND_CHUNK_ROWS;
  if (!fits) return PooledUnwindTable{};
  auto sides = add_sides(table.sides);
  if (!sides) return std::move(sides).error();
  const PlacedUnwindTable placed = place_unwind_table(table, next_row_, *sides);
  if (auto stored = store_rows(placed.rows); !stored) return std::move(stored).error();
  const PooledUnwindTable result{.first_block = next_block_, .block_count = static_cast<uint32_t>(placed.blocks.size())};
  for (const at_unwind_block& block : placed.blocks) {
    volatile at_unwind_block& place = blocks_[next_block_++];
    place.row = block.row;
    place.count = block.count;
  }
  return result;
}

/// The slot's map becomes visible to walks here, so it must hold a state already.
Status UnwindPool::open_process(Slot slot, Process& process) {
  const uint32_t index = raw(slot);
  const int fd = process.map.get();
  if (bpf_map_update_elem(maps_.processes, &index, &fd, BPF_ANY) == 0) return ok();
  return map_error("publishing a list of mappings");
}

Status UnwindPool::publish(Slot slot, std::span<const at_unwind_mapping> mappings, uint32_t loads) {
  volatile at_unwind_current& current = currents_[raw(slot)];
  Process& process = processes_[slot];
  const bool is_new = !process.map;
  const bool unchanged = std::ranges::equal(mappings, process.published, [](const auto& a, const auto& b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
  });
  if (!is_new && unchanged) {
    __atomic_store_n(&current.settled_loads, loads, __ATOMIC_RELEASE);
    return ok();
  }
  if (is_new)
    process.map.reset(bpf_map_create(BPF_MAP_TYPE_ARRAY, "at_unwind_maps", sizeof(uint32_t), sizeof(at_unwind_process),
                                     AT_UNWIND_VERSIONS, nullptr));
  if (!process.map) return map_error("making a list of mappings");
  if (process.safe_versions == 0) {
    // A walk holds on to its version inside an RCU read-side section, and this waits for all of them.
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0) return map_error("waiting for walks of stacks");
    process.safe_versions = AT_UNWIND_VERSIONS - 1;
  }
  const auto state = std::make_unique<at_unwind_process>();
  state->generation = generation_ += 2;
  state->mapping_count = static_cast<uint32_t>(std::min<size_t>(mappings.size(), AT_UNWIND_MAX_MAPPINGS));
  std::copy_n(mappings.begin(), state->mapping_count, state->mappings);
  const uint32_t next = (process.version + 1) % AT_UNWIND_VERSIONS;
  if (bpf_map_update_elem(process.map.get(), &next, state.get(), BPF_ANY) != 0)
    return map_error("writing a list of mappings");
  __atomic_store_n(&current.version, next, __ATOMIC_RELEASE);
  __atomic_store_n(&current.settled_loads, loads, __ATOMIC_RELEASE);
  process.version = next;
  process.safe_versions--;
  process.published.assign(mappings.begin(), mappings.end());
  const Status visible = is_new ? open_process(slot, process) : ok();
  make_room_ahead();
  return visible;
}

void UnwindPool::forget(Slot slot) {
  const uint32_t index = raw(slot);
  if (processes_.erase(slot) != 0) bpf_map_delete_elem(maps_.processes, &index);
}

}  // namespace alloctrail
