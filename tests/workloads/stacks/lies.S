# SPDX-License-Identifier: Apache-2.0
# Functions whose frame information lies. Each calls the function it is given; CFA is the caller's stack pointer.
        .text

# A signal frame that leads to itself: the registers it says were interrupted are its own.
        .globl lie_in_a_circle
        .type lie_in_a_circle, @function
lie_in_a_circle:
        .cfi_startproc
        .cfi_signal_frame
        .cfi_escape 0x0f, 4, 0x77, 0xa0, 1, 6           # CFA = *(rsp + 160), as the kernel's signal frame has it
        push %rbp
        mov %rsp, %rbp
        sub $256, %rsp
        lea 1f(%rip), %rax
        mov %rbp, 120(%rsp)
        mov %rsp, 160(%rsp)
        mov %rax, 168(%rsp)
        call *%rdi
1:      leave
        ret
        .cfi_endproc
        .size lie_in_a_circle, .-lie_in_a_circle

# A frame below its callee's.
        .globl lie_backwards
        .type lie_backwards, @function
lie_backwards:
        .cfi_startproc
        .cfi_escape 0x0f, 3, 0x77, 0x80, 0x7e           # CFA = rsp - 256
        sub $8, %rsp
        call *%rdi
        add $8, %rsp
        ret
        .cfi_endproc
        .size lie_backwards, .-lie_backwards

# A frame where no memory is.
        .globl lie_far_away
        .type lie_far_away, @function
lie_far_away:
        .cfi_startproc
        .cfi_escape 0x0f, 6, 0x77, 0x80, 0x80, 0x80, 0x80, 0x04   # CFA = rsp + 1 GiB
        sub $8, %rsp
        call *%rdi
        add $8, %rsp
        ret
        .cfi_endproc
        .size lie_far_away, .-lie_far_away

        .section .note.GNU-stack, "", @progbits
