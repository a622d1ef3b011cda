/* SPDX-License-Identifier: Apache-2.0
 * What a workload of stacks knows about its own: at every allocation it walks its stack with libgcc's unwinder, and
 * prints what it found. Addresses are those of the calls, innermost first, from the caller of allocate_here() on; the
 * call of malloc itself lies in the section `allocating`. */
#ifndef ALLOCTRAIL_TESTS_WORKLOADS_STACK_TRUTH_H
#define ALLOCTRAIL_TESTS_WORKLOADS_STACK_TRUTH_H

#include <pthread.h>
#include <unwind.h>

#include "../truth.h"

#define STACK_MAX_FRAMES 1024
#define STACK_MAX_STACKS 512

struct stack_note {
  uint64_t blocks;
  uint32_t frame_count;
  uint64_t frames[STACK_MAX_FRAMES];
};

static struct stack_note stack_notes[STACK_MAX_STACKS];
static uint32_t stack_note_count;
static pthread_mutex_t stack_lock = PTHREAD_MUTEX_INITIALIZER;

/* Frames that libgcc cannot find, as it stops at code without unwind information: they follow what it finds. */
static uint64_t stack_outer[STACK_MAX_FRAMES];
static uint32_t stack_outer_count;

struct stack_walk {
  uint32_t count;
  uint32_t skip;
  uint64_t* frames;
};

static _Unwind_Reason_Code stack_collect(struct _Unwind_Context* context, void* argument) {
  struct stack_walk* walk = (struct stack_walk*)argument;
  int before_instruction = 0;
  uint64_t pc = _Unwind_GetIPInfo(context, &before_instruction);
  if (pc == 0) return _URC_NO_REASON;
  if (walk->skip > 0) {
    walk->skip--;
    return _URC_NO_REASON;
  }
  if (walk->count == STACK_MAX_FRAMES) abort();
  walk->frames[walk->count++] = before_instruction ? pc : pc - 1;
  return _URC_NO_REASON;
}

/* The calls on the stack from the caller's caller on. */
TRUTH_NOINLINE static uint32_t stack_walk_here(uint64_t* frames) {
  struct stack_walk walk = {0, 2, frames};
  _Unwind_Backtrace(stack_collect, &walk);
  return walk.count;
}

TRUTH_NOINLINE static void stack_note_frames(const uint64_t* frames, uint32_t count) {
  pthread_mutex_lock(&stack_lock);
  uint32_t index = 0;
  while (index < stack_note_count && !(stack_notes[index].frame_count == count &&
                                       memcmp(stack_notes[index].frames, frames, count * sizeof(*frames)) == 0))
    index++;
  if (index == STACK_MAX_STACKS) abort();
  if (index == stack_note_count) {
    stack_note_count++;
    stack_notes[index].frame_count = count;
    memcpy(stack_notes[index].frames, frames, count * sizeof(*frames));
  }
  stack_notes[index].blocks++;
  pthread_mutex_unlock(&stack_lock);
}

/* The one place that allocates what is compared. */
__attribute__((noinline, section("allocating"))) static void* allocate_here(void) {
  uint64_t frames[STACK_MAX_FRAMES];
  uint32_t count = stack_walk_here(frames);
  if (count + stack_outer_count > STACK_MAX_FRAMES) abort();
  memcpy(frames + count, stack_outer, stack_outer_count * sizeof(*frames));
  stack_note_frames(frames, count + stack_outer_count);
  void* block = malloc(40);
  TRUTH_HIDE(block); /* no tail call */
  return block;
}

static void stack_write(const char* format, unsigned long long number) {
  static char text[64];
  truth_write(text, (size_t)snprintf(text, sizeof(text), format, number));
}

extern const char __start_allocating[], __stop_allocating[];

/* Prints all stacks since the start as one JSON line. */
static inline void stack_print(void) {
  stack_write("{\"allocate_begin\":%llu,", (unsigned long long)(uintptr_t)__start_allocating);
  stack_write("\"allocate_end\":%llu,\"stacks\":[", (unsigned long long)(uintptr_t)__stop_allocating);
  for (uint32_t i = 0; i < stack_note_count; i++) {
    const struct stack_note* note = &stack_notes[i];
    stack_write(i ? ",{\"blocks\":%llu," : "{\"blocks\":%llu,", note->blocks);
    truth_write("\"frames\":[", 10);
    for (uint32_t k = 0; k < note->frame_count; k++) stack_write(k ? ",%llu" : "%llu", note->frames[k]);
    truth_write("]}", 2);
  }
  truth_write("]}\n", 3);
}

#endif
