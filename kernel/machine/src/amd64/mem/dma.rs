//! Memory shared with devices: only volatile or atomic access, bounds checked, never a slice.

pub use crate::types::OutOfMemory;

use super::copy;
use super::frames;
use super::page::Page;
use super::paging::DIRECT;
use super::tables::PAGE;
use super::window;
use crate::ledger;
use core::ptr;
use core::sync::atomic::{self, AtomicU16, AtomicU32, Ordering};

/// Most pages of memory that is not in one piece.
const PIECES: usize = 8;

/// Zeroed, page-aligned memory; freed when dropped, which its owner must not do while a device may still use it.
#[derive(Debug)]
pub struct Dma {
    /// Where the kernel finds it.
    at: u64,
    len: usize,
    place: Place,
}

/// Where a device finds it.
#[derive(Debug)]
enum Place {
    /// In one piece from here on.
    Run(u64),
    /// Each page by itself.
    Pages([u64; PIECES]),
}

macro_rules! dma_access {
    ($get:ident, $set:ident, $t:ty) => {
        /// Reads an aligned little-endian value.
        ///
        /// # Panics
        /// When it is not inside, or not aligned.
        #[inline]
        pub fn $get(&self, off: usize) -> $t {
            // SAFETY: `at` checked bounds and alignment, any bits are a value, and it is one move of the processor;
            // volatile, since a device or another processor may write at any time.
            unsafe { ptr::read_volatile(self.at(off, size_of::<$t>()).cast()) }
        }

        /// Writes an aligned little-endian value.
        ///
        /// # Panics
        /// When it is not inside, or not aligned.
        #[inline]
        pub fn $set(&self, off: usize, value: $t) {
            // SAFETY: as above; nobody holds references into the memory.
            unsafe { ptr::write_volatile(self.at(off, size_of::<$t>()).cast(), value) };
        }
    };
}

macro_rules! dma_atomic {
    ($load:ident, $store:ident, $t:ty, $atomic:ty) => {
        /// Reads a value that a device publishes: what it wrote before is seen after.
        #[inline]
        pub fn $load(&self, off: usize) -> $t {
            // SAFETY: `at` checked bounds and alignment; an atomic may be shared with a device.
            unsafe { &*self.at(off, size_of::<$t>()).cast::<$atomic>() }.load(Ordering::Acquire)
        }

        /// Writes a value that publishes what was written before to a device.
        #[inline]
        pub fn $store(&self, off: usize, value: $t) {
            // SAFETY: as above.
            unsafe { &*self.at(off, size_of::<$t>()).cast::<$atomic>() }.store(value, Ordering::Release);
        }
    };
}

impl Dma {
    /// Memory in one piece, for what a device wants to find so: rings, and whatever is no larger than a page.
    ///
    /// # Errors
    /// When there are not so many neighbouring pages.
    pub fn new(bytes: usize) -> Result<Dma, OutOfMemory> {
        let pages = pages(bytes);
        if !frames::affords(pages) {
            return Err(OutOfMemory);
        }
        let phys = frames::kernel_run(pages).ok_or(OutOfMemory)?;
        Ok(Dma { at: DIRECT + phys, len: bytes, place: Place::Run(phys) }.zeroed())
    }

    /// Memory of whatever pages there are, at most 32 KiB, for what a device is told of [piece by piece](Dma::pieces).
    ///
    /// # Errors
    /// When there is not so much memory.
    pub fn scattered(bytes: usize) -> Result<Dma, OutOfMemory> {
        let count = pages(bytes);
        if count == 1 || count > PIECES {
            return Dma::new(bytes);
        }
        if !frames::affords(count) {
            return Err(OutOfMemory);
        }
        let at = window::take(count).ok_or(OutOfMemory)?;
        // SAFETY: the block is ours.
        unsafe { window::set_owner(at, ledger::charge(count * PAGE as usize)) };
        let mut frames = [0; PIECES];
        for (frame, page) in frames.iter_mut().zip(0..count as u64) {
            *frame = window::frame(at + page * PAGE);
        }
        Ok(Dma { at, len: bytes, place: Place::Pages(frames) }.zeroed())
    }

    fn zeroed(self) -> Dma {
        self.zero();
        self
    }

    /// Physical address of the first byte; of the others as far as it is in one piece, or in the first page.
    #[inline]
    pub fn phys(&self) -> u64 {
        match &self.place {
            Place::Run(phys) | Place::Pages([phys, ..]) => *phys,
        }
    }

