//! One disk, its partitions, and the commands of its `ctl` file.
//!
//! `table` (a QLock) guards the list of partitions. It is held while the disk's tables are read for the first time,
//! so others who look meanwhile wait. Whether a partition is open tells the number of references to it: the list has
//! one, and each open channel, and new ones are made under the lock only.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;

use abi::error;
use abi::quote::{one_line, quote};
use machine::heap::{self, Text};
use machine::ledger::as_kernel;
use machine::page::{Page, Pinned};
use machine::sync::{QGuard, QLock, RwQLock};

use super::Disk;
use crate::dev::sd::partitions;
use crate::error::Result;
use crate::proc::notes;
use crate::proc::process::Proc;

/// Longest command, in bytes: its words are taken apart one by one.
const COMMAND_MOST: usize = 256;
/// Partitions that are taken up between looks at memory.
const BATCH: usize = 32;
/// The name of the whole disk.
const DATA: &str = "data";

/// A partition.
pub(crate) struct Part {
    /// Tells it from all that were ever there.
    pub(crate) id: u32,
    /// Its name.
    pub name: String,
    /// First sector.
    pub start: u64,
    /// First sector behind it; none for the whole disk, whatever its size.
    pub end: Option<u64>,
}

/// A disk.
pub(crate) struct Unit {
    /// `sdF0` and so on.
    pub(crate) name: String,
    /// The disk itself.
    pub(crate) disk: Arc<dyn Disk>,
    /// See [`super::io`].
    pub(super) writing: RwQLock<()>,
    table: QLock<Table>,
}

struct Table {
    looked: bool,
    parts: Vec<Arc<Part>>,
    next: u32,
}

impl Table {
    /// One more partition, with the greatest id.
    ///
    /// # Errors
    /// No memory, or no id.
    fn add(&mut self, name: String, start: u64, end: Option<u64>) -> Result<()> {
        let next = self.next.checked_add(1).ok_or(error::ENODEV)?;
        heap::try_reserve(&mut self.parts, 1)?;
        self.parts.push(Arc::new(Part { id: self.next, name, start, end }));
        self.next = next;
        Ok(())
    }
}

impl Unit {
    /// A disk of which nothing has been read yet.
    pub(crate) fn new(name: String, disk: Arc<dyn Disk>) -> Self {
        let data = Part { id: 0, name: DATA.into(), start: 0, end: None };
        let table = Table { looked: false, parts: vec![Arc::new(data)], next: 1 };
        Unit { name, disk, writing: RwQLock::new(()), table: QLock::new(table) }
    }

    /// The first partition with this id or a greater one; that of the whole disk is 0, if nobody has deleted it.
    ///
    /// # Errors
    /// No memory for what the disk's tables say.
    pub(crate) fn next(&self, up: &Arc<Proc>, id: u32) -> Result<Option<Arc<Part>>> {
        Ok(self.looked(up)?.parts.iter().find(|p| p.id >= id).cloned())
    }

    /// The partition with this id.
    ///
    /// # Errors
    /// `file does not exist` when it has gone.
    pub(crate) fn part(&self, id: u64) -> Result<Arc<Part>> {
        let table = self.table.lock();
        let part = table.parts.iter().find(|p| u64::from(p.id) == id);
        part.cloned().ok_or(error::ENONEXIST.into())
    }

    /// Where a partition begins and how long it is, in bytes.
    pub(crate) fn extent(&self, part: &Part) -> (u64, u64) {
        let size = u64::from(self.disk.sector_size());
        let end = part.end.unwrap_or_else(|| self.disk.sectors());
        (part.start.saturating_mul(size), end.saturating_sub(part.start).saturating_mul(size))
    }

