/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which site an allocation belongs to: (thread, stack) -> index into `sites`. One hash lookup once a site is known. */
#ifndef ALLOCTRAIL_BPF_SITE_H
#define ALLOCTRAIL_BPF_SITE_H

#include "bpf/stack.h"

static __noinline __u32 new_site(struct at_site_key *key, __u32 stack)
{
  struct at_cursors *cursor = get_cursors();
  struct at_site *site;
  __u32 *known;
  __u32 index;

  if (!key || !cursor) return 0;
  index = next_index(&cursor->sites, cfg.max_sites);
  site = bpf_map_lookup_elem(&sites, &index);
  if (!index || !site) return 0;
  site->slot = key->slot;
  site->thread = key->thread;
  site->stack = stack;
  site->state = AT_SITE_READY;
  if (bpf_map_update_elem(&site_ids, key, &index, BPF_NOEXIST)) {
    /* The same thread cannot race with itself; only the overflow thread gets here with an existing key. */
    site->state = 0;
    known = bpf_map_lookup_elem(&site_ids, key);
    return known ? *known : 0;
  }
  return index;
}

static __always_inline __u32 known_site(struct at_site_key *key)
{
  __u32 *index = bpf_map_lookup_elem(&site_ids, key);

  return index ? *index : 0;
}

/* The site without frames of this thread: no scratch memory, or no room for the stack. */
static __noinline __u32 stackless_site(__u32 thread, __u32 slot)
{
  struct at_site_key key = {.thread = thread, .slot = slot};
  __u32 site = known_site(&key);

  return site ? site : new_site(&key, AT_STACK_NONE);
}

static __always_inline __u32 site_of_stack(struct walked_stack *walked, struct at_unwind_scratch *scratch, __u32 thread,
                                           __u32 slot)
{
  struct at_site_key key = {
      .hash_low = walked->hash.hash_low, .hash_high = walked->hash.hash_high, .thread = thread, .slot = slot};
  __u32 site = known_site(&key);
  __u32 stack;

  if (site) return site;
  stack = intern_stack(walked, scratch, slot);
  if (stack != AT_STACK_NONE) return new_site(&key, stack);
  count(slot, stack_full);
  return stackless_site(thread, slot);
}

/* The site of the allocation call the running thread is entering. 0: the site table is full. */
static __always_inline __u32 current_site(struct pt_regs *ctx, struct thread_state *state)
{
  __u32 thread = state->thread ? state->thread : register_thread(state);
  __u32 slot = state->slot;
  struct stack_scratch *scratch;
  struct walked_stack walked;
  __u32 site;

  if (thread == AT_THREAD_OVERFLOW) count(slot, thread_full);
  scratch = claim_scratch();
  if (!scratch) {
    count(slot, stack_scratch_busy);
    return stackless_site(thread, slot);
  }
  walk_stack(ctx, &state->call, slot, &scratch->walk, &walked);
  site = site_of_stack(&walked, &scratch->walk, thread, slot);
  release_scratch(scratch);
  return site;
}

#endif
