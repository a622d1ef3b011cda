/* SPDX-License-Identifier: Apache-2.0
 * oracle THREADS OPERATIONS: a seeded random user of every allocator function. Each line "SEED" lets every thread do
 * OPERATIONS random steps on a shared table of blocks (so blocks are freed and reallocated by other threads than the
 * one that made them); the line "free" frees all that is left. As C++ (oracle_cxx.cpp) it uses operator new as well. */
#include "truth.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#define MAX_WORKERS 16
#define CELLS 3000
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

enum release { RELEASE_FREE, RELEASE_DELETE, RELEASE_DELETE_ARRAY, RELEASE_DELETE_ALIGNED };

struct cell {
  int busy;
  void* block;
  size_t bytes;
  int owner;
  enum release release;
};

struct worker {
  pthread_t thread;
  sem_t start;
  sem_t done;
  int index;
  uint64_t random;
};

static struct cell cells[CELLS];
static struct worker workers[MAX_WORKERS];
static int worker_count;
static long operations;
static char long_text[1 << 19];

static uint64_t next_random(struct worker* worker) {
  worker->random ^= worker->random << 13;
  worker->random ^= worker->random >> 7;
  worker->random ^= worker->random << 17;
  return worker->random * 2685821657736338717ull;
}

/* Sizes from 1 byte to 256 KiB, small ones far more often. */
static size_t random_size(struct worker* worker) {
  const uint64_t bits = next_random(worker);
  return 1 + ((size_t)(bits >> 8) & (((size_t)1 << (bits % 100 < 97 ? 3 + bits % 9 : 12 + bits % 7)) - 1));
}

typedef void* (*make_block)(size_t bytes);

static void* make_malloc(size_t bytes) {
  return malloc(bytes);
}
static void* make_calloc(size_t bytes) {
  return calloc(bytes, 1);
}
static void* make_realloc(size_t bytes) {
  return realloc(NULL, bytes);
}
static void* make_aligned_alloc(size_t bytes) {
  return aligned_alloc(64, bytes);
}
static void* make_memalign(size_t bytes) {
  return memalign(256, bytes);
}
static void* make_valloc(size_t bytes) {
  return valloc(bytes);
}
static void* make_posix_memalign(size_t bytes) {
  void* block = NULL;
  return posix_memalign(&block, 32, bytes) == 0 ? block : NULL;
}
static void* make_strndup(size_t bytes) {
  return strndup(long_text, bytes - 1);
}
static void* make_reallocarray(size_t bytes) {
  return reallocarray(NULL, bytes, 1);
}
#ifndef ORACLE_WITHOUT_PVALLOC
static void* make_pvalloc(size_t bytes) {
  return pvalloc(bytes);
}
#endif
#ifdef __cplusplus
static void* make_new(size_t bytes) {
  return ::operator new(bytes);
}
static void* make_new_nothrow(size_t bytes) {
  return ::operator new(bytes, std::nothrow);
}
static void* make_new_array(size_t bytes) {
  return ::operator new[](bytes);
}
static void* make_new_array_nothrow(size_t bytes) {
  return ::operator new[](bytes, std::nothrow);
}
static void* make_new_aligned(size_t bytes) {
  return ::operator new (bytes, std::align_val_t{64});
}
#endif

/* `multiple`: the size is rounded up to it, where the C++ library would round it before it asks the allocator. */
static const struct {
  make_block make;
  enum release release;
  size_t multiple;
} kinds[] = {
    {make_malloc, RELEASE_FREE, 1},
    {make_malloc, RELEASE_FREE, 1},
    {make_malloc, RELEASE_FREE, 1},
    {make_calloc, RELEASE_FREE, 1},
    {make_realloc, RELEASE_FREE, 1},
    {make_reallocarray, RELEASE_FREE, 1},
    {make_aligned_alloc, RELEASE_FREE, 64},
    {make_memalign, RELEASE_FREE, 1},
    {make_valloc, RELEASE_FREE, 1},
    {make_posix_memalign, RELEASE_FREE, 1},
    {make_strndup, RELEASE_FREE, 1},
#ifndef ORACLE_WITHOUT_PVALLOC
    {make_pvalloc, RELEASE_FREE, 1},
#endif
#ifdef __cplusplus
    {make_new, RELEASE_DELETE, 1},
    {make_new_nothrow, RELEASE_DELETE, 1},
    {make_new_array, RELEASE_DELETE_ARRAY, 1},
    {make_new_array_nothrow, RELEASE_DELETE_ARRAY, 1},
    {make_new_aligned, RELEASE_DELETE_ALIGNED, 64},
#endif
};

static void lock(struct cell* cell) {
  while (__atomic_exchange_n(&cell->busy, 1, __ATOMIC_ACQUIRE) != 0) sched_yield();
}

