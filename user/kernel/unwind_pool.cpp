// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/unwind_pool.h"

#include <bpf/bpf.h>
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace alloctrail {
namespace {

Error map_error(const char* what) {
  return Error{.message = fmt::format("{}: {}", what, std::strerror(errno)), .hint = "", .os_error = errno};
}

}  // namespace

Result<UnwindPool> UnwindPool::open(const UnwindMaps& maps) {
  auto blocks = ArrayView<at_unwind_block>::map(maps.blocks, AT_UNWIND_MAX_BLOCKS, "unwind_blocks");
  if (!blocks) return std::move(blocks).error();
  UnwindPool pool;
  pool.maps_ = maps;
  pool.blocks_ = *std::move(blocks);
  return pool;
}

Status UnwindPool::add_chunk() {
  bpf_map_create_opts options{};
  options.sz = sizeof(options);
  options.map_flags = BPF_F_MMAPABLE;
  UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "at_unwind_rows", sizeof(uint32_t),
                              AT_UNWIND_CHUNK_ROWS * sizeof(at_unwind_row), 1, &options));
  if (!map) return map_error("making room for unwind tables");
  auto rows = ArrayView<at_unwind_row>::map(map.get(), AT_UNWIND_CHUNK_ROWS, "at_unwind_rows");
  if (!rows) return std::move(rows).error();
  const auto index = static_cast<uint32_t>(chunks_.size());
  const int fd = map.get();
  if (bpf_map_update_elem(maps_.rows, &index, &fd, BPF_ANY) != 0) return map_error("adding room for unwind tables");
  chunks_.push_back({.map = std::move(map), .rows = *std::move(rows)});
  return ok();
}

Status UnwindPool::store_rows(std::span<const at_unwind_row> rows) {
  for (const at_unwind_row& row : rows) {
    if (next_row_ / AT_UNWIND_CHUNK_ROWS == chunks_.size())
      if (auto added = add_chunk(); !added) return added;
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

Status UnwindPool::publish(Slot slot, std::span<const at_unwind_mapping> mappings) {
  const auto process = std::make_unique<at_unwind_process>();
  process->generation = ++generation_;
  process->mapping_count = static_cast<uint32_t>(std::min<size_t>(mappings.size(), AT_UNWIND_MAX_MAPPINGS));
  std::copy_n(mappings.begin(), process->mapping_count, process->mappings);
  const UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "at_unwind_maps", sizeof(uint32_t), sizeof(at_unwind_process), 1, nullptr));
  if (!map) return map_error("making a list of mappings");
  const uint32_t zero = 0;
  const uint32_t index = raw(slot);
  const int fd = map.get();
  if (bpf_map_update_elem(fd, &zero, process.get(), BPF_ANY) != 0) return map_error("writing a list of mappings");
  if (bpf_map_update_elem(maps_.processes, &index, &fd, BPF_ANY) != 0) return map_error("publishing a list of mappings");
  return ok();
}

}  // namespace alloctrail
