/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The few kernel structures the programs look into, with only the fields they use. Offsets are relocated at load time
 * against the running kernel's BTF, so no generated vmlinux.h is needed. */
#ifndef ALLOCTRAIL_BPF_KERNEL_TYPES_H
#define ALLOCTRAIL_BPF_KERNEL_TYPES_H

#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

/* Set by user space before load, and known to the verifier from then on. */
#define AT_READ_ONLY_DATA const volatile

#define AT_KERNEL_TYPE __attribute__((preserve_access_index))

/* A pending return probe of a task; kernel/events/uprobes.c. Newest first, `stack` ascends along `next`. */
struct return_instance {
  unsigned long stack; /* user stack pointer at entry: where the replaced return address lies */
  unsigned long orig_ret_vaddr;
  struct return_instance *next;
} AT_KERNEL_TYPE;

struct uprobe_task {
  struct return_instance *return_instances;
} AT_KERNEL_TYPE;

struct task_struct {
  int pid;
  int tgid;
  struct uprobe_task *utask;
} AT_KERNEL_TYPE;

struct bpf_iter_meta;

/* Context of a task iterator program. */
struct bpf_iter__task {
  union {
    struct bpf_iter_meta *meta;
  };
  union {
    struct task_struct *task;
  };
} AT_KERNEL_TYPE;

/* Context of a bpf_map_elem iterator program. */
struct bpf_map;
struct bpf_iter__bpf_map_elem {
  union {
    struct bpf_iter_meta *meta;
  };
  union {
    struct bpf_map *map;
  };
  union {
    void *key;
  };
  union {
    void *value;
  };
} AT_KERNEL_TYPE;

#endif
