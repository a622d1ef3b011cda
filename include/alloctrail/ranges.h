/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What system calls have done to the address space of traced processes: records of a ring of their own, one for each
 * call that took effect, in the order in which the calls ended. That need not be the order in which the kernel carried
 * them out: see user/target/mapped_ranges.h. */
#ifndef ALLOCTRAIL_RANGES_H
#define ALLOCTRAIL_RANGES_H

#include "alloctrail/abi.h"

enum at_range_kind {
  AT_RANGE_MAP = 1,     /* mmap: `bytes` from `start` on. shmat: `bytes` is 0, the arguments do not tell     */
  AT_RANGE_UNMAP = 2,   /* munmap                                                                            */
  AT_RANGE_REMAP = 3,   /* mremap: `old_bytes` from `old_start` on are now `bytes` from `start` on           */
  AT_RANGE_BREAK = 4,   /* brk: the heap begins at `old_start`, and the break is at `start` now              */
  AT_RANGE_PROTECT = 5, /* mprotect: AT_RANGE_NO_ACCESS set or not                                           */
  AT_RANGE_ADVISE = 6,  /* madvise that gives pages back; the range stays mapped                             */
  AT_RANGE_DETACH = 7,  /* shmdt of what was attached at `start`                                             */
  AT_RANGE_STACK = 8,   /* clone: `start` is the highest byte of a new thread's stack                        */
  AT_RANGE_DOUBT = 9,   /* a call whose effect its arguments and result do not tell: see /proc/PID/maps      */
};

/* at_range_record::flags */
#define AT_RANGE_FIXED 0x01u        /* MAP_FIXED, MREMAP_FIXED: whatever was there is replaced                       */
#define AT_RANGE_ANONYMOUS 0x02u    /* no file behind it                                                             */
#define AT_RANGE_SHARED 0x04u       /* MAP_SHARED                                                                    */
#define AT_RANGE_NO_ACCESS 0x08u    /* PROT_NONE: address space, not memory                                          */
#define AT_RANGE_THREAD_STACK 0x10u /* MAP_STACK                                                                     */
#define AT_RANGE_GROWS_DOWN 0x20u   /* MAP_GROWSDOWN                                                                 */
#define AT_RANGE_ALLOCATOR 0x40u    /* the thread was inside a traced allocator call                                 */
#define AT_RANGE_KEEPS_OLD 0x80u    /* mremap: the old range stays mapped                                            */
#define AT_RANGE_SEGMENT 0x100u     /* a System V segment                                                            */

struct at_range_record {
  __u64 start;
  __u64 bytes; /* whole pages */
  __u64 old_start;
  __u64 old_bytes;
  __u32 slot;
  __u32 thread; /* index into threads */
  __u32 stack;  /* index into stacks; only where a range begins to exist */
  __u16 kind;   /* enum at_range_kind */
  __u16 flags;
};
AT_ASSERT_SIZE(at_range_record, 48);
#define AT_RANGE_RING_STEP (8u + 48u) /* with the ring's own header */

/* Calls of one slot that have ended, memory-mapped; each is in one of the first four. */
struct at_range_calls {
  __u64 recorded;       /* a record was sent */
  __u64 failed;         /* the kernel refused */
  __u64 without_effect; /* nothing changed: brk(0), other advice */
  __u64 lost;           /* took effect, and there was no room for the record */
  __u64 address_space;  /* the kernel's mm_struct */
};
AT_ASSERT_SIZE(at_range_calls, 40);

#endif
