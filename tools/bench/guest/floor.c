/* floor: a machine without an operating system that does nothing but 9P requests: what QEMU itself costs. It is
 * 32-bit code that -kernel loads (multiboot; or PVH, where it only says USERLAND: the cost of starting anything). It drives
 * virtio-9p-pci through the legacy registers with contiguous buffers, one descriptor each way, and times batches with
 * the HPET, whose tick is 10 ns.
 *	poll: interrupts off, the used ring polled	hlt: sti; hlt until the interrupt (MSI-X)
 * A result is a line	F NAME TICKS COUNT KBYTES */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

__asm__(
#ifndef PVHONLY
	".section .text\n.balign 4\n.long 0x1BADB002, 0, -0x1BADB002\n"
#endif
	".section .note.pvh,\"a\",@note\n.balign 4\n.long 4, 4, 18\n.asciz \"Xen\"\n.long _start\n"
	".section .text\n.globl _start\n_start: cli\n mov $0x700000,%esp\n"
	"lgdt gdtr\n ljmp $8,$1f\n1: mov $16,%ax\n mov %ax,%ds\n mov %ax,%es\n mov %ax,%ss\n"
	"call cmain\n2: hlt\n jmp 2b\n"
	".balign 8\ngdt: .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff\ngdtr: .word 23\n.long gdt\n"
	/* the interrupt: end of interrupt at the local APIC, nothing else */
	"isr: movl $0, 0xfee000b0\n iret\n");
extern void isr(void);

static void outb(u16 p, u8 v) { __asm__ volatile("outb %0,%1" :: "a"(v), "Nd"(p)); }
static void outw(u16 p, u16 v) { __asm__ volatile("outw %0,%1" :: "a"(v), "Nd"(p)); }
static void outl(u16 p, u32 v) { __asm__ volatile("outl %0,%1" :: "a"(v), "Nd"(p)); }
static u8 inb(u16 p) { u8 v; __asm__ volatile("inb %1,%0" : "=a"(v) : "Nd"(p)); return v; }
static u16 inw(u16 p) { u16 v; __asm__ volatile("inw %1,%0" : "=a"(v) : "Nd"(p)); return v; }
static u32 inl(u16 p) { u32 v; __asm__ volatile("inl %1,%0" : "=a"(v) : "Nd"(p)); return v; }
#define REG(a) (*(volatile u32*)(a))

static void putc(char c) { while(!(inb(0x3fd) & 0x20)); outb(0x3f8, c); }
static void puts(const char *s) { while(*s) putc(*s++); }
static void putn(u32 n) { char b[12], *p = b + 11; *p = 0; do *--p = '0' + n % 10; while(n /= 10); puts(p); }
void *memcpy(void *d, const void *s, u32 n) { u8 *a = d; const u8 *b = s; while(n--) *a++ = *b++; return d; }
void *memset(void *d, int c, u32 n) { u8 *a = d; while(n--) *a++ = c; return d; }
static void fail(const char *s) { puts("FAIL "); puts(s); puts("\nFLOOR-END\n"); for(;;) __asm__("cli; hlt"); }
static u32 now(void) { return REG(0xfed000f0); }
static void result(const char *name, u32 t, u32 n, u32 kb)
{
	puts("F "); puts(name); putc(' '); putn(t); putc(' '); putn(n); putc(' '); putn(kb); putc('\n');
}

/* PCI and virtio */
static u32 pcir(u32 d, u32 r) { outl(0xcf8, 0x80000000 | d << 11 | (r & ~3)); return inl(0xcfc); }
static void pciw(u32 d, u32 r, u32 v) { outl(0xcf8, 0x80000000 | d << 11 | (r & ~3)); outl(0xcfc, v); }
static u16 io;
static u32 qsz, last;
static int halting;
struct desc { u32 addr, hi, len; u16 flags, next; };
struct used { u32 id, len; };
static volatile struct desc *desc;
static volatile u16 *avail;	/* flags, idx, ring[] */
static volatile u16 *usedh;	/* flags, idx */
static volatile struct used *usedr;
enum { VRING = 0x800000, TB = 0x2000000, RB = 0x6000000, SLOT = 0x200000 };
#define tbuf(s) ((u8*)(TB + (s) * SLOT))
#define rbuf(s) ((u8*)(RB + (s) * SLOT))

