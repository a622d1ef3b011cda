/* SPDX-License-Identifier: Apache-2.0
 * cases NAME: one allocator function in one variant, with the exact truth of it. Every allocation of a case happens
 * below a function called case_NAME, so that the stack can be checked too. */
#include "truth.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>

#define BLOCKS 16
#define FAR_TOO_MUCH ((size_t)PTRDIFF_MAX)

static void* blocks[BLOCKS];
static void* older[2];
static int self;

/* Takes the result of an allocation of `bytes`. */
static void* made(void* block, size_t bytes) {
  TRUTH_HIDE(block);
  if (block == NULL) {
    truth_failed();
  } else {
    truth_allocated(self, bytes);
  }
  return block;
}

static void give_back(void* block, size_t bytes) {
  TRUTH_HIDE(block);
  free(block);
  truth_freed(self, bytes);
}

static size_t hidden(size_t value) {
  TRUTH_HIDE(value);
  return value;
}

static void expect_that(bool condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "cases: %s\n", what);
  _exit(4);
}

TRUTH_NOINLINE static void case_malloc_small(void) {
  for (size_t i = 0; i < 10; ++i) blocks[i] = made(malloc(100 + i), 100 + i);
  for (size_t i = 0; i < 3; ++i) give_back(blocks[i], 100 + i);
}

TRUTH_NOINLINE static void case_malloc_zero(void) {
  for (size_t i = 0; i < 5; ++i) blocks[i] = made(malloc(hidden(0)), 0);
  give_back(blocks[0], 0);
}

TRUTH_NOINLINE static void case_malloc_large(void) {
  const size_t bytes = 64 << 20;
  for (size_t i = 0; i < 2; ++i) blocks[i] = made(malloc(bytes + i), bytes + i);
  give_back(blocks[0], bytes);
}

TRUTH_NOINLINE static void case_malloc_fails(void) {
  for (size_t i = 0; i < 3; ++i) expect_that(made(malloc(hidden(FAR_TOO_MUCH)), 0) == NULL, "malloc did not fail");
}

TRUTH_NOINLINE static void case_calloc_small(void) {
  for (size_t i = 0; i < 8; ++i) blocks[i] = made(calloc(i + 1, 48), (i + 1) * 48);
  give_back(blocks[7], 8 * 48);
}

TRUTH_NOINLINE static void case_calloc_zero(void) {
  blocks[0] = made(calloc(hidden(0), 8), 0);
  blocks[1] = made(calloc(8, hidden(0)), 0);
}

TRUTH_NOINLINE static void case_calloc_overflows(void) {
  for (size_t i = 0; i < 2; ++i)
    expect_that(made(calloc(hidden(SIZE_MAX / 2), hidden(3)), 0) == NULL, "calloc did not fail");
}

/* realloc of a live block of ours from `from` to `to` bytes, which must succeed. */
static void* moved(void* block, size_t from, size_t to) {
  void* result = realloc(block, hidden(to));
  TRUTH_HIDE(result);
  expect_that(result != NULL, "realloc failed");
  truth_freed(self, from);
  truth_allocated(self, to);
  return result;
}

TRUTH_NOINLINE static void case_realloc_null(void) {
  blocks[0] = made(realloc(NULL, hidden(120)), 120);
  blocks[1] = made(realloc(NULL, hidden(0)), 0);
}

TRUTH_NOINLINE static void case_realloc_grows(void) {
  blocks[0] = made(malloc(100), 100);
  for (size_t step = 1; step < 9; ++step) blocks[0] = moved(blocks[0], step * 100, (step + 1) * 100);
}

TRUTH_NOINLINE static void case_realloc_shrinks(void) {
  blocks[0] = made(malloc(40000), 40000);
  blocks[0] = moved(blocks[0], 40000, 400);
  blocks[0] = moved(blocks[0], 400, 8);
}

TRUTH_NOINLINE static void case_realloc_moves(void) {
  blocks[0] = made(malloc(100), 100);
  blocks[1] = made(malloc(100), 100);
  const uintptr_t before = (uintptr_t)blocks[0];
  blocks[0] = moved(blocks[0], 100, 100000);
  expect_that((uintptr_t)blocks[0] != before, "realloc did not move the block");
}

