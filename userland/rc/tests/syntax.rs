//! The parser and the printer: what is printed parses to the same tree, what is malformed says where, and nothing
//! panics.

use rcshell::ast::{Body, Cmd, Conn, Direction, Mode, Redir, Word};
use rcshell::lex::{Failure, Syntax};
use rcshell::parse::{self, Lines, Place};
use rcshell::print;

/// All commands of a text.
fn parse(text: &str) -> Result<Vec<Body>, Syntax> {
    let mut source = Lines(text);
    let mut place = Place::default();
    let mut out = Vec::new();
    loop {
        match parse::line(&mut source, &mut place) {
            Ok(Some(cmd)) => out.push(cmd),
            Ok(None) => return Ok(out),
            Err(Failure::Syntax(error)) => return Err(error),
            Err(Failure::Stopped) => panic!("a string does not stop"),
        }
    }
}

fn one(text: &str) -> Cmd {
    let mut list = parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    assert_eq!(list.len(), 1, "{text}");
    (*list.remove(0)).clone()
}

fn lit(text: &str) -> Word {
    Word::plain(text)
}

fn simple(words: &[&str]) -> Body {
    Cmd::Simple(words.iter().map(|w| lit(w)).collect()).into()
}

#[test]
fn precedence() {
    let (a, b, c) = (simple(&["a"]), simple(&["b"]), simple(&["c"]));
    let plain = Conn { left: 1, right: 0 };
    assert_eq!(one("a && b || c"), Cmd::AndOr(a.clone(), vec![(true, b.clone()), (false, c.clone())]));
    assert_eq!(
        one("! a | b && c"),
        Cmd::AndOr(
            Cmd::Not(Cmd::Pipe(a.clone(), vec![(plain, b.clone())]).into()).into(),
            vec![(true, c.clone())]
        )
    );
    // The body of `if` reaches as far as it can.
    assert_eq!(
        one("if(a) b && c"),
        Cmd::If(a.clone(), Cmd::AndOr(b.clone(), vec![(true, c.clone())]).into())
    );
    assert_eq!(
        one("x=1 a | b"),
        Cmd::Assign(vec![(lit("x"), lit("1"))], Some(Cmd::Pipe(a.clone(), vec![(plain, b.clone())]).into()))
    );
    assert_eq!(
        one("a |[2] b |[3=4] c"),
        Cmd::Pipe(a.clone(), vec![(Conn { left: 2, right: 0 }, b.clone()), (Conn { left: 3, right: 4 }, c)])
    );
    assert_eq!(one("a & b"), Cmd::Seq(vec![Cmd::Async(a).into(), b]));
}

#[test]
fn redirections_and_words() {
    let to = |mode, fd, name| Redir::Open(mode, fd, lit(name));
    assert_eq!(
        one(">[3=] >x a <y >>[2]z <>w >[2=1]"),
        Cmd::Redir(
            vec![
                Redir::Close(3),
                to(Mode::Write, 1, "x"),
                to(Mode::Read, 0, "y"),
                to(Mode::Append, 2, "z"),
                to(Mode::ReadWrite, 0, "w"),
                Redir::Dup { to: 2, from: 1 },
            ],
            simple(&["a"])
        )
    );
    assert_eq!(
        one("a <{b} x"),
        Cmd::Simple(vec![lit("a"), Word::Process(Direction::In, simple(&["b"])), lit("x")])
    );
    assert_eq!(
        one("a $x.c b^'c'd"),
        Cmd::Simple(vec![
            lit("a"),
            Word::Concat(vec![Word::Var(lit("x").into()), lit(".c")]),
            Word::Concat(vec![lit("b"), lit("c"), lit("d")]),
        ])
    );
    assert_eq!(
        one("a *'*'"),
        Cmd::Simple(vec![lit("a"), Word::Concat(vec![Word::Lit { text: "*".into(), glob: true }, lit("*")])])
    );
    let here = |text: &str| Redir::Here { fd: 0, tag: "E".into(), quoted: false, text: text.into() };
    assert_eq!(one("a <<E\nx\n y\nE\n"), Cmd::Redir(vec![here("x\n y\n")], simple(&["a"])));
}

#[test]
fn printing_shows_what_was_meant() {
    for (text, want) in [
        ("if(~ $x y){a;b}", "if(~ $x y) {\n\ta\n\tb\n}"),
        ("fn f g {echo $1}", "fn f g {echo $1}"),
        ("switch(x){case a b;c;case *}", "switch (x){\ncase a b\n\tc\ncase *\n}"),
        ("x=() y='it''s' cmd", "x=() y='it''s' cmd"),
        ("cat<<E>f\nt\nE\n", "cat <<E >f\nt\nE\n"),
        ("a&b", "a&\nb"),
    ] {
        assert_eq!(one(text).to_string(), want);
    }
    assert_eq!(print::quote("a b"), "'a b'");
    assert_eq!(print::quote("if"), "'if'");
    assert_eq!(print::list(&["a".into()]), "a");
}

