/* tiny: the program that fork and exec run; it ends at once. */
#include "plan9.h"

void start(long *sp, long tos)
{
	exits(0);
}
