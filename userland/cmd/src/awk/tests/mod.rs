//! Programs and what they print.

mod language;
mod records;

use super::streams::{Handle, How, World};
use super::{Program, Start};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Files in memory, and commands `echo WORDS`, `upper`, which prints its input in capitals, and `exit N`.
#[derive(Default)]
struct Memory {
    files: BTreeMap<String, Vec<u8>>,
    open: BTreeMap<Handle, Open>,
    opened: Handle,
    printed: Vec<u8>,
    complaints: Vec<u8>,
    input: Vec<u8>,
    safe: bool,
}

enum Open {
    Read(Vec<u8>),
    Write(String),
    Upper(Vec<u8>),
}

impl Memory {
    fn add(&mut self, open: Open) -> Handle {
        self.opened += 1;
        self.open.insert(100 + self.opened, open);
        100 + self.opened
    }
}

impl World for Memory {
    fn open(&mut self, name: &[u8], how: How) -> Result<Handle, String> {
        let name = String::from_utf8_lossy(name).into_owned();
        if how == How::Read {
            let text = self.files.get(&name).cloned().ok_or("file does not exist")?;
            return Ok(self.add(Open::Read(text)));
        }
        let file = self.files.entry(name.clone()).or_default();
        if how == How::Write {
            file.clear();
        }
        Ok(self.add(Open::Write(name)))
    }

    fn pipe(&mut self, command: &[u8], how: How) -> Result<Handle, String> {
        let command = String::from_utf8_lossy(command).into_owned();
        match (command.strip_prefix("echo "), how) {
            (Some(words), How::Read) => {
                Ok(self.add(Open::Read(format!("{}\n", words.replace("; ", "\n")).into_bytes())))
            }
            (None, How::Write) => Ok(self.add(Open::Upper(Vec::new()))),
            _ => Err("no such command".into()),
        }
    }

    fn read(&mut self, handle: Handle, buf: &mut [u8]) -> Result<usize, String> {
        let text = match self.open.get_mut(&handle) {
            Some(Open::Read(text)) => text,
            _ if handle == 0 => &mut self.input,
            _ => return Err("bad handle".into()),
        };
        // In small pieces, so that records are in several.
        let n = text.len().min(buf.len()).min(3);
        buf[..n].copy_from_slice(&text[..n]);
        text.drain(..n);
        Ok(n)
    }

    fn write(&mut self, handle: Handle, bytes: &[u8]) -> Result<(), String> {
        match self.open.get_mut(&handle) {
            Some(Open::Write(name)) => self.files.get_mut(name).unwrap().extend_from_slice(bytes),
            Some(Open::Upper(text)) => text.extend_from_slice(bytes),
            _ if handle == 1 => self.printed.extend_from_slice(bytes),
            _ if handle == 2 => self.complaints.extend_from_slice(bytes),
            _ => return Err("bad handle".into()),
        }
        Ok(())
    }

    fn close(&mut self, handle: Handle) -> f64 {
        match self.open.remove(&handle) {
            None => -1.0,
            Some(Open::Upper(text)) => {
                self.printed.extend(text.to_ascii_uppercase());
                7.0
            }
            Some(_) => 0.0,
        }
    }

    fn is_safe(&self) -> bool {
        self.safe
    }

    fn system(&mut self, command: &[u8]) -> f64 {
        let command = String::from_utf8_lossy(command).into_owned();
        if let Some(words) = command.strip_prefix("echo ") {
            self.printed.extend(format!("{words}\n").bytes());
        }
        command.strip_prefix("exit ").and_then(|n| n.parse().ok()).unwrap_or(0.0)
    }

    fn seconds(&mut self) -> f64 {
        1e9 + 0.5
    }

    fn environment(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        Vec::from([(b"home".to_vec(), b"/usr/glenda".to_vec()), (b"n".to_vec(), b"10".to_vec())])
    }

    fn is_watched(&mut self) -> bool {
        false
    }
}

const STACK: usize = 1 << 20;

fn memory(input: &str) -> Memory {
    let files = [
        ("letters", "a b c\nd e f\n1 2 3\n10 20 30\n  lead  x\n\nlast line here\n"),
        ("users", "root:x:0:0:root:/root\nbin:x:1:1:bin:/bin\nsys:x:2:2:sys:/\n"),
        ("parts", "\n\np1 l1\np1 l2\n\n\n\np2 l1\np2 l2\n\np3\n"),
        ("greek", "αβγ δε ζ\nnaïve café\n"),
    ];
    let files = files.map(|(name, text)| (name.to_string(), text.as_bytes().to_vec())).into();
    Memory { files, input: input.as_bytes().to_vec(), ..Memory::default() }
}

/// What it prints, and the status or the fault.
fn run(program: &str, words: &[&str], input: &str) -> (String, Result<f64, String>) {
    let mut memory = memory(input);
    let arguments: Vec<String> = ["awk"].iter().chain(words).map(|w| w.to_string()).collect();
    let start = Start { arguments: &arguments, stack: STACK, ..Start::default() };
    let ended = Program::parse(program.as_bytes()).and_then(|program| program.run(&start, &mut memory));
    (String::from_utf8(memory.printed).unwrap(), ended)
}

#[track_caller]
fn prints(program: &str, words: &[&str], want: &str) {
    assert_eq!(run(program, words, ""), (want.into(), Ok(0.0)), "{program}");
}

/// Of a program that reads nothing: what the expressions are, as print prints them.
#[track_caller]
fn is(list: &str, want: &str) {
    prints(&format!("BEGIN {{ print {list} }}"), &[], &format!("{want}\n"));
}

#[track_caller]
fn fails(program: &str, want: &str) {
    let (_, ended) = run(program, &[], "x\n");
    let said = ended.expect_err(program);
    assert!(said.contains(want), "{program}: {said}");
}
