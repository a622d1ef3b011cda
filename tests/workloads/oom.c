// SPDX-License-Identifier: Apache-2.0
// Programs that a memory cgroup's OOM killer takes. The first argument says how; with a cgroup as second it moves itself
// in before it says "ready", and has the OOM killer prefer it; with a file as third it counts there what it allocates, for
// whoever survives it; a fourth is the pause between two allocations in microseconds. Threads that do not leak sit where a
// report must show them: read_forever, lock_forever, sleep_forever, spin_forever.
#include "truth.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define CHUNK 65536
#define MAX_THREADS 64

static pthread_barrier_t all_there;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static int never[2];
static int leak_delay_us;
static uint64_t* leaked_bytes; /* shared with whoever survives; one counter a thread */

TRUTH_NOINLINE static void leak_inner(int thread) {
  char* block = malloc(CHUNK);
  TRUTH_HIDE(block);
  if (leaked_bytes) __atomic_fetch_add(&leaked_bytes[thread], CHUNK, __ATOMIC_RELAXED);
  memset(block, 1, CHUNK);
}

/* Leaking begins when everybody else stands where a report must show them. */
static int places_left;
static void take_place(void) { __atomic_fetch_sub(&places_left, 1, __ATOMIC_RELAXED); }
static void wait_for_the_others(void) {
  while (__atomic_load_n(&places_left, __ATOMIC_RELAXED) > 0) sched_yield();
}

TRUTH_NOINLINE static void leak_loop(int thread) {
  for (;;) {
    struct timespec pause = {0, leak_delay_us * 1000L};
    leak_inner(thread);
    if (leak_delay_us) nanosleep(&pause, NULL);
  }
}

TRUTH_NOINLINE static void read_forever(void) {
  char byte;
  take_place();
  while (read(never[0], &byte, 1) != 1) {
  }
  TRUTH_HIDE(never[0]);
}

TRUTH_NOINLINE static void lock_forever(void) {
  take_place();
  pthread_mutex_lock(&held);
  TRUTH_HIDE(never[0]);
}

TRUTH_NOINLINE static void sleep_forever(void) {
  take_place();
  for (;;) {
    struct timespec day = {86400, 0};
    nanosleep(&day, NULL);
  }
}

TRUTH_NOINLINE static void spin_forever(void) {
  take_place();
  for (;;) TRUTH_HIDE(never[0]);
}

TRUTH_NOINLINE static void write_file_forever(void) {
  static char page[CHUNK];
  const int file = memfd_create("shared", 0);
  for (;;)
    if (write(file, page, sizeof(page)) < 0) _exit(4);
}

static void* named(void* name) {
  const char* text = name;
  prctl(PR_SET_NAME, text);
  pthread_barrier_wait(&all_there);
  if (!strncmp(text, "leaker", 6)) {
    wait_for_the_others();
    leak_loop(text[7] - '0');
  }
  if (!strcmp(text, "reader")) read_forever();
  if (!strcmp(text, "locker")) lock_forever();
  if (!strcmp(text, "sleeper")) sleep_forever();
  if (!strcmp(text, "spinner")) spin_forever();
  return NULL;
}

static void start(const char* const* names, int count) {
  int i;
  pthread_mutex_lock(&held);
  if (pipe(never)) _exit(5);
  pthread_barrier_init(&all_there, NULL, (unsigned)count + 1);
  for (i = 0; i < count; ++i) places_left += strncmp(names[i], "leaker", 6) != 0;
  for (i = 0; i < count; ++i) {
    pthread_t thread;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    if (pthread_create(&thread, &small, named, (void*)(uintptr_t)names[i])) _exit(6);
  }
}

static void write_file(const char* path, const char* text) {
  const int file = open(path, O_WRONLY);
  if (file < 0 || write(file, text, strlen(text)) < 0) _exit(7);
  close(file);
}

static void enter(const char* cgroup) {
  static char path[512];
  snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
  write_file(path, "0");
  write_file("/proc/self/oom_score_adj", "1000");
}

static void count_in(const char* file) {
  const int shared = open(file, O_RDWR);
  if (shared < 0) _exit(8);
  leaked_bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
  if (leaked_bytes == MAP_FAILED) _exit(9);
}

static const char* const six[] = {"leaker-0", "leaker-1", "reader", "locker", "sleeper"};
static const char* const eight[] = {"leaker-0", "leaker-1", "leaker-2", "leaker-3",
                                    "leaker-4", "leaker-5", "leaker-6", "leaker-7"};

int main(int argc, char** argv) {
  static char line[256];
  const char* story = argc > 1 ? argv[1] : "";
  if (argc > 2) enter(argv[2]);
  if (argc > 3) count_in(argv[3]);
  if (argc > 4) leak_delay_us = atoi(argv[4]);
  prctl(PR_SET_NAME, "victim");
  truth_ready();
  if (!truth_wait_go(line, sizeof(line))) return 1;
  if (!strcmp(story, "six")) {
    places_left = 1; /* its own */
    start(six, 5);
    pthread_barrier_wait(&all_there);
    spin_forever();
  }
  if (!strcmp(story, "eight") || !strcmp(story, "no_leader")) {
    start(eight, 8);
    pthread_barrier_wait(&all_there);
    if (!strcmp(story, "no_leader")) pthread_exit(NULL);
    sleep_forever();
  }
  if (!strcmp(story, "many")) {
    static const char* names[MAX_THREADS - 1];
    int i;
    for (i = 0; i < MAX_THREADS - 1; ++i) names[i] = i == 0 ? "leaker-0" : "sleeper";
    places_left = 1;
    start(names, MAX_THREADS - 1);
    pthread_barrier_wait(&all_there);
    sleep_forever();
  }
  if (!strcmp(story, "one")) leak_loop(0);
  if (!strcmp(story, "file")) write_file_forever();
  /* Holds a part of the limit and waits: another process is to be the trigger. */
  if (!strcmp(story, "hold")) {
    const int blocks = atoi(line);
    int i;
    for (i = 0; i < blocks; ++i) leak_inner(0);
    truth_ready();
    sleep_forever();
  }
  /* Allocates as many blocks as each line says, then says so and waits for the next. */
  if (!strcmp(story, "steps")) {
    do {
      int blocks;
      for (blocks = atoi(line); blocks > 0; --blocks) leak_inner(0);
      truth_ready();
    } while (truth_wait_go(line, sizeof(line)));
    return 0;
  }
  if (!strcmp(story, "exit")) return 0;
  return 2;
}
