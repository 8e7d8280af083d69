//! Scripts of commands, and what they print and write.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;

#[derive(Default)]
struct World {
    input: Vec<u8>,
    out: String,
    files: BTreeMap<String, String>,
    /// The input is a file, not somebody who types.
    script: bool,
    /// Lines of input before the interrupt comes.
    interrupt: Option<usize>,
    /// Looks for an interrupt before it comes.
    checks: Option<usize>,
    /// How often the end of the input was read.
    ends: usize,
}

impl Io for World {
    fn line(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        match &mut self.interrupt {
            Some(0) => {
                self.interrupt = None;
                return wrong();
            }
            Some(n) => *n -= 1,
            None => {}
        }
        if self.input.is_empty() {
            self.ends += 1;
            return Ok(None);
        }
        let end = self.input.iter().position(|&b| b == b'\n').map_or(self.input.len(), |at| at + 1);
        Ok(Some(self.input.drain(..end).collect()))
    }

    fn forget(&mut self) {
        if self.script {
            self.input.clear();
        }
    }

    fn print(&mut self, text: &[u8]) {
        self.out.push_str(&String::from_utf8_lossy(text));
    }

    fn check(&mut self) -> Result<(), Fault> {
        match &mut self.checks {
            Some(0) => {
                self.checks = None;
                wrong()
            }
            Some(n) => {
                *n -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn read(&mut self, name: &str, take: &mut dyn FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        let text = self.files.get(name).ok_or_else(|| Fault::Wrong(name.into()))?;
        text.as_bytes().chunks(3).try_for_each(take)?;
        // One whose disk has a bad place.
        if name == "half" { Err(Fault::Wrong(name.into())) } else { Ok(()) }
    }

    fn write(
        &mut self,
        name: &str,
        append: bool,
        lines: &mut dyn Iterator<Item = &[u8]>,
    ) -> Result<(), Fault> {
        if name.starts_with('#') {
            return Err(Fault::Wrong(name.into()));
        }
        let text: String = lines.map(|l| format!("{}\n", String::from_utf8_lossy(l))).collect();
        let file = self.files.entry(name.into()).or_default();
        if !append {
            file.clear();
        }
        file.push_str(&text);
        Ok(())
    }

    fn shell(&mut self, command: &[u8]) -> Result<(), Fault> {
        self.out.push_str(&format!("[{}]", String::from_utf8_lossy(command)));
        Ok(())
    }
}

fn world(input: &str) -> World {
    let mut world = World { input: input.into(), ..World::default() };
    world.files.insert("abc".into(), "a\nb\nc\n".into());
    world.files.insert("ten".into(), (1..=10).map(|n| format!("{n}\n")).collect());
    world
}

/// What an editor of the file prints.
fn ed(file: &str, input: &str) -> String {
    run(file, world(input)).0
}

fn run(file: &str, world: World) -> (String, BTreeMap<String, String>) {
    let mut editor = Editor::new(world, true, None);
    editor.open(file).unwrap();
    editor.run().unwrap();
    let world = core::mem::take(editor.io());
    (world.out, world.files)
}

/// The text of `abc`, or of another file, after some commands.
fn edited(file: &str, commands: &str) -> String {
    ed(file, &format!("{commands}\n,p\n"))
}

#[test]
fn addresses() {
    for (address, want) in [
        ("1", "1"),
        ("$", "10"),
        ("$-2", "8"),
        ("3+", "4"),
        ("3++", "5"),
        ("5--^", "2"),
        ("5\n-2", "5\n3"),
        ("2 3", "5"),
        ("/5/", "5"),
        ("5\n?3?", "5\n3"),
        ("5\n/1/", "5\n10"),
        ("3\n/1/+2", "3\n?"),
        ("0/1/", "1"),
        ("$/1/", "1"),
        ("1?1?", "10"),
        ("$-/1/", "1"),
        ("2,3", "3"),
        ("2;+1", "2\n3"),
        ("2ka\n'a+1", "3"),
        ("'b", "?"),
        ("11", "?"),
        ("0", "?"),
        ("0p", "?"),
        ("3,2p", "?"),
        ("1,2,4,5p", "4\n5"),
        ("..", "?"),
        ("/x/", "?"),
        ("//", "?"),
        ("/(/", "?"),
        (";p", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10"),
        (",2p", "1\n2"),
        ("99999999999999999999", "?"),
    ] {
        assert_eq!(ed("ten", &format!("{address}\n")), format!("{want}\n"), "{address}");
    }
    // Blank lines step through the text.
    assert_eq!(ed("abc", "1\n\n\n\n"), "a\nb\nc\n?\n");
    assert_eq!(ed("abc", "//\n/b/\n//\n"), "?\nb\nb\n");
}

#[test]
fn texts() {
    assert_eq!(edited("abc", "2a\nx\ny\n."), "a\nb\nx\ny\nc\n");
    assert_eq!(edited("abc", "0a\nx\n."), "x\na\nb\nc\n");
    assert_eq!(edited("abc", "1i\nx\n.\n.="), "1\nx\na\nb\nc\n");
    assert_eq!(edited("abc", "1,2c\nx\n..\n."), "x\n..\nc\n");
    assert_eq!(edited("abc", "2c\n.\n.="), "1\na\nc\n");
    assert_eq!(edited("abc", "2d\n.="), "2\na\nc\n");
    assert_eq!(edited("abc", "$d\n.="), "2\na\nb\n");
    assert_eq!(edited("abc", "1,$d\n.="), "0\n?\n");
    assert_eq!(edited("abc", "1,$d\ni\nx\n."), "x\n");
    assert_eq!(edited("abc", "2dp"), "c\na\nc\n");
    // Without its dot the text ends with the input.
    assert_eq!(ed("abc", "a\nx"), "");
}

/// The end of what is typed ends the editor, which warns once; one end is enough for a text and the commands.
#[test]
fn ends() {
    let of = |input: &str| {
        let mut editor = Editor::new(world(input), false, None);
        editor.open("abc").unwrap();
        editor.run().unwrap();
        (core::mem::take(&mut editor.io().out), editor.io().ends)
    };
    assert_eq!(of(""), ("6\n".into(), 1));
    assert_eq!(of("1d\n"), ("6\n?\n".into(), 2));
    assert_eq!(of("a\nx\n"), ("6\n?\n".into(), 2));
    assert_eq!(of("a\nx\n.\nq\n"), ("6\n?\n".into(), 1));
    assert_eq!(of("g/b/a\\\nx\nw abc\n"), ("6\n8\n".into(), 1));
}

#[test]
fn moving() {
    assert_eq!(edited("abc", "1m$\n.="), "3\nb\nc\na\n");
    assert_eq!(edited("abc", "3m0\n.="), "1\nc\na\nb\n");
    assert_eq!(edited("abc", "1,2m3\n.="), "3\nc\na\nb\n");
    assert_eq!(edited("abc", "1,2m1"), "?\na\nb\nc\n");
    assert_eq!(edited("abc", "1,2m2"), "a\nb\nc\n");
    assert_eq!(edited("abc", "2m"), "?\na\nb\nc\n");
    assert_eq!(edited("abc", "1,2t.\n.="), "5\na\nb\nc\na\nb\n");
    assert_eq!(edited("abc", "2t0"), "b\na\nb\nc\n");
    assert_eq!(edited("abc", "1,3j"), "abc\n");
    assert_eq!(edited("abc", "1jp"), "a\na\nb\nc\n");
    assert_eq!(edited("abc", "1\nj"), "a\nab\nc\n");
    assert_eq!(edited("abc", "3\nj"), "c\n?\na\nb\nc\n");
    // Names stay with their lines.
    assert_eq!(edited("abc", "1kx\n1m$\n'xs/a/A/"), "b\nc\nA\n");
    assert_eq!(edited("abc", "1kx\n1d\n'xp"), "?\nb\nc\n");
    assert_eq!(edited("abc", "1kX\n0kx"), "?\n?\na\nb\nc\n");
}

#[test]
fn substitutions() {
    assert_eq!(ed("abc", "1s/a/xyx/\ns/x/-/g\ns2/-/+/p\ns/y\n"), "-y+\n-+\n");
    assert_eq!(edited("abc", ",s/[ab]/<&>/"), "<a>\n<b>\nc\n");
    assert_eq!(edited("abc", "1s/(.)/\\1\\&\\1/"), "a&a\nb\nc\n");
    assert_eq!(edited("abc", "2s/b/x\\\ny/\n.="), "3\na\nx\ny\nc\n");
    assert_eq!(edited("abc", ",s/x/y/"), "?\na\nb\nc\n");
    assert_eq!(edited("abc", "1s|a|/|\n1s,/,\\,,"), ",\nb\nc\n");
    assert_eq!(edited("abc", "/b/s//x/\ns//y/"), "?\na\nx\nc\n");
    assert_eq!(ed("abc", "1s/a/b\n"), "b\n");
    assert_eq!(ed("abc", "1s/a/b/n\n1s/b/c/gl\n"), "1\tb\nc\n");
    assert_eq!(edited("abc", "1s/x*/-/g\n2s/b*/-/g"), "-a-\n--\nc\n");
    assert_eq!(edited("abc", "s\ns/a\\\n1s/a/b/x"), "?\n?\n?\na\nb\nc\n");
}

#[test]
fn undone() {
    assert_eq!(edited("abc", "2s/b/x/\nu"), "a\nb\nc\n");
    assert_eq!(edited("abc", "2s/b/x/\nu\nu"), "?\na\nb\nc\n");
    assert_eq!(edited("abc", ",s/[abc]/x/\nu"), "x\nx\nc\n");
    assert_eq!(edited("abc", "2s/b/x/\n1u\n2up"), "?\nb\na\nb\nc\n");
    assert_eq!(edited("abc", "2s/b/x/\n1d\n1u"), "b\nc\n");
}

#[test]
fn globals() {
    assert_eq!(edited("ten", "g/1/d"), "2\n3\n4\n5\n6\n7\n8\n9\n");
    assert_eq!(edited("ten", "v/1/d\n.="), "2\n1\n10\n");
    assert_eq!(ed("ten", "g/1/\ng/1/p\ng/1\ng/1/n\n"), "1\n10\n1\n10\n1\n10\n1\t1\n10\t10\n");
    assert_eq!(edited("abc", "g/./m0"), "c\nb\na\n");
    assert_eq!(edited("abc", "g/[ab]/s/$/!/\\\na\\\nx"), "a!\nx\nb!\nx\nc\n");
    assert_eq!(edited("abc", "g/[ab]/i\\\nx\\\n.\\\ns/./<&>/"), "<x>\na\n<x>\nb\nc\n");
    assert_eq!(edited("abc", "g/b/s/b/1\\\n2/"), "a\n1\n2\nc\n");
    assert_eq!(edited("abc", "g/./s/b/x/"), "a\nx\nc\n");
    assert_eq!(ed("abc", "g/./g/./p\ng\ng//p\ng/(/p\n"), "?\n?\na\nb\nc\n?\n");
    assert_eq!(edited("abc", "g/./j"), "?\nab\nc\n");
    assert_eq!(edited("abc", "g/[ac]/t$"), "a\nb\nc\na\nc\n");
    assert_eq!(ed("abc", "2,3g/./.=\n"), "2\n3\n");
    // A fault ends it, and leaves no mark behind.
    assert_eq!(ed("abc", "g/./x\n,p\n"), "?\na\nb\nc\n");
}

#[test]
fn files() {
    let (out, files) = run("abc", world("2d\nw\n1w one\nW one\nf\nf new\nw\nr nothing\nw #x\n"));
    assert_eq!(out, "abc\nnew\n?nothing\n?#x\n");
    assert_eq!((files["abc"].as_str(), files["one"].as_str()), ("a\nc\n", "a\na\nc\n"));
    assert_eq!(files["new"], "a\nc\n");
    assert_eq!(edited("abc", "1r abc\n.="), "4\na\na\nb\nc\nb\nc\n");
    assert_eq!(edited("abc", "0r abc\n.="), "3\na\nb\nc\na\nb\nc\n");
    assert_eq!(edited("abc", "e ten\n11,$p"), format!("?\n{}", ed("ten", ",p\n")));
    assert_eq!(ed("nothing", ",p\nw\n"), "?nothing\n?\n");
    assert_eq!(ed("abc", "wx\nw \n1f\n1e\n"), "?\n?\n?\n?\n");
    // What is not ended by a newline is a line all the same.
    let mut odd = world(",p\n");
    odd.files.insert("odd".into(), "x\nyκ".into());
    assert_eq!(run("odd", odd).0, "'\\n' appended\nx\nyκ\n");
}

#[test]
fn counts_and_warnings() {
    let talk = |input: &str| {
        let mut editor = Editor::new(world(input), false, None);
        editor.open("abc").unwrap();
        editor.run().unwrap();
        let rest = String::from_utf8_lossy(&editor.io().input).to_string();
        (core::mem::take(&mut editor.io().out), rest)
    };
    assert_eq!(talk("q\nx\n"), ("6\n".into(), "x\n".into()));
    assert_eq!(talk("1d\nq\nq\nx\n"), ("6\n?\n".into(), "x\n".into()));
    assert_eq!(talk("1d\nQ\nx\n"), ("6\n".into(), "x\n".into()));
    assert_eq!(talk("1d\nwq\nx\n"), ("6\n4\n".into(), "x\n".into()));
    assert_eq!(talk("1d\ne abc\ne abc\nq\nx\n"), ("6\n?\n6\n".into(), "x\n".into()));
    assert_eq!(talk("1d\nE abc\nq\nx\n"), ("6\n6\n".into(), "x\n".into()));
    assert_eq!(talk("1s/a/κ/\nw\n1,2w x\nr abc\nq\nq\n").0, "6\n6\n4\n6\n?\n");
    assert_eq!(talk("1d\n1w x\nq\nq\n").0, "6\n2\n?\n");
    assert_eq!(talk("!date\nq1\n1q\nq\n").0, "6\n[date]!\n?\n?\n");
    // Whoever goes on after the warning is warned again.
    assert_eq!(talk("1d\nq\n1d\nq\nq\nx\n"), ("6\n?\n?\n".into(), "x\n".into()));
    assert_eq!(talk("1,$d\ne ten\ne ten\nq\n").0, "6\n?\n21\n");
    assert_eq!(talk("1,$d\nq\nx\n"), ("6\n".into(), "x\n".into()));
    // The end of the input is a q.
    assert_eq!(talk("1d\n").0, "6\n?\n");
}

/// A text of which a part was read is not taken for the file, nor written over it.
#[test]
fn what_cannot_be_read_replaces_nothing() {
    let half = |input: &str| {
        let mut world = world(input);
        world.files.insert("half".into(), "one\ntwo\n".into());
        world
    };
    assert_eq!(run("abc", half("e half\nf\n,p\nw\n")).0, "?half\nabc\na\nb\nc\n");
    let (out, files) = run("half", half("f\na\nx\n.\nw\n"));
    assert_eq!((out.as_str(), files["half"].as_str()), ("?half\n\n?\n", "one\ntwo\n"));
    assert_eq!(run("abc", half("1d\nr half\n,p\n")).0, "?half\nb\nc\n");
    // A file that is not there is begun.
    let (out, files) = run("abc", world("e new\nf\na\nx\n.\nw\n"));
    assert_eq!((out.as_str(), files["new"].as_str()), ("?new\nnew\n", "x\n"));
}

#[test]
fn a_script_ends_with_its_first_fault() {
    let script = World { script: true, ..world("/nothing/\n1,$d\nw\nq\n") };
    let (out, files) = run("abc", script);
    assert_eq!((out.as_str(), files["abc"].as_str()), ("?\n", "a\nb\nc\n"));
    assert_eq!(run("abc", world("/nothing/\n1,$d\nw\nq\n")).1["abc"], "");
}

#[test]
fn printing() {
    assert_eq!(ed("abc", ",n\n2l\n"), "1\ta\n2\tb\n3\tc\nb\n");
    assert_eq!(ed("abc", "1s/a/\t\\\\κ𝄞\x01\x08 /l\n"), "\\t\\\\\\x03ba\\x1d11e\\x0001\\b \\n\n");
    let long = "x".repeat(100);
    let want = format!("{}\\\n\t{}\n", "x".repeat(72), "x".repeat(28));
    assert_eq!(ed("abc", &format!("1c\n{long}\n.\nl\n")), want);
    assert_eq!(ed("ten", "2b3\n.b\nb-2n\n"), "2\n3\n4\n5\n5\n6\n7\n8\n6\t6\n7\t7\n8\t8\n");
    assert_eq!(ed("abc", "=\n1=\n.=p\n2P\n1pp\n"), "3\n1\n3\nc\nb\na\na\n");
}

#[test]
fn interrupts() {
    // In the middle of a text: what was typed stays.
    let interrupted = World { interrupt: Some(3), ..world("$a\nx\ny\nz\n.\n,p\n") };
    assert_eq!(run("abc", interrupted).0, "?\n?\ny\na\nb\nc\nx\ny\n");
    // In the middle of a list of commands.
    let interrupted = World { checks: Some(3), ..world("g/./s/./x/\n,p\n") };
    let out = run("abc", interrupted).0;
    assert!(out.starts_with("?\n") && out.ends_with("c\n"), "{out}");
}

#[test]
fn a_hangup_keeps_the_text() {
    struct Gone(World);
    impl Io for Gone {
        fn line(&mut self) -> Result<Option<Vec<u8>>, Fault> {
            self.0.line()?.map_or(Err(Fault::Hangup), |line| Ok(Some(line)))
        }
        fn print(&mut self, text: &[u8]) {
            self.0.print(text);
        }
        fn check(&mut self) -> Result<(), Fault> {
            Ok(())
        }
        fn read(&mut self, n: &str, take: &mut dyn FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
            self.0.read(n, take)
        }
        fn write(&mut self, n: &str, a: bool, l: &mut dyn Iterator<Item = &[u8]>) -> Result<(), Fault> {
            self.0.write(n, a, l)
        }
        fn shell(&mut self, command: &[u8]) -> Result<(), Fault> {
            self.0.shell(command)
        }
    }
    let mut editor = Editor::new(Gone(world("$a\nx\n")), false, None);
    editor.open("abc").unwrap();
    assert!(!editor.is_changed());
    assert_eq!(editor.run(), Err(Fault::Hangup));
    assert!(editor.is_changed());
    editor.rescue("ed.hup").unwrap();
    assert_eq!(editor.io().0.files["ed.hup"], "a\nb\nc\nx\n");
    // A warning was no consent.
    let mut editor = Editor::new(Gone(world("1d\nq\n")), false, None);
    editor.open("abc").unwrap();
    assert_eq!(editor.run(), Err(Fault::Hangup));
    assert!(editor.is_changed());
}

/// Whatever is typed, nothing panics, and what is printed ends.
#[test]
fn anything_may_be_typed() {
    let mut seed = 7u32;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12345);
        (seed >> 16) as usize % below
    };
    let words = [
        "1", "2", "$", ".", ",", ";", "+", "-", "/", "?", "a", "b", "c", "d", "g", "v", "i", "j", "k", "l",
        "m", "n", "p", "s", "t", "u", "x", "=", "\n", "\n", "\\", "&", "'", "0", "(", "*", " ", ".\n",
        "s/a/b/", "\\\n",
    ];
    for _ in 0..3000 {
        let script: String = (0..random(40)).map(|_| words[random(words.len())]).collect();
        ed("abc", &script);
    }
}
