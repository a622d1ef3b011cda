/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel half tells about a process that the OOM killer takes: records of a ring of their own, in the order
 * kill, mark, command, thread ..., end. `kill` joins them: process ids are reused, and several kills overlap. */
#ifndef ALLOCTRAIL_OOM_H
#define ALLOCTRAIL_OOM_H

#include "alloctrail/records.h"

enum at_oom_kind {
  AT_OOM_KILL = 1,     /* the kernel sends SIGKILL to a process: struct at_oom_kill. An OOM kill only if it is marked   */
  AT_OOM_MARK = 2,     /* the OOM killer names its victim: struct at_oom_mark. Repeats for one kill                     */
  AT_OOM_COMMAND = 3,  /* the victim's arguments: struct at_oom_command                                                 */
  AT_OOM_THREAD = 4,   /* one of its threads has met the signal: struct at_oom_thread                                   */
  AT_OOM_END = 5,      /* its last thread exits: struct at_oom_end                                                      */
  AT_OOM_RECLAIM = 6,  /* no kill: a cgroup is at its limit, and the kernel takes memory back so that a thread of a traced
                          process can go on: struct at_oom_thread of that thread; `kill` is the process's slot          */
};

struct at_oom_header {
  __u64 time_ns; /* CLOCK_MONOTONIC */
  __u64 kill;    /* number of the kill within this run, from 1; 0: a mark that belongs to no known kill */
  __u32 kind;    /* enum at_oom_kind */
  __u32 tgid;    /* of the victim */
  __u32 tid;     /* of the thread the record is about */
  __u32 reserved;
  char comm[16]; /* of that thread */
};
AT_ASSERT_SIZE(at_oom_header, 48);

/* ---- a thread's stack ----------------------------------------------------------------------------------------------- */
#define AT_OOM_KERNEL_FRAMES 48
#define AT_OOM_BUILD_IDS 64
#define AT_OOM_RAW_BYTES 16384

/* What `user` holds. */
enum at_oom_stack_kind {
  AT_OOM_STACK_NONE = 0,      /* a kernel thread, or nothing could be read                                    */
  AT_OOM_STACK_WALKED = 1,    /* frames: addresses walked by unwind tables; `status` says how the walk ended  */
  AT_OOM_STACK_BUILD_IDS = 2, /* ids: frames by frame pointers, each with its file's build-id                 */
};

/* The kernel's struct bpf_stack_build_id. */
struct at_oom_build_id {
  __s32 status; /* 1: build_id and offset; 2: only the address; 0: none */
  __u8 build_id[20];
  __u64 offset; /* in the file; or the address */
};
AT_ASSERT_SIZE(at_oom_build_id, 32);

struct at_oom_stack {
  __u64 ip; /* user registers */
  __u64 sp;
  __u64 bp;
  __s64 syscall; /* the system call it was in; -1: it ran its own code */
  __u16 kind;    /* enum at_oom_stack_kind */
  __u16 status;  /* enum at_stack_status */
  __u16 user_frames;
  __u16 kernel_frames;
  __u32 raw_bytes; /* of stack memory from sp on, behind this struct */
  __u32 reserved;
  __u64 kernel[AT_OOM_KERNEL_FRAMES];
  union {
    __u64 frames[AT_MAX_FRAMES];
    struct at_oom_build_id ids[AT_OOM_BUILD_IDS];
  } user;
};
AT_ASSERT_SIZE(at_oom_stack, 48 + 8 * AT_OOM_KERNEL_FRAMES + 8 * AT_MAX_FRAMES);

/* ---- AT_OOM_KILL -------------------------------------------------------------------------------------------------- */
#define AT_OOM_LEVELS 8
#define AT_OOM_NO_LIMIT (~0ull)

/* One memory cgroup, the victim's own first, then its ancestors. */
struct at_oom_level {
  __u64 id; /* inode of its directory */
  __u64 usage_pages;
  __u64 limit_pages;
  __u64 swap_usage_pages; /* cgroup v1: memory and swap together; v2: swap alone */
  __u64 swap_limit_pages;
  __u64 kernel_pages;
  char name[128]; /* of its directory; empty: the root */
};
AT_ASSERT_SIZE(at_oom_level, 176);

/* Figures of the victim's address space, in pages unless named otherwise. Those of resident memory are the kernel's
 * running sums, which may be off by a bounded number of pages per CPU. */
struct at_oom_memory {
  __u64 total_vm;
  __u64 peak_vm;
  __u64 locked_vm;
  __u64 data_vm;
  __u64 stack_vm;
  __u64 exec_vm;
  __u64 text_bytes;
  __u64 page_table_bytes;
  __u64 peak_rss;
  __u64 anon;
  __u64 file;
  __u64 shmem;
  __u64 swap;
};
AT_ASSERT_SIZE(at_oom_memory, 104);

#define AT_OOM_EXITING 1u     /* no signal was sent: the process was dying already, and only allowed to finish */
#define AT_OOM_SHARED_SUMS 2u /* resident figures are per-CPU sums (Linux 6.2): see struct at_oom_memory       */

struct at_oom_kill {
  struct at_oom_header header; /* tid: the victim's main thread */
  __u32 trigger_tgid;          /* the thread that asked for memory */
  __u32 trigger_tid;
  char trigger_comm[16];
  __u64 start_ns; /* the victim's, CLOCK_BOOTTIME */
  __u64 address_space; /* tells which processes share one; not an address to use */
  __u32 uid;
  __s32 oom_score_adj;
  __u32 threads;
  __u32 slot; /* of a traced victim; 0: not traced */
  __u32 flags;
  __u32 level_count;
  struct at_oom_memory memory;
  struct at_oom_level levels[AT_OOM_LEVELS];
  struct at_oom_stack stack; /* the trigger's; raw stack memory follows */
};

/* ---- the others ----------------------------------------------------------------------------------------------------- */
struct at_oom_mark {
  struct at_oom_header header; /* tid: as the OOM killer named it, any thread of the victim */
};

struct at_oom_command {
  struct at_oom_header header;
  __u32 bytes;
  __u32 reserved;
  char arguments[512]; /* separated by NUL */
};

struct at_oom_thread {
  struct at_oom_header header;
  __u32 at_exit; /* 1: it did not meet the signal (it was exiting already); taken when it exited */
  __u32 reserved;
  struct at_oom_stack stack; /* raw stack memory follows */
};

struct at_oom_end {
  struct at_oom_header header;
  __u32 threads; /* at the kill */
  __u32 seen;    /* threads that met the signal or exited */
  __u32 marks;
  __u32 dropped; /* records that found no room in the ring */
  __u64 late_calls; /* allocator calls after the kill: not accounted */
};
AT_ASSERT_SIZE(at_oom_end, 72);

/* ---- set before load ------------------------------------------------------------------------------------------------- */
struct at_oom_config {
  __u32 watch_all; /* any process, not only traced ones */
  __u32 ring_bytes;
};
AT_ASSERT_SIZE(at_oom_config, 8);

#endif
