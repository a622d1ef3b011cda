/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A clock that costs two loads: CLOCK_MONOTONIC as of the kernel's last tick, read once a tick by whoever comes first.
 * The kernel's own coarse clock is not given to uprobe programs, and reading the fine one costs 75 ns where it traps. */
#ifndef ALLOCTRAIL_BPF_CLOCK_H
#define ALLOCTRAIL_BPF_CLOCK_H

#include "bpf/kernel_types.h"

/* Low halves of the tick's number and of its time in ms: one word, so that the two always belong together. */
__u64 last_tick;

/* CLOCK_MONOTONIC in ms, modulo 2^32, at most a tick late. */
static __always_inline __u32 coarse_now_ms(void)
{
  __u64 tick = *(volatile __u64 *)&last_tick;
  __u32 number = bpf_jiffies64(), now_ms;

  if (tick >> 32 == number) return tick;
  now_ms = bpf_ktime_get_ns() / 1000000;
  *(volatile __u64 *)&last_tick = (__u64)number << 32 | now_ms;
  return now_ms;
}

#endif
