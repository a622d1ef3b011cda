# SPDX-License-Identifier: Apache-2.0
# Functions written by hand that say nothing about their frames, as in many codecs: no .cfi directives.
        .text

# void framed_call(void (*function)(void), uint64_t* return_address): calls it from a frame with a frame pointer, and
# tells where it itself will return to.
        .globl framed_call
        .type framed_call, @function
framed_call:
        push %rbp
        mov %rsp, %rbp
        mov 8(%rbp), %rax
        mov %rax, (%rsi)
        call *%rdi
        pop %rbp
        ret
        .size framed_call, .-framed_call

# The same in so few bytes that it could pass for the padding between the two functions around it, which have frame
# information: it tells nothing and keeps no frame pointer.
        .globl covered_before
        .type covered_before, @function
covered_before:
        .cfi_startproc
        ret
        .cfi_endproc
        .size covered_before, .-covered_before

        .globl tiny_call
        .type tiny_call, @function
tiny_call:
        sub $8, %rsp
        call *%rdi
        add $8, %rsp
        ret
        .size tiny_call, .-tiny_call

        .globl covered_after
        .type covered_after, @function
covered_after:
        .cfi_startproc
        ret
        .cfi_endproc
        .size covered_after, .-covered_after

# void trap_at_entry(void): its first instruction raises SIGILL; the handler steps over it.
        .balign 16
        .globl trap_at_entry
        .type trap_at_entry, @function
trap_at_entry:
        .cfi_startproc
        ud2
        ret
        .cfi_endproc
        .size trap_at_entry, .-trap_at_entry

# void switch_stack(void** save, void* load): goes on with another stack, like the coroutine libraries do.
        .globl switch_stack
        .type switch_stack, @function
switch_stack:
        .cfi_startproc
        push %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        push %rbx
        .cfi_adjust_cfa_offset 8
        push %r12
        .cfi_adjust_cfa_offset 8
        push %r13
        .cfi_adjust_cfa_offset 8
        push %r14
        .cfi_adjust_cfa_offset 8
        push %r15
        .cfi_adjust_cfa_offset 8
        mov %rsp, (%rdi)
        mov %rsi, %rsp
        pop %r15
        .cfi_adjust_cfa_offset -8
        pop %r14
        .cfi_adjust_cfa_offset -8
        pop %r13
        .cfi_adjust_cfa_offset -8
        pop %r12
        .cfi_adjust_cfa_offset -8
        pop %rbx
        .cfi_adjust_cfa_offset -8
        pop %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        ret
        .cfi_endproc
        .size switch_stack, .-switch_stack

# Where a coroutine begins: %r12 is its function. Its frame is marked as the outermost, as thread starts are.
        .globl coroutine_start
        .type coroutine_start, @function
coroutine_start:
        .cfi_startproc
        .cfi_undefined %rip
        call *%r12
        ud2
        .cfi_endproc
        .size coroutine_start, .-coroutine_start

        .section .note.GNU-stack, "", @progbits
