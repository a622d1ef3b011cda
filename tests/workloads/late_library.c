/* SPDX-License-Identifier: Apache-2.0
 * late_library FILE: loads an allocator at "load" and allocates with it, not with the program's own, at "allocate". */
#include <dlfcn.h>

#include "truth.h"

typedef void* (*allocate_function)(size_t);
typedef void (*release_function)(void*);

static int self;

TRUTH_NOINLINE static void allocate_with_loaded(allocate_function allocate, release_function release) {
  for (size_t i = 0; i < 50; ++i) {
    void* block = allocate(100 + i);
    TRUTH_HIDE(block);
    truth_allocated(self, 100 + i);
    if (i % 5 != 0) continue;
    release(block);
    truth_freed(self, 100 + i);
  }
}

int main(int argc, char** argv) {
  char line[64];
  void* library = NULL;
  if (argc != 2) return 2;
  self = truth_register("late_library");
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    if (strcmp(line, "load") == 0) {
      library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
      if (library == NULL) _exit(4);
    } else {
      allocate_with_loaded((allocate_function)dlsym(library, "malloc"), (release_function)dlsym(library, "free"));
    }
    truth_print();
  }
  _exit(0);
}
