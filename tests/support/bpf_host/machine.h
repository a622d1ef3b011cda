/* SPDX-License-Identifier: Apache-2.0 */
/* A machine small enough to hold in one's head: maps, threads with pending return probes, user memory by the word. */
#ifndef ALLOCTRAIL_TESTS_BPF_HOST_MACHINE_H
#define ALLOCTRAIL_TESTS_BPF_HOST_MACHINE_H

#include <linux/types.h>

#include "alloctrail/sampling.h"

#ifdef __cplusplus
extern "C" {
#endif

struct return_instance {
  unsigned long stack;
  unsigned long orig_ret_vaddr;
  struct return_instance *next;
};

struct uprobe_task {
  struct return_instance *return_instances;
};

struct task_struct {
  int pid;
  int tgid;
  struct uprobe_task *utask;
};

struct pt_regs {
  __u64 ip, sp, bp, ax, di, si, dx;
  __u64 cookie;   /* what bpf_get_attach_cookie() answers  */
  __u64 function; /* what bpf_get_func_ip() answers        */
};

struct bpf_iter__bpf_map_elem {
  void *value;
};

void *host_lookup(const void *map, __u32 key_size, __u32 value_size, __u32 max_entries, int is_hash, const void *key);
long host_update(const void *map, __u32 key_size, __u32 value_size, __u32 max_entries, int is_hash, const void *key,
                 const void *value, __u64 flags);
long host_delete(const void *map, __u32 key_size, __u32 value_size, __u32 max_entries, int is_hash, const void *key);
void *host_task_storage(struct task_struct *task, __u32 value_size, __u64 flags);
void *host_ring_reserve(__u32 size);
struct task_struct *host_current(void);
__u64 host_pid_tgid(void);
long host_comm(char *buffer, __u32 size);
__u64 host_now_ns(void);
__u32 host_random(void);
long host_read_user(void *to, __u32 bytes, const void *from);
long host_get_stack(const struct pt_regs *regs, void *to, __u32 bytes);

/* The programs of bpf/alloctrail.bpf.c. */
int at_allocate(struct pt_regs *ctx);
int at_release(struct pt_regs *ctx);
int at_exec(void *ctx);
int at_exit(void *ctx);

/* Its maps, as far as tests look into them. */
struct at_counters *host_counters(__u32 slot);
struct at_site *host_site(__u32 index);
__u32 host_site_count(void);
const void *host_spill_map(void);
__u32 host_live_bucket_count(void);
struct at_live_bucket *host_live_bucket(__u32 index);
struct at_site_samples *host_site_samples(__u32 index);
void host_sample(__u32 slot, __u32 rung);
void host_set_sample_class(__u32 index, const struct at_sample_class *value);
void host_want_threads(__u32 tid, const char *name);
void host_record_everything(void);
void host_set_slot(__u32 slot, __u32 tgid);
void host_reserve_first_elements(void);

#ifdef __cplusplus
}
#endif

#endif
