/* bench: the Linux guest's first process, which does the work of ../elwood by Linux's calls.
 * As process 1 it prints USERLAND at once, loads the modules in /lib/order, does the sets that the kernel's argument
 * bench=cpu,9pmeta,9pio,serial,netuser,netwire,netserve names, and switches off. Other arguments: ms=N milliseconds of a repetition, reps=N,
 * only=A,B (rows whose names contain A or B), tag=MOUNTTAG, port=N. One translation unit: each set is included once. */
#define _GNU_SOURCE
#include "../marks.h"
#include "measure.h"
#include "cpu.h"
#include "nine.h"
#include "serial.h"
#include "net.h"

static void insmods(void)
{
	char m[64], path[128];
	FILE *f = fopen("/lib/order", "r");
	while(f && fscanf(f, "%63s", m) == 1){
		snprintf(path, sizeof path, "/lib/%s", m);
		int fd = open(path, O_RDONLY);
		if(fd < 0 || syscall(SYS_finit_module, fd, "", 0)) printf("# insmod %s: %s\n", m, strerror(errno));
		close(fd);
	}
	if(f) fclose(f);
}
static void cat1(const char *label, const char *file)
{
	char b[512];
	int fd = open(file, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, b, sizeof b - 1);
	if(n > 0){ b[n] = 0; b[strcspn(b, "\n")] = 0; printf("# %s %s\n", label, b); }
	if(fd >= 0) close(fd);
}
int main(int argc, char **argv)
{
	char *s;
	if(getpid() == 1 && write(1, "USERLAND\n", 9)){}
	if(getpid() == 1){
		mount("p", "/proc", "proc", 0, 0);
		mount("s", "/sys", "sysfs", 0, 0);
		mount("d", "/dev", "devtmpfs", 0, 0);
	}
	setvbuf(stdout, 0, _IOLBF, 0);
	ncpu = sysconf(_SC_NPROCESSORS_ONLN);
	const char *sets = (s = getenv("bench")) ? s : argc > 1 ? argv[1] : "cpu";
	if((s = getenv("ms"))) target = atof(s) * 1e6;
	if((s = getenv("reps"))) reps = atoi(s);
	if(reps < 1 || reps > 63) reps = 5;
	if((s = getenv("only"))) only = s;
	if((s = getenv("tag"))) tag = s;
	if((s = getenv("port"))) netport = atoi(s);
	if(getpid() == 1) insmods();
	cat1("kernel", "/proc/version");
	cat1("cmdline", "/proc/cmdline");
	cat1("clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource");
	printf("# cpus %d reps %d ms %g\n", ncpu, reps, target / 1e6);
	perop("calib.start", "ns", f_loop, 1L << 40);
	if(strstr(sets, "cpu")) cpu();
	if(strstr(sets, "9pmeta")) ninemeta();
	if(strstr(sets, "9pio")) nineio();
	if(strstr(sets, "serial")) serial();
	if(strstr(sets, "netuser")) net("user");
	if(strstr(sets, "netwire")) net("wire");
	if(strstr(sets, "netserve")) netserve();
	perop("calib.end", "ns", f_loop, 1L << 40);
	printf("BENCH-END broke=%d\n", broke);
	fflush(stdout);
	if(getpid() == 1){ tcdrain(1); sync(); reboot(RB_POWER_OFF); for(;;) pause(); }
	return broke != 0;
}
