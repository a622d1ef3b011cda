/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The unwind tables as maps, and a walk over them. One frame is unwound by unwind_step.h, which is pure logic; this gives
 * it its memory. */
#ifndef ALLOCTRAIL_BPF_UNWIND_H
#define ALLOCTRAIL_BPF_UNWIND_H

#include "alloctrail/unwind.h"
#include "bpf/maps.h"

/* Rows of all files in one pool of chunks, made as they are needed. */
struct unwind_chunk {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, AT_UNWIND_CHUNK_ROWS * sizeof(struct at_unwind_row));
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, AT_UNWIND_MAX_CHUNKS);
  __uint(key_size, sizeof(__u32));
  __array(values, struct unwind_chunk);
} unwind_rows SEC(".maps");

/* Where in the rows to search, for each 512 bytes of code of each file. Full: the files left have no rules. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, AT_UNWIND_MAX_BLOCKS);
  __type(key, __u32);
  __type(value, struct at_unwind_block);
} unwind_blocks SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, AT_UNWIND_MAX_SIDES);
  __type(key, __u32);
  __type(value, struct at_unwind_side);
} unwind_sides SEC(".maps");

/* Slot -> what that process has mapped, in versions: a new state is written to the one that is used no more, so a running
 * walk keeps the one it began with. */
struct unwind_process_map {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, AT_UNWIND_VERSIONS);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(struct at_unwind_process));
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, AT_MAX_SLOTS);
  __uint(key_size, sizeof(__u32));
  __array(values, struct unwind_process_map);
} unwind_processes SEC(".maps");

/* Slot -> which version holds, and whether it is up to date. Memory-mapped: exchanging an inner map instead would take a grace period, in which more
 * libraries are loaded. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, AT_MAX_SLOTS);
  __type(key, __u32);
  __type(value, struct at_unwind_current);
} unwind_currents SEC(".maps");

/* The return address that a pending return probe has replaced at `slot`, or 0. Such probes are listed newest first, at
 * ascending addresses. */
static __noinline __u64 replaced_return_address(__u64 slot)
{
  struct uprobe_task *utask = bpf_get_current_task_btf()->utask;
  struct return_instance *instance = utask ? utask->return_instances : NULL;

  for (int i = 0; i < 64 && instance; i++) {
    if (instance->stack == slot) return instance->orig_ret_vaddr;
    if (instance->stack > slot) return 0;
    instance = instance->next;
  }
  return 0;
}

static __always_inline const struct at_unwind_block *unwind_block(__u32 index)
{
  return bpf_map_lookup_elem(&unwind_blocks, &index);
}

static __always_inline const struct at_unwind_row *unwind_chunk_rows(__u32 index)
{
  __u32 zero = 0;
  void *chunk = bpf_map_lookup_elem(&unwind_rows, &index);

  return chunk ? bpf_map_lookup_elem(chunk, &zero) : NULL;
}

static __always_inline const struct at_unwind_side *unwind_side(__u32 index)
{
  return bpf_map_lookup_elem(&unwind_sides, &index);
}

/* The loader has changed, or is about to change, what is mapped. */
static __always_inline void note_load(__u32 slot)
{
  struct at_unwind_current *current = bpf_map_lookup_elem(&unwind_currents, &slot);

  if (current) (void)__sync_fetch_and_add(&current->loads, 1);
}

/* The slot's mappings; `changing` tells whether the loader has been at work since they were read. */
static __always_inline const struct at_unwind_process *unwind_process(__u32 slot, __u32 *changing)
{
  void *versions = bpf_map_lookup_elem(&unwind_processes, &slot);
  volatile struct at_unwind_current *current = bpf_map_lookup_elem(&unwind_currents, &slot);
  __u32 index;

  if (!versions || !current) return NULL;
  *changing = current->settled_loads != current->loads;
  index = current->version; /* after the other two: user space writes it before them */
  return bpf_map_lookup_elem(versions, &index);
}

#define AT_UNWIND_GLOBAL __noinline
#define AT_UNWIND_COPY(to, bytes, from) bpf_probe_read_user((to), (bytes), (const void *)(from))
#define AT_UNWIND_BLOCK(index) unwind_block(index)
#define AT_UNWIND_CHUNK(index) unwind_chunk_rows(index)
#define AT_UNWIND_SIDE_RULE(index) unwind_side(index)
#define AT_UNWIND_REPAIR(slot) replaced_return_address(slot)
#include "bpf/unwind_step.h"

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct at_unwind_cache);
} unwind_caches SEC(".maps");

/* What a walk found; the frames themselves are in its scratch memory, innermost first. */
struct walked_stack {
  struct at_stack_key hash;
  __u32 frame_count;
  __u32 status; /* enum at_stack_status */
};

/* Where a walk begins. */
struct walk_start {
  __u64 pc;
  __u64 sp; /* at AT_UNWIND_ENTRY where the return address lies */
  __u64 bp;
  __u32 site; /* enum at_unwind_site */
  __u32 slot;
};

/* Walks a stack by the slot's tables; -1: it has none. */
static __noinline int walk_tables(struct walk_start *from, struct at_unwind_scratch *scratch, struct walked_stack *walked)
{
  __u32 changing = 0;
  const struct at_unwind_process *process = from ? unwind_process(from->slot, &changing) : NULL;
  struct at_unwind_state state;
  struct at_unwind_cache *cache;
  __u32 zero = 0;

  cache = bpf_map_lookup_elem(&unwind_caches, &zero);
  if (!cache || !process || !from || !scratch || !walked) return -1;
  at_unwind_start(&state, from->pc, from->sp, from->bp, (enum at_unwind_site)from->site, walked->hash);
  state.changing = changing;
  for (int i = 0; i < AT_MAX_FRAMES; i++)
    if (at_unwind_step(&state, scratch, process, cache)) break;
  walked->hash = state.hash;
  walked->frame_count = state.frame_count;
  walked->status = state.status;
  return 0;
}

#endif
