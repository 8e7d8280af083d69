//! The line discipline: what a person types becomes lines that programs read.
//!
//! Pure state, no I/O: keys go in, echo comes out, finished lines queue up. Its owner has a lock around it. The line
//! that is being typed is in `edit`, keys of several bytes are in `keys`, what the host says in between in `host`.
//!
//! Backspace (`^H`) takes a character back, `^W` a word, `^U` the line. `^D` ends the input: what stands there is
//! read without a newline, and nothing at all reads as end of file. DEL and `^C` interrupt, and drop the line and ends
//! of file that nobody has read. `^T` asks what runs. `^A`, `^E` and the cursor keys move in the line and through those
//! before it. Carriage return is newline. In raw mode every byte is read at once and nothing is echoed.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use machine::heap;

use super::edit::{self, Edit};
use super::host::{self, Messages, Told};
use super::keys::{self, Key, Keys};

const START: u8 = 0x01;
const INTR: u8 = 0x03;
const EOF: u8 = 0x04;
const LAST: u8 = 0x05;
const BACKSPACE: u8 = 0x08;
const STATUS: u8 = 0x14;
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
/// Bytes that a key adds to the echo at most.
pub(crate) const ECHO: usize = edit::ECHO;
/// Bytes of memory that are kept when nothing waits.
const KEPT: usize = 4096;

/// What the typist sees and what is ready to be read.
#[derive(Default)]
pub(crate) struct Line {
    /// The line being typed.
    edit: Edit,
    keys: Keys,
    messages: Messages,
    /// How many bytes of `messages` were typed, and how many of them have been seen to.
    typed: usize,
    typed_at: usize,
    /// Rows and columns of the window; 0 when nobody has told.
    size: (u16, u16),
    /// Nothing will be typed any more: when all has been read, every read is an end of file.
    ended: bool,
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

/// What a key is to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Something for readers, or nothing.
    None,
    /// An interrupt.
    Interrupt,
    /// To be told what runs.
    Status,
}

impl Line {
    /// One byte that came from the console, when there is no [rest](Line::put_rest) of those before. What is to appear
    /// on the screen is added to `echo`.
    pub(crate) fn put(&mut self, byte: u8, echo: &mut Vec<u8>) -> Wish {
        match self.messages.put(byte) {
            host::Found::Kept => {}
            host::Found::Message(Told::Size(rows, columns)) => self.size = (rows, columns),
            host::Found::Message(Told::End) => self.end(),
            host::Found::Typed(n) => {
                (self.typed_at, self.typed) = (0, n);
                return self.put_rest(echo).unwrap_or(Wish::None);
            }
        }
        Wish::None
    }

    /// One of the bytes that only began like a message, and have come together. Nothing: there are none any more.
    pub(crate) fn put_rest(&mut self, echo: &mut Vec<u8>) -> Option<Wish> {
        let byte = self.messages.typed(self.typed).get(self.typed_at).copied()?;
        self.typed_at += 1;
        Some(self.key(byte, echo))
    }

    /// Whether [`Line::put_rest`] has more.
    pub(crate) fn has_rest(&self) -> bool {
        self.typed_at < self.typed
    }

    /// One byte from the keyboard.
    fn key(&mut self, byte: u8, echo: &mut Vec<u8>) -> Wish {
        if self.raw {
            self.key_raw(byte);
            return Wish::None;
        }
        match self.keys.put(byte) {
            keys::Found::Kept => Wish::None,
            keys::Found::Key(key) => {
                self.edit.key(key, echo);
                Wish::None
            }
            keys::Found::Typed(n) => {
                let mut wish = Wish::None;
                for at in 0..n {
                    let typed = self.keys.typed(n).get(at).copied();
                    let this = typed.map_or(Wish::None, |byte| self.key_cooked(byte, echo));
                    wish = if wish == Wish::None { this } else { wish };
                }
                wish
            }
        }
    }

    fn key_cooked(&mut self, byte: u8, echo: &mut Vec<u8>) -> Wish {
        match byte {
            INTR | DEL => {
                self.edit.clear();
                // An end that was for who is interrupted, and that he has not read, must not end the shell behind him.
                self.ready.retain(|piece| piece.len != 0);
                echo.extend_from_slice(b"^C\n");
                return Wish::Interrupt;
            }
            STATUS => return Wish::Status,
            EOF => {
                self.finish(false);
            }
            BACKSPACE => self.edit.take_back(echo),
            KILL => {
                if !self.edit.text().is_empty() {
                    self.edit.clear();
                    echo.extend_from_slice(b"^U\n");
                }
            }
            WORD => self.edit.take_back_word(echo),
            START => self.edit.key(Key::Home, echo),
            LAST => self.edit.key(Key::End, echo),
            b'\r' | b'\n' => {
                if self.finish(true) {
                    echo.push(b'\n');
                }
            }
            _ => {
                if self.left() >= CHARACTER {
                    self.edit.insert(byte, echo);
                }
            }
        }
        Wish::None
    }

    /// Prints the line that is being typed once more, for who has printed something else in between.
    pub(crate) fn show_again(&self, echo: &mut Vec<u8>) {
        self.edit.show_again(echo);
    }

    /// Rows and columns of the window, 0 and 0 when nobody has told.
    pub(crate) fn size(&self) -> (u16, u16) {
        self.size
    }

    /// The window has so many rows and columns.
    pub(crate) fn set_size(&mut self, rows: u16, columns: u16) {
        self.size = (rows, columns);
    }

    /// Nothing will be typed any more.
    fn end(&mut self) {
        if !self.edit.text().is_empty() {
            self.finish(false);
        }
        self.ended = true;
    }

    /// Has everything been read that will ever be typed?
    pub(crate) fn is_over(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    /// How much more may wait.
    fn left(&self) -> usize {
        let waiting = self.bytes.len() + self.edit.text().len() + self.ready.len() * PIECE;
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
        let len = self.edit.text().len() + usize::from(newline);
        let room = self.left() >= PIECE + usize::from(newline)
            && heap::try_reserve(&mut self.bytes, len).is_ok()
            && heap::try_reserve(&mut self.ready, 1).is_ok();
        if room {
            // Drained and not taken away, since the next line is soon as long.
            let bytes = &mut self.bytes;
            self.edit.finish(newline, |text| bytes.extend(text.drain(..)));
            self.bytes.extend(newline.then_some(b'\n'));
            self.ready.push_back(Piece { len: len as u32, raw: false });
        }
        room
    }

    /// How many bytes the next read gives at most, 0 at an end of file. `None`: it has to wait.
    pub(crate) fn next(&self) -> Option<usize> {
        if self.is_over() {
            return Some(0);
        }
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
        if raw && !self.raw {
            // A key that has only begun is typed as far as it came.
            for at in 0..self.keys.give_up() {
                let byte = self.keys.typed(at + 1).last().copied();
                byte.map(|byte| self.key_cooked(byte, &mut Vec::new()));
            }
            if !self.edit.text().is_empty() {
                self.finish(false);
            }
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
mod tests;
