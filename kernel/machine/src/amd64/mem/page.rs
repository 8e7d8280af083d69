//! Physical pages as counted values.
//!
//! A `Page` is a reference to a page frame that programs or devices may be using at the same time, so its bytes are
//! only ever copied in and out, never borrowed; the copies go byte by byte or word by word, and what races with a
//! program is the program's problem. The last reference gives the frame back.

pub use crate::pinned::Pinned;
pub use crate::types::OutOfMemory;

use super::copy;
use super::frames;
use super::paging::DIRECT;
use super::tables::PAGE;
use crate::ledger;
use core::fmt;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::num::NonZeroU32;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const SIZE: usize = PAGE as usize;
/// References that are given up together.
const BATCH: usize = 64;

/// A counted reference to a page of 4096 bytes.
pub struct Page(NonZeroU32);

impl Page {
    /// A page of zeros; refused when only the kernel's reserve is left.
    pub fn new_zeroed() -> Result<Page, OutOfMemory> {
        let page = Page::take()?;
        page.fill_zero();
        Ok(page)
    }

    /// A page with the same bytes as `other`.
    pub fn new_uninit_for_copy_of(other: &Page) -> Result<Page, OutOfMemory> {
        let page = Page::take()?;
        // SAFETY: the new frame is ours alone; the old one is kept by `other`, and a program that writes to it
        // meanwhile gets a mixture, as it would from any copy.
        unsafe { copy::copy_page(other.bytes(), page.bytes()) };
        Ok(page)
    }

    fn take() -> Result<Page, OutOfMemory> {
        let phys = frames::page().ok_or(OutOfMemory)?;
        let frame = u32::try_from(phys / PAGE).ok().and_then(NonZeroU32::new).ok_or(OutOfMemory)?;
        let page = Page(frame);
        page.meta().refs.store(1, Ordering::Relaxed);
        page.meta().pins.store(0, Ordering::Relaxed);
        Ok(page)
    }

    /// Zeroes all bytes.
    pub fn fill_zero(&self) {
        // SAFETY: this reference keeps the frame, which nobody has references into; a program that writes meanwhile
        // has its bytes zeroed or not.
        unsafe { frames::zero(self.phys()) };
    }

    /// Copies bytes out.
    ///
    /// # Panics
    /// When the stretch leaves the page, as all accessors do.
    #[inline]
    pub fn read(&self, off: usize, buf: &mut [u8]) {
        check(off, buf.len(), 1);
        // SAFETY: inside the frame, which this reference keeps; `buf` is a borrow, hence in no page that programs have.
        unsafe { copy::bytes(self.bytes().add(off), buf.as_mut_ptr(), buf.len()) };
    }

    /// Copies bytes in.
    #[inline]
    pub fn write(&self, off: usize, data: &[u8]) {
        check(off, data.len(), 1);
        // SAFETY: as in `read`; nobody has references into the frame.
        unsafe { copy::bytes(data.as_ptr(), self.bytes().add(off), data.len()) };
    }

    /// Copies bytes in from another page.
    #[inline]
    pub fn copy_from(&self, off: usize, other: &Page, from: usize, len: usize) {
        check(off, len, 1);
        check(from, len, 1);
        // SAFETY: as in `read` and `write`; both references keep their frames, which nobody has references into, and
        // one frame with a part of itself is a mixture.
        unsafe {
            match len {
                SIZE => copy::copy_page(other.bytes(), self.bytes()),
                _ => copy::bytes(other.bytes().add(from), self.bytes().add(off), len),
            }
        };
    }

    /// Copies bytes out to memory of devices.
    ///
    /// # Safety
    /// `to` is the address of `len` writable bytes that nobody has references into.
    pub(super) unsafe fn copy_to(&self, off: usize, to: *mut u8, len: usize) {
        check(off, len, 1);
        // SAFETY: inside the frame, which this reference keeps, and the caller's promise.
        unsafe {
            match len {
                SIZE if to.addr().is_multiple_of(8) => copy::copy_page(self.bytes(), to),
                _ => copy::bytes(self.bytes().add(off), to, len),
            }
        };
    }

    /// Copies bytes in from memory of devices.
    ///
    /// # Safety
    /// `from` is the address of `len` readable bytes.
    pub(super) unsafe fn copy_in(&self, off: usize, from: *const u8, len: usize) {
        check(off, len, 1);
        // SAFETY: as above; nobody has references into the frame.
        unsafe {
            match len {
                SIZE => copy::copy_page(from, self.bytes()),
                _ => copy::bytes(from, self.bytes().add(off), len),
            }
        };
    }

    /// Reads an aligned word.
    pub fn read_u32(&self, off: usize) -> u32 {
        self.word32(off).load(Ordering::Relaxed)
    }

