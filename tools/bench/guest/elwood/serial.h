/* The set serial: a virtio-serial port and a virtio console; ../../src/far_end.rs has the protocol and is the other
 * end. */
static int ser;
static int readn(int fd, char *p, long n)
{
	long r;
	for(; n > 0; p += r, n -= r) if((r = read(fd, p, n)) <= 0) return -1;
	return 0;
}
static int writen(int fd, const char *p, long n)
{
	long r;
	for(; n > 0; p += r, n -= r) if((r = write(fd, p, n)) <= 0) return -1;
	return 0;
}
static int header(const char *c, long a, long b)
{
	char h[33], *keep = lp;
	lp = h;
	s_(c); s_(" "); d_(a); if(b){ s_(" "); d_(b); }
	while(lp < h + 31) *lp++ = ' ';
	lp = keep;
	h[31] = '\n';
	return writen(ser, h, 32);
}
static long sbs;
static int acked(long n)	/* QEMU may drop what a virtconsole writes: pad until the answer comes */
{
	long lost = 0;
	char c;
	for(;;){
		sc(ALARM, lost ? 20l : 2000l);
		int r = read(ser, &c, 1);
		sc(ALARM, 0l);
		if(r == 1){
			if(c != 'K') return -1;
			if(lost){ s_("# LOST about "); d_(lost); s_(" of "); d_(n); nl(); broke++; }
			return 0;
		}
		lost += 512;
		if(lost > n || writen(ser, iobuf, 512)) return -1;
	}
}
static u64 s_out(long n)
{
	CK(header("W", n, 0), "header");
	u64 t = tic();
	for(long m = n; m > 0; m -= sbs) if(writen(ser, iobuf, m < sbs ? m : sbs)) die("serial write");
	CK(acked(n), "ack");
	return toc(t);
}
static u64 s_in(long n)
{
	u64 t = tic();
	CK(header("R", n, 0), "header");
	for(long m = n, r; m > 0; m -= r)
		if((r = read(ser, iobuf, m < sbs ? m : sbs)) <= 0){ die("serial read"); break; }
	return toc(t);
}
static u64 s_echo(long n)
{
	char b[64];
	memset(b, 'e', sizeof b);
	CK(header("E", n, 64), "header");
	u64 t = tic();
	while(n-- > 0) if(writen(ser, b, 64) || readn(ser, b, 64)){ die("echo"); break; }
	return toc(t);
}
static void serialport(const char *kind, const char *dev, long out, long in)
{
	char n[64];
	if((ser = open(dev, ORDWR)) < 0){ die(dev); return; }
	sbs = 65536;
	join(n, "serial.", kind, ".echo64", ""); perop(n, "us", s_echo, 1<<20);
	join(n, "serial.", kind, ".out64k", ""); whole(n, "", "MB/s", s_out, out, out, out / sbs, -1);
	join(n, "serial.", kind, ".in64k", ""); whole(n, "", "MB/s", s_in, in, in, in / sbs, -1);
	sbs = 4096;
	join(n, "serial.", kind, ".out4k", ""); whole(n, "", "MB/s", s_out, out / 4, out / 4, out / 4 / sbs, -1);
	close(ser);
}
static char con[128];
static void findcon(const char *dir, u8 *e)
{
	char n[256];
	nameof(e, n);
	if(strncmp(n, "virtio-console-", 15)) return;
	for(char *p = n; *p; p++) if(*p == '.') return;
	join(con, dir, "/", n, "");
}
static void serial(void)
{
	ninestart();
	sc(NOTIFY, onnote);
	serialport("port", "/dev/virtcon/by-name/bench.raw", 64 * MB, 64 * MB);
	dirread("/dev/virtcon", findcon);
	if(*con) serialport("hvc", con, MB, MB);
	else { s_("# FAIL no virtconsole"); nl(); }
}

