//! Words: quotes, lists, variables, carets, substitution, patterns.

use crate::fake::{Fake, Typed};
use crate::{check, put, rc_in, run, world};

#[test]
fn quoting() {
    check("args 'it''s' a'b c'd '' '*' 'two\nlines'", "<it's><ab cd><><*><two\nlines>\n");
    check("args a\\b \\ x", "<a\\b><\\><x>\n");
    check("echo one \\\n two # three\necho four#five", "one two\nfour\n");
    check("echo for in while if not fn switch '~' @ !", "for in while if not fn switch ~ @ !\n");
}

#[test]
fn lists_and_variables() {
    check("x=(a 'b c' d); args $x; args $#x; args $\"x", "<a><b c><d>\n<3>\n<a b c d>\n");
    check("x=(a b c d); args $x(2) $x(4 1) $x(2-3) $x(3-) $x(0) $x(9) $x(x)", "<b><d><a><b><c><c><d>\n");
    check("args $nothing $#nothing $\"nothing", "<0><>\n");
    check("x=y; y=z; args $$x $'x' $(x)", "<z><y><y>\n");
    check("x=(a (b () c) d); args $#x", "<4>\n");
    check("x=a; x=(); args $#x; x=''; args $#x", "<0>\n<1>\n");
    check("x = 3; echo $x", "3\n");
    check("args (a b)c", "<a><b><c>\n");
    check("x=(a b); args $x(1)c", "<a><c>\n");
    check("x=(a\n b\n); args $x", "<a><b>\n");
    check("echo a=b =c d= if=/dev/x of^=^y", "a=b =c d= if=/dev/x of=y\n");
}

#[test]
fn bad_variables() {
    check("echo $(a b)", "rc: variable name not singleton!\n");
    check("(a b)=c", "rc: variable name not singleton!\n");
    check("$nothing", "rc: empty argument list\n");
    check("x=(); $x; echo not reached", "rc: empty argument list\n");
    assert_eq!(run("x=(); $x").1, "error");
}

#[test]
fn carets() {
    check("args a^b (a b)^(1 2) x^(1 2) (1 2)^x", "<ab><a1><b2><x1><x2><1x><2x>\n");
    check("x=a; y=(1 2); args $x.c -$x $x/$x $x$y 'q'$x`{echo z}", "<a.c><-a><a/a><a1><a2><qaz>\n");
    check("args ()^()", "\n");
    check("args a^()", "rc: null list in concatenation\n");
    check("args (a b)^(c d e)", "rc: mismatched list lengths in concatenation\n");
    check("x=v; args $x^x $x-y $x'y' $x$x", "<vx><v-y><vy><vv>\n");
}

#[test]
fn command_output() {
    check("x=`{echo a b; echo c}; args $x $#x", "<a><b><c><3>\n");
    check("ifs=: x=`{echo -n a:b c} args $x", "<a><b c>\n");
    check("ifs=: {x=`{echo -n a::b c}}; args $x", "<a><b c>\n");
    check("x=`:{echo -n a:b c}; args $x", "<a><b c>\n");
    check("nl='\n'; x=`$nl{echo a b; echo c}; args $x", "<a b><c>\n");
    check("ifs=() x=`{echo a b} {args $#x}", "<1>\n");
    check("x=`{status bad}; echo $status", "status 2: bad\n");
    check("echo `{echo `{echo deep}}", "deep\n");
    check("echo -n `{} | cat; echo end", "end\n");
}

#[test]
fn file_names() {
    check("cd /tmp; args *.c", "<a.c><b.c>\n");
    check("args /tmp/*.[ch] /tmp/[~a].c /tmp/?.h", "</tmp/a.c></tmp/b.c></tmp/c.h></tmp/b.c></tmp/c.h>\n");
    check(
        "args /tmp/d*/x /t*/d2/* /tmp/*/none",
        "</tmp/d1/x></tmp/d2/x></tmp/d2/x></tmp/d2/y></tmp/*/none>\n",
    );
    check("args /tmp/no* '/tmp/*.c'", "</tmp/no*></tmp/*.c>\n");
    check("args /tmp/*.c/x [a", "</tmp/*.c/x><[a>\n");
    check("cd /tmp; x=*.c; args $x; y='*.c'; args $y", "<a.c><b.c>\n<*.c>\n");
    check("cd /tmp; x=a; args $x^.* k'*' k*", "<a.c><k*><k*>\n");
    check("cd /tmp; args .h* ?hid", "<.hid><.hid>\n");
    check("for(i in /tmp/*.c) echo $i", "/tmp/a.c\n/tmp/b.c\n");
    check("args /bin/ech[o] /*/d1", "</bin/echo></tmp/d1>\n");
    check("args /tmp/d1*/", "</tmp/d1/>\n");
}

#[test]
fn pipes_as_files() {
    check("cat <{echo a} <{echo b}", "a\nb\n");
    check("cat <{cat <{echo deep}}", "deep\n");
    check("x=`{args <{echo}}; ~ $x '</fd/'* && echo named", "named\n");
    check("cat < <{echo a}", "a\n");
    check("{echo lower | cat > >{upper}}; wait", "LOWER\n");
    check("fn f {cat $1 $1}; f <{echo once}", "once\n");
    check(". <{echo echo sourced}", "sourced\n");
    check("cat <>{echo both}", "both\n");
    check("x=<{echo kept} {cat $x}; y=<{echo to the end}; cat $y", "kept\nto the end\n");
    // Afterwards nothing stays open.
    check("cat <{echo a} <{echo b}; fds", "a\nb\n[0, 1, 2]\n");
}

#[test]
fn lists_that_do_not_fit_into_memory() {
    let world = world();
    *world.room.lock().unwrap() = Some(1 << 20);
    put(&world, "/tmp/words", &"word\n".repeat(20_000), false);
    put(&world, "/tmp/long", &"x".repeat(700_000), false);
    let t = Typed::Text;
    world.typed.lock().unwrap().extend([
        t("echo `{cat /tmp/words} no\n"),
        t("echo $status; echo `{cat /tmp/long} no\n"),
        t("x=aaaaaaaaaaaaaaaa; for(i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16) x=$x^$x; echo no\n"),
        t("y=($x x); echo $#y\n"),
    ]);
    let mut os = Fake::new(world);
    os.setenv("prompt", b"% \0> \0");
    let (shown, _) = rc_in(os, &[]);
    let free = "of memory, and 1048576 are free\n";
    let words = format!("rc: list too long: 20000 words of 100000 bytes take 2120000 bytes {free}");
    let long = format!("rc: output too long: more than 528384 bytes take 1056768 bytes {free}");
    let product = format!("rc: word too long: 524288 bytes take 1048672 bytes {free}");
    assert_eq!(shown, format!("% {words}% error\n{long}% {product}% 2\n% "));
}
