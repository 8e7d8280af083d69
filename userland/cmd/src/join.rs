//! Pairs of lines of two sorted files that have a field in common, as join makes them.

use alloc::string::String;
use alloc::vec::Vec;

use lib9::Result;

use crate::lines::Lines;

/// What join was asked for. Files are 0 and 1, fields are counted from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join {
    /// Print lines of this file that have no partner (-a, -v).
    pub alone: [bool; 2],
    /// Print no pairs (-v).
    pub no_pairs: bool,
    /// What stands for an empty field (-e).
    pub empty: String,
    /// The field that is compared (-1, -2).
    pub field: [usize; 2],
    /// What a line of output is made of (-o); nothing for all fields.
    pub output: Vec<Column>,
    /// What separates fields (-t); nothing for blanks.
    pub separator: Option<char>,
}

/// A column of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The field that was compared.
    Key,
    /// A field of a file.
    Field(usize, usize),
}

/// A list of columns: `0,1.2,2.3`.
pub fn columns(list: &str) -> Option<Vec<Column>> {
    let column = |text: &str| {
        if text == "0" {
            return Some(Column::Key);
        }
        let (file, field) = text.split_once('.')?;
        let file = match file {
            "1" => 0,
            "2" => 1,
            _ => return None,
        };
        Some(Column::Field(file, field.parse::<usize>().ok()?.checked_sub(1)?))
    };
    list.split([',', ' ']).filter(|text| !text.is_empty()).map(column).collect()
}

impl Join {
    /// Joins `a` and `b`.
    ///
    /// # Errors
    /// A failure to read.
    pub fn run(&self, a: &mut dyn Lines, b: &mut dyn Lines, print: &mut dyn FnMut(&[u8])) -> Result<()> {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        let mut more_x = a.next(&mut x)?;
        let mut more_y = b.next(&mut y)?;
        let mut partners: Vec<Vec<u8>> = Vec::new();
        while more_x || more_y {
            let (left, right) = (self.key(0, &x), self.key(1, &y));
            if !more_y || more_x && left < right {
                if self.alone[0] {
                    self.show([Some(&x), None], print);
                }
                more_x = a.next(&mut x)?;
            } else if !more_x || left > right {
                if self.alone[1] {
                    self.show([None, Some(&y)], print);
                }
                more_y = b.next(&mut y)?;
            } else {
                let key = left.to_vec();
                while more_y && self.key(1, &y) == key {
                    partners.push(core::mem::take(&mut y));
                    more_y = b.next(&mut y)?;
                }
                while more_x && self.key(0, &x) == key {
                    for partner in partners.iter().filter(|_| !self.no_pairs) {
                        self.show([Some(&x), Some(partner)], print);
                    }
                    more_x = a.next(&mut x)?;
                }
                partners.clear();
            }
        }
        Ok(())
    }

    /// The field of a line that is compared.
    fn key<'a>(&self, file: usize, line: &'a [u8]) -> &'a [u8] {
        self.fields(line).nth(self.field[file]).unwrap_or(&[])
    }

    fn fields<'a>(&self, line: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        Fields { rest: Some(line), separator: self.separator }
    }

    fn show(&self, lines: [Option<&Vec<u8>>; 2], print: &mut dyn FnMut(&[u8])) {
        let mut buf = [0; 4];
        let separator: &[u8] = self.separator.map_or(b" ", |c| c.encode_utf8(&mut buf).as_bytes());
        let of = |file: usize, n: usize| {
            lines.get(file).copied().flatten().and_then(|line| self.fields(line).nth(n)).unwrap_or(&[])
        };
        let key = if lines[0].is_some() { of(0, self.field[0]) } else { of(1, self.field[1]) };
        let mut first = true;
        let mut put = |field: &[u8]| {
            if !core::mem::take(&mut first) {
                print(separator);
            }
            print(if field.is_empty() { self.empty.as_bytes() } else { field });
        };
        if self.output.is_empty() {
            put(key);
            for (file, line) in lines.iter().enumerate() {
                let fields = self.fields(line.map_or(&[], |l| l)).enumerate();
                // A line that is not there has no fields, not one that is empty.
                for (_, field) in fields.filter(|(n, _)| line.is_some() && *n != self.field[file]) {
                    put(field);
                }
            }
        } else {
            for column in &self.output {
                put(match column {
                    Column::Key => key,
                    Column::Field(file, n) => of(*file, *n),
                });
            }
        }
        print(b"\n");
    }
}

/// The fields of a line.
struct Fields<'a> {
    rest: Option<&'a [u8]>,
    separator: Option<char>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        if let Some(separator) = self.separator {
            let mut buf = [0; 4];
            let separator = separator.encode_utf8(&mut buf).as_bytes();
            let at = rest.windows(separator.len()).position(|w| w == separator);
            self.rest = at.and_then(|at| rest.get(at + separator.len()..));
            return rest.get(..at.unwrap_or(rest.len()));
        }
        let blank = |b: &u8| matches!(b, b' ' | b'\t');
        let rest = rest.get(rest.iter().position(|b| !blank(b))?..)?;
        let end = rest.iter().position(blank).unwrap_or(rest.len());
        self.rest = rest.get(end..);
        rest.get(..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(join: &Join, a: &str, b: &str) -> String {
        let mut out = Vec::new();
        join.run(&mut a.as_bytes(), &mut b.as_bytes(), &mut |b| out.extend_from_slice(b)).unwrap();
        String::from_utf8(out).unwrap()
    }

    const A: &str = "ann 1 x\nbob  2\nbob 3 y\neve 4\n";
    const B: &str = "bob red\nbob blue\ncarl green\neve\n";

    #[test]
    fn pairs() {
        let j = Join::default();
        assert_eq!(run(&j, A, B), "bob 2 red\nbob 2 blue\nbob 3 y red\nbob 3 y blue\neve 4\n");
        let j = Join { alone: [true, true], ..Join::default() };
        assert_eq!(
            run(&j, A, B),
            "ann 1 x\nbob 2 red\nbob 2 blue\nbob 3 y red\nbob 3 y blue\ncarl green\neve 4\n"
        );
        let j = Join { alone: [true, false], no_pairs: true, ..Join::default() };
        assert_eq!(run(&j, A, B), "ann 1 x\n");
        assert_eq!(run(&j, "", B), "");
        assert_eq!(run(&j, A, ""), "ann 1 x\nbob 2\nbob 3 y\neve 4\n");
    }

    #[test]
    fn fields_and_columns() {
        let separated = Join { separator: Some(':'), empty: "-".into(), ..Join::default() };
        assert_eq!(run(&separated, "a::x\nb:\n", "a:1\nb:2:3\n"), "a:-:x:1\nb:-:2:3\n");
        let j = Join { field: [1, 0], output: columns("2.2,0,1.1,1.9").unwrap(), ..separated };
        assert_eq!(run(&j, "x:a\ny:b\n", "a:1\n"), "1:a:x:-\n");
        let j = Join { alone: [true, true], ..j };
        assert_eq!(run(&j, "x:a\ny:b\n", "a:1\nc:\n"), "1:a:x:-\n-:b:y:-\n-:c:-:-\n");
    }

    #[test]
    fn bad_columns() {
        for bad in ["3.1", "1.0", "1", "1.x", ".1"] {
            assert_eq!(columns(bad), None, "{bad}");
        }
    }
}
