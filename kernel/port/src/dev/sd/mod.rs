//! `#S`: disks and their partitions, after Plan 9's sd(3).
//!
//! `sdctl` lists the disks. Each is a directory: `sdF0` is the first, `sdF1` the next (F is the letter that Plan 9
//! systems give to virtio). In it `ctl` tells about the disk and takes commands, `data` is the whole disk, and there
//! is a file for each partition. A disk's partition tables are read when somebody first looks into its directory, so a
//! disk that nobody uses costs nothing.
//!
//! # Locks
//!
//! Each disk has two QLocks, see [`mod@unit`] and [`io`]; neither is taken while the other is held.

pub mod io;
pub mod partitions;
pub(crate) mod unit;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ::io::{Disk, DiskError};
use abi::{Qid, error};

use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry, Text};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::Chan;
use crate::proc::process::Proc;
use unit::{Part, Unit};

/// The device. Qid paths: `sdctl` is 1; a disk's files have its number and 1 above 32 bits, and below them 0 for the
/// directory, 1 for `ctl` and from 2 on the partitions' ids.
pub struct Sd {
    units: Vec<Unit>,
}

const SDCTL: u64 = 1;
const UNIT: u32 = 32;
const CTL: u64 = 1;
const PART: u64 = 2;

/// Longest list of commands that can be written at once.
const COMMANDS_MOST: usize = 8192;

/// What an open channel keeps.
enum Open {
    /// A text that is made at the first read.
    Text(Text),
    /// A partition, which cannot go while it is open.
    Part(Arc<Part>),
}

impl Sd {
    /// The device with these disks.
    pub fn new(disks: Vec<Arc<dyn Disk>>) -> Arc<Self> {
        let unit = |(n, disk)| Unit::new(format!("sdF{n}"), disk);
        Arc::new(Sd { units: disks.into_iter().enumerate().map(unit).collect() })
    }

    fn unit(&self, qid: Qid) -> Result<&Unit> {
        let n = (qid.path >> UNIT).checked_sub(1).and_then(|n| usize::try_from(n).ok());
        n.and_then(|n| self.units.get(n)).ok_or(error::ENONEXIST.into())
    }

    fn sdctl(&self) -> String {
        let line = |u: &Unit| {
            let rights = if u.disk.writable() { "rw" } else { "ro" };
            format!("{} {} {} {} {rights}\n", u.name, u.disk.name(), u.disk.sectors(), u.disk.sector_size())
        };
        self.units.iter().map(line).collect()
    }
}

/// The part of a path below the disk's number.
fn file(qid: Qid) -> u64 {
    qid.path & ((1 << UNIT) - 1)
}

impl Dev for Sd {
    fn letter(&self) -> char {
        'S'
    }

    fn name(&self) -> &'static str {
        "sd"
    }

    fn list(&self, up: &Arc<Proc>, _c: &Chan, dir: Qid) -> Result<Vec<Entry>> {
        let mut out = Vec::new();
        if dir.path == 0 {
            out.push(Entry::file("sdctl", SDCTL, 0o444));
            for (n, unit) in (1u64..).zip(&self.units) {
                let dir = Entry::dir("", n << UNIT, 0o555);
                out.push(Entry { name: unit.name.clone().into(), ..dir });
            }
            return Ok(out);
        }
        let unit = self.unit(dir)?;
        let perm = if unit.disk.writable() { 0o640 } else { 0o440 };
        out.push(Entry::file("ctl", dir.path | CTL, 0o640));
        for part in unit.parts(up) {
            let path = dir.path | (PART + u64::from(part.id));
            let length = unit.extent(&part).1;
            out.push(Entry { length, ..Entry::named(part.name.clone(), path, perm) });
        }
        Ok(out)
    }

    fn parent(&self, _c: &Chan, of: Qid) -> Qid {
        if of.path == SDCTL || file(of) == 0 { Qid::dir(0) } else { Qid::dir(of.path - file(of)) }
    }

    fn open(&self, up: &Arc<Proc>, c: Chan, mode: u32) -> Result<Arc<Chan>> {
        let part = c.qid.path != SDCTL && file(c.qid) >= PART;
        // Not a matter of permission: nobody may.
        if part && dirtab::access(mode) & abi::AWRITE != 0 && !self.unit(c.qid)?.disk.writable() {
            return Err(DiskError::Protected.into());
        }
        let mut c = dirtab::open(self, up, c, mode)?;
        c.aux = if part {
            Some(Arc::new(Open::Part(self.unit(c.qid)?.part(file(c.qid) - PART)?)))
        } else {
            Some(Arc::new(Open::Text(Text::new())))
        };
        Ok(Arc::new(c))
    }

    fn finish(&self, kernel: &Kernel, leave: &dyn Fn() -> bool) {
        for unit in self.units.iter().filter(|unit| unit.disk.writable()) {
            if let Err(e) = unit.disk.flush(leave) {
                crate::kprint!(kernel, "sd: {}: not everything written is on the medium: {e}\n", unit.name);
            }
        }
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() {
            return dirtab::read_dir(self, up, c, dst, offset);
        }
        match c.aux::<Open>()? {
            Open::Part(part) => io::read(up, self.unit(c.qid)?, part, dst, offset),
            Open::Text(text) if c.qid.path == SDCTL => text.read(dst, offset, || Ok(self.sdctl())),
            Open::Text(text) => {
                let unit = self.unit(c.qid)?;
                text.read(dst, offset, || Ok(unit.ctl_text(up)))
            }
        }
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, offset: u64) -> Result<usize> {
        let unit = self.unit(c.qid)?;
        if let Open::Part(part) = c.aux::<Open>()? {
            return io::write(up, unit, part, src, offset);
        }
        let bytes = src.to_vec(COMMANDS_MOST)?;
        let text = core::str::from_utf8(&bytes).map_err(|_| error::EBADARG)?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            unit.command(up, line)?;
        }
        Ok(bytes.len())
    }
}
