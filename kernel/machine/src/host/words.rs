//! Memory that kernel threads and fake devices touch at the same time: an array of atomic 32-bit words.
//!
//! Bytes are moved word by word, so a copy may see another's copy half done, as on the real machine, but no
//! aligned value of two or four bytes is ever torn. Stores release and loads acquire. Every access is checked: out of
//! bounds or, where a width is named, not aligned, is a bug of the caller and panics.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// A stretch of simulated physical memory.
pub(super) struct Words {
    words: Box<[AtomicU32]>,
    phys: u64,
}

/// All memory of all machines, by physical address, for fake devices.
static ALL: RwLock<BTreeMap<u64, Arc<Words>>> = RwLock::new(BTreeMap::new());
/// Where the next stretch goes. Far from real BARs, so that a mix-up is seen.
static NEXT_PHYS: AtomicU64 = AtomicU64::new(0x10_0000_0000);

impl Words {
    /// `pages` zeroed pages that can be found by their physical address until [`Words::forget`].
    pub(super) fn new(pages: usize) -> Arc<Words> {
        let words = Box::new_zeroed_slice(pages * 1024);
        // SAFETY: zeros are what an atomic zero is. (One after the other they take milliseconds in a test's build.)
        let words: Box<[AtomicU32]> = unsafe { words.assume_init() };
        // An unused page between stretches: a device that runs past the end of one finds nothing.
        let phys = NEXT_PHYS.fetch_add((pages as u64 + 1) * abi::layout::PAGE, Ordering::Relaxed);
        let this = Arc::new(Words { words, phys });
        ALL.write().unwrap_or_else(PoisonError::into_inner).insert(phys, this.clone());
        this
    }

    /// Takes the stretch out of the physical address space.
    pub(super) fn forget(&self) {
        ALL.write().unwrap_or_else(PoisonError::into_inner).remove(&self.phys);
    }

    /// The stretch that holds all of `[phys, phys + len)`, and the offset of its first byte there.
    pub(super) fn find(phys: u64, len: usize) -> Option<(Arc<Words>, usize)> {
        let all = ALL.read().unwrap_or_else(PoisonError::into_inner);
        let (&start, words) = all.range(..=phys).next_back()?;
        let off = usize::try_from(phys - start).ok()?;
        (off <= words.len() && len <= words.len() - off).then(|| (words.clone(), off))
    }

    /// Whether any stretch has an address from `first` to `last`.
    pub(super) fn overlaps(first: u64, last: u64) -> bool {
        let all = ALL.read().unwrap_or_else(PoisonError::into_inner);
        all.range(..=last).next_back().is_some_and(|(start, words)| first < start + words.len() as u64)
    }

    pub(super) fn phys(&self) -> u64 {
        self.phys
    }

    pub(super) fn len(&self) -> usize {
        self.words.len() * 4
    }

    fn check(&self, off: usize, len: usize) {
        assert!(off <= self.len() && len <= self.len() - off, "{len} bytes at {off} of {}", self.len());
    }

    pub(super) fn read(&self, off: usize, buf: &mut [u8]) {
        self.check(off, buf.len());
        let (mut at, mut buf) = (off, buf);
        while !buf.is_empty() {
            let skip = at % 4;
            let n = buf.len().min(4 - skip);
            let word = self.words[at / 4].load(Ordering::Acquire).to_le_bytes();
            let (now, later) = buf.split_at_mut(n);
            now.copy_from_slice(&word[skip..skip + n]);
            (at, buf) = (at + n, later);
        }
    }

    pub(super) fn write(&self, off: usize, data: &[u8]) {
        self.check(off, data.len());
        let (mut at, mut data) = (off, data);
        while !data.is_empty() {
            let skip = at % 4;
            let n = data.len().min(4 - skip);
            let (now, later) = data.split_at(n);
            let word = &self.words[at / 4];
            if let Ok(whole) = <[u8; 4]>::try_from(now) {
                word.store(u32::from_le_bytes(whole), Ordering::Release);
            } else {
                let splice = |old: u32| {
                    let mut b = old.to_le_bytes();
                    b[skip..skip + n].copy_from_slice(now);
                    Some(u32::from_le_bytes(b))
                };
                // The closure always gives a value, so this cannot fail.
                let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, splice);
            }
            (at, data) = (at + n, later);
        }
    }

    pub(super) fn zero(&self) {
        for word in &self.words {
            word.store(0, Ordering::Release);
        }
    }

    pub(super) fn copy_from(&self, other: &Words) {
        for (to, from) in self.words.iter().zip(&other.words) {
            to.store(from.load(Ordering::Acquire), Ordering::Release);
        }
    }

    /// Reads a little-endian value of `N` bytes from an offset that is a multiple of `N`.
    pub(super) fn get<const N: usize>(&self, off: usize) -> [u8; N] {
        assert!(off.is_multiple_of(N), "{N}-byte access at {off}");
        let mut b = [0; N];
        self.read(off, &mut b);
        b
    }

    /// Writes a little-endian value of `N` bytes to an offset that is a multiple of `N`.
    pub(super) fn set<const N: usize>(&self, off: usize, value: [u8; N]) {
        assert!(off.is_multiple_of(N), "{N}-byte access at {off}");
        self.write(off, &value);
    }

    /// The word at `off`, a multiple of four.
    pub(super) fn word(&self, off: usize) -> &AtomicU32 {
        self.check(off, 4);
        assert!(off.is_multiple_of(4), "4-byte access at {off}");
        &self.words[off / 4]
    }
}
