/* SPDX-License-Identifier: Apache-2.0
 * Stacks of every form that C and assembly make. Built with many compiler flags; at each "go" every story is told once. */
#include "stack_truth.h"

#include <alloca.h>
#include <signal.h>
#include <sys/mman.h>
#ifndef STACKS_ON_MUSL
#include <ucontext.h>
#endif

#define SHAPE TRUTH_NOINLINE static
#define KEEP_FRAME() __asm__ volatile("" ::: "memory")

void framed_call(void (*function)(void), uint64_t* return_address);
void tiny_call(void (*function)(void));
void trap_at_entry(void);
void switch_stack(void** save, void* load);
void coroutine_start(void);

static volatile char* volatile sink;

SHAPE void leaf(void) {
  allocate_here();
  KEEP_FRAME();
}

/* ---- frames of many forms, chosen by a random number ------------------------------------------------------------- */
static void (*bottom)(void) = leaf;
static void descend(uint32_t choices, int depth);

SHAPE void small_frame(uint32_t choices, int depth) {
  descend(choices, depth);
  KEEP_FRAME();
}
SHAPE void large_frame(uint32_t choices, int depth) {
  volatile char room[20000];
  room[choices % sizeof(room)] = 1;
  sink = room;
  descend(choices, depth);
  KEEP_FRAME();
}
SHAPE void alloca_frame(uint32_t choices, int depth) {
  volatile char* room = alloca(16 + choices % 3000);
  room[0] = 1;
  sink = room;
  descend(choices, depth);
  KEEP_FRAME();
}
SHAPE void variable_array_frame(uint32_t choices, int depth) {
  volatile char room[1 + choices % 500];
  room[0] = 1;
  sink = room;
  descend(choices, depth);
  KEEP_FRAME();
}
SHAPE void realigned_frame(uint32_t choices, int depth) {
  _Alignas(64) volatile char room[192];
  room[choices % sizeof(room)] = 1;
  sink = room;
  descend(choices, depth);
  KEEP_FRAME();
}
SHAPE void realigned_variable_frame(uint32_t choices, int depth) {
  _Alignas(128) volatile char room[128];
  volatile char* more = alloca(16 + choices % 500);
  room[choices % sizeof(room)] = more[0] = 1;
  sink = room;
  descend(choices, depth);
  KEEP_FRAME();
}
SHAPE void many_registers(uint32_t choices, int depth) {
  uint64_t a = choices, b = a * 3, c = b + 5, d = c * 7, e = d ^ 9;
  __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e));
  descend(choices, depth);
  __asm__ volatile("" : : "r"(a), "r"(b), "r"(c), "r"(d), "r"(e));
}
static int compare_by_calling(const void* left, const void* right) {
  const uint32_t* choices = left;
  (void)right;
  descend(choices[0], (int)choices[1]);
  KEEP_FRAME();
  return 0;
}
SHAPE void library_callback(uint32_t choices, int depth) {
  uint32_t pair[2][2] = {{choices, (uint32_t)depth}, {choices, (uint32_t)depth}};
  qsort(pair, 2, sizeof(pair[0]), compare_by_calling);
  KEEP_FRAME();
}

SHAPE void descend(uint32_t choices, int depth) {
  static void (*const shapes[])(uint32_t, int) = {
      small_frame,     large_frame,    alloca_frame,    variable_array_frame, realigned_frame, realigned_variable_frame,
      many_registers, library_callback};
  if (depth == 0) {
    bottom();
    KEEP_FRAME();
    return;
  }
  choices = choices * 1664525u + 1013904223u;
  shapes[(choices >> 16) % (sizeof(shapes) / sizeof(shapes[0]))](choices, depth - 1);
  KEEP_FRAME();
}

/* ---- recursion ----------------------------------------------------------------------------------------------------- */
SHAPE uint32_t recurse(uint32_t depth) {
  uint32_t below = 0;
  if (depth > 0)
    below = recurse(depth - 1);
  else
    allocate_here();
  KEEP_FRAME();
  return below + 1;
}

