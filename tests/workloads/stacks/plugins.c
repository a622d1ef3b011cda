/* SPDX-License-Identifier: Apache-2.0
 * plugins LIBRARY...: "load N" loads a library, "call" allocates from inside it, "unload" unloads it, "storm N" does all
 * three with each library in turn, N times. Prints the stacks since the start after each. */
#include "stack_truth.h"

#include <dlfcn.h>

typedef void (*plugin_callback)(void);

static char** libraries;
static int library_count;
static void* loaded;

TRUTH_NOINLINE static void allocate_for_plugin(void) {
  allocate_here();
  __asm__ volatile("" ::: "memory");
}

static void load(int number) {
  loaded = dlopen(libraries[number % library_count], RTLD_NOW | RTLD_LOCAL);
  if (loaded == NULL) _exit(4);
}

static void call(void) {
  void (*plugin_call)(plugin_callback) = (void (*)(plugin_callback))dlsym(loaded, "plugin_call");
  plugin_call(allocate_for_plugin);
}

static void storm(int count) {
  for (int i = 0; i < count * library_count; i++) {
    load(i);
    call();
    dlclose(loaded);
  }
}

int main(int argc, char** argv) {
  char line[64];
  libraries = argv + 1;
  library_count = argc - 1;
  if (library_count == 0) return 2;
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    if (strncmp(line, "load ", 5) == 0) load(atoi(line + 5));
    if (strncmp(line, "storm ", 6) == 0) storm(atoi(line + 6));
    if (strcmp(line, "call") == 0) call();
    if (strcmp(line, "unload") == 0) dlclose(loaded);
    stack_print();
  }
  _exit(0);
}