TRUTH_NOINLINE static void case_realloc_remaps(void) {
  blocks[0] = made(malloc(1 << 20), 1 << 20);
  blocks[0] = moved(blocks[0], 1 << 20, 96 << 20);
}

TRUTH_NOINLINE static void case_realloc_fails(void) {
  blocks[0] = made(malloc(1000), 1000);
  blocks[1] = made(malloc(2000), 2000);
  for (size_t i = 0; i < 2; ++i)
    expect_that(made(realloc(blocks[i], hidden(FAR_TOO_MUCH)), 0) == NULL, "realloc did not fail");
  give_back(blocks[1], 2000);
}

TRUTH_NOINLINE static void case_realloc_zero(void) {
  for (size_t i = 0; i < 2; ++i) blocks[i] = made(malloc(500), 500);
  void* result = realloc(blocks[0], hidden(0));
  TRUTH_HIDE(result);
  truth_freed(self, 500);
  if (result != NULL) truth_allocated(self, 0);
}

TRUTH_NOINLINE static void case_realloc_older(void) {
  blocks[0] = realloc(older[0], hidden(7777));
  expect_that(blocks[0] != NULL, "realloc failed");
  truth_freed_older();
  truth_allocated(self, 7777);
}

TRUTH_NOINLINE static void case_reallocarray_good(void) {
  blocks[0] = made(reallocarray(NULL, hidden(10), 24), 240);
  blocks[0] = reallocarray(blocks[0], hidden(100), 24);
  expect_that(blocks[0] != NULL, "reallocarray failed");
  truth_freed(self, 240);
  truth_allocated(self, 2400);
}

TRUTH_NOINLINE static void case_reallocarray_overflows(void) {
  blocks[0] = made(malloc(640), 640);
  void* result = reallocarray(blocks[0], hidden(SIZE_MAX / 2), hidden(3));
  TRUTH_HIDE(result);
  expect_that(result == NULL, "reallocarray did not fail");
  truth_failed();
}

TRUTH_NOINLINE static void case_posix_memalign_good(void) {
  for (size_t i = 0; i < 4; ++i) {
    expect_that(posix_memalign(&blocks[i], (size_t)64 << i, 300 + i) == 0, "posix_memalign failed");
    truth_allocated(self, 300 + i);
  }
  give_back(blocks[0], 300);
}

/* The out-pointer holds a live block: a failed call must not be read as having returned it. */
TRUTH_NOINLINE static void case_posix_memalign_bad_alignment(void) {
  blocks[0] = made(malloc(150), 150);
  void* stale = blocks[0];
  expect_that(posix_memalign(&stale, hidden(24), hidden(4000)) == EINVAL, "posix_memalign did not refuse");
  truth_failed();
  expect_that(stale == blocks[0], "posix_memalign touched the pointer");
}

TRUTH_NOINLINE static void case_posix_memalign_too_large(void) {
  blocks[0] = made(malloc(160), 160);
  void* stale = blocks[0];
  expect_that(posix_memalign(&stale, 64, hidden(FAR_TOO_MUCH)) == ENOMEM, "posix_memalign did not fail");
  truth_failed();
}

TRUTH_NOINLINE static void case_aligned_alloc_good(void) {
  for (size_t i = 0; i < 4; ++i) blocks[i] = made(aligned_alloc(128, hidden(1024)), 1024);
  give_back(blocks[3], 1024);
}

TRUTH_NOINLINE static void case_aligned_alloc_fails(void) {
  expect_that(made(aligned_alloc(128, hidden(FAR_TOO_MUCH - 127)), 0) == NULL, "aligned_alloc did not fail");
}

TRUTH_NOINLINE static void case_memalign_good(void) {
  for (size_t i = 0; i < 4; ++i) blocks[i] = made(memalign(4096, hidden(5000 + i)), 5000 + i);
  give_back(blocks[0], 5000);
}

TRUTH_NOINLINE static void case_valloc_good(void) {
  for (size_t i = 0; i < 3; ++i) blocks[i] = made(valloc(hidden(600 + i)), 600 + i);
  give_back(blocks[1], 601);
}

TRUTH_NOINLINE static void case_pvalloc_good(void) {
  for (size_t i = 0; i < 3; ++i) blocks[i] = made(pvalloc(hidden(700 + i)), 700 + i);
  give_back(blocks[1], 701);
}

