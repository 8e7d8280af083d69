//! Demand loading and copy on write: how a [`Segment`]'s pages come into memory, and whose they are.
//!
//! Lock: `Segment::inner` is held for as long as it takes to look a page up, to copy it and to map it: never while one
//! is brought in from a file, whose server may be anybody's and silent. Whoever brought a page in begins anew, since
//! the segment may have been looked at, forked, resized and given up meanwhile.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::layout::PAGE;
use machine::page::{Page, Pinned};
use machine::space::{AddressSpace, Prot};

use super::image::neighbours;
use super::newpage::{copy_page, new_page};
use super::pages::Entry;
use super::segment::{Backing, Inner, Segment};
use crate::error::Result;
use crate::proc::process::Proc;

/// A page to be mapped or pinned.
struct Found {
    page: Page,
    writable: bool,
}

impl Segment {
    /// Makes the page at `va` present in `space`. False when `va` is not (any more) in the segment.
    ///
    /// # Errors
    /// Paging in failed, or no memory.
    pub(crate) fn fault(&self, up: &Arc<Proc>, space: &AddressSpace, va: u64, write: bool) -> Result<bool> {
        let va = va & !(PAGE - 1);
        let mut loaded = None;
        loop {
            let mut inner = self.inner.lock();
            if va >= inner.top {
                return Ok(false);
            }
            if let Some(found) = self.find(up, &mut inner, va, write, loaded.take())? {
                // Mapped while `inner` is held: whoever takes the page back afterwards finds it in the tables.
                if !self.map_around(&mut inner, space, va)? {
                    space.map(va, found.page, Prot { write: found.writable, exec: self.is_executable() })?;
                }
                return Ok(true);
            }
            drop(inner);
            loaded = self.load(up, va)?;
        }
    }

    /// Maps the page at `va`, which is there, and what is in memory next to it: programs go on nearby, and each fault
    /// costs more than a page that is mapped in vain. After a fork it is the whole neighbourhood, after exec what
    /// others ran before. False when something is mapped at `va`.
    ///
    /// # Errors
    /// No memory for a page table.
    fn map_around(&self, inner: &mut Inner, space: &AddressSpace, va: u64) -> Result<bool> {
        let mut group = neighbours((va - self.base) / PAGE);
        group.end = group.end.min((inner.top - self.base) / PAGE);
        if let Some(backing) = &self.backing
            && let Ok(places) = inner.pages.make_near(group.clone())
            && places.iter().any(Option::is_none)
        {
            let cached = backing.image.cached_near(backing.from, group.clone());
            for (place, page) in places.iter_mut().zip(cached) {
                if let (None, Some(page)) = (&place, page) {
                    *place = Some(Entry { page, cow: true });
                }
            }
        }
        let exec = self.is_executable();
        let prot = |entry: &Entry| Prot { write: self.write && !entry.cow, exec };
        let (first, near) = inner.pages.near(group);
        let near = near.iter().map(|place| place.as_ref().map(|entry| (&entry.page, prot(entry))));
        Ok(space.map_absent(va, self.base + first * PAGE, near)?)
    }

    /// How many bytes from `va` on nobody has read or written yet: zeros without a page of memory behind them.
    pub(crate) fn untouched(&self, va: u64) -> u64 {
        let inner = self.inner.lock();
        let number = (va - self.base) / PAGE;
        if va >= inner.top || self.backing.as_ref().is_some_and(|b| number * PAGE < b.from.len) {
            return 0;
        }
        let end = inner.pages.first_from(number).map_or(inner.top, |n| inner.top.min(self.base + n * PAGE));
        end.saturating_sub(va)
    }

    /// Pins the bytes `va..va + len`, as far as the segment goes; the pins are appended to `out`.
    /// Says how many bytes.
    ///
    /// # Errors
    /// As [`Segment::fault`].
    pub(crate) fn pin(
        &self,
        up: &Arc<Proc>,
        va: u64,
        len: usize,
        write: bool,
        out: &mut Vec<Pinned>,
    ) -> Result<usize> {
        let mut inner = self.inner.lock();
        let mut at = va;
        let mut loaded = None;
        loop {
            // Looked at anew: while a page was brought in the end may have moved.
            let end = inner.top.min(va.saturating_add(len as u64));
            if at >= end {
                return Ok((at - va) as usize);
            }
            let offset = at % PAGE;
            match self.find(up, &mut inner, at - offset, write, loaded.take())? {
                Some(found) => {
                    let n = (PAGE - offset).min(end - at);
                    out.push(Pinned::new(found.page, offset as usize, n as usize));
                    at += n;
                }
                None => {
                    drop(inner);
                    loaded = self.load(up, at)?;
                    inner = self.inner.lock();
                }
            }
        }
    }

