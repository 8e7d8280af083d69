//! The lines that are edited. They are counted from 1; 0 is the place before the first.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::Fault;

/// A line. Its number stays the same wherever it goes.
struct Line {
    text: Box<[u8]>,
    number: u64,
    /// `g` has not been here yet.
    marked: bool,
}

/// All lines, and those that have names.
#[derive(Default)]
pub(super) struct Buffer {
    lines: Vec<Line>,
    next: u64,
    names: [u64; 26],
    /// No line before this place is marked.
    marked_from: usize,
}

/// There is no memory for more.
fn full<E>(_: E) -> Fault {
    Fault::Wrong(String::from("TMP"))
}

/// A copy of a text, if there is memory for it.
#[allow(clippy::disallowed_methods)] // The rule is the kernel's: a program has nothing set aside.
fn boxed(text: &[u8]) -> Result<Box<[u8]>, Fault> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(text.len()).map_err(full)?;
    copy.extend_from_slice(text);
    Ok(copy.into_boxed_slice())
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The text of a line.
    pub(super) fn text(&self, line: usize) -> Option<&[u8]> {
        self.lines.get(line.checked_sub(1)?).map(|line| &*line.text)
    }

    /// The texts of some lines.
    pub(super) fn texts(&self, lines: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let lines = lines.start.saturating_sub(1)..lines.end.saturating_sub(1);
        self.lines.get(lines).unwrap_or(&[]).iter().map(|line| &*line.text)
    }

    /// The number of a line.
    pub(super) fn number(&self, line: usize) -> Option<u64> {
        self.lines.get(line.checked_sub(1)?).map(|line| line.number)
    }

    /// Where the line of a number is.
    fn find(&self, number: u64) -> Option<usize> {
        self.lines.iter().position(|line| line.number == number).map(|at| at + 1)
    }

    /// Gives a line a name.
    pub(super) fn set_name(&mut self, name: u8, line: usize) -> Option<()> {
        let number = self.number(line)?;
        *self.names.get_mut(usize::from(name.checked_sub(b'a')?))? = number;
        Some(())
    }

    /// The line of a name.
    pub(super) fn named(&self, name: u8) -> Option<usize> {
        let number = *self.names.get(usize::from(name.checked_sub(b'a')?))?;
        if number == 0 { None } else { self.find(number) }
    }

    fn line(&mut self, text: &[u8]) -> Result<Line, Fault> {
        self.next += 1;
        Ok(Line { text: boxed(text)?, number: self.next, marked: false })
    }

    /// Makes room for some more lines.
    #[allow(clippy::disallowed_methods)] // As above.
    fn grow(&mut self, lines: usize) -> Result<(), Fault> {
        self.lines.try_reserve(lines).map_err(full)
    }

    /// Puts a line behind line `after`.
    pub(super) fn insert(&mut self, after: usize, text: &[u8]) -> Result<(), Fault> {
        self.grow(1)?;
        let line = self.line(text)?;
        let at = after.min(self.lines.len());
        self.lines.insert(at, line);
        self.marked_from = self.marked_from.min(at);
        Ok(())
    }

    /// Makes room for lines, so that they can be put in without fail.
    pub(super) fn make_room(&mut self, lines: &Lines) -> Result<(), Fault> {
        self.grow(lines.lines.len())
    }

    /// Some lines as one.
    #[allow(clippy::disallowed_methods)] // As above.
    pub(super) fn joined(&self, lines: Range<usize>) -> Result<Vec<u8>, Fault> {
        let mut whole = Vec::new();
        for text in self.texts(lines) {
            whole.try_reserve(text.len()).map_err(full)?;
            whole.extend_from_slice(text);
        }
        Ok(whole)
    }

    /// Puts lines, all of them or none, behind line `after`. Says how many.
    pub(super) fn insert_all(&mut self, after: usize, texts: Lines) -> Result<usize, Fault> {
        let Lines { mut lines, .. } = texts;
        let count = lines.len();
        self.grow(count)?;
        for line in &mut lines {
            self.next += 1;
            line.number = self.next;
        }
        let at = after.min(self.lines.len());
        self.lines.splice(at..at, lines);
        self.marked_from = self.marked_from.min(at);
        Ok(count)
    }

    /// Takes lines away.
    pub(super) fn delete(&mut self, lines: Range<usize>) {
        let lines = lines.start.saturating_sub(1)..lines.end.saturating_sub(1).min(self.lines.len());
        if lines.start < lines.end {
            self.marked_from = self.marked_from.min(lines.start);
            self.lines.drain(lines);
        }
    }

    /// Gives a line another text, and says what it was.
    pub(super) fn replace(&mut self, line: usize, text: &[u8]) -> Result<Vec<u8>, Fault> {
        let text = boxed(text)?;
        let line = line.checked_sub(1).and_then(|at| self.lines.get_mut(at)).ok_or_else(|| full(()))?;
        Ok(core::mem::replace(&mut line.text, text).into_vec())
    }

    /// Moves lines behind line `after`, which is none of them.
    pub(super) fn shift(&mut self, lines: Range<usize>, after: usize) {
        let (start, end) = (lines.start.saturating_sub(1), lines.end.saturating_sub(1).min(self.lines.len()));
        let after = after.min(self.lines.len());
        if after >= end {
            if let Some(part) = self.lines.get_mut(start..after) {
                part.rotate_left(end - start);
            }
        } else if let Some(part) = self.lines.get_mut(after..end) {
            part.rotate_right(end - start);
        }
        self.marked_from = self.marked_from.min(start).min(after);
    }

    /// Marks a line for `g`.
    pub(super) fn mark(&mut self, line: usize) {
        if let Some(line) = line.checked_sub(1).and_then(|at| self.lines.get_mut(at)) {
            line.marked = true;
            self.marked_from = 0;
        }
    }

    /// The first line that is marked; it no longer is.
    pub(super) fn next_marked(&mut self) -> Option<usize> {
        let at = self.lines.iter().skip(self.marked_from).position(|line| line.marked);
        let at = at.map_or(self.lines.len(), |at| self.marked_from + at);
        self.marked_from = at;
        let line = self.lines.get_mut(at)?;
        line.marked = false;
        Some(at + 1)
    }

    /// Takes all marks away.
    pub(super) fn unmark(&mut self) {
        self.lines.iter_mut().for_each(|line| line.marked = false);
    }

    /// Takes away all lines that are marked. Says where the last one was.
    pub(super) fn delete_marked(&mut self) -> Option<usize> {
        let last = self.lines.iter().rposition(|line| line.marked)?;
        let before = self.lines.len();
        self.lines.retain(|line| !line.marked);
        Some(last + 1 - (before - self.lines.len() - 1))
    }
}

