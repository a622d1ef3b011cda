/* SPDX-License-Identifier: Apache-2.0
 * many_sites SITES BLOCKS: "fill" allocates BLOCKS blocks from each of SITES call stacks and keeps them. A site's
 * number is coded into its stack: each bit decides which of two functions makes the next call. */
#include "tests/workloads/truth.h"

#define PATH_BITS 14

static unsigned long made;

static TRUTH_NOINLINE void left(unsigned long path, int bits, int blocks);
static TRUTH_NOINLINE void right(unsigned long path, int bits, int blocks);

static void next(unsigned long path, int bits, int blocks) {
  int i;
  if (bits > 0) {
    if (path & 1) {
      right(path >> 1, bits - 1, blocks);
    } else {
      left(path >> 1, bits - 1, blocks);
    }
    return;
  }
  for (i = 0; i < blocks; ++i) {
    void* block = malloc(32);
    TRUTH_HIDE(block);
    ++made;
  }
}

/* The two differ, or the compiler would make them one. */
static TRUTH_NOINLINE void left(unsigned long path, int bits, int blocks) {
  next(path, bits, blocks);
  __asm__ volatile("");
}

static TRUTH_NOINLINE void right(unsigned long path, int bits, int blocks) {
  next(path, bits, blocks);
  __asm__ volatile("nop");
}

int main(int argc, char** argv) {
  char line[64];
  long sites, blocks, site;
  if (argc < 3) return 2;
  sites = atol(argv[1]);
  blocks = atol(argv[2]);
  if (sites < 1 || sites > 1L << PATH_BITS || blocks < 1) return 2;
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    for (site = 0; site < sites; ++site) next((unsigned long)site, PATH_BITS, (int)blocks);
    truth_write(line, (size_t)snprintf(line, sizeof(line), "{\"blocks\":%lu}\n", made));
  }
  _exit(0);
}
