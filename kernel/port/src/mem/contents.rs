//! What is kept of files' contents, for mounts that say so (`mount -C`; section 1, `bind`): what was read once is read
//! again without a message, and for who reads on from where the last read ended the next bytes are brought along.
//!
//! At each open it is asked what the file is like, and what is kept goes by its qid, version, time of change and
//! length. So nobody reads what is older than the open. A change from this machine makes all that is kept of the file
//! useless at once, also for those who have it open: they ask the server from then on. What was changed in the last
//! [`FRESH_S`] seconds is not kept, since versions of servers are made of seconds: another change could look the same.
//!
//! The pages are nobody's. There are as many as half of the machine's memory at most, and a [`REST`]th of it is left
//! that programs may have; those of the file that was opened longest ago go first, and all of them go before a program
//! is refused a page. Without memory for another one a read does as if nothing were kept.
//!
//! Ownership: the kernel has the list, of which a session that ends takes its files; an open file holds its
//! [`Content`], and `mnt::kept` reads by it. Lock order: `Contents::list`, then a `Content`'s `state`; both are leaves
//! otherwise, and nothing is asked of a server, and no page dropped, under either.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::ops::Bound;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use abi::Dir;
use abi::layout::PAGE;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use machine::page::Page;
use machine::{clock, mem};

use super::names::Names;
use super::pages::{Entry, PageMap};

/// Which part of memory is used for this at most.
const PART: u64 = 2;
/// Which part of memory is left free by it.
const REST: u64 = 8;
/// Most files of which anything is kept.
const MOST: usize = 1024;
/// Most pages that are looked for with one lock.
pub(crate) const TOGETHER: usize = 16;
/// Seconds for which a file is too new to be kept.
const FRESH_S: i64 = 3;

/// A file: the number of its session, which is nobody else's as long as that lives, and its qid path.
pub(crate) type File = (usize, u64);

/// All that is kept.
pub struct Contents {
    list: Lock<BTreeMap<File, Arc<Content>>>,
    /// Files in the list, for those who look without its lock whether there is any.
    files: AtomicUsize,
    /// How many opens there were.
    opens: AtomicU64,
    /// Pages of all files.
    pages: AtomicU64,
    /// What is kept of names.
    pub(crate) names: Names,
}

/// What is kept of a file.
pub(crate) struct Content {
    version: Version,
    /// The number of its last open.
    opened: AtomicU64,
    state: Lock<State>,
}

/// What a file is known by to be what it was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    vers: u32,
    mtime: u32,
    length: u64,
}

#[derive(Default)]
struct State {
    pages: PageMap,
    /// How many there are.
    count: u64,
    /// The file is not what it was.
    stale: bool,
}

impl Version {
    /// Of a file that is like `dir`; `None` when that is too new for a change to be seen by it.
    pub(crate) fn of(dir: &Dir) -> Option<Version> {
        let age = clock::wall_ns() / 1_000_000_000 - i64::from(dir.mtime);
        (age >= FRESH_S).then_some(Version { vers: dir.qid.vers, mtime: dir.mtime, length: dir.length })
    }
}

