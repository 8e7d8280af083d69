//! `#P`, Plan 9's `arch`: what the machine is made of, as text files.
//!
//! `cputype`, `irqalloc` and `ioalloc` are always there; whoever builds the machine adds files of its own
//! ([`Hardware::add`]: `mtags`, `virtio`). A text is made when it is read from its beginning.
//!
//! Locks: `files` and `ports`, leaves; no text is made under them.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Qid, error};
use machine::irq::Line;
use machine::lock::Lock;
use machine::{clock, irq};

use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry, Text};
use crate::error::Result;
use crate::mem::iobuf::Dst;
use crate::name::chan::Chan;
use crate::proc::process::Proc;

/// Makes a file's text.
pub(crate) type Maker = dyn Fn() -> String + Send + Sync;

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
        hardware.add("cputype", 0o444, Box::new(|| format!("AMD64 {}\n", clock::cycle_hz() / 1_000_000)));
        hardware.add("ioalloc", 0o444, Box::new(move || ports_text(&ports)));
        hardware.add("irqalloc", 0o444, Box::new(|| irq_text(&irq::snapshot())));
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
pub(crate) fn irq_text(lines: &[Line]) -> String {
    let line = |l: &Line| {
        let controller = l.controller.as_str();
        format!(
            "{:>11} {:>11} {:>20} {:>20} {controller:<8} {}\n",
            l.vector, l.irq, l.count, l.cycles, l.name
        )
    };
    lines.iter().map(line).collect()
}

/// `ioalloc`: first and last port in 8 columns each, then who has them.
fn ports_text(ports: &Lock<Vec<Ports>>) -> String {
    let ports = ports.lock();
    let line =
        |p: &Ports| format!("{:>8} {:>8} {}\n", format!("{:#x}", p.first), format!("{:#x}", p.last), p.owner);
    ports.iter().map(line).collect()
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

    fn open(&self, up: &Arc<Proc>, c: Chan, mode: u32) -> Result<Arc<Chan>> {
        let mut c = dirtab::open(self, up, c, mode)?;
        if !c.qid.is_dir() {
            c.aux = Some(Arc::new(Text::new()));
        }
        Ok(Arc::new(c))
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() {
            return dirtab::read_dir(self, up, c, dst, offset);
        }
        let file = self.file(c.qid)?;
        c.aux::<Text>()?.read(dst, offset, || (file.make)())
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
        assert_eq!(
            irq_text(&lines),
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
        assert_eq!(ports_text(&hardware.ports), "   0x3f8    0x3ff eia0\n  0xc000   0xc07f virtio-block-0\n");
    }
}
