/* SPDX-License-Identifier: Apache-2.0
 * threads STORY: blocks that cross threads, threads that come and go. A crew of named threads stands ready before the
 * attach and does one job at a time, so that starting them is never part of a phase. */
#include "truth.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>

#define CREW 8
#define SHARED 256
#define HAMMER_ROUNDS 20000
#define HAMMER_BYTES 64
#define HOLDER_BLOCKS 48
#define HOLDER_BYTES 65536

struct member {
  const char* name;
  int index; /* in the truth */
  void (*job)(struct member*);
  sem_t start;
  sem_t done;
  pthread_t thread;
};

static struct member crew[CREW];
static void* shared_blocks[SHARED];
static size_t shared_sizes[SHARED];

static void* member_main(void* argument) {
  struct member* member = argument;
  member->index = truth_register(member->name);
  sem_post(&member->done);
  for (;;) {
    sem_wait(&member->start);
    if (member->job == NULL) return NULL;
    member->job(member);
    sem_post(&member->done);
  }
}

static void hire(struct member* member, const char* name) {
  member->name = name;
  sem_init(&member->start, 0, 0);
  sem_init(&member->done, 0, 0);
  pthread_create(&member->thread, NULL, member_main, member);
  sem_wait(&member->done);
}

static void let_start(struct member* member, void (*job)(struct member*)) {
  member->job = job;
  sem_post(&member->start);
}

static void let_do(struct member* member, void (*job)(struct member*)) {
  let_start(member, job);
  sem_wait(&member->done);
}

/* Ends the member's thread; its stack goes to the C library's cache, ready for the next hire(). glibc frees the thread's
 * own block cache then, which no allocator function ever returned. */
static void dismiss(struct member* member) {
  if (truth.threads[member->index].allocated_blocks > 0) truth_freed_older();
  let_start(member, NULL);
  pthread_join(member->thread, NULL);
}

TRUTH_NOINLINE static void make_blocks(struct member* member) {
  for (size_t i = 0; i < 100; ++i) {
    shared_sizes[i] = 40 + i;
    shared_blocks[i] = malloc(shared_sizes[i]);
    TRUTH_HIDE(shared_blocks[i]);
    truth_allocated(member->index, shared_sizes[i]);
  }
}

TRUTH_NOINLINE static void break_blocks(struct member* member) {
  (void)member;
  for (size_t i = 0; i < 60; ++i) {
    free(shared_blocks[i]);
    truth_freed(crew[0].index, shared_sizes[i]);
  }
}

/* A block that another thread reallocates is that thread's from then on. */
TRUTH_NOINLINE static void take_over_blocks(struct member* member) {
  for (size_t i = 0; i < 20; ++i) {
    const size_t grown = shared_sizes[i] * 50;
    shared_blocks[i] = realloc(shared_blocks[i], grown);
    TRUTH_HIDE(shared_blocks[i]);
    truth_freed(crew[0].index, shared_sizes[i]);
    truth_allocated(member->index, grown);
  }
}

TRUTH_NOINLINE static void hold_blocks(struct member* member) {
  for (size_t i = 0; i < HOLDER_BLOCKS; ++i) {
    void* block = malloc(HOLDER_BYTES);
    TRUTH_HIDE(block);
    truth_allocated(member->index, HOLDER_BYTES);
  }
}

/* Everyone makes and frees blocks of one size and swaps them through shared cells: the same addresses go round between
 * the threads as fast as the allocator can hand them out. A block's first bytes name its owner. */
TRUTH_NOINLINE static void hammer(struct member* member) {
  static void* cells[32];
  for (size_t round = 0; round < HAMMER_ROUNDS; ++round) {
    int* block = malloc(HAMMER_BYTES);
    TRUTH_HIDE(block);
    truth_allocated(member->index, HAMMER_BYTES);
    *block = member->index;
    int* other = __atomic_exchange_n(&cells[round % 32], (void*)block, __ATOMIC_ACQ_REL);
    if (other == NULL) continue;
    const int owner = *other;
    free(other);
    truth_freed(owner, HAMMER_BYTES);
  }
  for (size_t cell = 0; cell < 32; ++cell) {
    int* left = __atomic_exchange_n(&cells[cell], NULL, __ATOMIC_ACQ_REL);
    if (left == NULL) continue;
    const int owner = *left;
    free(left);
    truth_freed(owner, HAMMER_BYTES);
  }
}

static void story_freed_by_other(void) {
  let_do(&crew[0], make_blocks);
  let_do(&crew[1], break_blocks);
}

static void story_realloc_by_other(void) {
  let_do(&crew[0], make_blocks);
  let_do(&crew[1], take_over_blocks);
}

static void story_exits_holding(void) {
  let_do(&crew[2], hold_blocks);
  dismiss(&crew[2]);
}

/* Started after the attach, on a cached stack: starting it allocates nothing. */
static void story_late_thread(void) {
  dismiss(&crew[7]);
  hire(&crew[7], "latecomer");
  let_do(&crew[7], hold_blocks);
}

static void story_hammer(void) {
  for (size_t i = 0; i < CREW; ++i) let_start(&crew[i], hammer);
  for (size_t i = 0; i < CREW; ++i) sem_wait(&crew[i].done);
}

static void choose_next_tid(long tid) {
  char text[32];
  const int length = snprintf(text, sizeof(text), "%ld", tid - 1);
  const int file = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
  if (write(file, text, (size_t)length) != length) _exit(4);
  close(file);
}

/* Hires until the new thread has the id of the one that ended: other programs take ids at the same time. */
static void story_tid_reused(void) {
  struct member* member = &crew[7];
  let_do(member, hold_blocks);
  const long wanted = truth.threads[member->index].tid;
  dismiss(member);
  for (;;) {
    choose_next_tid(wanted);
    hire(member, "second-life");
    if (truth.threads[member->index].tid == wanted) break;
    dismiss(member);
    --truth.thread_count;
  }
  let_do(member, make_blocks);
}

static void story_many_short_lives(void) {
  for (int i = 0; i < 100; ++i) {
    dismiss(&crew[7]);
    hire(&crew[7], "mayfly");
    let_do(&crew[7], make_blocks);
  }
}

static const struct {
  const char* name;
  void (*run)(void);
} stories[] = {
    {"freed_by_other", story_freed_by_other},
    {"realloc_by_other", story_realloc_by_other},
    {"exits_holding", story_exits_holding},
    {"late_thread", story_late_thread},
    {"hammer", story_hammer},
    {"tid_reused", story_tid_reused},
    {"many_short_lives", story_many_short_lives},
};

int main(int argc, char** argv) {
  static const char* const names[CREW] = {"maker",    "breaker",  "holder",   "worker-3",
                                          "worker-4", "worker-5", "worker-6", "first-life"};
  char line[64];
  void (*run)(void) = NULL;
  for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); ++i)
    if (strcmp(stories[i].name, argc > 1 ? argv[1] : "") == 0) run = stories[i].run;
  if (run == NULL) return 2;
  truth_register("foreman");
  for (size_t i = 0; i < CREW; ++i) hire(&crew[i], names[i]);
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    run();
    truth_print();
  }
  _exit(0);
}
