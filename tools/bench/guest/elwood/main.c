/* bench: the work that `make bench` times and counts, by Plan 9's system calls.
 *	bench [-m MS] [-r REPS] [-k OPS] [-o A,B] [-t TAG] [-n NCPU] [-p PORT] SET...	sets: cpu 9pmeta 9pio serial
 *		netuser netwire netserve
 * -m: milliseconds of a repetition; -k: operations of a repetition, instead; -o: rows whose names contain A or B.
 * ../linux has the same work by Linux's calls, with the same names where it is the same. It is freestanding, and one
 * translation unit: each set is a file that is included once. */
#include "../marks.h"
#include "plan9.h"
#include "measure.h"
#include "cpu.h"
#include "nine.h"
#include "serial.h"
#include "net.h"

static void cat(const char *label, const char *file)
{
	static char b[4096];
	int fd = open(file, OREAD), n = fd < 0 ? -1 : read(fd, b, 4000);
	if(n > 0){
		b[n] = 0;
		for(char *p = b, *q; *p; p = q){
			for(q = p; *q && *q != '\n'; q++);
			if(*q) *q++ = 0;
			s_("# "); s_(label); s_(" "); if(strlen(p) < 400) s_(p); nl();
		}
	}
	close(fd);
}
static long num(const char *s) { long n = 0; while(*s >= '0' && *s <= '9') n = n * 10 + *s++ - '0'; return n; }
void start(long *sp, long tos)
{
	int argc = *sp, i;
	char **argv = (char**)(sp + 1);
	for(i = 1; i + 1 < argc && argv[i][0] == '-'; i += 2){
		char *v = argv[i+1];
		switch(argv[i][1]){
		case 'm': target = num(v) * 1e6; break;
		case 'r': reps = num(v); break;
		case 'o': only = v; break;
		case 't': tag = v; break;
		case 'n': ncpu = num(v); break;
		case 'k': fixed = num(v); break;
		case 'p': netport = num(v); break;
		}
	}
	if(reps < 1 || reps > 63) reps = 5;
	write(1, "USERLAND\n", 9);
	s_("# reps "); d_(reps); s_(" ms "); d_(target / 1e6); s_(" cyclefreq "); d_(*(long*)(tos + 40)); nl();
	cat("swap", "/dev/swap");
	/* Who began this program waits for it first: a call is longer while somebody is ready. */
	sc(SLEEP, 20l);
	perop("calib.start", "ns", f_loop, 1L << 40);
	for(; i < argc; i++){
		char *s = argv[i];
		if(!strcmp(s, "cpu")) cpu();
		if(!strcmp(s, "9pmeta")){ ninestart(); meta("u", "131096"); meta("L", "131096"); metacached(); }
		if(!strcmp(s, "9pio")){
			ninestart();
			nio("u", "131096"); nio("L", "131096"); nio("u", "1048600"); nio("L", "1048600");
			iocached();
		}
		if(!strcmp(s, "serial")) serial();
		if(!strcmp(s, "netuser")) net("user");
		if(!strcmp(s, "netwire")) net("wire");
		if(!strcmp(s, "netserve")) netserve();
	}
	perop("calib.end", "ns", f_loop, 1L << 40);
	cat("sysstat", "/dev/sysstat");
	s_("BENCH-END broke="); d_(broke); nl();
	exits(broke ? "broke" : 0);
}
