/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is known of the running thread: its index in `threads` and the allocator call it is in. Kept in task storage, so
 * it needs no lookup by id, cannot be confused by a reused thread id and goes away with the thread. */
#ifndef ALLOCTRAIL_BPF_THREAD_H
#define ALLOCTRAIL_BPF_THREAD_H

#include "bpf/count.h"

/* The outermost allocator call of a thread, from entry to return. Identified by the stack pointer at its entry. */
struct call {
  __u64 sp;            /* user stack pointer at function entry: where the return address lies; 0: no call */
  __u64 return_address; /* what lay there; read only where no return probe tells whether the call is over */
  __u64 size_bytes;
  __u64 out;           /* posix_memalign: where the result goes; realloc: the old block's address */
  __u32 site;          /* 0: the site table was full */
  __u16 probe;
  __u8 shape;
  __u8 flags;
  struct at_live aside; /* realloc: the old block's record, taken out of the live table until the outcome is known */
  __u32 has_aside;
  __u8 left_out; /* why it is not going to be recorded: sample.h */
  __u8 rung;     /* of the sampling rate at its entry */
  __u16 reserved;
};

/* The range in which the thread last touched memory (fault.h), true as long as the figures of its mm are the same. */
struct known_range {
  __u64 start;
  __u64 end; /* 0: none */
  __u64 mapped_pages;
  __u32 range_count;
  __u32 kind; /* enum at_touched_kind */
};

struct thread_state {
  struct call call;
  struct known_range range;
  __u64 handed_on;    /* block last released by a function that may pass it on to another probed release */
  __u64 handed_on_sp; /* stack pointer at that function's entry */
  __u32 slot;
  __u32 thread; /* index into threads; 0: not yet known */
};

struct {
  __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct thread_state);
} thread_states SEC(".maps");

/* The running thread's state, made on first use. NULL: the kernel had no memory. */
static __always_inline struct thread_state *thread_state_of_slot(__u32 slot)
{
  struct task_struct *task = bpf_get_current_task_btf();
  struct thread_state *state;

  state = bpf_task_storage_get(&thread_states, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!state) return NULL;
  if (state->slot != slot) {
    /* First use, or the thread survived an exec: nothing of the old image is true any more. */
    state->call.sp = 0;
    state->call.has_aside = 0;
    state->handed_on = 0;
    state->range.end = 0;
    state->thread = 0;
    state->slot = slot;
  }
  return state;
}

static __always_inline struct thread_state *existing_thread_state(void)
{
  return bpf_task_storage_get(&thread_states, bpf_get_current_task_btf(), NULL, 0);
}

/* A word of the running thread's memory; 0 if it cannot be read. */
static __always_inline __u64 read_user_word(__u64 address)
{
  __u64 word = 0;

  if (bpf_probe_read_user(&word, sizeof(word), (void *)address)) return 0;
  return word;
}

static __always_inline __u32 next_index(__u64 *cursor, __u32 limit)
{
  __u64 index = __sync_fetch_and_add(cursor, 1);

  return index < limit ? index : 0;
}

static __always_inline struct at_cursors *get_cursors(void)
{
  __u32 zero = 0;

  return bpf_map_lookup_elem(&cursors, &zero);
}

static __noinline __u32 register_thread(struct thread_state *state)
{
  struct at_cursors *cursor = get_cursors();
  struct at_thread *thread;
  __u32 index;

  if (!state || !cursor) return AT_THREAD_OVERFLOW;
  index = next_index(&cursor->threads, cfg.max_threads);
  thread = bpf_map_lookup_elem(&threads, &index);
  if (!index || !thread) return AT_THREAD_OVERFLOW;
  thread->tid = bpf_get_current_pid_tgid();
  thread->slot = state->slot;
  thread->start_ns = bpf_ktime_get_boot_ns();
  bpf_get_current_comm(thread->comm, sizeof(thread->comm));
  thread->state = AT_THREAD_ALIVE;
  state->thread = index;
  return index;
}

/* Called when the running thread ends: keeps its last name for the report. */
static __always_inline void retire_thread(struct thread_state *state)
{
  struct at_thread *thread;
  __u32 index;

  if (!state->thread) return;
  index = state->thread;
  thread = bpf_map_lookup_elem(&threads, &index);
  if (!thread) return;
  bpf_get_current_comm(thread->comm, sizeof(thread->comm));
  thread->state = AT_THREAD_EXITED;
}

#endif
