//! Builtin commands, the environment, and how the shell starts.

use crate::fake::{Fake, Typed};
use crate::{check, put, rc_in, run, session, world};

#[test]
fn cd() {
    check("cd /tmp; pwd; cd d1; pwd; cd ..; pwd", "/tmp\n/tmp/d1\n/tmp\n");
    check("home=/tmp; cd; pwd", "/tmp\n");
    check("cd /nope; echo $status", "Can't cd /nope: '/nope' file does not exist\ncan't cd\n");
    check("cd a b", "Usage: cd [directory]\n");
    check(
        "cdpath=(. /tmp); cd d2; pwd; cd ./d1",
        "/tmp/d2\nCan't cd ./d1: '/tmp/d2/d1' file does not exist\n",
    );
    check("home=(); cd", "Can't cd -- $home empty\n");
}

#[test]
fn eval_and_dot() {
    check("x='echo $y'; y=5; eval $x; eval echo '$y' ';' echo b", "5\n5\nb\n");
    check("eval 'if(true) echo a\nif not echo b'", "a\n");
    check("eval 'echo )'; echo $status", "rc: line 1: token ')': syntax error\nsyntax error\n");
    let world = world();
    put(&world, "/tmp/lib", "x=$1\necho $0 $#*\ny=(\n", false);
    let (shown, _) = rc_in(Fake::new(world), &["-c", ". /tmp/lib a b; echo $x $#*; path=(/bin /tmp); . lib"]);
    let error = "rc: /tmp/lib:3: token EOF: syntax error\n";
    assert_eq!(shown, format!("/tmp/lib 2\n{error}a 0\nlib 0\n{}", error.replace("/tmp/", "")));
    check(". /nope; echo never", "/nope: rc: .: can't open: '/nope' file does not exist\n");
    check(".", "Usage: . [-biq] file [arg ...]\n");
}

#[test]
fn exec() {
    check("exec echo replaced; echo never", "replaced\n");
    check("exec nope; echo still", "nope: file does not exist\nstill\n");
    check("@{exec echo a}; echo b", "a\nb\n");
    assert_eq!(run("exec status x").1, "x");
    check("''; echo $status", "'': file does not exist\nrc 2: file does not exist\n");
    // Sixteen letters, doubled nineteen times: more than a program can be given.
    let much = "x=aaaaaaaaaaaaaaaa; for(i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19) x=$x^$x";
    let long = "argument list too long: 8388646 bytes with their pointers, 8388608 at most\n";
    check(
        &format!("{much}; args $x; echo $status; exec args $x; args on"),
        &format!("args: {long}argument list too long\nargs: {long}<on>\n"),
    );
}

#[test]
fn shift_flag_rfork() {
    check("fn f {shift; echo $*; shift 2; echo $*; shift 9; echo $#*}; f a b c d", "b c d\nd\n0\n");
    check("shift x", "Usage: shift [n]\n");
    check(
        "flag e; echo $status; flag s +; flag s; args $status; flag s -; flag s; echo $status",
        "flag not set\n<>\nflag not set\n",
    );
    check("flag", "Usage: flag [letter] [+-]\n");
    check("flag Q; echo $status; flag c +", "Usage: flag [letter] [+-]\nusage\nUsage: flag [letter] [+-]\n");
    check("wait 999; echo $status", "rc: wait: 999 is no child to be waited for\nno child\n");
    check("status x & wait $apid; echo $#status; wait $apid x", "1\nUsage: wait [pid]\n");
    check(
        "rfork ne; groups; rfork; groups",
        "[Rfork(NAMEG | ENVG)]\n[Rfork(NAMEG | ENVG), Rfork(NAMEG | ENVG | NOTEG)]\n",
    );
    check("rfork x", "Usage: rfork [fnesFNEm]\n");
}

#[test]
fn whatis() {
    check(
        "x=(a 'b c' it^''''^s); y=d; whatis x y cd echo nope",
        "x=(a 'b c' 'it''s')\ny=d\nbuiltin cd\n/bin/echo\nnope: not found\n",
    );
    check("whatis nope; echo $status", "nope: not found\nnot found\n");
    check("e=(); whatis e; z=''; whatis z; 'if'=for; whatis 'if'", "e=()\nz=''\n'if'='for'\n");
    check("fn f {echo $1}; whatis f", "fn f {echo $1}\n");
    check("fn f {echo $1;echo b}; whatis f", "fn f {\n\techo $1\n\techo b\n}\n");
    check(
        "fn f {cat <<E\n$x\nE\n}\nwhatis f",
        "fn f {\n\tcat <<E\n$x\nE\n\t\n}\n".replace("\t\n", "").as_str(),
    );
}

#[test]
fn the_environment() {
    check("x=(a b); getenv x; x=(); getenv x", "a,b,\n\n");
    check(
        "fn f {echo from f}; getenv 'fn#f'; rc -c f; fn f; getenv 'fn#f'",
        "fn f {echo from f}\n\nfrom f\nunset\n",
    );
    check("x='a b'; rc -c 'args $x $#x'", "<a b><1>\n");
    check("setenv new 1; args $new; rc -c 'echo $new'", "\n1\n");
    check("echo val >/env/x; rc -c 'args $x'", "<val\n>\n");
    check("rfork e; x=1; rc -c 'x=2; getenv x'; getenv x", "2,\n2,\n");
    check("getenv status; getenv '*'; fn sigexit {echo bye}; rc -c true", "unset\nunset\nbye\n");
    let mut os = Fake::new(world());
    os.setenv("list", b"a\0b\0");
    os.setenv("plain", b"text");
    os.setenv("empty", b"");
    os.setenv("fn#g", b"fn g {echo imported $*}\n");
    assert_eq!(rc_in(os, &["-c", "args $list $plain $#empty; g x"]).0, "<a><b><text><0>\nimported x\n");
}

