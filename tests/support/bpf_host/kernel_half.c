// SPDX-License-Identifier: Apache-2.0
/* The kernel half, compiled natively: the very source that clang turns into BPF, on top of the simulated machine. */
#include "tests/support/bpf_host/kernel_types.h"

/* The unwinder's maps are maps of maps, which the machine does not have: stacks are walked by frame pointers here, and
 * one frame's step has tests of its own. */
#define ALLOCTRAIL_BPF_UNWIND_H
#define AT_UNWIND_GLOBAL static __attribute__((unused))
#define AT_UNWIND_COPY(to, bytes, from) host_read_user((to), (bytes), (const void *)(from))
#define AT_UNWIND_BLOCK(index) ((void)(index), (const struct at_unwind_block *)0)
#define AT_UNWIND_CHUNK(index) ((void)(index), (const struct at_unwind_row *)0)
#define AT_UNWIND_SIDE_RULE(index) ((void)(index), (const struct at_unwind_side *)0)
#define AT_UNWIND_REPAIR(slot) 0
#include "bpf/unwind_step.h"

struct walked_stack {
  struct at_stack_key hash;
  __u32 frame_count;
  __u32 status;
};
static void note_load(__u32 slot) {}

struct walk_start {
  __u64 pc, sp, bp;
  __u32 site, slot;
};
static int walk_tables(struct walk_start *from, struct at_unwind_scratch *scratch, struct walked_stack *walked)
{
  return -1;
}

/* Page faults come from the kernel's own events. */
#define ALLOCTRAIL_BPF_FAULT_H
struct bpf_perf_event_data;
static void on_fault(struct bpf_perf_event_data *ctx) {}

/* The flight recorder looks into the kernel all over; it is tested on a real one. */
#define ALLOCTRAIL_BPF_OOM_H
#define OOM_SIGKILL 9
#define OOM_SENT_BY_KERNEL ((void *)1)
#define BPF_CORE_READ(object, field) ((object)->field)
struct task_struct___oom {
  int pid, tgid;
};
static void on_signal_sent(void *ctx, struct task_struct___oom *task) {}
static void on_mark(void *ctx, struct task_struct___oom *task, __u32 tgid, __u32 tid) {}
static void on_signal_met(void *ctx) {}
static void on_victim_exit(void *ctx) {}
static void count_late_call(void) {}
static int on_reclaim(void *ctx) { return 0; }

/* System calls come from tracepoints the machine does not have; what is made of their records is user space's. */
#define ALLOCTRAIL_BPF_RANGES_H
struct task_struct___range {
  int tgid;
};
struct bpf_iter__task {
  struct task_struct *task;
};
struct pt_regs___range {
  int unused;
};
static void on_syscall_exit(void *ctx, struct pt_regs___range *regs, __u64 result) {}
static void note_address_space(struct task_struct___range *task) {}
static void forget_address_space(__u32 slot) {}
static void leave_address_space(__u32 slot) {}

#include "bpf/alloctrail.bpf.c"

struct at_counters *host_counters(__u32 slot) { return bpf_map_lookup_elem(&counters, &slot); }
struct at_site *host_site(__u32 index) { return bpf_map_lookup_elem(&sites, &index); }

const void *host_spill_map(void) { return &live_spill; }
__u32 host_live_bucket_count(void) { return cfg.live_buckets; }
struct at_live_bucket *host_live_bucket(__u32 index) { return bpf_map_lookup_elem(&live_buckets, &index); }

__u32 host_site_count(void) { return (__u32)get_cursors()->sites; }

void host_set_slot(__u32 slot, __u32 tgid)
{
  struct at_slot value = {.tgid = tgid};

  bpf_map_update_elem(&slots, &slot, &value, BPF_ANY);
  bpf_map_update_elem(&targets, &tgid, &slot, BPF_ANY);
}

void host_reserve_first_elements(void)
{
  struct at_cursors *cursor = get_cursors();

  *cursor = (struct at_cursors){.sites = 1, .stacks = 1, .frames = 1, .threads = 1};
}

struct at_site_samples *host_site_samples(__u32 index) { return bpf_map_lookup_elem(&site_samples, &index); }

void host_record_everything(void)
{
  cfg.samples = 0;
  cfg.filters_threads = 0;
}

void host_sample(__u32 slot, __u32 rung)
{
  cfg.samples = 1;
  bpf_map_update_elem(&sample_rungs, &slot, &rung, BPF_ANY);
}

void host_set_sample_class(__u32 index, const struct at_sample_class *value)
{
  bpf_map_update_elem(&sample_classes, &index, value, BPF_ANY);
}

void host_want_threads(__u32 tid, const char *name)
{
  struct at_thread_name key = {};
  __u32 one = 1;

  cfg.filters_threads = 1;
  __builtin_strncpy(key.comm, name, sizeof(key.comm) - 1);
  if (tid) bpf_map_update_elem(&wanted_threads, &tid, &one, BPF_ANY);
  if (*name) bpf_map_update_elem(&wanted_names, &key, &one, BPF_ANY);
}
