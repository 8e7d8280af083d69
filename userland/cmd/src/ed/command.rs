//! The commands.

use alloc::format;
use alloc::string::String;

use super::address::Addresses;
use super::buffer::{Lines, characters};
use super::{Editor, Fault, Flow, Io, PIECE, Show, wrong};

impl<I: Io> Editor<I> {
    /// Reads and runs one command.
    pub(super) fn command(&mut self) -> Result<Flow, Fault> {
        self.show_then()?;
        self.io.check()?;
        let lines = self.addresses()?;
        let Some(letter) = self.get_behind_blanks()? else {
            // The end of a list of g is not the end of everything.
            return if self.input.in_list() { Ok(Flow::Next) } else { self.quit() };
        };
        match letter {
            b'a' => self.append(lines.last)?,
            b'b' => self.browse(lines)?,
            b'c' => {
                self.some(lines)?;
                self.end_of_command()?;
                self.delete(lines);
                self.dot = lines.first - 1;
                self.text(lines.first - 1)?;
            }
            b'd' => {
                self.some(lines)?;
                self.end_of_command()?;
                self.delete(lines);
                self.dot = lines.first.min(self.buffer.len());
            }
            b'e' | b'E' => self.edit(lines, letter == b'E')?,
            b'f' => {
                self.none(lines)?;
                if let Some(name) = self.name()? {
                    self.file = Some(name);
                }
                let name = format!("{}\n", self.file.as_deref().unwrap_or(""));
                self.io.print(name.as_bytes());
            }
            b'g' | b'v' => return self.global(lines, letter == b'g'),
            // Before the addressed line; in an empty buffer there is none.
            b'i' => self.append(lines.last.saturating_sub(1))?,
            b'j' => self.join(lines)?,
            b'k' => {
                self.some(lines)?;
                let name = self.get()?.filter(u8::is_ascii_lowercase);
                self.end_of_command()?;
                if name.and_then(|name| self.buffer.set_name(name, lines.last)).is_none() {
                    return wrong();
                }
            }
            b'm' | b't' => self.transfer(lines, letter == b't')?,
            b'\n' => {
                // By itself it goes on to the next line.
                let lines = if lines.given {
                    lines
                } else {
                    Addresses { first: self.dot + 1, last: self.dot + 1, ..lines }
                };
                let first = if lines.separator == Some(b';') { lines.first } else { lines.last };
                self.some(Addresses { first, ..lines })?;
                self.show(first..lines.last + 1, Show::Plain)?;
            }
            b'p' | b'P' | b'n' | b'l' => {
                self.some(lines)?;
                self.end_of_command()?;
                self.show(lines.first..lines.last + 1, Show::of(letter).unwrap_or(Show::Plain))?;
            }
            b'q' | b'Q' => {
                self.none(lines)?;
                self.end_of_command()?;
                return if letter == b'Q' { Ok(Flow::Quit) } else { self.quit() };
            }
            b'r' => {
                let after = if lines.given { lines.last } else { self.buffer.len() };
                let name = self.name_or_remembered()?;
                let was_empty = self.buffer.is_empty();
                self.read_file(&name, after)?;
                if !was_empty {
                    self.touch();
                }
            }
            b's' => self.substitute(lines)?,
            b'u' => {
                self.end_of_command()?;
                self.undo(lines)?;
            }
            b'w' | b'W' => return self.write(lines, letter == b'W'),
            b'=' => {
                self.end_of_command()?;
                let line = if lines.given { lines.last } else { self.buffer.len() };
                self.io.print(format!("{line}\n").as_bytes());
            }
            b'!' => {
                self.none(lines)?;
                let command = self.rest_of_line()?;
                self.io.shell(&command)?;
                if !self.quiet {
                    self.io.print(b"!\n");
                }
            }
            _ => return wrong(),
        }
        Ok(Flow::Next)
    }

    /// Shows the current line if the last command asked for it.
    pub(super) fn show_then(&mut self) -> Result<(), Fault> {
        if let Some(how) = self.then.take() {
            let lines = Addresses { first: self.dot, last: self.dot, ..Addresses::default() };
            self.some(lines)?;
            self.show(self.dot..self.dot + 1, how)?;
        }
        Ok(())
    }

