/* SPDX-License-Identifier: Apache-2.0
 * pair THREADS DEPTH pair|mix|map|call: works in rounds when told to, and prints what each cost.
 *   pair  malloc of 64 bytes and its free; mix: a free of an older block and a malloc, sizes and lifetimes of a server
 *   map   mmap of a page and its munmap; call: a system call that does nothing
 *   DEPTH frames from the start of a thread to the call of malloc
 * "fill N" keeps N blocks, "drain" frees them, "rounds N PAIRS" has every thread do N rounds of PAIRS pairs at the same
 * time and answers {"ns":[mean nanoseconds of CPU time per pair of a thread, for each round]}. */
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/workloads/truth.h"

#define MAX_THREADS 16
#define MAX_ROUNDS 1000
#define MIX_BLOCKS 4096 /* blocks a thread of the mix holds; one lives for 4,096 allocations in the mean */

/* Frames between a thread's start and malloc that are there at any depth: start, thread_main, descend, do_rounds. */
#define FIXED_FRAMES 4

static struct {
  int threads;
  int depth;
  const char* kind;
  volatile int rounds;
  volatile long pairs;
} work;
static pthread_barrier_t gate; /* the workers and the main thread */
static double round_ns[MAX_THREADS][MAX_ROUNDS];
static void** kept;
static size_t kept_count;

/* The thread's own time: what else the machine does is not in it, what the kernel does for its probes is. */
static uint64_t cpu_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t next_random(uint64_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

/* 60 % up to 64 bytes, 30 % up to 512, 9 % up to 4 KiB, 1 % up to 64 KiB. */
static size_t server_size(uint64_t random) {
  const uint64_t share = random % 100;
  const size_t limit = share < 60 ? 64 : share < 90 ? 512 : share < 99 ? 4096 : 65536;
  return 1 + (size_t)(random >> 32) % limit;
}

static void do_pairs(long pairs) {
  long i;
  for (i = 0; i < pairs; ++i) {
    void* block = malloc(64);
    TRUTH_HIDE(block);
    free(block);
  }
}

static void do_maps(long pairs) {
  long i;
  for (i = 0; i < pairs; ++i) munmap(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
}

static void do_calls(long calls) {
  long i;
  for (i = 0; i < calls; ++i) syscall(SYS_getppid);
}

static void do_mix(long pairs, void** blocks, uint64_t* random) {
  long i;
  for (i = 0; i < pairs; ++i) {
    const uint64_t value = next_random(random);
    void** slot = &blocks[(value >> 16) % MIX_BLOCKS];
    free(*slot);
    *slot = malloc(server_size(value));
    TRUTH_HIDE(*slot);
  }
}

static TRUTH_NOINLINE void do_rounds(int thread) {
  static void* held[MAX_THREADS][MIX_BLOCKS];
  static uint64_t random[MAX_THREADS];
  int round;
  if (random[thread] == 0) random[thread] = 88172645463325252u + (uint64_t)thread;
  for (round = 0; round < work.rounds; ++round) {
    uint64_t begin;
    pthread_barrier_wait(&gate);
    begin = cpu_ns();
    if (strcmp(work.kind, "mix") == 0) {
      do_mix(work.pairs, held[thread], &random[thread]);
    } else if (strcmp(work.kind, "map") == 0) {
      do_maps(work.pairs);
    } else if (strcmp(work.kind, "call") == 0) {
      do_calls(work.pairs);
    } else {
      do_pairs(work.pairs);
    }
    round_ns[thread][round] = (double)(cpu_ns() - begin) / (double)work.pairs;
    pthread_barrier_wait(&gate);
  }
}

static TRUTH_NOINLINE void descend(int frames, int thread) {
  if (frames > 0) {
    descend(frames - 1, thread);
  } else {
    do_rounds(thread);
  }
  __asm__ volatile(""); /* a frame of its own, not a jump */
}

static void* thread_main(void* argument) {
  for (;;) {
    pthread_barrier_wait(&gate);
    descend(work.depth - FIXED_FRAMES, (int)(intptr_t)argument);
  }
  return NULL;
}

static void answer_rounds(void) {
  static char line[MAX_ROUNDS * 16];
  size_t used = (size_t)snprintf(line, sizeof(line), "{\"ns\":[");
  int round, thread;
  pthread_barrier_wait(&gate);
  for (round = 0; round < work.rounds; ++round) {
    double sum = 0;
    pthread_barrier_wait(&gate);
    pthread_barrier_wait(&gate);
    for (thread = 0; thread < work.threads; ++thread) sum += round_ns[thread][round];
    used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%.1f", round ? "," : "", sum / work.threads);
  }
  memcpy(line + used, "]}\n", 3);
  truth_write(line, used + 3);
}

static void fill(size_t count) {
  size_t i;
  uint64_t random = 88172645463325252u;
  kept = malloc(count * sizeof(*kept));
  for (i = 0; i < count; ++i) kept[i] = malloc(16 + next_random(&random) % 240);
  kept_count = count;
}

static void drain(void) {
  size_t i;
  for (i = 0; i < kept_count; ++i) free(kept[i]);
  free(kept);
  kept = NULL;
  kept_count = 0;
}

int main(int argc, char** argv) {
  char line[64];
  int thread;
  if (argc < 4) return 2;
  work.threads = atoi(argv[1]);
  work.depth = atoi(argv[2]);
  work.kind = argv[3];
  if (work.threads < 1 || work.threads > MAX_THREADS || work.depth < FIXED_FRAMES) return 2;
  pthread_barrier_init(&gate, NULL, (unsigned)work.threads + 1);
  for (thread = 0; thread < work.threads; ++thread) {
    pthread_t ignored;
    if (pthread_create(&ignored, NULL, thread_main, (void*)(intptr_t)thread) != 0) return 3;
  }
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    size_t count = 0;
    int rounds;
    long pairs;
    if (sscanf(line, "rounds %d %ld", &rounds, &pairs) == 2 && rounds > 0 && rounds <= MAX_ROUNDS) {
      work.rounds = rounds;
      work.pairs = pairs;
      answer_rounds();
      continue;
    }
    if (sscanf(line, "fill %zu", &count) == 1) {
      fill(count);
    } else {
      drain();
    }
    truth_write("{}\n", 3);
  }
  _exit(0);
}
