/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one list of event counters: BPF programs bump them per process slot and CPU, user space sums and prints all.
 *
 * Conservation, in calls and in bytes, exact whenever no allocator call is in flight:
 *   seen = tracked + failed + sampled_out + filtered + lost_* + in_flight       tracked = live + freed
 *   released = (freed - missed_free) + free_unknown
 * where live and freed are sums over the sites of the process. */
#ifndef ALLOCTRAIL_COUNTERS_H
#define ALLOCTRAIL_COUNTERS_H

#include "alloctrail/records.h"

/* X(name, sentence). Names ending in _bytes count bytes, all others calls. */
#define AT_COUNTERS(X)                                                                                        \
  X(seen_calls, "allocation calls seen")                                                                      \
  X(seen_bytes, "bytes those calls asked for")                                                                \
  X(tracked_calls, "allocations that entered the live table")                                                 \
  X(tracked_bytes, "bytes of the allocations that entered the live table")                                    \
  X(failed_calls, "allocations that returned NULL, an error or an exception")                                 \
  X(failed_bytes, "bytes of the allocations that failed")                                                     \
  X(sampled_out_calls, "allocations left out by sampling, failed ones among them")                                                    \
  X(sampled_out_bytes, "bytes left out by sampling")                                                          \
  X(filtered_calls, "allocations left out by --min-size or --thread")                                                    \
  X(filtered_bytes, "bytes left out by --min-size or --thread")                                       \
  X(lost_live_full_calls, "allocations lost: the live table was full or had no memory")                                 \
  X(lost_live_full_bytes, "bytes lost: the live table was full or had no memory")                                       \
  X(lost_site_full_calls, "allocations lost because the site table was full")                                 \
  X(lost_site_full_bytes, "bytes lost because the site table was full")                                       \
  X(lost_return_calls, "allocations lost because their return was never seen")                                \
  X(lost_return_bytes, "bytes lost because the return was never seen")                                        \
  X(lost_state_calls, "allocations lost because the kernel had no memory for the thread's state")             \
  X(lost_state_bytes, "bytes lost because the kernel had no memory for the thread's state")                   \
  X(lost_fault_calls, "allocations lost because the result could not be read from the target")                \
  X(lost_fault_bytes, "bytes lost because the result could not be read from the target")                      \
  X(lost_range_calls, "allocations lost because their address does not fit the live table's key")             \
  X(lost_range_bytes, "bytes lost because the address does not fit the live table's key")                     \
  X(released_calls, "blocks handed back: free, delete, realloc that did not fail or was left out")                                   \
  X(free_unknown_calls, "of those, blocks not in the table: sampled out, filtered, older than the attach, or lost; a free cannot tell")        \
  X(free_null_calls, "free(NULL) calls, which release nothing")                                               \
  X(missed_free_calls, "blocks whose address was handed out again before a free was seen")                    \
  X(missed_free_bytes, "bytes of the blocks whose free was missed")                                           \
  X(nested_calls, "allocator calls made inside another allocator call, counted with the outer one")           \
  X(realloc_aside_full_calls, "reallocs whose old record could not be set aside: it counts as freed")         \
  X(stack_full_calls, "allocations shown under 'stack table full'")                                           \
  X(stack_scratch_busy_calls, "allocations without a stack: no free scratch slot on that CPU")                \
  X(thread_full_calls, "allocations shown under 'thread table full'")                                         \
  X(event_lost_calls, "notices to user space dropped because the event ring was full")

struct at_counters {
#define AT_COUNTER_FIELD(name, sentence) __u64 name;
  AT_COUNTERS(AT_COUNTER_FIELD)
#undef AT_COUNTER_FIELD
  __u64 walks[AT_STACK_WALK_ENDS]; /* walks of a stack, by how they ended: enum at_stack_status */
};

#endif
