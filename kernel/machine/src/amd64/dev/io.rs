//! Device registers: memory-mapped (`Mmio`) and port (`Ports`), checked at every access.

use crate::amd64::mem::paging;
use crate::types::OutOfMemory;
use core::ptr;
use x86_64::instructions::port::Port;

/// A stretch of device registers in memory, uncached. Clones share the mapping, which stays for good.
#[derive(Clone, Debug)]
pub struct Mmio {
    base: usize,
    len: usize,
}

macro_rules! mmio_access {
    ($read:ident, $write:ident, $t:ty) => {
        /// Reads a register, `off` bytes from the start.
        ///
        /// # Panics
        /// When the register is not inside, or not aligned to its size.
        pub fn $read(&self, off: usize) -> $t {
            let p = self.at(off, size_of::<$t>()) as *const $t;
            // SAFETY: `at` checked that the register is inside our mapping and aligned; device registers have
            // no references to them, and any value is one.
            unsafe { ptr::read_volatile(p) }
        }

        /// Writes a register, `off` bytes from the start.
        ///
        /// # Panics
        /// When the register is not inside, or not aligned to its size.
        pub fn $write(&self, off: usize, value: $t) {
            let p = self.at(off, size_of::<$t>()) as *mut $t;
            // SAFETY: as for reading; what the device does then is the driver's business.
            unsafe { ptr::write_volatile(p, value) }
        }
    };
}

impl Mmio {
    /// Maps `len` bytes of physical address space at `phys` for device access (uncached, kernel only).
    pub fn map(phys: u64, len: usize) -> Result<Mmio, OutOfMemory> {
        Ok(Mmio { base: paging::map_device(phys, len)?, len })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no registers in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Part of it.
    ///
    /// # Panics
    /// When the part is not inside.
    pub fn slice(&self, off: usize, len: usize) -> Mmio {
        assert!(off <= self.len && len <= self.len - off, "registers {off:#x}+{len:#x} of {:#x}", self.len);
        Mmio { base: self.base + off, len }
    }

    mmio_access!(read8, write8, u8);
    mmio_access!(read16, write16, u16);
    mmio_access!(read32, write32, u32);
    mmio_access!(read64, write64, u64);

    fn at(&self, off: usize, size: usize) -> usize {
        assert!(size <= self.len && off <= self.len - size, "register {off:#x} of {:#x} bytes", self.len);
        let address = self.base + off;
        assert!(address.is_multiple_of(size), "register {off:#x} is not aligned to {size}");
        address
    }
}

/// A range of I/O ports.
#[derive(Clone, Debug)]
pub struct Ports {
    base: u16,
    len: u16,
}

macro_rules! port_access {
    ($read:ident, $write:ident, $t:ty) => {
        /// Reads a port, `off` from the first.
        ///
        /// # Panics
        /// When the port is not in the range.
        pub fn $read(&self, off: u16) -> $t {
            let mut port = Port::<$t>::new(self.at(off, size_of::<$t>() as u16));
            // SAFETY: ports reach devices, not memory; the range was given to this driver.
            unsafe { port.read() }
        }

        /// Writes a port, `off` from the first.
        ///
        /// # Panics
        /// When the port is not in the range.
        pub fn $write(&self, off: u16, value: $t) {
            let mut port = Port::<$t>::new(self.at(off, size_of::<$t>() as u16));
            // SAFETY: as for reading.
            unsafe { port.write(value) }
        }
    };
}

impl Ports {
    /// The ports from `base`, `len` of them.
    pub const fn new(base: u16, len: u16) -> Ports {
        Ports { base, len }
    }

    /// The first port's number.
    pub fn base(&self) -> u16 {
        self.base
    }

    /// How many ports there are.
    pub fn len(&self) -> u16 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    port_access!(in8, out8, u8);
    port_access!(in16, out16, u16);
    port_access!(in32, out32, u32);

    fn at(&self, off: u16, size: u16) -> u16 {
        assert!(size <= self.len && off <= self.len - size, "port {off:#x} of {:#x}", self.len);
        self.base + off
    }
}
