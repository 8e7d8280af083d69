//! A PCI bus as QEMU's machines have it, from a captured configuration space.
//!
//! Functions hang below bridges by position, not by bus number, so the bridges can be numbered afresh.
//! Registers have the writable bits they have in QEMU as far as the tests need them. Accesses to memory and ports are
//! routed by base address registers, command registers and bridge windows (ports: on the root bus only), to the
//! fake devices plugged in.

use super::FakeRegisters;
use crate::address;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use machine::host;
use machine::io::{MmioBackend, PortBackend};
use machine::pci_config::{ConfigSpace, Segment, Width};
use pci_types::PciAddress;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Where fake memory begins, and how much there is.
const MEMORY: u64 = 0xC000_0000;
const MEMORY_LEN: usize = 0x3EC0_0000;
/// The same for ports.
const PORTS: u16 = 0xC000;
const PORTS_LEN: u16 = 0x4000;

/// One function.
#[derive(Clone)]
pub struct FakeFunction {
    /// Where it was when it was captured.
    pub captured: PciAddress,
    /// Index of the bridge it is behind.
    pub bridge: Option<usize>,
    /// Configuration space.
    pub bytes: [u8; 256],
    /// What the base address registers read after ones were written.
    pub ones: Vec<(u16, u32)>,
    /// A device behind base address registers 0 (legacy), 1 (MSI-X) and 4 (virtio's structures).
    pub device: Option<Arc<dyn FakeRegisters>>,
}

/// The bus. Clones are the same bus.
#[derive(Clone)]
pub struct FakeSpace {
    functions: Arc<Mutex<Vec<FakeFunction>>>,
    /// Accesses to memory that no base address register covers from their first to their last byte.
    strays: Arc<AtomicUsize>,
    /// The machine passes port I/O to its functions.
    pub ports: bool,
}

impl FakeSpace {
    /// The bus of a fixture, with its memory in the address space of a new machine, which becomes this thread's.
    pub fn new(fixture: &str) -> FakeSpace {
        host::new_machine();
        let space = FakeSpace {
            functions: Arc::new(Mutex::new(parse(fixture))),
            strays: Arc::default(),
            ports: true,
        };
        host::io::host_register_mmio(MEMORY, MEMORY_LEN, Arc::new(space.clone()));
        host::io::host_register_ports(PORTS, PORTS_LEN, Arc::new(space.clone()));
        space
    }

    /// The bus as a scan wants it.
    pub fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }

    /// The functions, to be changed behind everybody's back.
    pub fn functions(&self) -> MutexGuard<'_, Vec<FakeFunction>> {
        self.functions.lock().unwrap()
    }

    /// Everything in configuration space.
    pub fn snapshot(&self) -> Vec<[u8; 256]> {
        self.functions().iter().map(|f| f.bytes).collect()
    }

    /// Accesses to memory so far that went to nobody's registers, or over their end.
    pub fn strays(&self) -> usize {
        self.strays.load(Ordering::Relaxed)
    }

    /// Looks whether an access to memory is to one function's registers.
    fn watch(&self, phys: u64, width: usize) {
        let end = phys + width as u64;
        let functions = self.functions();
        if !functions.iter().flat_map(spans).any(|(_, len, at)| at <= phys && end - at <= len) {
            self.strays.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Plugs a device into the function captured at an address.
    pub fn plug<D: FakeRegisters + 'static>(&self, at: PciAddress, device: &Arc<D>) {
        let mut functions = self.functions();
        functions.iter_mut().find(|f| f.captured == at).unwrap().device = Some(device.clone());
    }

    /// The function that answers at an address now.
    fn find(&self, at: PciAddress) -> Option<usize> {
        let functions = self.functions();
        let is_root =
            at.bus() == 0 || functions.iter().any(|f| f.bridge.is_none() && f.captured.bus() == at.bus());
        let behind = if is_root { None } else { Some(route(&functions, None, at.bus())?) };
        functions.iter().position(|f| {
            f.bridge == behind
                && (!is_root || f.captured.bus() == at.bus())
                && f.captured.device() == at.device()
                && f.captured.function() == at.function()
        })
    }

    /// The device and register that answer at a memory address: every bridge above must pass it on.
    fn decode(&self, phys: u64) -> Option<(Arc<dyn FakeRegisters>, u8, u64)> {
        let functions = self.functions();
        for function in functions.iter() {
            let Some(device) = &function.device else { continue };
            for (n, len, at) in bars(function) {
                if !(at..at + len).contains(&phys) || !passes(&functions, function, phys) {
                    continue;
                }
                return Some((device.clone(), n, phys - at));
            }
        }
        None
    }
}