static void virtio(void)
{
	u32 d, cap, msix = 0;
	for(d = 0; d < 32 * 8; d++) if(pcir(d, 0) == 0x10091af4) break;
	if(d == 256) fail("no virtio-9p-pci");
	if(!(pcir(d, 0x10) & 1)) fail("no legacy BAR");
	pciw(d, 4, (pcir(d, 4) & 0xffff) | 7);
	io = pcir(d, 0x10) & ~3;
	outb(io + 18, 0); outb(io + 18, 1); outb(io + 18, 3);
	outl(io + 4, 0);
	for(cap = pcir(d, 0x34) & 0xfc; cap; cap = pcir(d, cap) >> 8 & 0xfc)
		if((pcir(d, cap) & 0xff) == 0x11) msix = cap;
	if(msix){
		u32 tb = pcir(d, msix + 4), bar = pcir(d, 0x10 + (tb & 7) * 4) & ~15, t = bar + (tb & ~7);
		REG(t) = 0xfee00000 | (REG(0xfee00020) >> 24) << 12; REG(t + 4) = 0; REG(t + 8) = 0x40; REG(t + 12) = 0;
		pciw(d, msix, pcir(d, msix) | 0x80000000);
	}
	outw(io + 14, 0);
	qsz = inw(io + 12);
	u32 av = VRING + qsz * 16, us = (av + 6 + 2 * qsz + 4095) & ~4095;
	memset((void*)VRING, 0, us - VRING + 4096 + qsz * 8);
	desc = (void*)VRING; avail = (void*)av; usedh = (void*)us; usedr = (void*)(us + 4);
	outl(io + 8, VRING >> 12);
	if(msix){ outw(io + 22, 0); if(inw(io + 22) != 0) fail("msix vector"); }
	outb(io + 18, 7);
	avail[0] = 1;
	/* the interrupt side */
	static u32 idt[2 * 0x41] __attribute__((aligned(8)));
	static struct { u16 lim; void *p; } __attribute__((packed)) idtr = { sizeof idt - 1, idt };
	u32 h = (u32)isr;
	idt[0x80] = 0x80000 | (h & 0xffff); idt[0x81] = (h & 0xffff0000) | 0x8e00;
	__asm__ volatile("lidt %0" :: "m"(idtr));
	outb(0x21, 0xff); outb(0xa1, 0xff);
	REG(0xfee00350) = 0x10000; REG(0xfee00360) = 0x10000; REG(0xfee000f0) = 0x1ff;
}
static void submit(u32 s, u32 tlen, u32 rlen)
{
	desc[2*s].addr = TB + s * SLOT; desc[2*s].len = tlen; desc[2*s].flags = 1; desc[2*s].next = 2*s + 1;
	desc[2*s+1].addr = RB + s * SLOT; desc[2*s+1].len = rlen; desc[2*s+1].flags = 2;
	avail[2 + (avail[1] & (qsz-1))] = 2 * s;
	__asm__ volatile("" ::: "memory");
	avail[1]++;
	outw(io + 16, 0);
}
static u32 reap(void)	/* wait for the next reply; its slot */
{
	if(!halting) while(usedh[1] == (u16)last);
	else for(;;){
		__asm__ volatile("cli");
		if(usedh[1] != (u16)last) break;
		__asm__ volatile("sti; hlt");
	}
	__asm__ volatile("" ::: "memory");
	return usedr[last++ & (qsz-1)].id / 2;
}

