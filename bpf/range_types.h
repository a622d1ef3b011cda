/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What ranges.h needs of the kernel: structures, matched by member name against the running kernel's types, and the
 * numbers of the system calls of x86-64 (asm/unistd_64.h) and i386. */
#ifndef ALLOCTRAIL_BPF_RANGE_TYPES_H
#define ALLOCTRAIL_BPF_RANGE_TYPES_H

#include <linux/mman.h>
#include <linux/sched.h>

#include "bpf/kernel_types.h"

struct mm_struct___range {
  unsigned long start_brk, brk;
} AT_KERNEL_TYPE;

struct thread_info___range {
  __u32 status;
} AT_KERNEL_TYPE;

struct thread_count___range {
  int counter;
};

struct signal_struct___range {
  struct thread_count___range live; /* threads that have not begun to exit */
} AT_KERNEL_TYPE;

struct task_struct___range {
  struct thread_info___range thread_info;
  struct mm_struct___range *mm;
  struct signal_struct___range *signal;
  int tgid;
} AT_KERNEL_TYPE;

struct pt_regs___range {
  unsigned long r10, r9, r8, dx, si, di, orig_ax, ip, sp, bp;
} AT_KERNEL_TYPE;

/* The beginning of struct clone_args, linux/sched.h. */
struct clone_args_head {
  __u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size;
};

#define RANGE_TS_COMPAT 0x0002 /* TS_COMPAT, asm/thread_info.h */

enum range_syscall {
  SYS_mmap = 9,
  SYS_mprotect = 10,
  SYS_munmap = 11,
  SYS_brk = 12,
  SYS_mremap = 25,
  SYS_madvise = 28,
  SYS_shmat = 30,
  SYS_clone = 56,
  SYS_shmdt = 67,
  SYS_io_setup = 206,
  SYS_io_destroy = 207,
  SYS_remap_file_pages = 216,
  SYS_pkey_mprotect = 329,
  SYS_clone3 = 435,
  SYS_map_shadow_stack = 453,

  I386_brk = 45,
  I386_mmap = 90,
  I386_munmap = 91,
  I386_ipc = 117,
  I386_mprotect = 125,
  I386_mremap = 163,
  I386_mmap2 = 192,
  I386_madvise = 219,
  I386_remap_file_pages = 257,
  I386_shmat = 397,
  I386_shmdt = 398,
};

#endif
