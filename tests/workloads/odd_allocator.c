/* SPDX-License-Identifier: Apache-2.0
 * A library to be preloaded: malloc and free as wrappers of the C library's, and beside them allocator functions, never
 * called, that no probe can be put on, or that are hard to read. */
#include <stddef.h>

extern void* __libc_malloc(size_t bytes);
extern void __libc_free(void* block);

void* malloc(size_t bytes) {
  return __libc_malloc(bytes);
}

void free(void* block) {
  __libc_free(block);
}

__asm__(
    ".macro function name\n"
    ".globl \\name\n.type \\name, @function\n\\name:\n"
    ".endm\n"
    ".text\n"
    /* An instruction for the kernel alone, which it does not probe. */
    "function valloc\n"
    "hlt\n"
    ".size valloc, .-valloc\n"
    /* No instruction at all in 64-bit code. */
    "function memalign\n"
    ".byte 0x06, 0x06\n"
    ".size memalign, .-memalign\n"
    /* Over before it has begun. */
    "function aligned_alloc\n"
    "ret\n"
    ".size aligned_alloc, .-aligned_alloc\n");
