//! Expressions, functions, statements.

use super::super::Program;
use super::{fails, is, prints, run};
use alloc::format;
use alloc::vec::Vec;

#[test]
fn numbers_and_strings() {
    for (list, want) in [
        (
            "1 / 3, 1e6, 1e-5, 123456789, 0.1 + 0.2, 2 ^ 53, 1e18, 1e19",
            "0.333333 1000000 1e-05 123456789 0.3 9007199254740992 1000000000000000000 1e+19",
        ),
        (
            "2 ^ 3 ^ 2, -2 ^ 2, 2 ^ -1, 2 ** 3, 5 % 3, -3 % 2, 5.5 % 2, .5 + .5, 1.e2",
            "512 -4 0.5 8 2 -1 1.5 1 100",
        ),
        ("1 == 1.0, \"a\" < \"b\", 10 < 9, \"10\" < \"9\", \"abc\" < 1, 2 < 10", "1 1 0 1 0 1"),
        (
            "\"3x\" + 1, \"x\" + 1, \"0x1A\" + 0, +\"5\", -\"5 apples\", !\"\", !\"a\", !0, !\"0\"",
            "4 1 0 5 -5 1 0 1 0",
        ),
        // What is on both sides of a minus is one number.
        ("1 \" \" -1, 2 -1, \"x\" -1, -12 \" \" -24", "1-1 1 -1 -12-24"),
        ("x + 0, x \"\", x == 0, x == \"\", length(x)", "0  1 1 0"),
        ("1 && 0, 1 || 0, \"a\" && \"b\", 0 || \"\", 1 ? \"y\" : \"n\", 0 ? 1 : 0 ? 2 : 3", "0 1 1 0 y 3"),
        ("int(3.9), int(-3.9), int(\"3abc\"), sqrt(16), exp(0), log(1), sin(0), cos(0)", "3 -3 3 4 1 0 0 1"),
        ("atan2(0, -1), exp(1), log(10), sqrt(2)", "3.14159 2.71828 2.30259 1.41421"),
        ("(1, 2) in a, (1 > 2) ? \"a\" : \"b\"", "0 b"),
        ("1 - 1 - 1, 2 / 4 / 2, 2 + 3 * 4, (2 + 3) * 4, 10 % 3 * 2, - - 3, !!5", "-1 0.25 14 20 2 3 1"),
        ("\"a\\tb\\\"\\\\\\/\\101\\x41\\q\"", "a\tb\"\\/AAq"),
        ("\"A\" < \"a\", \"a\" < \"B\", \"\" < \"a\"", "1 0 1"),
    ] {
        is(list, want);
    }
    prints(
        "BEGIN {OFMT = \"%.2f\"; x = 3.14159; print x, x \"\", 17; CONVFMT = \"%d\"; a[12.7]; for (i in a) print i}",
        &[],
        "3.14 3.14159 17\n12\n",
    );
    prints(
        "BEGIN {i = 5; print i++ + ++i, i--, --i, i; i += 2; i -= 1; i *= 3; i /= 2; i %= 4; i ^= 2; print i}",
        &[],
        "12 7 5 5\n1\n",
    );
    prints("BEGIN {x = y = 5; x += y -= 2; print x, y; a = 1; a && b = 2; print b}", &[], "8 3\n2\n");
    // Words of the input are numbers if they look like some.
    assert_eq!(
        run("{print ($1 < $2)}", &[], "10 9\nabc 9\n1e2 100\n+5 5\n.1 0.1\n0x1A 26\n").0,
        "0\n0\n0\n0\n0\n1\n"
    );
    assert_eq!(
        run("{print !$1, ($1 ? \"t\" : \"f\")}", &[], "0\n0.0\n1\n\na\n 0 \n").0,
        "1 f\n1 f\n0 t\n1 f\n0 t\n1 f\n"
    );
    fails("BEGIN {print 1 / 0}", "division by zero at source line 1");
    fails("BEGIN {\nprint 1 % 0}", "division by zero in % at source line 2");
}