/* 9P messages */
static u8 *p;
static void p1(u32 v) { *p++ = v; }
static void p2(u32 v) { p1(v); p1(v >> 8); }
static void p4(u32 v) { p2(v); p2(v >> 16); }
static void p8(u32 v) { p4(v); p4(0); }
static void ps(const char *s) { u8 *l = p; p += 2; while(*s) *p++ = *s++; l[0] = p - l - 2; l[1] = 0; }
static void t9(u32 s, u32 type) { p = tbuf(s); p4(0); p1(type); p2(s); }
static u32 g2(u8 *b) { return b[0] | b[1] << 8; }
static u32 g4(u8 *b) { return g2(b) | g2(b + 2) << 16; }
static void go(u32 s, u32 extra, u32 rmax)
{
	u32 n = p - tbuf(s);
	u8 *e = p;
	p = tbuf(s);
	p4(n + extra);
	p = e;
	submit(s, n + extra, rmax);
}
static u8 *check(u32 s)
{
	u8 *r = rbuf(s);
	if(r[4] != tbuf(s)[4] + 1){
		puts("type "); putn(tbuf(s)[4]); puts(" reply "); putn(r[4]); puts(" errno "); putn(g4(r + 7)); putc('\n');
		fail("9P error");
	}
	return r;
}
static u8 *rpc(void) { go(0, 0, 4096); reap(); return check(0); }
static u8 *rpcr(u32 rmax) { go(0, 0, rmax); reap(); return check(0); }

enum { Tlopen = 12, Tlcreate = 14, Tgetattr = 24, Treaddir = 40, Tunlinkat = 76, Tversion = 100, Tattach = 104,
	Tflush = 108, Twalk = 110, Topen = 112, Tread = 116, Twrite = 118, Tclunk = 120, Tstat = 124 };
static void session(const char *v, u32 msize)
{
	t9(0, Tversion); p4(msize); ps(v); rpc();
	t9(0, Tattach); p4(0); p4(~0u); ps("root"); ps(""); p4(0); rpc();
}
static void twalk(u32 s, u32 fid, u32 nfid, const char *name)
{
	t9(s, Twalk); p4(fid); p4(nfid); p2(name ? 1 : 0);
	if(name) ps(name);
}
static void walkto(u32 fid, u32 nfid, const char *name) { twalk(0, fid, nfid, name); rpc(); }
static void clunk(u32 fid) { t9(0, Tclunk); p4(fid); rpc(); }
static void lopen(u32 fid, u32 flags) { t9(0, Tlopen); p4(fid); p4(flags); rpc(); }
static void tgetattr(u32 s, u32 fid) { t9(s, Tgetattr); p4(fid); p4(0x7ff); p4(0); }
static void tread(u32 s, u32 fid, u32 off, u32 n) { t9(s, Tread); p4(fid); p8(off); p4(n); }
static void trw(u32 s, int wr, u32 fid, u32 off, u32 n)
{
	if(!wr){ tread(s, fid, off, n); go(s, 0, n + 11); }
	else { t9(s, Twrite); p4(fid); p8(off); p4(n); go(s, n, 64); }
}
#define MS(kb) ((kb) * 1024 + 24)
#define TIME(name, n, body) do { u32 i_, t_; \
	for(i_ = 0; i_ < (n) / 8 + 1; i_++){ body; } \
	t_ = now(); for(i_ = 0; i_ < (n); i_++){ body; } \
	result(name, now() - t_, n, 0); } while(0)

