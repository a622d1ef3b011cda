/* SPDX-License-Identifier: Apache-2.0
 * maps_file FILE: has any file mapped executable, as if it were a library; then allocates as `blocks` does. */
#include "truth.h"

#include <fcntl.h>
#include <sys/mman.h>

int main(int argc, char** argv) {
  char line[64];
  const int file = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0 || mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0) == MAP_FAILED) return 2;
  const int self = truth_register("maps_file");
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    void* block = malloc(4321);
    TRUTH_HIDE(block);
    truth_allocated(self, 4321);
    truth_print();
  }
  _exit(0);
}
