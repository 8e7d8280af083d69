# From one kernel stack to another. What a thread needs to go on, beyond its stack pointer, lies on its stack: the
# registers that a function keeps for its caller.

.text
.globl switch_stacks, thread_entry

# switch_stacks(save: *mut u64, load: u64): leaves this thread, continues another where it did the same.
.balign 16
switch_stacks:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

# Where a new thread's stack returns to first.
.balign 16
thread_entry:
	xorl	%ebp, %ebp
	call	{thread_main}
	ud2
