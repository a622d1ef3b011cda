// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The kernel half, one translation unit: every program reads what its probe knows and calls one stage.
 *
 *   probe -> pair (pair.h) -> unwind (stack.h) -> account (site.h, live.h) -> maps (maps.h), read by user space
 *   fault -------------------> unwind (stack.h) -> account (fault.h) --------> maps (fault.h)
 *
 * The attach cookie (alloctrail/probe.h) says which function, argument shape and process a probe stands for, so one
 * program serves every allocating function and one every releasing function, and one link a whole library. */
#include "bpf/age.h"
#include "bpf/fault.h"
#include "bpf/lifecycle.h"
#include "bpf/oom.h"
#include "bpf/pair.h"
#include "bpf/ranges.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Is this hit in the process the cookie's slot stands for? A probe's breakpoint can be shared by vfork children, and can
 * outlive an exec. */
static __always_inline int in_target(__u32 slot)
{
  struct at_slot *target = bpf_map_lookup_elem(&slots, &slot);

  if (!target) return 0;
  if (target->tgid == (__u32)(bpf_get_current_pid_tgid() >> 32)) return 1;
  if (target->flags & AT_SLOT_FROZEN) count_late_call();
  return 0;
}

/* malloc, calloc, realloc and their kin: entry, return, or both as a session. */
SEC("uprobe")
int at_allocate(struct pt_regs *ctx)
{
  __u64 cookie = bpf_get_attach_cookie(ctx);
  __u32 phase = AT_COOKIE_PHASE(cookie), slot = AT_COOKIE_SLOT(cookie);
  int skip_return = 1;

  if (!in_target(slot)) goto out;
  if (phase == AT_PHASE_RETURN || (phase == AT_PHASE_BOTH && bpf_get_func_ip(ctx) != PT_REGS_IP(ctx))) {
    leave_allocation(ctx, cookie, slot);
    goto out;
  }
  count_hit(AT_COOKIE_PROBE(cookie));
  skip_return = enter_allocation(ctx, cookie, slot) || phase != AT_PHASE_BOTH;
out:
  /* Outside sessions some kernels take a non-zero result as "remove this probe". */
  return AT_COOKIE_FLAGS(cookie) & AT_PROBE_SESSION ? skip_return : 0;
}

/* free, operator delete and their kin: the entry is enough. */
SEC("uprobe")
int at_release(struct pt_regs *ctx)
{
  __u64 cookie = bpf_get_attach_cookie(ctx);
  __u32 slot = AT_COOKIE_SLOT(cookie);

  if (!in_target(slot)) return 0;
  count_hit(AT_COOKIE_PROBE(cookie));
  enter_release(ctx, cookie, slot);
  return 0;
}

/* The loader's _dl_debug_state: libraries were mapped or unmapped. */
SEC("uprobe")
int at_loader(struct pt_regs *ctx)
{
  __u64 cookie = bpf_get_attach_cookie(ctx);
  __u32 slot = AT_COOKIE_SLOT(cookie);

  if (in_target(slot)) on_library_load(slot);
  return 0;
}

SEC("raw_tp/sched_process_exec")
int at_exec(void *ctx)
{
  on_exec();
  return 0;
}

SEC("raw_tp/sched_process_exit")
int at_exit(void *ctx)
{
  on_thread_exit();
  return 0;
}

SEC("iter/bpf_map_elem")
int at_age(struct bpf_iter__bpf_map_elem *ctx)
{
  const struct at_live_bucket *bucket = ctx->value;

  if (bucket) add_older_of(bucket);
  return 0;
}

SEC("iter/bpf_map_elem")
int at_age_spill(struct bpf_iter__bpf_map_elem *ctx)
{
  const struct at_live *record = ctx->value;

  if (record) add_if_older(record);
  return 0;
}

/* ---- mapped ranges: loaded only where they are asked for ----------------------------------------------------------------- */
/* Typed, so that the registers are read without a helper: it runs at every system call of the machine. */
SEC("tp_btf/sys_exit")
int at_syscall_exit(__u64 *ctx)
{
  on_syscall_exit(ctx, (struct pt_regs___range *)ctx[0], ctx[1]);
  return 0;
}

SEC("iter/task")
int at_find_address_spaces(struct bpf_iter__task *ctx)
{
  struct task_struct___range *task = (struct task_struct___range *)ctx->task;

  if (task) note_address_space(task);
  return 0;
}

/* Page faults of the targets' threads: loaded only where they are asked for. */
SEC("perf_event")
int at_fault(struct bpf_perf_event_data *ctx)
{
  on_fault(ctx);
  return 0;
}

/* ---- the flight recorder: loaded only where it is asked for ------------------------------------------------------------ */
SEC("raw_tp/signal_generate")
int at_oom_signal(struct bpf_raw_tracepoint_args *ctx)
{
  /* signal, info, task, group, result: 0 for a signal that was delivered */
  if (ctx->args[0] == OOM_SIGKILL && (void *)ctx->args[1] == OOM_SENT_BY_KERNEL && ctx->args[3] && !(__u32)ctx->args[4])
    on_signal_sent(ctx, (void *)ctx->args[2]);
  return 0;
}

/* Where the tracepoint hands over the task (Linux 6.9, and stable kernels it was carried back to). */
SEC("raw_tp/mark_victim")
int at_oom_mark(struct bpf_raw_tracepoint_args *ctx)
{
  struct task_struct___oom *task = (void *)ctx->args[0];

  on_mark(ctx, task, BPF_CORE_READ(task, tgid), BPF_CORE_READ(task, pid));
  return 0;
}

/* Where it hands over a thread id. */
SEC("raw_tp/mark_victim")
int at_oom_mark_id(struct bpf_raw_tracepoint_args *ctx)
{
  __u64 current = bpf_get_current_pid_tgid();
  __u32 tid = ctx->args[0];

  if (tid == (__u32)current)
    on_mark(ctx, (void *)bpf_get_current_task_btf(), current >> 32, tid);
  else
    on_mark(ctx, NULL, tid, tid);
  return 0;
}

SEC("raw_tp/signal_deliver")
int at_oom_thread(struct bpf_raw_tracepoint_args *ctx)
{
  if (ctx->args[0] == OOM_SIGKILL) on_signal_met(ctx);
  return 0;
}

SEC("raw_tp/sched_process_exit")
int at_oom_exit(struct bpf_raw_tracepoint_args *ctx)
{
  on_victim_exit(ctx);
  return 0;
}

/* Loaded only where warnings are asked for. */
SEC("raw_tp/mm_vmscan_memcg_reclaim_begin")
int at_oom_reclaim(void *ctx)
{
  on_reclaim(ctx);
  return 0;
}
