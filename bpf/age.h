/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The age pass: sums, for each site, the live blocks born before a cut-off. Runs inside the kernel over the live table
 * when --older asks for it, so that blocks need not be copied out to be looked at. */
#ifndef ALLOCTRAIL_BPF_AGE_H
#define ALLOCTRAIL_BPF_AGE_H

#include "bpf/sample.h"

/* Blocks with a birth before this (CLOCK_MONOTONIC in ms, modulo 2^32) are old. Set by user space before each pass. */
__u32 age_cutoff_ms;

static __always_inline void add_if_older(const struct at_live *record)
{
  __u32 index = record->site;
  struct at_site *site;

  if ((__s32)(age_cutoff_ms - record->birth_ms) <= 0) return;
  site = bpf_map_lookup_elem(&sites, &index);
  if (!site) return;
  at_add(&site->older_bytes, record->size_bytes);
  at_add(&site->older_blocks, 1);
  if (cfg.samples) add_sample(record, AT_SAMPLES_OLDER);
}

/* An entry being written or taken is a block that comes or goes at this moment. */
static __always_inline void add_older_of(const struct at_live_bucket *bucket)
{
  for (__u32 i = 0; i < AT_LIVE_BUCKET_ENTRIES; i++)
    if (bucket->keys[i] != AT_LIVE_FREE && bucket->keys[i] != AT_LIVE_BUSY) add_if_older(&bucket->records[i]);
}

#endif
