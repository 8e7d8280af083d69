//! Images: the contents of executables, page by page, shared by everybody who runs them and kept for the next.
//!
//! Ownership: the cache owns images; a running program's segments hold an [`ImageRef`]. While there is one, the
//! image keeps the program's file open to page from. When the last goes, the file is closed (so that a server
//! can be unmounted) and the pages stay until memory is wanted elsewhere. Then pages of programs that run go as well,
//! if no segment has them: one program may be a hundred commands, of which some always run.
//!
//! A page is read by whoever needs it first; others who need it wait for that one, each until it is to die itself. When
//! the reader fails or is killed the next of them reads; and after [`PATIENCE_NS`] each for itself, since the reader
//! may be somebody else's program, which is told a note each time before it is done.
//!
//! Lock order: `ImageCache::list`, then `Image::state`; both leaves otherwise. Pages are read without either.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::{Bound, Range};

use abi::layout::PAGE;
use machine::clock;
use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use machine::page::{Page, Pinned};
use machine::sync::{Rendez, Wake};

use super::iobuf::{Dst, cut};
use super::newpage::new_image_page;
use crate::error::Result;
use crate::name::chan::Chan;
use crate::proc::process::Proc;

/// What must be equal for two executables to be the same one: device, instance and qid, and because servers'
/// versions are weak, time and length as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ImageKey {
    /// Device letter, instance, and the device's number for the contents.
    pub(crate) file: (char, u32, u64),
    /// Qid version.
    pub(crate) vers: u32,
    /// Time of last change.
    pub(crate) mtime: u32,
    /// Bytes.
    pub(crate) length: u64,
}

/// A stretch of the file that fills pages, one after the other: a segment's. It need not begin at a page of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stretch {
    /// Offset in the file of the first byte.
    pub(crate) offset: u64,
    /// Bytes; zeros behind.
    pub(crate) len: u64,
}

/// Offset in the file and valid length of a page.
type Key = (u64, u32);

impl Stretch {
    fn key(self, number: u64) -> Option<Key> {
        let skip = number.checked_mul(PAGE)?;
        let len = self.len.checked_sub(skip).filter(|&len| len > 0)?.min(PAGE) as u32;
        Some((self.offset.checked_add(skip)?, len))
    }
}

/// Pages of a group of neighbours.
pub(crate) const GROUP: u64 = 16;

/// The pages that are read, and mapped, along with page `number` of a segment: 64 KiB.
pub(crate) fn neighbours(number: u64) -> Range<u64> {
    let start = number - number % GROUP;
    start..start.saturating_add(GROUP)
}

/// The pages of an executable that were read so far.
pub(crate) struct Image {
    key: ImageKey,
    state: Lock<State>,
    /// Somebody has ended reading.
    read: Rendez,
}

struct State {
    chan: Option<Arc<Chan>>,
    users: u32,
    pages: BTreeMap<Key, Page>,
    /// The parts of the file that are being read.
    coming: Vec<Range<u64>>,
}

impl State {
    fn is_coming(&self, key: Key) -> bool {
        self.coming.iter().any(|part| part.contains(&key.0))
    }
}

/// A part of the file that is being read. Its drop wakes those who wait for that.
struct Reading<'a> {
    image: &'a Image,
    part: Range<u64>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut state = self.image.state.lock();
        if let Some(at) = state.coming.iter().position(|part| *part == self.part) {
            state.coming.swap_remove(at);
        }
        drop(state);
        self.image.read.wakeup();
    }
}

/// Who brings a page in.
enum Whose<'a> {
    /// Nobody: it is there.
    Done(Page),
    /// Another does.
    Others,
    /// The caller, these pages together, from this file.
    Mine(Range<u64>, Arc<Chan>, Reading<'a>),
}

/// A running program's hold on its image.
pub(crate) struct ImageRef {
    image: Arc<Image>,
}

/// All images.
pub struct ImageCache {
    list: Lock<Vec<Arc<Image>>>,
}

/// How long one waits for another who reads, in ns.
const PATIENCE_NS: u64 = 1_000_000_000;

/// Images kept without anybody running them.
const KEEP: usize = 64;

impl ImageCache {
    /// An empty cache.
    pub(crate) const fn new() -> Self {
        ImageCache { list: Lock::new(Vec::new()) }
    }

