//! The screen as a console: what a stream of bytes does to rows of cells.
//!
//! Pure state over a [`Display`], which the machine has (a VGA in text mode) and tests make up. Newline, carriage
//! return, backspace and tab (to the next multiple of 8) have their effect, other control characters none; there are
//! no escape sequences, as on Plan 9. Bytes are UTF-8; what is not, and what the font does not have, shows as U+FFFD.
//!
//! A row that has been filled ends when the next character comes, so a line of exactly the screen's width takes one
//! row. Backspace at the beginning of a row goes to the end of the row above: typing that ran over the edge can be
//! taken back.
//!
//! Whoever owns it has a lock around both.

pub mod font;

/// What shows cells.
pub trait Display {
    /// Shows the glyph number `code` (see [`font`]) at `row` and `column`.
    fn put(&mut self, row: usize, column: usize, code: u8);
    /// Moves everything a row up; the last row is blank then.
    fn scroll(&mut self);
    /// Moves the cursor.
    fn cursor(&mut self, row: usize, column: usize);
}

/// Cells between tab stops.
const TAB: usize = 8;

/// Where the next character goes.
pub struct Screen {
    rows: usize,
    columns: usize,
    row: usize,
    /// `columns` when the row is full.
    column: usize,
    /// The beginning of a character of several bytes.
    partial: [u8; 4],
    held: usize,
}

impl Screen {
    /// A blank screen of this size, with the cursor in its first cell.
    pub fn new(rows: usize, columns: usize) -> Screen {
        Screen { rows, columns, row: 0, column: 0, partial: [0; 4], held: 0 }
    }

    /// Shows `bytes`.
    pub fn write(&mut self, bytes: &[u8], to: &mut dyn Display) {
        for &byte in bytes {
            if let Some(slot) = self.partial.get_mut(self.held) {
                *slot = byte;
                self.held += 1;
            }
            self.decode(to);
        }
        to.cursor(self.row, self.column.min(self.columns.saturating_sub(1)));
    }

    /// Shows what is whole of the bytes held.
    fn decode(&mut self, to: &mut dyn Display) {
        while self.held != 0 {
            let held = self.partial;
            let bytes = held.get(..self.held).unwrap_or(&held);
            let (shown, done) = match core::str::from_utf8(bytes) {
                Ok(text) => (text.chars().next(), bytes.len()),
                Err(e) => match e.error_len() {
                    None => return,
                    Some(n) => (None, n),
                },
            };
            let rest = bytes.get(done..).unwrap_or_default();
            self.held = rest.len();
            self.partial = [0; 4];
            for (slot, byte) in self.partial.iter_mut().zip(rest) {
                *slot = *byte;
            }
            self.show(shown.unwrap_or(char::REPLACEMENT_CHARACTER), to);
        }
    }

    fn show(&mut self, c: char, to: &mut dyn Display) {
        match c {
            '\n' => {
                self.column = 0;
                self.down(to);
            }
            '\r' => self.column = 0,
            '\x08' => {
                if self.column > 0 {
                    self.column -= 1;
                } else if self.row > 0 {
                    self.row -= 1;
                    self.column = self.columns.saturating_sub(1);
                }
            }
            '\t' => {
                let stop = (self.column / TAB + 1) * TAB;
                for _ in self.column..stop.min(self.columns) {
                    self.cell(' ', to);
                }
            }
            c if c.is_control() => {}
            c => self.cell(c, to),
        }
    }

    /// A character in the next cell.
    fn cell(&mut self, c: char, to: &mut dyn Display) {
        if self.column >= self.columns {
            self.column = 0;
            self.down(to);
        }
        to.put(self.row, self.column, font::code(c));
        self.column += 1;
    }

    fn down(&mut self, to: &mut dyn Display) {
        if self.row + 1 < self.rows {
            self.row += 1;
        } else {
            to.scroll();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    struct Cells(Vec<Vec<u8>>, (usize, usize));

    impl Display for Cells {
        fn put(&mut self, row: usize, column: usize, code: u8) {
            self.0[row][column] = code;
        }
        fn scroll(&mut self) {
            let blank = vec![b' '; self.0[0].len()];
            self.0.remove(0);
            self.0.push(blank);
        }
        fn cursor(&mut self, row: usize, column: usize) {
            self.1 = (row, column);
        }
    }

    /// A screen of 4 rows and 10 columns after `pieces`: its rows without blanks at the end, and the cursor.
    fn shown(pieces: &[&[u8]]) -> (Vec<String>, (usize, usize)) {
        let mut cells = Cells(vec![vec![b' '; 10]; 4], (9, 9));
        let mut screen = Screen::new(4, 10);
        pieces.iter().for_each(|p| screen.write(p, &mut cells));
        let text = |row: &Vec<u8>| {
            let text: String = row.iter().map(|c| if *c == 0 { '?' } else { char::from(*c) }).collect();
            String::from(text.trim_end())
        };
        (cells.0.iter().map(text).collect(), cells.1)
    }

    #[track_caller]
    fn check(bytes: &str, rows: [&str; 4], cursor: (usize, usize)) {
        let whole = shown(&[bytes.as_bytes()]);
        assert_eq!(
            (whole.0.iter().map(String::as_str).collect::<Vec<_>>(), whole.1),
            (rows.to_vec(), cursor)
        );
        // A byte at a time makes no difference.
        let each: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
        assert_eq!(shown(&each), whole);
    }

    #[test]
    fn lines_wrap_and_scroll() {
        check("one\r\ntwo", ["one", "two", "", ""], (1, 3));
        check("0123456789\r\nx", ["0123456789", "x", "", ""], (1, 1));
        check("0123456789ab", ["0123456789", "ab", "", ""], (1, 2));
        check("0123456789", ["0123456789", "", "", ""], (0, 9));
        check("1\n2\n3\n4\n5", ["2", "3", "4", "5"], (3, 1));
        check("1\n2\n3\n4\n", ["2", "3", "4", ""], (3, 0));
        check("ab\rc", ["cb", "", "", ""], (0, 1));
    }

    #[test]
    fn tabs_and_backspaces() {
        check("a\tb", ["a       b", "", "", ""], (0, 9));
        check("12345678\tx", ["12345678", "x", "", ""], (1, 1));
        check("abc\x08 \x08d", ["abd", "", "", ""], (0, 3));
        check("\x08x", ["x", "", "", ""], (0, 1));
        let typed_over_the_edge = "0123456789ab\x08 \x08\x08 \x08\x08 \x08\x08 \x08!";
        check(typed_over_the_edge, ["01234567!", "", "", ""], (0, 9));
    }

    #[test]
    fn characters_of_any_kind() {
        check("é\x07\x1b[", ["é[", "", "", ""], (0, 2));
        check("κλ", ["??", "", "", ""], (0, 2));
        let (rows, _) = shown(&[b"a\xffb\xc3(\xe2\x98"]);
        assert_eq!(rows[0], "a?b?(");
    }
}
