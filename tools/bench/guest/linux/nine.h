/* The sets 9pmeta and 9pio: a folder of the host through virtio-9p, with Linux's caches none, loose and mmap. */
enum { MB = 1 << 20, BIG = 64 * MB };
static char *iobuf;
static char opts[256];
static int mnt(void)
{
	if(mount(tag, "/mnt", "9p", 0, opts)){ die(opts); return -1; }
	return 0;
}
static void unmnt(void) { if(chdir("/") || umount2("/mnt", 0)){ die("umount"); umount2("/mnt", MNT_DETACH); } }
static void setopts(long msize, const char *cache)
{
	snprintf(opts, sizeof opts, "trans=virtio,version=9p2000.L,msize=%ld,cache=%s", msize, cache);
}
static u64 f_stat(long n)
{
	struct stat s;
	u64 t = tic();
	while(n-- > 0) if(stat("/mnt/one", &s)){ die("stat"); break; }
	return toc(t);
}
static u64 f_openread(long n)
{
	char c;
	u64 t = tic();
	while(n-- > 0){
		int fd = open("/mnt/one", O_RDONLY);
		if(fd < 0 || read(fd, &c, 1) != 1){ die("openread"); break; }
		close(fd);
	}
	return toc(t);
}
static u64 f_openclose(long n)
{
	u64 t = tic();
	while(n-- > 0){
		int fd = open("/mnt/one", O_RDONLY);
		if(fd < 0){ die("open"); break; }
		close(fd);
	}
	return toc(t);
}
static u64 f_create(long n)
{
	u64 t = tic();
	while(n-- > 0){
		int fd = open("/mnt/w/new", O_CREAT|O_EXCL|O_WRONLY, 0644);
		if(fd < 0){ die("create"); break; }
		close(fd);
		if(unlink("/mnt/w/new")){ die("unlink"); break; }
	}
	return toc(t);
}
static u64 f_randread(long n)
{
	static u64 x = 88172645463325252ull;
	int fd = open("/mnt/big", O_RDONLY);
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
	int fd = open("/mnt/one", O_RDONLY);
	CK(fd, "one");
	u64 t = tic();
	while(n-- > 0) if(pread(fd, iobuf, 1, 0) != 1){ die("pread"); break; }
	t = toc(t);
	close(fd);
	return t;
}
static u64 f_fstat(long n)
{
	struct stat s;
	int fd = open("/mnt/one", O_RDONLY);
	CK(fd, "one");
	u64 t = tic();
	while(n-- > 0) if(fstat(fd, &s)){ die("fstat"); break; }
	t = toc(t);
	close(fd);
	return t;
}
/* on one mount, warm: f per operation */
static void mounted(const char *what, const char *how, const char *unit, loop f, long max)
{
	char name[128];
	snprintf(name, sizeof name, "9p.%s.%s", what, how);
	if(!wanted(name)) return;
	if(mnt()) return;
	perop(name, unit, f, max);
	unmnt();
}
static int seqread(const char *file, long bs, long total)
{
	long r, got = 0;
	int fd = open(file, O_RDONLY);
	CK(fd, file);
	while(got < total && (r = read(fd, iobuf, bs)) > 0) got += r;
	close(fd);
	if(got != total){ die("short read"); return -1; }
	return 0;
}
static u64 w_seqread(long bs) { u64 t = tic(); seqread("/mnt/big", bs, BIG); return toc(t); }
static u64 w_seqwrite(long bs)
{
	int fd = open("/mnt/w/out", O_CREAT|O_TRUNC|O_WRONLY, 0644);
	CK(fd, "out");
	u64 t = tic();
	for(long n = 0; n < BIG; n += bs) if(write(fd, iobuf, bs) != bs){ die("write"); break; }
	close(fd);
	t = toc(t);
	unlink("/mnt/w/out");
	return t;
}
static u64 w_seqwritesync(long bs)
{
	int fd = open("/mnt/w/out", O_CREAT|O_TRUNC|O_RDWR, 0644);
	CK(fd, "out");
	u64 t = tic();
	for(long n = 0; n < BIG; n += bs) if(write(fd, iobuf, bs) != bs){ die("write"); break; }
	fsync(fd);
	close(fd);
	t = toc(t);
	unlink("/mnt/w/out");
	return t;
}
static u64 w_readers(long bs)	/* 4 processes, 16 MB each */
{
	char f[] = "/mnt/big0";
	int go[2], p[4];
	char c;
	CK(pipe(go), "pipe");
	for(int i = 0; i < 4; i++){
		f[8] = '0' + i;
		if((p[i] = fork()) == 0){
			close(go[1]);
			if(read(go[0], &c, 1) < 0){}
			_exit(seqread(f, bs, BIG / 4) < 0);
		}
	}
	close(go[0]);
	u64 t = tic();
	close(go[1]);
	for(int i = 0, st; i < 4; i++) if(waitpid(p[i], &st, 0) < 0 || st) die("reader");
	return toc(t);
}
static long entries;
static int lsl(const char *dir)	/* ls -l: read the directory, lstat every name in it */
{
	struct stat s;
	struct dirent *e;
	if(chdir(dir)){ die(dir); return -1; }
	DIR *d = opendir(".");
	if(!d){ die(dir); return -1; }
	entries = 0;
	while((e = readdir(d))){
		if(e->d_name[0] == '.') continue;
		if(lstat(e->d_name, &s)) die(e->d_name);
		entries++;
	}
	closedir(d);
	return chdir("/");
}
static u64 w_lsl(long x)
{
	u64 t = tic();
	lsl("/mnt/d2000");
	t = toc(t);
	if(entries != 2000) die("entries");
	return t;
}
static void walk(int at, const char *name, int st)
{
	struct stat s;
	struct dirent *e;
	int fd = openat(at, name, O_RDONLY|O_DIRECTORY);
	DIR *d = fd < 0 ? 0 : fdopendir(fd);
	if(!d){ die(name); return; }
	while((e = readdir(d))){
		if(e->d_name[0] == '.') continue;
		int dir = e->d_type == DT_DIR;
		if(st || e->d_type == DT_UNKNOWN){
			if(fstatat(fd, e->d_name, &s, AT_SYMLINK_NOFOLLOW)) die(e->d_name);
			dir = S_ISDIR(s.st_mode);
		}
		if(dir) walk(fd, e->d_name, st);
		else entries++;
	}
	closedir(d);
}
static u64 w_walk(long st)
{
	entries = 0;
	u64 t = tic();
	walk(AT_FDCWD, "/mnt/tree", st);
	t = toc(t);
	if(entries != 5000) die("tree entries");
	return t;
}
static u64 w_readdir(long x)
{
	struct dirent *e;
	long n = 0;
	u64 t = tic();
	DIR *d = opendir("/mnt/d2000");
	while(d && (e = readdir(d))) n++;
	if(d) closedir(d);
	t = toc(t);
	if(n != 2002) die("readdir");
	return t;
}

