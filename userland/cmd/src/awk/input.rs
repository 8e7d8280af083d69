//! Where records come from: the files that ARGV names, one after the other, and what getline reads.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::lex::unescaped;
use super::run::{Done, Machine};
use super::streams::{How, Reader};
use super::tree::{Expr, Name, Source, Special};
use super::value::Value;

/// The main input.
#[derive(Default)]
pub(super) struct Input {
    reader: Option<Reader>,
    /// The word of ARGV that was looked at last.
    at: usize,
    /// A file was read, or none was named and standard input was.
    any: bool,
    name: Vec<u8>,
}

impl Input {
    /// What is read.
    pub(super) fn file_name(&self) -> &[u8] {
        &self.name
    }
}

impl<'a> Machine<'a> {
    /// Reads the next record of the main input into `$0`. False when there is none.
    pub(super) fn next_record(&mut self) -> Done<bool> {
        let mut line = self.buffer();
        let read = self.next_line(&mut line)?;
        if read {
            core::mem::swap(self.record.line(), &mut line);
            self.record.renewed();
        }
        self.spare.push(line);
        Ok(read)
    }

    /// Reads the next record of the main input, and counts it.
    fn next_line(&mut self, line: &mut Vec<u8>) -> Done<bool> {
        loop {
            if self.input.reader.is_none() && !self.next_file()? {
                return Ok(false);
            }
            let Some(reader) = &mut self.input.reader else { continue };
            let read = reader.record(&self.settings.rs, self.world, line);
            let there = read
                .map_err(|e| format!("read error of {}: {e}", String::from_utf8_lossy(&self.input.name)))?;
            if there {
                self.nr += 1.0;
                self.fnr += 1.0;
                return Ok(true);
            }
            self.skip_file();
        }
    }

    /// Goes on with the next file when the next record is asked for.
    pub(super) fn skip_file(&mut self) {
        if let Some(reader) = self.input.reader.take()
            && reader.handle() != 0
        {
            self.world.close(reader.handle());
        }
    }

    /// Opens the next file, and does the assignments before it.
    fn next_file(&mut self) -> Done<bool> {
        loop {
            self.input.at += 1;
            let count = self.global_value(Special::Argc).number();
            if self.input.at as f64 >= count {
                if self.input.any {
                    return Ok(false);
                }
                self.opened(Reader::new(0), b"");
                return Ok(true);
            }
            let arguments = self.array(Name::Global(Special::Argv as usize))?;
            let key = format!("{}", self.input.at);
            if !arguments.borrow().contains(key.as_bytes()) {
                continue;
            }
            let word = arguments.borrow_mut().entry(key.as_bytes()).text(&self.settings.convfmt);
            if word.is_empty() {
                continue;
            }
            if let Some((name, value)) = assignment(&word) {
                self.assign_by_name(name, value)?;
                continue;
            }
            let reader = match &*word {
                b"-" | b"/dev/stdin" | b"/fd/0" => Reader::new(0),
                name => {
                    let opened = self.world.open(name, How::Read);
                    Reader::new(
                        opened
                            .map_err(|e| format!("can't open file {}: {e}", String::from_utf8_lossy(name)))?,
                    )
                }
            };
            self.opened(reader, &word);
            return Ok(true);
        }
    }

    fn opened(&mut self, reader: Reader, name: &[u8]) {
        self.input.reader = Some(reader);
        self.input.any = true;
        self.input.name = name.into();
        self.fnr = 0.0;
        self.set_cell(Special::Filename as usize, Value::string(name));
    }

    /// An assignment of the command line. A variable that the program has not is set for nobody.
    pub(super) fn assign_by_name(&mut self, name: &str, value: &[u8]) -> Done<()> {
        let value = Value::Input(unescaped(value, true).into());
        match self.program.globals.iter().position(|global| **global == *name) {
            Some(number) if number < Special::LIVELY => self.set_special(number, value),
            Some(number) => self.set_variable(Name::Global(number), value),
            None => Ok(()),
        }
    }

    /// getline: 1, 0 at the end, or -1.
    pub(super) fn getline(&mut self, source: &'a Source, variable: Option<&'a Expr>) -> Done<f64> {
        let mut line = self.buffer();
        let read = match source {
            Source::Main => self.next_line(&mut line)?,
            Source::File(name) | Source::Pipe(name) => {
                let pipe = matches!(source, Source::Pipe(_));
                if pipe && self.world.is_safe() {
                    return Err("getline from a command: not allowed with -safe".into());
                }
                let name = self.text(name)?;
                let Some(reader) = self.streams.reader(pipe, &name, self.world) else {
                    self.spare.push(line);
                    return Ok(-1.0);
                };
                match reader.record(&self.settings.rs, self.world, &mut line) {
                    Ok(read) => read,
                    Err(_) => return Ok(-1.0),
                }
            }
        };
        if read {
            if let Source::Pipe(_) = source {
                self.nr += 1.0;
            }
            match variable {
                Some(place) => self.assign(place, Value::Input(line.as_slice().into()))?,
                None => {
                    core::mem::swap(self.record.line(), &mut line);
                    self.record.renewed();
                }
            }
        }
        self.spare.push(line);
        Ok(if read { 1.0 } else { 0.0 })
    }
}

/// The name and the value, if the word is an assignment.
pub(super) fn assignment(word: &[u8]) -> Option<(&str, &[u8])> {
    let at = word.iter().position(|&b| b == b'=')?;
    let name = core::str::from_utf8(word.get(..at)?).ok()?;
    let mut letters = name.chars();
    let first = letters.next()?;
    let letter = |c: char| c == '_' || c.is_ascii_alphabetic() || !c.is_ascii();
    let good = letter(first) && letters.all(|c| letter(c) || c.is_ascii_digit());
    good.then_some((name, word.get(at + 1..)?))
}