    /// The image of the file behind `chan` (open for OEXEC), from the cache or new.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn attach(&self, key: ImageKey, chan: &Arc<Chan>) -> Result<ImageRef> {
        let mut dropped = Vec::new();
        let mut list = self.list.lock();
        as_kernel(|| heap::try_reserve(&mut *list, 1))?;
        let found = list.iter().position(|i| i.key == key);
        let image = match found {
            Some(at) => list.remove(at),
            None => as_kernel(|| {
                let state = State { chan: None, users: 0, pages: BTreeMap::new(), coming: Vec::new() };
                Arc::new(Image { key, state: Lock::new(state), read: Rendez::new() })
            }),
        };
        {
            let mut state = image.state.lock();
            state.users += 1;
            if state.chan.is_none() {
                state.chan = Some(chan.clone());
            }
        }
        // Most recently used last; the oldest idle ones go.
        as_kernel(|| list.push(image.clone()));
        while list.len() > KEEP && dropped.len() < KEEP {
            match list.iter().position(|i| i.state.lock().users == 0) {
                Some(at) => dropped.push(list.remove(at)),
                None => break,
            }
        }
        drop(list);
        drop(dropped);
        Ok(ImageRef { image })
    }

    /// How many images there are, run by somebody or not, and their pages.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let list = self.list.lock();
        let pages = list.iter().map(|i| i.state.lock().pages.len() as u64).sum();
        (list.len() as u64, pages)
    }

    /// How many pages would be given back if memory were wanted.
    pub(crate) fn unused(&self) -> u64 {
        (0..).map_while(|at| self.nth(at)).map(|image| image.unused(false)).sum()
    }

    fn nth(&self, at: usize) -> Option<Arc<Image>> {
        self.list.lock().get(at).cloned()
    }

    /// Gives back the memory of images that nobody runs, and of pages that nobody has. True when there were any.
    pub fn reclaim(&self) -> bool {
        let idle = self.reclaim_idle();
        let unused = (0..).map_while(|at| self.nth(at)).map(|image| image.unused(true)).sum::<u64>();
        idle || unused > 0
    }

    fn reclaim_idle(&self) -> bool {
        let mut any = false;
        loop {
            // Some at a time: this is what makes memory when there is none. They are dropped without the lock.
            let mut idle = [const { None }; 16];
            let mut places = idle.iter_mut();
            self.list.lock().retain(|i| {
                if i.state.lock().users > 0 {
                    return true;
                }
                let place = places.next();
                let keep = place.is_none();
                if let Some(place) = place {
                    *place = Some(i.clone());
                }
                keep
            });
            if idle.iter().flatten().next().is_none() {
                return any;
            }
            any = true;
        }
    }
}

impl Image {
    /// Counts the pages that nobody has but the cache, and drops them if that is wanted: some at a time, since the lock
    /// keeps interrupts out.
    fn unused(&self, drops: bool) -> u64 {
        const SOME: usize = 32;
        let (mut count, mut from) = (0, Bound::Unbounded);
        loop {
            let mut keys = [None; SOME];
            let mut dropped = [const { None::<Page> }; SOME];
            let mut last = None;
            {
                let mut state = self.state.lock();
                for ((key, page), place) in state.pages.range((from, Bound::Unbounded)).zip(&mut keys) {
                    last = Some(*key);
                    *place = (page.refs() == 1).then_some(*key);
                }
                let unused = keys.iter().flatten();
                count += unused.clone().count() as u64;
                if drops {
                    unused.zip(&mut dropped).for_each(|(key, page)| *page = state.pages.remove(key));
                }
            }
            match last {
                Some(key) => from = Bound::Excluded(key),
                None => return count,
            }
        }
    }
}

impl Default for ImageCache {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for ImageRef {
    fn clone(&self) -> Self {
        self.image.state.lock().users += 1;
        ImageRef { image: self.image.clone() }
    }
}

impl Drop for ImageRef {
    fn drop(&mut self) {
        let closed = {
            let mut state = self.image.state.lock();
            state.users -= 1;
            if state.users == 0 { state.chan.take() } else { None }
        };
        drop(closed);
    }
}

impl ImageRef {
    /// The page that holds the file's bytes from `run.offset(number)` on, if it was read before.
    pub(crate) fn cached(&self, from: Stretch, number: u64) -> Option<Page> {
        self.image.state.lock().pages.get(&from.key(number)?).cloned()
    }

    /// Those of these pages that were read before, each at its place.
    pub(crate) fn cached_near(&self, from: Stretch, numbers: Range<u64>) -> [Option<Page>; GROUP as usize] {
        let mut found = [const { None }; GROUP as usize];
        let first = numbers.start;
        let Some((low, _)) = from.key(first) else { return found };
        let behind = low.saturating_add(GROUP.min(numbers.end.saturating_sub(first)) * PAGE);
        let state = self.image.state.lock();
        // Others may have other stretches of the same bytes, few of them.
        for (key, page) in state.pages.range((low, 0)..(behind, 0)).take(2 * GROUP as usize) {
            let number = first + (key.0 - low) / PAGE;
            if let Some(place) = found.get_mut((number - first) as usize)
                && from.key(number) == Some(*key)
            {
                *place = Some(page.clone());
            }
        }
        found
    }

