/* SPDX-License-Identifier: Apache-2.0
 * Touches memory in every way there is: each line read is one phase, "NAME PAGES", done in functions of that name; the
 * answer tells the page faults that the kernel has counted for the process so far. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "truth.h"

#define PAGE_BYTES 4096ul
#define HUGE_BYTES (2ul << 20)
#define RESERVED_BYTES (1ul << 30)

static char* kept; /* what the last phase touched */

static char* map_pages(size_t bytes) {
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) _exit(4);
  madvise(memory, bytes, MADV_NOHUGEPAGE);
  return memory;
}

TRUTH_NOINLINE static void touch_by_write(volatile char* memory, size_t pages, size_t step) {
  for (size_t i = 0; i < pages; ++i) memory[i * step] = 1;
  TRUTH_HIDE(memory);
}

TRUTH_NOINLINE static int touch_by_read(volatile char* memory, size_t pages) {
  int sum = 0;
  for (size_t i = 0; i < pages; ++i) sum += memory[i * PAGE_BYTES];
  TRUTH_HIDE(memory);
  return sum;
}

/* The kernel touches it. */
TRUTH_NOINLINE static void touch_by_system_call(char* memory, size_t pages) {
  int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  if (read(zero, memory, pages * PAGE_BYTES) != (ssize_t)(pages * PAGE_BYTES)) _exit(5);
  close(zero);
}

/* A page a call, and nothing else of that size on the stack. */
TRUTH_NOINLINE static int touch_stack(size_t pages) {
  volatile char frame[PAGE_BYTES];
  frame[0] = 1;
  TRUTH_HIDE(pages);
  return pages == 0 ? 0 : touch_stack(pages - 1) + frame[0];
}

static void* toucher(void* pages) {
  prctl(PR_SET_NAME, "toucher");
  memset(kept, 1, (size_t)pages * PAGE_BYTES);
  return NULL;
}

TRUTH_NOINLINE static void touch_in_thread(size_t pages) {
  pthread_t thread;
  kept = map_pages(pages * PAGE_BYTES);
  if (pthread_create(&thread, NULL, toucher, (void*)pages)) _exit(6);
  pthread_join(thread, NULL);
}

TRUTH_NOINLINE static void touch_in_child(size_t pages) {
  pid_t child = fork();
  if (child == 0) {
    touch_by_write(kept, pages, PAGE_BYTES); /* pages shared with the parent until now */
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

TRUTH_NOINLINE static void touch_huge(size_t huge_pages) {
  size_t bytes = (huge_pages + 1) * HUGE_BYTES;
  uintptr_t memory = (uintptr_t)mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* aligned = (char*)((memory + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1));
  madvise(aligned, huge_pages * HUGE_BYTES, MADV_HUGEPAGE);
  touch_by_write(aligned, huge_pages, HUGE_BYTES);
}

TRUTH_NOINLINE static void touch_shared(size_t pages) {
  char* memory = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  touch_by_write(memory, pages, PAGE_BYTES);
}

TRUTH_NOINLINE static void touch_heap(size_t pages) {
  char* memory = sbrk((intptr_t)((pages + 1) * PAGE_BYTES));
  touch_by_write((char*)(((uintptr_t)memory + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1)), pages, PAGE_BYTES);
}

static void phase(const char* name, size_t pages) {
  if (!strcmp(name, "reserve")) {
    kept = map_pages(RESERVED_BYTES);
    touch_by_write(kept, pages, PAGE_BYTES);
  } else if (!strcmp(name, "read")) {
    touch_by_read(map_pages(pages * PAGE_BYTES), pages);
  } else if (!strcmp(name, "again")) {
    madvise(kept, pages * PAGE_BYTES, MADV_DONTNEED);
    touch_by_write(kept, pages, PAGE_BYTES);
  } else if (!strcmp(name, "syscall")) {
    touch_by_system_call(map_pages(pages * PAGE_BYTES), pages);
  } else if (!strcmp(name, "stack")) {
    touch_stack(pages);
  } else if (!strcmp(name, "thread")) {
    touch_in_thread(pages);
  } else if (!strcmp(name, "child")) {
    touch_in_child(pages);
  } else if (!strcmp(name, "huge")) {
    touch_huge(pages);
  } else if (!strcmp(name, "shared")) {
    touch_shared(pages);
  } else if (!strcmp(name, "heap")) {
    touch_heap(pages);
  }
}

static void answer(void) {
  static char line[64];
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  truth_write(line, (size_t)snprintf(line, sizeof(line), "{\"faults\":%ld}\n", usage.ru_minflt + usage.ru_majflt));
}

/* A program that starts threads without a pause, while it is attached to: each touches the same number of pages. */
static void* short_life(void* pages) {
  char* memory = map_pages((size_t)pages * PAGE_BYTES);
  touch_by_write(memory, (size_t)pages, PAGE_BYTES);
  munmap(memory, (size_t)pages * PAGE_BYTES);
  return NULL;
}

static volatile int churning = 1;
static void* churn(void* pages) {
  while (churning) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, short_life, pages)) _exit(7);
    pthread_join(thread, NULL);
  }
  return NULL;
}

int main(void) {
  char line[64], name[32];
  pthread_t churner;
  size_t pages;
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    pages = 0;
    if (sscanf(line, "%31s %zu", name, &pages) < 1) return 2;
    if (!strcmp(name, "churn") && pthread_create(&churner, NULL, churn, (void*)pages)) return 7;
    if (!strcmp(name, "settle")) {
      churning = 0;
      pthread_join(churner, NULL);
    }
    phase(name, pages);
    answer();
  }
  return 0;
}
