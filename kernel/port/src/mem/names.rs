//! What is kept of files' names, and of what the files are like, for mounts that say so (`mount -C`).
//!
//! What a server has told of a name, when it was walked to or when its directory was read, is told again for
//! [`OLD_NS`]: so long may a `stat` not see what the server's own side does. All that this machine does is seen at
//! once: a file that it writes or changes is asked for again, and after a file has been made, removed or given another
//! name here all names are. So is a file that has been opened: nothing that is told of it is older than that.
//!
//! Of a directory that was read whole it is known that these are all its names, as long as it is what it was: who lists
//! it asks for its version first.
//!
//! An answer is known by when it was asked for. One that was asked for before a change is not kept when it comes after.
//!
//! There are [as many](most) names as memory allows, and all of them go when there are more, or when a program would be
//! refused a page.
//!
//! Lock: `inner`, under which only leaves are taken: those of the table of mounts, and of what a session keeps of its
//! files.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::{Dir, Qid};
use machine::OutOfMemory;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use machine::{clock, heap, mem};

use super::contents::{File, Version};
use super::held::{Held, Told, Whole};

/// How old something may be that is told, in ns.
pub(crate) const OLD_NS: u64 = 2_000_000_000;
/// Most names.
const MOST: usize = 8192;
/// Bytes of memory for each.
const SHARE: u64 = 32 << 10;
/// Longest name that is kept, in bytes.
const LONG: usize = 255;
/// Most names that are looked at with one lock.
const TOGETHER: usize = 64;
/// Files of a directory of which nothing can be told, at most, for its names to be of use.
const UNKNOWN: usize = 16;
/// Most changes that are remembered.
const CHANGES: usize = 1024;

/// All that is kept.
pub(crate) struct Names {
    inner: Lock<Inner>,
    /// Something was asked for to be kept.
    used: AtomicBool,
}

#[derive(Default)]
struct Inner {
    dirs: BTreeMap<File, Held>,
    names: usize,
    /// When files were changed last.
    changed: BTreeMap<File, u64>,
    /// When names were.
    moved: u64,
}

/// What has been told of a name.
pub(crate) struct Answer<'a> {
    /// The number of the session and of the directory.
    pub(crate) dir: File,
    pub(crate) name: &'a str,
    /// As the server says.
    pub(crate) qid: Qid,
    /// The number by which it is known when it is changed.
    pub(crate) file: u64,
    /// What it is like, if that was told.
    pub(crate) told: Option<&'a Dir>,
    /// What [`Names::asking`] has given.
    pub(crate) asked: u64,
}

impl Names {
    /// None.
    pub(crate) const fn new() -> Self {
        let inner = Inner { dirs: BTreeMap::new(), names: 0, changed: BTreeMap::new(), moved: 0 };
        Names { inner: Lock::new(inner), used: AtomicBool::new(false) }
    }

    /// Something is about to be asked for that is to be kept: when that is.
    pub(crate) fn asking(&self) -> u64 {
        self.used.store(true, Ordering::SeqCst);
        clock::now_ns()
    }

    /// What a name in a directory leads to, as was told lately.
    pub(crate) fn find(&self, dir: File, name: &str) -> Option<Qid> {
        let inner = self.inner.lock();
        inner.good(dir, name).map(|told| told.qid)
    }

    /// What that is like, as was told lately.
    pub(crate) fn told(&self, dir: File, name: &str) -> Option<Dir> {
        let inner = self.inner.lock();
        Dir::parse(inner.good(dir, name)?.record.as_ref()?).ok().map(|(told, _)| told)
    }

    /// Tells what is at the end of `names` from the directory `dir` on, if that was told lately, as
    /// [`glance`](crate::Dev::glance) does.
    pub(crate) fn glance(
        &self,
        dir: File,
        names: &[&str],
        pass: &mut dyn FnMut(Qid) -> bool,
        tell: impl FnOnce(Dir<&[u8]>) -> bool,
    ) -> bool {
        let inner = self.inner.lock();
        let Some((last, before)) = names.split_last() else { return false };
        let mut shown = |told: &Told| pass(Qid { path: told.file, ..told.qid });
        let mut at = dir;
        for name in before {
            match inner.good(at, name) {
                Some(told) if told.qid.is_dir() && shown(told) => at.1 = told.qid.path,
                _ => return false,
            }
        }
        let Some(told) = inner.good(at, last) else { return false };
        let Some(record) = told.record.as_ref().filter(|_| shown(told)) else { return false };
        Dir::parse_in_place(record).is_ok_and(|(dir, _)| tell(dir))
    }

