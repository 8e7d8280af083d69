//! Scripts and what they make of lines.

use super::edit::{Editor, Io};
use super::parse;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

struct Lines {
    left: Vec<Vec<u8>>,
    /// How often it was asked whether there are more.
    asked: usize,
    printed: Vec<u8>,
    written: Vec<Vec<u8>>,
}

impl Io for Lines {
    type Error = &'static str;
    fn next(&mut self) -> Result<Option<Vec<u8>>, &'static str> {
        Ok(self.left.pop())
    }
    fn is_last(&mut self) -> Result<bool, &'static str> {
        self.asked += 1;
        Ok(self.left.is_empty())
    }
    fn print(&mut self, bytes: &[u8]) {
        self.printed.extend_from_slice(bytes);
    }
    fn write(&mut self, file: usize, bytes: &[u8]) {
        self.written[file].extend_from_slice(bytes);
    }
    fn read(&mut self, name: &str) -> Vec<u8> {
        alloc::format!("<{name}>\n").into_bytes()
    }
}

fn run(script: &str, quiet: bool, input: &str) -> (String, Vec<Vec<u8>>) {
    let io = edited(script, quiet, input);
    (String::from_utf8(io.printed).unwrap(), io.written)
}

fn edited(script: &str, quiet: bool, input: &str) -> Lines {
    let script = parse(script).unwrap();
    let mut left: Vec<Vec<u8>> = input.lines().map(|l| l.as_bytes().to_vec()).collect();
    left.reverse();
    let written = alloc::vec![Vec::new(); script.files().len()];
    let mut io = Lines { left, asked: 0, printed: Vec::new(), written };
    Editor::new(&script, quiet).run(&mut io).unwrap();
    io
}

/// What is typed is not waited for unless it counts.
#[test]
fn nobody_looks_for_more_than_is_wanted() {
    for (script, left, asked) in [
        ("1q", 3, 0),
        ("2q", 2, 0),
        ("/b/q", 2, 0),
        ("2,3p", 0, 0),
        ("s/a/b/;1!q", 2, 0),
        ("$p", 0, 4),
        ("1{$p;q;}", 3, 1),
    ] {
        let io = edited(script, false, "a\nb\nc\nd\n");
        assert_eq!((io.left.len(), io.asked), (left, asked), "{script}");
    }
}

fn sed(script: &str, input: &str) -> String {
    run(script, false, input).0
}

fn sedn(script: &str, input: &str) -> String {
    run(script, true, input).0
}

const ABC: &str = "a\nb\nc\nd\n";

#[test]
fn addresses() {
    assert_eq!(sedn("2p", ABC), "b\n");
    assert_eq!(sedn("$p", ABC), "d\n");
    assert_eq!(sedn("2,3p", ABC), "b\nc\n");
    assert_eq!(sedn("3,1p", ABC), "c\n");
    assert_eq!(sedn("/b/,/c/p", ABC), "b\nc\n");
    assert_eq!(sedn("/c/,/x/p", ABC), "c\nd\n");
    assert_eq!(sedn("2,3!p", ABC), "a\nd\n");
    assert_eq!(sedn("\\,b,p", ABC), "b\n");
    assert_eq!(sed("2q", ABC), "a\nb\n");
    assert_eq!(sed("/b/d;/d/d", ABC), "a\nc\n");
}

#[test]
fn substitutions() {
    assert_eq!(sed("s/[a-c]/<&>/", "abc"), "<a>bc\n");
    assert_eq!(sed("s/[a-c]/<&>/g", "abxc"), "<a><b>x<c>\n");
    assert_eq!(sed("s/./X/2", "abc"), "aXc\n");
    assert_eq!(sed("s/./X/2g", "abc"), "aXX\n");
    assert_eq!(sed("s,(.)(.),\\2\\1,", "ab"), "ba\n");
    assert_eq!(sed("s/x*/-/g", "abc"), "-a-b-c\n");
    assert_eq!(sed("s/b*/-/g", "abc"), "-a--c\n");
    assert_eq!(sed("s/x*/-/g", "xx"), "-\n");
    assert_eq!(sed("s/a\\/b/x/", "a/b"), "x\n");
    assert_eq!(sed("s/a/\\&\\n/", "a"), "&\n\n");
    assert_eq!(sed("/b/s//x/", "abc"), "axc\n");
    assert_eq!(sedn("s/a/x/p", "a\nb"), "x\n");
    assert_eq!(sed("s|a\\|b|x|", "a|b"), "x\n");
    assert_eq!(sed("s/[/]/x/", "a/b"), "axb\n");
    let (_, written) = run("s/a/x/w out", true, "a\nb");
    assert_eq!(written, [b"x\n".to_vec()]);
}

#[test]
fn hold_and_next() {
    assert_eq!(sedn("1!G;h;$p", ABC), "d\nc\nb\na\n");
    assert_eq!(sed("N;s/\\n/+/", ABC), "a+b\nc+d\n");
    assert_eq!(sed("$!N;P;D", "a\na\nb"), "a\na\nb\n");
    assert_eq!(sed("n;d", ABC), "a\nc\n");
    assert_eq!(sed("x;p;x", "a\nb"), "\na\n\nb\n");
}

#[test]
fn branches_and_blocks() {
    assert_eq!(sed(":a\ns/x/y/\nta", "xxx"), "yyy\n");
    assert_eq!(sed("/b/{s/b/B/;p;}", ABC), "a\nB\nB\nc\nd\n");
    assert_eq!(sed("/b/{\ns/b/B/\nb end\n}\ns/./-/\n:end", ABC), "-\nB\n-\n-\n");
    assert_eq!(sed("/b/!{/c/!d}", ABC), "b\nc\n");
}

#[test]
fn texts_and_files() {
    assert_eq!(sed("2a\\\nnew\\\nlines", "a\nb\nc"), "a\nb\nnew\nlines\nc\n");
    assert_eq!(sed("1i\\\nnew", "a"), "new\na\n");
    assert_eq!(sed("2,3c\\\nnew", ABC), "a\nnew\nd\n");
    assert_eq!(sed("$r file", "a\nb"), "a\nb\n<file>\n");
    assert_eq!(sed("y/abc/αbC/", "abcc"), "αbCC\n");
    assert_eq!(sedn("=", "a\nb"), "1\n2\n");
    assert_eq!(sedn("l", "a\tb\\\u{1}"), "a\\tb\\\\\\x0001\n");
    assert_eq!(run("/b/w x\nw y", true, ABC).1, [b"b\n".to_vec(), b"a\nb\nc\nd\n".to_vec()]);
}

#[test]
fn bad_scripts() {
    for bad in ["{", "}", "k", "s/a/b", "s/(/b/", "y/ab/c/", "bx", "1,2q", "1,p", "s/a/b/k", "p x", ":"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert!(parse("bx").unwrap_err().to_string().contains("undefined label x"));
}
