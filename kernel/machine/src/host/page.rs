//! Physical pages on the host: words with a made-up physical address, counted against the machine's budget.

use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::machine::{Charge, Machine, machine};
use super::words::Words;
pub use crate::pinned::Pinned;
pub use crate::types::OutOfMemory;

/// A counted reference to a page of 4096 bytes. The last one dropped frees it.
#[derive(Clone)]
pub struct Page(Arc<Frame>);

struct Frame {
    words: Arc<Words>,
    pins: AtomicUsize,
    home: Arc<Machine>,
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.words.forget();
        self.home.release(1, Charge::User);
    }
}

impl Page {
    /// A page of zeros for a program.
    ///
    /// # Errors
    /// When only the kernel's reserve is left.
    pub fn new_zeroed() -> Result<Page, OutOfMemory> {
        let home = machine();
        home.charge(1, Charge::User)?;
        Ok(Page(Arc::new(Frame { words: Words::new(1), pins: AtomicUsize::new(0), home })))
    }

    /// A new page with the contents of `other`.
    ///
    /// # Errors
    /// When only the kernel's reserve is left.
    pub fn new_uninit_for_copy_of(other: &Page) -> Result<Page, OutOfMemory> {
        let page = Page::new_zeroed()?;
        page.0.words.copy_from(&other.0.words);
        Ok(page)
    }

    /// Makes all bytes zero.
    pub fn fill_zero(&self) {
        self.0.words.zero();
    }

    /// Copies bytes out. Panics when they are not all in the page.
    pub fn read(&self, off: usize, buf: &mut [u8]) {
        self.0.words.read(off, buf);
    }

    /// Copies bytes in. Panics when they are not all in the page.
    pub fn write(&self, off: usize, data: &[u8]) {
        self.0.words.write(off, data);
    }

    /// The little-endian value at `off`, a multiple of 4.
    pub fn read_u32(&self, off: usize) -> u32 {
        self.0.words.word(off).load(Ordering::SeqCst)
    }

    /// Stores a little-endian value at `off`, a multiple of 4.
    pub fn write_u32(&self, off: usize, value: u32) {
        self.0.words.word(off).store(value, Ordering::SeqCst);
    }

    /// The little-endian value at `off`, a multiple of 8.
    pub fn read_u64(&self, off: usize) -> u64 {
        u64::from_le_bytes(self.0.words.get(off))
    }

    /// Stores a little-endian value at `off`, a multiple of 8.
    pub fn write_u64(&self, off: usize, value: u64) {
        self.0.words.set(off, value.to_le_bytes());
    }

    /// Replaces `old` at `off`, a multiple of 4, by `new` in one step. Gives what was there: `Ok` when it was `old`.
    ///
    /// # Errors
    /// The value found, when it was another.
    pub fn compare_exchange_u32(&self, off: usize, old: u32, new: u32) -> Result<u32, u32> {
        self.0.words.word(off).compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst)
    }

    /// Adds to the value at `off`, a multiple of 4, in one step, wrapping; gives what was there.
    pub fn fetch_add_u32(&self, off: usize, n: u32) -> u32 {
        self.0.words.word(off).fetch_add(n, Ordering::SeqCst)
    }

    /// Physical address of the page.
    pub fn phys(&self) -> u64 {
        self.0.words.phys()
    }

    /// References there are, this one included.
    pub fn refs(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// References held by a [`Pinned`].
    pub fn pins(&self) -> usize {
        self.0.pins.load(Ordering::Acquire)
    }

    /// Whether both are the same page.
    pub fn same(&self, other: &Page) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn pin(&self) {
        self.0.pins.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn unpin(&self) {
        self.0.pins.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page({:#x}, {} refs, {} pins)", self.phys(), self.refs(), self.pins())
    }
}
