//! Random bytes on the host: the standard library's per-process hash keys, in counter mode. What is stirred in is
//! only counted, for each machine by itself.

use alloc::boxed::Box;
use core::hash::{BuildHasher, Hasher};
use core::sync::atomic::{AtomicU64, Ordering};
use std::hash::RandomState;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::machine::machine;

static KEYS: OnceLock<RandomState> = OnceLock::new();
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Bytes given out after which whoever has fresh ones is asked for them.
pub const APPETITE: usize = 64 << 10;

/// A machine's share of it.
#[derive(Default)]
pub(super) struct Pool {
    on_use: OnceLock<Box<dyn Fn() + Send + Sync>>,
    used: Mutex<usize>,
    stirred: AtomicU64,
}

/// Fills `buf` with random bytes.
pub fn fill(buf: &mut [u8]) {
    let keys = KEYS.get_or_init(RandomState::new);
    for chunk in buf.chunks_mut(8) {
        let mut h = keys.build_hasher();
        h.write_u64(COUNTER.fetch_add(1, Ordering::Relaxed));
        chunk.copy_from_slice(&h.finish().to_le_bytes()[..chunk.len()]);
    }
    let machine = machine();
    let Some(tell) = machine.random.on_use.get() else { return };
    let hungry = {
        let mut used = machine.random.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used += buf.len();
        let hungry = *used >= APPETITE;
        *used = if hungry { 0 } else { *used };
        hungry
    };
    if hungry {
        tell();
    }
}

/// Mixes bytes from outside into the key.
pub fn stir(bytes: &[u8]) {
    machine().random.stirred.fetch_add(bytes.len() as u64, Ordering::Relaxed);
}

/// Calls `f` whenever some [`APPETITE`] bytes have been given out. The first who asks for it is told; the others never.
pub fn on_use(f: Box<dyn Fn() + Send + Sync>) {
    let _ = machine().random.on_use.set(f);
}

/// How many bytes were stirred in on this machine.
pub fn host_stirred() -> u64 {
    machine().random.stirred.load(Ordering::Relaxed)
}