#[test]
fn functions_that_are_built_in() {
    for (list, want) in [
        ("length(\"hello\"), length(12345), length(1 / 4), length \"x\"", "5 5 4 0x"),
        (
            "substr(\"hello\", 2, 3), substr(\"hello\", 0, 2), substr(\"hello\", -1), substr(\"hello\", 4, 100)",
            "ell he hello lo",
        ),
        (
            "substr(\"hello\", 1.5, 2.9), substr(\"hello\", 2, -1) \"|\", substr(\"hello\", 10), substr(\"αβγ\", 2, 1)",
            "he |  β",
        ),
        (
            "index(\"foobar\", \"bar\"), index(\"x\", \"y\"), index(\"αβγ\", \"γ\"), index(\"ab\", \"\")",
            "4 0 3 1",
        ),
        ("match(\"foobar\", /o+/), RSTART, RLENGTH, match(\"x\", \"y\"), RSTART, RLENGTH", "2 2 2 0 0 -1"),
        ("match(\"αβγ\", /β./), RSTART, RLENGTH", "2 2 2"),
        ("toupper(\"abcXyz1ä\"), tolower(\"ABCxYZ1Ä\"), utf(960), length(utf(960))", "ABCXYZ1Ä abcxyz1ä π 1"),
        (
            "sprintf(\"%03d|%s|%c\", 7, \"z\", 65), sprintf(\"%%\"), length(sprintf(\"%5s\", \"π\"))",
            "007|z|A % 5",
        ),
        ("srand(5), srand(6), srand() == 6, srand()", "1 5 1 1000000000"),
        (
            "split(\"a:b:c\", x, \":\"), x[1] x[3], split(\"\", x), length(x), split(\"  a b \", x), x[1]",
            "3 ac 0 0 2 a",
        ),
        (
            "split(\"a1b22c\", x, /[0-9]+/), x[3], split(\"aπ\", x, \"\"), x[2], split(\" a \", x, / /)",
            "3 c 2 π 3",
        ),
        ("split(\"3 x\", x), x[1] < 10, x[2] < 10", "2 1 0"),
        ("length(\"x\" 1 2), length()", "3 0"),
        ("rand() < 1, rand() >= 0, rand() != rand()", "1 1 1"),
    ] {
        is(list, want);
    }
    prints("BEGIN {srand(1); a = rand(); srand(1); print a == rand()}", &[], "1\n");
    for (call, want) in [
        ("gsub(/o/, \"[&]\", s)", "2 hell[o] w[o]rld"),
        ("sub(/o/, \"\\\\&\", s)", "1 hell& world"),
        ("sub(/o/, \"\\\\\\\\&\", s)", "1 hell\\o world"),
        ("gsub(/x*/, \"-\", s)", "12 -h-e-l-l-o- -w-o-r-l-d-"),
        ("gsub(/l*/, \"-\", s)", "9 -h-e-o- -w-o-r-d-"),
        ("gsub(/^/, \">\", s)", "1 >hello world"),
        ("gsub(/$/, \"<\", s)", "1 hello world<"),
        ("gsub(/l/, \"\", s)", "3 heo word"),
        ("gsub(\"o.*\", \"\", s)", "1 hell"),
        ("gsub(/./, \"x\", s)", "11 xxxxxxxxxxx"),
        ("sub(/z/, \"x\", s)", "0 hello world"),
        ("gsub(/o|w/, \"&&\", s)", "3 helloo wwoorld"),
    ] {
        prints(
            &format!("BEGIN {{ s = \"hello world\"; n = {call}; print n, s }}"),
            &[],
            &format!("{want}\n"),
        );
    }
    prints("{n += gsub(/[αδ]/, \"x\")} 1; END {print n}", &["greek"], "xβγ xε ζ\nnaïve café\n2\n");
    prints(
        "BEGIN {a[1] = \"xx\"; gsub(/x/, \"y\", a[1]); print a[1]; $0 = \"p q\"; sub(/p/, \"r\", $1); print}",
        &[],
        "yy\nr q\n",
    );
}

