//! Device registers on the host: a fake device answers.
//!
//! A driver under test is given a [`Mmio::fake`] or finds one by address: [`host_register_mmio`] and
//! [`host_register_ports`] put a fake device into the I/O space of the calling thread's machine, where [`Mmio::map`]
//! and [`Ports::claim`] find it, once each as on the real machine, where nobody but this crate can call those two: a
//! test is whoever finds the device. Where no device is, reads give all ones and writes
//! go nowhere, as on a PC.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::sync::{Mutex, PoisonError};

use super::heap::aside;
use super::machine::{Machine, machine};
use crate::claims::{self, Claims};
pub use crate::types::IoError;
use crate::types::RangeKind;

/// A fake device's registers in memory space. Called without any lock held, from any thread.
pub trait MmioBackend: Send + Sync {
    /// Reads `width` (1, 2, 4 or 8) bytes at `off`.
    fn read(&self, off: usize, width: usize) -> u64;
    /// Writes `width` (1, 2, 4 or 8) bytes at `off`.
    fn write(&self, off: usize, width: usize, value: u64);
    /// Bytes of register space that a [`Mmio::fake`] of this device covers.
    fn size(&self) -> usize {
        4096
    }
}

/// A fake device's registers in port space. Called without any lock held, from any thread.
pub trait PortBackend: Send + Sync {
    /// Reads `width` (1, 2 or 4) bytes at `off` from the device's first port.
    fn read(&self, off: u16, width: usize) -> u32;
    /// Writes `width` (1, 2 or 4) bytes at `off` from the device's first port.
    fn write(&self, off: u16, width: usize, value: u32);
}

#[derive(Default)]
pub(super) struct Space {
    mmio: Mutex<Vec<MmioRegion>>,
    ports: Mutex<Vec<PortRegion>>,
    claimed_windows: Mutex<Claims>,
    claimed_ports: Mutex<Claims>,
}

/// A stretch that somebody has; dropping it gives it back.
struct Claim {
    machine: Arc<Machine>,
    of: fn(&Space) -> &Mutex<Claims>,
    first: u64,
    last: u64,
}

impl Claim {
    fn new(of: fn(&Space) -> &Mutex<Claims>, first: u64, last: u64) -> Result<Arc<Claim>, IoError> {
        let machine = machine();
        of(&machine.io).lock().unwrap_or_else(PoisonError::into_inner).claim(first, last)?;
        Ok(Arc::new(Claim { machine, of, first, last }))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let claims = (self.of)(&self.machine.io);
        claims.lock().unwrap_or_else(PoisonError::into_inner).give_back(self.first, self.last);
    }
}

/// Whether there is memory anywhere from the address `first` to `last`: the boot information says so, or a test has
/// made a page there.
fn is_memory(first: u64, last: u64) -> bool {
    let ram =
        super::boot::info().ram.iter().filter(|r| matches!(r.kind, RangeKind::Ram | RangeKind::AcpiReclaim));
    let told = ram.into_iter().any(|r| r.start <= last && first < r.start.saturating_add(r.len));
    told || super::words::Words::overlaps(first, last)
}

/// First byte, length, device.
type MmioRegion = (u64, usize, Arc<dyn MmioBackend>);
/// First port, number of ports, device.
type PortRegion = (u16, u16, Arc<dyn PortBackend>);

/// Puts a fake device at a physical address of this machine.
pub fn host_register_mmio(phys: u64, len: usize, device: Arc<dyn MmioBackend>) {
    machine().io.mmio.lock().unwrap_or_else(PoisonError::into_inner).push((phys, len, device));
}

/// Puts a fake device at a port of this machine.
pub fn host_register_ports(base: u16, len: u16, device: Arc<dyn PortBackend>) {
    machine().io.ports.lock().unwrap_or_else(PoisonError::into_inner).push((base, len, device));
}

enum Target {
    Device(Arc<dyn MmioBackend>),
    /// Looked up at every access, since devices may be moved.
    Space(Arc<Claim>, u64),
}

/// A stretch of device registers in memory space; clones are the same registers. Accesses must be aligned to their
/// width and inside, else they panic.
#[derive(Clone)]
pub struct Mmio {
    target: Arc<Target>,
    /// Where this stretch begins in the target.
    base: usize,
    len: usize,
}

impl Mmio {
    /// Claims the registers at a physical address.
    ///
    /// # Errors
    /// Somebody has some of them; they are memory; there is no such address.
    pub fn map(phys: u64, len: usize) -> Result<Mmio, IoError> {
        let (first, last) = claims::window(phys, len)?;
        if is_memory(first, last) {
            return Err(IoError::Memory);
        }
        let claim = Claim::new(|space| &space.claimed_windows, first, last)?;
        Ok(Mmio { target: Arc::new(Target::Space(claim, phys)), base: 0, len })
    }

    /// The registers of a fake device.
    pub fn fake(device: Arc<dyn MmioBackend>) -> Mmio {
        let len = device.size();
        Mmio { target: Arc::new(Target::Device(device)), base: 0, len }
    }

    /// Bytes of register space.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no registers.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Part of these registers.
    ///
    /// # Panics
    /// When the part is not inside.
    pub fn slice(&self, off: usize, len: usize) -> Mmio {
        assert!(off <= self.len && len <= self.len - off, "{len} bytes at {off} of Mmio of {}", self.len);
        Mmio { target: self.target.clone(), base: self.base + off, len }
    }

