/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Unwinds one frame by the compiled tables: registers in, caller's registers out. Pure logic, also compiled natively by
 * the unit tests; what differs between the two is given by the includer, which defines before including this:
 *
 *   AT_UNWIND_GLOBAL                  how a function is declared that is to be verified once, for any arguments:
 *                                     in BPF non-static and never inlined, else the verifier sees 256 copies of it
 *   AT_UNWIND_COPY(to, bytes, from)   copies stack memory of the walked thread; 0 on success
 *   AT_UNWIND_BLOCK(index)            const struct at_unwind_block *, or NULL
 *   AT_UNWIND_CHUNK(index)            const struct at_unwind_row *: that chunk's AT_UNWIND_CHUNK_ROWS rows, or NULL
 *   AT_UNWIND_SIDE_RULE(index)        const struct at_unwind_side *, or NULL
 *   AT_UNWIND_REPAIR(slot)            the return address a pending return probe replaced at that address, or 0
 *
 * A walk is: at_unwind_start(), then at_unwind_step() in a plain bounded loop until it returns non-zero. */
#ifndef ALLOCTRAIL_BPF_UNWIND_STEP_H
#define ALLOCTRAIL_BPF_UNWIND_STEP_H

#include "alloctrail/records.h"
#include "alloctrail/unwind_lookup.h"

#define AT_UNWIND_PAGE_BYTES 4096
#define AT_UNWIND_WINDOW_WORDS 256 /* reading 2 KiB of stack costs about as much as reading 8 bytes */
#define AT_UNWIND_FRAME_POINTER_REACH (1u << 20)

/* Memory of one walk; it must not be shared with a walk that preempts this one. */
struct at_unwind_scratch {
  __u64 frames[AT_MAX_FRAMES];
  __u64 window[AT_UNWIND_WINDOW_WORDS];
};

/* Rules by address, direct mapped, shared by all walks on a CPU. An entry torn by a preempting walk fails its check. */
#define AT_UNWIND_CACHE_ENTRIES 1024
struct at_unwind_cache {
  struct {
    __u64 key;
    __u64 value;
  } entries[AT_UNWIND_CACHE_ENTRIES];
};
AT_ASSERT_SIZE(at_unwind_cache, 16 * AT_UNWIND_CACHE_ENTRIES);

/* What is known about the current frame's pc. */
enum at_unwind_site {
  AT_UNWIND_AFTER_CALL = 0, /* a return address: the call is the instruction before it        */
  AT_UNWIND_EXACT = 1,      /* the next instruction: interrupted by a signal, or our own      */
  AT_UNWIND_ENTRY = 2,      /* a function's entry: the return address lies at sp, no rule needed */
};

struct at_unwind_state {
  __u64 pc;
  __u64 sp;
  __u64 bp;
  __u64 return_slot; /* where pc was read from; 0: not from a return address */
  struct at_stack_key hash;
  __u64 window;      /* address of the first word in the scratch window */
  __u32 window_bytes;
  __u32 frame_count;
  __u32 mapping;     /* of the frame before: most often this one's, too */
  __u32 site;        /* enum at_unwind_site */
  __u32 status;      /* enum at_stack_status: how the walk ended */
  __u32 guessed;     /* frames found by following %rbp where no rule was known */
  __u32 changing;    /* 1: the loader is at work, AT_UNWIND_UNLOADABLE mappings may hold another file by now */
  __u32 reserved;
};
AT_ASSERT_SIZE(at_unwind_state, 88);

/* Where the caller's registers are. */
struct at_unwind_plan {
  __u64 cfa;
  __u64 return_at;
  __u64 rbp_at; /* 0: rbp is unchanged */
};

/* Begins a walk. `hash` holds the seeds of this run and whatever else tells stacks apart. At AT_UNWIND_ENTRY `sp` is
 * the address of the return address: the probe's %rsp plus the bytes pushed since the entry. */
AT_UNWIND_INLINE void at_unwind_start(struct at_unwind_state *state, __u64 pc, __u64 sp, __u64 bp,
                                      enum at_unwind_site site, struct at_stack_key hash)
{
  __builtin_memset(state, 0, sizeof(*state));
  state->pc = pc;
  state->sp = sp;
  state->bp = bp;
  state->site = site;
  state->hash = hash;
  state->status = AT_STACK_truncated;
}

