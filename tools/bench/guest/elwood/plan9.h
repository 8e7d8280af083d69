/* Plan 9's system calls on amd64, and the little of a library that programs here need. There is no other library. */
typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned char u8;

/* number in BP, argument i at SP+8+8i, result in AX; AX CX R11 change, nothing else */
__asm__(".globl sc\nsc:\n push %rbp\n mov %rdi,%rbp\n push 16(%rsp)\n push %r9\n push %r8\n push %rcx\n"
	" push %rdx\n push %rsi\n push $0\n syscall\n add $56,%rsp\n pop %rbp\n ret\n"
	".globl _start\n_start: mov %rsp,%rdi\n mov %rax,%rsi\n xor %ebp,%ebp\n and $-16,%rsp\n call start\n ud2\n"
	/* note handler: at entry 8(%rsp) ureg, 16(%rsp) text; go on */
	".globl onnote\nonnote: pushq $0\n pushq $0\n mov $29,%rbp\n syscall\n ud2\n");
extern long sc(long n, ...);
extern void onnote(void);
enum { BIND = 2, CHDIR = 3, CLOSE = 4, ALARM = 6, EXEC = 7, EXITS = 8, OPEN = 14, SLEEP = 17, RFORK = 19,
	PIPE = 21, CREATE = 22, BRK = 24, REMOVE = 25, NOTIFY = 28, SEGATTACH = 30, SEGDETACH = 31, UNMOUNT = 35,
	SEMACQUIRE = 37, SEMRELEASE = 38, ERRSTR = 41, STAT = 42, FSTAT = 43, AWAIT = 47, PREAD = 50, PWRITE = 51,
	NSEC = 53, MOUNTDEV = 54 };
enum { OREAD, OWRITE, ORDWR, OTRUNC = 0x10, OEXCL = 0x1000 };
enum { RFFDG = 4, RFPROC = 0x10, RFMEM = 0x20, RFNOWAIT = 0x40 };

void *memcpy(void *d, const void *s, u64 n) { u8 *a = d; const u8 *b = s; while(n--) *a++ = *b++; return d; }
void *memset(void *d, int c, u64 n)
{
	void *r = d;
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return r;
}
u64 strlen(const char *s) { u64 n = 0; while(s[n]) n++; return n; }
static int strcmp(const char *a, const char *b) { while(*a && *a == *b) a++, b++; return *(u8*)a - *(u8*)b; }
static int strncmp(const char *a, const char *b, u64 n)
{
	while(n && *a && *a == *b) a++, b++, n--;
	return n ? *(u8*)a - *(u8*)b : 0;
}

#define exits(s) sc(EXITS, s)
#define open(n, m) (int)sc(OPEN, n, (long)(m))
#define close(fd) (int)sc(CLOSE, (long)(fd))
#define pread(fd, b, n, o) (int)sc(PREAD, (long)(fd), b, (long)(n), (long)(o))
#define pwrite(fd, b, n, o) (int)sc(PWRITE, (long)(fd), b, (long)(n), (long)(o))
#define read(fd, b, n) pread(fd, b, n, -1)
#define write(fd, b, n) pwrite(fd, b, n, -1)
#define rfork(f) (int)sc(RFORK, (long)(f))
#define now() ((u64)sc(NSEC))

