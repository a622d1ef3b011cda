/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flight recorder: what a process that the OOM killer takes was doing. Armed when the kernel sends SIGKILL, which is
 * before the OOM killer names its victim: a thread on another CPU can be past its signal by then. Each thread is looked
 * at when it meets the signal, in its own context; the last one to exit closes the record. */
#ifndef ALLOCTRAIL_BPF_OOM_H
#define ALLOCTRAIL_BPF_OOM_H

#include "bpf/oom_stack.h"

#define OOM_SIGKILL 9
#define OOM_SENT_BY_KERNEL ((void *)1) /* SEND_SIG_PRIV */
#define OOM_SCRATCH_PER_CPU 2

/* Set in read-only data before load. */
const volatile struct at_oom_config oom_cfg = {.watch_all = 0, .ring_bytes = 1 << 22};

/* A process being killed. */
struct oom_state {
  __u64 kill;
  __u64 late_calls;
  __u32 slot;
  __u32 threads;
  __u32 seen;
  __u32 marks;
  __u32 dropped;
  __u32 reserved;
};

/* Process id -> its state, from the signal to its last thread's exit. Full: the kill is counted in oom_missed. Not
 * allocated on demand: memory is what is missing. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 256);
  __type(key, __u32);
  __type(value, struct oom_state);
} oom_states SEC(".maps");

/* Thread id -> kill, for threads that have met the signal and not exited yet. Full: the thread is sent twice, and user
 * space keeps one. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 8192);
  __type(key, __u32);
  __type(value, __u64);
} oom_threads SEC(".maps");

/* Records to user space: 4 MiB hold 1,500 threads, or 200 with all of their stack memory. Full: counted in the state. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 22);
} oom_records SEC(".maps");

/* Memory to put a record together in, claimed as stack_scratch is. */
struct oom_scratch {
  __u32 busy;
  __u32 reserved;
  union {
    struct {
      struct at_oom_kill head;
      struct oom_raw_stack raw;
    } kill;
    struct {
      struct at_oom_thread head;
      struct oom_raw_stack raw;
    } thread;
    struct at_oom_command command;
  };
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, OOM_SCRATCH_PER_CPU);
  __type(key, __u32);
  __type(value, struct oom_scratch);
} oom_scratches SEC(".maps");

__u64 oom_kill_count; /* numbers the kills */
__u64 oom_missed;     /* kills of which nothing could be recorded */

static __always_inline struct oom_scratch *claim_oom_scratch(void)
{
  for (__u32 i = 0; i < OOM_SCRATCH_PER_CPU; i++) {
    __u32 key = i;
    struct oom_scratch *scratch = bpf_map_lookup_elem(&oom_scratches, &key);

    if (scratch && __sync_val_compare_and_swap(&scratch->busy, 0, 1) == 0) return scratch;
  }
  return NULL;
}

static __always_inline void release_oom_scratch(struct oom_scratch *scratch)
{
  (void)__sync_lock_test_and_set(&scratch->busy, 0);
}

static __always_inline void set_header(struct at_oom_header *header, __u32 kind, __u64 kill,
                                       const struct task_struct___oom *task)
{
  header->time_ns = bpf_ktime_get_ns();
  header->kill = kill;
  header->kind = kind;
  header->tgid = BPF_CORE_READ(task, tgid);
  header->tid = BPF_CORE_READ(task, pid);
  header->reserved = 0;
  BPF_CORE_READ_STR_INTO(&header->comm, task, comm);
}

