/* SPDX-License-Identifier: Apache-2.0
 * What a workload knows about its own allocations, counted by itself, per thread; and its handshake with the test:
 * "ready PID", then one truth line per line read. Nothing in here allocates. Plain C, for musl's sake too. */
#ifndef ALLOCTRAIL_TESTS_WORKLOADS_TRUTH_H
#define ALLOCTRAIL_TESTS_WORKLOADS_TRUTH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRUTH_MAX_THREADS 256

/* A compiler must neither drop an allocation nor know what a pointer holds. */
#define TRUTH_HIDE(value) __asm__ volatile("" : "+r"(value) : : "memory")
#define TRUTH_NOINLINE __attribute__((noinline))

struct truth_thread {
  long tid;
  char name[16];
  uint64_t allocated_bytes;
  uint64_t allocated_blocks;
  uint64_t freed_bytes; /* blocks this thread allocated, whoever freed them */
  uint64_t freed_blocks;
};

static struct {
  struct truth_thread threads[TRUTH_MAX_THREADS];
  int thread_count;
  uint64_t failed_calls;
  uint64_t released_calls; /* blocks handed back, whenever they were born */
  uint64_t older_frees;    /* of those, blocks born before the first phase */
  uint64_t null_frees;
} truth;

static inline void truth_add(uint64_t* figure, uint64_t amount) {
  __atomic_fetch_add(figure, amount, __ATOMIC_RELAXED);
}

/* Enters the calling thread under a name; its index is what the functions below take. */
static inline int truth_register(const char* name) {
  int index = __atomic_fetch_add(&truth.thread_count, 1, __ATOMIC_RELAXED);
  struct truth_thread* thread = &truth.threads[index];
  if (index >= TRUTH_MAX_THREADS) abort();
  strncpy(thread->name, name, sizeof(thread->name) - 1);
  prctl(PR_SET_NAME, thread->name);
  thread->tid = syscall(SYS_gettid);
  return index;
}

static inline void truth_allocated(int thread, uint64_t bytes) {
  truth_add(&truth.threads[thread].allocated_bytes, bytes);
  truth_add(&truth.threads[thread].allocated_blocks, 1);
}

/* `owner`: the thread that allocated the block. */
static inline void truth_freed(int owner, uint64_t bytes) {
  truth_add(&truth.threads[owner].freed_bytes, bytes);
  truth_add(&truth.threads[owner].freed_blocks, 1);
  truth_add(&truth.released_calls, 1);
}

static inline void truth_freed_older(void) {
  truth_add(&truth.older_frees, 1);
  truth_add(&truth.released_calls, 1);
}

static inline void truth_failed(void) {
  truth_add(&truth.failed_calls, 1);
}
static inline void truth_freed_null(void) {
  truth_add(&truth.null_frees, 1);
}

static inline void truth_write(const char* text, size_t length) {
  while (length > 0) {
    ssize_t written = write(1, text, length);
    if (written <= 0) _exit(3);
    text += written;
    length -= (size_t)written;
  }
}

static inline void truth_ready(void) {
  static char line[64];
  truth_write(line, (size_t)snprintf(line, sizeof(line), "ready %ld\n", (long)getpid()));
}

/* Reads the test's next line into `line` (without newline); 0 at the end of input. */
static inline int truth_wait_go(char* line, size_t capacity) {
  size_t length = 0;
  char byte;
  while (read(0, &byte, 1) == 1) {
    if (byte == '\n') {
      line[length] = 0;
      return 1;
    }
    if (length + 1 < capacity) line[length++] = byte;
  }
  return 0;
}

static inline size_t truth_format_thread(char* out, size_t capacity, const struct truth_thread* thread) {
  return (size_t)snprintf(
      out, capacity,
      "{\"tid\":%ld,\"name\":\"%s\",\"allocated_bytes\":%llu,\"allocated_blocks\":%llu,\"outstanding_bytes\":%llu,"
      "\"outstanding_blocks\":%llu}",
      thread->tid, thread->name, (unsigned long long)thread->allocated_bytes,
      (unsigned long long)thread->allocated_blocks, (unsigned long long)(thread->allocated_bytes - thread->freed_bytes),
      (unsigned long long)(thread->allocated_blocks - thread->freed_blocks));
}

/* Prints the truth since the start as one JSON line. */
static inline void truth_print(void) {
  static char line[TRUTH_MAX_THREADS * 256];
  size_t used =
      (size_t)snprintf(line, sizeof(line),
                       "{\"pid\":%ld,\"failed_calls\":%llu,\"released_calls\":%llu,\"older_frees\":%llu,\"null_frees\":"
                       "%llu,\"threads\":[",
                       (long)getpid(), (unsigned long long)truth.failed_calls, (unsigned long long)truth.released_calls,
                       (unsigned long long)truth.older_frees, (unsigned long long)truth.null_frees);
  int index;
  for (index = 0; index < truth.thread_count; ++index) {
    if (index > 0) line[used++] = ',';
    used += truth_format_thread(line + used, sizeof(line) - used, &truth.threads[index]);
  }
  memcpy(line + used, "]}\n", 3);
  truth_write(line, used + 3);
}

#endif
