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
static int header(const char *fmt, long a, long b)
{
	char h[33];
	int n = snprintf(h, sizeof h, fmt, a, b);
	memset(h + n, ' ', 32 - n);
	h[31] = '\n';
	return writen(ser, h, 32);
}
static long sbs;	/* write and read size */
/* The host's answer.  QEMU drops what a virtconsole writes while its socket is full, and
 * then no answer comes: pad until it does, and say how much was lost. */
static int acked(long n)
{
	struct pollfd p = { ser, POLLIN, 0 };
	long lost = 0;
	char c;
	for(;;){
		if(poll(&p, 1, lost ? 20 : 2000) > 0){
			if(readn(ser, &c, 1) || c != 'K') return -1;
			if(lost){ printf("# LOST about %ld of %ld bytes\n", lost, n); broke++; }
			return 0;
		}
		lost += 512;
		if(lost > n || writen(ser, iobuf, 512)) return -1;
	}
}
static u64 s_out(long n)
{
	CK(header("W %ld", n, 0), "header");
	u64 t = tic();
	for(long m = n; m > 0; m -= sbs) if(writen(ser, iobuf, m < sbs ? m : sbs)) die("serial write");
	CK(acked(n), "ack");
	return toc(t);
}
static u64 s_in(long n)
{
	u64 t = tic();
	CK(header("R %ld", n, 0), "header");
	for(long m = n, r; m > 0; m -= r)
		if((r = read(ser, iobuf, m < sbs ? m : sbs)) <= 0){ die("serial read"); break; }
	return toc(t);
}
static u64 s_echo(long n)
{
	char b[64];
	memset(b, 'e', sizeof b);
	CK(header("E %ld %ld", n, 64), "header");
	u64 t = tic();
	while(n-- > 0) if(writen(ser, b, 64) || readn(ser, b, 64)){ die("echo"); break; }
	return toc(t);
}
static void serialport(const char *kind, const char *dev, long out, long in)
{
	char name[128];
	struct termios t;
	if((ser = open(dev, O_RDWR|O_NOCTTY)) < 0){ die(dev); return; }
	if(tcgetattr(ser, &t) == 0){ cfmakeraw(&t); t.c_cc[VMIN] = 1; t.c_cc[VTIME] = 0; tcsetattr(ser, TCSANOW, &t); }
	sbs = 65536;
	snprintf(name, sizeof name, "serial.%s.echo64", kind);
	perop(name, "us", s_echo, 1<<20);
	snprintf(name, sizeof name, "serial.%s.out64k", kind);
	whole(name, "MB/s", s_out, out, out, out / sbs, -1);
	snprintf(name, sizeof name, "serial.%s.in64k", kind);
	whole(name, "MB/s", s_in, in, in, in / sbs, -1);
	sbs = 4096;
	snprintf(name, sizeof name, "serial.%s.out4k", kind);
	whole(name, "MB/s", s_out, out / 4, out / 4, out / 4 / sbs, -1);
	close(ser);
}
static void serial(void)
{
	char path[300], port[300] = "", buf[64];
	struct dirent *e;
	if(!iobuf) iobuf = malloc(MB);
	memset(iobuf, 'x', MB);
	DIR *d = opendir("/sys/class/virtio-ports");
	while(d && (e = readdir(d))){
		snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", e->d_name);
		int fd = open(path, O_RDONLY);
		if(fd < 0) continue;
		ssize_t n = read(fd, buf, sizeof buf);
		close(fd);
		if(n > 9 && !strncmp(buf, "bench.raw", 9)) snprintf(port, sizeof port, "/dev/%s", e->d_name);
	}
	if(d) closedir(d);
	if(*port) serialport("port", port, 64 * MB, 64 * MB);
	else printf("# no virtserialport\n");
	serialport("hvc", "/dev/hvc0", MB, MB);
}

