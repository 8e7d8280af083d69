//! `#$`, Plan 9's `pnp`: the PCI bus. `pci/B.D.Fctl` tells what a function is, `pci/B.D.Fraw` is its configuration
//! space.
//!
//! A `ctl` file reads: class, subclass and interface in hex, vendor/device, interrupt line, then for each base
//! address register that is there `N:ADDRESS SIZE`. No state, no locks of its own.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Qid, error};
use io::PciBus;
use io::pci::{Address, Function};

use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry};
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

/// A `ctl` file's text.
pub(crate) fn ctl_text(f: &Function) -> String {
    let [class, subclass, interface] = f.class;
    let mut out =
        format!("{class:02x}.{subclass:02x}.{interface:02x} {:04x}/{:04x} {:3}", f.vendor, f.device, f.irq);
    for (n, address, size) in &f.bars {
        out.push_str(&format!(" {n}:{address:08x} {size}"));
    }
    out.push('\n');
    out
}

impl PciDev {
    /// The device for this bus.
    pub fn new(bus: Arc<dyn PciBus>) -> Arc<Self> {
        Arc::new(PciDev { bus })
    }
}

impl Dev for PciDev {
    fn letter(&self) -> char {
        '$'
    }

    fn name(&self) -> &'static str {
        "pnp"
    }

    fn list(&self, _up: &Arc<Proc>, _c: &Chan, dir: Qid) -> Result<Vec<Entry>> {
        if dir.path == 0 {
            return Ok(alloc::vec![Entry::dir("pci", PCI, 0o555)]);
        }
        let mut out = Vec::new();
        for f in self.bus.functions() {
            let Address { bus, device, function } = f.at;
            let name = |kind| format!("{bus}.{device}.{function}{kind}");
            let raw = Entry::named(name("raw"), path_of(f.at, true), 0o660);
            out.push(Entry::named(name("ctl"), path_of(f.at, false), 0o444));
            out.push(Entry { length: self.bus.config_size(f.at) as u64, ..raw });
        }
        Ok(out)
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
            let f = self.bus.functions().into_iter().find(|f| f.at == at).ok_or(error::ENONEXIST)?;
            return dst.put_from(ctl_text(&f).as_bytes(), offset);
        }
        let size = self.bus.config_size(at);
        let start = usize::try_from(offset).unwrap_or(size).min(size);
        let n = dst.len().min(size - start);
        let bytes: Vec<u8> = (start..start + n).map(|i| self.bus.read_config(at, i)).collect();
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
