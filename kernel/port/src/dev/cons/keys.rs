//! Keys that are more than one byte: the cursor keys, as a terminal sends them (ECMA-48: `ESC [ A`) and as the PC's
//! keyboard does (Plan 9's runes from U+F000).
//!
//! Only where lines are edited: in raw mode a program gets the bytes as they come, at once. A sequence that is none of
//! these is typed as it is, so that text with colours can be pasted.

const ESC: u8 = 0x1b;
/// Bytes of the longest sequence.
const LONGEST: usize = 4;

/// What was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The line before, and the one after it.
    Up,
    Down,
    /// One character.
    Left,
    Right,
    /// The line's ends.
    Home,
    End,
    /// What is under the cursor goes.
    Delete,
}

/// The sequences of all keys.
const KEYS: [(&[u8], Key); 22] = [
    (b"\x1b[A", Key::Up),
    (b"\x1b[B", Key::Down),
    (b"\x1b[C", Key::Right),
    (b"\x1b[D", Key::Left),
    (b"\x1b[H", Key::Home),
    (b"\x1b[F", Key::End),
    // In the keypad's application mode.
    (b"\x1bOA", Key::Up),
    (b"\x1bOB", Key::Down),
    (b"\x1bOC", Key::Right),
    (b"\x1bOD", Key::Left),
    (b"\x1bOH", Key::Home),
    (b"\x1bOF", Key::End),
    (b"\x1b[1~", Key::Home),
    (b"\x1b[4~", Key::End),
    (b"\x1b[7~", Key::Home),
    (b"\x1b[8~", Key::End),
    (b"\x1b[3~", Key::Delete),
    // U+F00D, U+F00E, U+F011, U+F012, U+F018, and U+F800, which older keyboards have for the key down.
    ("\u{f00d}".as_bytes(), Key::Home),
    ("\u{f00e}".as_bytes(), Key::Up),
    ("\u{f011}".as_bytes(), Key::Left),
    ("\u{f012}".as_bytes(), Key::Right),
    ("\u{f018}".as_bytes(), Key::End),
];
/// The key down of a PC.
const DOWN: &[u8] = "\u{f800}".as_bytes();

/// What becomes of a byte.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It may belong to a key, and is kept.
    Kept,
    /// It ended one.
    Key(Key),
    /// These first so many bytes of [`Keys::typed`] were typed, it among them.
    Typed(usize),
}

/// The bytes that may be a key.
#[derive(Default)]
pub(crate) struct Keys {
    kept: [u8; LONGEST],
    len: usize,
}

impl Keys {
    /// One byte.
    pub(crate) fn put(&mut self, byte: u8) -> Found {
        // Nearly every byte.
        if self.len == 0 && byte != ESC && byte != DOWN[0] {
            self.kept[0] = byte;
            return Found::Typed(1);
        }
        if let Some(place) = self.kept.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
        let kept = self.kept.get(..self.len).unwrap_or(&[]);
        let whole = KEYS.iter().find(|(sequence, _)| *sequence == kept).map(|(_, key)| *key);
        if let Some(key) = whole.or((kept == DOWN).then_some(Key::Down)) {
            self.len = 0;
            return Found::Key(key);
        }
        let begins = |sequence: &[u8]| sequence.starts_with(kept);
        if KEYS.iter().any(|(sequence, _)| begins(sequence)) || begins(DOWN) {
            return Found::Kept;
        }
        Found::Typed(core::mem::take(&mut self.len))
    }

    /// What was typed after all.
    pub(crate) fn typed(&self, n: usize) -> &[u8] {
        self.kept.get(..n).unwrap_or(&[])
    }

    /// Gives up a sequence that has only begun: so many bytes were typed.
    pub(crate) fn give_up(&mut self) -> usize {
        core::mem::take(&mut self.len)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn all(bytes: &[u8]) -> (Vec<u8>, Vec<Key>) {
        let mut keys = Keys::default();
        let (mut typed, mut pressed) = (Vec::new(), Vec::new());
        for &b in bytes {
            match keys.put(b) {
                Found::Kept => {}
                Found::Key(key) => pressed.push(key),
                Found::Typed(n) => typed.extend_from_slice(keys.typed(n)),
            }
        }
        (typed, pressed)
    }

    #[test]
    fn sequences_of_keys() {
        let (typed, pressed) = all("a\x1b[Ab\x1bOB\x1b[3~\u{f011}\u{f800}c".as_bytes());
        assert_eq!(typed, b"abc");
        assert_eq!(pressed, [Key::Up, Key::Down, Key::Delete, Key::Left, Key::Down]);
    }

    #[test]
    fn other_sequences_are_typed() {
        for text in
            ["\x1b[31mred\x1b[m", "\x1bx", "\x1b\x1bx", "\u{f001}x", "\u{f7ff}x", "\x1b[2~x", "\u{fffd}x"]
        {
            let (typed, pressed) = all(text.as_bytes());
            assert_eq!((typed, pressed), (Vec::from(text.as_bytes()), Vec::new()), "{text:?}");
        }
    }
}