    fn find(&self, off: usize, width: usize) -> Option<(Arc<dyn MmioBackend>, usize)> {
        assert!(off <= self.len && width <= self.len - off, "{width} bytes at {off} of Mmio of {}", self.len);
        let at = self.base + off;
        match &*self.target {
            Target::Device(device) => {
                assert!(at.is_multiple_of(width), "{width}-byte register at {at}");
                Some((device.clone(), at))
            }
            Target::Space(claim, phys) => {
                let phys = phys + at as u64;
                assert!(phys.is_multiple_of(width as u64), "{width}-byte register at {phys:#x}");
                let all = claim.machine.io.mmio.lock().unwrap_or_else(PoisonError::into_inner);
                all.iter().find_map(|(start, len, device)| {
                    let at = usize::try_from(phys.checked_sub(*start)?).ok()?;
                    (at < *len).then(|| (device.clone(), at))
                })
            }
        }
    }

    fn read(&self, off: usize, width: usize) -> u64 {
        self.find(off, width).map_or(u64::MAX, |(device, at)| aside(|| device.read(at, width)))
    }

    fn write(&self, off: usize, width: usize, value: u64) {
        if let Some((device, at)) = self.find(off, width) {
            aside(|| device.write(at, width, value));
        }
    }

    /// Reads a register.
    pub fn read8(&self, off: usize) -> u8 {
        self.read(off, 1) as u8
    }

    /// Reads a register.
    pub fn read16(&self, off: usize) -> u16 {
        self.read(off, 2) as u16
    }

    /// Reads a register.
    pub fn read32(&self, off: usize) -> u32 {
        self.read(off, 4) as u32
    }

    /// Reads a register.
    pub fn read64(&self, off: usize) -> u64 {
        self.read(off, 8)
    }

    /// Writes a register.
    pub fn write8(&self, off: usize, v: u8) {
        self.write(off, 1, u64::from(v));
    }

    /// Writes a register.
    pub fn write16(&self, off: usize, v: u16) {
        self.write(off, 2, u64::from(v));
    }

    /// Writes a register.
    pub fn write32(&self, off: usize, v: u32) {
        self.write(off, 4, u64::from(v));
    }

    /// Writes a register.
    pub fn write64(&self, off: usize, v: u64) {
        self.write(off, 8, v);
    }
}

#[derive(Clone)]
enum PortTarget {
    Device(Arc<dyn PortBackend>),
    Space(Arc<Claim>),
}

/// A range of I/O ports.
#[derive(Clone)]
pub struct Ports {
    target: PortTarget,
    base: u16,
    len: u16,
}

impl Ports {
    /// Claims `len` ports from `base` on.
    ///
    /// # Errors
    /// Somebody has some of them, or the kernel keeps them; there are no such ports.
    pub fn claim(base: u16, len: u16) -> Result<Ports, IoError> {
        let (first, last) = claims::ports(base, len)?;
        let claim = Claim::new(|space| &space.claimed_ports, u64::from(first), u64::from(last))?;
        Ok(Ports { target: PortTarget::Space(claim), base, len })
    }

    /// The ports of a fake device.
    pub fn fake(device: Arc<dyn PortBackend>) -> Ports {
        Ports { target: PortTarget::Device(device), base: 0, len: u16::MAX }
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

    fn find(&self, off: u16, width: u16) -> Option<(Arc<dyn PortBackend>, u16)> {
        assert!(off <= self.len && width <= self.len - off, "{width} bytes at {off} of {} ports", self.len);
        match &self.target {
            PortTarget::Device(device) => Some((device.clone(), off)),
            PortTarget::Space(claim) => {
                let port = self.base.checked_add(off)?;
                let all = claim.machine.io.ports.lock().unwrap_or_else(PoisonError::into_inner);
                all.iter().find_map(|(base, len, device)| {
                    let at = port.checked_sub(*base)?;
                    (at < *len).then(|| (device.clone(), at))
                })
            }
        }
    }

    fn read(&self, off: u16, width: u16) -> u32 {
        self.find(off, width).map_or(u32::MAX, |(device, at)| aside(|| device.read(at, usize::from(width))))
    }

    fn write(&self, off: u16, width: u16, value: u32) {
        if let Some((device, at)) = self.find(off, width) {
            aside(|| device.write(at, usize::from(width), value));
        }
    }

    /// Reads a port.
    pub fn in8(&self, off: u16) -> u8 {
        self.read(off, 1) as u8
    }

    /// Reads a port.
    pub fn in16(&self, off: u16) -> u16 {
        self.read(off, 2) as u16
    }

    /// Reads a port.
    pub fn in32(&self, off: u16) -> u32 {
        self.read(off, 4)
    }

    /// Writes a port.
    pub fn out8(&self, off: u16, v: u8) {
        self.write(off, 1, u32::from(v));
    }

    /// Writes a port.
    pub fn out16(&self, off: u16, v: u16) {
        self.write(off, 2, u32::from(v));
    }

    /// Writes a port.
    pub fn out32(&self, off: u16, v: u32) {
        self.write(off, 4, v);
    }
}

impl fmt::Debug for Mmio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mmio({:#x}, {} bytes)", self.base, self.len)
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ports({:#x}, {})", self.base, self.len)
    }
}

#[cfg(test)]
mod tests;