/* Two independent multiply-xorshift lanes, so that stacks are told apart by 128 bits. */
AT_UNWIND_INLINE void at_unwind_hash(struct at_stack_key *hash, __u64 pc)
{
  hash->hash_low = (hash->hash_low ^ pc) * 0x9fb21c651e98df25ull;
  hash->hash_low ^= hash->hash_low >> 32;
  hash->hash_high = (hash->hash_high + pc) * 0xd6e8feb86659fd93ull;
  hash->hash_high ^= hash->hash_high >> 29;
}

/* Every frame but the first is kept as the address after its current instruction, as return addresses are: one byte
 * before it lies in that instruction, also in a function that a signal interrupted. */
AT_UNWIND_INLINE void at_unwind_push(struct at_unwind_state *state, struct at_unwind_scratch *scratch)
{
  __u64 frame = state->pc + (state->site == AT_UNWIND_EXACT && state->frame_count != 0);

  scratch->frames[state->frame_count & (AT_MAX_FRAMES - 1)] = frame;
  state->frame_count++;
  at_unwind_hash(&state->hash, frame);
}

/* Reads a word of stack through the window. A window never crosses a page: a read that fails costs more than six that
 * do not, and the page after the stack's top is not there. */
AT_UNWIND_INLINE int at_unwind_read(struct at_unwind_state *state, struct at_unwind_scratch *scratch, __u64 address,
                                    __u64 *word)
{
  __u64 distance = address - state->window;
  __u32 bytes = AT_UNWIND_PAGE_BYTES - ((__u32)address & (AT_UNWIND_PAGE_BYTES - 1));

  if (address & 7) return AT_UNWIND_COPY(word, sizeof(*word), address);
  if (distance < state->window_bytes) {
    *word = scratch->window[(distance >> 3) & (AT_UNWIND_WINDOW_WORDS - 1)];
    return 0;
  }
  if (bytes > sizeof(scratch->window)) bytes = sizeof(scratch->window);
  state->window_bytes = 0;
  if (AT_UNWIND_COPY(scratch->window, bytes, address)) return -1;
  state->window = address;
  state->window_bytes = bytes;
  *word = scratch->window[0];
  return 0;
}

AT_UNWIND_GLOBAL __u32 at_unwind_find_mapping(const struct at_unwind_process *process, __u64 address, __u32 hint)
{
  const struct at_unwind_mapping *last;

  if (!process) return AT_UNWIND_NO_MAPPING;
  last = &process->mappings[hint & (AT_UNWIND_MAX_MAPPINGS - 1)];
  if (hint < process->mapping_count && address >= last->start && address < last->end) return hint;
  return at_unwind_search_mappings(process, address);
}

AT_UNWIND_GLOBAL __u32 at_unwind_find_rule(__u32 block_index, __u32 offset)
{
  const struct at_unwind_block *block = AT_UNWIND_BLOCK(block_index);
  const struct at_unwind_row *rows;

  if (!block) return AT_UNWIND_INVALID;
  rows = AT_UNWIND_CHUNK(block->row / AT_UNWIND_CHUNK_ROWS);
  if (!rows) return AT_UNWIND_INVALID;
  return at_unwind_search(rows, AT_UNWIND_CHUNK_ROWS - 1, block->row, block->count, offset);
}

/* Rule types that rows never hold: the address lies in no mapping, or in one whose table is not there yet. */
#define AT_UNWIND_UNMAPPED 15
#define AT_UNWIND_NO_TABLE 14

AT_UNWIND_INLINE __u32 at_unwind_rule_in(const struct at_unwind_state *state, const struct at_unwind_process *process,
                                         __u32 index, __u64 address)
{
  const struct at_unwind_mapping *mapping = &process->mappings[index & (AT_UNWIND_MAX_MAPPINGS - 1)];
  __u64 offset = address - mapping->bias;
  __u64 block = offset >> AT_UNWIND_BLOCK_SHIFT;

  if (mapping->flags & (state->changing ? AT_UNWIND_PENDING | AT_UNWIND_UNLOADABLE : AT_UNWIND_PENDING)) return AT_UNWIND_NO_TABLE;
  if (block >= mapping->block_count) return AT_UNWIND_INVALID;
  return at_unwind_find_rule(mapping->first_block + (__u32)block, (__u32)offset);
}

