//! The line discipline: what a person types becomes lines that programs read.
//!
//! Pure state, no I/O: keys go in, echo comes out, finished lines queue up. Its owner has a lock around it.
//!
//! Backspace (`^H`) takes a character back, `^W` a word, `^U` the line. `^D` ends the input: what stands there is
//! read without a newline, and nothing at all reads as end of file. DEL and `^C` interrupt and drop the line.
//! Carriage return is newline. In raw mode every byte is read at once and nothing is echoed.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use machine::heap;

const INTR: u8 = 0x03;
const EOF: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const KILL: u8 = 0x15;
const WORD: u8 = 0x17;
const DEL: u8 = 0x7f;

/// Most that waits for a reader, with the line that is being typed: bytes, and [`PIECE`] more for each line and each
/// end of the input. What would be more is dropped, whatever it is. Whoever has begun a line can finish it.
pub(crate) const MAXWAITING: usize = 1 << 20;
/// What a line, or an end of the input, counts beside its bytes: the memory that its [`Piece`] takes.
const PIECE: usize = size_of::<Piece>();
/// What has to be left for a character to be taken: itself, and the newline that ends its line.
const CHARACTER: usize = 2 + PIECE;
/// Bytes of a word that is rubbed out on the screen.
const RUBBED_OUT: usize = 512;
/// Bytes that a key adds to the echo at most.
pub(crate) const ECHO: usize = 3 * RUBBED_OUT;
/// Bytes of memory that are kept when nothing waits.
const KEPT: usize = 4096;

/// What the typist sees and what is ready to be read.
#[derive(Default)]
pub(crate) struct Line {
    /// The line being typed.
    edit: Vec<u8>,
    /// The bytes of all that is ready, one piece after the other.
    bytes: VecDeque<u8>,
    /// How the bytes are to be read, piece by piece; an empty one is an end of file.
    ready: VecDeque<Piece>,
    raw: bool,
    hold: bool,
    echoing: bool,
}

