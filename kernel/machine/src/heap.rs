//! Kernel memory that can say no: what a call may take for granted, and how to ask for more.
//!
//! Every thread has a grant of [`GRANT`] bytes, set aside as long as it lives. What one system call (or one round of a
//! kernel thread that loops) allocates in the ordinary way, at its peak, fits in that; such an allocation does not
//! fail. Whatever a program, a server or a device can make larger is asked for with the functions of this module, under
//! a limit of its own: they give [`OutOfMemory`] while the grants are still whole, and nothing has changed then. A call
//! that keeps something small asks [`is_granted`] before it begins; one that keeps many small things asks again between
//! them, for whoever is told that the grants are whole has his own from there on.
//!
//! So the kernel does not run out: the threads' peaks together are no more than what is set aside. In tests
//! `host::heap` watches the first half of this and makes the second happen.
//!
//! Owns nothing and locks nothing; the two halves do.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

pub(crate) use crate::arch::heap::for_threads;
pub use crate::arch::heap::{Call, can_afford, is_granted, is_granted_beside, may_fail};
use crate::types::OutOfMemory;

/// Bytes that a call may allocate without asking, at its peak.
pub const GRANT: usize = 16 << 10;

/// What can be given room in advance.
pub trait Room {
    /// Whether `more` elements fit as it is.
    fn has_room(&self, more: usize) -> bool;

    /// Makes room for `more` elements, and for some to come.
    ///
    /// # Errors
    /// When there is no memory for them; it is as it was.
    fn make_room(&mut self, more: usize) -> Result<(), OutOfMemory>;

    /// Makes room for `more` elements and no others.
    ///
    /// # Errors
    /// When there is no memory for them; it is as it was.
    fn make_exact_room(&mut self, more: usize) -> Result<(), OutOfMemory>;
}

macro_rules! room {
    ($type:ty $(, $element:ident)?) => {
        #[expect(clippy::disallowed_methods, reason = "this is the way to call them")]
        impl$(<$element>)? Room for $type {
            #[inline]
            fn has_room(&self, more: usize) -> bool {
                self.capacity() - self.len() >= more
            }

            fn make_room(&mut self, more: usize) -> Result<(), OutOfMemory> {
                may_fail(|| self.try_reserve(more)).map_err(|_| OutOfMemory)
            }

            fn make_exact_room(&mut self, more: usize) -> Result<(), OutOfMemory> {
                may_fail(|| self.try_reserve_exact(more)).map_err(|_| OutOfMemory)
            }
        }
    };
}

room!(Vec<T>, T);
room!(VecDeque<T>, T);
room!(String);

/// Makes room for `more` elements, and, when that needs memory, for some to come.
///
/// # Errors
/// When there is no memory for them; the collection is as it was.
#[inline]
pub fn try_reserve(collection: &mut impl Room, more: usize) -> Result<(), OutOfMemory> {
    if collection.has_room(more) { Ok(()) } else { collection.make_room(more) }
}

/// Makes room for `more` elements and no others.
///
/// # Errors
/// When there is no memory for them; the collection is as it was.
#[inline]
pub fn try_reserve_exact(collection: &mut impl Room, more: usize) -> Result<(), OutOfMemory> {
    if collection.has_room(more) { Ok(()) } else { collection.make_exact_room(more) }
}

/// An empty vector with room for `capacity` elements.
///
/// # Errors
/// When there is no memory for them.
pub fn try_vec<T>(capacity: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut v = Vec::new();
    try_reserve_exact(&mut v, capacity)?;
    Ok(v)
}

/// `len` bytes of zero.
///
/// # Errors
/// When there is no memory for them.
pub fn try_bytes(len: usize) -> Result<Vec<u8>, OutOfMemory> {
    let mut v = try_vec(len)?;
    v.resize(len, 0);
    Ok(v)
}

