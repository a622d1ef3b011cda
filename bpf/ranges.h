/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* System calls that change what a traced process has mapped -> records (alloctrail/ranges.h). The tracepoint is hit by every
 * system call of the machine: whatever is not wanted leaves by its number first. Only the exits are looked at: arguments
 * are in the registers still, and a second tracepoint would cost every call as much again. A process is known by its
 * address space, so that a vfork child, or any other process that shares it, counts as part of it. */
#ifndef ALLOCTRAIL_BPF_RANGES_H
#define ALLOCTRAIL_BPF_RANGES_H

#include "alloctrail/ranges.h"
#include "bpf/pair.h"
#include "bpf/range_types.h"

/* Full: the record is counted as lost, and user space reads /proc/PID/maps anew. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} range_records SEC(".maps");

/* Address space (mm_struct) -> slot. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, AT_MAX_SLOTS);
  __type(key, __u64);
  __type(value, __u32);
} address_spaces SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, AT_MAX_SLOTS);
  __type(key, __u32);
  __type(value, struct at_range_calls);
} range_calls SEC(".maps");

#define RANGE_PAGE_BYTES 4096ull
/* User space is woken once in this many bytes of records; what is in the ring at a report is read anyway. */
#define RANGE_WAKE_BYTES (512u << 10)

/* ---- which calls ---------------------------------------------------------------------------------------------------- */
#define CALL_BIT(number) (1ull << (number))

static __always_inline int changes_ranges(__u64 number)
{
  if (number < 64)
    return (CALL_BIT(SYS_mmap) | CALL_BIT(SYS_mprotect) | CALL_BIT(SYS_munmap) | CALL_BIT(SYS_brk) |
            CALL_BIT(SYS_mremap) | CALL_BIT(SYS_madvise) | CALL_BIT(SYS_shmat) | CALL_BIT(SYS_clone)) >> number & 1;
  return number == SYS_shmdt || number == SYS_clone3 || number == SYS_pkey_mprotect || number == SYS_remap_file_pages ||
         number == SYS_io_setup || number == SYS_io_destroy || number == SYS_map_shadow_stack;
}

/* A 64-bit program may also call by the i386 numbers (int 0x80). */
static __always_inline int changes_ranges_compat(__u64 number)
{
  return number == I386_brk || number == I386_mmap || number == I386_munmap || number == I386_ipc ||
         number == I386_mprotect || number == I386_mremap || number == I386_mmap2 || number == I386_madvise ||
         number == I386_remap_file_pages || number == I386_shmat || number == I386_shmdt;
}

static __always_inline int is_compat_call(struct task_struct___range *task)
{
  return task->thread_info.status & RANGE_TS_COMPAT;
}

/* ---- what they have done ------------------------------------------------------------------------------------------------ */
static __always_inline struct at_range_calls *calls_of(__u32 slot)
{
  return bpf_map_lookup_elem(&range_calls, &slot);
}

static __always_inline __u64 whole_pages(__u64 bytes)
{
  return (bytes + RANGE_PAGE_BYTES - 1) & ~(RANGE_PAGE_BYTES - 1);
}

static __always_inline int is_error(__u64 result)
{
  return result >= -4095ull;
}

static __always_inline void set_map(struct at_range_record *record, struct pt_regs___range *regs, __u64 result)
{
  __u64 flags = regs->r10, page_bits = flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK;
  __u64 unit = RANGE_PAGE_BYTES;

  if ((flags & MAP_HUGETLB) && (flags & MAP_ANONYMOUS)) unit = 1ull << (page_bits ? page_bits : 21);
  record->kind = AT_RANGE_MAP;
  record->start = result;
  record->bytes = (regs->si + unit - 1) & ~(unit - 1);
  record->flags = ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) == MAP_FIXED ? AT_RANGE_FIXED : 0) |
                  (flags & MAP_ANONYMOUS ? AT_RANGE_ANONYMOUS : 0) |
                  ((flags & MAP_TYPE) != MAP_PRIVATE ? AT_RANGE_SHARED : 0) |
                  (regs->dx & (PROT_READ | PROT_WRITE | PROT_EXEC) ? 0 : AT_RANGE_NO_ACCESS) |
                  (flags & MAP_STACK ? AT_RANGE_THREAD_STACK : 0) |
                  (flags & MAP_GROWSDOWN ? AT_RANGE_GROWS_DOWN : 0);
}

