//! `#P`, Plan 9's `arch`: what the machine is made of, as text files.
//!
//! `cputype`, `irqalloc` and `ioalloc` are always there; whoever builds the machine adds files of its own
//! ([`Hardware::add`]: `mtags`, `virtio`). A text is made when it is read from its beginning.
//!
//! Locks: `files` and `ports`, leaves; no text is made under them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use abi::{Qid, error};
use machine::irq::Line;
use machine::lock::Lock;
use machine::{clock, heap, irq};

use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry, Text};
use crate::error::Result;
use crate::mem::iobuf::Dst;
use crate::name::chan::{Chan, OwnChan};
use crate::proc::process::Proc;

/// Makes a file's text.
pub(crate) type Maker = dyn Fn(&mut heap::Text) -> fmt::Result + Send + Sync;

#[derive(Clone)]
struct File {
    name: &'static str,
    perm: u32,
    make: Arc<Maker>,
}

/// A range of I/O ports that somebody has.
struct Ports {
    first: u32,
    last: u32,
    owner: String,
}

/// The device. A file's qid path is its place in `files`, counted from 1.
pub struct Hardware {
    files: Lock<Vec<File>>,
    ports: Arc<Lock<Vec<Ports>>>,
}

impl Hardware {
    /// The device with its own files.
    pub fn new() -> Arc<Self> {
        let ports = Arc::new(Lock::new(Vec::new()));
        let hardware = Hardware { files: Lock::new(Vec::new()), ports: ports.clone() };
        let cpu = |out: &mut heap::Text| writeln!(out, "AMD64 {}", clock::cycle_hz() / 1_000_000);
        hardware.add("cputype", 0o444, Box::new(cpu));
        hardware.add("ioalloc", 0o444, Box::new(move |out| ports_text(&ports, out)));
        hardware.add(
            "irqalloc",
            0o444,
            Box::new(|out| irq_text(&irq::snapshot().map_err(|_| fmt::Error)?, out)),
        );
        Arc::new(hardware)
    }

    /// One more file. A name that is there already gets the new text.
    pub fn add(&self, name: &'static str, perm: u32, make: Box<Maker>) {
        let file = File { name, perm, make: make.into() };
        let mut files = self.files.lock();
        match files.iter_mut().find(|f| f.name == name) {
            Some(f) => *f = file,
            None => files.push(file),
        }
    }

    /// Notes in `ioalloc` who has the I/O ports from `first` to `last`.
    pub fn add_ports(&self, first: u32, last: u32, owner: &str) {
        let mut ports = self.ports.lock();
        let at = ports.partition_point(|p| p.first <= first);
        ports.insert(at, Ports { first, last, owner: owner.into() });
    }

    fn file(&self, qid: Qid) -> Result<File> {
        let n = usize::try_from(qid.path).unwrap_or(0).wrapping_sub(1);
        self.files.lock().get(n).cloned().ok_or(error::ENONEXIST.into())
    }
}

/// `irqalloc`: vector, irq, count, cycles, right-aligned in 11, 11, 20 and 20 columns, the controller
/// left-aligned in 8, the name; ascending by vector.
pub(crate) fn irq_text(lines: &[Line], out: &mut heap::Text) -> fmt::Result {
    lines.iter().try_for_each(|l| {
        let controller = l.controller.as_str();
        writeln!(
            out,
            "{:>11} {:>11} {:>20} {:>20} {controller:<8} {}",
            l.vector, l.irq, l.count, l.cycles, l.name
        )
    })
}

/// `ioalloc`: first and last port in 8 columns each, then who has them.
fn ports_text(ports: &Lock<Vec<Ports>>, out: &mut heap::Text) -> fmt::Result {
    ports.lock().iter().try_for_each(|p| writeln!(out, "{:>#8x} {:>#8x} {}", p.first, p.last, p.owner))
}

impl Dev for Hardware {
    fn letter(&self) -> char {
        'P'
    }

    fn name(&self) -> &'static str {
        "arch"
    }

    fn list(&self, _up: &Arc<Proc>, _c: &Chan, _dir: Qid) -> Result<Vec<Entry>> {
        let files = self.files.lock().clone();
        Ok(files.into_iter().zip(1..).map(|(f, path)| Entry::file(f.name, path, f.perm)).collect())
    }

    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        let mut c = dirtab::open(self, up, c, mode)?;
        if !c.qid.is_dir() {
            c.aux = Some(Arc::new(Text::new()));
        }
        Ok(c.share())
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() {
            return dirtab::read_dir(self, up, c, dst, offset);
        }
        let file = self.file(c.qid)?;
        c.aux::<Text>()?.read(dst, offset, || {
            let mut out = heap::Text::new();
            // Only memory can be missing.
            (file.make)(&mut out).map_err(|_| error::ENOMEM)?;
            Ok(out.finish()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::irq::Controller;

    #[test]
    fn irqalloc_has_the_guides_columns() {
        let lines = [
            (14, 0, 162, 364_772_098, Controller::Trap, "#PF"),
            (50, 50, 981, 165_286_994, Controller::Lapic, "APIC timer"),
            (97, 10, 0, 0, Controller::Ioapic, "virtio-9p-0"),
            (113, 11, 1, 313_778, Controller::Msi, "virtio-console-2"),
        ]
        .map(|(vector, irq, count, cycles, controller, name)| Line {
            vector,
            irq,
            count,
            cycles,
            controller,
            name: name.into(),
        });
        let mut out = heap::Text::new();
        irq_text(&lines, &mut out).unwrap();
        assert_eq!(
            out.finish().unwrap(),
            "         14           0                  162            364772098 trap     #PF\n\
             \x20        50          50                  981            165286994 lapic    APIC timer\n\
             \x20        97          10                    0                    0 ioapic   virtio-9p-0\n\
             \x20       113          11                    1               313778 msi      virtio-console-2\n"
        );
    }

    #[test]
    fn ioalloc_is_ascending() {
        let hardware = Hardware::new();
        hardware.add_ports(0xc000, 0xc07f, "virtio-block-0");
        hardware.add_ports(0x3f8, 0x3ff, "eia0");
        let mut out = heap::Text::new();
        ports_text(&hardware.ports, &mut out).unwrap();
        assert_eq!(out.finish().unwrap(), "   0x3f8    0x3ff eia0\n  0xc000   0xc07f virtio-block-0\n");
    }
}