    /// Page `number` of a stretch of the file. When it has to be read, its neighbours are read with it, as far as they
    /// are not there. Sleeps while the file is read, by the caller or by another.
    ///
    /// # Errors
    /// What the file's server says, a file that ends early, or no memory; `interrupted` when the process is to die.
    pub(crate) fn page(&self, up: &Arc<Proc>, from: Stretch, number: u64) -> Result<Page> {
        let key = from.key(number).ok_or(abi::error::EIOLOAD)?;
        let mut alone = false;
        loop {
            match self.whose(from, number, key, alone)? {
                Whose::Done(page) => return Ok(page),
                Whose::Mine(wanted, chan, reading) => {
                    self.read(up, from, wanted, number, &chan)?;
                    drop(reading);
                    return self.cached(from, number).ok_or(abi::error::EIOLOAD.into());
                }
                Whose::Others => {
                    let (image, until) = (&self.image, clock::now_ns().saturating_add(PATIENCE_NS));
                    let over = || !image.state.lock().is_coming(key);
                    alone = up.despite_notes(|| match image.read.sleep_until(until, over) {
                        Ok(()) => Ok(false),
                        Err(Wake::TimedOut) => Ok(true),
                        Err(Wake::Interrupted) => Err(abi::error::EINTR.into()),
                    })?;
                }
            }
        }
    }

    /// Who is to read page `number`: not another if it has to be `alone`.
    fn whose(&self, from: Stretch, number: u64, key: Key, alone: bool) -> Result<Whose<'_>> {
        let mut state = self.image.state.lock();
        if let Some(page) = state.pages.get(&key) {
            return Ok(Whose::Done(page.clone()));
        }
        if !alone && state.is_coming(key) {
            return Ok(Whose::Others);
        }
        let chan = state.chan.clone().ok_or(abi::error::EIOLOAD)?;
        let group = neighbours(number);
        let missing = |n: &u64| {
            from.key(*n).is_some_and(|key| !state.pages.contains_key(&key) && !state.is_coming(key))
        };
        let before = (group.start..number).rev().take_while(missing).count() as u64;
        let behind = (number + 1..group.end).take_while(missing).count() as u64;
        let wanted = number - before..number + 1 + behind;
        let start = from.key(wanted.start).map_or(key.0, |first| first.0);
        let part = start..start + (before + 1 + behind) * PAGE;
        as_kernel(|| state.coming.push(part.clone()));
        Ok(Whose::Mine(wanted, chan, Reading { image: &self.image, part }))
    }

    /// Reads these pages of a stretch, or as many as there is memory for, `number` among them.
    fn read(
        &self,
        up: &Arc<Proc>,
        from: Stretch,
        wanted: Range<u64>,
        number: u64,
        chan: &Arc<Chan>,
    ) -> Result<()> {
        let pages = wanted.clone().map(|_| new_image_page(up)).collect::<Result<Vec<_>>>();
        let (wanted, pages) = match pages {
            Ok(pages) => (wanted, pages),
            // Enough for what is needed, perhaps.
            Err(_) => (number..number + 1, alloc::vec![new_image_page(up)?]),
        };
        let keys: Vec<Key> = wanted.filter_map(|n| from.key(n)).collect();
        let first = keys.first().map_or(0, |k| k.0);
        let pinned: Vec<Pinned> =
            pages.iter().zip(&keys).map(|(page, key)| Pinned::new(page.clone(), 0, key.1 as usize)).collect();
        let len = pinned.iter().map(Pinned::len).sum();
        let mut got = 0;
        while got < len {
            let rest = cut(&pinned, got, len - got)?;
            // A note must not look like a broken disk.
            let read = || chan.dev.read(up, chan, &mut Dst::Pages(&rest), first + got as u64);
            match up.despite_notes(read)? {
                0 => break,
                n => got += n,
            }
        }
        drop(pinned);
        let mut state = self.image.state.lock();
        for (key, page) in keys.iter().zip(pages) {
            if key.0 + u64::from(key.1) <= first + got as u64 {
                as_kernel(|| state.pages.entry(*key).or_insert(page));
            }
        }
        Ok(())
    }

    /// Name of the file, for messages.
    pub(crate) fn path(&self) -> alloc::string::String {
        let chan = self.image.state.lock().chan.clone();
        chan.map(|c| alloc::string::String::from(c.path.as_str())).unwrap_or_default()
    }
}
