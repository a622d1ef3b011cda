/* SPDX-License-Identifier: Apache-2.0
 * million_calls THREADS: "NAME SHAPE CALLS" has the threads call the allocator function of that name CALLS times in all, each
 * call from call(), with arguments of that shape (enum at_shape): every other time NULL or 0 where it may be, otherwise a
 * block. Answers with the sums of the arguments handed over and the bounds of call(). What the calls need besides, blocks
 * to free and the frees of what they return, comes from other functions. */
#include <dlfcn.h>
#include <pthread.h>

#include "truth.h"

#define MAX_THREADS 16

enum { SIZE, ALIGN_SIZE, COUNT_SIZE, OUT_ALIGN_SIZE, REALLOC, REALLOC_ARRAY, FREE };

typedef void* (*function)(uintptr_t, uintptr_t, uintptr_t);

static struct {
  function target;
  int shape;
  int aligned;   /* operators that take the alignment second, or third after the size */
  int sized;     /* releases that are told the size */
  int takes_null;
  long calls; /* of each thread */
} work;
static uint64_t sums[3];
static pthread_barrier_t gate; /* the threads and the main one */
extern const char call_begin[], call_end[];

/* The only place that calls the function: its return address lies between call_begin and call_end. */
static TRUTH_NOINLINE void* call(uintptr_t a, uintptr_t b, uintptr_t c) {
  void* result;
  __asm__ volatile(".globl call_begin\ncall_begin:");
  result = work.target(a, b, c);
  TRUTH_HIDE(result);
  __asm__ volatile(".globl call_end\nnop\ncall_end:" : : : "memory");
  return result;
}

static void* counted_call(uint64_t* into, uintptr_t a, uintptr_t b, uintptr_t c) {
  into[0] += a;
  into[1] += b;
  into[2] += c;
  return call(a, b, c);
}

static void* make_block(uintptr_t bytes) {
  void* block = NULL;
  if (!work.aligned) return malloc(bytes);
  return posix_memalign(&block, 64, bytes) == 0 ? block : NULL;
}

static void call_once(uint64_t* into, long i) {
  const uintptr_t bytes = i % 2 ? 24 + (uintptr_t)i % 64 : 0;
  const uintptr_t sure_bytes = 24 + (uintptr_t)i % 64;
  void* block;
  switch (work.shape) {
    case SIZE:
      free(counted_call(into, bytes, work.aligned ? 64 : 0, 0));
      break;
    case ALIGN_SIZE:
      free(counted_call(into, 64, bytes, 0));
      break;
    case COUNT_SIZE:
      free(counted_call(into, bytes, (uintptr_t)i % 3, 0));
      break;
    case OUT_ALIGN_SIZE:
      block = NULL;
      counted_call(into, (uintptr_t)&block, 64, bytes);
      free(block);
      break;
    case REALLOC:
      block = i % 2 || !work.takes_null ? make_block(40) : NULL;
      free(counted_call(into, (uintptr_t)block, sure_bytes, 0));
      break;
    case REALLOC_ARRAY:
      block = i % 2 ? make_block(40) : NULL;
      free(counted_call(into, (uintptr_t)block, 1 + (uintptr_t)i % 2, sure_bytes));
      break;
    default:
      block = i % 2 || !work.takes_null ? make_block(sure_bytes) : NULL;
      counted_call(into, (uintptr_t)block, work.sized ? sure_bytes : work.aligned ? 64 : 0, work.aligned ? 64 : 0);
  }
}

/* Threads are made beforehand: making one allocates. */
static void* thread_main(void* argument) {
  (void)argument;
  for (;;) {
    uint64_t own[3] = {0};
    long i;
    pthread_barrier_wait(&gate);
    for (i = 0; i < work.calls; ++i) call_once(own, i);
    for (i = 0; i < 3; ++i) truth_add(&sums[i], own[i]);
    pthread_barrier_wait(&gate);
  }
  return NULL;
}

static int starts_with(const char* text, const char* prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int choose(const char* name, int shape, long calls, int threads) {
  memset(sums, 0, sizeof(sums));
  *(void**)&work.target = dlsym(RTLD_DEFAULT, name);
  work.shape = shape;
  work.calls = calls / threads;
  work.aligned = strstr(name, "St11align_val_t") != NULL || strcmp(name, "free_aligned_sized") == 0;
  work.sized = starts_with(name, "_ZdlPvm") || starts_with(name, "_ZdaPvm") || strcmp(name, "free_sized") == 0 ||
               strcmp(name, "sdallocx") == 0;
  work.takes_null = name[strlen(name) - 1] != 'x'; /* not jemalloc's dallocx and its kin */
  return work.target != NULL;
}

int main(int argc, char** argv) {
  char line[128], name[64];
  int threads, shape, i;
  long calls;
  if (argc < 2) return 2;
  threads = atoi(argv[1]);
  if (threads < 1 || threads > MAX_THREADS) return 2;
  pthread_barrier_init(&gate, NULL, (unsigned)threads + 1);
  for (i = 0; i < threads; ++i) {
    pthread_t ignored;
    if (pthread_create(&ignored, NULL, thread_main, NULL) != 0) return 4;
  }
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    if (sscanf(line, "%63s %d %ld", name, &shape, &calls) != 3 || !choose(name, shape, calls, threads)) return 3;
    pthread_barrier_wait(&gate);
    pthread_barrier_wait(&gate);
    i = snprintf(line, sizeof(line), "{\"arguments\":[%llu,%llu,%llu],\"from\":%llu,\"to\":%llu}\n",
                 (unsigned long long)sums[0], (unsigned long long)sums[1], (unsigned long long)sums[2],
                 (unsigned long long)(uintptr_t)call_begin, (unsigned long long)(uintptr_t)call_end);
    truth_write(line, (size_t)i);
  }
  _exit(0);
}