    /// The command ends here, but for a letter that says how to show the current line.
    pub(super) fn end_of_command(&mut self) -> Result<(), Fault> {
        match self.get_behind_blanks()? {
            None | Some(b'\n') => Ok(()),
            Some(letter) => match (Show::of(letter), self.get()?) {
                (Some(how), None | Some(b'\n')) => {
                    self.then = Some(how);
                    Ok(())
                }
                _ => wrong(),
            },
        }
    }

    /// The addresses are lines of the buffer, in order.
    pub(super) fn some(&self, lines: Addresses) -> Result<(), Fault> {
        let ordered = 1 <= lines.first && lines.first <= lines.last && lines.last <= self.buffer.len();
        if ordered { Ok(()) } else { wrong() }
    }

    /// There are no addresses.
    fn none(&self, lines: Addresses) -> Result<(), Fault> {
        if lines.given { wrong() } else { Ok(()) }
    }

    /// The addresses, or all lines when there are none.
    pub(super) fn all_unless(&self, lines: Addresses) -> Result<(usize, usize), Fault> {
        if lines.given {
            self.some(lines)?;
            return Ok((lines.first, lines.last));
        }
        Ok((1, self.buffer.len()))
    }

    fn delete(&mut self, lines: Addresses) {
        self.buffer.delete(lines.first..lines.last + 1);
        self.touch();
    }

    fn append(&mut self, after: usize) -> Result<(), Fault> {
        self.end_of_command()?;
        self.dot = after;
        self.text(after)
    }

    /// Lines of text up to a dot, put behind `after` one by one: an interrupt leaves those that are there.
    fn text(&mut self, after: usize) -> Result<(), Fault> {
        let mut after = after;
        loop {
            let Some(first) = self.get()? else { return Ok(()) };
            self.unget(Some(first));
            let line = self.rest_of_line()?;
            if line == b"." {
                return Ok(());
            }
            self.buffer.insert(after, &line)?;
            self.touch();
            after += 1;
            self.dot = after;
        }
    }

    fn browse(&mut self, lines: Addresses) -> Result<(), Fault> {
        self.some(lines)?;
        let sign = self.get()?;
        let back = sign == Some(b'-');
        if !back && sign != Some(b'+') {
            self.unget(sign);
        }
        if let Some(size) = self.get_number()? {
            self.page = size.max(1);
        }
        self.end_of_command()?;
        if let Some(how) = self.then.take() {
            self.page_show = how;
        }
        let last = self.buffer.len();
        let (first, end) = if back {
            (lines.last.saturating_sub(self.page).max(1), lines.last)
        } else {
            (lines.last, lines.last.saturating_add(self.page).min(last))
        };
        self.show(first..end + 1, self.page_show)
    }

    fn edit(&mut self, lines: Addresses, whatever: bool) -> Result<(), Fault> {
        self.none(lines)?;
        // A text that was made empty is a change as well, and the name would be forgotten with it.
        if !whatever {
            self.warn(self.changed)?;
        }
        let name = match self.name()? {
            Some(name) => name,
            None => match &self.file {
                Some(name) => name.clone(),
                None => return wrong(),
            },
        };
        self.replace_all(name)
    }

    /// Reads a file in place of everything. One that cannot be opened leaves an empty text of its name, as a new file
    /// is begun; one of which only a part could be read leaves everything as it was, so that no part of a file is
    /// taken for the whole and written over it.
    pub(super) fn replace_all(&mut self, name: String) -> Result<(), Fault> {
        let mut lines = Lines::default();
        let mut opened = false;
        let read = self.io.read(&name, &mut |bytes| {
            opened = true;
            lines.take(bytes)
        });
        let failed = match read {
            Err(fault) if opened || fault != Fault::Wrong(name.clone()) => return Err(fault),
            read => read,
        };
        let cut = lines.end()?;
        self.buffer.make_room(&lines)?;
        self.file = Some(name);
        self.buffer.delete(1..self.buffer.len() + 1);
        self.dot = 0;
        self.undo = None;
        self.warned = false;
        self.changed = false;
        failed?;
        self.add(lines, cut, 0)
    }

