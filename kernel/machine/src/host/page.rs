//! Physical pages on the host: words with a made-up physical address, counted against the machine's budget.

use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use super::heap::aside;
use super::machine::{Charge, Machine, machine};
use super::words::Words;
use crate::ledger;
pub use crate::pinned::Pinned;
pub use crate::types::OutOfMemory;

/// A counted reference to a page of 4096 bytes. The last one dropped frees it.
#[derive(Clone)]
pub struct Page(Arc<Frame>);

struct Frame {
    words: Arc<Words>,
    pins: AtomicUsize,
    home: Arc<Machine>,
    /// The account that pays for it.
    owner: AtomicU16,
    /// It is one of the kernel's constants, which has a reference more, and costs nothing.
    is_constant: bool,
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.words.forget();
        if self.is_constant {
            return;
        }
        self.home.release(1, Charge::User, self.owner.load(Ordering::SeqCst));
    }
}

impl Page {
    /// A page of zeros for a program.
    ///
    /// # Errors
    /// When only the kernel's reserve is left.
    pub fn new_zeroed() -> Result<Page, OutOfMemory> {
        let home = machine();
        let owner = AtomicU16::new(home.charge(1, Charge::User)?);
        Ok(Page::with(home, owner, false))
    }

    fn with(home: Arc<Machine>, owner: AtomicU16, is_constant: bool) -> Page {
        let pins = AtomicUsize::new(0);
        Page(aside(|| Arc::new(Frame { words: Words::new(1), pins, home, owner, is_constant })))
    }

    /// The page that these bytes are, if they are a whole page of the kernel's constants: here any that begin where a
    /// page does, of which it is a copy that nobody may write.
    pub fn of_constant(bytes: &'static [u8]) -> Option<Page> {
        let size = abi::layout::PAGE as usize;
        if bytes.len() != size || !bytes.as_ptr().addr().is_multiple_of(size) {
            return None;
        }
        let page = Page::with(machine(), AtomicU16::new(0), true);
        page.0.words.write(0, bytes);
        Some(page)
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

    /// Panics, as the machine would fault.
    fn is_writable(&self) {
        assert!(!self.0.is_constant, "a constant of the kernel is written");
    }

    /// Makes all bytes zero.
    pub fn fill_zero(&self) {
        self.is_writable();
        self.0.words.zero();
    }

    /// Copies bytes out. Panics when they are not all in the page.
    pub fn read(&self, off: usize, buf: &mut [u8]) {
        self.0.words.read(off, buf);
    }

    /// Copies bytes in. Panics when they are not all in the page.
    pub fn write(&self, off: usize, data: &[u8]) {
        self.is_writable();
        self.0.words.write(off, data);
    }

    /// Copies bytes in from another page. Panics when they are not all in both pages.
    pub fn copy_from(&self, off: usize, other: &Page, from: usize, len: usize) {
        let mut bytes = [0; abi::layout::PAGE as usize];
        other.read(from, &mut bytes[..len]);
        self.write(off, &bytes[..len]);
    }

    /// The little-endian value at `off`, a multiple of 4.
    pub fn read_u32(&self, off: usize) -> u32 {
        self.0.words.word(off).load(Ordering::SeqCst)
    }

    /// Stores a little-endian value at `off`, a multiple of 4.
    pub fn write_u32(&self, off: usize, value: u32) {
        self.is_writable();
        self.0.words.word(off).store(value, Ordering::SeqCst);
    }

    /// The little-endian value at `off`, a multiple of 8.
    pub fn read_u64(&self, off: usize) -> u64 {
        u64::from_le_bytes(self.0.words.get(off))
    }

    /// Stores a little-endian value at `off`, a multiple of 8.
    pub fn write_u64(&self, off: usize, value: u64) {
        self.is_writable();
        self.0.words.set(off, value.to_le_bytes());
    }

    /// Replaces `old` at `off`, a multiple of 4, by `new` in one step. Gives what was there: `Ok` when it was `old`.
    ///
    /// # Errors
    /// The value found, when it was another.
    pub fn compare_exchange_u32(&self, off: usize, old: u32, new: u32) -> Result<u32, u32> {
        self.is_writable();
        self.0.words.word(off).compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst)
    }

    /// Changes an aligned word to what `change` makes of it, which may be asked again; returns what was there, as `Err`
    /// when `change` gives nothing.
    pub fn update_u32(&self, off: usize, change: impl Fn(u32) -> Option<u32>) -> Result<u32, u32> {
        let mut old = self.read_u32(off);
        loop {
            let new = change(old).ok_or(old)?;
            match self.compare_exchange_u32(off, old, new) {
                Ok(_) => return Ok(old),
                Err(now) => old = now,
            }
        }
    }

    /// Adds to the value at `off`, a multiple of 4, in one step, wrapping; gives what was there.
    pub fn fetch_add_u32(&self, off: usize, n: u32) -> u32 {
        self.is_writable();
        self.0.words.word(off).fetch_add(n, Ordering::SeqCst)
    }

    /// Physical address of the page.
    pub fn phys(&self) -> u64 {
        self.0.words.phys()
    }

    /// References there are, this one included.
    pub fn refs(&self) -> usize {
        Arc::strong_count(&self.0) + usize::from(self.0.is_constant)
    }

    /// References held by a [`Pinned`].
    pub fn pins(&self) -> usize {
        self.0.pins.load(Ordering::Acquire)
    }

