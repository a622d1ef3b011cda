/* SPDX-License-Identifier: Apache-2.0
 * blocks COUNT BYTES [NAME]: phases "make" (COUNT blocks of BYTES each) and "free" (all of them). Allocates the same
 * addresses in every process without address randomisation. */
#include "truth.h"

#define MAX_BLOCKS 200000

static void* blocks[MAX_BLOCKS];

int main(int argc, char** argv) {
  char line[64];
  if (argc < 3 || atol(argv[1]) > MAX_BLOCKS) return 2;
  const size_t count = (size_t)atol(argv[1]);
  const size_t bytes = (size_t)atol(argv[2]);
  const int self = truth_register(argc > 3 ? argv[3] : "blocks");
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    const int make = strcmp(line, "make") == 0;
    for (size_t i = 0; i < count; ++i) {
      if (make) {
        blocks[i] = malloc(bytes);
        TRUTH_HIDE(blocks[i]);
        truth_allocated(self, bytes);
      } else {
        free(blocks[i]);
        truth_freed(self, bytes);
      }
    }
    truth_print();
  }
  _exit(0);
}
