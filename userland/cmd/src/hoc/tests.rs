//! Programs, and what they print.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::{format, vec};

use super::*;

struct World {
    lines: VecDeque<String>,
    words: VecDeque<String>,
    out: String,
}

impl Io for World {
    fn line(&mut self) -> Option<String> {
        self.lines.pop_front()
    }

    fn print(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn complain(&mut self, what: &str, line: u32) {
        self.out.push_str(&format!("{line}: {what}\n"));
    }

    fn word(&mut self) -> Option<String> {
        self.words.pop_front()
    }
}

fn hoc(program: &str) -> String {
    let lines = program.split_inclusive('\n').map(String::from).collect();
    let words = vec!["3".into(), "x".into()].into();
    let mut world = World { lines, words, out: String::new() };
    Hoc::new().run(&mut world);
    world.out
}

#[test]
fn expressions() {
    for (expression, want) in [
        ("1+2*3", "7"),
        ("(1+2)*3", "9"),
        ("2^3^2", "512"),
        ("-2^2", "-4"),
        ("2^-1", "0.5"),
        ("7%4-1", "2"),
        ("8/2/2", "2"),
        ("1/3", "0.333333333333"),
        ("0.1+0.2", "0.3"),
        ("1<2 && 2<1 || !0", "1"),
        ("1==1 != 0", "1"),
        ("2 - -2", "4"),
        ("1e3+.5", "1000.5"),
        ("sqrt(2)", "1.41421356237"),
        ("int(-2.7)", "-2"),
        ("abs(-3)", "3"),
        ("atan(1)*4 == PI", "1"),
        ("exp(1) - E < 1e-12", "1"),
        ("log10(1000)", "3"),
        ("DEG", "57.2957795131"),
        ("1e20", "1e+20"),
        ("x = y = 3; x + y; _ * 2", "6\n12"),
        ("x=1; x++; x; ++x; x--; x+=1; x", "1\n2\n3\n3\n3"),
        ("x=8; x += 2; x /= 4; x ^= 2; x %= 4; x", "2.25"),
        ("1 + \\\n 2", "3"),
        ("5 # a remark", "5"),
    ] {
        let out = hoc(&format!("{expression}\n"));
        assert_eq!(out, format!("{want}\n"), "{expression}");
    }
}

#[test]
fn statements() {
    assert_eq!(hoc("for(i=1; i<4; i++) print i, \"\\t\", i*i, \"\\n\"\n"), "1 \t1 \n2 \t4 \n3 \t9 \n");
    assert_eq!(hoc("i=3; while(i) {\n i--\n print i\n}\n"), "2 1 0 ");
    assert_eq!(hoc("if(1) 2 else 3\nif(0) print 4 else print 5\nif(1)\n{ print 6\n }\n"), "5 6 ");
    assert_eq!(hoc("read(x)\nx\nread(y)\nread(z)\n"), "1\n3\n3: non-number read into y\n0\n");
    assert_eq!(hoc("PREC=3; PI\n"), "3.14\n");
}

/// Runs a test on as large a stack as programs have.
fn deep(test: fn()) {
    std::thread::Builder::new().stack_size(16 << 20).spawn(test).unwrap().join().unwrap();
}

#[test]
fn functions() {
    deep(recursion);
}

fn recursion() {
    let gcd = "func gcd(a, b) {\n\ttemp = abs(a) % abs(b)\n\tif(temp == 0) return abs(b)\n\treturn gcd(b, temp)\n}\n";
    assert_eq!(hoc(&format!("{gcd}for(i=1; i<12; i++) print gcd(i,12)\n")), "1 2 3 4 1 6 1 4 3 2 1 ");
    assert_eq!(
        hoc("func fac(n) if(n <= 1) return 1 else return n*fac(n-1)\nfac(10)\nfac(170)/fac(169)\n"),
        "3628800\n170\n"
    );
    assert_eq!(
        hoc("proc p(n) { n = n+1; print n, \"\\n\" }\nn = 5\np(1)\nn\n1+p(2)\n"),
        "2 \n5\n3 \n5: p returns no value\n"
    );
    assert_eq!(
        hoc("func f(x) return\nf(1)\nproc g() return 1\ng()\nf()\nh(1)\n"),
        "2: f (func) returns no value\n4: g (proc) returns value\n5: f takes 1 arguments\n6: h is not defined\n"
    );
}

#[test]
fn faults() {
    deep(what_is_wrong_is_told);
}

fn what_is_wrong_is_told() {
    for (program, want) in [
        ("x\n1\n", "1: undefined variable x\n1\n"),
        ("1/0\n", "1: division by zero\n"),
        ("log(-1)\n", "1: log argument out of domain\n"),
        ("exp(1e9)\n", "1: exp result out of range\n"),
        ("10^1000\n", "1: exponentiation result out of range\n"),
        ("(1\n2\n", "1: syntax error: ) is missing\n2\n"),
        ("1 2\n3\n", "1: syntax error\n3\n"),
        ("@\n1\n", "1: syntax error at '@'\n1\n"),
        ("print \"x\n1\n", "1: syntax error: missing quote\n1\n"),
        ("{ print 1\n", "1: syntax error: } is missing\n"),
        ("return 1\n", "1: return used outside definition\n"),
        ("func f(n) return f(n)\nf(1)\n2\n", "2: call nested too deeply\n2\n"),
        ("sin(1,2)\n", "1: sin takes one argument\n"),
        ("func sin(x) return x\n", "1: sin is built in\n"),
        ("if\n1\n", "1: syntax error: ( is missing\n1\n"),
    ] {
        assert_eq!(hoc(program), want, "{program}");
    }
    for long in [
        "(".repeat(100_000),
        "-".repeat(100_000),
        "1+".repeat(100_000),
        "{".repeat(100_000),
        "1^".repeat(9999),
    ] {
        assert!(hoc(&format!("{long}\n")).contains(": "), "{long:.9}");
    }
}