/// Everything the grammar has, alone and nested.
const CORPUS: &[&str] = &[
    "",
    "a",
    "a b 'c d' '' 'it''s' \\x",
    "'if' 'for' x 'in'",
    "'if'^a",
    "a *.c [a-z]? '*'",
    "a $x $#x $\"x $x(1 2-3) $$x $'a b' $(x) $*",
    "a $x.c^$y 'q'$x`{b} (1 2)^(3 4)",
    "a (b c () (d))",
    "a x=y =z w=",
    "a `{b c} `' '{d} `$nl{e;f}",
    "a <{b} >{c;d} <>{e}",
    "a < <{b} > [x]y >>>{c}",
    "a >b >>c <d <>e >[2]f >[2=1] <[3=] <[4]g",
    ">f",
    ">f >g",
    ">f {a} <g",
    ">f x=1",
    ">f ! a",
    ">f for(i) a",
    "a | b |[2] c |[2=3] d",
    "a | ! b | c",
    "a | x=1 b",
    "a | >f b",
    "a && b || ! c && @ d",
    "&& a",
    "a; b & c",
    "a &",
    "&",
    "{a; b} >f",
    "{}",
    "@{a}",
    "@ a b",
    "! ! a",
    "x=1",
    "x=1 y=(2 3)",
    "x=1 y=2 a | b",
    "x=1 >f a",
    "x$y=1",
    "x=1 {a}",
    "if(a) b",
    "if(a){b}",
    "if(a; b) c | d && e",
    "if(a) b\nif not c",
    "if(a) b\nif not if(c) d\nif not e",
    "if(a) ;",
    "for(i in a b *.c) c",
    "for(i in ()) {a; b}",
    "for($x) a",
    "while(a) b",
    "while() {a\nb}",
    "while(a) ;",
    "switch(x){}",
    "switch $x {\ncase a b\n\tc; d\ncase [0-9]* '*'\ncase *\n\te\n}",
    "switch x {case a; {b}; case; c}",
    "switch(x){case a; switch(y){case b; c}} >f",
    "fn f {a}",
    "fn f g {a; b | c}",
    "fn f",
    "fn f {fn g {a; b}}",
    "fn 'sig int' {}",
    "~ $x a* '*' $y",
    "~ (a b) c && d",
    "~ $x | a",
    "cat <<E\nx $y\nE\n",
    "cat <<'A B'\n\tt\nA B\n",
    "cat <<A <<[3]B | c\n1\nA\n2\nB\n",
    "fn f {\ncat <<E\nt\nE\n}",
    "for(i in a) {cat <<E; b}\nt\nE\n",
    "if(cat <<E) b\nt\nE\n",
    "a `{cat <<E}\nt\nE\n",
    "switch(x){\ncase a\n\tcat <<E\nt\nE\ncase b\n\tc\n}",
    "x=`{a} b",
    "a # comment",
    "a \\\n b",
];

#[test]
fn what_is_printed_parses_to_the_same() {
    for text in CORPUS {
        for cmd in parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}")) {
            same_again(text, &cmd);
            // And inside of others.
            for body in [Cmd::Brace(cmd.clone()), Cmd::Subshell(Cmd::Brace(cmd.clone()).into())] {
                same_again(text, &Cmd::If(simple(&["true"]), body.clone().into()));
                same_again(text, &Cmd::Simple(vec![lit("x"), Word::Backquote(None, cmd.clone())]));
                let twice = Cmd::Seq(vec![simple(&["first"]), body.into()]);
                same_again(text, &Cmd::Fn(vec![lit("f")], Some(twice.into())));
            }
        }
    }
}

/// `if not` is an error on its own, so such commands follow an `if`.
fn same_again(text: &str, cmd: &Cmd) {
    let not_first = matches!(cmd, Cmd::IfNot(_));
    let printed = if not_first { format!("if(a) b\n{cmd}") } else { cmd.to_string() };
    if !not_first && printed.contains("if not") {
        return;
    }
    let again = parse(&printed).unwrap_or_else(|e| panic!("{text}\n--- printed\n{printed}\n{e:?}"));
    let again: Vec<&Body> = again.iter().skip(usize::from(not_first)).collect();
    let flat = |cmd: &Cmd| match cmd {
        Cmd::Seq(list) => list.clone(),
        Cmd::Empty => Vec::new(),
        cmd => vec![cmd.clone().into()],
    };
    let again: Vec<Body> = again.into_iter().flat_map(|c| flat(c)).collect();
    assert_eq!(again, flat(cmd), "{text}\n--- printed\n{printed}");
}

