/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pairs the entry of an allocator call with its return and accounts the outcome. Only the outermost call of a thread is
 * an allocation; what the allocator calls inside it is the same block. A call is known by the stack pointer at its
 * entry, so a return that was never seen (no memory for the return probe, an exception) is noticed at the next entry. */
#ifndef ALLOCTRAIL_BPF_PAIR_H
#define ALLOCTRAIL_BPF_PAIR_H

#include "bpf/live.h"

/* Depth to which the kernel keeps pending return probes of one thread (MAX_URETPROBE_DEPTH). */
#define MAX_PENDING_RETURNS 64

/* A request beyond the user address space cannot succeed; its size is not a number of bytes worth adding up. */
#define IMPOSSIBLE_SIZE (1ull << 47)

struct request {
  __u64 size_bytes;
  __u32 is_empty; /* asked for no byte at all: realloc(p, 0) */
  __u64 old; /* block handed to realloc */
  __u64 out; /* where posix_memalign stores the result */
};

static __always_inline __u64 sane_size(__u64 size_bytes)
{
  return size_bytes < IMPOSSIBLE_SIZE ? size_bytes : 0;
}

static __always_inline __u64 array_size(__u64 count, __u64 size_bytes)
{
  if (count >= IMPOSSIBLE_SIZE || size_bytes >= IMPOSSIBLE_SIZE) return 0;
  if (count && size_bytes > (IMPOSSIBLE_SIZE - 1) / count) return 0;
  return count * size_bytes;
}

static __always_inline void read_request(struct pt_regs *ctx, __u32 shape, struct request *request)
{
  __u64 first = PT_REGS_PARM1(ctx), second = PT_REGS_PARM2(ctx), third = PT_REGS_PARM3(ctx);

  request->old = 0;
  request->out = 0;
  request->is_empty = 0;
  switch (shape) {
  case AT_SHAPE_ALIGN_SIZE:
    request->size_bytes = sane_size(second);
    break;
  case AT_SHAPE_COUNT_SIZE:
    request->size_bytes = array_size(first, second);
    break;
  case AT_SHAPE_OUT_ALIGN_SIZE:
    request->size_bytes = sane_size(third);
    request->out = first;
    break;
  case AT_SHAPE_REALLOC:
    request->size_bytes = sane_size(second);
    request->is_empty = !second;
    request->old = first;
    break;
  case AT_SHAPE_REALLOC_ARRAY:
    request->size_bytes = array_size(second, third);
    request->is_empty = !second || !third;
    request->old = first;
    break;
  default:
    request->size_bytes = sane_size(first);
  }
}

/* Does the kernel still hold a return probe for the function entered with this stack pointer? */
static __noinline int return_is_pending(__u64 sp)
{
  struct task_struct *task = bpf_get_current_task_btf();
  struct uprobe_task *utask = task->utask;
  struct return_instance *instance = utask ? utask->return_instances : NULL;

  for (int i = 0; i < MAX_PENDING_RETURNS && instance; i++) {
    if (instance->stack == sp) return 1;
    instance = instance->next;
  }
  return 0;
}

/* Is the running thread, with its stack pointer at `sp`, still inside `call`? Asked only when a call looks nested. */
static __always_inline int inside_call(struct call *call, __u64 sp)
{
  if (!call->sp || sp > call->sp) return 0;
  if (!(call->flags & AT_PROBE_THROWS)) return return_is_pending(call->sp);
  /* No return probe there: the return address is still in its place until the frame is gone. */
  return call->return_address && read_user_word(call->sp) == call->return_address;
}

/* The call ended without a return: an exception if the function can throw, else its return probe was not made. */
static __always_inline void abandon_call(struct thread_state *state)
{
  struct call *call = &state->call;

  if (call->flags & AT_PROBE_THROWS)
    count_sized(state->slot, failed, call->size_bytes);
  else if (call->left_out)
    count_left_out(state->slot, call->left_out, call->size_bytes);
  else
    count_sized(state->slot, lost_return, call->size_bytes);
  if (call->has_aside) {
    debit_site(&call->aside);
    count(state->slot, released);
    call->has_aside = 0;
  }
  call->sp = 0;
}

/* Takes note of a new entry at `sp`. Returns 1 if it belongs to the call the thread is already in. */
static __always_inline int enter_nested(struct thread_state *state, __u64 sp, __u32 probe)
{
  struct call *call = &state->call;

  if (!call->sp) return 0;
  /* Same stack pointer and function: the same frame calls again, so the first call is over. */
  if (!(sp == call->sp && probe == call->probe) && inside_call(call, sp)) return 1;
  abandon_call(state);
  return 0;
}

/* A block is handed back: by free, or by a realloc that frees. */
static __always_inline int release_block(__u32 slot, __u64 address)
{
  struct at_live record;

  if (take_live(AT_LIVE_KEY(slot, address), &record)) return 0;
  debit_site(&record);
  count(slot, released);
  return 1;
}

static __always_inline void release_unknown(__u32 slot)
{
  count(slot, released);
  count(slot, free_unknown);
}

/* Moves the record of realloc's old block out of the table, so that another thread can be given its address. */
static __always_inline void set_aside(struct call *call, __u32 slot, __u64 old)
{
  call->has_aside = old && take_live(AT_LIVE_KEY(slot, old), &call->aside) == 0;
}