impl Contents {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Contents {
            list: Lock::new(BTreeMap::new()),
            files: AtomicUsize::new(0),
            opens: AtomicU64::new(0),
            pages: AtomicU64::new(0),
            names: Names::new(),
        }
    }

    /// What is kept of a file that has just been opened to be read, and is like `dir`; `None` when nothing is to be.
    pub(crate) fn open(&self, file: File, dir: &Dir) -> Option<Arc<Content>> {
        let version = Version::of(dir).filter(|version| version.length != 0)?;
        let number = self.opens.fetch_add(1, Ordering::Relaxed);
        let mut list = self.list.lock();
        if let Some(content) = list.get(&file).filter(|content| content.version == version) {
            content.opened.store(number, Ordering::Relaxed);
            return Some(content.clone());
        }
        let content = as_kernel(|| {
            Arc::new(Content { version, opened: AtomicU64::new(number), state: Lock::new(State::default()) })
        });
        let old = as_kernel(|| list.insert(file, content.clone()));
        let oldest = (list.len() > MOST).then(|| {
            let oldest = list.iter().min_by_key(|(_, c)| c.opened.load(Ordering::Relaxed)).map(|(f, _)| *f);
            oldest.and_then(|file| list.remove(&file))
        });
        self.files.store(list.len(), Ordering::Relaxed);
        drop(list);
        // Who has it open still believes that it has not changed.
        old.into_iter().chain(oldest.flatten()).for_each(|content| self.forget(&content));
        Some(content)
    }

    /// The file has been changed from here, or may have been: to be said before it is done, so that nobody keeps what
    /// is about to go, and afterwards, so that nobody keeps what was read meanwhile.
    pub(crate) fn changed(&self, file: File) {
        self.names.changed(file);
        if self.files.load(Ordering::Relaxed) == 0 {
            return;
        }
        let content = {
            let mut list = self.list.lock();
            let content = list.remove(&file);
            self.files.store(list.len(), Ordering::Relaxed);
            content
        };
        content.iter().for_each(|content| self.forget(content));
    }

    fn forget(&self, content: &Content) {
        let pages = {
            let mut state = content.state.lock();
            state.stale = true;
            state.take()
        };
        self.let_go(pages);
    }

    fn let_go(&self, (pages, count): (PageMap, u64)) -> bool {
        self.pages.fetch_sub(count, Ordering::Relaxed);
        drop(pages);
        count != 0
    }

    /// The session with this number is over.
    pub(crate) fn session_over(&self, number: usize) {
        // Another session may have its number.
        self.names.moved();
        loop {
            let file = self.list.lock().range((number, 0)..=(number, u64::MAX)).next().map(|(file, _)| *file);
            match file {
                Some(file) => self.changed(file),
                None => return,
            }
        }
    }

    /// Gives back all pages. True when there were any.
    pub(crate) fn reclaim(&self) -> bool {
        let (mut any, mut from) = (self.names.reclaim(), None);
        while let Some((file, content)) = self.next(from) {
            let pages = content.state.lock().take();
            any |= self.let_go(pages);
            from = Some(file);
        }
        any
    }

    fn next(&self, after: Option<File>) -> Option<(File, Arc<Content>)> {
        let list = self.list.lock();
        let mut rest = match after {
            Some(file) => list.range((Bound::Excluded(file), Bound::Unbounded)),
            None => list.range(..),
        };
        rest.next().map(|(file, content)| (*file, content.clone()))
    }

    /// How many files, and how many pages of them.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.files.load(Ordering::Relaxed) as u64, self.pages.load(Ordering::Relaxed))
    }

    /// Makes room for some pages, by giving up those of files that were opened before, or else the file's own: a reader
    /// of one that is larger than all there may be has the next pages brought all the same. Says whether there is any.
    pub(crate) fn make_room(&self, pages: u64, content: &Arc<Content>) -> bool {
        let most = most_pages();
        while self.pages.load(Ordering::Relaxed) + pages > most {
            let opened = |c: &Content| c.opened.load(Ordering::Relaxed);
            let oldest = {
                let list = self.list.lock();
                let older = list.values().filter(|c| opened(c) < opened(content));
                older.filter(|c| c.state.lock().count != 0).min_by_key(|c| opened(c)).cloned()
            };
            let pages = oldest.as_ref().unwrap_or(content).state.lock().take();
            if !self.let_go(pages) {
                return false;
            }
        }
        // What programs need does not go for this.
        mem::free_bytes() > mem::aside_bytes() + mem::total_bytes() / REST
    }
}

/// How many pages there may be.
fn most_pages() -> u64 {
    mem::total_bytes() / PAGE / PART
}

impl Content {
    /// How many bytes the file has.
    pub(crate) fn length(&self) -> u64 {
        self.version.length
    }

    /// The pages of the file from `number` on that are there, up to the first that is not, and at most `most` or
    /// [`TOGETHER`]. `None` when it is of no use to ask here, and not the server.
    pub(crate) fn pages(&self, number: u64, most: usize) -> Option<[Option<Page>; TOGETHER]> {
        let mut pages = [const { None }; TOGETHER];
        let state = self.state.lock();
        if state.stale {
            return None;
        }
        // What is behind the end of a part of the table is for the next time.
        let (first, there) = state.pages.near(number..number.saturating_add(most as u64));
        if first == number {
            let there = there.iter().map_while(Option::as_ref);
            pages.iter_mut().zip(there).for_each(|(place, entry)| *place = Some(entry.page.clone()));
        }
        Some(pages)
    }

    /// How many pages from `number` on are not there, `most` at most.
    pub(crate) fn missing(&self, number: u64, most: u64) -> u64 {
        let next = self.state.lock().pages.first_from(number).unwrap_or(u64::MAX);
        (next - number).min(most)
    }

    /// Keeps a page, unless it is there, or the file has changed, or there is no memory for that.
    pub(crate) fn put(&self, all: &Contents, number: u64, page: Page) {
        let mut state = self.state.lock();
        if !state.stale && state.pages.get(number).is_none() {
            let entry = Entry { page: page.clone(), cow: false };
            let more = u64::from(as_kernel(|| state.pages.insert(number, entry)).is_ok());
            state.count += more;
            all.pages.fetch_add(more, Ordering::Relaxed);
        }
        drop(state);
        drop(page);
    }
}

impl State {
    /// Takes all pages out; how many they are.
    fn take(&mut self) -> (PageMap, u64) {
        (core::mem::take(&mut self.pages), core::mem::take(&mut self.count))
    }
}
