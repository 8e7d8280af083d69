//! The text of a path: most are so short that it needs no memory of its own.

use alloc::string::String;
use alloc::vec::Vec;

use machine::heap;

use crate::error::Result;

/// Bytes that a text has in itself.
const FEW: usize = 47;

/// Bytes of UTF-8, put together from whole pieces of it.
pub(super) struct Text {
    few: [u8; FEW],
    /// How many of them count, when `many` has none.
    len: u8,
    many: Vec<u8>,
}

impl Text {
    /// Takes over a text.
    pub(super) fn new(text: String) -> Text {
        let mut it = Text { few: [0; FEW], len: 0, many: Vec::new() };
        match it.few.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                it.len = text.len() as u8;
            }
            None => it.many = text.into_bytes(),
        }
        it
    }

    /// Another one of the same bytes.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    #[inline]
    pub(super) fn copy(&self) -> Result<Text> {
        let many = if self.many.is_empty() { Vec::new() } else { heap::try_copy(&self.many)? };
        Ok(Text { few: self.few, len: self.len, many })
    }

    /// Its bytes.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        if self.many.is_empty() {
            self.few.get(..usize::from(self.len)).unwrap_or_default()
        } else {
            &self.many
        }
    }

    /// All of it.
    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// How many.
    #[inline]
    pub(super) fn len(&self) -> usize {
        if self.many.is_empty() { usize::from(self.len) } else { self.many.len() }
    }

    /// Appends two pieces.
    ///
    /// # Errors
    /// `kernel allocate failed`; it is as it was.
    #[inline]
    pub(super) fn push(&mut self, first: &[u8], second: &[u8]) -> Result<()> {
        let len = usize::from(self.len);
        let more = first.len() + second.len();
        if self.many.is_empty()
            && let Some(room) = self.few.get_mut(len..len + more)
        {
            let (a, b) = room.split_at_mut(first.len());
            a.copy_from_slice(first);
            b.copy_from_slice(second);
            self.len += more as u8;
            return Ok(());
        }
        self.push_much(first, second)
    }

    #[inline(never)]
    fn push_much(&mut self, first: &[u8], second: &[u8]) -> Result<()> {
        let more = first.len() + second.len();
        if self.many.is_empty() {
            let mut many = heap::try_vec(FEW + more)?;
            many.extend_from_slice(self.bytes());
            self.many = many;
        }
        heap::try_reserve(&mut self.many, more)?;
        self.many.extend_from_slice(first);
        self.many.extend_from_slice(second);
        Ok(())
    }

    /// Leaves the first `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        match self.few.get_mut(..len) {
            Some(place) => {
                if let Some(left) = self.many.get(..len) {
                    place.copy_from_slice(left);
                    self.many = Vec::new();
                    self.len = len as u8;
                }
                self.len = self.len.min(len as u8);
            }
            None => self.many.truncate(len),
        }
    }
}
