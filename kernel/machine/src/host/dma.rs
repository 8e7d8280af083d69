//! Memory shared with devices. On the host the devices are threads that use [`peek`] and [`poke`].

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::Ordering;

use super::heap::aside;
use super::machine::{Charge, Machine, machine};
use super::page::Page;
use super::words::Words;
pub use crate::types::OutOfMemory;

const PAGE: usize = abi::layout::PAGE as usize;

/// Page-aligned memory of the kernel, freed when dropped.
///
/// All accesses are checked: out of bounds or not aligned to their width is a kernel bug and panics.
pub struct Dma {
    pieces: Vec<Arc<Words>>,
    /// Bytes of each piece but the last.
    piece: usize,
    bytes: usize,
    home: Arc<Machine>,
    /// The account that pays for it.
    owner: u16,
}

impl Dma {
    /// `bytes` bytes of zeros, in one piece.
    ///
    /// # Errors
    /// When there is no contiguous memory of that size.
    pub fn new(bytes: usize) -> Result<Dma, OutOfMemory> {
        Dma::of(bytes, usize::MAX)
    }

    /// `bytes` bytes of zeros, of which each page is somewhere else.
    ///
    /// # Errors
    /// When there is not so much memory.
    pub fn scattered(bytes: usize) -> Result<Dma, OutOfMemory> {
        Dma::of(bytes, PAGE)
    }

    fn of(bytes: usize, piece: usize) -> Result<Dma, OutOfMemory> {
        let pages = bytes.div_ceil(PAGE).max(1);
        let home = machine();
        let owner = home.charge(pages, Charge::Kernel)?;
        let each = pages.min(piece / PAGE);
        let pieces = aside(|| (0..pages / each).map(|_| Words::new(each)).collect());
        Ok(Dma { pieces, piece, bytes, home, owner })
    }

    /// Physical address of the first byte.
    pub fn phys(&self) -> u64 {
        self.pieces.first().map_or(0, |words| words.phys())
    }

    /// The first `len` bytes in the pieces that a device finds them in: physical address and length.
    pub fn pieces(&self, len: usize) -> impl Iterator<Item = (u64, usize)> + Clone {
        self.check(0, len);
        let full = self.pieces.iter().zip((0..len).step_by(self.piece));
        full.map(move |(words, off)| (words.phys(), (len - off).min(self.piece)))
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
        let (mut off, mut buf) = (off, buf);
        while !buf.is_empty() {
            let at = off % self.piece;
            let (now, later) = buf.split_at_mut(buf.len().min(self.piece - at));
            self.pieces[off / self.piece].read(at, now);
            (off, buf) = (off + now.len(), later);
        }
    }

    /// Copies bytes in.
    pub fn write(&self, off: usize, data: &[u8]) {
        self.check(off, data.len());
        let (mut off, mut data) = (off, data);
        while !data.is_empty() {
            let at = off % self.piece;
            let (now, later) = data.split_at(data.len().min(self.piece - at));
            self.pieces[off / self.piece].write(at, now);
            (off, data) = (off + now.len(), later);
        }
    }

    /// Copies `len` bytes in from a page, `from` bytes behind its beginning.
    pub fn write_page(&self, off: usize, page: &Page, from: usize, len: usize) {
        let mut bytes = [0; PAGE];
        page.read(from, &mut bytes[..len]);
        self.write(off, &bytes[..len]);
    }

    /// Copies `len` bytes out to a page, `to` bytes behind its beginning.
    pub fn read_page(&self, off: usize, page: &Page, to: usize, len: usize) {
        let mut bytes = [0; PAGE];
        self.read(off, &mut bytes[..len]);
        page.write(to, &bytes[..len]);
    }

    /// Makes all bytes zero.
    pub fn zero(&self) {
        self.pieces.iter().for_each(|words| words.zero());
    }

    fn get<const N: usize>(&self, off: usize) -> [u8; N] {
        self.check(off, N);
        self.pieces[off / self.piece].get(off % self.piece)
    }

    fn set<const N: usize>(&self, off: usize, value: [u8; N]) {
        self.check(off, N);
        self.pieces[off / self.piece].set(off % self.piece, value);
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
        self.pieces.iter().for_each(|words| words.forget());
        self.home.release(self.bytes.div_ceil(PAGE).max(1), Charge::Kernel, self.owner);
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
    fn scattered_memory_is_one_to_the_kernel_and_many_to_a_device() {
        let d = Dma::scattered(3 * PAGE - 10).unwrap();
        let data: Vec<u8> = (0..d.len()).map(|i| (i % 251) as u8).collect();
        d.write(0, &data);
        let mut seen = Vec::new();
        for (phys, n) in d.pieces(d.len()) {
            let mut piece = alloc::vec![0; n];
            assert!(peek(phys, &mut piece));
            seen.extend(piece);
        }
        assert_eq!(seen, data);
        let mut part = [0; 100];
        d.read(PAGE - 50, &mut part);
        assert_eq!(part[..], data[PAGE - 50..PAGE + 50]);
        let pieces: Vec<(u64, usize)> = d.pieces(PAGE + 1).collect();
        assert_eq!((pieces[0].1, pieces[1].1, pieces.len()), (PAGE, 1, 2));
        assert!(pieces[0].0 + PAGE as u64 != pieces[1].0 && d.pieces(0).next().is_none());
        let run = Dma::new(3 * PAGE).unwrap();
        assert_eq!(run.pieces(2 * PAGE + 1).collect::<Vec<_>>(), [(run.phys(), 2 * PAGE + 1)]);
    }

    #[test]
    fn bytes_go_to_a_page_and_come_from_one() {
        let (d, page) = (Dma::new(2 * PAGE).unwrap(), Page::new_zeroed().unwrap());
        d.write(PAGE - 2, b"abcd");
        d.read_page(PAGE - 2, &page, 4092, 4);
        let mut b = [0; 4];
        page.read(4092, &mut b);
        assert_eq!(&b, b"abcd");
        d.write_page(100, &page, 4093, 3);
        d.read(99, &mut b);
        assert_eq!(&b, b"\0bcd");
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
