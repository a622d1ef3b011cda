/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The live table's storage: key -> record, for any number of writers at once and without a lock, as a program can be
 * preempted anywhere and locks are not given to uprobe programs. A block lies in its bucket, or, if that was full, in
 * `live_spill`, which the bucket's `spilled` count tells. Whoever wants to write or take an entry claims it by turning
 * its key into AT_LIVE_BUSY: from then on nobody else touches it, and nobody waits for it.
 *
 * One block's record is written and taken by one thread at a time: an address is not given to anybody before its
 * allocator call returns, and not handed out again before its free. Where a target breaks that rule (frees twice), one of
 * the two finds nothing. */
#ifndef ALLOCTRAIL_BPF_LIVE_TABLE_H
#define ALLOCTRAIL_BPF_LIVE_TABLE_H

#include "bpf/count.h"

#define EEXIST 17

/* Makes what was written before visible before the value. */
#ifdef __TARGET_ARCH_x86
#define at_publish(pointer, value) ({ asm volatile("" ::: "memory"); *(volatile __u64 *)(pointer) = (value); })
#else
#define at_publish(pointer, value) ((void)__sync_lock_test_and_set((pointer), (value)))
#endif

#define at_read_once(field) (*(volatile __typeof__(field) *)&(field))

static __always_inline struct at_live_bucket *bucket_of(__u64 key)
{
  __u64 mixed = (key ^ cfg.hash_seed_low) * 0x9e3779b97f4a7c15ull;
  __u32 index = (mixed >> 32) * cfg.live_buckets >> 32;

  return bpf_map_lookup_elem(&live_buckets, &index);
}

/* The entry with this key, or AT_LIVE_BUCKET_ENTRIES. */
static __always_inline __u32 find_entry(struct at_live_bucket *bucket, __u64 key)
{
  __u32 index;

  for (index = 0; index < AT_LIVE_BUCKET_ENTRIES; index++)
    if (at_read_once(bucket->keys[index]) == key) break;
  return index;
}

static __always_inline int claim_entry(struct at_live_bucket *bucket, __u32 index, __u64 key)
{
  return __sync_val_compare_and_swap(&bucket->keys[index], key, AT_LIVE_BUSY) == key;
}

static __noinline long take_spilled(struct at_live_bucket *bucket, __u64 key, struct at_live *record)
{
  struct at_live *found = bpf_map_lookup_elem(&live_spill, &key);
  long error;

  if (!found || !bucket || !record) return -1;
  *record = *found; /* before the delete: the element can be reused by another CPU at once */
  error = bpf_map_delete_elem(&live_spill, &key);
  if (!error) at_add(&bucket->spilled, -1);
  return error;
}

static __noinline long put_spilled(struct at_live_bucket *bucket, __u64 key, const struct at_live *record)
{
  long error = -1;

  if (!bucket || !record) return error;
  error = bpf_map_update_elem(&live_spill, &key, record, BPF_NOEXIST);
  if (!error) at_add(&bucket->spilled, 1);
  return error;
}

/* Takes the record out of the table into *record. Returns 0 if there was one and this thread is the one that removed it. */
static __always_inline long take_live(__u64 key, struct at_live *record)
{
  struct at_live_bucket *bucket = bucket_of(key);
  __u32 index;

  if (!bucket) return -1;
  index = find_entry(bucket, key);
  if (index < AT_LIVE_BUCKET_ENTRIES && claim_entry(bucket, index, key)) {
    *record = bucket->records[index];
    at_publish(&bucket->keys[index], AT_LIVE_FREE);
    return 0;
  }
  return at_read_once(bucket->spilled) ? take_spilled(bucket, key, record) : -1;
}

/* Puts a record into the table. Returns 0, -EEXIST if the key is there already, or another error if there is no room. */
static __always_inline long put_live(__u64 key, const struct at_live *record)
{
  struct at_live_bucket *bucket = bucket_of(key);
  __u32 index;

  if (!bucket) return -1;
  if (find_entry(bucket, key) < AT_LIVE_BUCKET_ENTRIES) return -EEXIST;
  if (at_read_once(bucket->spilled) && bpf_map_lookup_elem(&live_spill, &key)) return -EEXIST;
  index = find_entry(bucket, AT_LIVE_FREE);
  if (index >= AT_LIVE_BUCKET_ENTRIES || !claim_entry(bucket, index, AT_LIVE_FREE)) return put_spilled(bucket, key, record);
  bucket->records[index] = *record;
  at_publish(&bucket->keys[index], key);
  return 0;
}

#endif