/// A finished line, or what was typed in raw mode.
struct Piece {
    /// Bytes.
    len: u32,
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
            EOF => {
                self.finish(false);
            }
            BACKSPACE => self.take_back(echo),
            KILL => {
                if !self.edit.is_empty() {
                    self.edit.clear();
                    echo.extend_from_slice(b"^U\n");
                }
            }
            WORD => {
                let is_blank = |b: &u8| *b == b' ' || *b == b'\t';
                let end = self.edit.iter().rposition(|b| !is_blank(b)).map_or(0, |at| at + 1);
                let word = self.edit.get(..end).unwrap_or(&[]);
                let start = word.iter().rposition(is_blank).map_or(0, |at| at + 1);
                self.take_back_to(start, echo);
            }
            b'\r' | b'\n' => {
                if self.finish(true) {
                    echo.push(b'\n');
                }
            }
            _ => {
                if self.left() >= CHARACTER && heap::try_reserve(&mut self.edit, 1).is_ok() {
                    self.edit.push(byte);
                    echo.push(byte);
                }
            }
        }
        false
    }

    /// Takes back all from `start` on. What is longer than a screen's rows is not rubbed out one by one.
    fn take_back_to(&mut self, start: usize, echo: &mut Vec<u8>) {
        if self.edit.len() - start > RUBBED_OUT {
            self.edit.truncate(start);
            echo.extend_from_slice(b"^W\n");
        }
        while self.edit.len() > start {
            self.take_back(echo);
        }
    }

    /// How much more may wait.
    fn left(&self) -> usize {
        let waiting = self.bytes.len() + self.edit.len() + self.ready.len() * PIECE;
        MAXWAITING.saturating_sub(waiting)
    }

    fn key_raw(&mut self, byte: u8) {
        if self.left() < CHARACTER || heap::try_reserve(&mut self.bytes, 1).is_err() {
            return;
        }
        if self.ready.back().is_none_or(|piece| !piece.raw) {
            if heap::try_reserve(&mut self.ready, 1).is_err() {
                return;
            }
            self.ready.push_back(Piece { len: 0, raw: true });
        }
        if let Some(piece) = self.ready.back_mut() {
            piece.len += 1;
            self.bytes.push_back(byte);
        }
    }

    /// The line that is being typed can be read, with a newline or as it is. False when there is no room for it: then
    /// it is still being typed.
    fn finish(&mut self, newline: bool) -> bool {
        let len = self.edit.len() + usize::from(newline);
        let room = self.left() >= PIECE + usize::from(newline)
            && heap::try_reserve(&mut self.bytes, len).is_ok()
            && heap::try_reserve(&mut self.ready, 1).is_ok();
        if room {
            // Drained and not taken away, since the next line is soon as long.
            self.bytes.extend(self.edit.drain(..));
            self.bytes.extend(newline.then_some(b'\n'));
            self.ready.push_back(Piece { len: len as u32, raw: false });
        }
        room
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

    /// How many bytes the next read gives at most, 0 at an end of file. `None`: it has to wait.
    pub(crate) fn next(&self) -> Option<usize> {
        let piece = self.ready.front().filter(|piece| !self.echoing && (piece.raw || !self.hold))?;
        Some(piece.len as usize)
    }

    /// Puts up to `max` bytes of the [next](Line::next) piece into `out`.
    pub(crate) fn take(&mut self, max: usize, out: &mut Vec<u8>) {
        let Some(piece) = self.ready.front_mut() else { return };
        let n = (piece.len as usize).min(max);
        out.extend(self.bytes.drain(..n.min(self.bytes.len())));
        piece.len -= n as u32;
        if piece.len == 0 {
            self.ready.pop_front();
        }
        // What a flood of input has taken is not kept for the next one.
        if self.ready.is_empty() {
            self.bytes.shrink_to(KEPT);
            self.ready.shrink_to(KEPT / PIECE);
        }
    }

    /// Raw mode on or off. What has been typed of a line can be read at once when it goes on.
    pub(crate) fn set_raw(&mut self, raw: bool) {
        if raw && !self.raw && !self.edit.is_empty() {
            self.finish(false);
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
    use alloc::format;
    use alloc::string::String;

    /// Types `keys`; gives the echo and the number of interrupts.
    fn type_in(line: &mut Line, keys: &str) -> (String, usize) {
        let mut echo = Vec::new();
        let n = keys.bytes().filter(|b| line.key(*b, &mut echo)).count();
        (String::from_utf8(echo).unwrap(), n)
    }

    fn take(line: &mut Line, max: usize) -> Option<Vec<u8>> {
        line.next()?;
        let mut out = Vec::new();
        line.take(max, &mut out);
        Some(out)
    }

    fn read(line: &mut Line) -> Option<String> {
        take(line, 1000).map(|b| String::from_utf8(b).unwrap())
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
        assert_eq!(take(&mut line, 4).unwrap(), b"abcd");
        assert_eq!(take(&mut line, 40).unwrap(), b"ef\n");
        assert_eq!(take(&mut line, 40).unwrap(), b"g\n");
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

    /// Types `byte` again and again, many more times than there can be room for; gives how many bytes were echoed.
    fn flood(line: &mut Line, byte: u8) -> usize {
        let mut echo = Vec::new();
        for _ in 0..2 * MAXWAITING {
            line.key(byte, &mut echo);
        }
        echo.len()
    }

    #[test]
    fn a_word_of_any_length_is_rubbed_out_with_a_short_echo() {
        let mut line = Line::default();
        type_in(&mut line, &format!("a {}", "x".repeat(RUBBED_OUT)));
        let (echo, _) = type_in(&mut line, "\x17");
        assert_eq!(echo.len(), ECHO);
        type_in(&mut line, &"x".repeat(100_000));
        assert_eq!(type_in(&mut line, "  \x17"), ("  ^W\n".into(), 0));
        type_in(&mut line, "b\n");
        assert_eq!(read(&mut line), Some("a b\n".into()));
    }

    /// Bytes of memory that a line takes.
    fn memory(line: &Line) -> usize {
        line.edit.capacity() + line.bytes.capacity() + line.ready.capacity() * PIECE
    }

    #[test]
    fn what_nobody_reads_is_bounded_whatever_it_is() {
        for (byte, most) in [(b'x', MAXWAITING), (b'\n', MAXWAITING / (1 + PIECE)), (EOF, 0)] {
            let mut line = Line::default();
            let echoed = flood(&mut line, byte);
            assert!(echoed <= most && (echoed > most / 2 || most == 0), "{byte}: {echoed}");
            assert!(line.left() <= CHARACTER, "{byte}: {}", line.left());
            assert!(memory(&line) <= 3 * MAXWAITING, "{byte}: {}", memory(&line));
            // The line that was begun can be ended.
            if byte == b'x' {
                type_in(&mut line, "\n");
                let got = take(&mut line, MAXWAITING).unwrap();
                assert!(got.len() == echoed + 1 && got.ends_with(b"x\n"));
            }
            let mut echo = Vec::new();
            assert!(line.key(DEL, &mut echo), "an interrupt still comes through");
            while take(&mut line, MAXWAITING).is_some() {}
            assert!(memory(&line) <= MAXWAITING + 4 * KEPT, "{byte}: {}", memory(&line));
            type_in(&mut line, "y\n");
            assert_eq!(read(&mut line), Some("y\n".into()));
        }
        let mut line = Line::default();
        line.set_raw(true);
        assert_eq!(flood(&mut line, b'\n'), 0);
        assert!(take(&mut line, 3 * MAXWAITING).is_some_and(|bytes| bytes.len() <= MAXWAITING));
    }
}
