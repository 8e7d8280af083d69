//! Moving memory that programs, devices or other processors may be writing at the same time: whole pages, and bytes.
//!
//! Two sides that write at once give a mixture, and the language knows no such thing of its own copies. So the
//! copying is done by instructions that the compiler does not look into: to it they are an access from outside, like
//! a device's.
//!
//! (What the compiler knows of, and calls `memcpy` and the like for, is done by the same instructions: `copy.S`.)
//!
//! Whole pages go eight bytes at a time, by a loop that is written out: under QEMU's translator a `rep` instruction
//! costs a round of its own per element, and a page is too short for it to gain much on a real processor. (The compiler
//! would turn such a loop back into a call of `memset`.) Longer stretches are done by whichever is faster here.
//!
//! Ownership: `rep_is_fast` is set once, at boot, before there are other processors.

use core::sync::atomic::{AtomicU8, Ordering};

/// Zeroes a page.
///
/// # Safety
/// `page` is the address of 4096 writable bytes, aligned to 8, that nobody has references into.
#[inline]
pub unsafe fn zero_page(page: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { zero_whole_page(page) };
}

/// Copies a page.
///
/// # Safety
/// `to` as for `zero_page`; `from` is the address of 4096 readable bytes, another page.
#[inline]
pub unsafe fn copy_page(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { copy_whole_page(to, from) };
}

core::arch::global_asm!(include_str!("copy.S"), options(att_syntax));
// The names by which the compiler asks for them, in place of those that come with it, which copy what is left of a
// word byte by byte.
#[cfg(target_os = "none")]
core::arch::global_asm!(
    ".globl memcpy, memmove, memset, memcmp, bcmp",
    ".set memcpy, copy_bytes",
    ".set memmove, move_bytes",
    ".set memset, set_bytes",
    ".set memcmp, compare_bytes",
    ".set bcmp, compare_bytes",
    options(att_syntax)
);

unsafe extern "C" {
    fn copy_bytes(to: *mut u8, from: *const u8, len: usize) -> *mut u8;
    fn zero_whole_page(page: *mut u8);
    fn copy_whole_page(to: *mut u8, from: *const u8);
    /// Whether long stretches go by `rep` instructions: not 0.
    static rep_is_fast: AtomicU8;
}

/// Chooses how long stretches are copied and set from now on: by `rep` instructions, unless they are `translated`.
pub fn init(translated: bool) {
    // SAFETY: `copy.S` has it, a byte that can be written.
    unsafe { &rep_is_fast }.store(u8::from(!translated), Ordering::Relaxed);
}

/// Copies `len` bytes.
///
/// # Safety
/// `from` is the address of as many readable bytes, `to` of as many writable ones, and the two stretches have no byte
/// in common. To whichever of the two others write meanwhile, nobody has a reference.
#[inline]
pub unsafe fn bytes(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { copy_bytes(to, from, len) };
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    unsafe extern "C" {
        fn move_bytes(to: *mut u8, from: *const u8, len: usize) -> *mut u8;
        fn set_bytes(to: *mut u8, byte: u32, len: usize) -> *mut u8;
        fn compare_bytes(a: *const u8, b: *const u8, len: usize) -> i32;
    }

    /// Lengths up to all of the short ways, and some of the long ones.
    fn lengths() -> impl Iterator<Item = usize> {
        (0..400)
            .chain([500, 511, 512, 513, 514, 519, 520, 521, 575, 576, 577, 639, 640, 641, 1000, 4096, 70_001])
    }

    /// Does it with both habits.
    fn by_both(f: impl Fn()) {
        for rep in [0, 1] {
            // SAFETY: a byte that can be written.
            unsafe { &super::rep_is_fast }.store(rep, super::Ordering::Relaxed);
            f();
        }
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 31 + i / 7) as u8).collect()
    }

    #[test]
    fn copies_all_and_nothing_else() {
        by_both(|| lengths().for_each(copies));
    }

    fn copies(len: usize) {
        for (to, from) in [(0, 0), (1, 0), (0, 3), (5, 6)] {
            let (mut place, bytes) = (std::vec![0xaau8; len + 32], pattern(len + 16));
            let mut wanted = place.clone();
            wanted[to..to + len].copy_from_slice(&bytes[from..from + len]);
            // SAFETY: both vectors are that long.
            unsafe { super::bytes(bytes.as_ptr().add(from), place.as_mut_ptr().add(to), len) };
            assert_eq!(place, wanted, "{len} bytes from {from} to {to}");
        }
    }

    #[test]
    fn a_whole_page_is_copied_and_zeroed_and_nothing_else() {
        const PAGE: usize = 4096;
        let from: Vec<u64> =
            (0..PAGE as u64 / 8).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1).collect();
        let mut place = std::vec![u64::MAX; PAGE / 8 + 2];
        let to = place[1..].as_mut_ptr().cast::<u8>();
        // SAFETY: so many words are in either.
        unsafe { super::copy_page(from.as_ptr().cast(), to) };
        assert_eq!((place[0], &place[1..=PAGE / 8], place[PAGE / 8 + 1]), (u64::MAX, &from[..], u64::MAX));
        // SAFETY: as above.
        unsafe { super::zero_page(to) };
        assert!(place[1..=PAGE / 8].iter().all(|word| *word == 0));
        assert_eq!((place[0], place[PAGE / 8 + 1]), (u64::MAX, u64::MAX));
    }

    #[test]
    fn moves_within_itself() {
        for len in lengths() {
            for (to, from) in
                [(0, 1), (1, 0), (0, 7), (7, 0), (8, 0), (0, 8), (3, 40), (40, 3), (0, 33), (9, 9)]
            {
                let mut place = pattern(len + 64);
                let mut wanted = place.clone();
                wanted.copy_within(from..from + len, to);
                let start = place.as_mut_ptr();
                // SAFETY: the vector is that long.
                let got = unsafe { move_bytes(start.add(to), start.add(from), len) };
                assert_eq!(got as usize, start as usize + to);
                assert_eq!(place, wanted, "{len} bytes from {from} to {to}");
            }
        }
    }

    #[test]
    fn sets_all_and_nothing_else() {
        by_both(|| lengths().for_each(sets));
    }

    fn sets(len: usize) {
        let mut place = std::vec![1u8; len + 32];
        let mut wanted = place.clone();
        wanted[3..3 + len].fill(0xc5);
        let start = place.as_mut_ptr();
        // SAFETY: the vector is that long.
        let got = unsafe { set_bytes(start.add(3), 0xffff_ffc5, len) };
        assert_eq!(got as usize, start as usize + 3);
        assert_eq!(place, wanted, "{len}");
    }

    #[test]
    fn compares_as_the_first_bytes_that_differ() {
        for len in lengths().filter(|&len| len <= 4096) {
            let a = pattern(len + 1);
            // SAFETY: both vectors are that long.
            let compare = |b: &[u8]| unsafe { compare_bytes(a.as_ptr(), b.as_ptr(), len) }.signum();
            // What is behind does not count.
            let mut b = a.clone();
            b[len] ^= 0xff;
            assert_eq!(compare(&b), 0);
            for at in 0..len {
                for other in [0, 0x7f, 0x80, 0xff, a[at].wrapping_add(1)] {
                    let mut b = a.clone();
                    b[at] = other;
                    if at + 1 < len {
                        b[at + 1] = b[at + 1].wrapping_add(91);
                    }
                    let wanted = a[..len].cmp(&b[..len]) as i32;
                    assert_eq!(compare(&b), wanted, "{len} bytes, {other:#x} at {at}");
                }
            }
        }
    }
}