    /// The page at `va`, made present and, for a write, private. `loaded` is what was [brought in](Self::load) for it.
    /// `None`: it has to be brought in, which is not done with `inner` in hand.
    fn find(
        &self,
        up: &Arc<Proc>,
        inner: &mut Inner,
        va: u64,
        write: bool,
        loaded: Option<Page>,
    ) -> Result<Option<Found>> {
        let number = (va - self.base) / PAGE;
        if let Some(entry) = inner.pages.get(number) {
            if !entry.cow || !write {
                return Ok(Some(Found { page: entry.page.clone(), writable: self.write && !entry.cow }));
            }
            let old = entry.page.clone();
            return self.own(up, inner, va, number, old).map(Some);
        }
        let contents = match self.behind(number) {
            None => None,
            Some(backing) => match loaded.or_else(|| backing.image.cached(backing.from, number)) {
                None => return Ok(None),
                page => page,
            },
        };
        let (page, cow) = match contents {
            // Nobody else has it: zeros that will be written.
            None if write => (new_page(up)?, false),
            None => (up.kernel.zero_page()?, true),
            Some(page) if self.write && write => (copy_page(up, &page)?, false),
            Some(page) => (page, true),
        };
        inner.pages.insert(number, Entry { page: page.clone(), cow })?;
        Ok(Some(Found { page, writable: self.write && !cow }))
    }

    /// The page at `va` (which is at a page), made this segment's own, although its programs may not write there.
    /// `None` when `va` is not (any more) in the segment.
    ///
    /// # Errors
    /// As [`Segment::fault`].
    pub(super) fn own_page(&self, up: &Arc<Proc>, va: u64) -> Result<Option<Page>> {
        let mut loaded = None;
        loop {
            let mut inner = self.inner.lock();
            if va >= inner.top {
                return Ok(None);
            }
            if let Some(found) = self.find(up, &mut inner, va, false, loaded.take())? {
                let number = (va - self.base) / PAGE;
                let shared = inner.pages.get(number).is_some_and(|entry| entry.cow);
                let own = if shared { self.own(up, &mut inner, va, number, found.page)? } else { found };
                return Ok(Some(own.page));
            }
            drop(inner);
            loaded = self.load(up, va)?;
        }
    }

    /// Brings in the page at `va` from the file behind it. Nothing is held meanwhile: it is as long as the file's
    /// server likes.
    fn load(&self, up: &Arc<Proc>, va: u64) -> Result<Option<Page>> {
        let number = (va - self.base) / PAGE;
        self.behind(number).map(|backing| backing.image.page(up, backing.from, number)).transpose()
    }

    /// Copy on write: makes page `number` this segment's own.
    fn own(&self, up: &Arc<Proc>, inner: &mut Inner, va: u64, number: u64, old: Page) -> Result<Found> {
        // Everybody who maps the shared page has to come back for the new one.
        self.each_space(|space| space.unmap(va, 1));
        // Two references are ours: the entry's and `old`. If there are no others, the other side has
        // copied or gone, and the page is ours without copying.
        if old.refs() == 2 && old.pins() == 0 {
            inner.pages.insert(number, Entry { page: old.clone(), cow: false })?;
            return Ok(Found { page: old, writable: self.write });
        }
        let page = copy_page(up, &old)?;
        inner.pages.insert(number, Entry { page: page.clone(), cow: false })?;
        // Else whoever has many children would pay for them all.
        old.leave_to(inner.heir);
        Ok(Found { page, writable: self.write })
    }

    /// Where page `number` comes from before anybody writes it; `None` for zeros.
    fn behind(&self, number: u64) -> Option<&Backing> {
        self.backing.as_ref().filter(|backing| number * PAGE < backing.from.len)
    }
}