    /// Writes an aligned word.
    pub fn write_u32(&self, off: usize, value: u32) {
        self.word32(off).store(value, Ordering::Relaxed);
    }

    /// Reads an aligned double word.
    pub fn read_u64(&self, off: usize) -> u64 {
        self.word64(off).load(Ordering::Relaxed)
    }

    /// Reads aligned double words.
    #[inline]
    pub(super) fn read_words<const N: usize>(&self, off: usize, words: &mut [u64; N]) {
        check(off, N * 8, 8);
        let first = self.bytes().wrapping_add(off).cast::<AtomicU64>();
        for (i, word) in words.iter_mut().enumerate() {
            // SAFETY: as in `word64`, for each of them.
            *word = unsafe { &*first.add(i) }.load(Ordering::Relaxed);
        }
    }

    /// Copies the bytes from `off` up to the first that is zero, and says how many, and whether all of them are ASCII.
    /// None when there is no zero before the end of the page, or `buf` has no room for it and seven bytes more.
    pub(super) fn read_string(&self, off: usize, buf: &mut [u8]) -> Option<(usize, bool)> {
        const ONES: u64 = u64::MAX / 255;
        let (mut at, mut skip, mut done, mut seen) = (off & !7, off & 7, 0, 0);
        while at < SIZE {
            let word = self.word64(at).load(Ordering::Relaxed) >> (8 * skip);
            buf.get_mut(done..done + 8)?.copy_from_slice(&word.to_le_bytes());
            // What has been shifted in is no zero.
            let word = word | !(u64::MAX >> (8 * skip));
            // The lowest of the bits that are left belongs to the first zero.
            let zeros = word.wrapping_sub(ONES) & !word & ONES << 7;
            if zeros != 0 {
                // Of this word, what is before the zero.
                seen |= word & (zeros & zeros.wrapping_neg()).wrapping_sub(1);
                return Some((done + zeros.trailing_zeros() as usize / 8, seen & ONES << 7 == 0));
            }
            seen |= word & u64::MAX >> (8 * skip);
            (at, skip, done) = (at + 8, 0, done + 8 - skip);
        }
        None
    }

    /// Writes an aligned double word.
    pub fn write_u64(&self, off: usize, value: u64) {
        self.word64(off).store(value, Ordering::Relaxed);
    }

    /// Replaces an aligned word if it is `old`; returns what was there, as `Err` when that was something else.
    pub fn compare_exchange_u32(&self, off: usize, old: u32, new: u32) -> Result<u32, u32> {
        self.word32(off).compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
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

    /// Adds to an aligned word, wrapping; returns what was there.
    pub fn fetch_add_u32(&self, off: usize, n: u32) -> u32 {
        self.word32(off).fetch_add(n, Ordering::AcqRel)
    }

    /// Physical address.
    #[inline]
    pub fn phys(&self) -> u64 {
        u64::from(self.0.get()) * PAGE
    }

    /// References to the page, this one among them.
    pub fn refs(&self) -> usize {
        self.meta().refs.load(Ordering::Acquire) as usize
    }

    /// How many of them are pins of [`Pinned`].
    pub fn pins(&self) -> usize {
        self.meta().pins.load(Ordering::Acquire) as usize
    }

    /// The number of the account that pays for it.
    pub fn account(&self) -> u16 {
        self.meta().owner.load(Ordering::Relaxed) as u16
    }

    /// The account `heir` pays for it from now on, if somebody holds that and it has the same user as who paid before.
    pub fn leave_to(&self, heir: u16) {
        let owner = self.account();
        if !ledger::hand_over(owner, heir, SIZE) {
            return;
        }
        let (old, new) = (u32::from(owner), u32::from(heir));
        let moved = self.meta().owner.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed);
        // Somebody else may have been faster.
        ledger::credit(if moved.is_ok() { owner } else { heir }, SIZE);
    }

    /// Whether both are the same page.
    pub fn same(&self, other: &Page) -> bool {
        self.0 == other.0
    }

