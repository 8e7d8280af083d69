//! Memory shared with devices: only volatile or atomic access, bounds checked, never a slice.

pub use crate::types::OutOfMemory;

use super::copy;
use super::frames;
use super::paging::DIRECT;
use super::tables::PAGE;
use core::ptr;
use core::sync::atomic::{self, AtomicU16, AtomicU32, Ordering};

/// Zeroed, physically contiguous, page-aligned memory; freed when dropped, which its owner must not do while a device
/// may still use it.
#[derive(Debug)]
pub struct Dma {
    phys: u64,
    len: usize,
}

macro_rules! dma_access {
    ($get:ident, $set:ident, $t:ty) => {
        /// Reads an aligned little-endian value.
        ///
        /// # Panics
        /// When it is not inside, or not aligned.
        pub fn $get(&self, off: usize) -> $t {
            // SAFETY: `at` checked bounds and alignment, any bits are a value, and it is one move of the processor;
            // volatile, since a device or another processor may write at any time.
            unsafe { ptr::read_volatile(self.at(off, size_of::<$t>()).cast()) }
        }

        /// Writes an aligned little-endian value.
        ///
        /// # Panics
        /// When it is not inside, or not aligned.
        pub fn $set(&self, off: usize, value: $t) {
            // SAFETY: as above; nobody holds references into the memory.
            unsafe { ptr::write_volatile(self.at(off, size_of::<$t>()).cast(), value) };
        }
    };
}

macro_rules! dma_atomic {
    ($load:ident, $store:ident, $t:ty, $atomic:ty) => {
        /// Reads a value that a device publishes: what it wrote before is seen after.
        pub fn $load(&self, off: usize) -> $t {
            // SAFETY: `at` checked bounds and alignment; an atomic may be shared with a device.
            unsafe { &*self.at(off, size_of::<$t>()).cast::<$atomic>() }.load(Ordering::Acquire)
        }

        /// Writes a value that publishes what was written before to a device.
        pub fn $store(&self, off: usize, value: $t) {
            // SAFETY: as above.
            unsafe { &*self.at(off, size_of::<$t>()).cast::<$atomic>() }.store(value, Ordering::Release);
        }
    };
}

impl Dma {
    /// Allocates `bytes`, made whole pages.
    pub fn new(bytes: usize) -> Result<Dma, OutOfMemory> {
        let pages = pages(bytes);
        let phys = frames::kernel_run(pages).ok_or(OutOfMemory)?;
        let dma = Dma { phys, len: bytes };
        dma.zero();
        Ok(dma)
    }

    /// Physical address.
    pub fn phys(&self) -> u64 {
        self.phys
    }

    /// Length in bytes, as asked for.
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
        unsafe { copy::bytes(((DIRECT + self.phys) as *const u8).add(off), buf.as_mut_ptr(), buf.len()) };
    }

    /// Copies bytes in.
    ///
    /// # Panics
    /// When the stretch is not inside.
    pub fn write(&self, off: usize, data: &[u8]) {
        self.check(off, data.len());
        // SAFETY: inside our frames, which nobody holds references into.
        unsafe { copy::bytes(data.as_ptr(), ((DIRECT + self.phys) as *mut u8).add(off), data.len()) };
    }

    /// Zeroes all of it.
    pub fn zero(&self) {
        // SAFETY: our frames, which nobody has references into.
        (0..pages(self.len)).for_each(|i| unsafe { frames::zero(self.phys + i as u64 * PAGE) });
    }

    dma_access!(get_u8, set_u8, u8);
    dma_access!(get_u16, set_u16, u16);
    dma_access!(get_u32, set_u32, u32);
    dma_access!(get_u64, set_u64, u64);
    dma_atomic!(load_acquire_u16, store_release_u16, u16, AtomicU16);
    dma_atomic!(load_acquire_u32, store_release_u32, u32, AtomicU32);

    fn check(&self, off: usize, len: usize) {
        assert!(
            off <= self.len && len <= self.len - off,
            "{len} bytes at {off} leave {} of device memory",
            self.len
        );
    }

    fn at(&self, off: usize, size: usize) -> *mut u8 {
        self.check(off, size);
        assert!(off.is_multiple_of(size), "{size} bytes at {off} are not aligned");
        (DIRECT + self.phys + off as u64) as *mut u8
    }
}

impl Drop for Dma {
    fn drop(&mut self) {
        // SAFETY: the frames taken in `new`. That no device uses them any more is its driver's word.
        unsafe { frames::put_kernel(self.phys, pages(self.len)) };
    }
}

fn pages(bytes: usize) -> usize {
    bytes.div_ceil(PAGE as usize).max(1)
}

/// Orders all memory accesses before against all after, as processors and devices see them.
pub fn fence() {
    atomic::fence(Ordering::SeqCst);
}
