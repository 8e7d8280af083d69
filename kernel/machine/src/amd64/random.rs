//! Random bytes: a ChaCha20 generator keyed from the processor's own source, where it has one, and from timing jitter.
//!
//! Each request mixes in the time and ends by replacing the key, so what was given out cannot be worked out from
//! what the memory holds later. `POOL` guards the key.

use super::clock;
use super::lock::Lock;
use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};

type Key = [u32; 8];

static POOL: Lock<Pool> = Lock::new(Pool { key: [0; 8], counter: 0 });

struct Pool {
    key: Key,
    counter: u64,
}

/// Gathers a first key.
pub(super) fn init() {
    let mut pool = POOL.lock();
    for round in 0..8u64 {
        pool.mix(round);
    }
}

/// Fills a buffer with random bytes.
pub fn fill(buf: &mut [u8]) {
    // In pieces, so that the lock keeps interrupts off for short times only.
    for piece in buf.chunks_mut(1024) {
        let mut pool = POOL.lock();
        pool.mix(0);
        for out in piece.chunks_mut(64) {
            let block = pool.next();
            out.copy_from_slice(&block[..out.len()]);
        }
        pool.rekey();
    }
}

impl Pool {
    /// Stirs the time, and the processor's randomness, into the key.
    fn mix(&mut self, salt: u64) {
        let hardware = hardware_random().unwrap_or(0);
        for (i, v) in [clock::cycles(), hardware, salt].into_iter().enumerate() {
            self.key[2 * i] ^= v as u32;
            self.key[2 * i + 1] ^= (v >> 32) as u32;
        }
        self.rekey();
    }

    fn rekey(&mut self) {
        let block = self.next();
        for (k, b) in self.key.iter_mut().zip(block.chunks_exact(4)) {
            *k = u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        }
    }

    fn next(&mut self) -> [u8; 64] {
        self.counter = self.counter.wrapping_add(1);
        chacha20(&self.key, self.counter)
    }
}

/// One block of the ChaCha20 function (RFC 8439 section 2.3), with a 64-bit counter and no nonce.
fn chacha20(key: &Key, counter: u64) -> [u8; 64] {
    let mut start = [0u32; 16];
    start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    start[4..12].copy_from_slice(key);
    start[12] = counter as u32;
    start[13] = (counter >> 32) as u32;
    let mut s = start;
    for _ in 0..10 {
        for (i, shift) in [(0, [0, 4, 8, 12]), (1, [0, 5, 10, 15])] {
            for lane in 0..4 {
                let at = |row: usize| 4 * row + if i == 0 { lane } else { (lane + shift[row] % 4) % 4 };
                quarter(&mut s, at(0), at(1), at(2), at(3));
            }
        }
    }
    let mut out = [0; 64];
    for ((bytes, a), b) in out.chunks_exact_mut(4).zip(s).zip(start) {
        bytes.copy_from_slice(&a.wrapping_add(b).to_le_bytes());
    }
    out
}

fn quarter(s: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    for (x, y, z, n) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
        s[x] = s[x].wrapping_add(s[y]);
        s[z] = (s[z] ^ s[x]).rotate_left(n);
    }
}

/// A word from RDSEED or RDRAND.
fn hardware_random() -> Option<u64> {
    let max = __cpuid(0).eax;
    let seed = max >= 7 && __cpuid_count(7, 0).ebx >> 18 & 1 == 1;
    let rand = __cpuid(1).ecx >> 30 & 1 == 1;
    for _ in 0..8 {
        let (value, ok): (u64, u8);
        // SAFETY: each instruction only where CPUID announces it.
        unsafe {
            if seed {
                asm!("rdseed {}", "setc {}", out(reg) value, out(reg_byte) ok, options(nomem, nostack));
            } else if rand {
                asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) ok, options(nomem, nostack));
            } else {
                return None;
            }
        }
        if ok == 1 {
            return Some(value);
        }
    }
    None
}
