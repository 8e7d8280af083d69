# Copying, setting and comparing bytes. What the compiler calls for this under the names of the C library is here,
# and so is what `copy` uses for memory that others write meanwhile.
#
# Most of what a kernel copies is some dozens of bytes. It goes by words, the last of which may overlap what was done
# before; so there are no loops over single bytes. There are no vector registers: they are the programs'.
#
# For long stretches there are two habits. A real processor has `rep` instructions that are faster than any loop, once
# they have begun. QEMU's translator goes round for each of their elements, and takes nearly three times as long as for a
# loop that is written out (11.9 against 4.3 s for the same 2 GB); so that is what is done unless `rep_is_fast`.
#
# No loop goes over the end of a page. QEMU does not link a block that goes over the end of a page with others, so a loop that does
# so looks for itself in a table each time it comes round: a read of 4 KiB took a quarter longer, or not, by where the
# linker had put it. So each of the two parts is aligned to a size that it does not exceed.
#
# All follow the C convention: to, from (or byte, or other), length in rdi, rsi, rdx, the result in rax.

# From here on a `rep` may be worth its beginning.
.equ LONG, 512

.data
.globl rep_is_fast
rep_is_fast:
	.byte	0

.text
.globl copy_bytes, move_bytes, set_bytes, compare_bytes, copy_whole_page, zero_whole_page
.equ WHOLE, 1024
.balign WHOLE
begin_copy:

# Four words, from `from` on, to `to` on.
.macro COPY4 at from to index
	movq	\at(\from,\index), %rcx
	movq	\at+8(\from,\index), %r8
	movq	\at+16(\from,\index), %r9
	movq	\at+24(\from,\index), %r10
	movq	%rcx, \at(\to,\index)
	movq	%r8, \at+8(\to,\index)
	movq	%r9, \at+16(\to,\index)
	movq	%r10, \at+24(\to,\index)
.endm

# The stretches have no byte in common.
.balign 16
copy_bytes:
	movq	%rdi, %rax
	cmpq	$32, %rdx
	jbe	copy_few
	cmpq	$64, %rdx
	ja	1f
	movq	(%rsi), %rcx
	movq	8(%rsi), %r8
	movq	16(%rsi), %r9
	movq	24(%rsi), %r10
	movq	%rcx, (%rdi)
	movq	%r8, 8(%rdi)
	movq	%r9, 16(%rdi)
	movq	%r10, 24(%rdi)
	COPY4	-32, %rsi, %rdi, %rdx
	ret
1:	cmpq	$LONG, %rdx
	jb	2f
	cmpb	$0, rep_is_fast(%rip)
	jne	5f
	# From here on both point to the ends, and rdx is what is left, less than zero.
2:	addq	%rdx, %rsi
	addq	%rdx, %rdi
	negq	%rdx
	addq	$64, %rdx
3:	COPY4	-64, %rsi, %rdi, %rdx
	COPY4	-32, %rsi, %rdi, %rdx
	addq	$64, %rdx
	jle	3b
	# 64 less rdx are left, fewer than 64: the last 32 or 64 are done, which were done in part.
	cmpl	$64, %edx
	je	6f
	cmpl	$32, %edx
	jae	4f
	COPY4	-64, %rsi, %rdi, %rdx
4:	xorl	%edx, %edx
	COPY4	-32, %rsi, %rdi, %rdx
6:	ret
5:	movq	-8(%rsi,%rdx), %r8
	leaq	-8(%rdi,%rdx), %r9
	movq	%rdx, %rcx
	shrq	$3, %rcx
	rep movsq
	movq	%r8, (%r9)
	ret

# At most 32 bytes, all of them loaded before the first is stored: the stretches may overlap.
copy_few:
	cmpl	$16, %edx
	jbe	1f
	movq	(%rsi), %rcx
	movq	8(%rsi), %r8
	movq	-16(%rsi,%rdx), %r9
	movq	-8(%rsi,%rdx), %r10
	movq	%rcx, (%rdi)
	movq	%r8, 8(%rdi)
	movq	%r9, -16(%rdi,%rdx)
	movq	%r10, -8(%rdi,%rdx)
	ret
