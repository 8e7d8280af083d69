//! Redirections and here documents.

use crate::fake::Fake;
use crate::{check, put, rc_in, run, world};

#[test]
fn files() {
    check("echo a >/tmp/f; echo b >>/tmp/f; cat </tmp/f", "a\nb\n");
    check("echo a >>/tmp/new; cat /tmp/new", "a\n");
    check(">/tmp/e; cat /tmp/e; echo $status", "\n");
    check("echo longer >/tmp/f; echo x >/tmp/f; cat /tmp/f", "x\n");
    check("echo abc >/tmp/f; echo X <>[1]/tmp/f; cat /tmp/f", "X\nc\n");
    check(">/tmp/f echo front; </tmp/f cat", "front\n");
    check("{echo a; echo b} >/tmp/f; upper </tmp/f", "A\nB\n");
    check("for(i in a b) echo $i >/tmp/f; cat /tmp/f", "b\n");
    check("if(true){echo x} >/tmp/f; cat /tmp/f", "x\n");
    check("fn f {echo in}; f >/tmp/f; cat /tmp/f", "in\n");
    check("x=/tmp/f; echo a >$x^1; cat /tmp/f1", "a\n");
}

#[test]
fn descriptors() {
    check("say 2 x >[2=1] | upper", "X\n");
    check("say 2 x >[2]/tmp/f; cat /tmp/f", "x\n");
    check("{say 2 e; say 1 o} >[2]/tmp/e >[1]/tmp/o; cat /tmp/e; echo -; cat /tmp/o", "e\n-\no\n");
    // Order counts: 2 becomes what 1 is at that point.
    check("{say 2 e; say 1 o} >/tmp/f >[2=1]; cat /tmp/f", "e\no\n");
    check("{say 2 e; say 1 o} >[2=1] >/tmp/f | upper; cat /tmp/f", "E\no\n");
    check("{say 1 one; say 2 two} >[3=1] >[1=2] >[2=3] |[2] {upper; echo -}", "two\nONE\n-\n");
    check("fds >[2=]; fds <[0=]", "[0, 1]\n[1, 2]\n");
    check("fds >[5]/tmp/f", "[0, 1, 2, 5]\n");
    check("cat <[3]/tmp/a.c <[0=3]", "this is /tmp/a.c\n");
    check("cat <[3]/tmp/a.c </fd/3", "this is /tmp/a.c\n");
    // Numbers that the shell happens to use itself are no danger.
    check("say 3 three >[4]/tmp/b >[3]/tmp/a >/tmp/c; cat /tmp/a /tmp/b /tmp/c", "three\n");
    check("{say 4 four; say 3 three} >[4]/tmp/b >[3]/tmp/a; cat /tmp/a /tmp/b", "three\nfour\n");
    check("say 3 x; echo a >[1=]; echo b", "b\n");
    check("echo a >/tmp/f; fds; fds | cat; {fds} </dev/null", "[0, 1, 2]\n[0, 1, 2]\n[0, 1, 2]\n");
    check("fds >/tmp/f >[2]/tmp/g; cat /tmp/f", "[0, 1, 2]\n");
}

#[test]
fn what_cannot_be_opened_is_not_cut() {
    for redirection in [">>", "<>[1]"] {
        let world = world();
        put(&world, "/tmp/log", "what was there\n", false);
        *world.interrupts.lock().unwrap() = Some("/tmp/log".into());
        let os = Fake::new(world);
        let world = os.world.clone();
        let (shown, _) = rc_in(os, &["-c", &format!("echo x {redirection}/tmp/log")]);
        assert_eq!(shown, "/tmp/log: rc: can't open: interrupted\n");
        let log = world.files.lock().unwrap()["/tmp/log"].0.lock().unwrap().clone();
        assert_eq!(log, b"what was there\n", "{redirection}");
    }
}

#[test]
fn exec_keeps_redirections() {
    check("exec >/tmp/f; echo hidden; exec >/dev/cons; cat /tmp/f", "hidden\n");
    check("exec <[5]/tmp/a.c; cat <[0=5]", "this is /tmp/a.c\n");
}

#[test]
fn bad_redirections() {
    check("echo x <>[1]/tmp/none", "/tmp/none: rc: can't open: '/tmp/none' file does not exist\n");
    check("cat </nope/x; echo never", "/nope/x: rc: can't open: '/nope/x' file does not exist\n");
    check("echo >/nope/x a", "/nope/x: rc: can't open: '/nope/x' file does not exist\n");
    check("echo a >()", "rc: > requires file\n");
    check("cat <(a b)", "rc: < requires singleton\n");
    check("cat </tmp/*.c", "rc: < requires singleton\n");
    assert_eq!(run("cat </nope").1, "error");
}

#[test]
fn here_documents() {
    check("cat <<EOF\na $x b\nEOF\necho after", "a  b\nafter\n");
    check(
        "x=(1 2)\ncat <<EOF\n$x $x^y $$ $1 cost$ $*.\n'q' \"$x\" `{no}\nEOF\n",
        "1 2 1 2y $  cost$ .\n'q' \"1 2\" `{no}\n",
    );
    check("x=1; cat <<'EOF'\n$x ''\nEOF\n", "$x ''\n");
    check("cat <<'A B'\ntext\nA B\n", "text\n");
    check("cat <<A | upper; echo then\none\nA\n", "ONE\nthen\n");
    check("cat <<A <<[3]B\none\nA\ntwo\nB\n", "one\n");
    check(
        "cat <<A - <<[3]B; cat <<[3]C <[0=3]\na\nA\nb\nB\nc\nC\n",
        "cat: can't open -: '/-' file does not exist\nc\n",
    );
    check("for(i in 1 2) cat <<E\nnumber $i\nE\n", "number 1\nnumber 2\n");
    check("fn f {\n\tcat <<E\n$1\n\tE\nE\n}\nf x; f y", "x\n\tE\ny\n\tE\n");
    check("cat <<E >/tmp/f\nfile\nE\ncat /tmp/f", "file\n");
    check("cat <<E\nE\necho empty", "empty\n");
    let long = "0123456789abcdef\n".repeat(5000);
    check(&format!("cat <<E\n{long}E\n"), &long);
    assert_eq!(run("cat <<E\nno end\n").0, "rc: line 3: token E: end of here document missing\n");
}

#[test]
fn a_script_with_arguments() {
    let world = world();
    put(&world, "/tmp/s", "#!/bin/rc\necho $0: $#* $*\ncat <<E\n$1\nE\nexit done\n", true);
    let (shown, status) = rc_in(
        Fake::new(world),
        &["-c", "/tmp/s a 'b c'; ~ $status 's '*': done' && echo ok; rc /tmp/s; cd /tmp; ./s"],
    );
    assert_eq!(shown, "/tmp/s: 2 a b c\na\nok\n/tmp/s: 0\n\n/tmp/s: 0\n\n");
    assert!(status.starts_with("s ") && status.ends_with(": done"), "{status}");
}
