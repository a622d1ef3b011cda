/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The live table: AT_LIVE_KEY(slot, address) -> struct at_live, in buckets by hash, memory-mapped; blocks whose bucket
 * is full lie in a BPF hash. bpf/live_table.h says how entries are written and taken. */
#ifndef ALLOCTRAIL_LIVE_TABLE_H
#define ALLOCTRAIL_LIVE_TABLE_H

#include "alloctrail/records.h"

#define AT_LIVE_FREE 0ull /* keys of no block, as slots begin at 1: the entry is free */
#define AT_LIVE_BUSY 1ull /* somebody is writing or taking it */
#define AT_LIVE_BUCKET_ENTRIES 5

/* Two cache lines; the first, with all keys and one record, is all that is touched while few blocks are live. */
struct at_live_bucket {
  __u32 spilled; /* blocks that belong here and lie in the hash */
  __u32 reserved;
  __u64 keys[AT_LIVE_BUCKET_ENTRIES];
  struct at_live records[AT_LIVE_BUCKET_ENTRIES];
};
AT_ASSERT_SIZE(at_live_bucket, 128);

#endif
