//! A text in one word: what most functions of a kernel give when they fail fits a register, and so do their results.
//!
//! A text of the program itself is its address and its length in one number, as addresses have 48 bits and such texts
//! are short. Any other is in a box, whose address is in the word; so is one of the program's that does not fit.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::num::NonZeroU64;

/// Where what is in the word begins: bits of the address, of the length, of the marks; the last one says that it is a
/// box.
const ADDRESS_BITS: u32 = 48;
const LENGTH_BITS: u32 = 13;
const MARKS: u32 = ADDRESS_BITS + LENGTH_BITS;
const BOXED: u64 = 1 << 63;
/// Longest text that is told by address and length.
const LONGEST: usize = (1 << LENGTH_BITS) - 1;
/// The bits above an address: a kernel is in the upper half of addresses, a program of the host in the lower one.
const ABOVE: u64 = if cfg!(target_os = "none") { 0xffff << ADDRESS_BITS } else { 0 };

/// A text that is the program's, or in a box of its own, with two marks whose meaning is the user's.
pub struct TextWord(NonZeroU64);

impl TextWord {
    /// A text of the program. (Of a constant one the word is a constant, too, so whoever may fail has it at hand.)
    #[inline]
    pub fn of(text: &'static str) -> TextWord {
        if text.len() > LONGEST {
            return TextWord::boxed(String::from(text));
        }
        // An empty constant has no place of its own, and its address can be any number.
        let place = if text.is_empty() { " ".as_ptr() } else { text.as_ptr() };
        TextWord::new(place.expose_provenance(), (text.len() as u64) << ADDRESS_BITS)
    }

    /// A text of any kind.
    #[inline(never)]
    pub fn boxed(text: String) -> TextWord {
        TextWord::new(Box::into_raw(Box::new(text)).expose_provenance(), BOXED)
    }

    /// An address, and what is said above it.
    #[inline]
    fn new(address: usize, said: u64) -> TextWord {
        debug_assert!(
            address as u64 >> ADDRESS_BITS == ABOVE >> ADDRESS_BITS,
            "{address:#x} in the other half"
        );
        // As a sum, of which a linker can make a constant.
        match NonZeroU64::new((address as u64).wrapping_add(said.wrapping_sub(ABOVE))) {
            Some(word) => TextWord(word),
            None => unreachable!("nothing is at zero"),
        }
    }

    /// The text.
    #[inline]
    pub fn text(&self) -> &str {
        let word = self.0.get();
        let place = core::ptr::with_exposed_provenance::<u8>(address(word));
        if word & BOXED != 0 {
            // SAFETY: `boxed` took it out of a box, which is this word's alone and lives as long.
            return unsafe { &*place.cast::<String>() };
        }
        let len = (word >> ADDRESS_BITS) as usize & LONGEST;
        // SAFETY: `of` had it from a text that lives for ever, with this length.
        unsafe { core::str::from_utf8_unchecked(core::slice::from_raw_parts(place, len)) }
    }

    /// The marks, 0 to 3: none at first.
    #[inline]
    pub fn marks(&self) -> u8 {
        (self.0.get() >> MARKS) as u8 & 3
    }

    /// The same text with these marks, of which the lower two bits count.
    #[inline]
    pub fn with_marks(self, marks: u8) -> TextWord {
        let word = self.0.get() & !(3 << MARKS) | u64::from(marks & 3) << MARKS;
        core::mem::forget(self);
        match NonZeroU64::new(word) {
            Some(word) => TextWord(word),
            None => unreachable!("an address is not zero"),
        }
    }
}

/// The address in a word.
#[inline]
const fn address(word: u64) -> usize {
    (word & ((1 << ADDRESS_BITS) - 1) | ABOVE) as usize
}

impl From<Cow<'static, str>> for TextWord {
    fn from(text: Cow<'static, str>) -> TextWord {
        match text {
            Cow::Borrowed(text) => TextWord::of(text),
            Cow::Owned(text) => TextWord::boxed(text),
        }
    }
}

impl Clone for TextWord {
    fn clone(&self) -> TextWord {
        match self.0.get() & BOXED {
            0 => TextWord(self.0),
            _ => TextWord::boxed(String::from(self.text())).with_marks(self.marks()),
        }
    }
}

impl Drop for TextWord {
    #[inline]
    fn drop(&mut self) {
        if self.0.get() & BOXED != 0 {
            // SAFETY: the word is the only one of it, and ends here.
            unsafe { unbox(self.0.get()) };
        }
    }
}

/// Ends a box.
///
/// # Safety
/// The word is of `boxed`, and nobody has it any more.
#[cold]
#[inline(never)]
unsafe fn unbox(word: u64) {
    let place = core::ptr::with_exposed_provenance_mut::<String>(address(word));
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(place) });
}

impl fmt::Debug for TextWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TextWord").field(&self.text()).field(&self.marks()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn texts_of_both_kinds_come_back_with_their_marks() {
        assert_eq!(size_of::<Result<u64, TextWord>>(), 16);
        assert_eq!(size_of::<Result<(), TextWord>>(), 8);
        let long: &'static str = String::leak("é".repeat(LONGEST));
        for text in ["", "a", "file does not exist", &long[..LONGEST - 1], long] {
            for word in [TextWord::of(text), TextWord::boxed(String::from(text))] {
                assert_eq!((word.text(), word.marks()), (text, 0));
                for marks in 0..4 {
                    let marked = word.clone().with_marks(3).with_marks(marks);
                    let again = marked.clone();
                    drop(marked);
                    assert_eq!((again.text(), again.marks()), (text, marks));
                }
            }
        }
        assert_eq!(format!("{:?}", TextWord::of("x").with_marks(2)), "TextWord(\"x\", 2)");
    }

    #[test]
    fn texts_of_the_program_need_no_memory_and_others_give_theirs_back() {
        // `within` panics when more is allocated than is said here.
        crate::host::heap::within("a text of the program", 0, || {
            let word = TextWord::of("file does not exist");
            assert_eq!(word.clone().with_marks(1).text(), "file does not exist");
        });
        crate::host::heap::within("a thousand other texts, one after the other", 4096, || {
            for i in 0..1000 {
                let word = TextWord::from(Cow::Owned("x".repeat(100 + i)));
                assert_eq!(word.clone().text().len(), 100 + i);
            }
        });
    }
}
