//! Memory shared with devices. On the host the devices are threads that use [`peek`] and [`poke`].

use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::Ordering;

use super::heap::aside;
use super::machine::{Charge, Machine, machine};
use super::words::Words;
pub use crate::types::OutOfMemory;

/// Physically contiguous, page-aligned memory of the kernel, freed when dropped.
///
/// All accesses are checked: out of bounds or not aligned to their width is a kernel bug and panics.
pub struct Dma {
    words: Arc<Words>,
    bytes: usize,
    home: Arc<Machine>,
}

impl Dma {
    /// `bytes` bytes of zeros.
    ///
    /// # Errors
    /// When there is no contiguous memory of that size.
    pub fn new(bytes: usize) -> Result<Dma, OutOfMemory> {
        let pages = bytes.div_ceil(abi::layout::PAGE as usize).max(1);
        let home = machine();
        home.charge(pages, Charge::Kernel)?;
        Ok(Dma { words: aside(|| Words::new(pages)), bytes, home })
    }

    /// Physical address of the first byte.
    pub fn phys(&self) -> u64 {
        self.words.phys()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    fn check(&self, off: usize, len: usize) {
        assert!(
            off <= self.bytes && len <= self.bytes - off,
            "{len} bytes at {off} of Dma of {}",
            self.bytes
        );
    }

    /// Copies bytes out.
    pub fn read(&self, off: usize, buf: &mut [u8]) {
        self.check(off, buf.len());
        self.words.read(off, buf);
    }

    /// Copies bytes in.
    pub fn write(&self, off: usize, data: &[u8]) {
        self.check(off, data.len());
        self.words.write(off, data);
    }

    /// Makes all bytes zero.
    pub fn zero(&self) {
        self.words.zero();
    }

    fn get<const N: usize>(&self, off: usize) -> [u8; N] {
        self.check(off, N);
        self.words.get(off)
    }

    fn set<const N: usize>(&self, off: usize, value: [u8; N]) {
        self.check(off, N);
        self.words.set(off, value);
    }

    /// Reads a byte.
    pub fn get_u8(&self, off: usize) -> u8 {
        u8::from_le_bytes(self.get(off))
    }

    /// Reads a little-endian value.
    pub fn get_u16(&self, off: usize) -> u16 {
        u16::from_le_bytes(self.get(off))
    }

    /// Reads a little-endian value.
    pub fn get_u32(&self, off: usize) -> u32 {
        u32::from_le_bytes(self.get(off))
    }

    /// Reads a little-endian value.
    pub fn get_u64(&self, off: usize) -> u64 {
        u64::from_le_bytes(self.get(off))
    }

    /// Writes a byte.
    pub fn set_u8(&self, off: usize, v: u8) {
        self.set(off, v.to_le_bytes());
    }

    /// Writes a little-endian value.
    pub fn set_u16(&self, off: usize, v: u16) {
        self.set(off, v.to_le_bytes());
    }

    /// Writes a little-endian value.
    pub fn set_u32(&self, off: usize, v: u32) {
        self.set(off, v.to_le_bytes());
    }

    /// Writes a little-endian value.
    pub fn set_u64(&self, off: usize, v: u64) {
        self.set(off, v.to_le_bytes());
    }

    /// Reads a value; later reads are not done before.
    pub fn load_acquire_u16(&self, off: usize) -> u16 {
        self.get_u16(off)
    }

    /// Writes a value after all earlier writes.
    pub fn store_release_u16(&self, off: usize, v: u16) {
        self.set_u16(off, v);
    }

    /// Reads a value; later reads are not done before.
    pub fn load_acquire_u32(&self, off: usize) -> u32 {
        self.get_u32(off)
    }

    /// Writes a value after all earlier writes.
    pub fn store_release_u32(&self, off: usize, v: u32) {
        self.set_u32(off, v);
    }
}

impl Drop for Dma {
    fn drop(&mut self) {
        self.words.forget();
        self.home.release(self.words.len() / abi::layout::PAGE as usize, Charge::Kernel);
    }
}

impl fmt::Debug for Dma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dma({:#x}, {} bytes)", self.phys(), self.bytes)
    }
}

/// A full memory barrier: nothing before it is seen after anything behind it.
pub fn fence() {
    core::sync::atomic::fence(Ordering::SeqCst);
}

/// A fake device reads memory at a physical address, from any thread. False when not all of it is one Dma or Page.
pub fn peek(phys: u64, buf: &mut [u8]) -> bool {
    Words::find(phys, buf.len()).map(|(w, off)| w.read(off, buf)).is_some()
}

/// A fake device writes memory at a physical address, from any thread. False when not all of it is one Dma or Page.
pub fn poke(phys: u64, data: &[u8]) -> bool {
    Words::find(phys, data.len()).map(|(w, off)| w.write(off, data)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_little_endian_and_seen_by_the_device() {
        let d = Dma::new(100).unwrap();
        assert_eq!((d.len(), d.phys() % 4096), (100, 0));
        d.set_u8(1, 0x11);
        d.set_u16(2, 0x2233);
        d.set_u32(4, 0x4455_6677);
        d.set_u64(8, 0x8899_aabb_ccdd_eeff);
        let mut b = [0; 16];
        assert!(peek(d.phys(), &mut b));
        assert_eq!(
            b,
            [0, 0x11, 0x33, 0x22, 0x77, 0x66, 0x55, 0x44, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88]
        );
        assert_eq!((d.get_u8(1), d.get_u16(2), d.get_u32(4)), (0x11, 0x2233, 0x4455_6677));
        assert_eq!(d.get_u64(8), 0x8899_aabb_ccdd_eeff);
        assert!(poke(d.phys() + 2, &[1, 0]));
        assert_eq!(d.load_acquire_u16(2), 1);
        d.store_release_u32(4, 9);
        assert_eq!(d.load_acquire_u32(4), 9);
        d.store_release_u16(98, 7);
        d.zero();
        assert_eq!(d.get_u16(98), 0);
    }

    #[test]
    #[should_panic(expected = "2 bytes at 99 of Dma of 100")]
    fn the_end_is_where_it_was_asked_for() {
        Dma::new(100).unwrap().get_u16(99);
    }

    #[test]
    #[should_panic(expected = "4-byte access at 2")]
    fn a_value_lies_on_its_own_boundary() {
        Dma::new(100).unwrap().get_u32(2);
    }

    #[test]
    fn a_producer_s_data_are_there_when_its_index_is() {
        let d = Arc::new(Dma::new(4096).unwrap());
        let phys = d.phys();
        let device = std::thread::spawn(move || {
            for n in 1..=2000u16 {
                poke(phys + 64, &[n as u8; 64]);
                poke(phys + 2, &n.to_le_bytes());
                // Waits until the kernel has read it.
                let mut seen = [0; 2];
                while peek(phys + 6, &mut seen) && u16::from_le_bytes(seen) != n {
                    core::hint::spin_loop();
                }
            }
        });
        for n in 1..=2000u16 {
            while d.load_acquire_u16(2) != n {
                core::hint::spin_loop();
            }
            let mut b = [0; 64];
            d.read(64, &mut b);
            assert_eq!(b, [n as u8; 64]);
            d.store_release_u16(6, n);
        }
        device.join().unwrap();
        fence();
    }
}