/* Entry of an allocating function. Returns 1 if its return need not be seen. */
static __always_inline int enter_allocation(struct pt_regs *ctx, __u64 cookie, __u32 slot)
{
  __u32 shape = AT_COOKIE_SHAPE(cookie), flags = AT_COOKIE_FLAGS(cookie), probe = AT_COOKIE_PROBE(cookie);
  __u64 sp = PT_REGS_SP(ctx) + AT_COOKIE_PUSHED(cookie);
  struct thread_state *state = thread_state_of_slot(slot);
  struct request request;
  struct call *call;

  read_request(ctx, shape, &request);
  if (!state) {
    count_sized(slot, seen, request.size_bytes);
    count_sized(slot, lost_state, request.size_bytes);
    return 1;
  }
  if (enter_nested(state, sp, probe)) {
    count(slot, nested);
    return 1;
  }
  if (request.old && request.is_empty && (flags & AT_PROBE_ZERO_FREES)) {
    if (!release_block(slot, request.old)) release_unknown(slot);
    state->handed_on = request.old; /* glibc passes it on to free */
    state->handed_on_sp = sp;
    return 1;
  }
  count_sized(slot, seen, request.size_bytes);
  call = &state->call;
  call->left_out = leave_out(slot, request.size_bytes, &call->rung);
  set_aside(call, slot, request.old);
  if (call->left_out && !call->has_aside && flags & AT_PROBE_LEAF) {
    /* Nothing depends on how it ends. */
    count_left_out(slot, call->left_out, request.size_bytes);
    if (request.old) release_unknown(slot);
    return 1;
  }
  call->sp = sp;
  call->size_bytes = request.size_bytes;
  call->out = request.old ? request.old : request.out;
  call->probe = probe;
  call->shape = shape;
  call->flags = flags;
  call->return_address = flags & AT_PROBE_THROWS ? read_user_word(sp) : 0;
  call->site = call->left_out ? 0 : current_site(ctx, state);
  return 0;
}

/* The address the call handed out; 0 if it failed. Returns 0, or an error if the result could not be read. */
static __always_inline long read_result(struct pt_regs *ctx, struct call *call, __u64 *address)
{
  __u64 result = PT_REGS_RC(ctx);

  if (call->shape != AT_SHAPE_OUT_ALIGN_SIZE) {
    *address = result;
    return 0;
  }
  *address = 0;
  if ((__u32)result) return 0; /* an error number: *out is stale */
  return bpf_probe_read_user(address, sizeof(*address), (void *)call->out);
}

/* A failed realloc leaves the old block as it was. */
static __always_inline void put_back(struct call *call, __u32 slot)
{
  __u64 key = AT_LIVE_KEY(slot, call->out);

  if (!call->has_aside) return;
  call->has_aside = 0;
  if (put_live(key, &call->aside) == 0) return;
  debit_site(&call->aside);
  count(slot, realloc_aside_full);
  count(slot, released);
}

static __always_inline void finish_realloc(struct call *call, __u32 slot)
{
  if (call->has_aside) {
    call->has_aside = 0;
    debit_site(&call->aside);
    count(slot, released);
  } else if (call->out) {
    release_unknown(slot);
  }
}

static __always_inline int is_realloc(__u32 shape)
{
  return shape == AT_SHAPE_REALLOC || shape == AT_SHAPE_REALLOC_ARRAY;
}

/* Return of an allocating function, by a return probe or on its return instruction. */
static __always_inline void leave_allocation(struct pt_regs *ctx, __u64 cookie, __u32 slot)
{
  struct thread_state *state = existing_thread_state();
  __u64 popped = AT_COOKIE_FLAGS(cookie) & AT_PROBE_THROWS ? 0 : sizeof(__u64);
  struct call *call;
  __u64 address;

  if (!state || state->slot != slot) return;
  call = &state->call;
  if (!call->sp || PT_REGS_SP(ctx) - popped != call->sp) return; /* return of a nested or an unseen call */
  call->sp = 0;
  if (read_result(ctx, call, &address)) {
    count_sized(slot, lost_fault, call->size_bytes);
    return;
  }
  if (!address) {
    count_sized(slot, failed, call->size_bytes);
    put_back(call, slot);
    return;
  }
  if (is_realloc(call->shape)) finish_realloc(call, slot);
  if (call->left_out) {
    count_left_out(slot, call->left_out, call->size_bytes);
    return;
  }
  record_live(slot, address, call->size_bytes, call->site, call->rung);
}

/* Does this release only carry on one that has been accounted already? Asked when it finds no record. */
static __always_inline int continues_release(struct thread_state *state, __u64 address, __u64 sp)
{
  if (state->handed_on == address && sp <= state->handed_on_sp) {
    state->handed_on = 0;
    return 1;
  }
  if (!state->call.sp) return 0;
  if (inside_call(&state->call, sp)) return 1;
  /* The exception that ended the call is being freed: nothing else may come from this thread for long. */
  if (state->call.flags & AT_PROBE_THROWS) abandon_call(state);
  return 0;
}

static __always_inline void remember_release(__u32 slot, __u64 address, __u64 sp)
{
  struct thread_state *state = thread_state_of_slot(slot);

  if (!state) return; /* then the inner release counts as free_unknown */
  state->handed_on = address;
  state->handed_on_sp = sp;
}

/* Entry of a releasing function. */
static __always_inline void enter_release(struct pt_regs *ctx, __u64 cookie, __u32 slot)
{
  __u64 address = PT_REGS_PARM1(ctx);
  __u64 sp = PT_REGS_SP(ctx) + AT_COOKIE_PUSHED(cookie);
  struct thread_state *state;

  if (!address) {
    count(slot, free_null);
    return;
  }
  if (!release_block(slot, address)) {
    state = existing_thread_state();
    if (state && state->slot == slot && continues_release(state, address, sp)) {
      count(slot, nested);
      return;
    }
    release_unknown(slot);
  }
  if (AT_COOKIE_FLAGS(cookie) & AT_PROBE_HANDS_ON) remember_release(slot, address, sp);
}

#endif
