/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel structures that oom.h looks into. What follows ___ in a name is ignored when it is matched against the running
 * kernel's types, so that these views stand beside those of kernel_types.h. Members are found by name, wherever they are. */
#ifndef ALLOCTRAIL_BPF_OOM_TYPES_H
#define ALLOCTRAIL_BPF_OOM_TYPES_H

#include "bpf/kernel_types.h"

struct atomic_long___oom {
  long counter;
};
struct atomic_int___oom {
  int counter;
};

/* ---- memory cgroups ---- */
struct kernfs_node___oom {
  const char *name;
  __u64 id;
} AT_KERNEL_TYPE;

struct cgroup___oom {
  struct kernfs_node___oom *kn;
} AT_KERNEL_TYPE;

struct cgroup_subsys_state___oom {
  struct cgroup___oom *cgroup;
  struct cgroup_subsys_state___oom *parent;
} AT_KERNEL_TYPE;

struct page_counter___oom {
  struct atomic_long___oom usage;
  unsigned long max;
} AT_KERNEL_TYPE;

struct mem_cgroup___oom {
  struct cgroup_subsys_state___oom css;
  struct page_counter___oom memory;
  struct page_counter___oom swap; /* a union with v1's memsw */
  struct page_counter___oom kmem;
} AT_KERNEL_TYPE;

struct css_set___oom {
  struct cgroup_subsys_state___oom *subsys[1];
} AT_KERNEL_TYPE;

enum cgroup_subsys_id___oom { memory_cgrp_id___oom = 4 };

/* ---- the process ---- */
/* Linux 6.2 made the resident counters per CPU: `count` lacks what CPUs have not handed in yet. */
struct percpu_counter___oom {
  __s64 count;
} AT_KERNEL_TYPE;

struct mm_rss_stat {
  struct atomic_long___oom count[4];
} AT_KERNEL_TYPE;

struct mm_struct___oom {
  unsigned long total_vm, hiwater_vm, locked_vm, data_vm, stack_vm, exec_vm, hiwater_rss;
  unsigned long start_code, end_code, arg_start, arg_end;
  struct atomic_long___oom pgtables_bytes;
  struct percpu_counter___oom rss_stat[4];
} AT_KERNEL_TYPE;

struct mm_struct___before_6_2 {
  struct mm_rss_stat rss_stat;
} AT_KERNEL_TYPE;

struct signal_struct___oom {
  struct atomic_int___oom live;
  int nr_threads;
  short oom_score_adj;
} AT_KERNEL_TYPE;

struct kuid___oom {
  __u32 val;
};

struct cred___oom {
  struct kuid___oom uid;
} AT_KERNEL_TYPE;

struct task_struct___oom {
  int pid;
  int tgid;
  unsigned int flags;
  struct mm_struct___oom *mm;
  struct signal_struct___oom *signal;
  struct task_struct___oom *group_leader;
  const struct cred___oom *cred;
  struct css_set___oom *cgroups;
  __u64 start_boottime;
  char comm[16];
} AT_KERNEL_TYPE;

#endif
