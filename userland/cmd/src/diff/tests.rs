//! Changes, and what they look like.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::*;

fn told(form: Form, blanks: Blanks, old: &str, new: &str) -> String {
    let (a, b) = (lines(old.as_bytes()), lines(new.as_bytes()));
    let changes = changes(&a, &b, blanks);
    let mut out = Vec::new();
    if !changes.is_empty() {
        show(form, ["a", "b"], &a, &b, &changes, &mut |bytes| out.extend_from_slice(bytes));
    }
    String::from_utf8(out).unwrap()
}

fn normal(old: &str, new: &str) -> String {
    told(Form::Normal, Blanks::All, old, new)
}

const OLD: &str = "one\ntwo\nthree\nfour\nfive\n";
const NEW: &str = "zero\none\ntwo\n3\nfour\n";

#[test]
fn commands() {
    assert_eq!(normal(OLD, NEW), "0a1\n> zero\n3c4\n< three\n---\n> 3\n5d5\n< five\n");
    assert_eq!(normal("a\nb\nc\n", ""), "1,3d0\n< a\n< b\n< c\n");
    assert_eq!(normal("", "a\nb\n"), "0a1,2\n> a\n> b\n");
    assert_eq!(normal(OLD, OLD), "");
    assert_eq!(normal("", ""), "");
    assert_eq!(normal("a", "a\n"), "1c1\n< a\n\\ No newline at end of file\n---\n> a\n");
    assert_eq!(told(Form::Named, Blanks::All, "a\nb\n", "b\n"), "a:1 d b:0\n< a\n");
}

#[test]
fn scripts() {
    assert_eq!(told(Form::Ed, Blanks::All, OLD, NEW), "5d\n3c\n3\n.\n0a\nzero\n.\n");
    assert_eq!(told(Form::Forward, Blanks::All, "a\nb\nc\n", "c\nd\n"), "d1 2\na3\nd\n.\n");
    assert_eq!(told(Form::Ed, Blanks::All, "x\n", "x\n.\ny\n"), "1a\n..\n.\ns/.//\na\ny\n.\n");
}

#[test]
fn with_lines_around() {
    let old: String = (1..=20).map(|n| format!("{n}\n")).collect();
    let new = old.replace("5\n", "five\n").replace("\n17\n", "\n").replace("1five\n", "15\n");
    assert_eq!(
        told(Form::Context, Blanks::All, &old, &new),
        "a:2,8 - b:2,8\n  2\n  3\n  4\n- 5\n+ five\n  6\n  7\n  8\n\
         a:14,20 - b:14,19\n  14\n  15\n  16\n- 17\n  18\n  19\n  20\n"
    );
    assert_eq!(
        told(Form::Unified, Blanks::All, "1\n2\n3\n", "1\n3\n4\n"),
        "--- a\n+++ b\n@@ -1,3 +1,3 @@\n 1\n-2\n 3\n+4\n"
    );
    assert_eq!(told(Form::Unified, Blanks::All, "", "x\n"), "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n");
    assert_eq!(told(Form::All, Blanks::All, "1\n2\n", "1\n"), "a:1,2 - b:1\n  1\n- 2\n");
}

#[test]
fn blanks() {
    let (old, new) = ("a  b \nc d\n", "a b\ncd\n");
    assert_eq!(told(Form::Ed, Blanks::Runs, old, new), "2c\ncd\n.\n");
    assert_eq!(told(Form::Ed, Blanks::None, old, new), "");
    assert_eq!(told(Form::Ed, Blanks::Runs, "a\n", " a\n"), "1c\n a\n.\n");
}

/// Applied to the old text the changes make the new one, and what is kept is equal.
#[test]
fn changes_lead_from_one_to_the_other() {
    let mut seed = 1u32;
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12345);
        (seed >> 16) % below
    };
    for round in 0..400 {
        let kinds = 2 + round % 7;
        let mut text = |longest: u32| -> String {
            let n = random(longest + 1);
            (0..n).map(|_| format!("{}\n", random(kinds))).collect()
        };
        let (old, new) = (text(40), text(40));
        check(&old, &new);
    }
    // Longer than anybody's patience.
    let mut long = |n: u32| -> String { (0..n).map(|_| format!("{}\n", random(3))).collect() };
    let (old, new) = (long(4500), long(4500));
    check(&old, &new);
}

fn check(old: &str, new: &str) {
    let (a, b) = (lines(old.as_bytes()), lines(new.as_bytes()));
    let mut made: Vec<&[u8]> = Vec::new();
    let mut at = 0;
    for change in changes(&a, &b, Blanks::All) {
        made.extend_from_slice(&a[at..change.old.start]);
        assert_eq!(made.len(), change.new.start);
        made.extend_from_slice(&b[change.new.clone()]);
        at = change.old.end;
    }
    made.extend_from_slice(&a[at..]);
    assert_eq!(made, b);
}

#[test]
fn the_shortest_script_is_found() {
    // What Myers' own example needs: five lines.
    let split = |text: &str| text.chars().map(|c| format!("{c}\n")).collect::<String>();
    let (old, new) = (split("abcabba"), split("cbabac"));
    let (a, b) = (lines(old.as_bytes()), lines(new.as_bytes()));
    let all = changes(&a, &b, Blanks::All);
    assert_eq!(all.iter().map(|c| c.old.len() + c.new.len()).sum::<usize>(), 5);
}
