/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Recording a block in the live table, and the site counters that go with it. */
#ifndef ALLOCTRAIL_BPF_LIVE_H
#define ALLOCTRAIL_BPF_LIVE_H

#include "bpf/clock.h"
#include "bpf/live_table.h"
#include "bpf/sample.h"
#include "bpf/site.h"

static __always_inline void credit_site(const struct at_live *record)
{
  __u32 index = record->site;
  struct at_site *site = bpf_map_lookup_elem(&sites, &index);

  if (!site) return;
  at_add(&site->allocated_bytes, record->size_bytes);
  at_add(&site->allocated_blocks, 1);
  if (cfg.samples) add_sample(record, AT_SAMPLES_ALLOCATED);
}

static __always_inline void debit_site(const struct at_live *record)
{
  __u32 index = record->site;
  struct at_site *site = bpf_map_lookup_elem(&sites, &index);

  if (!site) return;
  at_add(&site->freed_bytes, record->size_bytes);
  at_add(&site->freed_blocks, 1);
  if (cfg.samples) add_sample(record, AT_SAMPLES_FREED);
}

/* The address was handed out while we believe it live: its free was missed. */
static __noinline long replace_live(__u32 slot, __u64 key, struct at_live *record)
{
  struct at_live old;

  if (!record) return -1;
  if (take_live(key, &old) == 0) {
    debit_site(&old);
    count_sized(slot, missed_free, old.size_bytes);
  }
  return put_live(key, record);
}

/* Records a block the program was just given. */
static __always_inline void record_live(__u32 slot, __u64 address, __u64 size_bytes, __u32 site, __u8 rung)
{
  __u64 key = AT_LIVE_KEY(slot, address);
  struct at_live record = {
      .size_bytes = size_bytes,
      .rung = rung,
      .site = site,
      .birth_ms = coarse_now_ms(),
  };
  long error;

  if (address >> AT_LIVE_ADDRESS_BITS) {
    count_sized(slot, lost_range, size_bytes);
    return;
  }
  if (!site) {
    count_sized(slot, lost_site_full, size_bytes);
    return;
  }
  error = put_live(key, &record);
  if (error == -EEXIST) error = replace_live(slot, key, &record);
  if (error) {
    count_sized(slot, lost_live_full, size_bytes);
    return;
  }
  credit_site(&record);
  count_sized(slot, tracked, size_bytes);
}

#endif
