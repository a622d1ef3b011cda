/* SPDX-License-Identifier: Apache-2.0
 * A program without libraries and without any allocator: says "ready 0" and reads until its input ends.
 * Assembled for x86-64, and with NO_ALLOCATOR_32 for i386. */
        .section .rodata
text:   .ascii  "ready 0\n"
        .equ    text_length, . - text
        .bss
byte:   .skip   1
        .text
        .globl  _start
_start:
#ifdef NO_ALLOCATOR_32
        movl    $4, %eax                /* write(1, text, text_length) */
        movl    $1, %ebx
        movl    $text, %ecx
        movl    $text_length, %edx
        int     $0x80
read:   movl    $3, %eax                /* read(0, byte, 1) */
        xorl    %ebx, %ebx
        movl    $byte, %ecx
        movl    $1, %edx
        int     $0x80
        cmpl    $1, %eax
        je      read
        movl    $1, %eax                /* exit(0) */
        xorl    %ebx, %ebx
        int     $0x80
#else
        movl    $1, %eax                /* write(1, text, text_length) */
        movl    $1, %edi
        leaq    text(%rip), %rsi
        movl    $text_length, %edx
        syscall
read:   xorl    %eax, %eax              /* read(0, byte, 1) */
        xorl    %edi, %edi
        leaq    byte(%rip), %rsi
        movl    $1, %edx
        syscall
        cmpq    $1, %rax
        je      read
        movl    $60, %eax               /* exit(0) */
        xorl    %edi, %edi
        syscall
#endif
        .section .note.GNU-stack, "", @progbits