static void unlock(struct cell* cell) {
  __atomic_store_n(&cell->busy, 0, __ATOMIC_RELEASE);
}

TRUTH_NOINLINE static void fill(struct worker* worker, struct cell* cell) {
  const uint64_t choice = next_random(worker) % KIND_COUNT;
  const size_t multiple = kinds[choice].multiple;
  const size_t bytes = (random_size(worker) + multiple - 1) / multiple * multiple;
  void* block = kinds[choice].make(bytes);
  TRUTH_HIDE(block);
  if (block == NULL) _exit(4);
  cell->block = block;
  cell->bytes = bytes;
  cell->owner = worker->index;
  cell->release = kinds[choice].release;
  truth_allocated(worker->index, bytes);
}

TRUTH_NOINLINE static void release(struct cell* cell, int sized) {
  switch (cell->release) {
    case RELEASE_FREE:
      free(cell->block);
      break;
#ifdef __cplusplus
    case RELEASE_DELETE:
      sized ? ::operator delete(cell->block, cell->bytes) : ::operator delete(cell->block);
      break;
    case RELEASE_DELETE_ARRAY:
      sized ? ::operator delete[](cell->block, cell->bytes) : ::operator delete[](cell->block);
      break;
    case RELEASE_DELETE_ALIGNED:
      sized ? ::operator delete (cell->block, cell->bytes, std::align_val_t{64})
            : ::operator delete (cell->block, std::align_val_t{64});
      break;
#else
    default:
      break;
#endif
  }
  (void)sized;
  truth_freed(cell->owner, cell->bytes);
  cell->block = NULL;
}

TRUTH_NOINLINE static void resize(struct worker* worker, struct cell* cell) {
  const size_t bytes = random_size(worker);
  void* block = next_random(worker) % 4 == 0 ? reallocarray(cell->block, 1, bytes) : realloc(cell->block, bytes);
  TRUTH_HIDE(block);
  if (block == NULL) _exit(4);
  truth_freed(cell->owner, cell->bytes);
  truth_allocated(worker->index, bytes);
  cell->block = block;
  cell->bytes = bytes;
  cell->owner = worker->index;
}

static void fail(struct worker* worker, struct cell* cell) {
  size_t too_much = (size_t)PTRDIFF_MAX - next_random(worker) % 65536;
  TRUTH_HIDE(too_much);
  void* block =
      cell->block != NULL && cell->release == RELEASE_FREE ? realloc(cell->block, too_much) : malloc(too_much);
  TRUTH_HIDE(block);
  if (block != NULL) _exit(4);
  truth_failed();
}

static void step(struct worker* worker) {
  struct cell* cell = &cells[next_random(worker) % CELLS];
  const uint64_t choice = next_random(worker) % 100;
  lock(cell);
  if (choice == 0) {
    fail(worker, cell);
  } else if (choice == 1) {
    void* nothing = NULL;
    TRUTH_HIDE(nothing);
    free(nothing);
    truth_freed_null();
  } else if (cell->block == NULL) {
    fill(worker, cell);
  } else if (choice < 30 && cell->release == RELEASE_FREE) {
    resize(worker, cell);
  } else {
    release(cell, (int)(choice & 1));
  }
  unlock(cell);
}

static void* worker_main(void* argument) {
  struct worker* worker = (struct worker*)argument;
  worker->index = truth_register("oracle-worker");
  sem_post(&worker->done);
  for (;;) {
    sem_wait(&worker->start);
    for (long done = 0; done < operations; ++done) step(worker);
    sem_post(&worker->done);
  }
  return NULL;
}

static void run_workers(uint64_t seed) {
  for (int i = 0; i < worker_count; ++i) {
    workers[i].random = (seed * 1000003 + (uint64_t)i + 1) * 0x9E3779B97F4A7C15ull | 1;
    sem_post(&workers[i].start);
  }
  for (int i = 0; i < worker_count; ++i) sem_wait(&workers[i].done);
}

static void release_all(void) {
  for (size_t i = 0; i < CELLS; ++i)
    if (cells[i].block != NULL) release(&cells[i], 0);
}

int main(int argc, char** argv) {
  char line[64];
  if (argc != 3) return 2;
  worker_count = atoi(argv[1]);
  operations = atol(argv[2]);
  if (worker_count < 1 || worker_count > MAX_WORKERS) return 2;
  memset(long_text, 'a', sizeof(long_text) - 1);
  truth_register("oracle");
  for (int i = 0; i < worker_count; ++i) {
    sem_init(&workers[i].start, 0, 0);
    sem_init(&workers[i].done, 0, 0);
    pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]);
    sem_wait(&workers[i].done);
  }
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    if (strcmp(line, "free") == 0) {
      release_all();
    } else {
      run_workers(strtoull(line, NULL, 10));
    }
    truth_print();
  }
  _exit(0);
}