#[test]
fn arrays_and_functions() {
    for (program, want) in [
        (
            "BEGIN {x[\"a\"] = 1; print (\"a\" in x), (\"b\" in x), length(x); delete x[\"a\"]; print length(x)}",
            "1 0 1\n0\n",
        ),
        (
            "BEGIN {x[1, 2] = 3; for (k in x) {split(k, p, SUBSEP); print p[1], p[2]} if ((1, 2) in x) print \"in\"}",
            "1 2\nin\n",
        ),
        ("BEGIN {a[3]; if (3 in a) print \"made\"; if (a[4] == \"\") n = length(a); print n}", "made\n2\n"),
        ("BEGIN {a[1]; a[2]; delete a; print length(a)}", "0\n"),
        (
            "BEGIN {a[\"z\"]; a[\"b\"]; a[10]; a[9]; for (k in a) printf \"%s \", k; print \"\"}",
            "z b 10 9 \n",
        ),
        ("BEGIN {a[1]; a[2]; a[3]; for (k in a) {delete a[2]; print k}}", "1\n3\n"),
        ("BEGIN {a[1] = 1; a[\"1\"]++; a[01]++; print a[1]}", "3\n"),
        (
            "function f(n) {return n <= 1 ? 1 : n * f(n - 1)} BEGIN {print f(10), f(20)}",
            "3628800 2432902008176640000\n",
        ),
        ("function g(a, k) {a[k] = 1} BEGIN {g(arr, \"z\"); for (i in arr) print i}", "z\n"),
        ("function h(a) {a[\"x\"] = 5} function k(b) {h(b)} BEGIN {k(q); print q[\"x\"]}", "5\n"),
        ("function k(b) {h(b); b[1]++} function h(a) {a[1] = 5} BEGIN {k(q); print q[1]}", "6\n"),
        ("function loc(x, y) {y = x; x = 7; return y} BEGIN {y = 1; print loc(3), y}", "3 1\n"),
        (
            "function loc(n, t) {t[n] = n; if (n > 0) loc(n - 1); return length(t)} BEGIN {print loc(3)}",
            "1\n",
        ),
        ("function f(a) {return a} BEGIN {print f(3) f(4) f(\"x\") f()}", "34x\n"),
        (
            "function max(a, b) {\n return a > b ? a : b\n}\nBEGIN {print max(3, 9), max(\"a\", \"b\")}",
            "9 b\n",
        ),
        ("func f(x) {if (x) return; return 1} BEGIN {print f(0) + 1, f(1) + 1}", "2 1\n"),
        ("function f(x) {$0 = x; return NF} BEGIN {print f(\"a b\"), $2}", "2 b\n"),
        ("function r(n) {if (n == 0) return 0; return 1 + r(n - 1)} BEGIN {print r(60)}", "60\n"),
        ("BEGIN {print f(2)}\nfunction f(x) {\n\n  return x * 2\n}\n", "4\n"),
    ] {
        prints(program, &[], want);
    }
    fails("BEGIN {f(1)}", "undefined function f");
    fails("function f(a) {} BEGIN {f(1, 2)}", "called with 2 arguments, takes 1");
    fails("function f(a) {} function f(b) {}", "defined twice");
    fails("function f(a, a) {}", "already");
    fails("BEGIN {a[1]; a = 2}", "can't assign to a; it's an array name");
    fails("BEGIN {a = 2; a[1]}", "can't use a as an array");
    fails("BEGIN {a[1]; print a}", "can't read value of a");
    fails("function f(x) {x[1]} BEGIN {y = 1; f(y)}", "as an array");
    fails("function f(x) {return f(x + 1)} BEGIN {f(1)}", "function f is called too deeply at source line 1");
}

