//! Sequences, conditions, loops, functions, assignments, the status.

use crate::{check, run};

#[test]
fn sequences_and_status() {
    check("echo a; echo b;; echo c", "a\nb\nc\n");
    check("status bad; echo $status; true; args $status", "status 2: bad\n<>\n");
    check("status=foo; echo $status; status=0 && echo zero", "foo\nzero\n");
    check("! true; echo $status; ! status x; args $status", "false\n<>\n");
    check("true && echo yes || echo no; status x && echo yes || echo no", "yes\nno\n");
    check("status x || status y || echo z", "z\n");
    check("true && \n\n echo joined", "joined\n");
    check("! true || echo neg; ! {status x} && echo pos", "neg\npos\n");
    assert_eq!(run("exit").1, "");
    assert_eq!(run("exit foo").1, "foo");
    assert_eq!(run("exit 0").1, "");
    assert_eq!(run("status x").1, "status 2: x");
    assert_eq!(run("status x; exit").1, "status 2: x");
    assert_eq!(run("exit a b"), ("Usage: exit [status]\nExiting anyway\n".into(), "usage".into()));
}

#[test]
fn missing_programs() {
    check("nope; echo $status", "nope: file does not exist\nrc 2: file does not exist\n");
    check("/bin/nope", "/bin/nope: file does not exist\n");
    check("/tmp/a.c", "/tmp/a.c: permission denied\n");
    check("/tmp", "/tmp: cannot exec directory\n");
    check("path=(/tmp /bin); echo found", "found\n");
    check("nope | nope; echo end", "nope: file does not exist\nnope: file does not exist\nend\n");
}

#[test]
fn if_and_if_not() {
    check("if(true) echo yes\nif not echo no", "yes\n");
    check("if(status x) echo yes\nif not echo no", "no\n");
    check("if(~ a b) echo x; if not echo y", "y\n");
    check("if(~ a b) echo 1\nif not if(~ a a) echo 2\nif not echo 3", "2\n");
    check("if(~ a b) echo 1\nif not if(~ a c) echo 2\nif not echo 3", "3\n");
    check("if(~ a a) echo 1\nif not if(~ a a) echo 2\nif not echo 3", "1\n");
    check("if(true){if(~ a b) echo inner}\nif not echo wrong", "");
    check("if(~ a b) echo x\necho $status", "no match\n");
    check("if(~ a b || ~ a a) echo or", "or\n");
    check("if(true)\n\n\techo next line", "next line\n");
    check("if(~ a a) echo x && echo y; if(~ a b) echo x || echo y", "x\ny\n");
    check("if(true; status x) echo yes; if not echo last counts", "last counts\n");
}

#[test]
fn loops() {
    check("for(i in a b c) echo $i", "a\nb\nc\n");
    check("i=old; for(i in new) echo $i; echo $i", "new\nold\n");
    check("fn f {for(x) echo -$x}; f 1 2", "-1\n-2\n");
    check("for(i in ()) echo never; echo $#i", "0\n");
    check("for(i in a b)\n{\necho $i\n}", "a\nb\n");
    check("x=(a b c); while(! ~ $#x 0){echo $#x; x=$x(2-)}", "3\n2\n1\n");
    check("while(~ a b) echo never\necho $status", "no match\n");
    check("x=1; while() {if(~ $x 111) exit done; x=$x^1; echo $x}", "11\n111\n");
    check("for(i in a b){for(j in 1 2) echo $i$j}", "a1\na2\nb1\nb2\n");
}

#[test]
fn switch() {
    let script = "fn f {switch($1){\ncase a b\n\techo ab\ncase [0-9]*\n\techo number; echo two\ncase c;\n\
                  case '*'\n\techo star\ncase *\n\techo other\n}}\n";
    check(&format!("{script}f a; f b; f 42x; f c; f '*'; f zzz"), "ab\nab\nnumber\ntwo\nstar\nother\n");
    check("switch(a b){case a b; echo parts; case 'a b'; echo whole}", "whole\n");
    check("switch x {case y; echo no}; echo $status", "\n");
    check("switch(x)\n{\ncase x\necho yes\n}", "yes\n");
    check("switch(q){case q; echo a | upper; case *; echo b} >/dev/null; echo c", "c\n");
    check("switch(){case ''; echo empty}", "empty\n");
}

#[test]
fn matching() {
    check("~ abc a*c; args $status; ~ abc x y; args $status", "<>\n<no match>\n");
    check("x=(a b); if(~ $#x 2) echo two", "two\n");
    check("~ (a b) 'a b' && echo joined", "joined\n");
    check("~ /a/b /*b && echo slash is nothing special", "slash is nothing special\n");
    check("~ () '' && echo empty; ~ a || echo none", "empty\nnone\n");
    check("p='a*'; ~ abc $p || echo values are not patterns", "values are not patterns\n");
}

