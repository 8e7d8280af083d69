//! Filling lines, as fmt does it: words of lines that begin at the same column go on one line as long as it has room.

use alloc::vec::Vec;

use crate::regexp::decode;

/// Columns of a tab.
const TAB: usize = 8;

/// A filler, and the line that is being filled.
#[derive(Clone, Debug)]
pub struct Fill {
    /// Columns of a line.
    length: usize,
    /// Blanks before each.
    indent: usize,
    /// Short lines are joined.
    join: bool,
    /// The line, the columns it has, and those it began with.
    line: Vec<u8>,
    column: usize,
    begin: Option<usize>,
    /// Blanks behind the last word, if another one follows.
    gap: usize,
}

impl Fill {
    /// A filler of lines of `length` columns that are moved in by `indent`; short lines stay alone unless `join`.
    pub fn new(length: usize, indent: usize, join: bool) -> Self {
        Fill { length, indent, join, line: Vec::new(), column: 0, begin: None, gap: 1 }
    }

    /// The next line of the text, without its newline.
    pub fn take(&mut self, line: &[u8], print: &mut dyn FnMut(&[u8])) {
        let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r');
        let end = line.iter().rposition(|b| !blank(b)).map_or(0, |at| at + 1);
        let line = line.get(..end).unwrap_or(&[]);
        if line.is_empty() {
            self.finish(print);
            print(b"\n");
            return;
        }
        let first = line.iter().position(|b| !blank(b)).unwrap_or(0);
        let (margin, mut rest) = line.split_at(first);
        let column = margin.iter().fold(0, |at, b| if *b == b'\t' { (at / TAB + 1) * TAB } else { at + 1 });
        if self.begin != Some(column) || !self.join {
            self.finish(print);
        }
        if self.begin.is_none() {
            self.open(column);
        }
        while !rest.is_empty() {
            let end = rest.iter().position(blank).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            self.word(word, column, print);
            let next = behind.iter().position(|b| !blank(b)).unwrap_or(behind.len());
            rest = behind.get(next..).unwrap_or(&[]);
        }
    }

    /// The end of a file.
    pub fn finish(&mut self, print: &mut dyn FnMut(&[u8])) {
        if self.begin.take().is_some() {
            print(&self.line);
            print(b"\n");
        }
    }

    /// Begins a line at a column.
    fn open(&mut self, column: usize) {
        self.line.clear();
        let blanks = self.indent + column;
        self.line.resize(blanks / TAB, b'\t');
        self.line.resize(blanks / TAB + blanks % TAB, b' ');
        self.begin = Some(column);
        self.column = blanks;
    }

    fn word(&mut self, word: &[u8], column: usize, print: &mut dyn FnMut(&[u8])) {
        let mut width = 0;
        let mut at = 0;
        while let Some((_, len)) = decode(word, at) {
            width += 1;
            at += len;
        }
        let fresh = self.column == self.indent + column;
        // A word that is longer than a line has one for itself.
        if !fresh && self.column + self.gap + width > self.length {
            self.finish(print);
            self.open(column);
        } else if !fresh {
            self.line.resize(self.line.len() + self.gap, b' ');
            self.column += self.gap;
        }
        self.line.extend_from_slice(word);
        self.column += width;
        self.gap = if ends_sentence(word) { 2 } else { 1 };
    }
}

/// Does a sentence end with the word? A capital and a point, `Mr.`, is as good as none.
fn ends_sentence(word: &[u8]) -> bool {
    let short = word.len() < 2 || word.len() < 4 && word.first().is_some_and(u8::is_ascii_uppercase);
    !short && matches!(word.last(), Some(b'.' | b'!' | b'?'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn fmt(length: usize, indent: usize, join: bool, text: &str) -> String {
        let mut out = Vec::new();
        let mut fill = Fill::new(length, indent, join);
        let mut print = |b: &[u8]| out.extend_from_slice(b);
        text.lines().for_each(|line| fill.take(line.as_bytes(), &mut print));
        fill.finish(&mut print);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fills() {
        let text = "one two three\nfour\n\n  five six\n  seven  eight \n\tnine\nten\n";
        let want = "one two\nthree four\n\n  five six\n  seven\n  eight\n\tnine\nten\n";
        assert_eq!(fmt(10, 0, true, text), want);
        // What is filled stays as it is.
        assert_eq!(fmt(10, 0, true, want), want);
        assert_eq!(fmt(10, 0, false, "a b\nc d\ne f g h i j k\n"), "a b\nc d\ne f g h i\nj k\n");
        assert_eq!(fmt(20, 10, true, "one two three\n"), "\t  one two\n\t  three\n");
        assert_eq!(fmt(5, 0, true, "a incomprehensible b\n"), "a\nincomprehensible\nb\n");
        assert_eq!(fmt(7, 0, true, "κόσμε α\nβ γ\n"), "κόσμε α\nβ γ\n");
        assert_eq!(fmt(3, 90, true, "a b\n"), "\t\t\t\t\t\t\t\t\t\t\t  a\n\t\t\t\t\t\t\t\t\t\t\t  b\n");
        assert_eq!(fmt(70, 0, true, ""), "");
    }
}
