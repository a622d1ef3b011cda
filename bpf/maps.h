/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every map: what its key means, why its size, what happens when it is full. Sizes written as 1 are set by user space
 * before load, from the command line's limits. */
#ifndef ALLOCTRAIL_BPF_MAPS_H
#define ALLOCTRAIL_BPF_MAPS_H

#include "alloctrail/config.h"
#include "alloctrail/counters.h"
#include "alloctrail/live_table.h"
#include "alloctrail/probe.h"
#include "alloctrail/records.h"
#include "alloctrail/sampling.h"
#include "bpf/kernel_types.h"

/* Set in read-only data before load; the defaults load and verify alone. */
AT_READ_ONLY_DATA struct at_config cfg = {
    .max_sites = 1 << 18,
    .max_stacks = 1 << 16,
    .max_frames = 1 << 20,
    .max_threads = 1 << 14,
    .live_buckets = 1 << 3,
};

/* Blocks handed out and not yet freed: AT_LIVE_KEY(slot, address) -> struct at_live, see live_table.h. Made whole at the
 * start, 128 bytes for each six blocks of --max-live: most blocks never touch anything else. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct at_live_bucket);
} live_buckets SEC(".maps");

/* Those whose bucket was full. Grows with them up to what the buckets leave of --max-live; beyond it the block is counted
 * as lost_live_full and its site is not credited. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, __u64);
  __type(value, struct at_live);
} live_spill SEC(".maps");

/* (stack hash, thread, slot) -> index into sites. One lookup per traced allocation. Full: lost_site_full. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, struct at_site_key);
  __type(value, __u32);
} site_ids SEC(".maps");

/* What the sampled records of a site stand for, by the site's index. One element where nothing is sampled. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct at_site_samples);
} site_samples SEC(".maps");

/* The sampling table, filled before anything is attached and never changed: records refer to it for good. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, AT_SAMPLE_RUNGS * AT_SAMPLE_CLASSES);
  __type(key, __u32);
  __type(value, struct at_sample_class);
} sample_classes SEC(".maps");

/* Slot -> the rung at which its process is sampled now. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, AT_MAX_SLOTS);
  __type(key, __u32);
  __type(value, __u32);
} sample_rungs SEC(".maps");

/* --thread: numbers and names of the threads whose allocations are recorded. Filled before anything is attached. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, AT_MAX_WANTED_THREADS);
  __type(key, __u32);
  __type(value, __u32);
} wanted_threads SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, AT_MAX_WANTED_THREADS);
  __type(key, struct at_thread_name);
  __type(value, __u32);
} wanted_names SEC(".maps");

/* Stack hash -> index into stacks. Looked at only when a site is new. Full: the site gets stack 0, counted stack_full. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, struct at_stack_key);
  __type(value, __u32);
} stack_ids SEC(".maps");

/* Aggregates by index, appended to and never moved, so that user space reads them without system calls. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct at_site);
} sites SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct at_stack);
} stacks SEC(".maps");

/* Pool of return addresses; a stack names its first one and how many. Full: stack_full. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} frames SEC(".maps");

/* Threads that have allocated, by order of first sight; a reused thread id is a new thread. Full: thread_full. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct at_thread);
} threads SEC(".maps");

/* How far the arrays above are used. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct at_cursors);
} cursors SEC(".maps");

/* Slot -> which process it stands for. A probe's cookie names the slot, so no program searches for its target. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, AT_MAX_SLOTS);
  __type(key, __u32);
  __type(value, struct at_slot);
} slots SEC(".maps");

/* Process id -> slot, for the tracepoints, which have no cookie. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, AT_MAX_SLOTS);
  __type(key, __u32);
  __type(value, __u32);
} targets SEC(".maps");

/* Event counters of each slot; user space sums the CPUs. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, AT_MAX_SLOTS);
  __type(key, __u32);
  __type(value, struct at_counters);
} counters SEC(".maps");

/* Hits of each probe, by the index in its cookie. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, AT_MAX_PROBES);
  __type(key, __u32);
  __type(value, __u64);
} probe_hits SEC(".maps");

/* Notices to user space. 16 bytes each, so 8,192 fit; a dropped one is counted, and what it announced is in the maps. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* Slots whose loader has announced changes: the same news once more, for a thread that reads nothing else. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} load_notices SEC(".maps");

#endif