/// A copy of these elements.
///
/// # Errors
/// When there is no memory for it.
pub fn try_copy<T: Copy>(elements: &[T]) -> Result<Vec<T>, OutOfMemory> {
    let mut v = try_vec(elements.len())?;
    v.extend_from_slice(elements);
    Ok(v)
}

/// Appends one element.
///
/// # Errors
/// When there is no memory for it; the vector is as it was.
#[inline]
pub fn try_push<T>(v: &mut Vec<T>, element: T) -> Result<(), OutOfMemory> {
    try_reserve(v, 1)?;
    v.push(element);
    Ok(())
}

/// Appends one element.
///
/// # Errors
/// When there is no memory for it; the queue is as it was.
#[inline]
pub fn try_push_back<T>(queue: &mut VecDeque<T>, element: T) -> Result<(), OutOfMemory> {
    try_reserve(queue, 1)?;
    queue.push_back(element);
    Ok(())
}

/// Appends copies of these elements.
///
/// # Errors
/// When there is no memory for them; the vector is as it was.
#[inline]
pub fn try_extend<T: Copy>(v: &mut Vec<T>, elements: &[T]) -> Result<(), OutOfMemory> {
    try_reserve(v, elements.len())?;
    v.extend_from_slice(elements);
    Ok(())
}

/// All that an iterator gives, which says no less than it has in its lower bound; what comes beyond it costs more.
///
/// # Errors
/// When there is no memory for it.
pub fn try_collect<T>(elements: impl IntoIterator<Item = T>) -> Result<Vec<T>, OutOfMemory> {
    let elements = elements.into_iter();
    let mut v = try_vec(elements.size_hint().0)?;
    for element in elements {
        try_push(&mut v, element)?;
    }
    Ok(v)
}

/// A copy of the text.
///
/// # Errors
/// When there is no memory for it.
pub fn try_string(text: &str) -> Result<String, OutOfMemory> {
    let mut s = String::new();
    try_reserve_exact(&mut s, text.len())?;
    s.push_str(text);
    Ok(s)
}

/// The text of these bytes, with a replacement character for what is no UTF-8.
///
/// # Errors
/// When there is no memory for it.
pub fn try_lossy(bytes: &[u8]) -> Result<String, OutOfMemory> {
    let mut s = String::new();
    try_reserve_exact(&mut s, bytes.len())?;
    for part in bytes.utf8_chunks() {
        try_append(&mut s, part.valid())?;
        if !part.invalid().is_empty() {
            try_append(&mut s, "\u{fffd}")?;
        }
    }
    Ok(s)
}

/// Appends text.
///
/// # Errors
/// When there is no memory for it; the string is as it was.
#[inline]
pub fn try_append(s: &mut String, text: &str) -> Result<(), OutOfMemory> {
    try_reserve(s, text.len())?;
    s.push_str(text);
    Ok(())
}

/// Text that `write!` can add to, and that says no when memory is short.
#[derive(Debug, Default)]
pub struct Text {
    text: String,
    full: bool,
}

impl Text {
    /// None yet.
    pub const fn new() -> Text {
        Text { text: String::new(), full: false }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether there is none so far.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What was written, if there was memory for all of it.
    ///
    /// # Errors
    /// When at any time there was none.
    pub fn finish(self) -> Result<String, OutOfMemory> {
        if self.full { Err(OutOfMemory) } else { Ok(self.text) }
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.full |= try_append(&mut self.text, text).is_err();
        if self.full { Err(fmt::Error) } else { Ok(()) }
    }
}

/// `format!` that says no: `try_format(format_args!("{n} bytes"))`.
///
/// # Errors
/// When there is no memory for the text.
pub fn try_format(arguments: fmt::Arguments<'_>) -> Result<String, OutOfMemory> {
    let mut text = Text::new();
    // An error means that the text is full, or that something cannot be shown, which cannot happen to our own.
    text.write_fmt(arguments).map_err(|_| OutOfMemory)?;
    text.finish()
}