impl FakeSpace {
    /// The device whose legacy registers answer at a port, the offset there, and whether MSI-X is enabled.
    fn decode_port(&self, port: u16) -> Option<(Arc<dyn FakeRegisters>, u16, bool)> {
        let functions = self.functions();
        functions.iter().filter(|f| f.bytes[4] & 1 != 0 && f.bridge.is_none()).find_map(|f| {
            let ones = f.ones.iter().find(|(off, ones)| *off == 0x10 && ones & 1 != 0)?.1;
            let (base, len) = (long(&f.bytes, 0x10) & 0xFFFC, (ones & 0xFFFC | 0xFFFF_0000).wrapping_neg());
            let at = u32::from(port).checked_sub(base).filter(|at| *at < len)?;
            let msix = usize::from(msix_capability(f)) + 3;
            let enabled = (0x43..256).contains(&msix) && f.bytes[msix] & 0x80 != 0;
            Some((f.device.clone()?, at as u16, enabled))
        })
    }
}

impl PortBackend for FakeSpace {
    fn read(&self, off: u16, width: usize) -> u32 {
        match self.decode_port(PORTS + off) {
            Some((device, at, msix)) => device.port_read(at, width, msix),
            None => u32::MAX,
        }
    }

    fn write(&self, off: u16, width: usize, value: u32) {
        if let Some((device, at, msix)) = self.decode_port(PORTS + off) {
            device.port_write(at, width, value, msix);
        }
    }
}

/// The bridge whose secondary bus is `bus`.
fn route(functions: &[FakeFunction], behind: Option<usize>, bus: u8) -> Option<usize> {
    for (i, f) in functions.iter().enumerate() {
        if f.bridge != behind || f.bytes[0x0E] & 0x7F != 1 {
            continue;
        }
        let (secondary, subordinate) = (f.bytes[0x19], f.bytes[0x1A]);
        if secondary == bus && secondary != 0 {
            return Some(i);
        }
        if secondary < bus && bus <= subordinate {
            return route(functions, Some(i), bus);
        }
    }
    None
}

/// Number, length and address of a function's memory, if it answers.
fn bars(f: &FakeFunction) -> Vec<(u8, u64, u64)> {
    if f.bytes[4] & 2 != 0 { spans(f) } else { Vec::new() }
}

/// The same, whether it answers or not.
fn spans(f: &FakeFunction) -> Vec<(u8, u64, u64)> {
    let memory = f.ones.iter().filter(|(_, ones)| ones & 1 == 0 && *ones != u32::MAX);
    memory
        .map(|&(off, ones)| {
            let len = match ones & !0xF {
                0 => 1 << 32,
                mask => u64::from(mask.wrapping_neg()),
            };
            ((off as u8 - 0x10) / 4, len, u64::from(long(&f.bytes, off) & !0xF))
        })
        .filter(|(.., at)| *at != 0)
        .collect()
}

/// Whether the bridges above a function pass an address on to it.
fn passes(functions: &[FakeFunction], function: &FakeFunction, phys: u64) -> bool {
    let mut above = function.bridge;
    while let Some(bridge) = above.map(|i| &functions[i]) {
        let inside = |at: u16| {
            let window = long(&bridge.bytes, at);
            let (base, limit) =
                (u64::from(window & 0xFFF0) << 16, u64::from(window >> 16 | 0xF) << 16 | 0xFFFF);
            (base..=limit).contains(&phys)
        };
        if bridge.bytes[4] & 6 != 6 || !(inside(0x20) || inside(0x24)) {
            return false;
        }
        above = bridge.bridge;
    }
    true
}

fn long(bytes: &[u8; 256], off: u16) -> u32 {
    let off = usize::from(off);
    u32::from_le_bytes(bytes[off..off + 4].try_into().unwrap())
}

impl Segment for FakeSpace {
    fn reach(&mut self, _bus: u8) -> bool {
        true
    }

    fn has_ports(&self) -> bool {
        self.ports
    }
}

