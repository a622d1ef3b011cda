/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A page fault of a target: who touched memory, from which stack, in which kind of range. The event belongs to the
 * target's threads, so no other process comes here. It counts every fault; the program runs at each one that is sampled. */
#ifndef ALLOCTRAIL_BPF_FAULT_H
#define ALLOCTRAIL_BPF_FAULT_H

#include "alloctrail/faults.h"
#include "bpf/fault_types.h"
#include "bpf/stack.h"

/* How far from its stack pointer a thread touches its own stack first. */
#define FAULT_STACK_REACH (1ul << 20)

/* (stack hash, thread, slot and kind) -> index into fault_sites. Full: lost_site_full. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, struct at_site_key);
  __type(value, __u32);
} fault_site_ids SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct at_fault_site);
} fault_sites SEC(".maps");

/* How far fault_sites is used; element 0 is reserved. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} fault_cursor SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct at_fault_counters);
} fault_counters SEC(".maps");

#define count_fault(slot, name)                                                               \
  do {                                                                                        \
    __u32 slot_key_ = (slot);                                                                 \
    struct at_fault_counters *counters_ = bpf_map_lookup_elem(&fault_counters, &slot_key_);   \
    if (counters_) at_add(&counters_->name, 1);                                               \
  } while (0)

/* ---- which kind of range ------------------------------------------------------------------------------------------------ */
static long keep_range(struct task_struct *task, struct vm_area_struct *range, struct known_range *known)
{
  struct file *file = range->vm_file;

  known->start = range->vm_start;
  known->end = range->vm_end;
  if (file)
    known->kind = file->f_inode->i_sb->s_magic == FAULT_TMPFS_MAGIC ? AT_TOUCHED_SHARED_MEMORY : AT_TOUCHED_FILE;
  else
    known->kind = range->vm_flags & FAULT_VM_GROWSDOWN ? AT_TOUCHED_MAIN_STACK : AT_TOUCHED_ANONYMOUS;
  return 0;
}

/* Looks the range up, at 0.1 to 9 us, if it is not the one the thread touched last. A range that was replaced by another of
 * the same size in the same place is taken for it. The lock of the mappings is only tried: a fault never waits for us. */
static __always_inline __u32 looked_up_kind(struct mm_struct *mm, __u64 address, struct known_range *known)
{
  __u64 mapped_pages = mm->total_vm;
  __u32 range_count = mm->map_count;
  struct known_range found = {.kind = AT_TOUCHED_UNKNOWN}; /* in own memory, as the helper asks for */

  if (address >= known->start && address < known->end && known->mapped_pages == mapped_pages &&
      known->range_count == range_count)
    return known->kind;
  found.mapped_pages = mapped_pages;
  found.range_count = range_count;
  bpf_find_vma(bpf_get_current_task_btf(), address, keep_range, &found, 0);
  *known = found;
  return found.kind;
}

static __always_inline __u32 range_kind(__u64 address, __u64 sp, struct known_range *known)
{
  struct mm_struct *mm = ((struct task_struct___fault *)bpf_get_current_task_btf())->mm;
  __u32 kind;

  if (!mm) return AT_TOUCHED_UNKNOWN;
  if (address >= mm->start_brk && address < mm->brk) return AT_TOUCHED_BREAK;
  kind = looked_up_kind(mm, address, known);
  /* A stack that is about to grow: neither is in a range yet. */
  if (kind == AT_TOUCHED_UNKNOWN && sp - address + FAULT_STACK_REACH < 2 * FAULT_STACK_REACH) return AT_TOUCHED_MAIN_STACK;
  return kind;
}

/* ---- where from --------------------------------------------------------------------------------------------------------- */
/* The thread's registers in user mode. A fault inside a system call shows as the call: what lies one byte before its
 * return. */
static __always_inline int user_registers(struct bpf_perf_event_data *ctx, struct walk_start *top)
{
  int in_kernel = (__s64)PT_REGS_IP(&ctx->regs) < 0;
  const struct pt_regs *regs = (const struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());

  /* One by one: all of them would take a third of the program's stack. */
  if (bpf_probe_read_kernel(&top->pc, sizeof(top->pc), &PT_REGS_IP(regs)) ||
      bpf_probe_read_kernel(&top->sp, sizeof(top->sp), &PT_REGS_SP(regs)) ||
      bpf_probe_read_kernel(&top->bp, sizeof(top->bp), &PT_REGS_FP(regs)))
    return -1;
  top->pc -= in_kernel;
  top->site = AT_UNWIND_EXACT;
  return 0;
}

