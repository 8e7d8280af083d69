//! What the tests have instead of a machine's bus: configuration spaces captured from QEMU ([`captured`]), which behave
//! as they do there ([`FakeSpace`]), with fake devices behind their base address registers ([`FakeRegisters`]).

pub mod captured;
mod space;

pub use space::{FakeFunction, FakeSpace};

/// What answers behind the base address registers of a function.
pub trait FakeRegisters: Send + Sync {
    /// Reads `width` bytes at `at` of the memory behind base address register `bar`.
    fn read(&self, bar: u8, at: usize, width: usize) -> u64;

    /// Writes there.
    fn write(&self, bar: u8, at: usize, width: usize, value: u64);

    /// Reads `width` bytes of the ports behind base address register 0. `msix`: the function's MSI-X is enabled.
    fn port_read(&self, at: u16, width: usize, msix: bool) -> u32;

    /// Writes there.
    fn port_write(&self, at: u16, width: usize, value: u32, msix: bool);
}

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
