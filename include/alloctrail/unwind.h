/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Unwind tables: how to get from a code address to its caller's frame, as user space compiles them from .eh_frame
 * (user/elf/unwind_rows.h) and the kernel side applies them (bpf/unwind_step.h). x86-64 only: %rip, %rsp, %rbp. */
#ifndef ALLOCTRAIL_UNWIND_H
#define ALLOCTRAIL_UNWIND_H

#include "alloctrail/abi.h"

/* ---- rows: sorted by pc, each in force up to the next one -------------------------------------------------------- */
struct at_unwind_row {
  __u32 pc;   /* offset from the image's base */
  __u32 rule; /* see below */
};
AT_ASSERT_SIZE(at_unwind_row, 8);

/* Bits 0-3 of a rule. CFA: the stack pointer after the frame has returned; the return address lies at CFA - 8. */
enum at_unwind_type {
  AT_UNWIND_INVALID = 0,     /* no unwind information                                                            */
  AT_UNWIND_CFA_RSP = 1,     /* CFA = rsp + 8k; bits 4-17 k, bits 18-31 r: 0 rbp unchanged, else rbp at CFA - 8r */
  AT_UNWIND_CFA_RBP = 2,     /* CFA = rbp + 8k; likewise                                                         */
  AT_UNWIND_STOP = 3,        /* outermost frame: it has no caller                                                */
  AT_UNWIND_PLT = 4,         /* CFA = rsp + 8, or + 16 from byte `value` of the 16-byte stub on                  */
  AT_UNWIND_SIGNAL = 5,      /* registers are in the struct ucontext at rsp                                      */
  AT_UNWIND_SIDE = 6,        /* `value` is an index into the side table                                          */
  AT_UNWIND_UNSUPPORTED = 7, /* there is a rule, and these types cannot say it                                   */
};

#define AT_UNWIND_WORDS_MAX 0x3fffu
#define AT_UNWIND_TYPE(rule) ((rule) & 0xfu)
#define AT_UNWIND_CFA_BYTES(rule) ((((rule) >> 4) & AT_UNWIND_WORDS_MAX) * 8u)
#define AT_UNWIND_RBP_BYTES(rule) (((rule) >> 18) * 8u)
#define AT_UNWIND_VALUE(rule) ((rule) >> 4)
#define AT_UNWIND_FRAME(type, cfa_words, rbp_words) \
  ((__u32)(type) | (__u32)(cfa_words) << 4 | (__u32)(rbp_words) << 18)
#define AT_UNWIND_RULE(type, value) ((__u32)(type) | (__u32)(value) << 4)

/* ---- side table: the few rules that do not fit into 32 bits (realigned stacks, hand-written assembly) ----------- */
struct at_unwind_side {
  __s32 offset;         /* see enum at_unwind_side_cfa */
  __s32 add;
  __s32 rbp_offset;     /* see enum at_unwind_side_rbp */
  __s16 return_offset;  /* the return address lies at CFA + return_offset */
  __u8 cfa;             /* enum at_unwind_side_cfa */
  __u8 rbp;             /* enum at_unwind_side_rbp */
};
AT_ASSERT_SIZE(at_unwind_side, 16);

enum at_unwind_side_cfa {
  AT_UNWIND_SIDE_RSP = 0,    /* CFA = rsp + offset          */
  AT_UNWIND_SIDE_RBP = 1,    /* CFA = rbp + offset          */
  AT_UNWIND_SIDE_AT_RSP = 2, /* CFA = *(rsp + offset) + add */
  AT_UNWIND_SIDE_AT_RBP = 3, /* CFA = *(rbp + offset) + add */
};

enum at_unwind_side_rbp {
  AT_UNWIND_RBP_SAME = 0,
  AT_UNWIND_RBP_AT_CFA = 1, /* saved at CFA + rbp_offset */
  AT_UNWIND_RBP_AT_RBP = 2, /* saved at rbp + rbp_offset */
  AT_UNWIND_RBP_LOST = 3,   /* the caller's value is gone */
};

/* ---- blocks: where to search. One per AT_UNWIND_BLOCK_BYTES of image --------------------------------------------- */
#define AT_UNWIND_BLOCK_SHIFT 9
#define AT_UNWIND_BLOCK_BYTES (1u << AT_UNWIND_BLOCK_SHIFT)

struct at_unwind_block {
  __u32 row;   /* the row in force at the block's first byte */
  __u32 count; /* rows from there on that begin before the block's end: 1 to AT_UNWIND_BLOCK_BYTES */
};
AT_ASSERT_SIZE(at_unwind_block, 8);

/* Rows of all files lie in one pool, stored in chunks of this many; the rows of one block never straddle two chunks. */
#define AT_UNWIND_CHUNK_ROWS 65536u

/* Room for the tables of all files of one run: 64 Mi rows, 1 GiB of code, and their odd rules. */
#define AT_UNWIND_MAX_CHUNKS 1024u
#define AT_UNWIND_MAX_BLOCKS (2u << 20)
#define AT_UNWIND_MAX_SIDES 16384u

/* ---- what one process has mapped executable, sorted by start ----------------------------------------------------- */
struct at_unwind_mapping {
  __u64 start;
  __u64 end;
  __u64 bias; /* address - bias = offset from the image's base */
  __u32 first_block;
  __u32 block_count; /* 0: no unwind information */
  __u32 file;        /* user space's number for it */
  __u32 flags;       /* AT_UNWIND_PENDING: its table is being made; walks that come to it end there. And below */
};
AT_ASSERT_SIZE(at_unwind_mapping, 40);
#define AT_UNWIND_PENDING 1u
/* Loaded while we traced, so it can be unloaded and another file mapped in its place: not to be relied on while the
 * loader is at work. */
#define AT_UNWIND_UNLOADABLE 2u

#define AT_UNWIND_MAX_MAPPINGS 1024 /* a power of two */

/* Never changed in place while a walk may read it: a new state is a new one of these, with a new generation. Each slot
 * has AT_UNWIND_VERSIONS of them, which take turns; unwind_versions says which one holds. */
#define AT_UNWIND_VERSIONS 8

/* What holds for a slot now. */
struct at_unwind_current {
  __u32 version;       /* which of its states */
  __u32 loads;         /* how often the loader has announced changes; counted by the kernel side */
  __u32 settled_loads; /* of those, how many that state knows of */
  __u32 reserved;
};
AT_ASSERT_SIZE(at_unwind_current, 16);
struct at_unwind_process {
  __u32 generation; /* even, and unique over all publications of one run */
  __u32 mapping_count;
  __u64 reserved;
  struct at_unwind_mapping mappings[AT_UNWIND_MAX_MAPPINGS];
};
AT_ASSERT_SIZE(at_unwind_process, 16 + 40 * AT_UNWIND_MAX_MAPPINGS);

#endif