/* The rule for the current frame. A pc that lies nowhere may be the trampoline of a return probe: then pc is corrected
 * first, so that the cache only ever holds real addresses. */
AT_UNWIND_INLINE __u32 at_unwind_rule(struct at_unwind_state *state, const struct at_unwind_process *process,
                                      struct at_unwind_cache *cache)
{
  __u64 address = state->pc - (state->site == AT_UNWIND_AFTER_CALL), generation, hash, key, tag, value;
  __u32 index, rule;

  generation = process->generation + state->changing;
  hash = (address + generation) * 0x9e3779b97f4a7c15ull;
  tag = hash & 0xffffffff00000000ull;
  key = address | generation << 47;
  index = (__u32)(hash >> 22) & (AT_UNWIND_CACHE_ENTRIES - 1);
  value = cache->entries[index].value;
  if (cache->entries[index].key == key && (value & 0xffffffff00000000ull) == tag) return (__u32)value;

  index = at_unwind_find_mapping(process, address, state->mapping);
  if (index == AT_UNWIND_NO_MAPPING && state->return_slot) {
    __u64 replaced = AT_UNWIND_REPAIR(state->return_slot);

    if (!replaced) return AT_UNWIND_UNMAPPED;
    state->pc = replaced;
    index = at_unwind_find_mapping(process, replaced - 1, state->mapping);
    if (index == AT_UNWIND_NO_MAPPING) return AT_UNWIND_UNMAPPED;
    state->mapping = index;
    return at_unwind_rule_in(state, process, index, replaced - 1);
  }
  if (index == AT_UNWIND_NO_MAPPING) return AT_UNWIND_UNMAPPED;
  state->mapping = index;
  rule = at_unwind_rule_in(state, process, index, address);
  index = (__u32)(hash >> 22) & (AT_UNWIND_CACHE_ENTRIES - 1);
  cache->entries[index].key = key;
  cache->entries[index].value = tag | rule;
  return rule;
}

AT_UNWIND_INLINE int at_unwind_end(struct at_unwind_state *state, enum at_stack_status status)
{
  state->status = status == AT_STACK_complete && state->guessed ? AT_STACK_frame_pointers : status;
  return 1;
}

/* Without a rule: the chain of frame pointers, if %rbp can be one. The stack is marked, as callers may be missing. */
AT_UNWIND_INLINE int at_unwind_plan_guess(struct at_unwind_state *state, struct at_unwind_plan *plan)
{
  if ((state->bp & 7) || state->bp < state->sp || state->bp - state->sp >= AT_UNWIND_FRAME_POINTER_REACH) return -1;
  plan->rbp_at = state->bp;
  plan->return_at = state->bp + 8;
  plan->cfa = state->bp + 16;
  state->guessed++;
  return 0;
}

/* The kernel's signal frame: rsp points at struct ucontext, whose registers begin 40 bytes in. */
AT_UNWIND_INLINE int at_unwind_plan_signal(struct at_unwind_state *state, struct at_unwind_scratch *scratch,
                                           struct at_unwind_plan *plan)
{
  plan->rbp_at = state->sp + 40 + 80;
  plan->return_at = state->sp + 40 + 128;
  return at_unwind_read(state, scratch, state->sp + 40 + 120, &plan->cfa);
}

AT_UNWIND_INLINE int at_unwind_plan_side(struct at_unwind_state *state, struct at_unwind_scratch *scratch, __u32 index,
                                         struct at_unwind_plan *plan)
{
  const struct at_unwind_side *side = AT_UNWIND_SIDE_RULE(index);
  __u64 base;

  if (!side) return AT_STACK_unsupported;
  base = side->cfa == AT_UNWIND_SIDE_RBP || side->cfa == AT_UNWIND_SIDE_AT_RBP ? state->bp : state->sp;
  plan->cfa = base + (__s64)side->offset;
  if (side->cfa >= AT_UNWIND_SIDE_AT_RSP) {
    if (at_unwind_read(state, scratch, plan->cfa, &plan->cfa)) return AT_STACK_fault;
    plan->cfa += (__s64)side->add;
  }
  plan->return_at = plan->cfa + (__s64)side->return_offset;
  if (side->rbp == AT_UNWIND_RBP_AT_CFA) plan->rbp_at = plan->cfa + (__s64)side->rbp_offset;
  if (side->rbp == AT_UNWIND_RBP_AT_RBP) plan->rbp_at = state->bp + (__s64)side->rbp_offset;
  if (side->rbp == AT_UNWIND_RBP_LOST) state->bp = 0;
  return 0;
}

