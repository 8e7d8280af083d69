//! A key: which part of a line, and how two of them compare.

use core::cmp::Ordering;

/// How parts compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // They are flags of the command.
pub struct How {
    pub blanks: bool,
    pub dictionary: bool,
    pub fold: bool,
    pub printable: bool,
    pub kind: Kind,
    pub reverse: bool,
}

/// As what parts compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Text,
    /// Decimal numbers of any length.
    Number,
    /// Numbers with an exponent.
    General,
    Month,
}

impl How {
    /// Does this letter belong here? Then it is noted.
    pub fn letter(&mut self, c: char) -> bool {
        match c {
            'b' => self.blanks = true,
            'd' => self.dictionary = true,
            'f' => self.fold = true,
            'i' => self.printable = true,
            'n' => self.kind = Kind::Number,
            'g' => self.kind = Kind::General,
            'M' => self.kind = Kind::Month,
            'r' => self.reverse = true,
            'w' => {
                self.blanks = true;
                self.dictionary = true;
                self.fold = true;
            }
            _ => return false,
        }
        true
    }

    pub fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        let order = match self.kind {
            Kind::Text => self.text(a, b),
            Kind::Number => number(a, b),
            Kind::General => general(a).total_cmp(&general(b)),
            Kind::Month => month(a).cmp(&month(b)),
        };
        if self.reverse { order.reverse() } else { order }
    }

    fn text(&self, a: &[u8], b: &[u8]) -> Ordering {
        let (a, b) = if self.blanks { (trim(a), trim(b)) } else { (a, b) };
        if !(self.dictionary || self.fold || self.printable) {
            return a.cmp(b);
        }
        let counts = |c: &u8| {
            let c = *c;
            (!self.dictionary || c >= 0x80 || c.is_ascii_alphanumeric() || c == b' ' || c == b'\t')
                && (!self.printable || (b' '..=b'~').contains(&c))
        };
        let fold = |c: &u8| if self.fold { c.to_ascii_lowercase() } else { *c };
        a.iter().filter(|c| counts(c)).map(fold).cmp(b.iter().filter(|c| counts(c)).map(fold))
    }
}

fn trim(s: &[u8]) -> &[u8] {
    let blanks = s.iter().take_while(|&&c| c == b' ' || c == b'\t').count();
    s.get(blanks..).unwrap_or(&[])
}

/// Sign, digits before the point without leading zeros, digits after it without trailing ones.
fn decimal(s: &[u8]) -> (bool, &[u8], &[u8]) {
    let s = trim(s);
    let (negative, s) = match s {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        s => (false, s),
    };
    let digits = |s: &[u8]| s.iter().take_while(|c| c.is_ascii_digit()).count();
    let (whole, rest) = s.split_at(digits(s));
    let zeros = whole.iter().take_while(|&&c| c == b'0').count();
    let whole = whole.get(zeros..).unwrap_or(&[]);
    let fraction = match rest {
        [b'.', rest @ ..] => rest.get(..digits(rest)).unwrap_or(&[]),
        _ => &[],
    };
    let kept = fraction.iter().rposition(|&c| c != b'0').map_or(0, |at| at + 1);
    let fraction = fraction.get(..kept).unwrap_or(&[]);
    (negative && !(whole.is_empty() && fraction.is_empty()), whole, fraction)
}

fn number(a: &[u8], b: &[u8]) -> Ordering {
    let (x, y) = (decimal(a), decimal(b));
    let size = x.1.len().cmp(&y.1.len()).then_with(|| x.1.cmp(y.1)).then_with(|| x.2.cmp(y.2));
    match (x.0, y.0) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => size,
        (true, true) => size.reverse(),
    }
}

fn general(s: &[u8]) -> f64 {
    let s = trim(s);
    let end = s.iter().take_while(|c| c.is_ascii_digit() || b"+-.eE".contains(c)).count();
    // The longest beginning that is a number.
    (1..=end).rev().filter_map(|n| core::str::from_utf8(s.get(..n)?).ok()?.parse().ok()).next().unwrap_or(0.0)
}

fn month(s: &[u8]) -> usize {
    const NAMES: &[u8; 36] = b"janfebmaraprmayjunjulaugsepoctnovdec";
    let Some(name) = trim(s).first_chunk::<3>() else { return 0 };
    let name = name.map(|c| c.to_ascii_lowercase());
    NAMES.chunks(3).position(|m| m == name).map_or(0, |at| at + 1)
}

/// A position: so many fields and then characters into a line, both from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub field: usize,
    pub column: usize,
    /// Blanks at the beginning of the field do not count as columns.
    pub blanks: bool,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub from: Place,
    /// The end of the line when there is none. Column 0 is the end of the field before.
    pub to: Option<Place>,
    pub how: How,
}

impl Key {
    /// The part of `line`.
    pub fn of<'a>(&self, line: &'a [u8], separator: Option<u8>) -> &'a [u8] {
        let from = place(line, self.from, separator, false);
        let to = self.to.map_or(line.len(), |to| place(line, to, separator, true));
        line.get(from..to.max(from)).unwrap_or(&[])
    }
}

/// Byte position of a place. The end of a key at column 0 leaves the separator out.
fn place(line: &[u8], p: Place, separator: Option<u8>, end: bool) -> usize {
    let blank = |c: u8| c == b' ' || c == b'\t';
    let mut at = 0;
    for n in 0..p.field {
        // Fields that a line has not got are at its end, however many.
        if at >= line.len() {
            return line.len();
        }
        let rest = line.get(at..).unwrap_or(&[]);
        match separator {
            Some(s) => match rest.iter().position(|&c| c == s) {
                Some(i) if end && p.column == 0 && n + 1 == p.field => return at + i,
                Some(i) => at += i + 1,
                None => return line.len(),
            },
            None => {
                // A field begins with the blanks before it.
                at += rest.iter().take_while(|&&c| blank(c)).count();
                at += line.get(at..).unwrap_or(&[]).iter().take_while(|&&c| !blank(c)).count();
            }
        }
    }
    if p.blanks && !(end && p.column == 0) {
        at += line.get(at..).unwrap_or(&[]).iter().take_while(|&&c| blank(c)).count();
    }
    at.saturating_add(p.column).min(line.len())
}
