# The way into the kernel: 256 stubs, the system call entry, and the way out again.
#
# A trap frame is a Plan 9 `Ureg` (see sys/abi): the processor pushes ss, sp, flags, cs and pc, the stub the
# error code (if the processor did not) and the vector, `SAVE` the rest. In the kernel it lies on the current
# stack. From user mode the processor's stack pointer is set to the end of the program's own `Ureg`, so the
# registers land where `user::run` wants them, and leaving user mode is returning from `enter_user`.

# Everything below kind: one word for the segment registers, then r15 down to ax.
.macro SAVE
	pushq	$0
	pushq	%r15
	pushq	%r14
	pushq	%r13
	pushq	%r12
	pushq	%r11
	pushq	%r10
	pushq	%r9
	pushq	%r8
	pushq	%rbp
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%rcx
	pushq	%rbx
	pushq	%rax
	cld
.endm

.macro RESTORE
	popq	%rax
	popq	%rbx
	popq	%rcx
	popq	%rdx
	popq	%rsi
	popq	%rdi
	popq	%rbp
	popq	%r8
	popq	%r9
	popq	%r10
	popq	%r11
	popq	%r12
	popq	%r13
	popq	%r14
	popq	%r15
.endm

.text
.globl trap_stubs, syscall_entry, enter_user
.balign 16
trap_stubs:
.set vector, 0
.rept 256
	.balign 16
	# Vectors 8, 10 to 14, 17, 21, 29 and 30 come with an error code.
	.if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17)
	.elseif (vector == 21) || (vector == 29) || (vector == 30)
	.else
	pushq	$0
	.endif
	pushq	$vector
	.if (vector == 2) || (vector == 8) || (vector == 18)
	jmp	trap_alone
	.elseif vector == 1
	jmp	trap_debug
	.else
	jmp	trap_common
	.endif
	.set vector, vector + 1
.endr

.balign 16
trap_common:
	testb	$3, 24(%rsp)
	jnz	from_user
	SAVE
	movq	%rsp, %rdi
	movq	%rdi, %rbx
	andq	$-16, %rsp
	call	{kernel_trap}
	movq	%rbx, %rsp
	RESTORE
	addq	$24, %rsp
	iretq

# The processor leaves SS empty here, which SYSCALL does not. What it is makes no difference, but QEMU's translator
# keeps code by it: the kernel would be translated twice.
from_user:
	swapgs
	SAVE
trapped:
	movl	${kernel_data}, %eax
	movw	%ax, %ss
leave_user:
	movq	%gs:{kernel_sp}, %rsp
	popq	%rbp
	popq	%rbx
	ret

# NMI, double fault, machine check: on their own stacks, never to return.
trap_alone:
	testb	$3, 24(%rsp)
	jz	1f
	swapgs
1:	SAVE
	movq	%rsp, %rdi
	andq	$-16, %rsp
	call	{kernel_trap}
	ud2

# A watchpoint, on a stack of its own: one that an instruction meets which loads the stack segment's register comes
# behind the next instruction, and that may be SYSCALL or INT3. Then the kernel has begun, with the program's stack
# pointer and GS: the program is not to gain by it, so what was met is forgotten.
trap_debug:
	testb	$3, 24(%rsp)
	jnz	1f
	pushq	%rax
	xorl	%eax, %eax
	movq	%rax, %db6
	popq	%rax
	addq	$16, %rsp
	iretq
	# The processor's frame, with kind and error, goes where it is for all other traps of programs.
1:	swapgs
	movq	%rax, %gs:{scratch}
	movq	%gs:{frame_end}, %rax
	popq	-56(%rax)
	popq	-48(%rax)
	popq	-40(%rax)
	popq	-32(%rax)
	popq	-24(%rax)
	popq	-16(%rax)
	popq	-8(%rax)
	leaq	-56(%rax), %rsp
	movq	%gs:{scratch}, %rax
	SAVE
	jmp	trapped

# Here and below `enter_user`, blocks do not go over the end of a page: QEMU would not link them with others.
.balign 256
syscall_entry:
	swapgs
	movq	%rsp, %gs:{scratch}
	movq	%gs:{frame_end}, %rsp
	pushq	${user_data}
	pushq	%gs:{scratch}
	pushq	%r11
	pushq	${user_code}
	pushq	%rcx
	pushq	$0
	pushq	$64
	SAVE
	jmp	leave_user

# enter_user(frame, by_sysret): loads a program's registers and goes there. Returns when it comes back,
# with all registers but rbx and rbp changed.
.balign 16
enter_user:
	pushq	%rbx
	pushq	%rbp
	movq	%rsp, %gs:{kernel_sp}
	movq	%rdi, %rsp
	testl	%esi, %esi
	jnz	1f
	RESTORE
	addq	$24, %rsp
	swapgs
	iretq
	# rcx is the program counter and r11 the flags already: SYSRET loses nothing.
1:	RESTORE
	movq	48(%rsp), %rsp
	swapgs
	sysretq
