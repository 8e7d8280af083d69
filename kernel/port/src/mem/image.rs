//! Images: the contents of executables, page by page, shared by everybody who runs them and kept for the next. An image
//! knows what its file's header asks for, too, so that of a program that was run before no byte is read.
//!
//! Ownership: the cache owns images; a running program's segments hold an [`ImageRef`]. While there is one, the
//! image keeps the program's file open to page from ([`paging`](super::paging)). When the last goes, the file is closed
//! (so that a server can be unmounted) and the pages stay until memory is wanted elsewhere. Then pages of programs that
//! run go as well, if no segment has them: one program may be a hundred commands, of which some always run.
//!
//! Lock order: `ImageCache::list`, then `Image::state`; both leaves otherwise.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::{Bound, Range};

use abi::layout::PAGE;
use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use machine::page::Page;
use machine::sync::Rendez;

use super::layout::Layout;
use crate::error::Result;
use crate::name::chan::Chan;

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
pub(super) type Key = (u64, u32);

impl Stretch {
    /// Its page with this number.
    pub(super) fn key(self, number: u64) -> Option<Key> {
        let skip = number.checked_mul(PAGE)?;
        let len = self.len.checked_sub(skip).filter(|&len| len > 0)?.min(PAGE) as u32;
        Some((self.offset.checked_add(skip)?, len))
    }
}

/// Pages of a group of neighbours.
pub(crate) const GROUP: u64 = 16;

/// The pages that are mapped along with page `number` of a segment, and read where that is cheap: 64 KiB.
pub(crate) fn neighbours(number: u64) -> Range<u64> {
    group(number, GROUP)
}

/// The `pages` pages among which `number` is.
pub(super) fn group(number: u64, pages: u64) -> Range<u64> {
    let start = number - number % pages;
    start..start.saturating_add(pages)
}

/// The pages of an executable that were read so far.
pub(crate) struct Image {
    key: ImageKey,
    /// What the file's header asks for.
    pub(super) layout: Layout,
    pub(super) state: Lock<State>,
    /// Somebody has ended reading.
    pub(super) read: Rendez,
}

/// What is in memory of a program, and who has it.
pub(super) struct State {
    /// The file, while anybody runs it.
    pub(super) chan: Option<Arc<Chan>>,
    users: u32,
    pub(super) pages: BTreeMap<Key, Page>,
    /// The parts of the file that are being read.
    pub(super) coming: Vec<Range<u64>>,
}

impl State {
    /// Is this page being read?
    pub(super) fn is_coming(&self, key: Key) -> bool {
        self.coming.iter().any(|part| part.contains(&key.0))
    }
}

/// A running program's hold on its image.
pub(crate) struct ImageRef {
    pub(super) image: Arc<Image>,
}

/// All images.
pub struct ImageCache {
    list: Lock<Vec<Arc<Image>>>,
}

/// Images kept without anybody running them.
const KEEP: usize = 64;

impl ImageCache {
    /// An empty cache.
    pub(crate) const fn new() -> Self {
        ImageCache { list: Lock::new(Vec::new()) }
    }

    /// The image of the file behind `chan` (open for OEXEC), if it is in the cache.
    pub(crate) fn find(&self, key: ImageKey, chan: &Arc<Chan>) -> Option<ImageRef> {
        let mut list = self.list.lock();
        let at = list.iter().position(|i| i.key == key)?;
        // Most recently used last.
        list.get_mut(at..)?.rotate_left(1);
        list.last().map(|image| image.hold(chan))
    }

    /// The same, or a new one, whose header asks for this.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn attach(&self, key: ImageKey, chan: &Arc<Chan>, layout: &Layout) -> Result<ImageRef> {
        let mut dropped = Vec::new();
        let mut list = self.list.lock();
        as_kernel(|| heap::try_reserve(&mut *list, 1))?;
        let found = list.iter().position(|i| i.key == key);
        let image = match found {
            Some(at) => list.remove(at),
            None => as_kernel(|| {
                let state = State { chan: None, users: 0, pages: BTreeMap::new(), coming: Vec::new() };
                let layout = layout.clone();
                Arc::new(Image { key, layout, state: Lock::new(state), read: Rendez::new() })
            }),
        };
        let held = image.hold(chan);
        // The oldest idle ones go.
        as_kernel(|| list.push(image));
        while list.len() > KEEP && dropped.len() < KEEP {
            match list.iter().position(|i| i.state.lock().users == 0) {
                Some(at) => dropped.push(list.remove(at)),
                None => break,
            }
        }
        drop(list);
        drop(dropped);
        Ok(held)
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
    /// For a program that is started from this file.
    fn hold(self: &Arc<Self>, chan: &Arc<Chan>) -> ImageRef {
        let mut state = self.state.lock();
        state.users += 1;
        if state.chan.is_none() {
            state.chan = Some(chan.clone());
        }
        drop(state);
        ImageRef { image: self.clone() }
    }

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

    /// What the file's header asks for.
    pub(crate) fn layout(&self) -> &Layout {
        &self.image.layout
    }

    /// Name of the file, for messages.
    pub(crate) fn path(&self) -> alloc::string::String {
        let chan = self.image.state.lock().chan.clone();
        chan.map(|c| alloc::string::String::from(c.path.as_str())).unwrap_or_default()
    }
}