#[test]
fn starting() {
    let with = |args: &[&str]| rc_in(Fake::new(world()), args);
    assert_eq!(with(&["-c", "echo $#* $*", "a", "b"]).0, "2 a b\n");
    assert_eq!(with(&["-z"]).1, "usage");
    assert!(with(&["-z"]).0.starts_with("usage: rc [-"));
    assert_eq!(
        with(&["/nope"]),
        ("/nope: rc: .: can't open: '/nope' file does not exist\n".into(), "error".into())
    );
    assert_eq!(with(&["-e", "-c", "status x; echo never"]).1, "status 2: x");
    assert_eq!(with(&["-m", "/tmp/none", "-c", "x"]).1, "error");
    let world = world();
    put(&world, "/usr/lib/profile", "echo profile\n", false);
    world.dirs.lock().unwrap().insert("/usr/lib".into());
    let mut os = Fake::new(world);
    os.setenv("home", b"/usr\0");
    assert_eq!(rc_in(os.clone(), &["-lc", "echo body"]).0, "profile\nbody\n");
    assert_eq!(rc_in(os, &["-v", "/usr/lib/profile"]).0.matches("echo profile\n").count(), 1);
    assert_eq!(with(&["-lc", "echo no profile is fine"]).0, "no profile is fine\n");
    // A file is understood as a whole before anything of it is done, or line by line.
    let of = |args: &[&str]| {
        let world = super::world();
        put(&world, "/tmp/wrong", "echo begins\nx=(\n", false);
        put(&world, "/tmp/right", "if(~ 1 2) echo no\nif not echo yes\ncat <<!\n$1\n!\nexit $1", false);
        rc_in(Fake::new(world), args)
    };
    let (line, whole) = (of(&["/tmp/wrong"]), of(&["-b", "/tmp/wrong"]));
    assert!(line.0.starts_with("begins\nrc: /tmp/wrong:2: "), "{}", line.0);
    assert!(whole.0.starts_with("rc: /tmp/wrong:2: "), "{}", whole.0);
    assert!(!whole.1.is_empty());
    assert_eq!(of(&["-b", "/tmp/right", "3"]), ("yes\n3\n".into(), "3".into()));
    assert!(of(&["-c", ". -b /tmp/wrong; echo on"]).0.ends_with("\non\n"));
    // -q: a file that is not there is no matter, and what is read of one is not shown but with -V.
    assert_eq!(of(&["-c", ". -q /tmp/nowhere; echo on"]).0, "on\n");
    let shown = |flag: &str| of(&[flag, "-c", ". -q /tmp/right 0"]).0.contains("if not echo");
    assert_eq!([shown("-v"), shown("-V")], [false, true]);
    assert!(of(&["-c", ". -z x"]).0.contains("[-biq] file"));
    assert!(with(&["-r", "-c", "echo a"]).0.contains("fn sigexit\n"));
}

#[test]
fn a_session() {
    let t = |s: &'static str| Typed::Text(s);
    assert_eq!(session(&[]), ("% ".into(), "".into()));
    let (shown, status) = session(&[t("echo a\n"), t("for(i in 1 2)\n"), t("echo $i\n"), t("exit bad\n")]);
    assert_eq!((shown.as_str(), status.as_str()), ("% a\n% > 1\n2\n% ", "bad"));
    // Errors come back to the prompt, the rest of the line is gone.
    let (shown, _) =
        session(&[t("echo $x^a; echo no\n"), t("echo )(; echo no\n"), t("echo on\n"), t("nope\n")]);
    let want = "% rc: null list in concatenation\n% rc: token ')': syntax error\n% on\n% nope: file does not exist\n% ";
    assert_eq!(shown, want);
    // Keys may come in any pieces.
    let (shown, _) = session(&[t("ec"), t("ho on"), t("e\necho two\n"), t("echo three")]);
    assert_eq!(shown, "% one\n% two\n% three\n% ");
    let (shown, _) = session(&[t("cat <<E\n"), t("$home\n"), t("E\n"), t("echo 'a\n"), t("b'\n")]);
    assert_eq!(shown, "% > > /\n% > a\nb\n% ");
    let (shown, _) = session(&[t("flag s +\n"), t("status x\n"), t("true\n")]);
    assert_eq!(shown, "% % status='status 2: x'\n% % ");
}

#[test]
fn read_errors_are_survived() {
    let t = |s: &'static str| Typed::Text(s);
    let (shown, _) =
        session(&[Typed::Error("i/o error"), t("echo a\n"), Typed::Error("i/o error"), t("echo b\n")]);
    assert_eq!(shown, "% a\n% b\n% ");
    let many = vec![Typed::Error("i/o error"); 50];
    assert_eq!(session(&many).0, "% rc: /fd/0: i/o error\n".replace("/fd/0", "standard input"));
    assert_eq!(
        session(&[Typed::Error("i/o on hungup channel")]).0,
        "% rc: standard input: i/o on hungup channel\n"
    );
}