/// Lines on their way into the buffer.
#[derive(Default)]
pub(super) struct Lines {
    lines: Vec<Line>,
    /// What is there of a line whose end has not come yet.
    rest: Vec<u8>,
    /// Characters so far.
    pub(super) characters: u64,
}

impl Lines {
    /// More of a file.
    #[allow(clippy::disallowed_methods)] // As above.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.characters += characters(bytes);
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            let Some(text) = part.strip_suffix(b"\n") else {
                self.rest.try_reserve(part.len()).map_err(full)?;
                self.rest.extend_from_slice(part);
                break;
            };
            if self.rest.is_empty() {
                self.push(text)?;
            } else {
                self.rest.try_reserve(text.len()).map_err(full)?;
                self.rest.extend_from_slice(text);
                let whole = core::mem::take(&mut self.rest);
                self.push(&whole)?;
            }
        }
        Ok(())
    }

    /// The end of a file. True when it ended within a line, which is one line more.
    pub(super) fn end(&mut self) -> Result<bool, Fault> {
        let rest = core::mem::take(&mut self.rest);
        if rest.is_empty() {
            return Ok(false);
        }
        self.characters += 1;
        self.push(&rest).map(|()| true)
    }

    /// One line.
    #[allow(clippy::disallowed_methods)] // As above.
    pub(super) fn push(&mut self, text: &[u8]) -> Result<(), Fault> {
        self.lines.try_reserve(1).map_err(full)?;
        self.lines.push(Line { text: boxed(text)?, number: 0, marked: false });
        Ok(())
    }
}

/// How many characters these bytes are, or begin.
pub(super) fn characters(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&b| b & 0xc0 != 0x80).count() as u64
}