/* cold: 1 each repetition on its own mount, 0 warm on one mount, -1 no mount at all */
static void whole(const char *name, const char *unit, loop f, long arg, double amount, long ops, int cold)
{
	double v[64];
	int b = broke;
	if(!wanted(name)) return;
	if(cold == 0 && mnt()) return;
	if(cold <= 0) f(arg);
	MARK(3);
	for(int i = 0; i < reps; i++){
		if(cold > 0 && mnt()) return;
		u64 t = f(arg);
		v[i] = amount ? amount / (t / 1e9) / 1e6 : t / 1e6;
		if(cold > 0) unmnt();
	}
	if(cold == 0) unmnt();
	if(broke != b){ printf("# skip %s\n", name); return; }
	report(name, v, reps, unit, ops);
}
static const long sizes[] = { 4096, 65536, 131072, 1048576 };
static const char *szname[] = { "4k", "64k", "128k", "1m" };
static const long msizes[] = { 131096, 512000 };
static void ninestart(void)
{
	iobuf = mmap(0, MB, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
	memset(iobuf, 'x', MB);
	setopts(131096, "none");
}
static void ninemeta(void)
{
	ninestart();
	mounted("stat", "none", "us", f_stat, 1<<30);
	mounted("fstat", "none", "us", f_fstat, 1<<30);
	mounted("pread1_open", "none", "us", f_fread1, 1<<30);
	mounted("open_close", "none", "us", f_openclose, 1<<30);
	mounted("open_read1_close", "none", "us", f_openread, 1<<30);
	mounted("create_unlink", "none", "us", f_create, 1<<30);
	mounted("pread4k_random", "none", "us", f_randread, 1<<30);
	whole("9p.readdir2000.none.cold", "ms", w_readdir, 0, 0, 2000, 1);
	whole("9p.lsl2000.none.cold", "ms", w_lsl, 0, 0, 2000, 1);
	whole("9p.lsl2000.none.warm", "ms", w_lsl, 0, 0, 2000, 0);
	whole("9p.walk5000.none.cold", "ms", w_walk, 0, 0, 5000, 1);
	whole("9p.walk5000_lstat.none.cold", "ms", w_walk, 1, 0, 5000, 1);
	whole("9p.walk5000_lstat.none.warm", "ms", w_walk, 1, 0, 5000, 0);
	setopts(512000, "loose");
	mounted("stat", "loose.warm", "us", f_stat, 1<<30);
	mounted("open_read1_close", "loose.warm", "us", f_openread, 1<<30);
	mounted("create_unlink", "loose.warm", "us", f_create, 1<<30);
	mounted("pread4k_random", "loose.warm", "us", f_randread, 1<<30);
	whole("9p.lsl2000.loose.cold", "ms", w_lsl, 0, 0, 2000, 1);
	whole("9p.lsl2000.loose.warm", "ms", w_lsl, 0, 0, 2000, 0);
	whole("9p.walk5000.loose.cold", "ms", w_walk, 0, 0, 5000, 1);
	whole("9p.walk5000_lstat.loose.cold", "ms", w_walk, 1, 0, 5000, 1);
	whole("9p.walk5000_lstat.loose.warm", "ms", w_walk, 1, 0, 5000, 0);
}
static void nineio(void)
{
	char name[128];
	ninestart();
	for(int m = 0; m < 2; m++){
		setopts(msizes[m], "none");
		for(int i = 0; i < 4; i++){
			snprintf(name, sizeof name, "9p.seqread%s.none.msize%ld.cold", szname[i], msizes[m]);
			whole(name, "MB/s", w_seqread, sizes[i], BIG, BIG / sizes[i], 1);
		}
		for(int i = 0; i < 4; i++){
			snprintf(name, sizeof name, "9p.seqwrite%s.none.msize%ld.cold", szname[i], msizes[m]);
			whole(name, "MB/s", w_seqwrite, sizes[i], BIG, BIG / sizes[i], 1);
		}
		snprintf(name, sizeof name, "9p.readers4_64k.none.msize%ld.cold", msizes[m]);
		whole(name, "MB/s", w_readers, 65536, BIG, BIG / 65536, 1);
	}
	static const char *caches[] = { "loose", "mmap" };
	for(int c = 0; c < 2; c++){
		for(int m = 0; m < 2; m++){
			setopts(msizes[m], caches[c]);
			for(int i = 0; i < 4; i++){
				snprintf(name, sizeof name, "9p.seqread%s.%s.msize%ld.cold", szname[i], caches[c], msizes[m]);
				whole(name, "MB/s", w_seqread, sizes[i], BIG, BIG / sizes[i], 1);
			}
		}
	}
	setopts(512000, "loose");
	whole("9p.seqread4k.loose.msize512000.warm", "MB/s", w_seqread, 4096, BIG, BIG / 4096, 0);
	whole("9p.seqread128k.loose.msize512000.warm", "MB/s", w_seqread, 131072, BIG, BIG / 131072, 0);
	whole("9p.seqwrite4k_fsync.loose.msize512000.cold", "MB/s", w_seqwritesync, 4096, BIG, BIG / 4096, 1);
	whole("9p.seqwrite128k_fsync.loose.msize512000.cold", "MB/s", w_seqwritesync, 131072, BIG, BIG / 131072, 1);
	whole("9p.readers4_64k.loose.msize512000.cold", "MB/s", w_readers, 65536, BIG, BIG / 65536, 1);
}

