/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Takes the user stack at a probe and gives it an identity: frames are walked into scratch memory and hashed; a stack
 * seen for the first time is stored once in the frame pool. */
#ifndef ALLOCTRAIL_BPF_STACK_H
#define ALLOCTRAIL_BPF_STACK_H

#include "bpf/events.h"
#include "bpf/thread.h"
#include "bpf/unwind.h"

#define SCRATCH_PER_CPU 4

/* Scratch memory of one walk. A uprobe program can be preempted by another task that runs it on the same CPU, so a slot
 * is claimed by an atomic, and more than one exists. */
struct stack_scratch {
  __u32 busy;
  __u32 reserved;
  struct at_unwind_scratch walk;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SCRATCH_PER_CPU);
  __type(key, __u32);
  __type(value, struct stack_scratch);
} scratches SEC(".maps");

static __always_inline struct stack_scratch *claim_scratch(void)
{
  for (__u32 i = 0; i < SCRATCH_PER_CPU; i++) {
    __u32 key = i;
    struct stack_scratch *scratch = bpf_map_lookup_elem(&scratches, &key);

    if (scratch && __sync_val_compare_and_swap(&scratch->busy, 0, 1) == 0) return scratch;
  }
  return NULL;
}

static __always_inline void release_scratch(struct stack_scratch *scratch)
{
  (void)__sync_lock_test_and_set(&scratch->busy, 0);
}

/* The same addresses in two processes are two stacks. */
static __always_inline struct at_stack_key hash_seed(__u32 slot)
{
  return (struct at_stack_key){.hash_low = cfg.hash_seed_low ^ slot, .hash_high = cfg.hash_seed_high + slot};
}

/* Loops over frames are global functions: verified once, for any count. */
__noinline int drop_first_frame(struct at_unwind_scratch *scratch, __u32 count)
{
  if (!scratch) return 0;
  for (__u32 i = 0; i < AT_MAX_FRAMES - 1; i++) {
    if (i >= count) break;
    asm volatile("" ::: "memory"); /* no memmove in BPF */
    scratch->frames[i] = scratch->frames[i + 1];
  }
  return 0;
}

__noinline int hash_frames(struct at_unwind_scratch *scratch, __u32 count, struct at_stack_key *hash)
{
  if (!scratch || !hash) return 0;
  for (__u32 i = 0; i < AT_MAX_FRAMES; i++) {
    if (i >= count) break;
    at_unwind_hash(hash, scratch->frames[i]);
  }
  return 0;
}

__noinline int copy_to_pool(struct at_unwind_scratch *scratch, __u32 count, __u32 first)
{
  if (!scratch) return -1;
  for (__u32 i = 0; i < AT_MAX_FRAMES; i++) {
    __u32 key = first + i;
    __u64 *frame;

    if (i >= count) break;
    frame = bpf_map_lookup_elem(&frames, &key);
    if (!frame) return -1;
    *frame = scratch->frames[i];
  }
  return 0;
}

/* Frame pointers, for processes without unwind tables: the probed instruction, its return address (exact, from the
 * stack), then the kernel's chain, which starts at the caller's caller as the probed function has no frame yet. */
static __noinline int walk_frame_pointers(struct pt_regs *ctx, __u64 return_address, struct at_unwind_scratch *scratch,
                                          struct walked_stack *walked)
{
  __u32 found;
  long bytes;

  if (!scratch || !walked) return -1;
  bytes = bpf_get_stack(ctx, &scratch->frames[1], sizeof(scratch->frames) - sizeof(scratch->frames[0]), BPF_F_USER_STACK);
  found = bytes > 0 ? (__u32)bytes / 8 : 1;
  if (found >= 2 && scratch->frames[2] == return_address) {
    drop_first_frame(scratch, found); /* the kernel knew it for an entry and listed the caller itself */
  } else {
    scratch->frames[0] = PT_REGS_IP(ctx);
    scratch->frames[1] = return_address;
    found++;
  }
  hash_frames(scratch, found, &walked->hash);
  walked->frame_count = found;
  walked->status = AT_STACK_frame_pointers;
  return 0;
}

static __always_inline void count_walk(__u32 slot, __u32 status)
{
  struct at_counters *counted = bpf_map_lookup_elem(&counters, &slot);

  if (counted && status < AT_STACK_WALK_ENDS) at_add(&counted->walks[status], 1);
}

/* The stack of the call that the thread has just entered. */
static __always_inline void walk_stack(struct pt_regs *ctx, struct call *call, __u32 slot,
                                       struct at_unwind_scratch *scratch, struct walked_stack *walked)
{
  struct walk_start from = {
      .pc = PT_REGS_IP(ctx), .sp = call->sp, .bp = PT_REGS_FP(ctx), .site = AT_UNWIND_ENTRY, .slot = slot};

  walked->hash = hash_seed(slot);
  if (walk_tables(&from, scratch, walked))
    walk_frame_pointers(ctx, read_user_word(call->sp), scratch, walked);
  count_walk(slot, walked->status);
}

/* Copies the frames into the pool. Returns the index of the first, or 0 if the pool is full. */
static __always_inline __u32 store_frames(struct at_cursors *cursor, struct at_unwind_scratch *scratch, __u32 count)
{
  __u64 first = __sync_fetch_and_add(&cursor->frames, count);

  if (first + count > cfg.max_frames) return 0;
  return copy_to_pool(scratch, count, first) ? 0 : first;
}

/* The index of the stack in `stacks`, stored now if it is new; AT_STACK_NONE if there is no room. */
static __noinline __u32 intern_stack(struct walked_stack *walked, struct at_unwind_scratch *scratch, __u32 slot)
{
  struct at_cursors *cursor = get_cursors();
  struct at_stack *stack;
  __u32 *known;
  __u32 index, first;

  if (!walked || !scratch || !cursor) return AT_STACK_NONE;
  known = bpf_map_lookup_elem(&stack_ids, &walked->hash);
  if (known) return *known;

  index = next_index(&cursor->stacks, cfg.max_stacks);
  first = index ? store_frames(cursor, scratch, walked->frame_count) : 0;
  stack = bpf_map_lookup_elem(&stacks, &index);
  if (!index || !first || !stack) return AT_STACK_NONE;
  stack->first_frame = first;
  stack->status = walked->status;
  stack->slot = slot;
  stack->frame_count = walked->frame_count;

  if (bpf_map_update_elem(&stack_ids, &walked->hash, &index, BPF_NOEXIST)) {
    /* Another CPU stored it first: ours stays behind unused. Or the table is full. */
    stack->frame_count = 0;
    known = bpf_map_lookup_elem(&stack_ids, &walked->hash);
    return known ? *known : AT_STACK_NONE;
  }
  notify(AT_EVENT_STACK, slot, index);
  return index;
}

#endif
