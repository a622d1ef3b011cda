/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes and threads that start another program or end. */
#ifndef ALLOCTRAIL_BPF_LIFECYCLE_H
#define ALLOCTRAIL_BPF_LIFECYCLE_H

#include "bpf/events.h"
#include "bpf/pair.h"
#include "bpf/ranges.h"

#define SIGSTOP 19

static __always_inline void stop_if(__u32 wanted)
{
  if (wanted) bpf_send_signal(SIGSTOP); /* cannot fail for the running task outside interrupts */
}

/* The old image's heap is gone: its slot takes no more events, and user space is told to look at the new one. */
static __always_inline void on_exec(void)
{
  __u32 tgid = bpf_get_current_pid_tgid() >> 32;
  __u32 *found = bpf_map_lookup_elem(&targets, &tgid);
  struct at_slot *slot;
  __u32 index;

  if (!found) return;
  index = *found;
  slot = bpf_map_lookup_elem(&slots, &index);
  if (!slot) return;
  slot->tgid = 0;
  forget_address_space(index);
  stop_if(slot->flags & AT_SLOT_STOP_AT_EXEC); /* before the notice: whoever reads it may resume the process */
  bpf_map_delete_elem(&targets, &tgid); /* absent already: nothing to do */
  notify(AT_EVENT_EXEC, index, 0);
}

/* The loader has changed the mappings. */
static __always_inline void on_library_load(__u32 index)
{
  struct at_slot *slot = bpf_map_lookup_elem(&slots, &index);

  if (!slot) return;
  note_load(index);
  stop_if(slot->flags & AT_SLOT_STOP_AT_LOAD);
  notify(AT_EVENT_DLOPEN, index, 0);
  /* A notice that finds no room is not missed: those before it wait to be read, and make user space look. */
  (void)bpf_ringbuf_output(&load_notices, &index, sizeof(index), BPF_RB_FORCE_WAKEUP);
}

static __always_inline void on_thread_exit(void)
{
  __u32 tgid = bpf_get_current_pid_tgid() >> 32;
  __u32 *slot = bpf_map_lookup_elem(&targets, &tgid);
  struct thread_state *state;

  if (!slot) return;
  leave_address_space(*slot);
  state = existing_thread_state();
  if (!state) return;
  if (state->call.sp) abandon_call(state); /* killed, or ended by itself, inside an allocator */
  retire_thread(state);
}

#endif
