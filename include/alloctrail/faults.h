/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Page faults of a traced process: which thread touches memory, from which stack, in which kind of range. The kernel half
 * aggregates the sampled ones; user space reads the aggregates through a memory-mapped array. */
#ifndef ALLOCTRAIL_FAULTS_H
#define ALLOCTRAIL_FAULTS_H

#include "alloctrail/abi.h"

/* What the kernel says of the range that an address lies in. User space tells the anonymous ones apart further. */
enum at_touched_kind {
  AT_TOUCHED_UNKNOWN = 0, /* in none, or the ranges were being changed at that moment */
  AT_TOUCHED_ANONYMOUS = 1,
  AT_TOUCHED_BREAK = 2, /* between the start of the program break and its present end */
  AT_TOUCHED_MAIN_STACK = 3,
  AT_TOUCHED_FILE = 4,
  AT_TOUCHED_SHARED_MEMORY = 5, /* tmpfs: memfd, /dev/shm, SysV, shared anonymous */
};

/* Array by index, appended to and never moved. */
struct at_fault_site {
  __u64 samples;
  __u64 last_address;
  __u32 slot;
  __u32 thread; /* index into threads */
  __u32 stack;  /* index into stacks */
  __u16 kind;   /* enum at_touched_kind */
  __u16 state;  /* AT_SITE_READY once the four above are valid */
};
AT_ASSERT_SIZE(at_fault_site, 32);

/* at_site_key::slot of a fault site: the kinds are sites of their own. */
#define AT_FAULT_SITE_SLOT(slot, kind) ((slot) | (__u32)(kind) << 16)

/* Per process slot and CPU. X(name, sentence)
 *
 * Conservation, exact where every fault is sampled: faults that the kernel's event has counted = sampled + missed, where
 * the missed ones never reached the program; and sampled = in sites + lost_*. */
#define AT_FAULT_COUNTERS(X)                                                                                \
  X(sampled, "page faults taken")                                                                           \
  X(lost_state, "page faults lost because the kernel had no memory for the thread's state")                 \
  X(lost_site_full, "page faults lost because the table of fault sites was full")                           \
  X(unknown_range, "page faults in ranges that were being changed: their kind is not known")                \
  X(stack_full, "page faults shown under 'stack table full'")                                               \
  X(stack_scratch_busy, "page faults without a stack: no free scratch slot on that CPU")                    \
  X(thread_full, "page faults shown under 'thread table full'")

struct at_fault_counters {
#define AT_FAULT_COUNTER_FIELD(name, sentence) __u64 name;
  AT_FAULT_COUNTERS(AT_FAULT_COUNTER_FIELD)
#undef AT_FAULT_COUNTER_FIELD
};

#endif
