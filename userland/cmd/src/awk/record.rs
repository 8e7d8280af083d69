//! The record and its fields. It is cut into fields when one is asked for, and put together again when `$0` is, after a
//! field has changed. Fields that nobody has changed are places in the line, and cost no memory of their own.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::printf::Format;
use super::value::{Text, Value, number};
use crate::regexp::{Finder, decode};

/// The most fields that there may be.
pub(super) const MOST: usize = 1 << 22;

/// What stands between fields.
#[derive(Clone)]
pub(super) enum Separator {
    /// Blanks, tabs and newlines, also around the record.
    Blanks,
    /// Nothing: every character is a field.
    None,
    Byte(u8),
    Regexp(Rc<RefCell<Finder>>),
}

/// Calls `f` with the begin and end of each field of the text. `newlines` is whether a newline separates, too.
pub(super) fn cut(text: &[u8], by: &Separator, newlines: bool, mut f: impl FnMut(usize, usize)) {
    if text.is_empty() {
        return;
    }
    match by {
        Separator::Blanks => {
            let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\n');
            let mut at = 0;
            while let Some(begin) = text.get(at..).and_then(|rest| rest.iter().position(|b| !blank(b))) {
                let begin = at + begin;
                let len = text.get(begin..).and_then(|rest| rest.iter().position(blank));
                at = len.map_or(text.len(), |len| begin + len);
                f(begin, at);
            }
        }
        Separator::None => {
            let mut at = 0;
            while let Some((_, len)) = decode(text, at) {
                f(at, at + len);
                at += len;
            }
        }
        Separator::Byte(byte) => {
            let mut begin = 0;
            for (at, b) in text.iter().enumerate() {
                if b == byte || newlines && *b == b'\n' {
                    f(begin, at);
                    begin = at + 1;
                }
            }
            f(begin, text.len());
        }
        Separator::Regexp(re) => {
            let mut re = re.borrow_mut();
            let (mut begin, mut at) = (0, 0);
            let mut newline = newlines.then(|| text.iter().position(|&b| b == b'\n')).flatten();
            loop {
                let found = re.find(text, at).filter(|(from, _)| *from < text.len());
                let (from, to) = match (found, newline) {
                    (Some((from, _)), Some(line)) if line < from => (line, line + 1),
                    (Some(found), _) => found,
                    (None, Some(line)) => (line, line + 1),
                    (None, None) => break,
                };
                if to == from {
                    // Nothing separates nothing.
                    at = from + decode(text, from).map_or(1, |(_, len)| len);
                    continue;
                }
                f(begin, from);
                (begin, at) = (to, to);
                while newline.is_some_and(|line| line < to) {
                    newline =
                        text.get(to..).and_then(|rest| rest.iter().position(|&b| b == b'\n')).map(|n| to + n);
                }
            }
            f(begin, text.len());
        }
    }
}

enum Field {
    /// From and to, in the line.
    Place(usize, usize),
    Own(Value),
}

/// The current record.
#[derive(Default)]
pub(super) struct Record {
    /// The line in which fields are that have not changed.
    line: Vec<u8>,
    /// `$0`, when that is not the line.
    whole: Option<Vec<u8>>,
    fields: Vec<Field>,
    is_cut: bool,
    /// A field has changed since `whole` was made.
    changed: bool,
}

impl Record {
    /// Where the next record is put; [`Record::renewed`] is called when it is there.
    pub(super) fn line(&mut self) -> &mut Vec<u8> {
        &mut self.line
    }

    /// There is a new line.
    pub(super) fn renewed(&mut self) {
        self.whole = None;
        self.is_cut = false;
        self.changed = false;
    }

    pub(super) fn set(&mut self, text: &[u8]) {
        self.line.clear();
        self.line.extend_from_slice(text);
        self.renewed();
    }

    /// Cuts it into fields, unless it is.
    pub(super) fn cut(&mut self, by: &Separator, newlines: bool) {
        if !self.is_cut {
            self.is_cut = true;
            let Record { line, fields, .. } = self;
            fields.clear();
            cut(line, by, newlines, |from, to| fields.push(Field::Place(from, to)));
        }
    }

    /// How many fields there are, when it is cut.
    pub(super) fn count(&self) -> usize {
        self.fields.len()
    }

    /// Is `$0` to be put together?
    pub(super) fn is_stale(&self) -> bool {
        self.changed
    }

