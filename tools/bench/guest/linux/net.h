/* The sets netuser and netwire: TCP and UDP to 10.0.2.2, which is the host, or another guest that does netserve; and
 * that one's work. ../../src/far_end.rs has the protocol. UDP is sent back, from the same port. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
static int netport = 5000;
static void address(const char *own)	/* of eth0, which is there soon after its driver */
{
	struct ifreq r = {0};
	struct sockaddr_in *a = (void*)&r.ifr_addr;
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	strcpy(r.ifr_name, "eth0");
	a->sin_family = AF_INET;
	inet_aton(own, &a->sin_addr);
	for(int i = 0; i < 500 && ioctl(s, SIOCSIFADDR, &r) < 0; i++) usleep(10000);
	inet_aton("255.255.255.0", &a->sin_addr);
	if(ioctl(s, SIOCSIFNETMASK, &r) < 0) die("mask");
	r.ifr_flags = IFF_UP|IFF_RUNNING;
	if(ioctl(s, SIOCSIFFLAGS, &r) < 0) die("up");
	close(s);
}
static struct sockaddr_in ending(const char *addr)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(netport) };
	inet_aton(addr, &a.sin_addr);
	return a;
}
static int dial(int type)
{
	struct sockaddr_in a = ending("10.0.2.2");
	int one = 1, s = socket(AF_INET, type, 0);
	if(type == SOCK_STREAM) setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if(s >= 0 && connect(s, (void*)&a, sizeof a) < 0){ close(s); return -1; }
	return s;
}
static u64 n_connect(long n)
{
	u64 t = tic();
	while(n-- > 0){
		int d = dial(SOCK_STREAM);
		if(d < 0){ die("connect"); break; }
		close(d);
	}
	return toc(t);
}
enum { FLYING = 8 };
static u64 n_udp(long n)	/* datagrams of 64 bytes to and fro, some at a time */
{
	char b[64];
	int d = dial(SOCK_DGRAM);
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
	char name[128];
	if(!iobuf) iobuf = malloc(MB);
	memset(iobuf, 'x', MB);
	address("10.0.2.15");
	int d = -1;
	for(int i = 0; i < 100 && (d = dial(SOCK_STREAM)) < 0; i++) usleep(50000);
	if(d < 0){ die("no network"); return; }
	close(d);
	snprintf(name, sizeof name, "net.%s.connect", kind); perop(name, "us", n_connect, 4000);
	snprintf(name, sizeof name, "net.%s.udp64", kind); perop(name, "us", n_udp, 1<<20);
	if((ser = dial(SOCK_STREAM)) < 0){ die("connect"); return; }
	sbs = 65536;
	snprintf(name, sizeof name, "net.%s.echo64", kind); perop(name, "us", s_echo, 1<<20);
	snprintf(name, sizeof name, "net.%s.out64k", kind); whole(name, "MB/s", s_out, 32 * MB, 32 * MB, 32 * MB / sbs, -1);
	snprintf(name, sizeof name, "net.%s.in64k", kind); whole(name, "MB/s", s_in, 32 * MB, 32 * MB, 32 * MB / sbs, -1);
	close(ser);
}
static void netanswer(int fd)	/* one caller, until it ends */
{
	char h[33];
	while(!readn(fd, h, 32)){
		long a = 0, b = 0;
		h[32] = 0;
		sscanf(h + 1, "%ld %ld", &a, &b);
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
	struct sockaddr_in a = ending("0.0.0.0");
	int one = 1, s;
	iobuf = malloc(MB);
	memset(iobuf, 'x', MB);
	address("10.0.2.2");
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if(fork() == 0){
		s = socket(AF_INET, SOCK_DGRAM, 0);
		if(bind(s, (void*)&a, sizeof a) < 0) die("udp");
		for(;;){
			struct sockaddr_in f;
			socklen_t l = sizeof f;
			ssize_t n = recvfrom(s, b, sizeof b, 0, (void*)&f, &l);
			if(n >= 0) sendto(s, b, n, 0, (void*)&f, l);
		}
	}
	s = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if(bind(s, (void*)&a, sizeof a) < 0 || listen(s, 256) < 0) die("listen");
	printf("SERVING\n");
	for(;;){
		int fd = accept(s, 0, 0);
		if(fd < 0) continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if(fork() == 0){ netanswer(fd); _exit(0); }
		close(fd);
	}
}
