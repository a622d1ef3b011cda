/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The knobs user space sets in the BPF object's read-only data before load. Zero values must load and run. */
#ifndef ALLOCTRAIL_CONFIG_H
#define ALLOCTRAIL_CONFIG_H

#include "alloctrail/abi.h"

#define AT_MAX_WANTED_THREADS 256 /* --thread, numbers and names each */

struct at_config {
  __u64 hash_seed_low; /* random per run, so that no target can prepare colliding stacks */
  __u64 hash_seed_high;
  __u64 min_size_bytes; /* smaller allocations are counted as filtered */
  __u32 max_sites;      /* elements of the sites array, including the reserved one; likewise below */
  __u32 max_stacks;
  __u32 max_frames;
  __u32 max_threads;
  __u32 samples;         /* not every allocation is recorded: sampling.h */
  __u32 filters_threads; /* only threads in wanted_threads or wanted_names are recorded */
  __u32 live_buckets;
  __u32 reserved;
};
AT_ASSERT_SIZE(at_config, 56);

#endif