    /// What `ctl` says.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn ctl_text(&self, up: &Arc<Proc>) -> Result<String> {
        let disk = &*self.disk;
        let (name, serial) = (disk.name(), disk.serial());
        let mut text = Text::new();
        // What is left out for want of memory is told at the end.
        let _ = write!(text, "inquiry {name}");
        if !serial.is_empty() {
            // The host's to choose.
            let _ = write!(text, " {}", quote(&one_line(&serial)));
        }
        let _ = write!(text, "\ngeometry {} {}\n", disk.sectors(), disk.sector_size());
        let mut id = 0;
        while let Some(part) = self.next(up, id)? {
            let end = part.end.unwrap_or_else(|| disk.sectors());
            let _ = writeln!(text, "part {} {} {end}", part.name, part.start);
            id = part.id + 1;
        }
        Ok(text.finish()?)
    }

    /// Carries out one command.
    ///
    /// # Errors
    /// What is wrong with it: words, numbers, a partition in use.
    pub(crate) fn command(&self, up: &Arc<Proc>, line: &str) -> Result<()> {
        if line.len() > COMMAND_MOST {
            return Err(error::ECMDARGS.into());
        }
        let words = abi::quote::tokenize(line);
        let words: Vec<&str> = words.iter().map(|w| w.as_str()).collect();
        match *words.as_slice() {
            ["part", name, start, end] => self.add(up, name, number(start)?, number(end)?),
            ["delpart", name] => self.delete(up, name),
            ["flush"] => Ok(self.disk.flush(&|| notes::must_die(up))?),
            ["rescan"] => self.rescan(up),
            ["part" | "delpart" | "flush" | "rescan", ..] => Err(error::ECMDARGS.into()),
            _ => Err(error::EBADCTL.into()),
        }
    }

    fn add(&self, up: &Arc<Proc>, name: &str, start: u64, end: u64) -> Result<()> {
        if !partitions::is_name(name) {
            return Err(error::EFILENAME.into());
        }
        if start >= end || end > self.disk.sectors() {
            return Err(error::ESECTORS.into());
        }
        let mut table = self.looked(up)?;
        match table.parts.iter().find(|p| p.name == name) {
            // Programs that write a whole table at once name what is there already.
            Some(p) if (p.start, p.end) == (start, Some(end)) => Ok(()),
            Some(_) => Err(error::EEXIST.into()),
            None if matches!(name, "ctl" | "raw") => Err(error::EEXIST.into()),
            None if table.parts.len() > partitions::PARTS_MOST => Err(error::ENODEV.into()),
            None => table.add(heap::try_string(name)?, start, Some(end)),
        }
    }

    fn delete(&self, up: &Arc<Proc>, name: &str) -> Result<()> {
        let mut table = self.looked(up)?;
        let at = table.parts.iter().position(|p| p.name == name).ok_or(error::ENONEXIST)?;
        if table.parts.get(at).is_some_and(in_use) {
            return Err(error::EINUSE.into());
        }
        table.parts.remove(at);
        Ok(())
    }

    /// Forgets all partitions but the whole disk, which is there again, and reads the disk's tables again.
    fn rescan(&self, up: &Arc<Proc>) -> Result<()> {
        {
            let mut table = self.table.lock();
            if table.parts.iter().any(|p| p.end.is_some() && in_use(p)) {
                return Err(error::EINUSE.into());
            }
            table.parts.retain(|p| p.end.is_none());
            if table.parts.is_empty() {
                table.add(DATA.into(), 0, None)?;
            }
            table.looked = false;
        }
        drop(self.looked(up)?);
        Ok(())
    }

    /// The partitions, after the disk's tables have been read. They are the disk's, whoever looks first.
    ///
    /// # Errors
    /// No memory for what the tables say; the next to come asks again.
    fn looked(&self, up: &Arc<Proc>) -> Result<QGuard<'_, Table>> {
        let mut table = self.table.lock();
        if table.looked {
            return Ok(table);
        }
        as_kernel(|| {
            let found = self.find(up)?;
            if notes::must_die(up) {
                // Perhaps the disk has not said everything; the next to come asks again.
                return Ok(());
            }
            let begin = table.parts.len();
            for (n, part) in found.parts.into_iter().enumerate() {
                // One with its name is small; many of them are not.
                let room =
                    if n % BATCH == BATCH - 1 && !heap::is_granted() { Err(error::ENOMEM) } else { Ok(()) };
                let added =
                    room.map_err(Into::into).and_then(|()| table.add(part.name, part.start, Some(part.end)));
                if let Err(e) = added {
                    table.parts.truncate(begin);
                    return Err(e);
                }
            }
            table.looked = true;
            for wrong in found.wrong {
                up.kernel.kmesg.print(format_args!("{}: {wrong}\n", self.name));
            }
            Ok(())
        })?;
        Ok(table)
    }

    fn find(&self, up: &Arc<Proc>) -> Result<partitions::Found> {
        let size = self.disk.sector_size() as usize;
        let mut read = |sector, bytes: &mut [u8]| {
            let Ok(page) = Page::new_zeroed() else { return false };
            let read = self
                .disk
                .read(sector, vec![Pinned::new(page.clone(), 0, size)], &|| notes::must_die(up))
                .is_ok();
            page.read(0, bytes);
            read
        };
        let sectors = self.disk.sectors();
        Ok(partitions::find(&mut partitions::Disk { sector_size: size, sectors, read: &mut read })?)
    }
}

/// Has somebody opened it?
fn in_use(part: &Arc<Part>) -> bool {
    Arc::strong_count(part) > 1
}

fn number(word: &str) -> Result<u64> {
    word.parse().map_err(|_| error::EBADARG.into())
}