static __always_inline void set_remap(struct at_range_record *record, struct pt_regs___range *regs, __u64 result)
{
  record->kind = AT_RANGE_REMAP;
  record->start = result;
  record->bytes = whole_pages(regs->dx);
  record->old_start = regs->di;
  record->old_bytes = whole_pages(regs->si);
  record->flags = regs->r10 & MREMAP_FIXED ? AT_RANGE_FIXED : 0;
  if (record->old_bytes == 0 || (regs->r10 & MREMAP_DONTUNMAP)) record->flags |= AT_RANGE_KEEPS_OLD;
}

static __always_inline void set_break(struct at_range_record *record, struct pt_regs___range *regs,
                                      struct mm_struct___range *mm, __u64 result)
{
  if (result != regs->di) return; /* refused, or only asked */
  record->kind = AT_RANGE_BREAK;
  record->start = mm->brk;
  record->old_start = mm->start_brk;
  record->flags = AT_RANGE_ANONYMOUS;
}

static __always_inline void set_advice(struct at_range_record *record, struct pt_regs___range *regs)
{
  if (regs->dx != MADV_DONTNEED && regs->dx != MADV_FREE && regs->dx != MADV_REMOVE) return;
  record->kind = AT_RANGE_ADVISE;
  record->start = regs->di;
  record->bytes = whole_pages(regs->si);
}

static __always_inline void set_stack(struct at_range_record *record, __u64 top)
{
  if (!top) return;
  record->kind = AT_RANGE_STACK;
  record->start = top - 1;
}

static __always_inline void set_clone3(struct at_range_record *record, struct pt_regs___range *regs)
{
  struct clone_args_head arguments = {};

  if (bpf_probe_read_user(&arguments, sizeof(arguments), (void *)regs->di)) return;
  if ((arguments.flags & CLONE_VM) && arguments.stack) set_stack(record, arguments.stack + arguments.stack_size);
}

/* What a call that succeeded has changed; no kind: nothing. */
static __always_inline void describe(struct at_range_record *record, struct pt_regs___range *regs,
                                     struct mm_struct___range *mm, __u64 number, __u64 result)
{
  switch (number) {
  case SYS_mmap:
    set_map(record, regs, result);
    break;
  case SYS_munmap:
    record->kind = AT_RANGE_UNMAP;
    record->start = regs->di;
    record->bytes = whole_pages(regs->si);
    break;
  case SYS_mprotect:
  case SYS_pkey_mprotect:
    record->kind = AT_RANGE_PROTECT;
    record->start = regs->di;
    record->bytes = whole_pages(regs->si);
    record->flags = regs->dx & (PROT_READ | PROT_WRITE | PROT_EXEC) ? 0 : AT_RANGE_NO_ACCESS;
    break;
  case SYS_brk:
    set_break(record, regs, mm, result);
    break;
  case SYS_mremap:
    set_remap(record, regs, result);
    break;
  case SYS_madvise:
    set_advice(record, regs);
    break;
  case SYS_shmat:
    record->kind = AT_RANGE_MAP;
    record->start = result;
    record->flags = AT_RANGE_SHARED | AT_RANGE_SEGMENT;
    break;
  case SYS_shmdt:
    record->kind = AT_RANGE_DETACH;
    record->start = regs->di;
    break;
  case SYS_clone:
    if (result && (regs->di & CLONE_VM)) set_stack(record, regs->si);
    break;
  case SYS_clone3:
    if (result) set_clone3(record, regs);
    break;
  default:
    record->kind = AT_RANGE_DOUBT;
  }
}

/* Some calls have done half of their work when they fail. */
static __always_inline int half_done(struct pt_regs___range *regs, __u64 number)
{
  if (number == SYS_mmap) return (regs->r10 & MAP_FIXED) != 0;
  if (number == SYS_mremap) return (regs->r10 & MREMAP_FIXED) != 0;
  return number == SYS_mprotect || number == SYS_pkey_mprotect;
}

static __always_inline int makes_ranges(const struct at_range_record *record)
{
  return record->kind == AT_RANGE_MAP || record->kind == AT_RANGE_REMAP || record->kind == AT_RANGE_BREAK;
}

/* The stack of the system call the thread is in; AT_STACK_NONE: none could be taken. */
static __noinline __u32 system_call_stack(void *ctx, struct pt_regs___range *regs, __u32 slot)
{
  struct stack_scratch *scratch;
  struct walked_stack walked;
  struct walk_start from;
  __u32 stack;

  if (!regs) return AT_STACK_NONE;
  scratch = claim_scratch();
  if (!scratch) return AT_STACK_NONE;
  from.pc = regs->ip;
  from.sp = regs->sp;
  from.bp = regs->bp;
  from.slot = slot;
  from.site = AT_UNWIND_EXACT;
  walked.hash = hash_seed(slot);
  if (walk_tables(&from, &scratch->walk, &walked)) {
    long bytes = bpf_get_stack(ctx, scratch->walk.frames, sizeof(scratch->walk.frames), BPF_F_USER_STACK);

    walked.frame_count = bytes > 0 ? (__u32)bytes / 8 : 0;
    walked.status = AT_STACK_frame_pointers;
    hash_frames(&scratch->walk, walked.frame_count, &walked.hash);
  }
  stack = intern_stack(&walked, &scratch->walk, slot);
  release_scratch(scratch);
  return stack;
}