    /// The first `len` bytes in the pieces that a device finds them in: physical address and length. Pieces may be
    /// neighbours.
    ///
    /// # Panics
    /// When there are not so many bytes.
    #[inline]
    pub fn pieces(&self, len: usize) -> impl Iterator<Item = (u64, usize)> + Clone {
        self.check(0, len);
        let (frames, step) = match &self.place {
            Place::Run(phys) => (core::slice::from_ref(phys), usize::MAX),
            Place::Pages(frames) => (frames.as_slice(), PAGE as usize),
        };
        let count = if len <= step { usize::from(len != 0) } else { len.div_ceil(step) };
        let mut left = len;
        frames.iter().take(count).map(move |phys| {
            let n = left.min(step);
            left -= n;
            (*phys, n)
        })
    }

    /// Length in bytes, as asked for.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies bytes out.
    ///
    /// # Panics
    /// When the stretch is not inside.
    pub fn read(&self, off: usize, buf: &mut [u8]) {
        self.check(off, buf.len());
        // SAFETY: inside our frames; a device that writes meanwhile gives a mixture of bytes, all of them values.
        unsafe { copy::bytes((self.at as *const u8).add(off), buf.as_mut_ptr(), buf.len()) };
    }

    /// Copies bytes in.
    ///
    /// # Panics
    /// When the stretch is not inside.
    pub fn write(&self, off: usize, data: &[u8]) {
        self.check(off, data.len());
        // SAFETY: inside our frames, which nobody holds references into.
        unsafe { copy::bytes(data.as_ptr(), (self.at as *mut u8).add(off), data.len()) };
    }

    /// Copies `len` bytes in from a page, `from` bytes behind its beginning.
    ///
    /// # Panics
    /// When one of the stretches is not inside.
    pub fn write_page(&self, off: usize, page: &Page, from: usize, len: usize) {
        self.check(off, len);
        // SAFETY: inside our frames, which nobody holds references into.
        unsafe { page.copy_to(from, (self.at as *mut u8).add(off), len) };
    }

    /// Copies `len` bytes out to a page, `to` bytes behind its beginning.
    ///
    /// # Panics
    /// When one of the stretches is not inside.
    pub fn read_page(&self, off: usize, page: &Page, to: usize, len: usize) {
        self.check(off, len);
        // SAFETY: inside our frames; a device that writes meanwhile gives a mixture of bytes.
        unsafe { page.copy_in(to, (self.at as *const u8).add(off), len) };
    }

    /// Zeroes all of it.
    pub fn zero(&self) {
        // SAFETY: our frames, which nobody has references into.
        (0..pages(self.len) as u64).for_each(|i| unsafe { copy::zero_page((self.at + i * PAGE) as *mut u8) });
    }

    dma_access!(get_u8, set_u8, u8);
    dma_access!(get_u16, set_u16, u16);
    dma_access!(get_u32, set_u32, u32);
    dma_access!(get_u64, set_u64, u64);
    dma_atomic!(load_acquire_u16, store_release_u16, u16, AtomicU16);
    dma_atomic!(load_acquire_u32, store_release_u32, u32, AtomicU32);

    #[inline]
    fn check(&self, off: usize, len: usize) {
        if off > self.len || len > self.len - off {
            self.is_outside(off, len);
        }
    }

    #[inline]
    fn at(&self, off: usize, size: usize) -> *mut u8 {
        self.check(off, size);
        assert!(off.is_multiple_of(size), "an access of device memory is not aligned");
        (self.at + off as u64) as *mut u8
    }

    #[cold]
    #[inline(never)]
    fn is_outside(&self, off: usize, len: usize) -> ! {
        panic!("{len} bytes at {off} leave {} of device memory", self.len)
    }
}

impl Drop for Dma {
    fn drop(&mut self) {
        // SAFETY: taken in `new` and `scattered`. That no device uses them any more is its driver's word.
        unsafe {
            match self.place {
                Place::Run(phys) => frames::put_kernel(phys, pages(self.len)),
                Place::Pages(_) => {
                    ledger::credit(window::owner(self.at), pages(self.len) * PAGE as usize);
                    window::put(self.at, pages(self.len));
                }
            }
        }
    }
}

fn pages(bytes: usize) -> usize {
    bytes.div_ceil(PAGE as usize).max(1)
}

/// Orders all memory accesses before against all after, as processors and devices see them.
pub fn fence() {
    atomic::fence(Ordering::SeqCst);
}
