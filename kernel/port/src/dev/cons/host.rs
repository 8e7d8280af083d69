//! What the other end of the console says of itself among the bytes that are typed there: how large its window is, and
//! that nothing will be typed any more.
//!
//! A serial line has no other way to tell. A message is a byte that is in no UTF-8 text, [`BEGIN`], the word `elwood`,
//! what is told, and a newline:
//!
//! ```text
//! 0xff elwood size ROWS COLUMNS \n
//! 0xff elwood end \n
//! ```
//!
//! It is taken out in raw mode as well, so that no program is disturbed by it. What only begins like one is typed.

/// The first byte.
const BEGIN: u8 = 0xff;
/// What every message begins with.
const HEAD: &[u8] = b"\xffelwood ";
/// Bytes of the longest, without the newline.
const LONGEST: usize = 31;

/// What was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Rows and columns of the window.
    Size(u16, u16),
    /// Nothing will be typed any more.
    End,
}

/// What becomes of a byte.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It may belong to a message, and is kept.
    Kept,
    /// It ended one.
    Message(Told),
    /// These first so many bytes of [`Messages::typed`] were typed, and it among them, unless another message may begin
    /// with it.
    Typed(usize),
}

/// The bytes that may be a message.
#[derive(Default)]
pub(crate) struct Messages {
    kept: [u8; LONGEST + 1],
    len: usize,
}

impl Messages {
    /// One byte.
    pub(crate) fn put(&mut self, byte: u8) -> Found {
        // Nearly every byte.
        if self.len == 0 && byte != BEGIN {
            self.kept[0] = byte;
            return Found::Typed(1);
        }
        if byte == b'\n'
            && let Some(told) = self.kept.get(..self.len).and_then(parse)
        {
            self.len = 0;
            return Found::Message(told);
        }
        if byte == BEGIN && self.len > 0 {
            // What came before was none. All that is kept begins with this byte, and so does what may come now.
            return Found::Typed(core::mem::replace(&mut self.len, 1));
        }
        if let Some(place) = self.kept.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
        let head = self.len.min(HEAD.len());
        if byte != b'\n' && self.len <= LONGEST && self.kept.get(..head) == HEAD.get(..head) {
            return Found::Kept;
        }
        Found::Typed(core::mem::take(&mut self.len))
    }

    /// What was typed after all.
    pub(crate) fn typed(&self, n: usize) -> &[u8] {
        self.kept.get(..n).unwrap_or(&[])
    }
}

fn parse(message: &[u8]) -> Option<Told> {
    let text = core::str::from_utf8(message.strip_prefix(HEAD)?).ok()?;
    let mut words = text.split(' ');
    match [words.next(), words.next(), words.next(), words.next()] {
        [Some("end"), None, ..] => Some(Told::End),
        [Some("size"), Some(rows), Some(columns), None] => {
            Some(Told::Size(rows.parse().ok()?, columns.parse().ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// What is typed and told by these bytes.
    fn all(bytes: &[u8]) -> (Vec<u8>, Vec<Told>) {
        let mut messages = Messages::default();
        let (mut typed, mut told) = (Vec::new(), Vec::new());
        for &b in bytes {
            match messages.put(b) {
                Found::Kept => {}
                Found::Message(m) => told.push(m),
                Found::Typed(n) => typed.extend_from_slice(messages.typed(n)),
            }
        }
        (typed, told)
    }

    #[test]
    fn messages_are_taken_out() {
        let (typed, told) = all(b"ec\xffelwood size 24 80\nho\n\xffelwood end\nx");
        assert_eq!(typed, b"echo\nx");
        assert_eq!(told, [Told::Size(24, 80), Told::End]);
    }

    #[test]
    fn one_may_come_behind_what_only_began_like_one() {
        for before in [&b"\xff"[..], b"\xff\xff\xff", b"\xffelw", b"x\xffelwood size 1 2"] {
            let (typed, told) = all(&[before, b"\xffelwood size 24 80\nz"].concat());
            assert_eq!(
                (typed, told),
                ([before, b"z"].concat(), alloc::vec![Told::Size(24, 80)]),
                "{before:?}"
            );
        }
    }

    #[test]
    fn what_only_begins_like_one_is_typed() {
        for bytes in [
            &b"\xff\xffx"[..],
            b"\xffelwoo",
            b"\xffelwood size 1\n",
            b"\xffelwood size 1 70000\n",
            b"\xffelwood END\n",
            b"\xffelwood size 11111111111111111111111111111111111 2\n",
            b"\xc3\xbf\xfe",
            b"\xffelwooe",
        ] {
            let (typed, told) = all(&[bytes, b"zz"].concat());
            assert_eq!((typed, told), ([bytes, b"zz"].concat(), Vec::new()), "{bytes:?}");
        }
    }
}
