//! `#$`, Plan 9's `pnp`: the PCI bus. `pci/B.D.Fctl` tells what a function is, `pci/B.D.Fraw` is its configuration
//! space.
//!
//! A `ctl` file reads: class, subclass and interface in hex, vendor/device, interrupt line, then for each base
//! address register that is there `N:ADDRESS SIZE`. No state, no locks of its own.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use abi::{Qid, error};
use io::PciBus;
use io::pci::{Address, Function};
use machine::heap;

use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry, Put};
use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::Chan;
use crate::proc::process::Proc;

/// The device.
pub struct PciDev {
    bus: Arc<dyn PciBus>,
}

/// Qid paths: `pci` is 1; a function's files are its address and a bit for `raw`, above 256.
const PCI: u64 = 1;
const FUNCTION: u64 = 0x100;

fn path_of(a: Address, raw: bool) -> u64 {
    let at = u64::from(a.bus) << 8 | u64::from(a.device) << 3 | u64::from(a.function);
    (at << 1 | u64::from(raw)) + FUNCTION
}

fn address_of(path: u64) -> (Address, bool) {
    let at = path.saturating_sub(FUNCTION);
    let a = at >> 1;
    let address = Address { bus: (a >> 8) as u8, device: (a >> 3 & 31) as u8, function: (a & 7) as u8 };
    (address, at & 1 == 1)
}

/// Endings of the names of a function's files.
const CTL: &str = "ctl";
const RAW: &str = "raw";

fn name_of(a: Address, ending: &str) -> String {
    format!("{}.{}.{}{ending}", a.bus, a.device, a.function)
}

/// The address and the file that a name means, if it is written in the one way.
fn named(name: &str) -> Option<(Address, bool)> {
    let (digits, ending) = name.split_at_checked(name.len().checked_sub(CTL.len())?)?;
    let mut numbers = digits.split('.').map(|n| n.parse::<u8>().ok());
    let mut number = || numbers.next().flatten();
    let at = Address { bus: number()?, device: number()?, function: number()? };
    let there_can_be = at.device < 32 && at.function < 8;
    let written = matches!(ending, CTL | RAW) && name_of(at, ending) == name;
    (there_can_be && written).then_some((at, ending == RAW))
}

/// A `ctl` file's text.
pub(crate) fn ctl_text(f: &Function) -> String {
    let [class, subclass, interface] = f.class;
    let mut out =
        format!("{class:02x}.{subclass:02x}.{interface:02x} {:04x}/{:04x} {:3}", f.vendor, f.device, f.irq);
    for (n, bar) in f.bars.iter().enumerate() {
        if let Some((address, size)) = bar {
            out.push_str(&format!(" {n}:{address:08x} {size}"));
        }
    }
    out.push('\n');
    out
}

impl PciDev {
    /// The device for this bus.
    pub fn new(bus: Arc<dyn PciBus>) -> Arc<Self> {
        Arc::new(PciDev { bus })
    }

    /// One of the two files of a function.
    fn file(&self, at: Address, raw: bool) -> Entry {
        let (name, perm) = if raw { (name_of(at, RAW), 0o660) } else { (name_of(at, CTL), 0o444) };
        let length = if raw { self.bus.config_size(at) as u64 } else { 0 };
        Entry { length, ..Entry::named(name, path_of(at, raw), perm) }
    }
}

impl Dev for PciDev {
    fn letter(&self) -> char {
        '$'
    }

    fn name(&self) -> &'static str {
        "pnp"
    }

    fn each(&self, _up: &Arc<Proc>, _c: &Chan, dir: Qid, after: u64, put: Put<'_>) -> Result<()> {
        if dir.path == 0 {
            return dirtab::only(Entry::dir("pci", PCI, 0o555), after, put);
        }
        // A key is twice the function's place, and 1 for `ctl`, 2 for `raw`.
        let mut key = after + 1;
        while let Some(f) = usize::try_from((key - 1) / 2).ok().and_then(|n| self.bus.nth(n)) {
            if !put(key, self.file(f.at, key.is_multiple_of(2))) {
                break;
            }
            key += 1;
        }
        Ok(())
    }

    fn lookup(&self, _up: &Arc<Proc>, _c: &Chan, dir: Qid, name: &str) -> Result<Option<Qid>> {
        if dir.path == 0 {
            return Ok((name == "pci").then_some(Qid::dir(PCI)));
        }
        let found = named(name).filter(|(at, _)| self.bus.find(*at).is_some());
        Ok(found.map(|(at, raw)| Qid::file(path_of(at, raw))))
    }

    fn entry(&self, _up: &Arc<Proc>, c: &Chan) -> Result<Entry> {
        match c.qid.path {
            0 => Ok(self.root_entry()),
            PCI => Ok(Entry::dir("pci", PCI, 0o555)),
            path => {
                let (at, raw) = address_of(path);
                Ok(self.file(self.bus.find(at).ok_or(error::ENONEXIST)?.at, raw))
            }
        }
    }

    fn parent(&self, _c: &Chan, file: Qid) -> Qid {
        if file.path == PCI { Qid::dir(0) } else { Qid::dir(PCI) }
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() {
            return dirtab::read_dir(self, up, c, dst, offset);
        }
        let (at, raw) = address_of(c.qid.path);
        if !raw {
            let f = self.bus.find(at).ok_or(error::ENONEXIST)?;
            return dst.put_from(ctl_text(&f).as_bytes(), offset);
        }
        let size = self.bus.config_size(at);
        let start = usize::try_from(offset).unwrap_or(size).min(size);
        let n = dst.len().min(size - start);
        let bytes = heap::try_collect((start..start + n).map(|i| self.bus.read_config(at, i)))?;
        dst.put(0, &bytes)?;
        Ok(n)
    }

    fn write(&self, _up: &Arc<Proc>, c: &Chan, src: &Src<'_>, offset: u64) -> Result<usize> {
        let (at, raw) = address_of(c.qid.path);
        let bytes = src.to_vec(4)?;
        let aligned = matches!(bytes.len(), 1 | 2 | 4) && offset.is_multiple_of(bytes.len() as u64);
        let end = offset.saturating_add(bytes.len() as u64);
        if !raw || !aligned || end > self.bus.config_size(at) as u64 {
            return Err(error::EBADARG.into());
        }
        self.bus.write_config(at, offset as usize, &bytes);
        Ok(bytes.len())
    }
}
