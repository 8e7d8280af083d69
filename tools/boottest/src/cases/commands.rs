//! The commands of a day's work, each on files of the guest.

use super::q35;
use crate::case::{Case, PROMPT, re};

pub fn cases() -> Vec<Case> {
    vec![
        // One program under many names: each of them is there, and none is without a page.
        Case::new("commands/names", q35())
            .line("cd /bin; m=/sys/man; no=(aux broke termrc ip ndb service service.auth); \
                   for(f in *) if(! ~ $f $no && ! ~ 1 `{ls $m/[148]/$f | wc -l}) echo $f")
            .is("")
            // Those are folders of commands.
            .line("for(f in aux/* ip/* ndb/*){ n=`{basename $f}; if(! test -f $m/8/$n) echo $f }; ls -d aux ip ndb")
            .is("aux\nip\nndb\n")
            .line("cp /bin/seq /tmp/other; /tmp/other seq 2; /tmp/other; echo $status")
            .gives(re("^1\n2\nother: there is no command of this name\nother [0-9]+: .*\n$"))
            .line("cd /tmp; echo '#!/bin/sed -f' >sort; echo s/a/b/ >>sort; chmod +x sort; echo a | ./sort; echo c >q")
            .is("b\n")
            .line("bind /bin/cat /tmp/sort; ./sort q; /tmp/sort ./q; unmount /tmp/sort")
            .is("c\nc\n")
            // It is in memory once, whatever it is called; the other images are rc and the copy that was run.
            .line("date >/dev/null; pwd >/dev/null; ls /tmp/q; grep ' image$' /dev/pools")
            .gives(re("^/tmp/q\n *3 image\n$"))
            // What a file is its own name says, not the one that it is bound over or called by.
            .line("bind /bin/echo /bin/cat; cat q; cat nothing; unmount /bin/cat; cat q")
            .is("q\nnothing\nc\n")
            .line("bind /bin/echo /bin/rm; rm q; unmount /bin/rm; cat q")
            .is("q\nc\n")
            .line("mkdir x; cp /bin/echo x/echo; bind x/echo /bin/sort; sort q; unmount /bin/sort")
            .is("q\n")
            .line("/bin/basename /a/b.c .c; time basename x >[2=]; none basename y")
            .is("b\nx\ny\n"),
        // What is typed behind the last line that is wanted is the shell's; so it is when a page goes into a pipe.
        Case::new("commands/wanted-lines", q35())
            .line("echo none")
            .types("sed 1q\n")
            .types("one\n")
            .sees("one\none\n")
            .sees(PROMPT)
            .line("echo two | sed 1q; man ls | sed 1q; man ls | p | sed 1q")
            .is("two\nLS(1)\nLS(1)\n")
            // An end behind an unfinished line is the input's, not only the line's.
            .types("grep foo\n")
            .types("1foo\x04\x04")
            .sees("1foo1foo\n")
            .sees(PROMPT)
            .line("echo three")
            .is("three\n"),
        Case::new("commands/lines", q35())
            .line("cd /tmp; seq 3 >a; {echo 2; echo 2; echo 4} >b; comm a b; comm -12 a b")
            .is("1\n\t\t2\n\t2\n3\n\t4\n2\n")
            .line("uniq -c b; uniq -u b; uniq -d <b")
            .is("   2 2\n   1 4\n4\n2\n")
            .line("{echo 2 two; echo 3 three} | join a -; join -a 1 -o 1.1,2.1 a b")
            .is("2 two\n3 three\n1 \n2 2\n2 2\n3 \n")
            .line("comm a nothing; echo $status; uniq -x; echo $status")
            .gives(re("^comm: can't open nothing: .*does not exist\ncomm [0-9]+: .*\n\
                       usage: uniq .*\nuniq [0-9]+: usage\n$")),
        Case::new("commands/texts", q35())
            .line("echo Hello κόσμε | tr a-zό- A-ZΌ_; echo a b  c | tr -cs a-z '\\012'; tr -q; echo $status")
            .gives(re("^HELLO κΌσμε\na\nb\nc\nusage: tr .*\ntr [0-9]+: usage\n$"))
            .line("cd /tmp; seq 2500 >s; split s; wc -l x??; split -e '^([0-9])(499)$' -x -f y s; wc -l 1 2 yaa")
            .gives(re("^ *1000 xaa\n *1000 xab\n *500 xac\n *2500 total\n \
                       *999 1\n *1 2\n *1498 yaa\n *2498 total\n$"))
            .line("strings -m 20 /bin/cal | grep : >/dev/null && echo there; echo -n abcdef | strings")
            .is("there\n       0: abcdef\n")
            .line("seq -w 8 10; seq -f 'x%g.' 1 .5 2; basename -d /a/b/c; cleanname -d /x ../a//b/. /y")
            .is("08\n09\n10\nx1.\nx1.5.\nx2.\n/a/b\n/a/b\n/y\n"),
        Case::new("commands/time", q35())
            .line("cal sep 1752; cal 2026 | sed -n 33p")
            .is("   September 1752\n S  M Tu  W Th  F  S\n       1  2 14 15 16\n17 18 19 20 21 22 23\n\
                 24 25 26 27 28 29 30\n\n\n\n\
                 \x204  5  6  7  8  9 10    8  9 10 11 12 13 14    6  7  8  9 10 11 12\n")
            .line("touch -t 86400 /tmp/t; mtime /tmp/t; cal 13 2026 13; cal 0; echo $status")
            .gives(re("^ *86400 /tmp/t\nusage: cal .*\ncal: bad year\ncal [0-9]+: bad year\n$")),
        Case::new("commands/diff", q35())
            .line("cd /tmp; seq 5 >a; sed 's/3/three/; 5d' a >b; diff a b; echo $status; diff a a; echo $status")
            .gives(re("^3c3\n< 3\n---\n> three\n5d4\n< 5\ndiff [0-9]+: some\n\n$"))
            .line("diff -u a b; diff -e a b")
            .is("--- a\n+++ b\n@@ -1,5 +1,4 @@\n 1\n 2\n-3\n+three\n 4\n-5\n5d\n3c\nthree\n.\n")
            .line("mkdir d e d/s e/s; cp a d; cp b e/a; echo x >d/x; echo y >e/s/y; diff -r d e; echo $status")
            .gives(re("^diff d/a e/a\n3c3\n< 3\n---\n> three\n5d4\n< 5\nOnly in e/s: y\n\
                       Only in d: x\ndiff [0-9]+: some\n$"))
            .line("diff a d; diff d/a b | sed 1q; diff a nothing; echo $status; diff /bin/cal /bin/rc")
            .gives(re("^3c3\ndiff: can't stat nothing: .*\ndiff [0-9]+: error\n\
                       binary files /bin/cal /bin/rc differ\n$")),
        Case::new("commands/ed", q35())
            .line("cd /tmp; seq 5 >t; {echo ',s/[24]/<&>/'; echo 'g/</m0'; echo w; echo q} | ed t; cat t")
            .is("10\n14\n<4>\n<2>\n1\n3\n5\n")
            .types("ed /tmp/new\n")
            .sees("?/tmp/new\n")
            .types("a\none\ntwo\n.\n,n\n")
            .sees("1\tone\n2\ttwo\n")
            .types("$a\n")
            // Only what is being done ends: the lines that were typed stay.
            .types("\x03")
            .sees("?\n")
            .types(",n\n")
            .sees("1\tone\n2\ttwo\n")
            .types("!echo asleep; sleep 100\n")
            .sees("asleep\n")
            .types("\x03")
            .sees("!\n")
            .types("!echo alive\n")
            .sees("alive\n!\n")
            .types("q\n")
            .sees("?\n")
            .types("w\nq\n")
            .sees("8\n")
            .sees(PROMPT)
            // A hangup leaves the text where it is found.
            .line("{echo a; echo kept; echo .; echo '!echo read >begun'; sleep 99} | ed & while(! test -s begun) {}; \
                   ps | sed -n 's/^[^ ]+ +([0-9]+) .* ed$/\\1/p' >pid")
            .line("echo hangup >/proc/`{cat pid}^/note; while(! test -s ed.hup) {}; cat ed.hup")
            .gives("kept\n"),
        // As Plan 9's own, of which these were seen.
        Case::new("commands/originals", q35())
            .line("cd /tmp; seq 3 >a; {echo '/x/'; echo 1,2d; echo w} >s; ed - a <s; cat a; echo y | sed 's/x*/-/g'")
            .is("?\n1\n2\n3\n-y\n")
            .line("echo κ | sed -n l; seq 4 >b; cmp -l a b; echo 1 >c; echo 4 >d; cmp -l c d; \
                   echo See it. There. | fmt")
            .is("\\x03ba\nEOF on a after 6 bytes\n     1 0x31 0x34\nSee it.  There.\n")
            .line("{echo 'x=3'; echo 'x++'; echo 'x+=1'; echo '1/3'} | hoc; {echo 1/0; echo 2} >h; hoc h; hoc <h")
            .gives(re("^3\n0.333333333333\nhoc: division by zero in h near line 1\nhoc: division .* near line 1\n$")),
        Case::new("commands/archives", q35())
            .line("cd /tmp; mkdir d; cp /bin/rc d/program; seq 3 >d/text; touch -t 7 d/text; tar cf a.tgz d")
            .line("gunzip -t a.tgz")
            .is("a.tgz\n")
            .line("mkdir x; cd x; tar xTvf ../a.tgz; cmp d/program /bin/rc; cat d/text; mtime d/text; \
                   tar tf ../a.tgz d/text")
            .is("d/\nd/program\nd/text\n1\n2\n3\n          7 d/text\nd/text\n")
            .line("cd /tmp; tar c d | tar tv | sed -n 's/ +/ /g; 3p'; tar cf b d; tar rf b x; tar tf b | tail -1")
            .gives(re("^--rw-rw-rw- glenda glenda 6 .* d/text\nx/d/text\n$"))
            .line("gzip -9 d/program; gunzip -c program.gz >y; cmp y /bin/rc; \
                   dd -if program.gz -of cut -count 9 >[2=]; gunzip <cut")
            .gives("gunzip: unexpected end of file\n")
            .line("gunzip text; echo $status; tar tf /bin/rc; tar xf nothing; tar q")
            .gives(re("^gunzip: text: .*\ngunzip [0-9]+: errors\ntar: bad archive .*\n\
                       tar: can't open nothing.*\nusage: tar")),
        // What is there stays until there is something better, and nothing is passed over in silence.
        Case::new("commands/broken-archives", q35())
            .line("cd /tmp; echo new >n; gzip -n n; dd -if n.gz -of g.gz -bs 15 -count 1 >[2=]; echo old >g")
            .line("gunzip g.gz; echo $status; cat g; ls g*; cp n.gz g.gz; gunzip g.gz; cat g; ls g*")
            .gives(re("^gunzip: g.gz: unexpected end of file\ngunzip [0-9]+: errors\nold\ng\ng.gz\n\
                       new\ng\ng.gz\n$"))
            .line("{cat n.gz; echo rubbish} >h.gz; gunzip h.gz; echo $status; cat h; cat n.gz n.gz g.gz | gunzip")
            .gives(re("^gunzip: h.gz: not a gzip file; .*ignored\ngunzip [0-9]+: errors\nnew\nnew\nnew\nnew\n$"))
            .line("mkdir s o; echo a >s/a; tar cf t /tmp/s/a; cd o; tar xf ../t; cat tmp/s/a; rm /tmp/s/a")
            .is("a\n")
            .line("tar xRf ../t; cat /tmp/s/a; cd ..")
            .is("a\n")
            .line("dd -if t -of u -count 1 >[2=]; tar tf u; echo $status; dd -if t -of u -count 2 >[2=]; tar tf u")
            .gives(re("^/tmp/s/a\ntar: /tmp/s/a: unexpected end of archive\ntar [0-9]+: .*\n\
                       /tmp/s/a\ntar: unexpected end of archive\n$"))
            .line("tar tf t no /tmp; echo $status; tar cf u no n; echo $status; tar tf u")
            .gives(re("^/tmp/s/a\ntar: no: it is not in the archive\ntar [0-9]+: errors\n\
                       tar: no: .*does not exist\ntar [0-9]+: errors\nn\n$"))
            .line("cd s; tar cf b a b >[2=]; echo x >b2; tar rf b b2; tar tf b; echo y >c; tar cf d c; mv d c")
            .is("a\nb2\n")
            // Without a descriptor for messages they go nowhere, and not into the file that is written.
            .line("sed 'w w' no a >[2=] >[1=]; cat w; tar cf e no a >[2=]; tar tf e; \
                   echo x | tee f no/f >[1=2] >[2=]; cat f")
            .is("a\na\nx\nx\n")
            .line("tar xf c; echo $status; tar tf c")
            .gives(re("^tar: c: it is the archive, and is kept\ntar [0-9]+: errors\nc\n$")),
        // What would be lost is refused, or stays until it need not.
        Case::new("commands/care", q35())
            .line("cd /tmp; mkdir d e f; echo 1 >a; echo 2 >b; mv a b; cat b; ls; echo 4 >x; echo 5 >e/a; echo 6 >d/a")
            .is("1\nb\nd\ne\nf\n")
            .line("cp e/a d/a f; echo $status; cat f/a; mv e/a d/a f; cat f/a d/a")
            .gives(re("^cp: d/a would .*\ncp [0-9]+: errors\n5\nmv: d/a would .*\n5\n6\n$"))
            .line("dd -if x -of x -conv ucase; cat x; echo abc >x; dd -if x -of x -conv ucase -trunc 0 >[2=]; cat x; \
                   dd -if /dev/null -skip 99999999999 -quiet 1")
            .is("dd: x is the input, and would be cut before it is read\n4\nABC\n")
            .line("echo '=one' >s; echo a >>s; echo '=two' >>s; echo '=one' >>s; split -e '=(.*)' s; echo $status; \
                   cat one two")
            .gives(re("^split: .*: one\nsplit [0-9]+: .*\n=one\na\n=two\n$"))
            .line("mv x xaa; split -n 1 xaa; cat xaa; sed 'w xaa' one xaa; cat xaa")
            .is("split: xaa is what is split\nABC\nsed: xaa would be cut before it is read\nABC\n")
            .line("mkdir l k; echo 2 >l/g; touch -t 9 l/g; dircp l k; mtime k/g; dircp no k >[2=]; ls k; \
                   rm -r l k; dircp")
            .gives(re("^ *9 k/g\nk/g\nusage: dircp .*\n$"))
            // A directory below itself is walked through once.
            .line("mkdir l l/x l/y; echo 1 >l/f; bind l l/x; du -a l | sort; tar cf o l; tar tf o; rm -r l; \
                   unmount l/x; ls l")
            .gives(re("^0\tl/y\n1\tl\n1\tl/f\ntar: l/x: it is .*\nl/\nl/f\nl/x/\nl/y/\n\
                       rm: l/x: it is .*\nrm: l: .*\nl/x\n$"))
            // Nobody counts for ever where nothing can be written.
            .line("seq 1e15 >[1=]; echo $status; xd /dev/zero >[1=]; tr a b </dev/zero >[1=]; seq 1e15 | sed 1q")
            .gives(re("^seq: write error: .*\nseq [0-9]+: .*\nxd: write .*\ntr: write .*\n1\n$"))
            .line("grep -f /dev/null one; strings -m 1 no one; echo $status; fmt one no two; \
                   freq -x no two; sum no two")
            .gives(re("^grep: there is no pattern.*\nstrings: can't open no: .*\none:\n *0: =one\n *5: a\n\
                       strings [0-9]+: errors\n=one a\nfmt: can't open no: .*\n\n=two\n\
                       freq: can't open no: .*\n0a *1\n3d *1\n6f *1\n74 *1\n77 *1\n\
                       sum: can't open no: .*\n[0-9a-f]+ *5 two\n$"))
            .line("date -u -f 'WWW Do MMMM YYYY[,] Hh' 0; echo ab >a; echo abc >>a; uniq -s a; du -sep '' a; \
                   seq 300000 | tail -2; dd -if /dev/zero -bs 1024k -count 1 -quiet 1 | tail -3c | xd -b")
            .is("Thursday 1st January 1970, 00\nab\n1024\ta\n299999\n300000\n0000000  00 00 00\n0000003 \n")
            .line("cal -s 1 feb 2027 | sed 2q; cal -s 8; echo $status")
            .gives(re("^   February 2027\n M Tu  W Th  F  S  S\nusage: cal .*\ncal [0-9]+: usage\n$"))
            .line("sleep 99 & while(! ps | grep -s ' sleep$') {}; kill sleep | sed 's/[0-9]+/N/'; \
                   kill sleep | rc; none kill sleep; echo $status")
            .gives(re("^echo kill>/proc/N/note # sleep\nkill: no process sleep of none\nkill .*: no process\n$")),
        // A deep tree is gone into, and come out of again, also where a directory above is bound far below.
        Case::new("commands/deep", q35())
            .line("cd /tmp; mkdir r q; cd r; for(i in `{seq 120}) { mkdir d; echo $i >f; if(~ $i 90) p=`{pwd}; cd d }; \
                   cd /tmp; touch -t 9 r; bind r $p; rm -rf r; ls r; unmount $p; rm -r r q; ls -d r q")
            .gives(re("^r/d\nls: r: .*\nls: q: .*\n$")),
        // Nothing that is wrong is taken in silence.
        Case::new("commands/wrong", q35())
            .line("pci zz; pci -q; pci -b 0000/0001; echo $status; pwd x; ps zz; rm; rm -f; gzip -99; sort -t ab")
            .gives(re("^(usage: pci .*\n){2}pci: no device 0000/0001\npci [0-9]+: no device\nusage: pwd\n\
                       usage: ps .*\nusage: rm .*\nusage: gzip .*\nusage: sort .*\n$"))
            .line("tr a; tr -d a b; tr -ds a; tr z-a b; chgrp sys; strings -m 99999999; pr -l0; pr +0; pr -n4z; \
                   fmt -l 5 -i 5; seq -f %9999g 1; sleep -x; unmount /none; con -x a; ping -q")
            .gives(re("^(usage: tr .*\n){3}tr: invalid range specification\nusage: chgrp .*\nusage: strings .*\n\
                       (usage: pr .*\n\t?.*\n?)+fmt: lines are .*\nseq: too wide a format\nusage: sleep .*\n\
                       unmount: /none: .*does not exist\nusage: con .*\nping: .*\n$"))
            .line("touch -t 4294967296 /tmp/a; touch -t -1 /tmp/a; fsrules -x bogus /tmp; test -f; chmod +q /tmp; \
                   date x; ns x; rm /tmp/a")
            .gives(re("^(touch: .*: files have times from 1970 .*\n){2}fsrules: there is no rule bogus\n\
                       test: argument expected\nchmod: bad mode \\+q\ndate: bad number x\nns: bad process id x\n\
                       rm: /tmp/a: .*does not exist\n$"))
            .line("flag Q; wait 999; echo $status; ''; echo $status; shift 5; echo on")
            .gives(re("^Usage: flag .*\nrc: wait: 999 is no child to be waited for\nno child\n'': .*\n\
                       rc [0-9]+: .*\non\n$"))
            // A command that cannot have so many arguments is not run, and the shell goes on.
            .line("x=`{seq -f %0400g 20600}; echo $x >/dev/null; echo $status; echo $#x; x=()")
            .gives("echo: argument list too long: 8425429 bytes with their pointers, 8388608 at most\n\
                    argument list too long\n20600\n"),
        // What does not fit ends the command line, and neither the shell nor what fits.
        Case::new("commands/much-in-little", q35().memory_mib(20))
            .append("cache=zzz")
            .sees("init: cache=zzz: no mount=zzz:/where")
            .line("x=`{seq 10000}; echo $#x; x=`{seq 300000}; echo no; echo $#x")
            .gives(re("^10000\nrc: .* take [0-9]+ bytes of memory, and [0-9]+ are free\n$"))
            .line("echo $status $#x; y=$x; z=$x^$y; x=($x $x); x=($x $x); x=($x $x); x=($x $x); echo no")
            .gives(re("^error 10000\nrc: list too long: .* are free\n$"))
            .line("x=(); y=(); z=(); seq 100000 | sort -rn | sed 1q; seq 60000 | gzip | gunzip | tail -1")
            .is("100000\n60000\n"),
        Case::new("commands/read", q35())
            .line("cd /tmp; seq 3 >a; echo -n κό >b; {read; read; cat} <a; read -n 2 a a; read -m a; echo $status")
            .gives(re("^1\n2\n3\n1\n2\n1\n2\n1\n2\n3\nread [0-9]+: eof\n$"))
            .line("read -r 1 b; echo; read -c 1 b | xd -b | sed 1q; read b; echo ' '^$status; read no; read -c; \
                   read -n 0 a")
            .gives(re("^κ\n0000000 +ce\nκό \nread: can't open no: .*\n(usage: read .*\n){2}$"))
            .line("@{while(line=`{read}) echo got $line} <a")
            .is("got 1\ngot 2\ngot 3\n")
            // What is killed is gone when its parent has waited for it, and no sooner.
            .line("sleep 99 & while(! slay sleep >/dev/null >[2=1]){}; slay sleep | sed 's/[0-9]+/N/'; \
                   slay sleep | rc; wait; slay sleep; broke; broke a b")
            .is("echo kill>/proc/N/ctl # sleep\nslay: no process sleep of glenda\nusage: broke [user]\n")
            .line("echo abc | sha1sum -2 256; sha1sum -2 1 a; ndb/csquery -s /net/cs tcp!localhost!http; echo $status; \
                   ndb/csquery -s /net/cs tcp!no!http; echo $status")
            .gives(re("^edeaaff3f1774ad2888673770c6d64097e391bc362d7d6fb34982ddf0efd18cb\nusage: sha1sum .*\n\n\
                       .*no answer\n$")),
        Case::new("commands/formats", q35())
            .line("echo some words that are put on lines of their own | fmt -l 20 -i 2")
            .gives("  some words that\n  are put on lines\n  of their own\n")
            .line("seq 6 | pr -3 -t -w30 -l2; echo x | pr -h head | sed -n 3p; pr -q; echo $status; \
                   pr no; echo $status")
            .gives(re("^1         3         5\n2         4         6\n[A-Z].. [ 0-9]. ..:.. 20..  head Page 1\n\
                       usage: pr .*\n\
                       pr [0-9]+: usage\npr: can't read no.*\npr [0-9]+: errors\n$"))
            .line("cd /tmp; seq 10 99 >s; look 4 s | fmt; look x s; echo $status; look x; echo $status")
            .gives(re("^40 41 42 43 44 45 46 47 48 49\nlook [0-9]+: not found\nlook: can't open .*\n\
                       look [0-9]+: no dictionary\n$")),
        Case::new("commands/hoc", q35())
            .line("hoc -e '2^0.5' -e 'print _, \"\\n\"'; {echo x = 3; echo 'x*2'; echo 1/0} | hoc; echo $status")
            .gives(re("^1.41421356237\n1.41421356237 \n6\nhoc: division by zero near line 3\n\
                       .hoc [0-9]+: error\n$"))
            .line("{echo 'func f(n) return f(n)'; echo 'f(1)'; echo 2} | hoc")
            .gives("hoc: call nested too deeply near line 2\n2\n")
            .types("hoc\n")
            .types("sin(0)+1.25\n")
            .sees("\n1.25\n")
            .types("\x04")
            .sees(PROMPT),
        Case::new("commands/awk", q35())
            .line("cd /tmp; seq 9 | awk '{ s += $1; print $1 ^ 2 } END { print s, s / NR }' | tail -3; \
                   ls -l /adm | awk '{ n[$1]++ } END { for(m in n) t += n[m]; print t == NR }'")
            .is("64\n81\n45 5\n1\n")
            .line("{echo c x; echo a π; echo b z} >t; \
                   awk '{ print $1 | \"sort\" } END { print close(\"sort\"), length($2) }' t")
            .is("a\nb\nc\n0 1\n")
            .line("awk -F π -v 'v=a\\tb' 'NF > 1 { print $2 v; print FILENAME > \"o\" } \
                   END { close(\"o\"); getline < \"o\"; print }' t")
            .is("a\tb\nt\n")
            .line("awk 'BEGIN { \"echo one; echo two\" | getline; getline x <\"t\"; print $0, x, system(\"exit 3\"); \
                   printf \"%5.2f|%-4s|%c%x\\n\", atan2(0, -1), \"a\", 960, 255; exit 4 }'; echo $status")
            .gives(re("^one c x 3\n 3.14|a   |πff\n.*awk [0-9]+: 4\n$"))
            .line("seq 1e9 | awk '{ print; if(NR == 2) exit }'; awk 'BEGIN { while(1) print }' | sed 1q; \
                   awk 'function f(n) { return f(n + 1) } BEGIN { f(1) }'; awk 'BEGIN { print 1 / 0 }'; awk '{'")
            .is("1\n2\n\nawk: function f is called too deeply at source line 1\n\
                 awk: division by zero at source line 1\n\
                 awk: syntax error: unexpected end of program at source line 1\n")
            .line("echo 'BEGIN { print ENVIRON[\"user\"], ARGC, ARGV[1] }' >p; awk -f p x; \
                   awk -safe 'BEGIN { print >\"no\" }'; awk -safe 'BEGIN { system(\"echo no\") }'; awk 1 nothing")
            .gives(re("^glenda 2 x\nawk: can't redirect to no: not allowed with -safe .*\n\
                       awk: system: not allowed with -safe .*\n\
                       awk: can't open file nothing: .*does not exist at source line 0\n$"))
            // As the first word of a file.
            .line("echo '#!/bin/awk -f' >s; echo '{ print NR, $0 }' >>s; chmod +x s; ./s t | sed 1q")
            .is("1 c x\n"),
        Case::new("commands/options", q35())
            .line("cd /tmp; dd -if /dev/zero -of z -bs 48 -count 1 >[2=]; xd -r z; xd z | wc -l; echo abcd | xd -1x -s")
            .is("0000000  00000000 00000000 00000000 00000000\n*\n0000030 \n      4\n\
                 0000000  64 63 62 61 0a\n0000005 \n")
            .line("date -u -i 86400; date -ut 86400; date -um 86400; timezone='X 7200 X 7200' date -t 0")
            .is("1970-01-02\n1970-01-02T00:00:00+00:00\nFri, 2 Jan 1970 00:00:00 +0000\n1970-01-01T02:00:00+02:00\n")
            .line("echo 'a.*b' >t.c; echo axb >>t.c; grep '*.*' t.c; g a; echo x | sed -l s/x/y/; sort -T /tmp t.c")
            .is("a.*b\nt.c:1: a.*b\nt.c:2: axb\ny\na.*b\naxb\n")
            .line("mkdir d; cd d; touch a bb ccc; lc; ls | mc -5; psu | sed -n '/ psu$/s/ .*//p' | uniq; psu none")
            .is("a   bb  ccc\na\nbb\nccc\nglenda\n"),
    ]
}
