//! Pages of text, as pr prints them: each with a head, in one or more columns.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::regexp::decode;

/// Lines of the head, and of the tail.
const MARGIN: usize = 5;

/// What pr was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // They are the flags of the command.
pub struct Pr {
    /// Columns (-N); those of -m are as many as there are files.
    pub columns: usize,
    /// The page to begin with (+N).
    pub first: usize,
    /// Make the columns of the last page equal (-b).
    pub balance: bool,
    /// An empty line behind each (-d).
    pub double: bool,
    /// Where the stops of tabs are in the input (-e).
    pub tabs: usize,
    /// What stands in the head (-h).
    pub header: Option<String>,
    /// Where the stops of tabs are in the output, which replace blanks (-i).
    pub blanks: Option<usize>,
    /// Form feeds between pages (-f).
    pub feeds: bool,
    /// Lines of a page (-l).
    pub length: usize,
    /// Files side by side (-m).
    pub merge: bool,
    /// Columns of the number before each line (-n).
    pub numbers: Option<usize>,
    /// What is behind that number.
    pub behind: char,
    /// Columns before each line (-o).
    pub offset: usize,
    /// An even number of pages (-p).
    pub pad: bool,
    /// What separates columns in place of blanks (-s).
    pub separator: Option<char>,
    /// No head and no tail (-t).
    pub bare: bool,
    /// Columns of a page (-w).
    pub width: usize,
}

impl Default for Pr {
    fn default() -> Self {
        Pr {
            columns: 1,
            first: 1,
            balance: false,
            double: false,
            tabs: 8,
            header: None,
            blanks: None,
            feeds: false,
            length: 66,
            merge: false,
            numbers: None,
            behind: '\t',
            offset: 0,
            pad: false,
            separator: None,
            bare: false,
            width: 72,
        }
    }
}

impl Pr {
    /// Prints texts: one, or several side by side. `date` and `name` are what stands in the head.
    pub fn run(&self, texts: &[&[u8]], date: &str, name: &str, print: &mut dyn FnMut(&[u8])) {
        // A page that has no room for the margins has none.
        let bare = self.bare || self.length <= 2 * MARGIN;
        let lines = if bare { self.length } else { self.length - 2 * MARGIN };
        let rows = if self.double { lines.div_ceil(2) } else { lines }.max(1);
        let columns = self.columns.max(1);
        let texts: Vec<Vec<Vec<u8>>> = texts.iter().map(|text| self.lines(text)).collect();
        let pages = match &texts[..] {
            [] => 0,
            _ if self.merge => texts.iter().map(|t| t.len().div_ceil(rows)).max().unwrap_or(0),
            [text, ..] => text.len().div_ceil(rows * columns),
        };
        for page in self.first.max(1)..=pages {
            let parts: Vec<&[Vec<u8>]> = if self.merge {
                texts.iter().map(|text| part(text, (page - 1) * rows, rows)).collect()
            } else {
                let text = texts.first().map_or(&[][..], |t| t.as_slice());
                let all = part(text, (page - 1) * rows * columns, rows * columns);
                let each = if self.balance && page == pages { all.len().div_ceil(columns) } else { rows };
                (0..columns).map(|column| part(all, column * each, each)).collect()
            };
            if !bare {
                let header = self.header.as_deref().unwrap_or(name);
                self.line(format!("\n\n{date}  {header} Page {page}\n\n\n").as_bytes(), print);
            }
            let deep = parts.iter().map(|part| part.len()).max().unwrap_or(0);
            let mut printed = 0;
            for row in 0..deep {
                self.row(&parts, row, print);
                printed += 1;
                if self.double && printed < lines {
                    print(b"\n");
                    printed += 1;
                }
            }
            if !bare {
                if self.feeds {
                    print(b"\x0c");
                } else {
                    print("\n".repeat(lines.saturating_sub(printed) + MARGIN).as_bytes());
                }
            }
        }
        if self.pad && pages % 2 == 1 && !bare {
            print(if self.feeds { "\x0c".into() } else { "\n".repeat(self.length) }.as_bytes());
        }
    }

