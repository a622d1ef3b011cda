/* SPDX-License-Identifier: Apache-2.0
 * "rounds R P": R times maps P pages, writes to each for the first time and unmaps them; answers with the nanoseconds
 * of CPU that a page took in each round. */
#include <sys/mman.h>
#include <time.h>

#include "tests/workloads/truth.h"

#define PAGE_BYTES 4096ul

static double now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static double touch(size_t pages) {
  double begin, end;
  size_t i;
  volatile char* memory = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) _exit(4);
  madvise((char*)memory, pages * PAGE_BYTES, MADV_NOHUGEPAGE);
  begin = now_ns();
  for (i = 0; i < pages; ++i) memory[i * PAGE_BYTES] = 1;
  end = now_ns();
  munmap((char*)memory, pages * PAGE_BYTES);
  return (end - begin) / (double)pages;
}

int main(void) {
  char line[64];
  size_t pages;
  int rounds, round;
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    if (sscanf(line, "rounds %d %zu", &rounds, &pages) != 2) return 2;
    truth_write("{\"ns\":[", 7);
    for (round = 0; round < rounds; ++round)
      truth_write(line, (size_t)snprintf(line, sizeof(line), "%s%.2f", round ? "," : "", touch(pages)));
    truth_write("]}\n", 3);
  }
  return 0;
}
