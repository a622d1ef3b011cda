/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sampling by bytes. An allocation of s bytes is recorded with a probability p that depends on its size class alone, and
 * then stands for 1/p allocations (Horvitz and Thompson). At a rate of R bytes p is near 1 - exp(-s/R), so that a sample
 * comes about every R bytes. p and 1/p come from one table entry: estimates are unbiased whatever the table holds.
 *
 * The rate is one of AT_SAMPLE_RUNGS rungs and may change at any moment: a block keeps the rung it was recorded at. */
#ifndef ALLOCTRAIL_SAMPLING_H
#define ALLOCTRAIL_SAMPLING_H

#include "alloctrail/abi.h"

#define AT_SAMPLE_RUNGS 16        /* rung 0: every allocation is recorded */
#define AT_SAMPLE_CLASSES 256     /* size classes of a rung: eight to each power of two */
#define AT_SAMPLE_LARGEST (1u << 31) /* sizes from here on are one class, which is always recorded */

/* One size class at one rung; table index = rung * AT_SAMPLE_CLASSES + at_size_class(size). */
struct at_sample_class {
  __u64 threshold;          /* recorded if a random 32-bit number is below; 2^32: always */
  __u64 weight_q16;         /* 2^32 / threshold in 1/65536: the allocations a recorded one stands for */
  __u64 blocks_variance_q4; /* weight * (weight - 1) in 1/16, rounded up: what it adds to the variance of their number */
};
AT_ASSERT_SIZE(at_sample_class, 24);
#define AT_SAMPLE_ALWAYS (1ull << 32)
#define AT_SAMPLE_WEIGHT_ONE (1ull << 16)

/* Sums over recorded allocations with a weight above one; all others stand for themselves and are not in here. */
struct at_sample_sums {
  __u64 samples;
  __u64 bytes;              /* of the recorded allocations themselves */
  __u64 stand_bytes;        /* bytes they stand for */
  __u64 stand_blocks_q16;   /* allocations they stand for, in 1/65536 */
  __u64 bytes_variance_q;   /* variance of stand_bytes, in units of 65536 square bytes */
  __u64 blocks_variance_q4; /* variance of the number of allocations, in 1/16 */
};
AT_ASSERT_SIZE(at_sample_sums, 48);

enum at_sample_side { AT_SAMPLES_ALLOCATED = 0, AT_SAMPLES_FREED = 1, AT_SAMPLES_OLDER = 2, AT_SAMPLE_SIDES = 3 };

/* What belongs to one element of `sites`; array by index, memory-mapped. `older` is scratch of the age pass. */
struct at_site_samples {
  struct at_sample_sums side[AT_SAMPLE_SIDES]; /* by enum at_sample_side */
};
AT_ASSERT_SIZE(at_site_samples, 144);

/* 0 to 7 bytes are classes of their own; from there on the highest bit and the three below it. */
static inline __u32 at_size_class(__u64 size_bytes)
{
  __u32 size = size_bytes < AT_SAMPLE_LARGEST ? (__u32)size_bytes : AT_SAMPLE_LARGEST;
  __u32 rest = size, highest = 0;

  if (size < 8) return size;
  if (rest >> 16) { rest >>= 16; highest += 16; }
  if (rest >> 8) { rest >>= 8; highest += 8; }
  if (rest >> 4) { rest >>= 4; highest += 4; }
  if (rest >> 2) { rest >>= 2; highest += 2; }
  highest += rest >> 1;
  return (highest - 2) * 8 + ((size >> (highest - 3)) & 7);
}

#endif
