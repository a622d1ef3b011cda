/* SPDX-License-Identifier: Apache-2.0
 * What the preloaded stack oracle and a test share: a file that both map. The test says when to look; every process
 * with the oracle preloaded appends the stacks it finds. */
#ifndef ALLOCTRAIL_TESTS_WORKLOADS_STACK_ORACLE_H
#define ALLOCTRAIL_TESTS_WORKLOADS_STACK_ORACLE_H

#include <stdint.h>

#define STACK_ORACLE_VARIABLE "STACK_ORACLE_FILE"
#define STACK_ORACLE_WORDS (16u << 20)
#define STACK_ORACLE_MAX_FRAMES 1024

struct stack_oracle {
  uint64_t every;           /* look at every Nth malloc; 0: at none */
  uint64_t calls;           /* mallocs since then */
  uint64_t used_words;      /* of `words`; may pass the end: then stacks were lost */
  uint64_t allocating_begin; /* the code that calls malloc for those that were looked at, in the last process that did */
  uint64_t allocating_end;
  uint64_t checkpoint;      /* address of a function that is called for each of them, with the same stack below it */
  /* Records: process id, number of frames, addresses of the calls, innermost first, from the caller of malloc on. */
  uint64_t words[STACK_ORACLE_WORDS];
};

#endif
