/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bumping event counters. Atomic although per CPU: a uprobe program may be preempted by another one on its CPU. */
#ifndef ALLOCTRAIL_BPF_COUNT_H
#define ALLOCTRAIL_BPF_COUNT_H

#include "bpf/maps.h"

#define at_add(field_pointer, amount) ((void)__sync_fetch_and_add((field_pointer), (amount)))

#define count_many(slot, name, amount)                                             \
  do {                                                                             \
    __u32 slot_key_ = (slot);                                                      \
    struct at_counters *counters_ = bpf_map_lookup_elem(&counters, &slot_key_);    \
    if (counters_) at_add(&counters_->name, (amount));                             \
  } while (0)

#define count(slot, name) count_many(slot, name##_calls, 1)

/* One call and the bytes it was about. */
#define count_sized(slot, name, size)                                              \
  do {                                                                             \
    __u32 slot_key_ = (slot);                                                      \
    struct at_counters *counters_ = bpf_map_lookup_elem(&counters, &slot_key_);    \
    if (counters_) {                                                               \
      at_add(&counters_->name##_calls, 1);                                         \
      at_add(&counters_->name##_bytes, (size));                                    \
    }                                                                              \
  } while (0)

static __always_inline void count_hit(__u32 probe)
{
  __u64 *hits = bpf_map_lookup_elem(&probe_hits, &probe);

  if (hits) at_add(hits, 1);
}

#endif
