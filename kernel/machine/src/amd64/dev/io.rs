//! Device registers: memory-mapped (`Mmio`) and port (`Ports`), claimed once, checked at every access.
//!
//! A stretch of registers has one owner (`claims`), whose clones share it; when the last is dropped it can be claimed
//! again. Only this crate claims: what others want is found by `pci_config` and `places`. What the direct map covers is
//! memory, and never a device. `WINDOWS` and `PORTS` guard who has what; each is
//! a leaf but for the heap. What a driver tells its device to do with memory is not checked here or anywhere: an
//! address that it gives away for DMA is its own responsibility.

pub use crate::types::IoError;

use crate::amd64::lock::Lock;
use crate::amd64::mem::paging;
use crate::claims::{self, Claims};
use alloc::sync::Arc;
use core::fmt;
use core::ptr;
use x86_64::instructions::port::Port;

static WINDOWS: Lock<Claims> = Lock::new(Claims::new());
static PORTS: Lock<Claims> = Lock::new(Claims::new());

/// A stretch that somebody has; dropping it gives it back.
struct Claim {
    of: &'static Lock<Claims>,
    first: u64,
    last: u64,
}

impl Claim {
    fn new(of: &'static Lock<Claims>, first: u64, last: u64) -> Result<Arc<Claim>, IoError> {
        of.lock().claim(first, last)?;
        Ok(Arc::new(Claim { of, first, last }))
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} to {:#x}", self.first, self.last)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.of.lock().give_back(self.first, self.last);
    }
}

/// A stretch of device registers in memory, uncached. Clones share it.
#[derive(Clone, Debug)]
pub struct Mmio {
    base: usize,
    len: usize,
    _claim: Arc<Claim>,
}

macro_rules! mmio_access {
    ($read:ident, $write:ident, $t:ty) => {
        /// Reads a register, `off` bytes from the start.
        ///
        /// # Panics
        /// When the register is not inside, or not aligned to its size.
        pub fn $read(&self, off: usize) -> $t {
            let p = self.at(off, size_of::<$t>()) as *const $t;
            // SAFETY: `at` checked that the register is inside our mapping, which stays for good, and aligned. It is
            // no memory, so nobody has a reference to it, and any value is one.
            unsafe { ptr::read_volatile(p) }
        }

        /// Writes a register, `off` bytes from the start.
        ///
        /// # Panics
        /// When the register is not inside, or not aligned to its size.
        pub fn $write(&self, off: usize, value: $t) {
            let p = self.at(off, size_of::<$t>()) as *mut $t;
            // SAFETY: as for reading. What the device does with memory then is what its driver told it.
            unsafe { ptr::write_volatile(p, value) }
        }
    };
}

impl Mmio {
    /// Claims `len` bytes of physical address space at `phys` and maps them for device access (uncached, kernel only).
    /// There may be nothing at the address.
    ///
    /// # Errors
    /// Somebody has some of them; they are memory; the processor has no such address; no memory is left for page
    /// tables.
    pub(crate) fn map(phys: u64, len: usize) -> Result<Mmio, IoError> {
        let (first, last) = claims::window(phys, len)?;
        if paging::is_memory(first, last) {
            return Err(IoError::Memory);
        }
        let claim = Claim::new(&WINDOWS, first, last)?;
        Ok(Mmio { base: paging::map_device(phys, len)?, len, _claim: claim })
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
        Mmio { base: self.base + off, len, _claim: self._claim.clone() }
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

/// A range of I/O ports. Clones share it.
#[derive(Clone, Debug)]
pub struct Ports {
    base: u16,
    len: u16,
    /// Nothing for those that the kernel keeps.
    _claim: Option<Arc<Claim>>,
}

macro_rules! port_access {
    ($read:ident, $write:ident, $t:ty) => {
        /// Reads a port, `off` from the first.
        ///
        /// # Panics
        /// When the port is not in the range.
        pub fn $read(&self, off: u16) -> $t {
            let mut port = Port::<$t>::new(self.at(off, size_of::<$t>() as u16));
            // SAFETY: ports reach devices, not memory, and this one belongs to whoever has `self`.
            unsafe { port.read() }
        }

        /// Writes a port, `off` from the first.
        ///
        /// # Panics
        /// When the port is not in the range.
        pub fn $write(&self, off: u16, value: $t) {
            let mut port = Port::<$t>::new(self.at(off, size_of::<$t>() as u16));
            // SAFETY: as for reading. Those by which memory could be written are not given to drivers.
            unsafe { port.write(value) }
        }
    };
}

impl Ports {
    /// Claims the ports from `base`, `len` of them. There may be nobody behind them.
    ///
    /// # Errors
    /// Somebody has some of them, or the kernel keeps them; there are no such ports.
    pub(crate) fn claim(base: u16, len: u16) -> Result<Ports, IoError> {
        let (first, last) = claims::ports(base, len)?;
        let claim = Claim::new(&PORTS, u64::from(first), u64::from(last))?;
        Ok(Ports { base, len, _claim: Some(claim) })
    }

    /// Ports that the kernel keeps for itself (`claims`), or that end the machine: no matter then whose they are.
    pub(crate) const fn of_kernel(base: u16, len: u16) -> Ports {
        Ports { base, len, _claim: None }
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
