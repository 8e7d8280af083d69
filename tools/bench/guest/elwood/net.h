/* The sets netuser and netwire: TCP and UDP to 10.0.2.2, which is the host, or another guest that does netserve; and
 * that one's work. ../../src/far_end.rs has the protocol. UDP is sent back, from the same port. */
static int netport = 5000;
static int dial(const char *proto, const char *verb, const char *addr, int *ctl)	/* data, and ctl if it is wanted */
{
	char path[64], number[24], how[64], *keep = lp;
	join(path, "/net/", proto, "/clone", "");
	int c = open(path, ORDWR), n = c < 0 ? -1 : read(c, number, 20);
	if(n <= 0) return -1;
	number[n] = 0;
	lp = how;
	s_(verb); s_(" "); s_(addr); s_("!"); d_(netport);
	n = lp - how;
	lp = keep;
	int d = -1;
	if(write(c, how, n) == n){
		join(path, "/net/", proto, "/", number);
		join(path + strlen(path), "/data", "", "", "");
		d = open(path, ORDWR);
	}
	if(ctl && d >= 0) *ctl = c; else close(c);
	return d;
}
static u64 n_connect(long n)
{
	u64 t = tic();
	while(n-- > 0){
		int d = dial("tcp", "connect", "10.0.2.2", 0);
		if(d < 0){ die("connect"); break; }
		close(d);
	}
	return toc(t);
}
enum { FLYING = 8 };
static u64 n_udp(long n)	/* datagrams of 64 bytes to and fro, some at a time */
{
	char b[64];
	int d = dial("udp", "connect", "10.0.2.2", 0);
	CK(d, "udp");
	memset(b, 'u', sizeof b);
	u64 t = tic();
	for(; n > 0; n -= FLYING){
		for(int i = 0; i < FLYING; i++) if(write(d, b, 64) != 64){ die("udp write"); n = 0; }
		for(int i = 0; i < FLYING; i++) if(read(d, b, 64) != 64){ die("udp read"); n = 0; }
	}
	t = toc(t);
	close(d);
	return t;
}
static void net(const char *kind)
{
	char n[64];
	ninestart();
	sc(NOTIFY, onnote);
	/* The first question finds the other's card. */
	int d = dial("tcp", "connect", "10.0.2.2", 0);
	if(d < 0){ die("no network"); return; }
	close(d);
	join(n, "net.", kind, ".connect", ""); perop(n, "us", n_connect, 4000);
	join(n, "net.", kind, ".udp64", ""); perop(n, "us", n_udp, 1<<20);
	if((ser = dial("tcp", "connect", "10.0.2.2", 0)) < 0){ die("connect"); return; }
	sbs = 65536;
	join(n, "net.", kind, ".echo64", ""); perop(n, "us", s_echo, 1<<20);
	join(n, "net.", kind, ".out64k", ""); whole(n, "", "MB/s", s_out, 32 * MB, 32 * MB, 32 * MB / sbs, -1);
	join(n, "net.", kind, ".in64k", ""); whole(n, "", "MB/s", s_in, 32 * MB, 32 * MB, 32 * MB / sbs, -1);
	close(ser);
}
static void netanswer(int fd)	/* one caller, until it ends */
{
	char h[33];
	while(!readn(fd, h, 32)){
		long a = 0, b = 0;
		char *p = h + 2;
		h[32] = 0;
		for(; *p >= '0' && *p <= '9'; p++) a = a * 10 + *p - '0';
		if(*p) p++;
		for(; *p >= '0' && *p <= '9'; p++) b = b * 10 + *p - '0';
		if(h[0] == 'W'){
			for(long r; a > 0; a -= r) if((r = read(fd, iobuf, a < 65536 ? a : 65536)) <= 0) return;
			if(write(fd, "K", 1) != 1) return;
		}else if(h[0] == 'R'){
			for(long m; a > 0; a -= m){ m = a < 65536 ? a : 65536; if(writen(fd, iobuf, m)) return; }
		}else if(h[0] == 'E'){
			while(a-- > 0) if(readn(fd, iobuf, b) || writen(fd, iobuf, b)) return;
		}else return;
	}
}
static void netserve(void)
{
	static char b[2048];
	char dir[24];
	int ctl, d, n;
	ninestart();
	sc(NOTIFY, onnote);
	if(rfork(RFPROC|RFFDG) == 0){
		if((d = dial("udp", "announce", "*", &ctl)) < 0 || write(ctl, "headers", 7) != 7){ die("udp"); exits("udp"); }
		while((n = read(d, b, sizeof b)) > 0) write(d, b, n);
		exits("udp");
	}
	if((d = dial("tcp", "announce", "*", &ctl)) < 0 || (n = pread(ctl, dir, 20, 0)) <= 0){ die("announce"); return; }
	dir[n] = 0;
	char listen[64], data[64];
	join(listen, "/net/tcp/", dir, "/listen", "");
	s_("SERVING"); nl();
	for(;;){
		int c = open(listen, ORDWR);
		if(c < 0 || (n = read(c, dir, 20)) <= 0){ die("listen"); return; }
		dir[n] = 0;
		join(data, "/net/tcp/", dir, "/data", "");
		int fd = open(data, ORDWR);
		close(c);
		/* Nobody waits for it. */
		if(rfork(RFPROC|RFFDG|RFNOWAIT) == 0){ netanswer(fd); exits(0); }
		close(fd);
	}
}
