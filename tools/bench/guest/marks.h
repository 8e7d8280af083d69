/* Marks in the instruction stream, for the plugin that counts (../plugin/count.c): no-ops of a form that no compiler
 * makes, nopl disp32(%rax) with the bytes 0f 1f 80 K 'A' 'M' 'P'. Without the plugin nobody notices them. K says:
 *	1 a timed region begins		2 it ends
 *	3 forget the regions so far	4 write them out, and forget them
 */
#define MARK(k) __asm__ volatile(".byte 0x0f,0x1f,0x80," #k ",0x41,0x4d,0x50" ::: "memory")