/* Frame pointers, for processes without unwind tables. */
static __noinline int walk_fault_frame_pointers(struct bpf_perf_event_data *ctx, struct at_unwind_scratch *scratch,
                                                struct walked_stack *walked)
{
  long bytes;

  if (!scratch || !walked) return -1;
  bytes = bpf_get_stack(ctx, scratch->frames, sizeof(scratch->frames), BPF_F_USER_STACK);
  walked->frame_count = bytes > 0 ? (__u32)bytes / 8 : 0;
  walked->status = AT_STACK_frame_pointers;
  hash_frames(scratch, walked->frame_count, &walked->hash);
  return 0;
}

/* ---- the site ----------------------------------------------------------------------------------------------------------- */
static __always_inline struct at_fault_site *fault_site(__u32 index)
{
  return index ? bpf_map_lookup_elem(&fault_sites, &index) : NULL;
}

static __noinline __u32 new_fault_site(struct at_site_key *key, __u32 stack)
{
  __u32 zero = 0, index;
  __u64 *cursor = bpf_map_lookup_elem(&fault_cursor, &zero);
  struct at_fault_site *site;
  __u32 *known;

  if (!key || !cursor) return 0;
  index = next_index(cursor, cfg.max_sites);
  site = fault_site(index);
  if (!site) return 0;
  site->slot = key->slot & 0xffff;
  site->kind = key->slot >> 16;
  site->thread = key->thread;
  site->stack = stack;
  site->state = AT_SITE_READY;
  if (bpf_map_update_elem(&fault_site_ids, key, &index, BPF_NOEXIST)) {
    site->state = 0; /* as in new_site: the overflow thread, or a full table */
    known = bpf_map_lookup_elem(&fault_site_ids, key);
    return known ? *known : 0;
  }
  return index;
}

static __always_inline __u32 stackless_fault_site(struct at_site_key *key)
{
  __u32 *known;

  key->hash_low = key->hash_high = 0;
  known = bpf_map_lookup_elem(&fault_site_ids, key);
  return known ? *known : new_fault_site(key, AT_STACK_NONE);
}

/* `key` holds thread, slot and kind. 0: the site table is full. */
static __always_inline __u32 walked_fault_site(struct bpf_perf_event_data *ctx, struct walk_start *top, __u32 slot,
                                               struct at_site_key *key, struct at_unwind_scratch *scratch)
{
  struct walked_stack walked;
  __u32 *known;
  __u32 stack;

  walked.hash = hash_seed(slot);
  if (walk_tables(top, scratch, &walked)) walk_fault_frame_pointers(ctx, scratch, &walked);
  key->hash_low = walked.hash.hash_low;
  key->hash_high = walked.hash.hash_high;
  known = bpf_map_lookup_elem(&fault_site_ids, key);
  if (known) return *known;
  stack = intern_stack(&walked, scratch, slot);
  if (stack != AT_STACK_NONE) return new_fault_site(key, stack);
  count_fault(slot, stack_full);
  return stackless_fault_site(key);
}

static __always_inline __u32 current_fault_site(struct bpf_perf_event_data *ctx, struct walk_start *top, __u32 slot,
                                                struct at_site_key *key)
{
  struct stack_scratch *scratch = claim_scratch();
  __u32 site;

  if (!scratch) {
    count_fault(slot, stack_scratch_busy);
    return stackless_fault_site(key);
  }
  site = walked_fault_site(ctx, top, slot, key, &scratch->walk);
  release_scratch(scratch);
  return site;
}

static __always_inline void on_fault(struct bpf_perf_event_data *ctx)
{
  __u32 tgid = bpf_get_current_pid_tgid() >> 32;
  __u32 *found = bpf_map_lookup_elem(&targets, &tgid);
  struct at_site_key key = {};
  struct walk_start top = {};
  struct thread_state *state;
  struct at_fault_site *site;
  __u32 slot, kind;

  if (!found) return; /* on its way into another program */
  slot = top.slot = *found;
  count_fault(slot, sampled);
  state = thread_state_of_slot(slot);
  if (!state || user_registers(ctx, &top)) {
    count_fault(slot, lost_state);
    return;
  }
  key.thread = state->thread ? state->thread : register_thread(state);
  if (key.thread == AT_THREAD_OVERFLOW) count_fault(slot, thread_full);
  kind = range_kind(ctx->addr, top.sp, &state->range);
  if (kind == AT_TOUCHED_UNKNOWN) count_fault(slot, unknown_range);
  key.slot = AT_FAULT_SITE_SLOT(slot, kind);
  site = fault_site(current_fault_site(ctx, &top, slot, &key));
  if (!site) {
    count_fault(slot, lost_site_full);
    return;
  }
  at_add(&site->samples, 1);
  site->last_address = ctx->addr;
}

#endif
