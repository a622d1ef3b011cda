/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a probe tells its BPF program: the argument shape of the function it sits on and where in it, packed into the
 * 64-bit attach cookie. User space packs (probe planning), BPF unpacks (pairing). */
#ifndef ALLOCTRAIL_PROBE_H
#define ALLOCTRAIL_PROBE_H

#include "alloctrail/abi.h"

/* Argument shapes of allocator functions. One BPF code path each, never one per function. */
enum at_shape {
  AT_SHAPE_SIZE = 0,           /* f(size)                       malloc, valloc, pvalloc, operator new         */
  AT_SHAPE_ALIGN_SIZE = 1,     /* f(align, size)                aligned_alloc, memalign                       */
  AT_SHAPE_COUNT_SIZE = 2,     /* f(count, size)                calloc                                        */
  AT_SHAPE_OUT_ALIGN_SIZE = 3, /* f(&out, align, size) -> error posix_memalign                                */
  AT_SHAPE_REALLOC = 4,        /* f(old, size)                  realloc, rallocx                              */
  AT_SHAPE_REALLOC_ARRAY = 5,  /* f(old, count, size)           reallocarray                                  */
  AT_SHAPE_FREE = 6,           /* f(block)                      free, cfree, operator delete, sdallocx        */
  AT_SHAPE_COUNT = 7,
};

/* Which moments of the call the attachment reports. */
enum at_phase {
  AT_PHASE_ENTRY = 0,  /* the entry only                                                          */
  AT_PHASE_RETURN = 1, /* the return only (uretprobe, or a probe on a return instruction)         */
  AT_PHASE_BOTH = 2,   /* session probe: the program runs at both and tells them apart itself     */
};

/* Facts about the function that change how a call is accounted. */
#define AT_PROBE_THROWS 1u       /* may leave by an exception: no return probe; an abandoned call is a failed one     */
#define AT_PROBE_ZERO_FREES 2u   /* realloc(p, 0) frees p and returns NULL (glibc, jemalloc, tcmalloc)                */
#define AT_PROBE_SESSION 4u      /* the program's result 1 keeps the kernel from probing the return of this call      */
#define AT_PROBE_HANDS_ON 8u     /* a release that may pass its block on to another probed release                    */
#define AT_PROBE_LEAF 16u        /* an allocation that no other probed allocation is a part of: its return may be left */

/* Cookie bits: 0-15 probe index, 16-27 slot, 28-31 shape, 32-33 phase, 34-39 flags, 40-55 bytes pushed since entry. */
#define AT_COOKIE_PROBE(c) ((__u32)((c) & 0xffff))
#define AT_COOKIE_SLOT(c) ((__u32)(((c) >> 16) & 0xfff))
#define AT_COOKIE_SHAPE(c) ((__u32)(((c) >> 28) & 0xf))
#define AT_COOKIE_PHASE(c) ((__u32)(((c) >> 32) & 0x3))
#define AT_COOKIE_FLAGS(c) ((__u32)(((c) >> 34) & 0x3f))
#define AT_COOKIE_PUSHED(c) ((__u32)(((c) >> 40) & 0xffff))
#define AT_COOKIE(probe, slot, shape, phase, flags, pushed)                                                         \
  ((__u64)(probe) | (__u64)(slot) << 16 | (__u64)(shape) << 28 | (__u64)(phase) << 32 | (__u64)(flags) << 34 |      \
   (__u64)(pushed) << 40)

#define AT_MAX_PROBES 4096 /* probe hit counters: all probes of all targets of one run  */
#define AT_MAX_SLOTS 1024  /* process images traced in one run; must stay below 1 << 12 */

#endif