#[test]
fn statements() {
    for (program, want) in [
        ("BEGIN {for (i = 0; i < 9; i++) {if (i == 2) continue; if (i == 4) break; print i}}", "0\n1\n3\n"),
        ("BEGIN {do {i++} while (i < 3); print i; do i--; while (i > 1)\n print i}", "3\n1\n"),
        ("BEGIN {while (1) if (++n > 3) break; print n; for (;;) {if (--n == 0) break} print n}", "4\n0\n"),
        ("BEGIN {if (0) print 1; else if (1) print 2; else print 3}", "2\n"),
        ("BEGIN {if (0)\n print 1\n else\n print 2}", "2\n"),
        ("BEGIN {if (1) {print 1} else print 2; if (1); else print 3}", "1\n"),
        ("BEGIN {for (i = 0; i < 3; i++); print i; while (i-- > 0); print i}", "3\n-1\n"),
        ("# a remark\nBEGIN { x = 1 # another\n\n print x ; \\\n print 2 }", "1\n2\n"),
        ("BEGIN { print 1,\n 2 ; x = 1 &&\n 0 ||\n 1; print x }", "1 2\n1\n"),
        (
            "BEGIN { print(1)(2); print (1)(2), \"x\"; print (1, 2); print(3, 4) > \"/dev/stdout\" }",
            "12\n12 x\n1 2\n3 4\n",
        ),
        (
            "BEGIN {printf \"%d\" \"\\n\", 3; printf(\"%s-%s\\n\", 1, 2); printf \"%s\\n\", \"x\" > \"/dev/stdout\"}",
            "3\n1-2\nx\n",
        ),
        ("BEGIN {print 1 > \"/dev/stdout\"; print (2 > 1); print 2 > \"/fd/1\"}", "1\n1\n2\n"),
        (
            "BEGIN {print \"ab\" ~ /a{1}b/, \"a/c\" ~ /a\\/c/, \"]\" ~ /[]/]/, \"a.c\" ~ \"a\\\\.c\", ! /x/}",
            "1 1 1 1 1\n",
        ),
        (
            "BEGIN {r = \"^a.c$\"; print \"abc\" ~ r, \"abbc\" ~ r; a = 6; b = 2; g = 1; print a / b / g, a /b/ g}",
            "1 0\n3 3\n",
        ),
        ("BEGIN {a = 8; a /= 2; print a; print 8 /2 /1}", "4\n4\n"),
        ("BEGIN {getline x < \"greek\"; print x; exit} END {print \"end\"}", "αβγ δε ζ\nend\n"),
        ("BEGIN {\"a\" > 1}", ""),
        (";;BEGIN {print 1};;BEGIN {print 2}", "1\n2\n"),
    ] {
        prints(program, &[], want);
    }
    assert_eq!(run("BEGIN {exit 3} END {print \"end\"}", &[], "").1, Ok(3.0));
    assert_eq!(run("END {exit 4}", &[], "").1, Ok(4.0));
    for (program, want) in [
        ("BEGIN {print \"x", "nonterminated string at source line 1"),
        ("BEGIN {\n\nprint )}", "unexpected ) at source line 3"),
        ("BEGIN {print 1", "unexpected end of program"),
        ("BEGIN {break}", "break outside of a loop"),
        ("BEGIN {return 1}", "return outside of a function"),
        ("BEGIN {next}", "next in BEGIN"),
        ("/x", "nonterminated regular expression"),
        ("/(/", "unmatched ("),
        ("BEGIN {print \"a\" ~ \"(\"}", "unmatched ("),
        ("BEGIN {1 = 2}", "syntax error"),
        ("BEGIN {NR[1] = 2}", "NR is not an array"),
        ("BEGIN {substr(1)}", "substr with 1 arguments"),
        ("BEGIN {printf \"%d\"}", "not enough arguments"),
        ("BEGIN", "{ expected"),
        ("BEGIN {@}", "illegal character"),
        ("{print} }", "unexpected }"),
    ] {
        fails(program, want);
    }
}

#[test]
fn nothing_breaks_it() {
    // The stack that a program has.
    let size = abi::layout::USTKSIZE as usize;
    std::thread::Builder::new().stack_size(size).spawn(deep_and_long).unwrap().join().unwrap();
}

fn deep_and_long() {
    // Deep programs are refused, long ones are not.
    for deep in [
        format!("BEGIN {{x = {}1{}}}", "(".repeat(50_000), ")".repeat(50_000)),
        format!("BEGIN {{x = {}1}}", "-".repeat(50_000)),
        format!("BEGIN {{x = {}1}}", "!".repeat(50_000)),
        format!("BEGIN {{x = {}1}}", "1 ^ ".repeat(50_000)),
        format!("BEGIN {{x = {}1}}", "1 + ".repeat(50_000)),
        format!("BEGIN {{x = {}1}}", "y = ".repeat(50_000)),
        format!("BEGIN {{x = {}1}}", "$".repeat(50_000)),
        format!("BEGIN {{x = {}1}}", "1 ? 2 : ".repeat(50_000)),
        format!("BEGIN {{{}}}", "if (1) ".repeat(50_000)),
        format!("BEGIN {}", "{".repeat(50_000)),
        format!("BEGIN {{x = {}1}}", "a[".repeat(50_000)),
        format!("BEGIN {{x = {}1}}", "f(".repeat(50_000)),
    ] {
        assert!(Program::parse(deep.as_bytes()).is_err());
    }
    let long = format!("BEGIN {{x = {}\"\"; print length(x)}}", "1 ".repeat(50_000));
    assert_eq!(run(&long, &[], "").0, "50000\n");
    // Any bytes.
    let mut x = 12345u32;
    for _ in 0..2000 {
        let text: Vec<u8> = (0..40)
            .map(|_| {
                x = x.wrapping_mul(1_103_515_245).wrapping_add(12345);
                b"BEGINxy{}()[];,\n/\"\\$+-*~|<>=!?: 019.%^&#getline in\xff"[(x >> 16) as usize % 51]
            })
            .collect();
        let _ = Program::parse(&text);
    }
}
