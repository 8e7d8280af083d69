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
use core::fmt::Write;

use ::io::{Disk, DiskError};
use abi::{Qid, error};
use machine::heap;

use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry, Put, Text};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::proc::notes;
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

    fn sdctl(&self) -> Result<String> {
        let mut text = heap::Text::new();
        for u in &self.units {
            let rights = if u.disk.writable() { "rw" } else { "ro" };
            let (name, sectors, size) = (u.disk.name(), u.disk.sectors(), u.disk.sector_size());
            // What is left out for want of memory is told at the end.
            let _ = writeln!(text, "{} {name} {sectors} {size} {rights}", u.name);
        }
        Ok(text.finish()?)
    }

    /// What is written to `sdctl`. Disks that are switched off have what was written to them where it stays; they go
    /// with the machine, and are on as long as it is.
    fn command(&self, up: &Arc<Proc>, line: &str) -> Result<()> {
        let words = heap::try_collect(line.split_ascii_whitespace())?;
        let (on, spec, kind) = match words.split_first() {
            Some((&"config", rest)) => config(rest).ok_or(error::EBADARG)?,
            _ => return Err(error::EBADCTL.into()),
        };
        if on && kind.is_none() {
            return Err(error::EBADARG.into());
        }
        let mut found = false;
        for unit in
            self.units.iter().filter(|unit| unit.name.strip_prefix("sd").is_some_and(|n| n.starts_with(spec)))
        {
            found = true;
            if !on && unit.disk.writable() {
                unit.disk.flush(&|| notes::must_die(up))?;
            }
        }
        if found { Ok(()) } else { Err(error::ENONEXIST.into()) }
    }
}

/// What `config` says: whether to switch on or off, the letter of the disks, and the kind of their controller.
fn config<'a>(mut words: &[&'a str]) -> Option<(bool, &'a str, Option<&'a str>)> {
    let (mut on, mut spec, mut kind) = (None, None, None);
    while let [name, value, rest @ ..] = words {
        match (*name, *value) {
            ("switch", "on") => on = Some(true),
            ("switch", "off") => on = Some(false),
            ("spec", letter) if letter.len() == 1 => spec = Some(letter),
            ("type", value) => kind = Some(value),
            ("port" | "size" | "irq", number) => drop(number.parse::<u32>().ok()?),
            _ => return None,
        }
        words = rest;
    }
    if words.is_empty() { Some((on?, spec?, kind)) } else { None }
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

    fn each(&self, up: &Arc<Proc>, _c: &Chan, dir: Qid, after: u64, put: Put<'_>) -> Result<()> {
        if dir.path == 0 {
            // A disk's key is one more than its number, counted from 1.
            if after < SDCTL && !put(SDCTL, Entry::file("sdctl", SDCTL, 0o644)) {
                return Ok(());
            }
            for (n, unit) in (1u64..).zip(&self.units).filter(|(n, _)| n + 1 > after) {
                let dir = Entry::dir("", n << UNIT, 0o555);
                if !put(n + 1, Entry { name: unit.name.clone().into(), ..dir }) {
                    break;
                }
            }
            return Ok(());
        }
        let unit = self.unit(dir)?;
        let perm = if unit.disk.writable() { 0o640 } else { 0o440 };
        // The keys are the lower parts of the paths.
        if after < CTL && !put(CTL, Entry::file("ctl", dir.path | CTL, 0o640)) {
            return Ok(());
        }
        let mut id = u32::try_from((after + 1).saturating_sub(PART)).unwrap_or(u32::MAX);
        while let Some(part) = unit.next(up, id)? {
            let key = PART + u64::from(part.id);
            let length = unit.extent(&part).1;
            let entry = Entry::named(heap::try_string(&part.name)?, dir.path | key, perm);
            if !put(key, Entry { length, ..entry }) {
                break;
            }
            id = part.id + 1;
        }
        Ok(())
    }

    fn parent(&self, _c: &Chan, of: Qid) -> Qid {
        if of.path == SDCTL || file(of) == 0 { Qid::dir(0) } else { Qid::dir(of.path - file(of)) }
    }

    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
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
        Ok(c.share())
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
            Open::Text(text) if c.qid.path == SDCTL => text.read(dst, offset, || self.sdctl()),
            Open::Text(text) => {
                let unit = self.unit(c.qid)?;
                text.read(dst, offset, || unit.ctl_text(up))
            }
        }
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, offset: u64) -> Result<usize> {
        if c.qid.path == SDCTL {
            let bytes = src.to_vec(COMMANDS_MOST)?;
            let text = core::str::from_utf8(&bytes).map_err(|_| error::EBADARG)?;
            let mut lines = text.lines().filter(|line| !line.trim().is_empty());
            return lines.try_for_each(|line| self.command(up, line)).map(|()| bytes.len());
        }
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
