//! The line discipline: what a person types becomes lines that programs read.
//!
//! Pure state, no I/O: keys go in, echo comes out, finished lines queue up. Its owner has a lock around it.
//!
//! Backspace (`^H`) takes a character back, `^W` a word, `^U` the line. `^D` ends the input: what stands there is
//! read without a newline, and nothing at all reads as end of file. DEL and `^C` interrupt and drop the line.
//! Carriage return is newline. In raw mode every byte is read at once and nothing is echoed.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

const INTR: u8 = 0x03;
const EOF: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const KILL: u8 = 0x15;
const WORD: u8 = 0x17;
const DEL: u8 = 0x7f;

/// Most bytes that wait for a reader, with those of the line that is being typed. Characters beyond are dropped; what
/// ends a line or the input still counts, so the line that is there can be finished.
pub(crate) const MAXWAITING: usize = 1 << 20;

/// What the typist sees and what is ready to be read.
#[derive(Default)]
pub(crate) struct Line {
    /// The line being typed.
    edit: Vec<u8>,
    /// Finished lines; an empty one is an end of file.
    ready: VecDeque<Piece>,
    waiting: usize,
    raw: bool,
    hold: bool,
    echoing: bool,
}

struct Piece {
    bytes: Vec<u8>,
    raw: bool,
}

impl Line {
    /// One byte from the keyboard. What is to appear on the screen is added to `echo`. True: an interrupt.
    pub(crate) fn key(&mut self, byte: u8, echo: &mut Vec<u8>) -> bool {
        if self.raw {
            self.key_raw(byte);
            return false;
        }
        match byte {
            INTR | DEL => {
                self.edit.clear();
                echo.extend_from_slice(b"^C\n");
                return true;
            }
            EOF => self.finish(),
            BACKSPACE => self.take_back(echo),
            KILL => {
                if !self.edit.is_empty() {
                    self.edit.clear();
                    echo.extend_from_slice(b"^U\n");
                }
            }
            WORD => {
                while self.edit.last().is_some_and(|b| *b == b' ' || *b == b'\t') {
                    self.take_back(echo);
                }
                while self.edit.last().is_some_and(|b| *b != b' ' && *b != b'\t') {
                    self.take_back(echo);
                }
            }
            b'\r' | b'\n' => {
                self.edit.push(b'\n');
                echo.push(b'\n');
                self.finish();
            }
            _ => {
                if self.waiting + self.edit.len() < MAXWAITING {
                    self.edit.push(byte);
                    echo.push(byte);
                }
            }
        }
        false
    }

    fn key_raw(&mut self, byte: u8) {
        if self.waiting >= MAXWAITING {
            return;
        }
        self.waiting += 1;
        match self.ready.back_mut() {
            Some(p) if p.raw => p.bytes.push(byte),
            _ => self.ready.push_back(Piece { bytes: alloc::vec![byte], raw: true }),
        }
    }

    fn finish(&mut self) {
        let bytes = core::mem::take(&mut self.edit);
        self.waiting += bytes.len();
        self.ready.push_back(Piece { bytes, raw: false });
    }

    /// Takes back the last character, all bytes of it.
    fn take_back(&mut self, echo: &mut Vec<u8>) {
        while let Some(b) = self.edit.pop() {
            // A byte that continues a character goes together with the one that begins it.
            if b & 0xc0 != 0x80 {
                echo.extend_from_slice(b"\x08 \x08");
                break;
            }
        }
    }

    /// Up to `max` bytes for a reader, none at an end of file. `None`: it has to wait.
    pub(crate) fn take(&mut self, max: usize) -> Option<Vec<u8>> {
        if self.echoing || self.hold && !self.ready.front()?.raw {
            return None;
        }
        let mut piece = self.ready.pop_front()?;
        if piece.bytes.len() > max {
            let rest = piece.bytes.split_off(max);
            self.ready.push_front(Piece { bytes: rest, raw: piece.raw });
        }
        self.waiting -= piece.bytes.len();
        Some(piece.bytes)
    }