/* Sends a record; what does not fit is counted. */
static __always_inline long send(void *record, __u32 bytes, struct oom_state *state, __u64 flags)
{
  long failed = bpf_ringbuf_output(&oom_records, record, bytes, flags);

  if (failed) at_add(&state->dropped, 1);
  return failed;
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */
#define RESIDENT(mm, index)                                                                  \
  (bpf_core_type_exists(struct mm_rss_stat)                                                  \
       ? (__u64)BPF_CORE_READ((struct mm_struct___before_6_2 *)(mm), rss_stat.count[index].counter) \
       : (__u64)BPF_CORE_READ((mm), rss_stat[index].count))

static __always_inline __u64 not_negative(__u64 count) { return (__s64)count < 0 ? 0 : count; }

static __noinline int read_memory(struct mm_struct___oom *mm, struct at_oom_memory *out)
{
  __u64 first, last;

  if (!mm || !out) return -1;
  out->total_vm = BPF_CORE_READ(mm, total_vm);
  out->peak_vm = BPF_CORE_READ(mm, hiwater_vm);
  out->locked_vm = BPF_CORE_READ(mm, locked_vm);
  out->data_vm = BPF_CORE_READ(mm, data_vm);
  out->stack_vm = BPF_CORE_READ(mm, stack_vm);
  out->exec_vm = BPF_CORE_READ(mm, exec_vm);
  out->peak_rss = BPF_CORE_READ(mm, hiwater_rss);
  out->page_table_bytes = BPF_CORE_READ(mm, pgtables_bytes.counter);
  first = BPF_CORE_READ(mm, start_code) & ~(OOM_PAGE_BYTES - 1ull);
  last = (BPF_CORE_READ(mm, end_code) + OOM_PAGE_BYTES - 1) & ~(OOM_PAGE_BYTES - 1ull);
  out->text_bytes = last - first;
  /* enum MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES */
  out->file = not_negative(RESIDENT(mm, 0));
  out->anon = not_negative(RESIDENT(mm, 1));
  out->swap = not_negative(RESIDENT(mm, 2));
  out->shmem = not_negative(RESIDENT(mm, 3));
  return 0;
}

static __always_inline struct mem_cgroup___oom *memory_cgroup(struct task_struct___oom *task)
{
  struct cgroup_subsys_state___oom *state = NULL;
  struct css_set___oom *set = BPF_CORE_READ(task, cgroups);
  __u32 index = bpf_core_enum_value(enum cgroup_subsys_id___oom, memory_cgrp_id___oom);

  if (!set) return NULL;
  bpf_probe_read_kernel(&state, sizeof(state),
                        (char *)set + bpf_core_field_offset(set->subsys) + index * sizeof(state));
  return (struct mem_cgroup___oom *)state; /* its first member */
}

static __noinline int read_level(struct mem_cgroup___oom *group, struct at_oom_level *out)
{
  struct kernfs_node___oom *node;

  if (!group || !out) return -1;
  node = BPF_CORE_READ(group, css.cgroup, kn);
  out->id = BPF_CORE_READ(node, id);
  out->usage_pages = BPF_CORE_READ(group, memory.usage.counter);
  out->limit_pages = BPF_CORE_READ(group, memory.max);
  out->swap_usage_pages = BPF_CORE_READ(group, swap.usage.counter);
  out->swap_limit_pages = BPF_CORE_READ(group, swap.max);
  out->kernel_pages = bpf_core_field_exists(group->kmem) ? BPF_CORE_READ(group, kmem.usage.counter) : 0;
  out->name[0] = 0;
  bpf_probe_read_kernel_str(out->name, sizeof(out->name), BPF_CORE_READ(node, name));
  return 0;
}

static __always_inline __u32 read_levels(struct task_struct___oom *task, struct at_oom_level *levels)
{
  struct mem_cgroup___oom *group = memory_cgroup(task);
  __u32 i;

  for (i = 0; i < AT_OOM_LEVELS && group; i++) {
    read_level(group, &levels[i]);
    group = (struct mem_cgroup___oom *)BPF_CORE_READ(group, css.parent);
  }
  return i;
}

/* ---- the kill ----------------------------------------------------------------------------------------------------- */
static __noinline int fill_kill(struct at_oom_kill *out, struct task_struct___oom *task, struct oom_state *state)
{
  struct task_struct___oom *leader = BPF_CORE_READ(task, group_leader);
  __u64 current = bpf_get_current_pid_tgid();

  if (!out || !state) return -1;
  set_header(&out->header, AT_OOM_KILL, state->kill, leader);
  out->trigger_tgid = current >> 32;
  out->trigger_tid = current;
  bpf_get_current_comm(out->trigger_comm, sizeof(out->trigger_comm));
  out->start_ns = BPF_CORE_READ(leader, start_boottime);
  out->address_space = (__u64)BPF_CORE_READ(task, mm);
  out->uid = BPF_CORE_READ(task, cred, uid.val);
  out->oom_score_adj = BPF_CORE_READ(task, signal, oom_score_adj);
  out->threads = state->threads;
  out->slot = state->slot;
  out->flags = bpf_core_type_exists(struct mm_rss_stat) ? 0 : AT_OOM_SHARED_SUMS;
  __builtin_memset(&out->memory, 0, sizeof(out->memory));
  read_memory(BPF_CORE_READ(task, mm), &out->memory);
  out->level_count = read_levels(task, out->levels);
  return 0;
}

/* From here on the process is dying: what it still allocates and frees is not accounted. */
static __always_inline void freeze_accounting(__u32 slot)
{
  struct at_slot *target = slot ? bpf_map_lookup_elem(&slots, &slot) : NULL;

  if (!target) return;
  target->flags |= AT_SLOT_FROZEN;
  target->tgid = 0;
}

/* Sends the first record of a kill. */
static __noinline int record_kill(void *ctx, struct task_struct___oom *task, struct oom_state *state, __u32 flags)
{
  __u32 trigger = bpf_get_current_pid_tgid() >> 32;
  __u32 *traced = bpf_map_lookup_elem(&targets, &trigger);
  struct oom_scratch *scratch = claim_oom_scratch();
  struct at_oom_kill *out;
  __u32 bytes;
  long failed;

  if (!scratch || !state) return -1;
  out = &scratch->kill.head;
  fill_kill(out, task, state);
  out->flags |= flags;
  take_stack(ctx, &out->stack, traced ? *traced : 0);
  bytes = sizeof(*out) + add_raw_stack(&out->stack, &scratch->kill.raw, OOM_RAW_PAGES);
  failed = send(out, bytes, state, BPF_RB_FORCE_WAKEUP);
  release_oom_scratch(scratch);
  return failed;
}

/* Arms the recorder for a process. NULL: not watched, or no room. */
static __always_inline struct oom_state *arm(void *ctx, struct task_struct___oom *task, __u32 tgid, __u32 flags)
{
  __u32 *slot = bpf_map_lookup_elem(&targets, &tgid);
  struct oom_state fresh = {}, *state;

  if (!slot && !oom_cfg.watch_all) return NULL;
  fresh.kill = __sync_fetch_and_add(&oom_kill_count, 1) + 1;
  fresh.slot = slot ? *slot : 0;
  fresh.threads = BPF_CORE_READ(task, signal, nr_threads);
  freeze_accounting(fresh.slot);
  if (bpf_map_update_elem(&oom_states, &tgid, &fresh, BPF_NOEXIST)) goto missed;
  state = bpf_map_lookup_elem(&oom_states, &tgid);
  if (!state) goto missed;
  if (record_kill(ctx, task, state, flags) == 0) return state;
  bpf_map_delete_elem(&oom_states, &tgid);
missed:
  at_add(&oom_missed, 1);
  return NULL;
}

static __always_inline void on_signal_sent(void *ctx, struct task_struct___oom *task)
{
  __u32 tgid = BPF_CORE_READ(task, tgid);

  if (!bpf_map_lookup_elem(&oom_states, &tgid)) (void)arm(ctx, task, tgid, 0);
}

/* The OOM killer has named its victim. */
static __always_inline void on_mark(void *ctx, struct task_struct___oom *task, __u32 tgid, __u32 tid)
{
  struct oom_state *state = bpf_map_lookup_elem(&oom_states, &tgid);
  struct at_oom_mark mark = {};

  if (!state && task && BPF_CORE_READ(task, signal, live.counter)) state = arm(ctx, task, tgid, AT_OOM_EXITING);
  mark.header.kind = AT_OOM_MARK;
  mark.header.time_ns = bpf_ktime_get_ns();
  mark.header.tgid = tgid;
  mark.header.tid = tid;
  if (state) {
    mark.header.kill = state->kill;
    at_add(&state->marks, 1);
    send(&mark, sizeof(mark), state, BPF_RB_FORCE_WAKEUP);
  } else {
    /* Its last thread may have exited already, or this is an id of a thread that user space has seen. */
    (void)bpf_ringbuf_output(&oom_records, &mark, sizeof(mark), 0);
  }
}

/* ---- its threads -------------------------------------------------------------------------------------------------- */
/* How many pages of stack memory a thread may send, so that all of them find room. */
static __always_inline __u32 raw_pages(const struct oom_state *state)
{
  __u64 used = bpf_ringbuf_query(&oom_records, BPF_RB_AVAIL_DATA);
  __u32 left = state->threads > state->seen ? state->threads - state->seen : 1;
  __u64 share = used < oom_cfg.ring_bytes ? (oom_cfg.ring_bytes - used) / left : 0;

  share = share > sizeof(struct at_oom_thread) ? (share - sizeof(struct at_oom_thread)) / OOM_PAGE_BYTES : 0;
  return share > 1 ? share - 1 : 0; /* one for the first, partial page */
}

static __noinline int send_command(struct task_struct___oom *task, struct oom_state *state)
{
  struct oom_scratch *scratch = claim_oom_scratch();
  struct at_oom_command *out;
  __u64 first, bytes;

  if (!scratch || !state) return -1;
  out = &scratch->command;
  set_header(&out->header, AT_OOM_COMMAND, state->kill, task);
  first = BPF_CORE_READ(task, mm, arg_start);
  bytes = BPF_CORE_READ(task, mm, arg_end) - first;
  if (bytes > sizeof(out->arguments)) bytes = sizeof(out->arguments);
  out->bytes = bytes;
  out->reserved = 0;
  if (bpf_probe_read_user(out->arguments, bytes, (void *)first)) out->bytes = 0;
  send(out, sizeof(*out), state, 0);
  release_oom_scratch(scratch);
  return 0;
}

static __noinline int send_thread(void *ctx, struct task_struct___oom *task, struct oom_state *state, __u32 at_exit)
{
  struct oom_scratch *scratch = claim_oom_scratch();
  struct at_oom_thread *out;
  __u32 bytes;

  if (!state) return -1;
  if (!scratch) {
    at_add(&state->dropped, 1);
    return -1;
  }
  out = &scratch->thread.head;
  set_header(&out->header, AT_OOM_THREAD, state->kill, task);
  out->at_exit = at_exit;
  out->reserved = 0;
  take_stack(ctx, &out->stack, state->slot);
  bytes = sizeof(*out) + add_raw_stack(&out->stack, &scratch->thread.raw, raw_pages(state));
  send(out, bytes, state, 0);
  release_oom_scratch(scratch);
  return 0;
}

static __always_inline void on_thread(void *ctx, struct oom_state *state, __u32 at_exit)
{
  struct task_struct___oom *task = (struct task_struct___oom *)bpf_get_current_task_btf();

  if (__sync_fetch_and_add(&state->seen, 1) == 0) send_command(task, state);
  send_thread(ctx, task, state, at_exit);
}

/* A thread meets a signal. */
static __always_inline void on_signal_met(void *ctx)
{
  __u64 current = bpf_get_current_pid_tgid();
  __u32 tgid = current >> 32, tid = current;
  struct oom_state *state = bpf_map_lookup_elem(&oom_states, &tgid);
  __u64 kill;

  if (!state) return;
  kill = state->kill;
  (void)bpf_map_update_elem(&oom_threads, &tid, &kill, BPF_ANY); /* full: see oom_threads */
  on_thread(ctx, state, 0);
}

static __noinline int close_kill(struct oom_state *state, __u32 tgid)
{
  struct at_oom_end end = {};

  if (!state) return -1;
  set_header(&end.header, AT_OOM_END, state->kill, (struct task_struct___oom *)bpf_get_current_task_btf());
  end.threads = state->threads;
  end.seen = state->seen;
  end.marks = state->marks;
  end.dropped = state->dropped;
  end.late_calls = state->late_calls;
  /* Of two threads that find themselves the last, the one that removes the state speaks. */
  if (bpf_map_delete_elem(&oom_states, &tgid)) return 0;
  if (bpf_ringbuf_output(&oom_records, &end, sizeof(end), BPF_RB_FORCE_WAKEUP)) at_add(&oom_missed, 1);
  return 0;
}

static __always_inline void on_victim_exit(void *ctx)
{
  __u64 current = bpf_get_current_pid_tgid();
  __u32 tgid = current >> 32, tid = current;
  struct oom_state *state = bpf_map_lookup_elem(&oom_states, &tgid);
  struct task_struct___oom *task;

  if (!state) return;
  if (bpf_map_delete_elem(&oom_threads, &tid)) on_thread(ctx, state, 1);
  task = (struct task_struct___oom *)bpf_get_current_task_btf();
  if (BPF_CORE_READ(task, signal, live.counter) == 0) close_kill(state, tgid);
}

/* ---- before the kill ---------------------------------------------------------------------------------------------- */
#define OOM_RECLAIM_EVERY_NS 100000000ull

__u64 oom_reclaim_next_ns; /* notices of reclaim are sent no more often than that */

/* The running thread is about to take memory back from a cgroup that is at its limit. Lost is what finds no room, or comes
 * right after another: it is a warning, not a record. */
static __noinline int on_reclaim(void *ctx)
{
  __u32 tgid = bpf_get_current_pid_tgid() >> 32;
  __u32 *slot = bpf_map_lookup_elem(&targets, &tgid);
  __u64 now = bpf_ktime_get_ns(), next = oom_reclaim_next_ns;
  struct oom_scratch *scratch;
  struct at_oom_thread *out;
  __u32 bytes;

  if (!slot || now < next) return 0;
  if (__sync_val_compare_and_swap(&oom_reclaim_next_ns, next, now + OOM_RECLAIM_EVERY_NS) != next) return 0;
  scratch = claim_oom_scratch();
  if (!scratch) return 0;
  out = &scratch->thread.head;
  set_header(&out->header, AT_OOM_RECLAIM, *slot, (struct task_struct___oom *)bpf_get_current_task_btf());
  out->at_exit = 0;
  out->reserved = 0;
  take_stack(ctx, &out->stack, *slot);
  bytes = sizeof(*out) + add_raw_stack(&out->stack, &scratch->thread.raw, OOM_RAW_PAGES);
  (void)bpf_ringbuf_output(&oom_records, out, bytes, BPF_RB_FORCE_WAKEUP);
  release_oom_scratch(scratch);
  return 0;
}

/* An allocator call of a process whose accounting is frozen. */
static __always_inline void count_late_call(void)
{
  __u32 tgid = bpf_get_current_pid_tgid() >> 32;
  struct oom_state *state = bpf_map_lookup_elem(&oom_states, &tgid);

  if (state) at_add(&state->late_calls, 1);
}

#endif
