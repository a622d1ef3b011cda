/* SPDX-License-Identifier: Apache-2.0
 * lifecycle STORY: processes that fork, exec, lose their main thread or end while they are traced. One line is one
 * phase, as in the other workloads. */
#include "truth.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>

static int self;

TRUTH_NOINLINE static void allocate(size_t count, size_t bytes) {
  for (size_t i = 0; i < count; ++i) {
    void* block = malloc(bytes);
    TRUTH_HIDE(block);
    if (block == NULL) _exit(4);
    truth_allocated(self, bytes);
  }
}

/* Allocations that are nobody's truth. */
TRUTH_NOINLINE static void allocate_unseen(size_t count, size_t bytes) {
  for (size_t i = 0; i < count; ++i) {
    void* block = malloc(bytes);
    TRUTH_HIDE(block);
    if (i % 2 == 0) free(block);
  }
}

static void wait_for(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) _exit(4);
}

/* The child allocates and frees on a copy of the heap: none of it is this process's memory. */
static void story_fork(void) {
  static void* shared[10];
  for (size_t i = 0; i < 10; ++i) {
    shared[i] = malloc(1000);
    TRUTH_HIDE(shared[i]);
    truth_allocated(self, 1000);
  }
  const pid_t child = fork();
  if (child == 0) {
    allocate_unseen(500, 333);
    for (size_t i = 0; i < 10; ++i) free(shared[i]);
    _exit(0);
  }
  wait_for(child);
  allocate(5, 77);
}

static void story_vfork(void) {
  static char* const arguments[] = {(char*)"/bin/true", NULL};
  allocate(5, 1111);
  const pid_t child = vfork();
  if (child == 0) {
    execv(arguments[0], arguments);
    _exit(5);
  }
  wait_for(child);
  allocate(5, 2222);
}

/* First phase: blocks. Second phase: the same program again, whose truth starts from nothing. */
static void story_exec(void) {
  static int phase;
  if (++phase == 1) {
    allocate(20, 5000);
    return;
  }
  static char* const arguments[] = {(char*)"/proc/self/exe", (char*)"after_exec", NULL};
  execv(arguments[0], arguments);
  _exit(5);
}

static void story_after_exec(void) {
  allocate(7, 123);
}

static void story_exit(void) {
  allocate(30, 4000);
  truth_print();
  _exit(0);
}

static void story_allocate(void) {
  allocate(30, 4000);
}

static const struct {
  const char* name;
  void (*run)(void);
} stories[] = {
    {"fork", story_fork},
    {"vfork", story_vfork},
    {"exec", story_exec},
    {"after_exec", story_after_exec},
    {"exit", story_exit},
    {"allocate", story_allocate},
    {"zombie_leader", story_allocate},
};

static void (*run)(void);

static void* serve(void* unused) {
  char line[64];
  self = truth_register("lifecycle");
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    run();
    truth_print();
  }
  _exit(0);
  return unused;
}

static pthread_t leader;

static void* serve_after_leader(void* unused) {
  pthread_join(leader, NULL);
  return serve(unused);
}

int main(int argc, char** argv) {
  for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); ++i)
    if (strcmp(stories[i].name, argc > 1 ? argv[1] : "") == 0) run = stories[i].run;
  if (run == NULL) return 2;
  if (strcmp(argv[1], "zombie_leader") != 0) serve(NULL);
  pthread_t server;
  leader = pthread_self();
  pthread_create(&server, NULL, serve_after_leader, NULL);
  pthread_exit(NULL);
}