/* Carries out a plan. A call's frame must lie above its callee's, or the walk could go round in circles; a signal's
 * may lie anywhere, as handlers have stacks of their own. */
AT_UNWIND_INLINE int at_unwind_move(struct at_unwind_state *state, struct at_unwind_scratch *scratch,
                                    const struct at_unwind_plan *plan, enum at_unwind_site next)
{
  __u64 pc, bp = state->bp;

  if (next == AT_UNWIND_AFTER_CALL && plan->cfa <= state->sp) return at_unwind_end(state, AT_STACK_unsupported);
  if (plan->rbp_at && at_unwind_read(state, scratch, plan->rbp_at, &bp)) return at_unwind_end(state, AT_STACK_fault);
  if (at_unwind_read(state, scratch, plan->return_at, &pc)) return at_unwind_end(state, AT_STACK_fault);
  if (pc == 0) return at_unwind_end(state, AT_STACK_complete);
  state->pc = pc;
  state->sp = plan->cfa;
  state->bp = bp;
  state->site = next;
  state->return_slot = next == AT_UNWIND_AFTER_CALL ? plan->return_at : 0;
  return 0;
}

/* Moves from the current frame, whose rule this is, to its caller. Non-zero: the walk has ended, see state->status. */
AT_UNWIND_INLINE int at_unwind_apply(struct at_unwind_state *state, struct at_unwind_scratch *scratch, __u32 rule)
{
  struct at_unwind_plan plan = {};
  enum at_unwind_site next = AT_UNWIND_AFTER_CALL;
  __u32 type = AT_UNWIND_TYPE(rule);
  int problem;

  if (type == AT_UNWIND_CFA_RSP || type == AT_UNWIND_CFA_RBP) {
    plan.cfa = (type == AT_UNWIND_CFA_RSP ? state->sp : state->bp) + AT_UNWIND_CFA_BYTES(rule);
    plan.return_at = plan.cfa - 8;
    plan.rbp_at = AT_UNWIND_RBP_BYTES(rule) != 0 ? plan.cfa - AT_UNWIND_RBP_BYTES(rule) : 0;
  } else if (type == AT_UNWIND_INVALID) {
    if (at_unwind_plan_guess(state, &plan)) return at_unwind_end(state, AT_STACK_no_rule);
  } else if (type == AT_UNWIND_PLT) {
    plan.cfa = state->sp + ((state->pc & 15) >= AT_UNWIND_VALUE(rule) ? 16 : 8);
    plan.return_at = plan.cfa - 8;
  } else if (type == AT_UNWIND_SIGNAL) {
    next = AT_UNWIND_EXACT;
    if (at_unwind_plan_signal(state, scratch, &plan)) return at_unwind_end(state, AT_STACK_fault);
  } else if (type == AT_UNWIND_SIDE) {
    problem = at_unwind_plan_side(state, scratch, AT_UNWIND_VALUE(rule), &plan);
    if (problem) return at_unwind_end(state, (enum at_stack_status)problem);
  } else {
    return at_unwind_end(state, type == AT_UNWIND_STOP       ? AT_STACK_complete
                                : type == AT_UNWIND_UNMAPPED ? AT_STACK_no_mapping
                                : type == AT_UNWIND_NO_TABLE ? AT_STACK_no_table
                                                             : AT_STACK_unsupported);
  }
  return at_unwind_move(state, scratch, &plan, next);
}

/* Records the current frame and moves on to its caller. Non-zero: the walk has ended, see state->status. */
AT_UNWIND_GLOBAL int at_unwind_step(struct at_unwind_state *state, struct at_unwind_scratch *scratch,
                                    const struct at_unwind_process *process, struct at_unwind_cache *cache)
{
  __u32 rule;

  if (!state || !scratch || !process || !cache) return 1;
  rule = state->site == AT_UNWIND_ENTRY ? AT_UNWIND_FRAME(AT_UNWIND_CFA_RSP, 1, 0)
                                        : at_unwind_rule(state, process, cache);
  at_unwind_push(state, scratch);
  return at_unwind_apply(state, scratch, rule);
}

#endif
