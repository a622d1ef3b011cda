// SPDX-License-Identifier: Apache-2.0
#include "user/oom/stack_unwinder.h"

#include <sys/auxv.h>

#include <cstring>

#include "alloctrail/unwind.h"
#include "alloctrail/unwind_lookup.h"
#include "user/elf/unwind_rows.h"

namespace alloctrail {

/// The tables of one address space as the kernel side's maps would hold them.
struct StackUnwinder::Tables {
  std::vector<at_unwind_row> rows;
  std::vector<at_unwind_block> blocks;
  std::vector<at_unwind_side> sides;
  std::unique_ptr<at_unwind_process> process;

  struct Placed {
    UnwindTable shape;  ///< without rows and blocks, which are in the pools
    uint32_t first_block = 0;
    uint32_t block_count = 0;
  };
  Placed place(UnwindTable table);
  at_unwind_mapping describe(const Mapping& mapping, const Placed* placed) const;
};

namespace {

/// What the step reads from: set for the duration of one walk.
struct Memory {
  std::span<const at_unwind_row> rows;
  std::span<const at_unwind_block> blocks;
  std::span<const at_unwind_side> sides;
  StackCopy stack;
};
thread_local const Memory* walked = nullptr;

int copy_stack(void* to, size_t bytes, uint64_t from) {
  const StackCopy& stack = walked->stack;
  const uint64_t offset = from - stack.sp;
  if (from < stack.sp || offset > stack.memory.size()) return -1;
  if (bytes > stack.memory.size() - offset) return -1;
  std::memcpy(to, stack.memory.data() + offset, bytes);
  return 0;
}

const at_unwind_block* block_at(uint32_t index) {
  return index < walked->blocks.size() ? &walked->blocks[index] : nullptr;
}

const at_unwind_row* chunk_at(uint32_t index) {
  const size_t first = size_t{index} * AT_UNWIND_CHUNK_ROWS;
  return first < walked->rows.size() ? &walked->rows[first] : nullptr;
}

const at_unwind_side* side_at(uint32_t index) {
  return index < walked->sides.size() ? &walked->sides[index] : nullptr;
}

#define AT_UNWIND_GLOBAL inline
#define AT_UNWIND_COPY(to, bytes, from) copy_stack((to), (bytes), (from))
#define AT_UNWIND_BLOCK(index) block_at(index)
#define AT_UNWIND_CHUNK(index) chunk_at(index)
#define AT_UNWIND_SIDE_RULE(index) side_at(index)
#define AT_UNWIND_REPAIR(slot) ((void)(slot), uint64_t{0})
#include "bpf/unwind_step.h"

Result<UnwindTable> compile(const Mapping& mapping, const StackUnwinder::OpenFile& open) {
  if (mapping.path == "[vdso]") {
    // The kernel gives every 64-bit process the same vdso.
    const auto* own = reinterpret_cast<const std::byte*>(getauxval(AT_SYSINFO_EHDR));
    return compile_unwind_table(std::span(own, own == nullptr ? 0 : mapping.end - mapping.start), mapping.path);
  }
  auto fd = open(mapping);
  if (!fd) return std::move(fd).error();
  return compile_unwind_table(fd->get(), mapping.path);
}

}  // namespace

StackUnwinder::Tables::Placed StackUnwinder::Tables::place(UnwindTable table) {
  std::vector<uint32_t> side_indices;
  for (const at_unwind_side& side : table.sides) {
    side_indices.push_back(static_cast<uint32_t>(sides.size()));
    sides.push_back(side);
  }
  PlacedUnwindTable placed = place_unwind_table(table, static_cast<uint32_t>(rows.size()), side_indices);
  Placed result{.shape = {},
                .first_block = static_cast<uint32_t>(blocks.size()),
                .block_count = static_cast<uint32_t>(placed.blocks.size())};
  rows.insert(rows.end(), placed.rows.begin(), placed.rows.end());
  blocks.insert(blocks.end(), placed.blocks.begin(), placed.blocks.end());
  table.rows.clear();
  table.blocks.clear();
  result.shape = std::move(table);
  return result;
}

at_unwind_mapping StackUnwinder::Tables::describe(const Mapping& mapping, const Placed* placed) const {
  at_unwind_mapping result{};
  result.start = mapping.start;
  result.end = mapping.end;
  if (placed == nullptr) return result;
  const auto bias = mapping_bias(placed->shape, mapping.start, mapping.file_offset);
  if (!bias) return result;
  result.bias = *bias;
  result.first_block = placed->first_block;
  result.block_count = placed->block_count;
  return result;
}

StackUnwinder::StackUnwinder(const std::vector<Mapping>& mappings, const OpenFile& open)
    : tables_(std::make_unique<Tables>()) {
  tables_->process = std::make_unique<at_unwind_process>();
  at_unwind_process& process = *tables_->process;
  process.generation = 1;
  std::map<FileKey, Tables::Placed> files;
  for (const Mapping& mapping : mappings) {
    if (!mapping.executable || mapping.path == "[uprobes]" || mapping.path == "[vsyscall]") continue;
    if (process.mapping_count == AT_UNWIND_MAX_MAPPINGS) break;
    const auto known = files.find(mapping.file);
    const Tables::Placed* placed = known == files.end() ? nullptr : &known->second;
    if (placed == nullptr)
      if (auto table = compile(mapping, open))
        placed = &files.insert_or_assign(mapping.file, tables_->place(*std::move(table))).first->second;
    process.mappings[process.mapping_count++] = tables_->describe(mapping, placed);
  }
  // Chunks are read whole.
  tables_->rows.resize((tables_->rows.size() + AT_UNWIND_CHUNK_ROWS - 1) / AT_UNWIND_CHUNK_ROWS * AT_UNWIND_CHUNK_ROWS);
}

StackUnwinder::~StackUnwinder() = default;

UnwoundStack StackUnwinder::walk(const StackCopy& stack) {
  const Memory memory{.rows = tables_->rows, .blocks = tables_->blocks, .sides = tables_->sides, .stack = stack};
  walked = &memory;
  at_unwind_state state;
  at_unwind_start(&state, stack.ip, stack.sp, stack.bp, AT_UNWIND_EXACT, at_stack_key{});
  const auto scratch = std::make_unique<at_unwind_scratch>();
  const auto cache = std::make_unique<at_unwind_cache>();
  for (int i = 0; i < AT_MAX_FRAMES; ++i)
    if (at_unwind_step(&state, scratch.get(), tables_->process.get(), cache.get()) != 0) break;
  walked = nullptr;
  UnwoundStack result{.addresses = {}, .status = static_cast<at_stack_status>(state.status)};
  for (uint32_t i = 0; i < state.frame_count; ++i) result.addresses.push_back(Addr(scratch->frames[i]));
  return result;
}

}  // namespace alloctrail
