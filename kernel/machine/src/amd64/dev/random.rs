//! Random bytes: a ChaCha20 generator keyed from the processor's own source, where it has one, from timing jitter, and
//! from what a driver [stirs](stir) in.
//!
//! Each request mixes in the time and ends by replacing the key, so what was given out cannot be worked out from
//! what the memory holds later. `POOL` guards the key. Nothing is held while the one who asked to be told of use is.

use super::chacha::{Key, chacha20};
use crate::amd64::cpu;
use crate::amd64::lock::Lock;
use alloc::boxed::Box;
use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::sync::atomic::{AtomicUsize, Ordering};
use spin::Once;

/// Bytes given out after which whoever has fresh ones is asked for them.
pub const APPETITE: usize = 64 << 10;

/// Who wants to know that random bytes are used, and how many were since it was told.
static ON_USE: Once<Box<dyn Fn() + Send + Sync>> = Once::new();
static USED: AtomicUsize = AtomicUsize::new(0);

static POOL: Lock<Pool> = Lock::new(Pool { key: [0; 8], counter: 0 });

struct Pool {
    key: Key,
    counter: u64,
}

/// Gathers a first key.
pub(crate) fn init() {
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
    if let Some(tell) = ON_USE.get()
        && USED.fetch_add(buf.len(), Ordering::Relaxed).saturating_add(buf.len()) >= APPETITE
    {
        USED.store(0, Ordering::Relaxed);
        tell();
    }
}

/// Mixes bytes from outside into the key. They need not be random.
pub fn stir(bytes: &[u8]) {
    let mut pool = POOL.lock();
    for chunk in bytes.chunks(32) {
        for (i, b) in chunk.iter().enumerate() {
            pool.key[i / 4] ^= u32::from(*b) << (8 * (i % 4));
        }
        pool.rekey();
    }
}

/// Calls `f` whenever some [`APPETITE`] bytes have been given out. The first who asks for it is told; the others never.
pub fn on_use(f: Box<dyn Fn() + Send + Sync>) {
    ON_USE.call_once(|| f);
}

impl Pool {
    /// Stirs the time, and the processor's randomness, into the key.
    fn mix(&mut self, salt: u64) {
        let hardware = hardware_random().unwrap_or(0);
        for (i, v) in [cpu::cycles(), hardware, salt].into_iter().enumerate() {
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
