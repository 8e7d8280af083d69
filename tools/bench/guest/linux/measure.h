/* What all sets have: the choice of rows, and measuring one. A result is a line
 *	R NAME MEDIAN UNIT LEAST GREATEST REPETITIONS OPERATIONS
 * and every timed region lies between marks. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t u64;

static double target = 200e6;	/* ns per repetition */
static int reps = 5, ncpu = 1, broke;
static const char *only = "", *tag = "host";

static u64 now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}
#define tic() ({ u64 t_ = now(); MARK(1); t_; })
#define toc(t) ({ MARK(2); now() - (t); })
static void die(const char *s)
{
	printf("# FAIL %s: %s\n", s, strerror(errno));
	broke++;
}
#define CK(x, s) do { if((x) < 0){ die(s); return 0; } } while(0)
static int wanted(const char *name)	/* contains one of the comma-separated strings in only */
{
	if(!*only) return 1;
	for(const char *o = only; *o; ){
		size_t n = strcspn(o, ",");
		if(n) for(const char *s = name; *s; s++) if(!strncmp(s, o, n)) return 1;
		o += n;
		if(*o) o++;
	}
	return 0;
}
static int cmp(const void *a, const void *b)
{
	double x = *(double*)a, y = *(double*)b;
	return x < y ? -1 : x > y;
}
static void report(const char *name, double *v, int n, const char *unit, long ops)
{
	qsort(v, n, sizeof *v, cmp);
	MARK(4);
	printf("R %s %.6g %s %.6g %.6g %d %ld\n", name, v[n/2], unit, v[0], v[n-1], n, ops);
	fflush(stdout);
}
typedef u64 (*loop)(long);	/* run n operations, return ns */
static double scale(const char *unit)
{
	return !strcmp(unit, "us") ? 1e-3 : !strcmp(unit, "ms") ? 1e-6 : 1;
}
/* per-operation time of f, calibrated so that a repetition takes about `target' */
static void perop(const char *name, const char *unit, loop f, long max)
{
	double v[64];
	long n = 1;
	u64 t;
	if(!wanted(name)) return;
	int b = broke;
	f(1);
	while((t = f(n)) < target / 8 && n < max) n *= 2;
	if(broke != b){ printf("# skip %s\n", name); return; }
	n = n * target / (t ? t : 1);
	if(n < 1) n = 1;
	if(n > max) n = max;
	MARK(3);
	for(int i = 0; i < reps; i++) v[i] = f(n) * scale(unit) / n;
	report(name, v, reps, unit, n);
}
