/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Searching the unwind tables: the same code in the kernel half and in user space. Bounded loops, no helpers, and
 * every index masked, so that the BPF verifier and AddressSanitizer both accept it. */
#ifndef ALLOCTRAIL_UNWIND_LOOKUP_H
#define ALLOCTRAIL_UNWIND_LOOKUP_H

#include "alloctrail/unwind.h"

#define AT_UNWIND_INLINE static inline __attribute__((always_inline, unused))

/* The rule for `offset`, which lies in the block whose `count` rows begin at index `first`. `mask` is the number of
 * elements behind `rows` less one (a power of two less one), or all ones if the caller vouches for first and count.
 * Both searches step from a number the verifier knows nothing about: from a constant, every outcome of every comparison
 * would be a state of its own (120,000 instructions to verify instead of 4,000). */
AT_UNWIND_INLINE __u32 at_unwind_search(const struct at_unwind_row *rows, __u32 mask, __u32 first, __u32 count,
                                        __u32 offset)
{
  __u32 found = first, end = first + count;

  for (__u32 step = AT_UNWIND_BLOCK_BYTES / 2; step; step /= 2) {
    __u32 next = found + step;

    if (next < end && rows[next & mask].pc <= offset) found = next;
  }
  return rows[found & mask].rule;
}

#define AT_UNWIND_NO_MAPPING (~0u)

/* Index of the mapping that holds the address, or AT_UNWIND_NO_MAPPING. */
AT_UNWIND_INLINE __u32 at_unwind_search_mappings(const struct at_unwind_process *process, __u64 address)
{
  /* Mappings from `after` on start after the address. Read twice: no comparison shall tell the verifier about both. */
  __u32 count = process->mapping_count, after = *(const volatile __u32 *)&process->mapping_count;

  for (__u32 step = AT_UNWIND_MAX_MAPPINGS; step; step /= 2) {
    __u32 next = after - step;

    if (next < count && process->mappings[next & (AT_UNWIND_MAX_MAPPINGS - 1)].start > address) after = next;
  }
  after--;
  if (after >= count) return AT_UNWIND_NO_MAPPING;
  return address < process->mappings[after & (AT_UNWIND_MAX_MAPPINGS - 1)].end ? after : AT_UNWIND_NO_MAPPING;
}

#endif