/* ---- signals ------------------------------------------------------------------------------------------------------- */
static void on_signal(int number) {
  (void)number;
  leaf();
  KEEP_FRAME();
}
static void on_trap(int number, siginfo_t* info, void* context) {
  (void)number;
  (void)info;
  leaf();
  ((uint64_t*)context)[5 + 16] += 2; /* struct ucontext: 40 bytes, then the registers; %rip is the 17th */
}
SHAPE void raise_it(void) {
  raise(SIGUSR1);
  KEEP_FRAME();
}
SHAPE void trap_it(void) {
  trap_at_entry();
  KEEP_FRAME();
}
SHAPE void handle_signals(int flags) {
  struct sigaction action = {0};
  action.sa_handler = on_signal;
  action.sa_flags = flags;
  sigaction(SIGUSR1, &action, NULL);
  action.sa_sigaction = on_trap;
  action.sa_flags = flags | SA_SIGINFO;
  sigaction(SIGILL, &action, NULL);
  bottom = raise_it;
  descend(3, 3);
  bottom = trap_it;
  descend(4, 4);
  bottom = leaf;
}
SHAPE void handle_signals_elsewhere(void) {
  static const size_t bytes = 1 << 18;
  stack_t stack = {0}, old;
  stack.ss_sp = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack.ss_size = bytes;
  sigaltstack(&stack, &old);
  handle_signals(SA_ONSTACK);
  sigaltstack(&old, NULL);
}

/* ---- threads and coroutines ----------------------------------------------------------------------------------------- */
static void* run_thread(void* seed) {
  descend((uint32_t)(uintptr_t)seed, 6);
  KEEP_FRAME();
  return NULL;
}
SHAPE void start_thread_and_wait(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, run_thread, (void*)5);
  pthread_join(thread, NULL);
}

_Alignas(64) static char coroutine_stack[1 << 18];
static void *main_stack, *other_stack;

SHAPE void run_coroutine(void) {
  for (uint32_t turn = 0;; turn++) {
    descend(turn % 2, 4);
    switch_stack(&other_stack, main_stack);
  }
}
/* First a stack as switch_stack would have left it: six registers, of which %r12 is the third last, and the start. */
SHAPE void run_coroutines(void) {
  void** top = (void**)(coroutine_stack + sizeof(coroutine_stack) - 72); /* aligned as at a call once they are popped */
  if (other_stack == NULL) {
    top[0] = 0;
    top[3] = (void*)run_coroutine;
    top[6] = (void*)coroutine_start;
    other_stack = top;
  }
  switch_stack(&main_stack, other_stack);
  descend(7, 2);
  switch_stack(&main_stack, other_stack);
}

#ifndef STACKS_ON_MUSL
static ucontext_t main_context, other_context;
static void run_context(void) {
  descend(6, 4);
  swapcontext(&other_context, &main_context);
}
SHAPE void run_contexts(void) {
  static char stack[1 << 18];
  getcontext(&other_context);
  other_context.uc_stack.ss_sp = stack;
  other_context.uc_stack.ss_size = sizeof(stack);
  other_context.uc_link = &main_context;
  makecontext(&other_context, run_context, 0);
  swapcontext(&main_context, &other_context);
}
#endif

/* ---- code that says nothing about its frames --------------------------------------------------------------------------- */
#ifdef STACKS_WITH_FRAME_POINTERS
static void do_nothing(void) {}
SHAPE void call_through_framed(void) {
  uint64_t here[STACK_MAX_FRAMES], return_address = 0;
  uint32_t count = stack_walk_here(here); /* from our caller on */
  memcpy(stack_outer + 1, here, count * sizeof(here[0]));
  stack_outer_count = count + 1;
  /* One call for both: the first tells where the second will return to. */
  static void (*const volatile functions[])(void) = {do_nothing, leaf, NULL};
  for (void (*const volatile* function)(void) = functions; *function != NULL; function++) {
    stack_outer[0] = return_address - 1;
    framed_call(*function, &return_address);
  }
  stack_outer_count = 0;
}
#endif

/* Nobody can walk through this; the tracer must end there, too. */
SHAPE void call_through_tiny(void) {
  tiny_call(leaf);
  KEEP_FRAME();
}

static void tell_all(void) {
  for (uint32_t seed = 0; seed < 20; seed++) descend(seed, (int)(2 + seed % 14));
  recurse(100);
  recurse(500);
  handle_signals(0);
  handle_signals_elsewhere();
  start_thread_and_wait();
  run_coroutines();
#ifndef STACKS_ON_MUSL
  run_contexts();
#endif
#ifdef STACKS_WITH_FRAME_POINTERS
  call_through_framed();
#endif
  call_through_tiny();
}

int main(void) {
  char line[64];
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    tell_all();
    stack_print();
  }
  _exit(0);
}