    /// The lines of a text, with tabs made blanks and numbers in front.
    fn lines(&self, text: &[u8]) -> Vec<Vec<u8>> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if text.is_empty() {
            return Vec::new();
        }
        let number = |(n, line): (usize, &[u8])| {
            let mut out = match self.numbers {
                Some(width) => format!("{:width$}{}", n + 1, self.behind).into_bytes(),
                None => Vec::new(),
            };
            self.expand(line, &mut out);
            out
        };
        text.split(|&b| b == b'\n').enumerate().map(number).collect()
    }

    fn expand(&self, line: &[u8], out: &mut Vec<u8>) {
        let (mut at, mut column) = (0, 0);
        while let Some((c, len)) = decode(line, at) {
            match c {
                0x09 if self.tabs > 0 => {
                    let stop = (column / self.tabs + 1) * self.tabs;
                    out.resize(out.len() + stop - column, b' ');
                    column = stop;
                }
                // A form feed would begin a page in the middle of ours.
                0x0c | 0x0d => {}
                _ => {
                    out.extend_from_slice(line.get(at..at + len).unwrap_or(&[]));
                    column += 1;
                }
            }
            at += len;
        }
    }

    /// One row of all columns.
    fn row(&self, parts: &[&[Vec<u8>]], row: usize, print: &mut dyn FnMut(&[u8])) {
        let mut line = Vec::new();
        let room = (self.width / parts.len().max(1)).max(2);
        for (n, part) in parts.iter().enumerate() {
            let text = part.get(row).map_or(&[][..], |t| t.as_slice());
            let last = n + 1 == parts.len();
            match self.separator {
                Some(separator) => {
                    line.extend_from_slice(text);
                    if !last {
                        line.extend_from_slice(separator.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                }
                None if parts.len() == 1 => line.extend_from_slice(text),
                None => {
                    let (text, width) = cut(text, room - 1);
                    line.extend_from_slice(text);
                    if !last {
                        line.resize(line.len() + room - width, b' ');
                    }
                }
            }
        }
        if self.separator.is_none() && parts.len() > 1 {
            let end = line.iter().rposition(|b| *b != b' ').map_or(0, |at| at + 1);
            line.truncate(end);
        }
        line.push(b'\n');
        self.line(&line, print);
    }

    /// Prints lines behind the offset, with tabs for blanks if that is wanted.
    fn line(&self, text: &[u8], print: &mut dyn FnMut(&[u8])) {
        for line in text.split_inclusive(|&b| b == b'\n') {
            if line == b"\n" {
                print(line);
                continue;
            }
            let mut whole = vec![b' '; self.offset];
            whole.extend_from_slice(line);
            match self.blanks.filter(|stop| *stop > 0) {
                Some(stop) => print(&tabbed(&whole, stop)),
                None => print(&whole),
            }
        }
    }
}

fn part<T>(all: &[T], from: usize, count: usize) -> &[T] {
    let end = all.len().min(from.saturating_add(count));
    all.get(from.min(end)..end).unwrap_or(&[])
}

/// As much of a text as has room, and how wide that is.
fn cut(text: &[u8], room: usize) -> (&[u8], usize) {
    let (mut at, mut width) = (0, 0);
    while width < room
        && let Some((_, len)) = decode(text, at)
    {
        at += len;
        width += 1;
    }
    (text.get(..at).unwrap_or(&[]), width)
}

/// The line with tabs in place of blanks that go up to a stop.
fn tabbed(line: &[u8], stop: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut at, mut column, mut blanks) = (0, 0, 0);
    while let Some((c, len)) = decode(line, at) {
        if c == 0x20 {
            blanks += 1;
            column += 1;
            if column % stop == 0 {
                // One alone is as well a blank.
                out.push(if blanks > 1 { b'\t' } else { b' ' });
                blanks = 0;
            }
        } else {
            out.resize(out.len() + core::mem::take(&mut blanks), b' ');
            out.extend_from_slice(line.get(at..at + len).unwrap_or(&[]));
            column += 1;
        }
        at += len;
    }
    out.resize(out.len() + blanks, b' ');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pr(options: &Pr, texts: &[&str]) -> String {
        let mut out = Vec::new();
        let texts: Vec<&[u8]> = texts.iter().map(|t| t.as_bytes()).collect();
        options.run(&texts, "today", "file", &mut |b| out.extend_from_slice(b));
        String::from_utf8(out).unwrap()
    }

    fn bare(columns: usize) -> Pr {
        Pr { columns, bare: true, width: 20, length: 3, ..Pr::default() }
    }

    #[test]
    fn pages() {
        let text: String = (1..=60).map(|n| format!("{n}\n")).collect();
        let out = pr(&Pr::default(), &[&text]);
        assert_eq!(out.lines().count(), 132);
        assert!(out.starts_with("\n\ntoday  file Page 1\n\n"), "{out:.40}");
        let second = pr(&Pr { first: 2, header: Some("H".into()), ..Pr::default() }, &[&text]);
        assert!(second.starts_with("\n\ntoday  H Page 2\n\n\n57\n"), "{second:.60}");
        assert_eq!(second.lines().count(), 66);
        let padded = pr(&Pr { pad: true, ..Pr::default() }, &["x\n"]);
        assert_eq!(padded.lines().count(), 132);
        assert!(pr(&Pr { feeds: true, ..Pr::default() }, &["x\n"]).ends_with("\nx\n\x0c"));
        assert_eq!(pr(&Pr::default(), &[""]), "");
    }

    #[test]
    fn columns() {
        let text = "1\n2\n3\n4\n5\n6\n7\n8\n";
        assert_eq!(pr(&bare(2), &[text]), "1         4\n2         5\n3         6\n7\n8\n");
        assert_eq!(
            pr(&Pr { balance: true, ..bare(2) }, &[text]),
            "1         4\n2         5\n3         6\n7         8\n"
        );
        assert_eq!(pr(&Pr { separator: Some(':'), ..bare(3) }, &["a\nb\nc\nd\n"]), "a:d:\nb::\nc::\n");
        assert_eq!(pr(&Pr { merge: true, ..bare(1) }, &["a\nb\n", "x\n"]), "a         x\nb\n");
        assert_eq!(pr(&bare(2), &["a long word here\n\n\nz\n"]), "a long wo z\n\n\n");
        assert_eq!(pr(&Pr { width: 0, ..bare(2) }, &["κκκ\n"]), "κ\n");
    }

    #[test]
    fn what_lines_look_like() {
        let one = bare(1);
        assert_eq!(pr(&Pr { numbers: Some(3), ..one.clone() }, &["a\nb\n"]), "  1\ta\n  2\tb\n");
        assert_eq!(pr(&Pr { numbers: Some(1), behind: ':', ..one.clone() }, &["a\nb\n"]), "1:a\n2:b\n");
        assert_eq!(pr(&Pr { offset: 2, ..one.clone() }, &["a\tb\n\n"]), "  a       b\n\n");
        assert_eq!(pr(&Pr { tabs: 4, ..one.clone() }, &["a\tb"]), "a   b\n");
        assert_eq!(pr(&Pr { blanks: Some(8), ..one.clone() }, &["a               b c\n"]), "a\t\tb c\n");
        assert_eq!(pr(&Pr { double: true, ..one }, &["a\nb\n"]), "a\n\nb\n");
    }
}