    /// Raw mode on or off. What has been typed of a line can be read at once when it goes on.
    pub(crate) fn set_raw(&mut self, raw: bool) {
        if raw && !self.raw && !self.edit.is_empty() {
            self.finish();
        }
        self.raw = raw;
    }

    /// While the echo is on its way to the screen, all stays back: what a program answers comes behind it.
    pub(crate) fn set_echoing(&mut self, echoing: bool) {
        self.echoing = echoing;
    }

    /// While held, finished lines stay back.
    pub(crate) fn set_hold(&mut self, hold: bool) {
        self.hold = hold;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    /// Types `keys`; gives the echo and the number of interrupts.
    fn type_in(line: &mut Line, keys: &str) -> (String, usize) {
        let mut echo = Vec::new();
        let n = keys.bytes().filter(|b| line.key(*b, &mut echo)).count();
        (String::from_utf8(echo).unwrap(), n)
    }

    fn read(line: &mut Line) -> Option<String> {
        line.take(1000).map(|b| String::from_utf8(b).unwrap())
    }

    #[test]
    fn lines_are_edited_before_they_are_read() {
        for (keys, echo, want) in [
            ("abc\r", "abc\n", "abc\n"),
            ("abd\x08c\n", "abd\x08 \x08c\n", "abc\n"),
            ("né\x08e\n", "né\x08 \x08e\n", "ne\n"),
            ("\x08\x08x\n", "x\n", "x\n"),
            ("wrong\x15right\n", "wrong^U\nright\n", "right\n"),
            ("a bb  \x17c\n", "a bb  \x08 \x08\x08 \x08\x08 \x08\x08 \x08c\n", "a c\n"),
            ("part\x04", "part", "part"),
            ("\x04", "", ""),
        ] {
            let mut line = Line::default();
            assert_eq!(type_in(&mut line, keys), (echo.into(), 0), "{keys:?}");
            assert_eq!(read(&mut line), Some(want.into()), "{keys:?}");
            assert_eq!(read(&mut line), None, "{keys:?}");
        }
    }

    #[test]
    fn an_interrupt_drops_the_line_but_not_those_before() {
        let mut line = Line::default();
        assert_eq!(type_in(&mut line, "one\ntwo\x7fthree\n\x03"), ("one\ntwo^C\nthree\n^C\n".into(), 2));
        assert_eq!(read(&mut line), Some("one\n".into()));
        assert_eq!(read(&mut line), Some("three\n".into()));
    }

    #[test]
    fn a_short_read_leaves_the_rest_of_the_line() {
        let mut line = Line::default();
        type_in(&mut line, "abcdef\ng\n");
        assert_eq!(line.take(4).unwrap(), b"abcd");
        assert_eq!(line.take(40).unwrap(), b"ef\n");
        assert_eq!(line.take(40).unwrap(), b"g\n");
    }

    #[test]
    fn raw_bytes_come_at_once_and_silently() {
        let mut line = Line::default();
        type_in(&mut line, "be");
        line.set_raw(true);
        assert_eq!(type_in(&mut line, "a\x7f\x03\r\x04"), (String::new(), 0));
        assert_eq!(read(&mut line), Some("be".into()));
        assert_eq!(read(&mut line), Some("a\x7f\x03\r\x04".into()));
        line.set_raw(false);
        type_in(&mut line, "x");
        assert_eq!(read(&mut line), None);
    }

    #[test]
    fn held_lines_wait() {
        let mut line = Line::default();
        line.set_hold(true);
        type_in(&mut line, "a\nb\n");
        assert_eq!(read(&mut line), None);
        line.set_hold(false);
        assert_eq!(read(&mut line), Some("a\n".into()));
    }

    #[test]
    fn what_nobody_reads_is_bounded() {
        let mut line = Line::default();
        let mut echo = Vec::new();
        for _ in 0..MAXWAITING + 100 {
            line.key(b'x', &mut echo);
        }
        assert!(line.key(0x7f, &mut echo), "an interrupt still comes through");
        type_in(&mut line, "y\n");
        assert_eq!(read(&mut line), Some("y\n".into()));
    }
}
