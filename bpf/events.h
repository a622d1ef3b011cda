/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The single place that sends notices to user space, and counts those it has to drop. */
#ifndef ALLOCTRAIL_BPF_EVENTS_H
#define ALLOCTRAIL_BPF_EVENTS_H

#include "bpf/count.h"

static __always_inline void notify(__u32 kind, __u32 slot, __u32 value)
{
  struct at_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

  if (!event) {
    count(slot, event_lost);
    return;
  }
  event->kind = kind;
  event->slot = slot;
  event->tgid = bpf_get_current_pid_tgid() >> 32;
  event->value = value;
  bpf_ringbuf_submit(event, 0);
}

#endif
