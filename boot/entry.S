# From QEMU to the first line of Rust.
#
# QEMU's -kernel (and every other PVH loader) finds the note below and jumps to `pvh_entry` in 32-bit protected
# mode: paging off, flat segments, interrupts off, EBX = physical address of the start info, no stack, and
# descriptor tables that belong to the firmware. This file checks that the processor has a 64-bit mode, maps the
# first 4 GiB three times (where they are, at the direct map's address, and at -2 GiB, where the kernel is
# linked), switches to 64-bit mode and calls `kernel_entry(start_info, time stamp)` on the boot stack.
#
# The tables here are only stepping stones; kernel/machine builds the final ones (src/amd64/mem/paging.rs).
# No multiboot1 header may ever appear here: QEMU would prefer it and then refuse the 64-bit file.

.set IMAGE_BASE,     0xffffffff80000000
.set PRESENT_WRITE,  0x3
.set LARGE,          0x80
.set CR0_PE_WP_PG,   0x80010001
.set CR4_PAE,        0x20
.set MSR_EFER,       0xc0000080
.set EFER_LME_NXE,   0x900
.set EFER_LME,       0x100

.section .note.Xen, "a", @note
.balign 4
	.long 4                                 # size of the name
	.long 4                                 # size of the entry point
	.long 18                                # XEN_ELFNOTE_PHYS32_ENTRY
	.asciz "Xen"
	.long pvh_entry - IMAGE_BASE

.section .text.entry, "ax"
.code32
.globl pvh_entry
pvh_entry:
	cli
	cld
	movl	%ebx, %esi                      # the start info
	rdtsc
	movl	%eax, boot_tsc - IMAGE_BASE     # what `boot: N ms` counts from
	movl	%edx, boot_tsc + 4 - IMAGE_BASE
	movl	$(boot_stack_top - IMAGE_BASE), %esp

	movl	$0x80000000, %eax               # is there a 64-bit mode?
	cpuid
	cmpl	$0x80000001, %eax
	jb	no_long_mode
	movl	$0x80000001, %eax
	cpuid
	btl	$29, %edx
	jnc	no_long_mode
	movl	%edx, %ebp                      # bit 20: no-execute pages
	movl	$1, %eax
	cpuid
	btl	$15, %edx                       # the first line of Rust may have one
	jnc	no_conditional_moves

	# Four page directories map 4 GiB in 2 MiB pages.
	movl	$(boot_pd - IMAGE_BASE), %edi
	movl	$(PRESENT_WRITE | LARGE), %eax
	movl	$2048, %ecx
1:	movl	%eax, (%edi)
	addl	$8, %edi
	addl	$0x200000, %eax
	loop	1b

	movl	$(boot_pd - IMAGE_BASE + PRESENT_WRITE), %eax
	movl	%eax, boot_pdpt_high + 510*8 - IMAGE_BASE
	movl	$(boot_pdpt_low - IMAGE_BASE), %edi
	movl	$4, %ecx
2:	movl	%eax, (%edi)
	addl	$8, %edi
	addl	$0x1000, %eax
	loop	2b
	movl	$(boot_pdpt_low - IMAGE_BASE + PRESENT_WRITE), %eax
	movl	%eax, boot_pml4 - IMAGE_BASE
	movl	%eax, boot_pml4 + 256*8 - IMAGE_BASE
	movl	$(boot_pdpt_high - IMAGE_BASE + PRESENT_WRITE), boot_pml4 + 511*8 - IMAGE_BASE

	movl	%cr4, %eax
	orl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$(boot_pml4 - IMAGE_BASE), %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	movl	$EFER_LME, %eax
	btl	$20, %ebp
	jnc	3f
	movl	$EFER_LME_NXE, %eax
3:	xorl	%edx, %edx
	wrmsr
	movl	%cr0, %eax
	orl	$CR0_PE_WP_PG, %eax
	movl	%eax, %cr0
	lgdt	boot_gdt_low - IMAGE_BASE
	ljmpl	$8, $(long_mode - IMAGE_BASE)

# Tell whoever watches the serial line, and end the machine: by isa-debug-exit where it is, as power off, as a reset.
no_conditional_moves:
	movl	$(no_conditional_moves_text - IMAGE_BASE), %esi
	jmp	refuse
no_long_mode:
	movl	$(no_long_mode_text - IMAGE_BASE), %esi
refuse:
	movw	$0x3f8, %dx
4:	lodsb
	testb	%al, %al
	jz	5f
	outb	%al, %dx
	jmp	4b
5:	movw	$0xf4, %dx
	outl	%eax, %dx                       # AL is 0, and the rest is not looked at
	movw	$0x604, %dx
	movw	$0x2000, %ax
	outw	%ax, %dx
	movl	$1000000, %ecx                  # machines stop a little after they were told to
6:	loop	6b
	lidtl	no_table - IMAGE_BASE
	int3

.code64
long_mode:
	movabsq	$high_half, %rax                # from the identity map to where the kernel is linked
	jmpq	*%rax
high_half:
	lgdt	boot_gdt_high
	xorl	%eax, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%eax, %ss
	movq	$boot_stack_top, %rsp
	xorl	%ebp, %ebp                      # backtraces end here
	pushq	%rbp
	pushq	%rbp
	movl	%esi, %edi                      # first argument: the start info
	movq	boot_tsc, %rsi                  # second: the time stamp
	call	kernel_entry
	ud2

.section .rodata.entry, "a"
no_long_mode_text:
	.asciz "elwood: this processor has no 64-bit mode\r\n"
no_conditional_moves_text:
	.asciz "elwood: this processor has no conditional moves\r\n"
no_table:
	.word 0
	.long 0
.balign 8
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff                # 64-bit kernel code
boot_gdt_end:
boot_gdt_low:
	.word boot_gdt_end - boot_gdt - 1
	.long boot_gdt - IMAGE_BASE
boot_gdt_high:
	.word boot_gdt_end - boot_gdt - 1
	.quad boot_gdt

.section .bss.entry, "aw", @nobits
.balign 4096
.globl boot_pml4                                # other processors begin on these tables too
boot_pml4:	.skip 4096
boot_pdpt_low:	.skip 4096
boot_pdpt_high:	.skip 4096
boot_pd:	.skip 4 * 4096
.globl boot_stack_guard, boot_stack_top
boot_stack_guard:                               # the final page tables leave this page out
	.skip 4096
	.skip 32768
boot_stack_top:
boot_tsc:	.skip 8
