/* tiny: the smallest program of Linux, which fork and exec run; it ends at once. With -DFIRST it is a first process
 * that says USERLAND and waits. */
static long sc(long n, long a, long b, long c)
{
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
}
void _start(void)
{
#ifdef FIRST
	sc(1, 1, (long)"USERLAND\n", 9);
	for(;;) sc(34, 0, 0, 0);	/* pause */
#endif
	sc(60, 0, 0, 0);		/* exit */
	for(;;);
}
