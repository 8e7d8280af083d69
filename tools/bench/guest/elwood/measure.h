/* What all sets have: printing, the choice of rows, and measuring one. A result is a line
 *	R NAME MEDIAN UNIT LEAST GREATEST REPETITIONS OPERATIONS
 * and every timed region lies between marks. */
/* Printing: to a buffer, one write a line. */
static char line[512], *lp = line;
static void s_(const char *s) { while(*s) *lp++ = *s++; }
static void d_(long n)
{
	char b[24], *p = b + 23;
	*p = 0;
	if(n < 0){ *lp++ = '-'; n = -n; }
	do *--p = '0' + n % 10; while(n /= 10);
	s_(p);
}
static void g_(double v)	/* six significant digits */
{
	int k = 0;
	if(v < 0){ *lp++ = '-'; v = -v; }
	while(v > 0 && v < 99999.5 && k < 12) v *= 10, k++;
	long n = v + 0.5;
	while(k > 0 && n % 10 == 0) n /= 10, k--;
	long p = 1;
	for(int i = 0; i < k; i++) p *= 10;
	d_(n / p);
	if(!k) return;
	*lp++ = '.';
	for(n %= p, p /= 10; p; p /= 10) *lp++ = '0' + n / p % 10;
}
static void nl(void) { *lp++ = '\n'; write(1, line, lp - line); lp = line; }
static void join(char *to, const char *a, const char *b, const char *c, const char *d)
{
	const char *v[] = { a, b, c, d };
	for(int i = 0; i < 4; i++) for(const char *s = v[i]; *s; ) *to++ = *s++;
	*to = 0;
}
static double target = 200e6;	/* ns per repetition */
static int reps = 5, ncpu = 1, broke;
static long fixed;		/* operations in a repetition, however long they take; 0: as many as fit into target */
static const char *only = "", *tag = "host";
static void die(const char *s)
{
	char e[128] = "";
	sc(ERRSTR, e, 128l);
	s_("# FAIL "); s_(s); s_(": "); s_(e); nl();
	broke++;
}
static void skip(const char *s) { s_("# skip "); s_(s); nl(); }
#define tic() ({ u64 t_ = now(); MARK(1); t_; })
#define toc(t) ({ MARK(2); now() - (t); })
#define CK(x, s) do { if((x) < 0){ die(s); return 0; } } while(0)
static int wanted(const char *name)
{
	if(!*only) return 1;
	for(const char *o = only; *o; ){
		u64 n = 0;
		while(o[n] && o[n] != ',') n++;
		if(n) for(const char *s = name; *s; s++) if(!strncmp(s, o, n)) return 1;
		o += n; if(*o) o++;
	}
	return 0;
}
static void report(const char *name, double *v, int n, const char *unit, long ops)
{
	for(int i = 1; i < n; i++)
		for(int j = i; j > 0 && v[j] < v[j-1]; j--){ double x = v[j]; v[j] = v[j-1]; v[j-1] = x; }
	MARK(4);
	s_("R "); s_(name); s_(" "); g_(v[n/2]); s_(" "); s_(unit); s_(" ");
	g_(v[0]); s_(" "); g_(v[n-1]); s_(" "); d_(n); s_(" "); d_(ops); nl();
}
typedef u64 (*loop)(long);	/* run n operations, return ns */
static double scale(const char *unit) { return !strcmp(unit, "us") ? 1e-3 : !strcmp(unit, "ms") ? 1e-6 : 1; }
static void perop(const char *name, const char *unit, loop f, long max)
{
	double v[64];
	long n = 1;
	u64 t;
	if(!wanted(name)) return;
	int b = broke;
	f(1);
	if(fixed){
		n = fixed < max ? fixed : max;
		f(n);
	}else{
		while((t = f(n)) < target / 8 && n < max) n *= 2;
		n = n * target / (t ? t : 1);
	}
	if(broke != b){ skip(name); return; }
	if(n < 1) n = 1;
	if(n > max) n = max;
	MARK(3);
	for(int i = 0; i < reps; i++) v[i] = f(n) * scale(unit) / n;
	if(broke != b){ skip(name); return; }
	report(name, v, reps, unit, n);
}
static char msg[256];
static int await(void)
{
	int n = sc(AWAIT, msg, 255l);
	if(n < 0){ die("await"); return -1; }
	msg[n] = 0;
	return n;
}
static int child(const char *s)	/* wait for a child; 0 if it went well: its record ends in '' */
{
	int n = await();
	if(n >= 2 && msg[n-1] == '\'' && msg[n-2] == '\'') return 0;
	if(n >= 0){ s_("# "); s_(s); s_(" "); s_(msg); nl(); broke++; }
	return -1;
}