1:	cmpl	$8, %edx
	jb	2f
	movq	(%rsi), %rcx
	movq	-8(%rsi,%rdx), %r8
	movq	%rcx, (%rdi)
	movq	%r8, -8(%rdi,%rdx)
	ret
2:	cmpl	$4, %edx
	jb	3f
	movl	(%rsi), %ecx
	movl	-4(%rsi,%rdx), %r8d
	movl	%ecx, (%rdi)
	movl	%r8d, -4(%rdi,%rdx)
	ret
	# One to three bytes: the first, the middle one, the last.
3:	testl	%edx, %edx
	jz	4f
	movq	%rdx, %r9
	shrq	$1, %r9
	movb	(%rsi), %cl
	movb	(%rsi,%r9), %r8b
	movb	-1(%rsi,%rdx), %r10b
	movb	%cl, (%rdi)
	movb	%r8b, (%rdi,%r9)
	movb	%r10b, -1(%rdi,%rdx)
4:	ret

# The stretches may overlap.
.balign 16
move_bytes:
	movq	%rdi, %rax
	cmpq	$32, %rdx
	jbe	copy_few
	movq	%rdi, %rcx
	subq	%rsi, %rcx
	cmpq	%rdx, %rcx
	jb	2f
	negq	%rcx
	cmpq	%rdx, %rcx
	jae	copy_bytes
	# To lower addresses: forwards.
	movq	-8(%rsi,%rdx), %r8
	leaq	-8(%rdi,%rdx), %r9
1:	movq	(%rsi), %rcx
	movq	%rcx, (%rdi)
	addq	$8, %rsi
	addq	$8, %rdi
	subq	$8, %rdx
	cmpq	$8, %rdx
	ja	1b
	movq	%r8, (%r9)
	ret
	# To higher ones: backwards.
2:	movq	(%rsi), %r8
3:	movq	-8(%rsi,%rdx), %rcx
	movq	%rcx, -8(%rdi,%rdx)
	subq	$8, %rdx
	cmpq	$8, %rdx
	ja	3b
	movq	%r8, (%rdi)
	ret

.balign 16
set_bytes:
	movq	%rdi, %rax
	movzbl	%sil, %ecx
	movabsq	$0x0101010101010101, %r8
	imulq	%rcx, %r8
	cmpq	$16, %rdx
	jbe	2f
	cmpq	$64, %rdx
	ja	5f
1:	movq	%r8, (%rdi)
	movq	%r8, 8(%rdi)
	addq	$16, %rdi
	subq	$16, %rdx
	cmpq	$16, %rdx
	ja	1b
	movq	%r8, -16(%rdi,%rdx)
	movq	%r8, -8(%rdi,%rdx)
	ret
2:	cmpl	$8, %edx
	jb	3f
	movq	%r8, (%rdi)
	movq	%r8, -8(%rdi,%rdx)
	ret
3:	cmpl	$4, %edx
	jb	4f
	movl	%r8d, (%rdi)
	movl	%r8d, -4(%rdi,%rdx)
	ret
4:	testl	%edx, %edx
	jz	6f
	movb	%r8b, -1(%rdi,%rdx)
	movb	%r8b, (%rdi)
	shrq	$1, %rdx
	movb	%r8b, (%rdi,%rdx)
	ret
5:	cmpq	$LONG, %rdx
	jb	7f
	cmpb	$0, rep_is_fast(%rip)
	jne	9f
7:	addq	%rdx, %rdi
	negq	%rdx
