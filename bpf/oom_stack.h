/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The stack of the running thread while a process is being killed: by the unwind tables where they are known, else by frame
 * pointers, with the files' build-ids and the stack memory itself for user space to unwind. Runs with interrupts off
 * most of the time, where nothing can be paged in: what is not there is left out. */
#ifndef ALLOCTRAIL_BPF_OOM_STACK_H
#define ALLOCTRAIL_BPF_OOM_STACK_H

#include "alloctrail/oom.h"
#include "bpf/oom_types.h"
#include "bpf/stack.h"

#define OOM_PAGE_BYTES 4096
#define OOM_RAW_PAGES (AT_OOM_RAW_BYTES / OOM_PAGE_BYTES)
#define OOM_PF_KTHREAD 0x00200000 /* task_struct::flags */

/* Stack memory from anywhere in a page to the page's end, then whole pages. */
struct oom_raw_stack {
  __u8 bytes[AT_OOM_RAW_BYTES + OOM_PAGE_BYTES];
};

static __noinline __u32 read_raw_stack(struct oom_raw_stack *raw, __u64 sp, __u32 pages)
{
  __u32 got = OOM_PAGE_BYTES - (sp & (OOM_PAGE_BYTES - 1));

  if (!raw || bpf_probe_read_user(raw->bytes, got, (void *)sp)) return 0;
  for (__u32 i = 0; i < OOM_RAW_PAGES; i++) {
    if (i >= pages || got > i * OOM_PAGE_BYTES + OOM_PAGE_BYTES) break;
    if (bpf_probe_read_user(raw->bytes + got, OOM_PAGE_BYTES, (void *)(sp + got))) break;
    got += OOM_PAGE_BYTES;
  }
  return got;
}

/* A loop over frames is a global function: verified once, for any count. */
__noinline int copy_walked_frames(struct at_unwind_scratch *scratch, __u32 count, struct at_oom_stack *out)
{
  if (!scratch || !out) return 0;
  for (__u32 i = 0; i < AT_MAX_FRAMES; i++) {
    if (i >= count) break;
    out->user.frames[i] = scratch->frames[i];
  }
  return 0;
}

/* From anywhere in the program, not from a probe: the next instruction and the registers are exact. */
static __noinline int walk_registers(const struct at_unwind_process *process, __u32 changing,
                                     struct at_unwind_scratch *scratch,
                                     struct at_oom_stack *out)
{
  struct at_stack_key unused = {};
  struct at_unwind_state state;
  struct at_unwind_cache *cache;
  __u32 zero = 0;

  cache = bpf_map_lookup_elem(&unwind_caches, &zero);
  if (!cache || !process || !scratch || !out) return -1;
  at_unwind_start(&state, out->ip, out->sp, out->bp, AT_UNWIND_EXACT, unused);
  state.changing = changing;
  for (int i = 0; i < AT_MAX_FRAMES; i++)
    if (at_unwind_step(&state, scratch, process, cache)) break;
  copy_walked_frames(scratch, state.frame_count, out);
  out->user_frames = state.frame_count;
  out->status = state.status;
  out->kind = AT_OOM_STACK_WALKED;
  return 0;
}

/* 0: the stack has been walked by the tables of this traced process. */
static __always_inline int walk_traced(struct at_oom_stack *out, __u32 slot)
{
  __u32 changing = 0;
  const struct at_unwind_process *process = slot ? unwind_process(slot, &changing) : NULL;
  struct stack_scratch *scratch;
  int failed;

  if (!process) return -1;
  scratch = claim_scratch();
  if (!scratch) return -1;
  failed = walk_registers(process, changing, &scratch->walk, out);
  release_scratch(scratch);
  return failed;
}

/* Fills *out with the running thread's stack. `slot`: of its process if that is traced, else 0. */
static __noinline int take_stack(void *ctx, struct at_oom_stack *out, __u32 slot)
{
  struct task_struct *task = bpf_get_current_task_btf();
  const struct pt_regs *regs;
  long bytes;

  if (!out) return -1;
  out->kind = AT_OOM_STACK_NONE;
  out->status = AT_STACK_fault;
  out->user_frames = 0;
  out->raw_bytes = 0;
  out->reserved = 0;
  bytes = bpf_get_stack(ctx, out->kernel, sizeof(out->kernel), 0);
  out->kernel_frames = bytes > 0 ? (__u32)bytes / 8 : 0;
  if (BPF_CORE_READ((struct task_struct___oom *)task, flags) & OOM_PF_KTHREAD) return -1;
  /* One by one: before Linux 6.13 a program and all it calls have 512 bytes of stack. */
  regs = (const struct pt_regs *)bpf_task_pt_regs(task);
  if (bpf_probe_read_kernel(&out->ip, sizeof(out->ip), &regs->rip)) return -1;
  if (bpf_probe_read_kernel(&out->sp, sizeof(out->sp), &regs->rsp)) return -1;
  if (bpf_probe_read_kernel(&out->bp, sizeof(out->bp), &regs->rbp)) return -1;
  if (bpf_probe_read_kernel(&out->syscall, sizeof(out->syscall), &regs->orig_rax)) return -1;
  if (walk_traced(out, slot) == 0) return 0;
  bytes = bpf_get_stack(ctx, out->user.ids, sizeof(out->user.ids), BPF_F_USER_STACK | BPF_F_USER_BUILD_ID);
  out->user_frames = bytes > 0 ? (__u32)bytes / sizeof(out->user.ids[0]) : 0;
  out->status = AT_STACK_frame_pointers;
  out->kind = AT_OOM_STACK_BUILD_IDS;
  return 0;
}

/* Adds the stack memory itself where the stack could not be walked here. Returns its bytes. */
static __always_inline __u32 add_raw_stack(struct at_oom_stack *stack, struct oom_raw_stack *raw, __u32 pages)
{
  __u32 got;

  if (stack->kind != AT_OOM_STACK_BUILD_IDS) return 0;
  got = read_raw_stack(raw, stack->sp, pages);
  if (got > sizeof(*raw)) return 0;
  stack->raw_bytes = got;
  return got;
}

#endif