    /// The number of the account that pays for it.
    pub fn account(&self) -> u16 {
        self.0.owner.load(Ordering::SeqCst)
    }

    /// The account `heir` pays for it from now on, if somebody holds that and it has the same user as who paid before.
    pub fn leave_to(&self, heir: u16) {
        let owner = self.account();
        if !ledger::hand_over(owner, heir, 4096) {
            return;
        }
        let moved = self.0.owner.compare_exchange(owner, heir, Ordering::SeqCst, Ordering::SeqCst);
        // Somebody else may have been faster.
        ledger::credit(if moved.is_ok() { owner } else { heir }, 4096);
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

/// Drops many references.
pub fn drop_all(pages: impl IntoIterator<Item = Page>) {
    pages.into_iter().for_each(drop);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dma::{peek, poke};
    use crate::host::{self, KERNEL_RESERVE};
    use alloc::vec::Vec;

    #[test]
    fn bytes_go_where_they_should_at_every_offset_and_length() {
        let page = Page::new_zeroed().unwrap();
        let mut model = [0u8; 4096];
        for (i, off) in [0, 1, 2, 3, 4, 5, 4085, 4090].into_iter().enumerate() {
            for len in 0..=6 {
                let data: Vec<u8> = (0..len).map(|n| (i * 16 + n + 1) as u8).collect();
                page.write(off, &data);
                model[off..off + len].copy_from_slice(&data);
            }
        }
        let mut all = [0; 4096];
        page.read(0, &mut all);
        assert_eq!(all, model);
        for off in [0, 1, 2, 3, 4085, 4089] {
            for len in 0..=7 {
                let mut some = [0; 7];
                page.read(off, &mut some[..len]);
                assert_eq!(some[..len], model[off..off + len]);
            }
        }
    }

    #[test]
    #[should_panic(expected = "2 bytes at 4095")]
    fn reading_beyond_the_page_is_a_bug() {
        Page::new_zeroed().unwrap().read(4095, &mut [0; 2]);
    }

    #[test]
    fn words_are_atomic_and_little_endian() {
        let page = Page::new_zeroed().unwrap();
        page.write(8, &[1, 2, 3, 4]);
        assert_eq!(page.read_u32(8), 0x0403_0201);
        assert_eq!(page.fetch_add_u32(8, 1), 0x0403_0201);
        assert_eq!(page.compare_exchange_u32(8, 7, 9), Err(0x0403_0202));
        assert_eq!(page.compare_exchange_u32(8, 0x0403_0202, u32::MAX), Ok(0x0403_0202));
        assert_eq!(page.fetch_add_u32(8, 2), u32::MAX);
        assert_eq!(page.read_u32(8), 1);
        page.write_u64(16, 0x1122_3344_5566_7788);
        assert_eq!(page.read_u64(16), 0x1122_3344_5566_7788);
        assert_eq!(page.read_u32(20), 0x1122_3344);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let page = page.clone();
                std::thread::spawn(move || (0..1000).for_each(|_| _ = page.fetch_add_u32(0, 1)))
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(page.read_u32(0), 4000);
    }

    #[test]
    fn copies_are_apart_and_references_count() {
        let a = Page::new_zeroed().unwrap();
        a.write(0, b"one");
        let b = Page::new_uninit_for_copy_of(&a).unwrap();
        b.write(0, b"two");
        let mut buf = [0; 3];
        a.read(0, &mut buf);
        assert_eq!(&buf, b"one");
        assert!(!a.same(&b));
        let c = a.clone();
        assert!(c.same(&a));
        assert_eq!((a.refs(), b.refs()), (2, 1));
        drop(c);
        assert_eq!(a.refs(), 1);
        a.fill_zero();
        a.read(0, &mut buf);
        assert_eq!(buf, [0; 3]);
    }

    #[test]
    fn programs_run_out_of_memory_before_the_kernel_does() {
        host::new_machine();
        host::limit_pages(KERNEL_RESERVE + 2);
        let a = Page::new_zeroed().unwrap();
        let b = Page::new_uninit_for_copy_of(&a).unwrap();
        assert_eq!(Page::new_zeroed().map(drop), Err(OutOfMemory));
        assert_eq!(Page::new_uninit_for_copy_of(&a).map(drop), Err(OutOfMemory));
        let d = crate::dma::Dma::new(KERNEL_RESERVE * 4096).unwrap();
        assert_eq!(crate::mem::free_bytes(), 0);
        assert!(crate::dma::Dma::new(1).is_err());
        assert_eq!(crate::mem::kernel_bytes(), 16 * 4096);
        drop((a, b, d));
        assert_eq!(crate::mem::free_bytes(), crate::mem::total_bytes());
    }

    #[test]
    fn a_device_reaches_a_page_by_its_address_while_it_lives() {
        let page = Page::new_zeroed().unwrap();
        let phys = page.phys();
        assert_eq!(phys % 4096, 0);
        assert!(poke(phys + 4090, b"device"));
        assert!(!poke(phys + 4091, b"device"), "not beyond the end");
        let mut buf = [0; 6];
        page.read(4090, &mut buf);
        assert_eq!(&buf, b"device");
        page.write(4090, b"kernel");
        assert!(peek(phys + 4090, &mut buf));
        assert_eq!(&buf, b"kernel");
        assert!(!peek(phys + 4096, &mut buf[..1]));
        drop(page);
        assert!(!peek(phys, &mut buf), "a freed page is gone");
        assert!(!peek(u64::MAX, &mut buf));
        assert!(!peek(0, &mut buf));
    }
}
