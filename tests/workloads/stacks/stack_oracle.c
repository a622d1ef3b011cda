/* SPDX-License-Identifier: Apache-2.0
 * To be preloaded: takes the place of malloc, walks the stack with libgcc's unwinder at every Nth call, and goes on to
 * the program's allocator. Its `malloc` is a symbol without a type, so that alloctrail, which looks for functions, does
 * not take it for an allocator and probes the real one below it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "stack_oracle.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

extern const char __start_allocating[], __stop_allocating[];

static void* (*next_malloc)(size_t);
static struct stack_oracle* oracle;
static __thread int busy __attribute__((tls_model("initial-exec")));

struct walk {
  uint64_t skip;
  uint64_t count;
  uint64_t frames[STACK_ORACLE_MAX_FRAMES];
};

static _Unwind_Reason_Code collect(struct _Unwind_Context* context, void* argument) {
  struct walk* walk = argument;
  int before_instruction = 0;
  uint64_t pc = _Unwind_GetIPInfo(context, &before_instruction);
  if (pc == 0) return _URC_NO_REASON;
  if (walk->skip > 0) {
    walk->skip--;
    return _URC_NO_REASON;
  }
  if (walk->count < STACK_ORACLE_MAX_FRAMES) walk->frames[walk->count++] = before_instruction ? pc : pc - 1;
  return _URC_NO_REASON;
}

__attribute__((noinline)) static void note_stack(void) {
  struct walk walk;
  walk.skip = 2; /* this function and sampled_malloc */
  walk.count = 0;
  _Unwind_Backtrace(collect, &walk);
  uint64_t at = __atomic_fetch_add(&oracle->used_words, walk.count + 2, __ATOMIC_RELAXED);
  if (at + walk.count + 2 > STACK_ORACLE_WORDS) return;
  oracle->words[at] = (uint64_t)getpid();
  for (uint64_t i = 0; i < walk.count; i++) oracle->words[at + 2 + i] = walk.frames[i];
  __atomic_store_n(&oracle->words[at + 1], walk.count, __ATOMIC_RELEASE);
}

/* Where a debugger looks at the same stacks. */
void stack_oracle_checkpoint(void);
__attribute__((noinline)) void stack_oracle_checkpoint(void) {
  __asm__ volatile("");
}

__attribute__((noinline, section("allocating"))) static void* sampled_malloc(size_t size) {
  note_stack();
  stack_oracle_checkpoint();
  void* block = next_malloc(size);
  __asm__ volatile("" : "+r"(block) : : "memory"); /* no tail call */
  return block;
}

static void tell_where(void) {
  oracle->allocating_begin = (uint64_t)__start_allocating;
  oracle->allocating_end = (uint64_t)__stop_allocating;
  oracle->checkpoint = (uint64_t)stack_oracle_checkpoint;
}

/* The loader allocates before our constructor runs. Every block must come from the allocator that will get it back. */
static void find_next_malloc(void) {
  next_malloc = (void* (*)(size_t))dlsym(RTLD_NEXT, "malloc");
}

__attribute__((used)) static void* oracle_malloc(size_t size) {
  if (next_malloc == NULL) find_next_malloc();
  if (oracle == NULL || busy) return next_malloc(size);
  uint64_t every = __atomic_load_n(&oracle->every, __ATOMIC_ACQUIRE);
  if (every == 0 || __atomic_fetch_add(&oracle->calls, 1, __ATOMIC_RELAXED) % every != 0) return next_malloc(size);
  busy = 1;
  tell_where();
  void* block = sampled_malloc(size);
  busy = 0;
  return block;
}

__asm__(
    ".text\n"
    ".globl malloc\n"
    "malloc:\n"
    "  .cfi_startproc\n"
    "  jmp oracle_malloc\n"
    "  .cfi_endproc\n");

__attribute__((constructor)) static void start(void) {
  const char* path = getenv(STACK_ORACLE_VARIABLE);
  int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* mapped = mmap(NULL, sizeof(*oracle), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped != MAP_FAILED) oracle = mapped;
}