8:	movq	%r8, (%rdi,%rdx)
	movq	%r8, 8(%rdi,%rdx)
	movq	%r8, 16(%rdi,%rdx)
	movq	%r8, 24(%rdi,%rdx)
	movq	%r8, 32(%rdi,%rdx)
	movq	%r8, 40(%rdi,%rdx)
	movq	%r8, 48(%rdi,%rdx)
	movq	%r8, 56(%rdi,%rdx)
	addq	$64, %rdx
	cmpq	$-64, %rdx
	jle	8b
	# At most 63 are left: the last 64 are done anew.
	movq	%r8, -64(%rdi)
	movq	%r8, -56(%rdi)
	movq	%r8, -48(%rdi)
	movq	%r8, -40(%rdi)
	movq	%r8, -32(%rdi)
	movq	%r8, -24(%rdi)
	movq	%r8, -16(%rdi)
	movq	%r8, -8(%rdi)
6:	ret
9:	movq	%rax, %r9
	movq	%r8, -8(%rdi,%rdx)
	movq	%rdx, %rcx
	shrq	$3, %rcx
	movq	%r8, %rax
	rep stosq
	movq	%r9, %rax
	ret

# Less than zero, zero, more than zero: as the first bytes that differ.
.balign 16
compare_bytes:
	cmpq	$8, %rdx
	jb	3f
	leaq	-8(%rdx), %r8
	xorl	%r9d, %r9d
1:	cmpq	%r8, %r9
	jae	2f
	movq	(%rdi,%r9), %rax
	movq	(%rsi,%r9), %rcx
	addq	$8, %r9
	cmpq	%rcx, %rax
	je	1b
	jmp	5f
2:	movq	(%rdi,%r8), %rax
	movq	(%rsi,%r8), %rcx
	cmpq	%rcx, %rax
	jne	5f
	xorl	%eax, %eax
	ret
3:	cmpl	$4, %edx
	jb	4f
	movl	(%rdi), %eax
	movl	(%rsi), %ecx
	cmpl	%ecx, %eax
	jne	5f
	movl	-4(%rdi,%rdx), %eax
	movl	-4(%rsi,%rdx), %ecx
	cmpl	%ecx, %eax
	jne	5f
	xorl	%eax, %eax
	ret
	# One to three bytes: one after the other.
4:	xorl	%eax, %eax
	testl	%edx, %edx
	jz	6f
	movzbl	(%rdi), %eax
	movzbl	(%rsi), %ecx
	subl	%ecx, %eax
	jnz	6f
	incq	%rdi
	incq	%rsi
	decl	%edx
	jmp	4b
	# The words differ: which one is less when its first byte counts most.
5:	bswapq	%rax
	bswapq	%rcx
	cmpq	%rcx, %rax
	sbbl	%eax, %eax
	orl	$1, %eax
6:	ret
# The assembler refuses this when there is more than that.
.org begin_copy + WHOLE

# Whole pages, aligned to 8, which are copied from one to another or zeroed: a loop with no last words to see to.
.equ PAGES, 512
.balign PAGES
begin_pages:

# copy_whole_page(to, from)
copy_whole_page:
	movl	$32, %edx
1:	.irp	at, 0, 32, 64, 96
	movq	\at(%rsi), %rcx
	movq	\at+8(%rsi), %r8
	movq	\at+16(%rsi), %r9
	movq	\at+24(%rsi), %r10
	movq	%rcx, \at(%rdi)
	movq	%r8, \at+8(%rdi)
	movq	%r9, \at+16(%rdi)
	movq	%r10, \at+24(%rdi)
	.endr
	subq	$-128, %rsi
	subq	$-128, %rdi
	decl	%edx
	jnz	1b
	ret

# zero_whole_page(page)
.balign 16
zero_whole_page:
	xorl	%eax, %eax
	movl	$16, %edx
	subq	$-128, %rdi
1:	.irp	at, -128, -96, -64, -32, 0, 32, 64, 96
	movq	%rax, \at(%rdi)
	movq	%rax, \at+8(%rdi)
	movq	%rax, \at+16(%rdi)
	movq	%rax, \at+24(%rdi)
	.endr
	addq	$256, %rdi
	decl	%edx
	jnz	1b
	ret
.org begin_pages + PAGES
