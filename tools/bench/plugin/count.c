/* count: a plugin of QEMU's translator that counts the guest's instructions between marks (../guest/marks.h), on one
 * processor. Each time the guest has them written out, one line goes to the file of out=PATH: "KERNEL USER" for each
 * region in order, with blanks between them; KERNEL are instructions in the upper half of the addresses. With
 * profile=1 comes behind it "@ ADDRESS INSTRUCTIONS TIMES" for each translated block that ran in a region, and
 * "! KIND COUNT" for each kind of instruction that the translator makes dear.
 * A block counts when it is entered, so a fault inside one counts a few too many.
 * API is the version of the plugin interface to be built for. The declarations are those that this file needs: of all
 * versions since 1, but for qemu_plugin_insn_data, which has copied since 3. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { NO_REGS = 0 };
typedef void (*translated)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*executed)(unsigned int, void *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed, int, void *);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, executed, int, void *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
#if API >= 3
extern size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
#else
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
#endif
EXPORT int qemu_plugin_version = API;

enum { LOCK, FLAGS, PUSHF, WRMSR, RDMSR, HLT, IRET, SYSCALL, SYSRET, SWAPGS, CR2, CR3, INVLPG, RDTSC, PORT, FXSAVE,
	FXRSTOR, XSAVE, REP, DIV, XCHG, SEGMENT, BLOCK, NKIND };
static const char *names[NKIND] = { "lock", "cli/sti", "pushf/popf", "wrmsr", "rdmsr", "hlt", "iret", "syscall",
	"sysret", "swapgs", "cr2", "cr3", "invlpg", "rdtsc", "in/out", "fxsave", "fxrstor", "xsave", "rep", "div", "xchg",
	"segment load", "block" };

/* A translated block. None is ever freed: QEMU may run one that it has translated again elsewhere. */
struct block {
	uint64_t addr, count;
	uint32_t n;
	uint8_t kinds[NKIND];
	struct block *next;
};
enum { MOST = 1 << 16 };
static struct block *all;
static uint64_t total[2], begun[2], regions[MOST][2];
static int nregion, in, profile;
static FILE *out;

static void ran(unsigned int cpu, void *p)
{
	struct block *b = p;
	if(!in) return;
	total[b->addr >> 63] += b->n;
	b->count++;
}
static void forget(void)
{
	nregion = in = 0;
	for(struct block *b = all; b; b = b->next) b->count = 0;
}
static void write_out(void)
{
	uint64_t kinds[NKIND] = { 0 };
	for(int i = 0; i < nregion; i++) fprintf(out, "%lu %lu ", regions[i][1], regions[i][0]);
	fputc('\n', out);
	if(profile){
		for(struct block *b = all; b; b = b->next) if(b->count){
			fprintf(out, "@ %lx %lu %lu\n", b->addr, b->count * b->n, b->count);
			for(int i = 0; i < NKIND; i++) kinds[i] += b->kinds[i] * b->count;
		}
		for(int i = 0; i < NKIND; i++) fprintf(out, "! %lu %s\n", kinds[i], names[i]);
	}
	fflush(out);
}
static void marked(unsigned int cpu, void *arg)
{
	switch((int)(long)arg){
	case 1: begun[0] = total[0]; begun[1] = total[1]; in = 1; break;
	case 2:
		if(in && nregion < MOST){
			for(int i = 0; i < 2; i++) regions[nregion][i] = total[i] - begun[i];
			nregion++;
		}
		in = 0;
		break;
	case 3: forget(); break;
	case 4: write_out(); forget(); break;
	}
}
static int kind_of_0f(const uint8_t *b)
{
	int reg = b[2] >> 3 & 7, memory = (b[2] & 0xc0) != 0xc0;
	switch(b[1]){
	case 0x30: return WRMSR;
	case 0x32: return RDMSR;
	case 0x05: return SYSCALL;
	case 0x07: return SYSRET;
	case 0x31: return RDTSC;
	case 0x01: return b[2] == 0xf8 ? SWAPGS : memory && reg == 7 ? INVLPG : -1;
	case 0x20: case 0x22: return reg == 3 ? CR3 : reg == 2 ? CR2 : -1;
	case 0xae: return !memory ? -1 : reg == 0 ? FXSAVE : reg == 1 ? FXRSTOR : reg >= 4 ? XSAVE : -1;
	}
	return -1;
}
/* The kind of an instruction; b has 16 bytes, those behind the instruction's own are zero. */
static int kind(const uint8_t *b)
{
	while(*b == 0x66 || *b == 0x2e || *b == 0x65 || *b == 0x64) b++;
	if(*b == 0xf0) return LOCK;
	if(*b == 0xf3 || *b == 0xf2){
		int op = (b[1] & 0xf0) == 0x40 ? b[2] : b[1];
		if((op & 0xfe) == 0xa4 || (op & 0xfe) == 0xaa) return REP;
	}
	if((*b & 0xf0) == 0x40) b++;
	switch(*b){
	case 0xfa: case 0xfb: return FLAGS;
	case 0x9c: case 0x9d: return PUSHF;
	case 0xf4: return HLT;
	case 0xcf: return IRET;
	case 0xe4: case 0xe5: case 0xe6: case 0xe7: case 0xec: case 0xed: case 0xee: case 0xef: return PORT;
	case 0xf7: return (b[1] >> 3 & 7) >= 6 ? DIV : -1;
	case 0x86: case 0x87: return (b[1] & 0xc0) != 0xc0 ? XCHG : -1;
	case 0x8e: return SEGMENT;
	case 0x0f: return kind_of_0f(b);
	}
	return -1;
}
static void trans(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	struct block *b = calloc(1, sizeof *b);
	if(!b) abort();
	b->addr = qemu_plugin_tb_vaddr(tb);
	b->n = qemu_plugin_tb_n_insns(tb);
	b->next = all;
	all = b;
	b->kinds[BLOCK] = 1;
	for(size_t i = 0; i < b->n; i++){
		struct qemu_plugin_insn *x = qemu_plugin_tb_get_insn(tb, i);
		uint8_t bytes[32] = { 0 };
		size_t n = qemu_plugin_insn_size(x);
		if(n > 15) n = 15;
#if API >= 3
		qemu_plugin_insn_data(x, bytes, n);
#else
		memcpy(bytes, qemu_plugin_insn_data(x), n);
#endif
		int k = kind(bytes);
		if(k >= 0) b->kinds[k]++;
		if(n == 7 && !memcmp(bytes, "\x0f\x1f\x80", 3) && !memcmp(bytes + 4, "AMP", 3) && bytes[3] >= 1 && bytes[3] <= 4)
			qemu_plugin_register_vcpu_insn_exec_cb(x, marked, NO_REGS, (void*)(long)bytes[3]);
	}
	qemu_plugin_register_vcpu_tb_exec_cb(tb, ran, NO_REGS, b);
}
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	for(int i = 0; i < argc; i++){
		if(!strncmp(argv[i], "out=", 4) && !(out = fopen(argv[i] + 4, "w"))) return -1;
		if(!strcmp(argv[i], "profile=1")) profile = 1;
	}
	if(!out) return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, trans);
	return 0;
}