    /// A directory of this version was read whole: so many files, all of which were asked for then or later, and kept.
    pub(crate) fn listed(&self, dir: File, version: Version, asked: u64, count: usize) {
        let mut inner = self.inner.lock();
        let is_old = asked <= inner.moved;
        if let Some(held) = inner.dirs.get_mut(&dir) {
            let here = || held.told().iter().filter(|told| told.asked >= asked).count();
            held.whole = (!is_old && here() == count).then_some(Whole { asked, version });
        }
    }

    /// The names in a directory of this version, if it was read whole lately, and most of what is in it could be told.
    pub(crate) fn list(&self, dir: File, version: Version) -> Option<Vec<String>> {
        let (mut names, mut seen, mut unknown, mut asked) = (Vec::new(), 0, 0, None);
        loop {
            let inner = self.inner.lock();
            let held = inner.dirs.get(&dir)?;
            let whole = held.whole.as_ref().filter(|w| w.version == version && is_new(w.asked))?;
            // It may be another list by now.
            if *asked.get_or_insert(whole.asked) != whole.asked {
                return None;
            }
            let rest = held.told().get(seen..).unwrap_or_default();
            for told in rest.iter().take(TOGETHER) {
                if told.asked >= whole.asked {
                    unknown += usize::from(!inner.is_good(dir, told));
                    heap::try_push(&mut names, heap::try_string(&told.name).ok()?).ok()?;
                }
                seen += 1;
            }
            if unknown > UNKNOWN {
                return None;
            }
            if seen >= held.told().len() {
                return Some(names);
            }
        }
    }

    /// Keeps what was told, if there is memory for it.
    pub(crate) fn put(&self, answer: &Answer<'_>) {
        let &Answer { dir, name, qid, file, told, asked } = answer;
        if name.len() > LONG {
            return;
        }
        let record = |told: &Dir| {
            let mut record = heap::try_vec(told.record_size())?;
            told.append_record(&mut record);
            Ok(record)
        };
        let made = as_kernel(|| {
            let record = told.map(record).transpose()?;
            Ok::<_, OutOfMemory>(Told { name: heap::try_string(name)?, qid, file, record, asked })
        });
        let Ok(told) = made else { return };
        let mut inner = self.inner.lock();
        if asked <= inner.moved || inner.changed.get(&(dir.0, file)).is_some_and(|&at| asked <= at) {
            drop(inner);
            return drop(told);
        }
        let full = inner.names >= most();
        let gone = if full { inner.take_all() } else { BTreeMap::new() };
        let old = as_kernel(|| inner.dirs.entry(dir).or_default().put(told));
        inner.names += usize::from(matches!(old, Ok(None)));
        drop(inner);
        drop((old, gone));
    }

    /// This machine changes the file with this number, or has done so, or opens it.
    pub(crate) fn changed(&self, file: File) {
        if !self.used.load(Ordering::SeqCst) {
            return;
        }
        let mut inner = self.inner.lock();
        let now = clock::now_ns();
        let gone = if inner.changed.len() >= CHANGES {
            inner.moved = now;
            inner.changed.clear();
            inner.take_all()
        } else {
            BTreeMap::new()
        };
        as_kernel(|| inner.changed.insert(file, now));
        drop(inner);
        drop(gone);
    }

    /// This machine makes, removes or renames a file, or has done so.
    pub(crate) fn moved(&self) {
        if !self.used.load(Ordering::SeqCst) {
            return;
        }
        let mut inner = self.inner.lock();
        inner.moved = clock::now_ns();
        inner.changed.clear();
        let gone = inner.take_all();
        drop(inner);
        drop(gone);
    }

    /// Gives back all of them. True when there were any.
    pub(crate) fn reclaim(&self) -> bool {
        let gone = self.inner.lock().take_all();
        !gone.is_empty()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.inner.lock().names as u64
    }
}

impl Inner {
    fn good(&self, dir: File, name: &str) -> Option<&Told> {
        let told = self.dirs.get(&dir)?.find(name)?;
        self.is_good(dir, told).then_some(told)
    }

    fn is_good(&self, dir: File, told: &Told) -> bool {
        let is_changed = || self.changed.get(&(dir.0, told.file)).is_some_and(|&at| told.asked <= at);
        is_new(told.asked) && !is_changed()
    }

    /// All names, to be dropped without the lock.
    fn take_all(&mut self) -> BTreeMap<File, Held> {
        self.names = 0;
        core::mem::take(&mut self.dirs)
    }
}

/// Whether what was asked for then may still be told.
fn is_new(asked: u64) -> bool {
    clock::now_ns().saturating_sub(asked) < OLD_NS
}

/// Most names that are kept.
fn most() -> usize {
    usize::try_from(mem::total_bytes() / SHARE).unwrap_or(MOST).min(MOST)
}