    pub(crate) fn pin(&self) {
        self.meta().pins.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn unpin(&self) {
        self.meta().pins.fetch_sub(1, Ordering::AcqRel);
    }

    /// Hands the reference over to a page table entry.
    #[inline]
    pub(crate) fn into_phys(self) -> u64 {
        ManuallyDrop::new(self).phys()
    }

    /// Takes back the reference that a page table entry held.
    ///
    /// # Safety
    /// `phys` is from `into_phys`, and the entry is gone.
    #[inline]
    pub(crate) unsafe fn from_phys(phys: u64) -> Page {
        let frame = u32::try_from(phys / PAGE).ok().and_then(NonZeroU32::new);
        match frame {
            Some(frame) => Page(frame),
            None => panic!("a page table entry names frame {phys:#x}"),
        }
    }

    /// One more reference to the page that a page table entry holds.
    ///
    /// # Safety
    /// `phys` is from `into_phys`, and the entry stays during the call.
    #[inline]
    pub(crate) unsafe fn share_phys(phys: u64) -> Page {
        // SAFETY: the caller's promise.
        unsafe { Page::with_phys(phys, Page::clone) }
    }

    /// Uses the page that a page table entry holds.
    ///
    /// # Safety
    /// `phys` is from `into_phys`, and the entry stays during the call.
    #[inline]
    pub(crate) unsafe fn with_phys<T>(phys: u64, use_it: impl FnOnce(&Page) -> T) -> T {
        debug_assert!(phys >= PAGE && phys / PAGE <= u64::from(u32::MAX));
        // SAFETY: the caller's promise: it is that of a page, none of which is the first frame.
        let frame = unsafe { NonZeroU32::new_unchecked((phys / PAGE) as u32) };
        // The reference made here is not dropped.
        let held = ManuallyDrop::new(Page(frame));
        use_it(&held)
    }

    #[inline]
    fn meta(&self) -> &'static frames::Meta {
        // SAFETY: the frame came from the allocator.
        unsafe { frames::meta(self.0.get()) }
    }

    #[inline]
    fn bytes(&self) -> *mut u8 {
        (DIRECT + self.phys()) as *mut u8
    }

    fn word32(&self, off: usize) -> &AtomicU32 {
        check(off, 4, 4);
        // SAFETY: aligned, inside the frame, which `self` keeps; whoever else reaches it does so by atomics, by
        // `copy`, or is a program or a device.
        unsafe { &*self.bytes().add(off).cast() }
    }

    fn word64(&self, off: usize) -> &AtomicU64 {
        check(off, 8, 8);
        // SAFETY: as above.
        unsafe { &*self.bytes().add(off).cast() }
    }
}

#[inline]
fn check(off: usize, len: usize, align: usize) {
    assert!(off <= SIZE && len <= SIZE - off, "{len} bytes at {off} leave the page");
    assert!(off.is_multiple_of(align), "word at {off} is not aligned");
}

impl Clone for Page {
    #[inline]
    fn clone(&self) -> Page {
        let before = self.meta().refs.fetch_add(1, Ordering::Relaxed);
        assert!(before > 0 && before < u32::MAX / 2, "page {:#x} has {before} references", self.phys());
        Page(self.0)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let before = self.meta().refs.fetch_sub(1, Ordering::AcqRel);
        assert!(before > 0, "page {:#x} given back twice", self.phys());
        if before == 1 {
            // SAFETY: the frame came from the allocator, and this was the last reference.
            unsafe { frames::put_page(self.phys()) };
        }
    }
}

/// References that are given up together: the frames of those that were the last go back at once.
pub(super) struct Leaving {
    /// Their frames, `len` of them; each is a reference.
    frames: [MaybeUninit<u32>; BATCH],
    len: usize,
}

impl Leaving {
    /// None yet.
    pub fn new() -> Leaving {
        Leaving { frames: [MaybeUninit::uninit(); BATCH], len: 0 }
    }

    /// Whether some have to go before there is room for another.
    pub fn is_full(&self) -> bool {
        self.len == BATCH
    }

    /// One more. When there is no room for it the others go before.
    #[inline]
    pub fn add(&mut self, page: Page) {
        if self.is_full() {
            self.go();
        }
        self.frames[self.len].write(ManuallyDrop::new(page).0.get());
        self.len += 1;
    }

    /// Gives them up.
    pub fn go(&mut self) {
        let some = &mut self.frames[..core::mem::take(&mut self.len)];
        // SAFETY: so many were added.
        let some = unsafe { &mut *(ptr::from_mut(some) as *mut [u32]) };
        let mut free = 0;
        for at in 0..some.len() {
            let frame = some[at];
            // SAFETY: the frame came from the allocator, as `add` had a reference to it.
            let before = unsafe { frames::meta(frame) }.refs.fetch_sub(1, Ordering::AcqRel);
            assert!(before > 0, "page {:#x} given back twice", u64::from(frame) * PAGE);
            if before == 1 {
                some[free] = frame;
                free += 1;
            }
        }
        // SAFETY: from the allocator, and these were the last references.
        unsafe { frames::put_pages(&some[..free]) };
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.go();
    }
}

/// Drops many references, which costs less than one after the other.
pub fn drop_all(pages: impl IntoIterator<Item = Page>) {
    let mut leaving = Leaving::new();
    pages.into_iter().for_each(|page| leaving.add(page));
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {:#x} ({} references, {} pins)", self.phys(), self.refs(), self.pins())
    }
}