TRUTH_NOINLINE static void case_strdup_copies(void) {
  blocks[0] = made(strdup("outstanding"), sizeof("outstanding"));
  blocks[1] = made(strndup("outstanding", 3), 4);
  blocks[2] = made(strdup(""), 1);
  give_back(blocks[2], 1);
}

/* getline() itself tells in `capacity` what it asked the allocator for last. */
TRUTH_NOINLINE static void case_getline_grows(void) {
  static char stream_buffer[4096];
  static char text[1200];
  char* line = NULL;
  size_t capacity = 0;
  int ends[2];
  memset(text, 'x', sizeof(text));
  text[9] = '\n';
  text[sizeof(text) - 1] = '\n';
  expect_that(pipe(ends) == 0 && write(ends[1], text, sizeof(text)) == sizeof(text), "no pipe");
  dup2(ends[0], 9);
  FILE* stream = (FILE*)older[1];
  setvbuf(stream, stream_buffer, _IOFBF, sizeof(stream_buffer));
  expect_that(getline(&line, &capacity, stream) == 10, "short line not read");
  truth_allocated(self, capacity);
  const size_t first = capacity;
  expect_that(getline(&line, &capacity, stream) == sizeof(text) - 10, "long line not read");
  expect_that(capacity > first, "getline did not grow its buffer");
  truth_freed(self, first);
  truth_allocated(self, capacity);
  blocks[0] = line;
}

TRUTH_NOINLINE static void case_free_all(void) {
  for (size_t i = 0; i < BLOCKS; ++i) blocks[i] = made(malloc(1 + 37 * i), 1 + 37 * i);
  for (size_t i = 0; i < BLOCKS; ++i) give_back(blocks[BLOCKS - 1 - i], 1 + 37 * (BLOCKS - 1 - i));
}

TRUTH_NOINLINE static void case_free_null(void) {
  blocks[0] = made(malloc(90), 90);
  for (size_t i = 0; i < 10; ++i) {
    void* nothing = NULL;
    TRUTH_HIDE(nothing);
    free(nothing);
    truth_freed_null();
  }
}

TRUTH_NOINLINE static void case_free_older(void) {
  free(older[0]);
  truth_freed_older();
}

/* 200 times the same address: made, given back, made again. */
TRUTH_NOINLINE static void case_address_reused(void) {
  for (size_t i = 0; i < 200; ++i) give_back(made(malloc(72), 72), 72);
  blocks[0] = made(malloc(72), 72);
}

TRUTH_NOINLINE static void case_nothing_happens(void) {
  TRUTH_HIDE(self);
}

#define CASES(X)                                                                                                       \
  X(malloc_small)                                                                                                      \
  X(malloc_zero) X(malloc_large) X(malloc_fails) X(calloc_small) X(calloc_zero) X(calloc_overflows) X(realloc_null)    \
      X(realloc_grows) X(realloc_shrinks) X(realloc_moves) X(realloc_remaps) X(realloc_fails) X(realloc_zero)          \
          X(realloc_older) X(reallocarray_good) X(reallocarray_overflows) X(posix_memalign_good)                       \
              X(posix_memalign_bad_alignment) X(posix_memalign_too_large) X(aligned_alloc_good) X(aligned_alloc_fails) \
                  X(memalign_good) X(valloc_good) X(pvalloc_good) X(strdup_copies) X(getline_grows) X(free_all)        \
                      X(free_null) X(free_older) X(address_reused) X(nothing_happens)

static const struct {
  const char* name;
  void (*run)(void);
} cases[] = {
#define CASE_ROW(name) {#name, case_##name},
    CASES(CASE_ROW)
#undef CASE_ROW
};

static void (*find_case(const char* name))(void) {
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i)
    if (strcmp(cases[i].name, name) == 0) return cases[i].run;
  fprintf(stderr, "cases: no case '%s'\n", name);
  exit(2);
}

int main(int argc, char** argv) {
  char line[64];
  void (*run)(void) = find_case(argc > 1 ? argv[1] : "");
  older[0] = malloc(3000);
  dup2(0, 9);
  older[1] = fdopen(9, "r"); /* its own allocations are older than the attach */
  self = truth_register("cases");
  truth_ready();
  while (truth_wait_go(line, sizeof(line))) {
    run();
    truth_print();
  }
  _exit(0);
}
