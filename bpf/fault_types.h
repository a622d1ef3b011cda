/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel structures that fault.h looks into, found by name as in kernel_types.h. */
#ifndef ALLOCTRAIL_BPF_FAULT_TYPES_H
#define ALLOCTRAIL_BPF_FAULT_TYPES_H

#include <linux/bpf_perf_event.h>

#include "bpf/kernel_types.h"

#define FAULT_VM_GROWSDOWN 0x100ul    /* include/linux/mm.h */
#define FAULT_TMPFS_MAGIC 0x01021994ul /* linux/magic.h */

struct super_block {
  unsigned long s_magic;
} AT_KERNEL_TYPE;

struct inode {
  struct super_block *i_sb;
} AT_KERNEL_TYPE;

struct file {
  struct inode *f_inode;
} AT_KERNEL_TYPE;

struct mm_struct {
  unsigned long start_brk;
  unsigned long brk;
  unsigned long total_vm;
  int map_count;
} AT_KERNEL_TYPE;

struct task_struct___fault {
  struct mm_struct *mm;
} AT_KERNEL_TYPE;

struct vm_area_struct {
  unsigned long vm_start;
  unsigned long vm_end;
  unsigned long vm_flags;
  struct file *vm_file;
} AT_KERNEL_TYPE;

#endif