#[test]
fn functions() {
    check("fn f {echo $#* $*; echo $1 $2}; f a b; echo $#*", "2 a b\na b\n0\n");
    check("fn f g {echo called}; f; g; fn f; f", "called\ncalled\nf: file does not exist\n");
    check("fn f {fn f {echo new}; echo old}; f; f", "old\nnew\n");
    check("fn echo {builtin echo -$1-}; echo x", "-x-\n");
    check("fn cd {args cd $*}; cd a; builtin cd /tmp; pwd", "<cd><a>\n/tmp\n");
    check("fn r {if(! ~ $#* 0){echo $1; shift; r $*}}; r a b c", "a\nb\nc\n");
    check("fn f {status bad}; f; echo $status", "status 2: bad\n");
    assert_eq!(run("fn f {f}; f").0, "rc: commands nested too deeply\n");
}

#[test]
fn assignments() {
    check("x=1 echo $x; args $x", "1\n\n");
    check("x=1 {echo $x}; args $x", "1\n\n");
    check("x=1 eval 'echo $x'; args $x", "1\n\n");
    check("x=1 getenv x; getenv x", "1,\nunset\n");
    check("x=0; x=1 getenv x; getenv x", "1,\n0,\n");
    check("a=1 b=2; echo $a $b", "1 2\n");
    check("a=1 b=2 {echo $a $b}; args $a $b", "1 2\n\n");
    check("fn f {echo $x; x=inside}; x=dyn f; args $x", "dyn\n\n");
    check("x=1 {y=2; x=3; echo $x}; args $x $y", "3\n<2>\n");
    check("x=a y=`{echo $x}; args $y", "<a>\n");
    check("a=1 echo b | upper", "B\n");
    check("a=x echo 1 && args $a", "1\n\n");
}

#[test]
fn subshells() {
    check("x=1; @{x=2; echo $x}; echo $x", "2\n1\n");
    check("@{cd /tmp; pwd}; pwd", "/tmp\n/\n");
    check("@ cd /tmp && pwd", "/\n");
    check("@{exit bad}; echo $status; echo alive", "rc 2: bad\nalive\n");
    check("@{x=2; getenv x}; getenv x", "2,\nunset\n");
    check("@{status bad}; echo $status", "status 2: bad\n");
    check("{exit whole}; echo never", "");
}

#[test]
fn background() {
    check("true & wait $apid; args $status", "<>\n");
    check("status bad & wait $apid; echo $status", "status 2: bad\n");
    check(
        "status a & x=$apid; status b & wait $apid; echo $status; wait $x; echo $status",
        "status 3: b\nstatus 2: a\n",
    );
    check("cat &; wait; echo end", "end\n");
    check("{echo in background | upper} & wait", "IN BACKGROUND\n");
    check("groups & wait; groups", "[Rfork(NOTEG)]\n[]\n");
    check("wait; echo end", "end\n");
    check("status x & true; wait $apid; echo $status", "status 2: x\n");
}

#[test]
fn pipelines() {
    check("echo a | upper", "A\n");
    check("echo a | upper | cat | cat", "A\n");
    check("status x | true | status y; echo $status", "status 2: x||status 4: y\n");
    check("true | true; args $status; if(true | true) echo ok", "<|>\nok\n");
    check("echo hi | x=5; echo $x", "5\n");
    check("{echo a; echo b} | {cat; echo c}", "a\nb\nc\n");
    check("say 2 err |[2] upper; say 3 three |[3] upper", "ERR\nTHREE\n");
    check("echo a |[1=5] cat /fd/5", "a\n");
    check("echo a |\n\n upper", "A\n");
    check("if(true) echo a | upper; for(i in b) echo $i | upper", "A\nB\n");
    check("echo a | if(true) upper", "A\n");
    check("! echo a | upper; echo $status", "A\nfalse\n");
    check("echo x | @{upper}; fds", "X\n[0, 1, 2]\n");
}

#[test]
fn flag_e() {
    check("flag e +; true; status x; echo never", "");
    check("flag e +; if(status x) echo; status y || true; ! true; echo still", "still\n");
    check("flag e +; while(status x) true; ~ a b; echo never", "");
    check("flag e +; fn f {status x; echo never}; f", "");
    assert_eq!(run("flag e +; status x").1, "status 2: x");
    check("flag e +; status x | true; echo never", "");
}

#[test]
fn flag_x() {
    check("flag x +; echo 'a b' c; x=1; ~ $x 1", "echo 'a b' c\na b c\nexit ''\n");
}
