/* SPDX-License-Identifier: Apache-2.0
 * many_mappings COUNT: has COUNT executable mappings without a file, as JIT compilers do; each phase allocates ten blocks. */
#include <sys/mman.h>

#include "truth.h"

int main(int argc, char** argv) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  const size_t count = argc > 1 ? (size_t)atol(argv[1]) : 0;
  /* Every other page: neighbours would be one mapping. */
  char* pages = mmap(NULL, 2 * count * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char line[64];
  const int self = truth_register("many_mappings");
  size_t i;
  if (count == 0 || pages == MAP_FAILED) return 2;
  for (i = 0; i < count; ++i)
    if (mprotect(pages + 2 * i * page, page, PROT_READ | PROT_EXEC) != 0) return 3;
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    for (i = 0; i < 10; ++i) {
      void* block = malloc(100);
      TRUTH_HIDE(block);
      truth_allocated(self, 100);
    }
    truth_print();
  }
  _exit(0);
}