/* total bytes of a file at depth qd */
static void stream(const char *name, int wr, u32 fid, u32 n, u32 qd, u32 total)
{
	u32 t, off = 0, done = 0, s;
	t = now();
	for(s = 0; s < qd && off < total; s++, off += n) trw(s, wr, fid, off, n);
	while(done < total){
		s = reap();
		u8 *r = check(s);
		if(g4(r + 7) != n) fail("short transfer");
		done += n;
		if(off < total){ trw(s, wr, fid, off, n); off += n; }
	}
	result(name, now() - t, total / n, total / 1024);
}
static u8 *names[2100];
static u32 nnames;
static void readdir(u32 fid, u32 count)	/* all names of a directory, through an open fid */
{
	static u8 store[64 * 1024];
	u8 *w = store;
	u32 lo = 0, hi = 0;
	nnames = 0;
	for(;;){
		t9(0, Treaddir); p4(fid); p4(lo); p4(hi); p4(count);
		u8 *r = rpcr(count + 11), *e = r + 11, *end = e + g4(r + 7);
		if(e == end) break;
		while(e < end){
			u32 l = g2(e + 22);
			lo = g4(e + 13); hi = g4(e + 17);
			if(e[24] != '.' && nnames < 2100){
				names[nnames++] = w;
				memcpy(w, e + 24, l); w[l] = 0; w += l + 1;
			}
			e += 24 + l;
		}
	}
}
/* stat every name of d2000 with qd chains of walk, getattr, clunk in flight */
static void lsl(const char *label, u32 qd)
{
	static u8 st[32];
	u32 t = now(), next = 0, busy = 0, s;
	walkto(0, 8, "d2000"); walkto(8, 9, 0); lopen(9, 0200000);
	readdir(9, 128 * 1024);
	clunk(9);
	if(nnames != 2000) fail("names");
	for(s = 0; s < qd; s++, busy++){ st[s] = 0; twalk(s, 8, 100 + s, (char*)names[next++]); go(s, 0, 4096); }
	while(busy){
		s = reap(); check(s);
		switch(st[s]++){
		case 0: tgetattr(s, 100 + s); go(s, 0, 4096); break;
		case 1: t9(s, Tclunk); p4(100 + s); go(s, 0, 4096); break;
		default:
			if(next == nnames){ busy--; break; }
			st[s] = 0; twalk(s, 8, 100 + s, (char*)names[next++]); go(s, 0, 4096);
		}
	}
	result(label, now() - t, nnames, 0);
	clunk(8);
}
static void dotl(void)
{
	u32 MBs = 64 << 20, t;
	session("9P2000.L", MS(1024));
	walkto(0, 1, "one");
	TIME("poll.flush_null", 20000, (t9(0, Tflush), p2(0xfff0), rpc()));
	TIME("poll.L.getattr", 5000, (tgetattr(0, 1), rpc()));
	TIME("poll.L.clone_clunk", 5000, (walkto(1, 2, 0), clunk(2)));
	TIME("poll.L.walk_clunk", 5000, (walkto(0, 2, "one"), clunk(2)));
	TIME("poll.L.stat", 5000, (walkto(0, 2, "one"), tgetattr(0, 2), rpc(), clunk(2)));
	TIME("poll.L.open_close", 3000, (walkto(0, 2, "one"), lopen(2, 0), clunk(2)));
	TIME("poll.L.open_read1_close", 3000, (walkto(0, 2, "one"), lopen(2, 0), tread(0, 2, 0, 1), rpc(), clunk(2)));
	walkto(0, 3, "w");
	TIME("poll.L.create_unlink", 2000, (walkto(3, 2, 0),
		t9(0, Tlcreate), p4(2), ps("floor"), p4(1), p4(0644), p4(0), rpc(), clunk(2),
		t9(0, Tunlinkat), p4(3), ps("floor"), p4(0), rpc()));
	lopen(1, 0);
	TIME("poll.L.read1", 5000, (tread(0, 1, 0, 1), rpc()));
	walkto(0, 4, "big"); lopen(4, 0);
	t = 0;
	TIME("poll.L.read4k_random", 5000,
		(t = t * 1664525 + 1013904223, tread(0, 4, (t >> 12) % 16384 * 4096, 4096), rpcr(4107)));
	stream("warmup", 0, 4, 1<<20, 4, MBs);
	stream("poll.L.read4k", 0, 4, 4096, 1, MBs);
	stream("poll.L.read64k", 0, 4, 65536, 1, MBs);
	stream("poll.L.read128k", 0, 4, 131072, 1, MBs);
	stream("poll.L.read512k", 0, 4, 524288, 1, MBs);
	stream("poll.L.read1m", 0, 4, 1<<20, 1, MBs);
	stream("poll.L.read4k.qd4", 0, 4, 4096, 4, MBs);
	stream("poll.L.read64k.qd4", 0, 4, 65536, 4, MBs);
	stream("poll.L.read128k.qd4", 0, 4, 131072, 4, MBs);
	stream("poll.L.read1m.qd4", 0, 4, 1<<20, 4, MBs);
	walkto(3, 5, 0);
	t9(0, Tlcreate); p4(5); ps("floorout"); p4(1); p4(0644); p4(0); rpc();
	stream("warmup", 1, 5, 1<<20, 1, MBs);
	stream("poll.L.write4k", 1, 5, 4096, 1, MBs);
	stream("poll.L.write64k", 1, 5, 65536, 1, MBs);
	stream("poll.L.write128k", 1, 5, 131072, 1, MBs);
	stream("poll.L.write1m", 1, 5, 1<<20, 1, MBs);
	clunk(5);
	t9(0, Tunlinkat); p4(3); ps("floorout"); p4(0); rpc();
	walkto(0, 6, "d2000");
	TIME("poll.L.readdir2000", 5, (walkto(6, 7, 0), lopen(7, 0200000), readdir(7, 128 * 1024), clunk(7)));
	clunk(6);
	lsl("poll.L.lsl2000", 1);
	lsl("poll.L.lsl2000.qd4", 4);
	lsl("poll.L.lsl2000.qd16", 16);
}
static void hlt(void)
{
	u32 MBs = 64 << 20;
	session("9P2000.L", MS(1024));
	walkto(0, 1, "one"); walkto(0, 4, "big"); lopen(4, 0);
	halting = 1; avail[0] = 0;
	TIME("hlt.flush_null", 20000, (t9(0, Tflush), p2(0xfff0), rpc()));
	TIME("hlt.L.getattr", 5000, (tgetattr(0, 1), rpc()));
	TIME("hlt.L.stat", 3000, (walkto(0, 2, "one"), tgetattr(0, 2), rpc(), clunk(2)));
	TIME("hlt.L.open_read1_close", 3000, (walkto(0, 2, "one"), lopen(2, 0), tread(0, 2, 0, 1), rpc(), clunk(2)));
	lopen(1, 0);
	TIME("hlt.L.read1", 5000, (tread(0, 1, 0, 1), rpc()));
	stream("hlt.L.read4k", 0, 4, 4096, 1, MBs);
	stream("hlt.L.read64k", 0, 4, 65536, 1, MBs);
	stream("hlt.L.read128k", 0, 4, 131072, 1, MBs);
	stream("hlt.L.read1m", 0, 4, 1<<20, 1, MBs);
	stream("hlt.L.read64k.qd4", 0, 4, 65536, 4, MBs);
	lsl("hlt.L.lsl2000", 1);
	lsl("hlt.L.lsl2000.qd16", 16);
	halting = 0; avail[0] = 1;
}
static void dotu(void)
{
	u32 t, off, n, k;
	session("9P2000.u", MS(1024));
	walkto(0, 1, "one");
	TIME("poll.u.stat_fid", 5000, (t9(0, Tstat), p4(1), rpc()));
	TIME("poll.u.stat", 5000, (walkto(0, 2, "one"), t9(0, Tstat), p4(2), rpc(), clunk(2)));
	TIME("poll.u.open_read1_close", 3000,
		(walkto(0, 2, "one"), t9(0, Topen), p4(2), p1(0), rpc(), tread(0, 2, 0, 1), rpc(), clunk(2)));
	for(int i = 0; i < 4; i++){	/* a directory read gives every stat: ls -l is only this */
		u32 count = i < 2 ? 8192 : 131072;
		t = now();
		walkto(0, 3, "d2000"); t9(0, Topen); p4(3); p1(0); rpc();
		for(off = k = 0;; off += n){
			tread(0, 3, off, count);
			u8 *r = rpcr(count + 11), *e = r + 11;
			if((n = g4(r + 7)) == 0) break;
			while(e < r + 11 + n){ k++; e += g2(e) + 2; }
		}
		clunk(3);
		if(i & 1) result(i == 1 ? "poll.u.lsl2000.8k" : "poll.u.lsl2000.128k", now() - t, k, 0);
	}
}
#ifdef PVHONLY
enum { PVH = 1 };
#else
enum { PVH = 0 };
#endif
void cmain(void)
{
	puts("USERLAND\n");
	if(!PVH){
		REG(0xfed00010) |= 1;
		if(REG(0xfed00004) != 10000000) fail("hpet");
		virtio();
		dotl(); hlt(); dotu();
		puts("FLOOR-END\n");
		outw(0x604, 0x2000);
	}
}
