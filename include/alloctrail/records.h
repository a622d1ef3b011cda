/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys and values of the maps that hold the live set and its aggregates, and the records of the event ring.
 * The kernel half writes them; user space reads the aggregates through memory-mapped arrays. */
#ifndef ALLOCTRAIL_RECORDS_H
#define ALLOCTRAIL_RECORDS_H

#include "alloctrail/abi.h"

/* ---- live blocks: hash, key = slot << 48 | address ------------------------------------------------------------ */
#define AT_LIVE_ADDRESS_BITS 48
#define AT_LIVE_KEY(slot, address) ((__u64)(slot) << AT_LIVE_ADDRESS_BITS | (address))

struct at_live {
  __u64 size_bytes : 48;
  __u64 rung : 8; /* of the sampling rate it was recorded at: alloctrail/sampling.h */
  __u64 reserved : 8;
  __u32 site;     /* index into sites */
  __u32 birth_ms; /* CLOCK_MONOTONIC in ms, modulo 2^32 (49 days) */
};
AT_ASSERT_SIZE(at_live, 16);

/* ---- sites: what one thread allocated from one stack; array by index, memory-mapped ----------------------------- */
struct at_site {
  __u64 allocated_bytes;
  __u64 allocated_blocks;
  __u64 freed_bytes;
  __u64 freed_blocks;
  __u32 slot;
  __u32 thread; /* index into threads */
  __u32 stack;  /* index into stacks */
  __u32 state;  /* AT_SITE_READY once the three indices above are valid */
  __u64 older_bytes;  /* scratch of the age pass: live blocks born before its cut-off */
  __u64 older_blocks;
};
AT_ASSERT_SIZE(at_site, 64);
#define AT_SITE_READY 1

struct at_site_key {
  __u64 hash_low; /* 128-bit keyed hash of the frames */
  __u64 hash_high;
  __u32 thread;
  __u32 slot;
};
AT_ASSERT_SIZE(at_site_key, 24);

/* ---- stacks: frames are stored once, in a pool; array by index, memory-mapped ----------------------------------- */
#define AT_MAX_FRAMES 256

/* How the walk of a stack ended; the last two: there was none, or it could not be kept. X(name, sentence) */
#define AT_STACK_STATUSES(X)                                                       \
  X(complete, "reached the thread's first function")                               \
  X(frame_pointers, "walked by frame pointers: callers may be missing")            \
  X(truncated, "deeper than the frame limit")                                      \
  X(no_mapping, "a return address lies in no known mapping")                       \
  X(no_rule, "the unwind information has no rule for an address")                  \
  X(unsupported, "an unwind rule the kernel side does not carry out")              \
  X(fault, "the thread's stack could not be read")                                 \
  X(no_table, "the loader was at work, or a file's unwind table was not ready yet")  \
  X(scratch_busy, "no scratch memory was free on that CPU")                        \
  X(table_full, "the stack table was full")

enum at_stack_status {
#define AT_STACK_STATUS_NAME(name, sentence) AT_STACK_##name,
  AT_STACK_STATUSES(AT_STACK_STATUS_NAME)
#undef AT_STACK_STATUS_NAME
  AT_STACK_STATUS_COUNT,
  AT_STACK_WALK_ENDS = AT_STACK_scratch_busy
};

struct at_stack_key {
  __u64 hash_low;
  __u64 hash_high;
};
AT_ASSERT_SIZE(at_stack_key, 16);

struct at_stack {
  __u32 first_frame; /* index of the innermost frame in the pool; the pool holds addresses, callers follow */
  __u16 frame_count; /* written last: 0 until the frames are in the pool */
  __u16 status;      /* enum at_stack_status */
  __u32 slot;        /* whose address space the frames belong to */
  __u32 reserved;
};
AT_ASSERT_SIZE(at_stack, 16);

#define AT_STACK_NONE 0 /* stack 0: no frames could be stored; its status tells why */

/* ---- threads: array by index, memory-mapped ---------------------------------------------------------------------- */
#define AT_THREAD_OVERFLOW 0 /* thread 0 stands for all threads beyond the table's end */

struct at_thread {
  __u32 tid;
  __u32 slot;
  __u32 state; /* enum at_thread_state */
  __u32 reserved;
  __u64 start_ns; /* boot time of its first allocation seen */
  char comm[16];
};
AT_ASSERT_SIZE(at_thread, 40);

struct at_thread_name {
  char comm[16]; /* zeros behind its end */
};
AT_ASSERT_SIZE(at_thread_name, 16);

enum at_thread_state { AT_THREAD_UNUSED = 0, AT_THREAD_ALIVE = 1, AT_THREAD_EXITED = 2 };

/* ---- slots: one image of one process; array by index --------------------------------------------------------------- */
struct at_slot {
  __u32 tgid;  /* 0: the slot is not (or no longer) traced */
  __u32 flags; /* AT_SLOT_* */
};
AT_ASSERT_SIZE(at_slot, 8);

/* For a command that alloctrail itself started, and for no other process: stop until the probes are in. */
#define AT_SLOT_STOP_AT_EXEC 1u
#define AT_SLOT_STOP_AT_LOAD 2u

/* The kernel has killed the process: what it still does is not accounted. */
#define AT_SLOT_FROZEN 4u

/* ---- allocation cursors: one element, memory-mapped. Index 0 of sites, stacks and threads is reserved. --------------- */
struct at_cursors {
  __u64 sites;   /* next free index; may pass the table's end, then the table is full */
  __u64 stacks;
  __u64 frames;
  __u64 threads;
};
AT_ASSERT_SIZE(at_cursors, 32);

/* ---- events: hints to user space; state lives in the maps ------------------------------------------------------------- */
enum at_event_kind {
  AT_EVENT_STACK = 1, /* a stack was seen for the first time: resolve it while the target is alive */
  AT_EVENT_EXEC = 2,  /* a traced process runs another program now: its slot is dead               */
  AT_EVENT_DLOPEN = 3, /* the loader changed the mappings of a traced process                      */
};

struct at_event {
  __u32 kind; /* enum at_event_kind */
  __u32 slot;
  __u32 tgid;
  __u32 value; /* stack: its index */
};
AT_ASSERT_SIZE(at_event, 16);

#endif
