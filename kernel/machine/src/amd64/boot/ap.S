# How a processor other than the first gets to Rust.
#
# A start-up interrupt names a page below 1 MiB; the processor begins there in real mode, with that page as its code
# segment. What lies between `ap_start` and `ap_end` is copied to such a page and its last words filled in
# (src/amd64/boot/processors.rs). It goes from real mode to 64-bit mode in one step, on the bootstrap tables of
# boot/entry.S, which map the page where it is and the kernel where it is linked; and from there to `ap_high`, which
# is not copied and has the final tables.

.set CR0_PG_WP_ET_PE, 0x80010011
.set CR4_PAE,         0x20
.set MSR_EFER,        0xc0000080

.section .rodata.ap, "a"
.globl ap_start, ap_end, ap_words
.balign 16
.code16
ap_start:
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	ap_gdt_pointer - ap_start
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	ap_boot_root - ap_start, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	movl	ap_efer - ap_start, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$CR0_PG_WP_ET_PE, %eax
	movl	%eax, %cr0
	ljmpl	*(ap_far - ap_start)

.code64
ap_long:
	movq	ap_cpu(%rip), %rdi
	movq	ap_root(%rip), %rcx
	movq	ap_stack(%rip), %rdx
	movq	$ap_high, %rax
	jmpq	*%rax

.balign 8
ap_gdt:
	.quad 0
	.quad 0x00af9b000000ffff                # 64-bit kernel code
ap_gdt_end:
# What is filled in: `Words` in processors.rs.
.balign 8
ap_words:
ap_gdt_pointer:
	.word ap_gdt_end - ap_gdt - 1
	.long ap_gdt - ap_start                 # and where the page is
	.word 0
ap_far:
	.long ap_long - ap_start                # and where the page is
	.word 8
	.word 0
ap_boot_root:	.long 0
ap_efer:	.long 0
ap_root:	.quad 0
ap_stack:	.quad 0
ap_cpu:	.quad 0
ap_end:

.text
.balign 16
ap_high:
	movq	%rcx, %cr3
	movq	%rdx, %rsp
	xorl	%eax, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%eax, %ss
	xorl	%ebp, %ebp                      # backtraces end here
	call	{begin}
	ud2