    fn join(&mut self, lines: Addresses) -> Result<(), Fault> {
        let lines = if lines.given { lines } else { Addresses { last: lines.last + 1, ..lines } };
        self.some(lines)?;
        self.end_of_command()?;
        let whole = self.buffer.joined(lines.first..lines.last + 1)?;
        self.buffer.replace(lines.first, &whole)?;
        self.buffer.delete(lines.first + 1..lines.last + 1);
        self.dot = lines.first;
        self.touch();
        Ok(())
    }

    fn transfer(&mut self, lines: Addresses, copy: bool) -> Result<(), Fault> {
        self.some(lines)?;
        let Some(after) = self.address()? else { return wrong() };
        self.end_of_command()?;
        let count = lines.last - lines.first + 1;
        if copy {
            let mut copies = Lines::default();
            for (n, text) in self.buffer.texts(lines.first..lines.last + 1).enumerate() {
                copies.push(text)?;
                if n % PIECE == PIECE - 1 {
                    self.io.check()?;
                }
            }
            self.buffer.insert_all(after, copies)?;
            self.dot = after + count;
        } else {
            if (lines.first..lines.last).contains(&after) {
                return wrong();
            }
            self.buffer.shift(lines.first..lines.last + 1, after);
            self.dot = if after >= lines.last { after } else { after + count };
        }
        self.touch();
        Ok(())
    }

    /// A name behind a command.
    fn name(&mut self) -> Result<Option<String>, Fault> {
        match self.get()? {
            None | Some(b'\n') => return Ok(None),
            Some(b' ' | b'\t') => {}
            _ => return wrong(),
        }
        let rest = self.rest_of_line()?;
        let name = String::from_utf8_lossy(&rest);
        let name = name.trim_start_matches([' ', '\t']);
        if name.is_empty() { wrong() } else { Ok(Some(name.into())) }
    }

    /// A name behind a command, or the one that is remembered. It is remembered if none was.
    fn name_or_remembered(&mut self) -> Result<String, Fault> {
        match (self.name()?, &self.file) {
            (Some(name), None) => {
                self.file = Some(name.clone());
                Ok(name)
            }
            (Some(name), _) => Ok(name),
            (None, Some(name)) => Ok(name.clone()),
            (None, None) => wrong(),
        }
    }

    /// Puts a file behind line `after`: all of it or nothing.
    pub(super) fn read_file(&mut self, name: &str, after: usize) -> Result<(), Fault> {
        let mut lines = Lines::default();
        self.io.read(name, &mut |bytes| lines.take(bytes))?;
        let cut = lines.end()?;
        self.add(lines, cut, after)
    }

    /// Puts what was read behind line `after`; `cut` says that it ended without a newline.
    fn add(&mut self, lines: Lines, cut: bool, after: usize) -> Result<(), Fault> {
        let count = lines.characters;
        let added = self.buffer.insert_all(after, lines)?;
        self.dot = after + added;
        if cut {
            self.io.print(b"'\\n' appended\n");
        }
        if !self.quiet {
            self.io.print(format!("{count}\n").as_bytes());
        }
        Ok(())
    }

    fn write(&mut self, lines: Addresses, append: bool) -> Result<Flow, Fault> {
        let (first, last) = self.all_unless(lines)?;
        // wq and wQ end the editor.
        let quit = self.get()?;
        if !matches!(quit, Some(b'q' | b'Q')) {
            self.unget(quit);
        }
        let name = self.name_or_remembered()?;
        let all = first..last + 1;
        let count: u64 = self.buffer.texts(all.clone()).map(|text| characters(text) + 1).sum();
        self.io.write(&name, append, &mut self.buffer.texts(all))?;
        if first <= 1 && last == self.buffer.len() {
            self.changed = false;
            self.warned = false;
        }
        if !self.quiet {
            self.io.print(format!("{count}\n").as_bytes());
        }
        match quit {
            Some(b'Q') => Ok(Flow::Quit),
            Some(b'q') => self.quit(),
            _ => Ok(Flow::Next),
        }
    }

    fn quit(&mut self) -> Result<Flow, Fault> {
        self.warn(self.is_changed())?;
        Ok(Flow::Quit)
    }

    /// Refuses, once, to lose what was changed.
    fn warn(&mut self, changed: bool) -> Result<(), Fault> {
        if !self.quiet && changed && !core::mem::replace(&mut self.warned, true) {
            return wrong();
        }
        Ok(())
    }
}
