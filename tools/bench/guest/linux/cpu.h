/* The set cpu: system calls, switches, processes, page faults, files in memory. */
static u64 f_loop(long n)
{
	u64 x = 1, t = tic();
	for(long i = 0; i < n; i++){
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		__asm__ volatile("" : "+r"(x));
	}
	return toc(t);
}
static u64 f_getppid(long n)
{
	u64 t = tic();
	while(n-- > 0){
		long r;
		__asm__ volatile("syscall" : "=a"(r) : "a"(SYS_getppid) : "rcx", "r11", "memory");
	}
	return toc(t);
}
static u64 f_clock(long n)
{
	struct timespec x;
	u64 t = tic();
	while(n-- > 0) clock_gettime(CLOCK_MONOTONIC, &x);
	return toc(t);
}
static u64 f_pingpong(long n)
{
	int a[2], b[2], pid;
	char c = 0;
	CK(pipe(a), "pipe"); CK(pipe(b), "pipe");
	CK(pid = fork(), "fork");
	if(pid == 0){
		close(a[1]); close(b[0]);
		while(read(a[0], &c, 1) == 1 && write(b[1], &c, 1) == 1);
		_exit(0);
	}
	close(a[0]); close(b[1]);
	if(write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1) die("pingpong");
	u64 t = tic();
	for(long i = 0; i < n; i++)
		if(write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1){ die("pingpong"); break; }
	t = toc(t);
	close(a[1]); close(b[0]);
	waitpid(pid, 0, 0);
	return t;
}
static u64 f_pipebw(long n)	/* n 64 KiB writes through a pipe to a reader */
{
	static char buf[1<<16];
	int a[2], b[2], pid;
	CK(pipe(a), "pipe"); CK(pipe(b), "pipe");
	CK(pid = fork(), "fork");
	if(pid == 0){
		close(a[1]);
		for(long m = n << 16, r; m > 0 && (r = read(a[0], buf, sizeof buf)) > 0; m -= r);
		if(write(b[1], "k", 1)){}
		_exit(0);
	}
	u64 t = tic();
	for(long i = 0; i < n; i++) if(write(a[1], buf, sizeof buf) != sizeof buf){ die("pipe write"); break; }
	if(read(b[0], buf, 1) != 1) die("pipe ack");
	t = toc(t);
	close(a[0]); close(a[1]); close(b[0]); close(b[1]);
	waitpid(pid, 0, 0);
	return t;
}
static u64 f_yield(long n)	/* n switches: two processes on one cpu, each yielding */
{
	int pid;
	volatile int *go = mmap(0, 4096, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0);
	CK(pid = fork(), "fork");
	if(pid == 0){
		*go = 1;
		while(*go < 2) sched_yield();
		_exit(0);
	}
	while(!*go) sched_yield();
	u64 t = tic();
	for(long i = 0; i < n; i += 2) sched_yield();
	t = toc(t);
	*go = 2;
	waitpid(pid, 0, 0);
	munmap((void*)go, 4096);
	return t;
}
static void fwait(volatile int *p, int v) { while(*p != v) syscall(SYS_futex, p, FUTEX_WAIT, 1-v, 0, 0, 0); }
static void fset(volatile int *p, int v) { *p = v; syscall(SYS_futex, p, FUTEX_WAKE, 1, 0, 0, 0); }
static u64 f_futex(long n)
{
	int pid;
	volatile int *p = mmap(0, 4096, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0);
	CK(pid = fork(), "fork");
	if(pid == 0){
		for(long i = 0; i < n; i++){ fwait(p, 1); fset(p, 0); }
		_exit(0);
	}
	u64 t = tic();
	for(long i = 0; i < n; i++){ fset(p, 1); fwait(p, 0); }
	t = toc(t);
	waitpid(pid, 0, 0);
	munmap((void*)p, 4096);
	return t;
}
static u64 f_fork(long n)
{
	int pid;
	u64 t = tic();
	while(n-- > 0){
		if((pid = fork()) == 0) _exit(0);
		waitpid(pid, 0, 0);
	}
	return toc(t);
}
static u64 f_forkexec(long n)
{
	char *av[] = { "tiny", 0 };
	int pid, st;
	u64 t = tic();
	while(n-- > 0){
		if((pid = fork()) == 0){ execv("/bin/tiny", av); _exit(1); }
		waitpid(pid, &st, 0);
		if(st) die("exec tiny");
	}
	return toc(t);
}
static u64 f_vforkexec(long n)
{
	static char *av[] = { "tiny", 0 };
	int pid, st;
	u64 t = tic();
	while(n-- > 0){
		if((pid = vfork()) == 0){ execv("/bin/tiny", av); _exit(1); }
		waitpid(pid, &st, 0);
		if(st) die("exec tiny");
	}
	return toc(t);
}
static void *nothing(void *a) { return a; }
static u64 f_thread(long n)
{
	pthread_t p;
	u64 t = tic();
	while(n-- > 0){ pthread_create(&p, 0, nothing, 0); pthread_join(p, 0); }
	return toc(t);
}
static u64 faults(long n, int advice)	/* touch n fresh pages */
{
	long len = (n << 12) + (2 << 20);
	char *m = mmap(0, len, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
	if(m == MAP_FAILED){ die("mmap"); return 0; }
	char *p = (char*)(((uintptr_t)m + (2<<20) - 1) & ~(uintptr_t)((2<<20) - 1));
	madvise(m, len, advice);
	u64 t = tic();
	for(long i = 0; i < n; i++) p[i << 12] = 1;
	t = toc(t);
	munmap(m, len);
	return t;
}
static u64 f_fault(long n) { return faults(n, MADV_NOHUGEPAGE); }
static u64 f_faultthp(long n) { return faults(n, MADV_HUGEPAGE); }
static u64 f_mmap(long n)
{
	u64 t = tic();
	while(n-- > 0) munmap(mmap(0, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0), 4096);
	return toc(t);
}
static u64 f_mmaptouch(long n)
{
	u64 t = tic();
	while(n-- > 0){
		char *p = mmap(0, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
		*p = 1;
		munmap(p, 4096);
	}
	return toc(t);
}
static u64 f_ramstat(long n)
{
	struct stat s;
	u64 t = tic();
	while(n-- > 0) if(stat("/bin/tiny", &s)) die("stat");
	return toc(t);
}
static u64 f_ramopen(long n)
{
	u64 t = tic();
	while(n-- > 0) close(open("/bin/tiny", O_RDONLY));
	return toc(t);
}
static u64 f_nullwrite(long n)
{
	int fd = open("/dev/null", O_WRONLY);
	char c = 0;
	u64 t = tic();
	while(n-- > 0) if(write(fd, &c, 1) != 1) die("null");
	t = toc(t);
	close(fd);
	return t;
}
static u64 f_ramread(long n)
{
	static char buf[4096];
	int fd = open("/bin/big", O_RDONLY);
	u64 t = tic();
	while(n-- > 0) if(pread(fd, buf, sizeof buf, 0) != sizeof buf) die("ramread");
	t = toc(t);
	close(fd);
	return t;
}
static void bwreport(const char *name, loop f, long n, double bytes)
{
	double v[64];
	if(!wanted(name)) return;
	int b = broke;
	f(n < 16 ? n : 16);
	MARK(3);
	for(int i = 0; i < reps; i++) v[i] = bytes * n / (f(n) / 1e9) / 1e6;
	if(broke != b){ printf("# skip %s\n", name); return; }
	report(name, v, reps, "MB/s", n);
}
static void put(const char *file, const char *s)
{
	int fd = open(file, O_WRONLY);
	if(fd < 0 || write(fd, s, strlen(s)) < 0) die(file);
	close(fd);
}
static void cpu(void)
{
	long lim = 1L << 40;
	perop("cpu.getppid", "ns", f_getppid, lim);
	perop("cpu.clock_gettime", "ns", f_clock, lim);
	perop("cpu.write_devnull", "ns", f_nullwrite, lim);
	perop("cpu.stat_ramfs", "ns", f_ramstat, lim);
	perop("cpu.open_close_ramfs", "ns", f_ramopen, lim);
	perop("cpu.pread4k_ramfs", "ns", f_ramread, lim);
	if(ncpu == 1) perop("cpu.sched_yield_switch", "ns", f_yield, lim);	/* else each has a processor of its own */
	perop("cpu.pipe_pingpong", "us", f_pingpong, lim);
	perop("cpu.futex_pingpong", "us", f_futex, lim);
	bwreport("cpu.pipe_64k", f_pipebw, 2048, 65536);
	perop("cpu.fork_exit_wait", "us", f_fork, lim);
	perop("cpu.fork_exec_wait", "us", f_forkexec, lim);
	perop("cpu.vfork_exec_wait", "us", f_vforkexec, lim);
	perop("cpu.thread_create_join", "us", f_thread, lim);
	perop("cpu.pagefault_4k", "ns", f_fault, 16384);
	put("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");	/* off by default under 512 MB */
	perop("cpu.pagefault_thp_per4k", "ns", f_faultthp, 16384);
	perop("cpu.mmap_munmap", "ns", f_mmap, lim);
	perop("cpu.mmap_touch_munmap", "ns", f_mmaptouch, lim);
}

