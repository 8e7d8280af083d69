//! hoc [file ...] [-e expression]: a calculator with variables, functions and the statements of a small language.

use alloc::string::String;
use alloc::vec::Vec;

use cmd::hoc::{Hoc, Io};
use lib9::{Args, File, Reader, Result, eprintln, exits, fd, out, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut hoc = Hoc::new();
    let mut good = true;
    let mut words = args.words();
    if words.is_empty() {
        good = run(&mut hoc, Program::File(Reader::new(0)), "");
    }
    while let Some((word, rest)) = words.split_first() {
        words = rest;
        if let Some(attached) = word.strip_prefix("-e") {
            let text = lib9::args::flag_value(attached, &mut words).unwrap_or_else(|| synopsis(args));
            let lines = text.lines().rev().map(|line| alloc::format!("{line}\n")).collect();
            good &= run(&mut hoc, Program::Words(lines), "");
        } else if word == "-" {
            good &= run(&mut hoc, Program::File(Reader::new(0)), "");
        } else if word.starts_with('-') {
            synopsis(args);
        } else {
            match File::open(word, abi::OREAD) {
                Ok(file) => good &= run(&mut hoc, Program::File(Reader::new(file.fd())), word),
                Err(e) => {
                    let _ = out::flush();
                    eprintln!("hoc: can't open {word}: {e}");
                    good = false;
                }
            }
        }
    }
    if good { Ok(()) } else { exits("error") }
}

fn run(hoc: &mut Hoc, program: Program, name: &str) -> bool {
    let at_console = matches!(program, Program::File(_)) && name.is_empty();
    hoc.run(&mut World { program, name, input: None, words: Vec::new(), at_console })
}

/// Where a program's lines come from.
enum Program {
    File(Reader),
    /// The next one last.
    Words(Vec<String>),
}

struct World<'a> {
    program: Program,
    name: &'a str,
    /// What `read` reads, when the program does not come from there itself.
    input: Option<Reader>,
    /// Words that are read and not asked for yet, the next one last.
    words: Vec<String>,
    /// The program is standard input: what it prints is to be seen before it goes on.
    at_console: bool,
}

impl Io for World<'_> {
    fn line(&mut self) -> Option<String> {
        match &mut self.program {
            Program::Words(lines) => lines.pop(),
            Program::File(reader) => {
                if self.at_console {
                    let _ = out::flush();
                }
                let line = reader.line().ok().flatten()?;
                Some(String::from_utf8_lossy(&line).into_owned())
            }
        }
    }

    fn print(&mut self, text: &str) {
        out::write(text.as_bytes());
    }

    fn forget(&mut self) {
        match &mut self.program {
            // A pipe has no end to go to.
            Program::File(reader) if self.at_console => {
                if fd::seek(0, 0, 2).is_ok() {
                    *reader = Reader::new(0);
                }
            }
            _ => self.program = Program::Words(Vec::new()),
        }
    }

    fn complain(&mut self, what: &str, line: u32) {
        let _ = out::flush();
        let place = if self.name.is_empty() { String::new() } else { alloc::format!(" in {}", self.name) };
        eprintln!("hoc: {what}{place} near line {line}");
    }

    fn word(&mut self) -> Option<String> {
        let _ = out::flush();
        while self.words.is_empty() {
            let line = match &mut self.program {
                Program::File(reader) if self.at_console => reader.line(),
                _ => self.input.get_or_insert_with(|| Reader::new(0)).line(),
            };
            let line = line.ok().flatten()?;
            self.words = String::from_utf8_lossy(&line).split_whitespace().rev().map(String::from).collect();
        }
        self.words.pop()
    }
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[file ...] [-e expression]")
}
