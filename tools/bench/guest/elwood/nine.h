/* The sets 9pmeta and 9pio: a folder of the host through #9, in the dialects .u and .L. `# rpc NAME N` says how many
 * requests an operation takes. */
enum { MB = 1 << 20, BIG = 64 * MB };
static char *iobuf;
static char spec[64], how[64], name[128];
enum { MCREATE = 4, MCACHE = 0x10 };
static long mountflags = MCREATE;
static int mnt(void)
{
	int fd = open("/dev/null", ORDWR);
	if(fd < 0 || (int)sc(MOUNTDEV, (long)fd, -1l, "/mnt", mountflags, spec, (long)'9') < 0){ die(spec); return -1; }
	close(fd);
	return 0;
}
static void unmnt(void) { sc(CHDIR, "/"); if((int)sc(UNMOUNT, 0l, "/mnt") < 0) die("unmount"); }
static void setspec(const char *version, const char *msize)	/* .u 131096 */
{
	join(spec, tag, ":9P2000.", version, ":"); join(spec + strlen(spec), msize, "", "", "");
	join(how, version, strcmp(msize, "131096") ? ".msize" : "", strcmp(msize, "131096") ? msize : "", "");
}
static void cached(int yes)	/* mounts of `mount -C` from now on, or without */
{
	mountflags = yes ? MCREATE | MCACHE : MCREATE;
	setspec("u", "131096");
	if(yes) join(how, "cache", "", "", "");
}
static u64 f_stat(long n) { return statloop("/mnt/one", n); }
static u64 f_openread(long n)
{
	char c;
	u64 t = tic();
	while(n-- > 0){
		int fd = open("/mnt/one", OREAD);
		if(fd < 0 || read(fd, &c, 1) != 1){ die("openread"); break; }
		close(fd);
	}
	return toc(t);
}
static u64 f_openclose(long n) { return openloop("/mnt/one", n); }
static u64 f_create(long n)
{
	u64 t = tic();
	while(n-- > 0){
		int fd = sc(CREATE, "/mnt/w/new", (long)(OWRITE|OEXCL), 0644l);
		if(fd < 0){ die("create"); break; }
		close(fd);
		if((int)sc(REMOVE, "/mnt/w/new") < 0){ die("remove"); break; }
	}
	return toc(t);
}
static u64 f_randread(long n)
{
	static u64 x = 88172645463325252ul;
	int fd = open("/mnt/big", OREAD);
	CK(fd, "big");
	u64 t = tic();
	while(n-- > 0){
		x ^= x << 13; x ^= x >> 7; x ^= x << 17;
		if(pread(fd, iobuf, 4096, (x % (BIG / 4096)) * 4096) != 4096){ die("pread"); break; }
	}
	t = toc(t);
	close(fd);
	return t;
}
static u64 f_fread1(long n)	/* 1-byte pread of an open file: one RPC */
{
	int fd = open("/mnt/one", OREAD);
	CK(fd, "one");
	u64 t = tic();
	while(n-- > 0) if(pread(fd, iobuf, 1, 0) != 1){ die("pread"); break; }
	t = toc(t);
	close(fd);
	return t;
}
static u64 f_fstat(long n)
{
	int fd = open("/mnt/one", OREAD);
	CK(fd, "one");
	u64 t = tic();
	while(n-- > 0) if((int)sc(FSTAT, (long)fd, sb, 512l) < 0){ die("fstat"); break; }
	t = toc(t);
	close(fd);
	return t;
}
/* requests since the session began, from /dev/mtags: tag:version:msize:use:hits */
static long requests(void)
{
	static char b[512];
	int fd = open("/dev/mtags", OREAD), n = fd < 0 ? -1 : pread(fd, b, 511, 0), c = 0;
	long v = 0;
	close(fd);
	u64 l = strlen(tag);
	if(n <= 0) return -1;
	b[n] = 0;
	for(char *p = b; *p; ){
		if(!strncmp(p, tag, l) && p[l] == ':'){
			for(; *p && *p != '\n' && c < 3; p++) c += *p == ':';
			for(; *p >= '0' && *p <= '9'; p++) v = v * 10 + *p - '0';
			return c == 3 ? v : -1;
		}
		while(*p && *p++ != '\n');
	}
	return -1;
}
static void rpcs(const char *what, loop f, long arg, long ops)	/* how many 9P requests ops operations make */
{
	long a = requests();
	f(arg);
	long b = requests();
	s_("# rpc "); s_(what); s_(" "); g_((double)(b - a) / ops); nl();
}
static void mounted(const char *what, const char *unit, loop f, long max)
{
	join(name, "9p.", what, ".", how);
	if(!wanted(name)) return;
	if(mnt()) return;
	rpcs(name, f, 100, 100);
	perop(name, unit, f, max);
	unmnt();
}
static int seqread(const char *file, long bs, long total)
{
	long r, got = 0;
	int fd = open(file, OREAD);
	CK(fd, file);
	while(got < total && (r = read(fd, iobuf, bs)) > 0) got += r;
	close(fd);
	if(got != total){ die("short read"); return -1; }
	return 0;
}
static u64 w_seqread(long bs) { u64 t = tic(); seqread("/mnt/big", bs, BIG); return toc(t); }
static u64 w_seqwrite(long bs)
{
	int fd = sc(CREATE, "/mnt/w/out", (long)OWRITE, 0644l);
	CK(fd, "out");
	u64 t = tic();
	for(long n = 0; n < BIG; n += bs) if(write(fd, iobuf, bs) != bs){ die("write"); break; }
	close(fd);
	t = toc(t);
	sc(REMOVE, "/mnt/w/out");
	return t;
}
static u64 w_readers(long bs)	/* 4 processes, 16 MB each */
{
	char f[] = "/mnt/big0";
	int go[2], pid;
	char c;
	CK(sc(PIPE, go), "pipe");
	for(int i = 0; i < 4; i++){
		f[8] = '0' + i;
		if((pid = rfork(RFPROC|RFFDG)) == 0){
			close(go[1]);
			read(go[0], &c, 1);
			exits(seqread(f, bs, BIG / 4) < 0 ? "reader" : 0);
		}
		CK(pid, "rfork");
	}
	close(go[0]);
	u64 t = tic();
	close(go[1]);
	for(int i = 0; i < 4; i++) child("reader");
	return toc(t);
}
static long entries;
static long dirbuf = 65536;
typedef void (*each)(const char *dir, u8 *e);	/* for each stat record */
static long dirread(const char *dir, each f)
{
	static char store[8][65536];	/* a buffer a level of the walk */
	static int level;
	char *b = store[level++ & 7];
	long n, k = 0;
	int fd = open(dir, OREAD);
	if(fd < 0){ die(dir); level--; return -1; }
	while((n = read(fd, b, dirbuf)) > 0)
		for(u8 *e = (u8*)b, *end = e + n; e < end; e += 2 + (e[0] | e[1] << 8), k++) if(f) f(dir, e);
	if(n < 0) die("dirread");
	close(fd);
	level--;
	return k;
}
static void nameof(u8 *e, char *to) { int n = e[41] | e[42] << 8; memcpy(to, e + 43, n); to[n] = 0; }
static void stat1(const char *dir, u8 *e)
{
	char n[256];
	nameof(e, n);
	if((int)sc(STAT, n, sb, 512l) < 0) die(n);
}
static u64 w_lsl(long x)
{
	u64 t = tic();
	long n = dirread("/mnt/d2000", 0);
	t = toc(t);
	if(n != 2000) die("entries");
	return t;
}
static u64 w_lslstat(long x)	/* as Linux's: chdir, read the directory, stat each name */
{
	u64 t = tic();
	if((int)sc(CHDIR, "/mnt/d2000") < 0) die("chdir");
	long n = dirread(".", stat1);
	sc(CHDIR, "/");
	t = toc(t);
	if(n != 2000) die("entries");
	return t;
}
static int walkstat;
static void visit(const char *dir, u8 *e)
{
	char n[256], path[512];
	int d = e[8] & 0x80;	/* qid.type */
	if(d || walkstat){ nameof(e, n); join(path, dir, "/", n, ""); }
	if(walkstat){ if((int)sc(STAT, path, sb, 512l) < 0) die(path); }
	if(d) dirread(path, visit);
	else entries++;
}
static u64 w_walk(long st)
{
	entries = 0; walkstat = st;
	u64 t = tic();
	dirread("/mnt/tree", visit);
	t = toc(t);
	if(entries != 5000) die("tree entries");
	return t;
}
/* cold: 1 each repetition on its own mount, 0 all on one mount, -1 no mount at all */
static void whole(const char *what, const char *warm, const char *unit, loop f, long arg, double amount, long ops,
	int cold)
{
	double v[64];
	int b = broke;
	if(cold >= 0){ join(name, "9p.", what, ".", how); join(name + strlen(name), warm, "", "", ""); }
	else join(name, what, "", "", "");
	if(!wanted(name)) return;
	if(cold >= 0){ if(mnt()) return; rpcs(name, f, arg, ops); if(cold) unmnt(); }
	if(cold < 0) f(arg);
	MARK(3);
	for(int i = 0; i < reps; i++){
		if(cold > 0 && mnt()) return;
		u64 t = f(arg);
		v[i] = amount ? amount / (t / 1e9) / 1e6 : t / 1e6;
		if(cold > 0) unmnt();
	}
	if(cold == 0) unmnt();
	if(broke != b){ skip(name); return; }
	report(name, v, reps, unit, ops);
}
static const long sizes[] = { 4096, 65536, 131072, 1048576 };
static const char *szname[] = { "4k", "64k", "128k", "1m" };
static void ninestart(void)
{
	if(!iobuf) iobuf = (char*)sc(SEGATTACH, 0l, "memory", 0l, (long)MB);
	memset(iobuf, 'x', MB);
}
static void meta(const char *v, const char *msize)
{
	setspec(v, msize);
	mounted("stat", "us", f_stat, 1<<30);
	mounted("fstat", "us", f_fstat, 1<<30);
	mounted("pread1_open", "us", f_fread1, 1<<30);
	mounted("open_close", "us", f_openclose, 1<<30);
	mounted("open_read1_close", "us", f_openread, 1<<30);
	mounted("create_unlink", "us", f_create, 1<<30);
	mounted("pread4k_random", "us", f_randread, 1<<30);
	dirbuf = 8192;
	whole("lsl2000.buf8k", ".cold", "ms", w_lsl, 0, 0, 2000, 1);
	dirbuf = 65536;
	whole("lsl2000", ".cold", "ms", w_lsl, 0, 0, 2000, 1);
	whole("lsl2000", ".warm", "ms", w_lsl, 0, 0, 2000, 0);
	whole("lsl2000_stat", ".cold", "ms", w_lslstat, 0, 0, 2000, 1);
	whole("lsl2000_stat", ".warm", "ms", w_lslstat, 0, 0, 2000, 0);
	whole("walk5000", ".cold", "ms", w_walk, 0, 0, 5000, 1);
	whole("walk5000", ".warm", "ms", w_walk, 0, 0, 5000, 0);
	whole("walk5000_stat", ".cold", "ms", w_walk, 1, 0, 5000, 1);
	whole("walk5000_stat", ".warm", "ms", w_walk, 1, 0, 5000, 0);
}
static void metacached(void)
{
	cached(1);
	mounted("stat", "us", f_stat, 1<<30);
	mounted("open_read1_close", "us", f_openread, 1<<30);
	whole("lsl2000_stat", ".warm", "ms", w_lslstat, 0, 0, 2000, 0);
	cached(0);
}
static void iocached(void)
{
	cached(1);
	whole("seqread4k", ".cold", "MB/s", w_seqread, 4096, BIG, BIG / 4096, 1);
	whole("seqread128k", ".warm", "MB/s", w_seqread, 131072, BIG, BIG / 131072, 0);
	cached(0);
}
static void nio(const char *v, const char *msize)
{
	char n[64];
	setspec(v, msize);
	for(int i = 0; i < 4; i++){
		join(n, "seqread", szname[i], "", "");
		whole(n, ".cold", "MB/s", w_seqread, sizes[i], BIG, BIG / sizes[i], 1);
	}
	for(int i = 0; i < 4; i++){
		join(n, "seqwrite", szname[i], "", "");
		whole(n, ".cold", "MB/s", w_seqwrite, sizes[i], BIG, BIG / sizes[i], 1);
	}
	whole("readers4_64k", ".cold", "MB/s", w_readers, 65536, BIG, BIG / 65536, 1);
}

