/* first: a first process that says so, for the time from QEMU's start to a program's output. */
#include "plan9.h"

void start(long *sp, long tos)
{
	write(1, "USERLAND\n", 9);
	for(;;) sc(SLEEP, 1000000l);
}
