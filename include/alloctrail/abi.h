/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fixed-width names and the size assertion for the headers that the kernel half and the user half share.
 * Everything in include/ is the C subset both compilers read; no other header restates a type found here. */
#ifndef ALLOCTRAIL_ABI_H
#define ALLOCTRAIL_ABI_H

#include <linux/types.h>

#ifdef __cplusplus
#define AT_ASSERT_SIZE(type, bytes) static_assert(sizeof(struct type) == (bytes), #type " has changed its size")
#else
#define AT_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type " has changed its size")
#endif

#endif