impl ConfigSpace for FakeSpace {
    fn read(&self, at: PciAddress, offset: u16, width: Width) -> u32 {
        assert!(offset.is_multiple_of(width as u16));
        let Some(i) = self.find(at).filter(|_| offset < 256) else { return u32::MAX };
        let value = long(&self.functions()[i].bytes, offset & !3) >> (8 * (offset & 3));
        match width {
            Width::Byte => value & 0xFF,
            Width::Word => value & 0xFFFF,
            Width::Long => value,
        }
    }

    fn write(&self, at: PciAddress, offset: u16, width: Width, value: u32) {
        assert!(offset.is_multiple_of(width as u16));
        let Some(i) = self.find(at).filter(|_| offset < 256) else { return };
        let f = &mut self.functions()[i];
        for n in 0..width as u16 {
            let place = usize::from(offset + n);
            let (keep, fixed) = writable(f, offset + n);
            let byte = (value >> (8 * n)) as u8;
            f.bytes[place] = f.bytes[place] & !keep & !fixed | byte & keep | fixed;
        }
    }
}

/// Where a function's MSI-X capability is, or something below 0x40.
fn msix_capability(f: &FakeFunction) -> u16 {
    let mut cap = f.bytes[0x34];
    let mut steps = 0;
    while (0x40..0xF0).contains(&cap) && f.bytes[usize::from(cap)] != 0x11 && steps < 48 {
        cap = f.bytes[usize::from(cap) + 1];
        steps += 1;
    }
    u16::from(cap)
}

/// Writable bits of a byte, and bits that are always set in it.
fn writable(f: &FakeFunction, at: u16) -> (u8, u8) {
    let bridge = f.bytes[0x0E] & 0x7F == 1;
    let msix = msix_capability(f);
    match at {
        0x04 => (0x07, 0),
        0x05 => (0x04, 0),
        0x18..=0x33 if bridge => (0xFF, 0),
        0x10..=0x27 => {
            let Some((_, ones)) = f.ones.iter().find(|(off, _)| *off == at & !3) else { return (0, 0) };
            let byte = ones.to_le_bytes()[usize::from(at & 3)];
            let kind = if at & 3 != 0 || *ones == u32::MAX {
                0
            } else if ones & 1 != 0 {
                3
            } else {
                0xF
            };
            (byte & !kind, byte & kind)
        }
        _ if msix >= 0x40 && at == msix + 3 => (0xC0, 0),
        _ => (0, 0),
    }
}

impl MmioBackend for FakeSpace {
    fn read(&self, off: usize, width: usize) -> u64 {
        self.watch(MEMORY + off as u64, width);
        match self.decode(MEMORY + off as u64) {
            Some((device, bar, at)) => device.read(bar, at as usize, width),
            None => u64::MAX,
        }
    }

    fn write(&self, off: usize, width: usize, value: u64) {
        self.watch(MEMORY + off as u64, width);
        if let Some((device, bar, at)) = self.decode(MEMORY + off as u64) {
            device.write(bar, at as usize, width, value);
        }
    }
}

/// Reads a fixture: see `tests/fixtures/capture.py`.
fn parse(fixture: &str) -> Vec<FakeFunction> {
    let mut functions: Vec<FakeFunction> = Vec::new();
    let mut filled = 0;
    for line in fixture.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] | ["#", ..] => {}
            ["f", place] => {
                let parts: Vec<u8> = place.split('.').map(|n| n.parse().unwrap()).collect();
                functions.push(FakeFunction {
                    captured: address(parts[0], parts[1], parts[2]),
                    bridge: None,
                    bytes: [0; 256],
                    ones: Vec::new(),
                    device: None,
                });
                filled = 0;
            }
            ["m", offset, mask] => {
                let pair = (u16::from_str_radix(offset, 16).unwrap(), u32::from_str_radix(mask, 16).unwrap());
                functions.last_mut().unwrap().ones.push(pair);
            }
            bytes => {
                let f = functions.last_mut().unwrap();
                for byte in bytes {
                    f.bytes[filled] = u8::from_str_radix(byte, 16).unwrap();
                    filled += 1;
                }
            }
        }
    }
    let bridges: Vec<(usize, u8)> = functions
        .iter()
        .enumerate()
        .filter(|(_, f)| f.bytes[0x0E] & 0x7F == 1)
        .map(|(i, f)| (i, f.bytes[0x19]))
        .collect();
    for f in functions.iter_mut().filter(|f| f.captured.bus() != 0) {
        f.bridge = bridges.iter().find(|(_, bus)| *bus == f.captured.bus()).map(|(i, _)| *i);
    }
    functions
}
