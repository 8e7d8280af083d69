/* The set cpu: system calls, switches, processes, page faults, files in memory. */
static u64 f_loop(long n)
{
	u64 x = 1, t = tic();
	for(long i = 0; i < n; i++){ x = x * 6364136223846793005ul + 1442695040888963407ul; __asm__ volatile("" : "+r"(x)); }
	return toc(t);
}
static u64 f_null(long n) { u64 t = tic(); while(n-- > 0) sc(0); return toc(t); }	/* sysr1 does nothing */
static u64 f_sleep0(long n) { u64 t = tic(); while(n-- > 0) sc(SLEEP, 0l); return toc(t); }
static u64 f_nsec(long n) { u64 t = tic(); while(n-- > 0) sc(NSEC); return toc(t); }
static u64 f_bintime(long n)
{
	char b[8];
	int fd = open("#c/bintime", OREAD);
	CK(fd, "bintime");
	u64 t = tic();
	while(n-- > 0) if(pread(fd, b, 8, 0) != 8){ die("bintime"); break; }
	t = toc(t);
	close(fd);
	return t;
}
static u64 f_pingpong(long n)
{
	int a[2], b[2], pid;
	char c = 0;
	CK(sc(PIPE, a), "pipe"); CK(sc(PIPE, b), "pipe");
	CK(pid = rfork(RFPROC|RFFDG), "rfork");
	if(pid == 0){
		close(a[1]); close(b[0]);
		while(read(a[0], &c, 1) == 1 && write(b[1], &c, 1) == 1);
		exits(0);
	}
	close(a[0]); close(b[1]);
	if(write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1) die("pingpong");
	u64 t = tic();
	for(long i = 0; i < n; i++)
		if(write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1){ die("pingpong"); break; }
	t = toc(t);
	close(a[1]); close(b[0]);
	child("pingpong");
	return t;
}
static char buf[1<<16];
static u64 f_pipebw(long n)	/* n 64 KiB writes through a pipe to a reader */
{
	int a[2], b[2], pid;
	CK(sc(PIPE, a), "pipe"); CK(sc(PIPE, b), "pipe");
	CK(pid = rfork(RFPROC|RFFDG), "rfork");
	if(pid == 0){
		close(a[1]);
		for(long m = n << 16, r; m > 0 && (r = read(a[0], buf, sizeof buf)) > 0; m -= r);
		write(b[1], "k", 1);
		exits(0);
	}
	u64 t = tic();
	for(long i = 0; i < n; i++) if(write(a[1], buf, sizeof buf) != sizeof buf){ die("pipe write"); break; }
	if(read(b[0], buf, 1) != 1) die("pipe ack");
	t = toc(t);
	close(a[0]); close(a[1]); close(b[0]); close(b[1]);
	child("pipebw");
	return t;
}
static volatile int *shared(void)
{
	static volatile int *p;
	if(!p) p = (volatile int*)sc(SEGATTACH, 0l, "shared", 0l, 4096l);
	if((long)p == -1){ p = 0; die("segattach"); exits("segattach"); }
	return p;
}
static u64 f_yield(long n)	/* n switches: two processes, each yielding */
{
	int pid;
	volatile int *go = shared();
	*go = 0;
	CK(pid = rfork(RFPROC|RFFDG), "rfork");
	if(pid == 0){
		*go = 1;
		while(*go < 2) sc(SLEEP, 0l);
		exits(0);
	}
	while(!*go) sc(SLEEP, 0l);
	u64 t = tic();
	for(long i = 0; i < n; i += 2) sc(SLEEP, 0l);
	t = toc(t);
	*go = 2;
	child("yield");
	return t;
}
static u64 f_sema(long n)
{
	int pid;
	volatile int *p = shared();
	p[0] = p[16] = 0;
	CK(pid = rfork(RFPROC|RFFDG), "rfork");
	if(pid == 0){
		for(long i = 0; i < n; i++){ sc(SEMACQUIRE, p, 1l); sc(SEMRELEASE, p + 16, 1l); }
		exits(0);
	}
	u64 t = tic();
	for(long i = 0; i < n; i++){ sc(SEMRELEASE, p, 1l); sc(SEMACQUIRE, p + 16, 1l); }
	t = toc(t);
	child("sema");
	return t;
}
static u64 f_fork(long n)
{
	u64 t = tic();
	while(n-- > 0){
		if(rfork(RFPROC|RFFDG) == 0) exits(0);
		if(await() < 0) break;
	}
	return toc(t);
}
static u64 forkexec(long n, int flags)
{
	static char *av[] = { "tiny", 0 };
	u64 t = tic();
	while(n-- > 0){
		if(rfork(flags) == 0){ sc(EXEC, "/bin/tiny", av); exits("exec"); }
		if(child("exec tiny")) break;
	}
	return toc(t);
}
static u64 f_forkexec(long n) { return forkexec(n, RFPROC|RFFDG); }
static u64 f_memforkexec(long n) { return forkexec(n, RFPROC|RFFDG|RFMEM); }
static u64 f_thread(long n)
{
	volatile int *p = shared();
	p[0] = 0;
	u64 t = tic();
	while(n-- > 0){
		if(rfork(RFPROC|RFMEM|RFNOWAIT) == 0){ sc(SEMRELEASE, p, 1l); exits(0); }
		sc(SEMACQUIRE, p, 1l);
	}
	return toc(t);
}
static u64 f_fault(long n)	/* touch n fresh pages */
{
	long len = (n << 12) + (2 << 20);
	char *m = (char*)sc(SEGATTACH, 0l, "memory", 0l, len);
	CK((long)m, "segattach");
	char *p = (char*)(((u64)m + (2<<20) - 1) & ~(u64)((2<<20) - 1));
	u64 t = tic();
	for(long i = 0; i < n; i++) p[i << 12] = 1;
	t = toc(t);
	sc(SEGDETACH, m);
	return t;
}
static u64 f_brkfault(long n)
{
	static u64 base;
	extern char _end[];
	if(!base) base = ((u64)_end + 0x3fffff) & ~0x1ffffful;
	CK(sc(BRK, base + (n << 12)), "brk");
	char *p = (char*)base;
	u64 t = tic();
	for(long i = 0; i < n; i++) p[i << 12] = 1;
	t = toc(t);
	CK(sc(BRK, base), "brk down");
	return t;
}
static u64 f_mmap(long n)
{
	u64 t = tic();
	while(n-- > 0) sc(SEGDETACH, sc(SEGATTACH, 0l, "memory", 0l, 4096l));
	return toc(t);
}
static u64 f_mmaptouch(long n)
{
	u64 t = tic();
	while(n-- > 0){
		char *p = (char*)sc(SEGATTACH, 0l, "memory", 0l, 4096l);
		*p = 1;
		sc(SEGDETACH, p);
	}
	return toc(t);
}
static char sb[512];
static u64 statloop(const char *f, long n)
{
	u64 t = tic();
	while(n-- > 0) if((int)sc(STAT, f, sb, 512l) < 0){ die("stat"); break; }
	return toc(t);
}
static u64 openloop(const char *f, long n)
{
	u64 t = tic();
	while(n-- > 0) if(close(open(f, OREAD)) < 0){ die("open"); break; }
	return toc(t);
}
static u64 readloop(const char *f, long n)
{
	int fd = open(f, OREAD);
	CK(fd, f);
	u64 t = tic();
	while(n-- > 0) if(pread(fd, buf, 4096, 0) != 4096){ die("ramread"); break; }
	t = toc(t);
	close(fd);
	return t;
}
/* /tmp/t is #R, the files in memory; /bin/tiny is the root, an archive (and a union) */
static u64 f_tmpstat(long n) { return statloop("/tmp/t", n); }
static u64 f_rootstat(long n) { return statloop("/bin/tiny", n); }
static u64 f_tmpopen(long n) { return openloop("/tmp/t", n); }
static u64 f_rootopen(long n) { return openloop("/bin/tiny", n); }
static u64 f_tmpread(long n) { return readloop("/tmp/t", n); }
static u64 f_rootread(long n) { return readloop("/bin/bench", n); }
static u64 f_tmpcreate(long n)
{
	u64 t = tic();
	while(n-- > 0){
		int fd = sc(CREATE, "/tmp/new", (long)(OWRITE|OEXCL), 0644l);
		if(fd < 0){ die("create"); break; }
		close(fd);
		if((int)sc(REMOVE, "/tmp/new") < 0){ die("remove"); break; }
	}
	return toc(t);
}
static u64 f_nullwrite(long n)
{
	int fd = open("/dev/null", OWRITE);
	char c = 0;
	CK(fd, "null");
	u64 t = tic();
	while(n-- > 0) if(write(fd, &c, 1) != 1) die("null");
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
	if(broke != b){ skip(name); return; }
	report(name, v, reps, "MB/s", n);
}
static void cpu(void)
{
	long lim = 1L << 40;
	int fd = sc(CREATE, "/tmp/t", (long)OWRITE, 0666l);
	if(fd < 0 || write(fd, buf, 65536) != 65536) die("/tmp/t");
	close(fd);
	perop("cpu.getppid", "ns", f_null, lim);
	perop("cpu.sleep0_alone", "ns", f_sleep0, lim);
	perop("cpu.clock_gettime", "ns", f_nsec, lim);
	perop("cpu.bintime_pread8", "ns", f_bintime, lim);
	perop("cpu.write_devnull", "ns", f_nullwrite, lim);
	perop("cpu.stat_ramfs", "ns", f_tmpstat, lim);
	perop("cpu.stat_root", "ns", f_rootstat, lim);
	perop("cpu.open_close_ramfs", "ns", f_tmpopen, lim);
	perop("cpu.open_close_root", "ns", f_rootopen, lim);
	perop("cpu.pread4k_ramfs", "ns", f_tmpread, lim);
	perop("cpu.pread4k_root", "ns", f_rootread, lim);
	perop("cpu.create_remove_ramfs", "ns", f_tmpcreate, lim);
	if(ncpu == 1) perop("cpu.sched_yield_switch", "ns", f_yield, lim);	/* else each has a processor of its own */
	perop("cpu.pipe_pingpong", "us", f_pingpong, lim);
	perop("cpu.futex_pingpong", "us", f_sema, lim);
	bwreport("cpu.pipe_64k", f_pipebw, fixed ? 16 : 2048, 65536);
	if(fixed) lim = fixed / 10 + 1;	/* each is a process */
	perop("cpu.fork_exit_wait", "us", f_fork, lim);
	perop("cpu.fork_exec_wait", "us", f_forkexec, lim);
	perop("cpu.vfork_exec_wait", "us", f_memforkexec, lim);
	perop("cpu.thread_create_join", "us", f_thread, lim);
	perop("cpu.pagefault_4k", "ns", f_fault, fixed ? 512 : 16384);
	perop("cpu.pagefault_brk_4k", "ns", f_brkfault, fixed ? 512 : 16384);
	perop("cpu.mmap_munmap", "ns", f_mmap, 1L << 40);
	perop("cpu.mmap_touch_munmap", "ns", f_mmaptouch, 1L << 40);
}

