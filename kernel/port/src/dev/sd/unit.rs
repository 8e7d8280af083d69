//! One disk, its partitions, and the commands of its `ctl` file.
//!
//! `table` (a QLock) guards the list of partitions. It is held while the disk's tables are read for the first time,
//! so others who look meanwhile wait. Whether a partition is open tells the number of references to it: the list has
//! one, and each open channel, and new ones are made under the lock only.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use abi::error;
use abi::quote::{one_line, quote};
use machine::page::{Page, Pinned};
use machine::sync::{QGuard, QLock, RwQLock};

use super::Disk;
use crate::dev::sd::partitions;
use crate::error::Result;
use crate::proc::notes;
use crate::proc::process::Proc;

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
    fn add(&mut self, name: &str, start: u64, end: Option<u64>) {
        let part = Part { id: self.next, name: name.to_string(), start, end };
        self.parts.push(Arc::new(part));
        self.next = self.next.wrapping_add(1);
    }
}

impl Unit {
    /// A disk of which nothing has been read yet.
    pub(crate) fn new(name: String, disk: Arc<dyn Disk>) -> Self {
        let mut table = Table { looked: false, parts: Vec::new(), next: 0 };
        table.add(DATA, 0, None);
        Unit { name, disk, writing: RwQLock::new(()), table: QLock::new(table) }
    }

    /// The partitions, the whole disk the first, if nobody deleted it.
    pub(crate) fn parts(&self, up: &Arc<Proc>) -> Vec<Arc<Part>> {
        self.looked(up).parts.clone()
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
    pub(crate) fn ctl_text(&self, up: &Arc<Proc>) -> String {
        let disk = &*self.disk;
        let mut text = format!("inquiry {}", disk.name());
        let serial = disk.serial();
        if !serial.is_empty() {
            // The host's to choose.
            text.push_str(&format!(" {}", quote(&one_line(&serial))));
        }
        text.push_str(&format!("\ngeometry {} {}\n", disk.sectors(), disk.sector_size()));
        for part in self.parts(up) {
            let end = part.end.unwrap_or_else(|| disk.sectors());
            text.push_str(&format!("part {} {} {end}\n", part.name, part.start));
        }
        text
    }

    /// Carries out one command.
    ///
    /// # Errors
    /// What is wrong with it: words, numbers, a partition in use.
    pub(crate) fn command(&self, up: &Arc<Proc>, line: &str) -> Result<()> {
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
            return Err(error::EIO.into());
        }
        let mut table = self.looked(up);
        match table.parts.iter().find(|p| p.name == name) {
            // Programs that write a whole table at once name what is there already.
            Some(p) if (p.start, p.end) == (start, Some(end)) => Ok(()),
            Some(_) => Err(error::EEXIST.into()),
            None if matches!(name, "ctl" | "raw") => Err(error::EEXIST.into()),
            None if table.parts.len() > partitions::PARTS_MOST => Err(error::ENODEV.into()),
            None => {
                table.add(name, start, Some(end));
                Ok(())
            }
        }
    }

    fn delete(&self, up: &Arc<Proc>, name: &str) -> Result<()> {
        let mut table = self.looked(up);
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
                table.add(DATA, 0, None);
            }
            table.looked = false;
        }
        drop(self.looked(up));
        Ok(())
    }

    /// The partitions, after the disk's tables have been read.
    fn looked(&self, up: &Arc<Proc>) -> QGuard<'_, Table> {
        let mut table = self.table.lock();
        if !table.looked {
            let found = self.find(up);
            if notes::must_die(up) {
                // Perhaps the disk has not said everything; the next to come asks again.
                return table;
            }
            table.looked = true;
            for part in found.parts {
                table.add(&part.name, part.start, Some(part.end));
            }
            for wrong in found.wrong {
                up.kernel.kmesg.print(format_args!("{}: {wrong}\n", self.name));
            }
        }
        table
    }

    fn find(&self, up: &Arc<Proc>) -> partitions::Found {
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
        partitions::find(&mut partitions::Disk { sector_size: size, sectors, read: &mut read })
    }
}

/// Has somebody opened it?
fn in_use(part: &Arc<Part>) -> bool {
    Arc::strong_count(part) > 1
}

fn number(word: &str) -> Result<u64> {
    word.parse().map_err(|_| error::EBADARG.into())
}
