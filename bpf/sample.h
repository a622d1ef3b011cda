/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which allocations are recorded, and what the recorded ones stand for. Without sampling and filters nothing of this is
 * in the loaded programs: the verifier removes what read-only data rules out. */
#ifndef ALLOCTRAIL_BPF_SAMPLE_H
#define ALLOCTRAIL_BPF_SAMPLE_H

#include "bpf/count.h"

/* Why an allocation is not recorded. */
#define KEPT 0
#define FILTERED 1
#define SAMPLED_OUT 2

static __always_inline struct at_sample_class *sample_class(__u32 rung, __u64 size_bytes)
{
  __u32 index = rung * AT_SAMPLE_CLASSES + at_size_class(size_bytes);

  return bpf_map_lookup_elem(&sample_classes, &index);
}

static __always_inline __u32 rung_of(__u32 slot)
{
  __u32 *rung = bpf_map_lookup_elem(&sample_rungs, &slot);

  return rung ? *rung : 0;
}

/* --thread: the running thread's number or its name as of now is on the list. */
static __always_inline int thread_is_wanted(void)
{
  struct at_thread_name name;
  __u32 tid = bpf_get_current_pid_tgid();

  if (bpf_map_lookup_elem(&wanted_threads, &tid)) return 1;
  bpf_get_current_comm(name.comm, sizeof(name.comm));
  return bpf_map_lookup_elem(&wanted_names, &name) != NULL;
}

/* Decides on an allocation. *rung: the rate at which it was decided. */
static __always_inline __u32 leave_out(__u32 slot, __u64 size_bytes, __u8 *rung)
{
  struct at_sample_class *class;

  *rung = 0;
  if (size_bytes < cfg.min_size_bytes) return FILTERED;
  if (cfg.filters_threads && !thread_is_wanted()) return FILTERED;
  if (!cfg.samples) return KEPT;
  *rung = rung_of(slot);
  class = sample_class(*rung, size_bytes);
  return !class || bpf_get_prandom_u32() < class->threshold ? KEPT : SAMPLED_OUT;
}

static __always_inline void count_left_out(__u32 slot, __u32 why, __u64 size_bytes)
{
  if (why == FILTERED)
    count_sized(slot, filtered, size_bytes);
  else
    count_sized(slot, sampled_out, size_bytes);
}

/* Adds a record to the sums of its site. */
static __noinline long add_sample(const struct at_live *record, __u32 side)
{
  struct at_sample_class *class;
  struct at_site_samples *site;
  struct at_sample_sums *sums;
  __u64 size_bytes, stand_bytes;
  __u32 index;

  if (!record || side >= AT_SAMPLE_SIDES) return 0;
  size_bytes = record->size_bytes;
  class = sample_class(record->rung, size_bytes);
  if (!class || class->threshold == AT_SAMPLE_ALWAYS) return 0;
  index = record->site;
  site = bpf_map_lookup_elem(&site_samples, &index);
  if (!site) return 0;
  sums = &site->side[side];
  stand_bytes = size_bytes * class->weight_q16 >> 16;
  at_add(&sums->samples, 1);
  at_add(&sums->bytes, size_bytes);
  at_add(&sums->stand_bytes, stand_bytes);
  at_add(&sums->stand_blocks_q16, class->weight_q16);
  at_add(&sums->bytes_variance_q, (stand_bytes * (stand_bytes - size_bytes) + 65535) >> 16);
  at_add(&sums->blocks_variance_q4, class->blocks_variance_q4);
  return 0;
}

#endif