/* Who makes a range. */
static __noinline int add_maker(void *ctx, struct pt_regs___range *regs, struct at_range_record *record)
{
  struct thread_state *state;

  if (!record || !regs) return 0;
  record->stack = system_call_stack(ctx, regs, record->slot);
  state = thread_state_of_slot(record->slot);
  if (!state) return 0; /* then its thread is one of those beyond the table */
  record->thread = state->thread ? state->thread : register_thread(state);
  if (state->call.sp && inside_call(&state->call, regs->sp)) record->flags |= AT_RANGE_ALLOCATOR;
  return 0;
}

static __always_inline void send_range(struct at_range_record *record, struct at_range_calls *calls)
{
  struct at_range_record *sent = bpf_ringbuf_reserve(&range_records, sizeof(*sent), 0);
  __u64 end;

  if (!sent) {
    at_add(&calls->lost, 1);
    return;
  }
  *sent = *record;
  end = bpf_ringbuf_query(&range_records, BPF_RB_PROD_POS);
  bpf_ringbuf_submit(sent, (end & (RANGE_WAKE_BYTES - 1)) < 4 * AT_RANGE_RING_STEP ? BPF_RB_FORCE_WAKEUP
                                                                                 : BPF_RB_NO_WAKEUP);
  at_add(&calls->recorded, 1);
}

static __noinline int on_range_call(void *ctx, struct pt_regs___range *regs, __u64 result)
{
  struct task_struct___range *task = (struct task_struct___range *)bpf_get_current_task_btf();
  __u64 number = regs ? regs->orig_ax : 0;
  __u32 compat = is_compat_call(task);
  struct mm_struct___range *mm = task->mm;
  __u64 address_space = (__u64)mm;
  __u32 *slot = bpf_map_lookup_elem(&address_spaces, &address_space);
  struct at_range_record record = {};
  struct at_range_calls *calls;

  if (!slot || !mm || !regs) return 0;
  if (compat ? !changes_ranges_compat(number) : !changes_ranges(number)) return 0;
  record.slot = *slot;
  calls = calls_of(record.slot);
  if (!calls) return 0;
  if (is_error(result) && (compat || !half_done(regs, number))) {
    at_add(&calls->failed, 1);
    return 0;
  }
  if (compat || is_error(result))
    record.kind = AT_RANGE_DOUBT;
  else
    describe(&record, regs, mm, number, result);
  if (!record.kind) {
    at_add(&calls->without_effect, 1);
    return 0;
  }
  if (makes_ranges(&record)) add_maker(ctx, regs, &record);
  send_range(&record, calls);
  return 0;
}

static __always_inline void on_syscall_exit(void *ctx, struct pt_regs___range *regs, __u64 result)
{
  __u64 number = regs->orig_ax;

  if (changes_ranges(number) || changes_ranges_compat(number)) on_range_call(ctx, regs, result);
}

/* ---- whose address space it is ------------------------------------------------------------------------------------------- */
/* Called for every task of the machine: takes note of the address spaces of targets. */
static __always_inline void note_address_space(struct task_struct___range *task)
{
  __u64 address_space = (__u64)task->mm;
  __u32 tgid = task->tgid;
  __u32 *slot = bpf_map_lookup_elem(&targets, &tgid);
  struct at_range_calls *calls;

  if (!slot || !address_space) return;
  calls = calls_of(*slot);
  if (!calls || bpf_map_update_elem(&address_spaces, &address_space, slot, BPF_ANY)) return;
  calls->address_space = address_space;
}

/* The slot's process has another one now: the kernel may use this one for somebody else. */
static __always_inline void forget_address_space(__u32 slot)
{
  struct at_range_calls *calls = calls_of(slot);
  __u64 address_space;

  if (!calls || !calls->address_space) return;
  address_space = calls->address_space;
  calls->address_space = 0;
  (void)bpf_map_delete_elem(&address_spaces, &address_space); /* two last threads may both get here */
}

/* A thread of the slot's process ends: with the last one its address space does. */
static __always_inline void leave_address_space(__u32 slot)
{
  struct task_struct___range *task = (struct task_struct___range *)bpf_get_current_task_btf();

  if (task->signal->live.counter == 0) forget_address_space(slot);
}

#endif