    /// Puts `$0` together.
    pub(super) fn join(&mut self, ofs: &[u8], format: &Format) {
        let mut whole = self.whole.take().unwrap_or_default();
        whole.clear();
        for (n, field) in self.fields.iter().enumerate() {
            if n > 0 {
                whole.extend_from_slice(ofs);
            }
            match field {
                Field::Place(from, to) => whole.extend_from_slice(self.line.get(*from..*to).unwrap_or(&[])),
                Field::Own(value) => value.append(format, &mut whole),
            }
        }
        self.whole = Some(whole);
        self.changed = false;
    }

    /// `$0`, which is not stale.
    pub(super) fn whole(&self) -> &[u8] {
        self.whole.as_deref().unwrap_or(&self.line)
    }

    /// The bytes of a field that has not changed, or of `$0`.
    pub(super) fn bytes(&self, n: usize) -> Option<&[u8]> {
        match n.checked_sub(1) {
            None => Some(self.whole()),
            Some(n) => match self.fields.get(n)? {
                Field::Place(from, to) => self.line.get(*from..*to),
                Field::Own(_) => None,
            },
        }
    }

    pub(super) fn value(&self, n: usize) -> Value {
        match n.checked_sub(1).map(|n| self.fields.get(n)) {
            None => Value::Input(self.whole().into()),
            Some(Some(Field::Place(from, to))) => {
                Value::Input(self.line.get(*from..*to).unwrap_or(&[]).into())
            }
            Some(Some(Field::Own(value))) => value.clone(),
            Some(None) => Value::Nothing,
        }
    }

    pub(super) fn number(&self, n: usize) -> f64 {
        match self.bytes(n) {
            Some(bytes) => number(bytes),
            None => self.value(n).number(),
        }
    }

    pub(super) fn append(&self, n: usize, format: &Format, out: &mut Vec<u8>) {
        match self.bytes(n) {
            Some(bytes) => out.extend_from_slice(bytes),
            None => self.value(n).append(format, out),
        }
    }

    /// Sets field `n`, which is not 0; those that are missing before it are made.
    pub(super) fn set_field(&mut self, n: usize, value: Value) {
        if n > self.fields.len() {
            self.resize(n);
        }
        if let Some(field) = n.checked_sub(1).and_then(|n| self.fields.get_mut(n)) {
            *field = Field::Own(value);
        }
        self.changed = true;
    }

    /// Has so many fields from now on.
    pub(super) fn resize(&mut self, count: usize) {
        let empty = Text::from(&[][..]);
        self.fields.resize_with(count, || Field::Own(Value::Input(empty.clone())));
        self.changed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regexp::extended;

    fn fields(text: &str, by: &Separator, newlines: bool) -> Vec<alloc::string::String> {
        let mut out = Vec::new();
        cut(text.as_bytes(), by, newlines, |from, to| out.push(text[from..to].into()));
        out
    }

    #[test]
    fn separators() {
        let re = |text: &str| {
            Separator::Regexp(Rc::new(RefCell::new(Finder::new(extended(text.as_bytes()).unwrap()))))
        };
        for (text, by, newlines, want) in [
            ("  a b\t\tc\n ", Separator::Blanks, false, &["a", "b", "c"][..]),
            ("   ", Separator::Blanks, false, &[]),
            ("", Separator::Byte(b':'), false, &[]),
            (":a::b:", Separator::Byte(b':'), false, &["", "a", "", "b", ""]),
            ("a:b\nc", Separator::Byte(b':'), true, &["a", "b", "c"]),
            ("aπb", Separator::None, false, &["a", "π", "b"]),
            ("a1b22c", re("[0-9]+"), false, &["a", "b", "c"]),
            ("1a1", re("1"), false, &["", "a", ""]),
            ("abc", re("x*"), false, &["abc"]),
            ("axxb", re("x*"), false, &["a", "b"]),
            ("a, b\nc,  d\n\ne", re(", *"), true, &["a", "b", "c", "d", "", "e"]),
            ("ab\ncd", re("^a"), true, &["", "b", "cd"]),
        ] {
            assert_eq!(fields(text, &by, newlines), want, "{text:?}");
        }
    }

    #[test]
    fn changed_fields() {
        let mut record = Record::default();
        record.set(b"a b c");
        record.cut(&Separator::Blanks, false);
        record.set_field(2, Value::Number(7.0));
        record.set_field(5, Value::string(b"x"));
        assert!(record.is_stale());
        record.join(b"-", &Format::usual());
        assert_eq!(record.whole(), b"a-7-c--x");
        record.resize(1);
        record.join(b"-", &Format::usual());
        assert_eq!((record.whole(), record.count()), (&b"a"[..], 1));
    }
}
