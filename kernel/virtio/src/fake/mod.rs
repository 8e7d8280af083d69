//! What the tests have instead of a machine: PCI configuration spaces captured from QEMU ([`space`]) and virtio
//! devices whose registers and rings behave as QEMU's, or do not ([`device`], [`slot`]).

pub mod device;
pub mod slot;
pub mod space;

pub use device::{Fake, Quirks, Taken};
pub use slot::InSlot;
pub use space::FakeSpace;

/// A small generator of reproducible noise (xorshift).
pub struct Noise(u64);

impl Noise {
    /// Noise that depends on the seed only.
    pub fn new(seed: u64) -> Noise {
        Noise(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}