#[test]
fn malformed_commands_say_where() {
    let message = |text: &str| {
        let error = parse(text).expect_err(text);
        format!("{}:{}:{}", error.line, error.token, error.message)
    };
    for (text, want) in [
        ("a )", "1:):syntax error"),
        ("a\nb }", "2:}:syntax error"),
        ("a (b", "1::syntax error"),
        ("{a", "1:EOF:syntax error"),
        ("{\na\n\n", "3:EOF:syntax error"),
        ("a 'b\nc", "2:EOF:quote not closed"),
        ("echo a(b)", "1:(:syntax error"),
        ("echo {a}", "1:{:syntax error"),
        ("a=b=c", "1:=:syntax error"),
        ("x=", "1::syntax error"),
        ("x=;", "1:;:syntax error"),
        ("if a", "1:a:syntax error"),
        ("if not a", "1::`if not' does not follow `if(...)'"),
        ("if(a) b\nc\nif not d", "3::`if not' does not follow `if(...)'"),
        ("if(a) b; if not c; if not d", "1::`if not' does not follow `if(...)'"),
        ("{if(a) b}; if not c", "1::`if not' does not follow `if(...)'"),
        ("for(i in a b", "1::syntax error"),
        ("for i in a", "1:i:syntax error"),
        ("switch(x){a}", "1::case missing in switch"),
        ("switch(x) a", "1:a:syntax error"),
        ("fn", "1::syntax error"),
        ("a >", "1::syntax error"),
        ("a >[x]", "1:[:redirection syntax"),
        ("a >[1=2", "1:[:redirection syntax"),
        ("a |[1=] b", "1:|:redirection syntax"),
        ("a <<[1=2] b", "1:<<:redirection syntax"),
        ("a <<$x", "1:$:syntax error"),
        ("a <<E\nb\n", "2:E:end of here document missing"),
        ("a $.b", "1:.:syntax error"),
        ("a $", "1::syntax error"),
        ("a ^", "1::syntax error"),
        ("a b^", "1::syntax error"),
        ("a `b", "1::syntax error"),
        ("a >>{b}", "1:{:syntax error"),
        ("in a", "1:in:syntax error"),
        ("(a b) (", "1::syntax error"),
    ] {
        let got = message(text);
        // Where the token is the end of a line its name may be empty or EOF.
        assert!(got == want || got == want.replacen("::", ":EOF:", 1), "{text:?}: {got}, not {want}");
    }
}

#[test]
fn after_an_error_the_next_line_is_read() {
    let mut source = Lines("a ) b; c\nd\n");
    let mut place = Place::default();
    assert!(matches!(parse::line(&mut source, &mut place), Err(Failure::Syntax(_))));
    assert_eq!(parse::line(&mut source, &mut place).unwrap().unwrap(), simple(&["d"]));
    assert_eq!(place.line, 2);
}

#[test]
fn nesting_is_bounded() {
    for open in [
        "(", "{", "`{", "a (", "!", "@ ", "$", "if(a) ", "if(", "x=1 ", ">f ", "a && ", "a | ! ", "fn f {",
        "switch(", "a ^",
    ] {
        let deep = open.repeat(20_000);
        // Some end in an error, some are long but not deep; none may exhaust the stack.
        let _ = parse(&deep);
    }
    let long = format!("a{}", " && a".repeat(20_000));
    assert_eq!(parse(&long).unwrap().len(), 1);
    let wide = format!("a{}", "^a".repeat(20_000));
    same_again("wide", &one(&wide));
    assert!(
        parse(&format!("{}a{}", "{".repeat(30), "}".repeat(30))).is_ok(),
        "what people write is not too deep"
    );
}

/// A generator that gives the same numbers every time.
struct Rng(u64);

impl Rng {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }
}

#[test]
fn mutations_never_panic() {
    const PIECES: &[&str] = &[
        "(", ")", "{", "}", "'", "$", "$#", "`", "^", "=", "|", "||", "&", "&&", ";", "\n", " ", "<", "<<",
        ">", ">[2=1]", "[", "]", "#", "\\", "\\\n", "~", "!", "@", "if", "if not", "for", "in", "while",
        "switch", "case", "fn", "*", "π", "\0", "E", "a",
    ];
    let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
    let (mut good, mut bad) = (0, 0);
    for round in 0..5_000 {
        let mut text: Vec<char> = CORPUS[rng.next(CORPUS.len())].chars().collect();
        for _ in 0..=rng.next(4) {
            let at = rng.next(text.len() + 1);
            match rng.next(4) {
                0 if at < text.len() => {
                    text.remove(at);
                }
                1 => text.truncate(at),
                2 => {
                    let other: Vec<char> = CORPUS[rng.next(CORPUS.len())].chars().collect();
                    text.splice(at..at, other);
                }
                _ => {
                    text.splice(at..at, PIECES[rng.next(PIECES.len())].chars());
                }
            }
        }
        let text: String = text.into_iter().collect();
        match parse(&text) {
            Ok(list) => {
                good += 1;
                for cmd in list {
                    same_again(&text, &cmd);
                }
            }
            Err(error) => {
                bad += 1;
                let lines = text.split('\n').count() as u32;
                assert!((1..=lines).contains(&error.line), "round {round}: {text:?}: {error:?}");
                assert!(!error.message.is_empty());
            }
        }
    }
    assert!(good > 500 && bad > 500, "{good} good, {bad} bad");
}
