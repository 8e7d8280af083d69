//! `Segment`: a run of pages with one purpose, at one address, in one or many processes.
//!
//! Lock: `inner` guards pages and length, and is held for as long as it takes to look them up, to copy one or to make
//! them copy-on-write: never while a page is brought in from a file, whose server may be anybody's and silent. So the
//! segment's other pages can be used meanwhile, and it can be looked at, forked, resized and given up. Whoever brought
//! a page in begins anew, since all of that may have happened.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::layout::PAGE;
use machine::heap;
use machine::ledger::{as_kernel, is_held, payer};
use machine::lock::Lock;
use machine::page::{Page, Pinned};
use machine::space::{AddressSpace, Prot};
use machine::sync::QLock;

use super::image::{ImageRef, Stretch, neighbours};
use super::memory::{FaultAccess, new_page};
use super::pages::{Entry, PageMap};
use super::sema::Sema;
use crate::error::Result;
use crate::pools::{Counted, SEGMENTS};
use crate::proc::process::Proc;

/// What a segment is for; it decides how `rfork` treats it and what `/proc/n/segment` calls it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Shared always, never written.
    Text,
    /// Text that a debugger has written to: a private copy, as the stack.
    Patched,
    /// Initialised data: shared by RFMEM, else copied on write.
    Data,
    /// Zeroed data, which `brk` extends: as `Data`.
    Bss,
    /// Always a private copy.
    Stack,
    /// `segattach("shared")`: shared by every rfork.
    Shared,
    /// `segattach("memory")`: as `Data`.
    Memory,
}

impl Kind {
    /// The name in `/proc/n/segment`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Text | Kind::Patched => "Text",
            Kind::Data => "Data",
            Kind::Bss | Kind::Memory => "Bss",
            Kind::Stack => "Stack",
            Kind::Shared => "Shared",
        }
    }
}

/// Where a segment's first contents come from.
#[derive(Clone)]
pub struct Backing {
    /// The executable.
    pub(crate) image: ImageRef,
    /// What of it the segment begins with; zeros behind.
    pub(crate) from: Stretch,
}

/// A segment. `base` never changes; everything else is in `inner`.
pub struct Segment {
    /// What it is for.
    pub(crate) kind: Kind,
    /// First address, at a page.
    pub(crate) base: u64,
    /// May be executed, may be written.
    prot: Prot,
    backing: Option<Backing>,
    /// Detached by exec.
    pub(crate) close_on_exec: bool,
    inner: QLock<Inner>,
    /// `Inner::top`, for those who only want to know.
    top: AtomicU64,
    users: Lock<Vec<Weak<AddressSpace>>>,
    /// Those who wait for a semaphore in it.
    pub(crate) sema: Sema,
    _counted: Counted<SEGMENTS>,
}

struct Inner {
    /// First address behind it, at a page.
    top: u64,
    pages: PageMap,
    /// The account of the last child that has got all pages by a fork: what is copied here from then on is its own.
    heir: u16,
}

/// A page to be mapped or pinned.
struct Found {
    page: Page,
    writable: bool,
}

impl Segment {
    /// A segment `base..top` (both at pages).
    pub fn new(kind: Kind, base: u64, top: u64, prot: Prot, backing: Option<Backing>) -> Arc<Self> {
        Self::with(kind, base, prot, backing, false, Inner { top, pages: PageMap::default(), heir: 0 })
    }

    /// A segment for `segattach`.
    pub(crate) fn attached(kind: Kind, base: u64, top: u64, write: bool, close_on_exec: bool) -> Arc<Self> {
        let inner = Inner { top, pages: PageMap::default(), heir: 0 };
        Self::with(kind, base, Prot { write, exec: false }, None, close_on_exec, inner)
    }

    fn with(
        kind: Kind,
        base: u64,
        prot: Prot,
        backing: Option<Backing>,
        close_on_exec: bool,
        inner: Inner,
    ) -> Arc<Self> {
        Arc::new(Segment {
            kind,
            base,
            prot,
            backing,
            close_on_exec,
            top: AtomicU64::new(inner.top),
            inner: QLock::new(inner),
            users: Lock::new(Vec::new()),
            sema: Sema::new(),
            _counted: Counted::new(),
        })
    }

    /// First address behind it.
    pub(crate) fn top(&self) -> u64 {
        self.top.load(Ordering::Acquire)
    }

    /// May it be written?
    pub(crate) fn is_writable(&self) -> bool {
        self.prot.write
    }

    /// May it be used like this?
    pub(crate) fn allows(&self, access: FaultAccess) -> bool {
        match access {
            FaultAccess::Read => true,
            FaultAccess::Write => self.prot.write,
            FaultAccess::Exec => self.prot.exec,
        }
    }

    /// Do the two have an address in common?
    pub(crate) fn overlaps(&self, other: &Segment) -> bool {
        self.base < other.top() && other.base < self.top()
    }

    /// Address spaces that map it.
    pub fn users(&self) -> usize {
        self.users.lock().len()
    }

    /// Pages in it for which nobody pays who is still there.
    pub(crate) fn left_by_the_dead(&self) -> u64 {
        let is_left = |(_, entry): &(u64, &mut Entry)| !is_held(entry.page.account());
        self.inner.lock().pages.iter_mut().filter(is_left).count() as u64
    }

    /// The executable behind it, for messages.
    pub(crate) fn path(&self) -> alloc::string::String {
        self.backing.as_ref().map(|b| b.image.path()).unwrap_or_default()
    }

    /// A space begins to map it.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    pub(crate) fn attach(&self, space: &Arc<AddressSpace>) -> Result<()> {
        // The segment may be there for longer than this process, and the list with it.
        Ok(as_kernel(|| heap::try_push(&mut *self.users.lock(), Arc::downgrade(space)))?)
    }

    /// Does something with each space that maps it. `inner` is held, so that none gives it up meanwhile; one that
    /// begins to map it has none of its pages yet.
    fn each_space(&self, f: impl Fn(&AddressSpace)) {
        // Not all of it under the lock: taking pages back is long, and so is the end of a space.
        let space = |n: usize| self.users.lock().get(n).map(Weak::upgrade);
        (0..).map_while(space).flatten().for_each(|space| f(&space));
    }

    /// A space gives it up: its page table entries go.
    pub(crate) fn detach(&self, space: &Arc<AddressSpace>) {
        let inner = self.inner.lock();
        space.unmap(self.base, (inner.top - self.base) / PAGE);
        let mut users = self.users.lock();
        users.retain(|w| w.strong_count() > 0 && w.as_ptr() != Arc::as_ptr(space));
        // It is on nobody's bill, and is not to stay as long as it has been.
        if users.capacity() > 4 * users.len() + 16 {
            let room = 2 * users.len();
            users.shrink_to(room);
        }
    }

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
                space.map(va, found.page, Prot { write: found.writable, exec: self.prot.exec })?;
                self.map_around(&mut inner, space, (va - self.base) / PAGE);
                return Ok(true);
            }
            drop(inner);
            loaded = self.load(up, va)?;
        }
    }

    /// Maps what is in memory next to page `number`: programs go on nearby, and each fault costs more than a page
    /// that is mapped in vain. After a fork it is the whole neighbourhood, after exec what others ran before.
    fn map_around(&self, inner: &mut Inner, space: &AddressSpace, number: u64) {
        if self.backing.is_none() {
            for (n, entry) in inner.pages.near(neighbours(number)) {
                if n != number && self.base + n * PAGE < inner.top {
                    let prot = Prot { write: self.prot.write && !entry.cow, exec: self.prot.exec };
                    let _ = space.map_absent(self.base + n * PAGE, entry.page.clone(), prot);
                }
            }
            return;
        }
        for n in neighbours(number).filter(|&n| n != number && self.base + n * PAGE < inner.top) {
            let (page, write) = match (inner.pages.get(n), &self.backing) {
                (Some(entry), _) => (entry.page.clone(), self.prot.write && !entry.cow),
                (None, Some(backing)) => match backing.image.cached(backing.from, n) {
                    Some(page) if inner.pages.insert(n, Entry { page: page.clone(), cow: true }).is_ok() => {
                        (page, false)
                    }
                    _ => continue,
                },
                _ => continue,
            };
            // For want of a table there is another fault.
            let _ = space.map_absent(self.base + n * PAGE, page, Prot { write, exec: self.prot.exec });
        }
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
                return Ok(Some(Found { page: entry.page.clone(), writable: self.prot.write && !entry.cow }));
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
            Some(page) if self.prot.write && write => (copy_page(up, &page)?, false),
            Some(page) => (page, true),
        };
        inner.pages.insert(number, Entry { page: page.clone(), cow })?;
        Ok(Some(Found { page, writable: self.prot.write && !cow }))
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
            return Ok(Found { page: old, writable: self.prot.write });
        }
        let page = copy_page(up, &old)?;
        inner.pages.insert(number, Entry { page: page.clone(), cow: false })?;
        // Else whoever has many children would pay for them all.
        old.leave_to(inner.heir);
        Ok(Found { page, writable: self.prot.write })
    }

    /// Where page `number` comes from before anybody writes it; `None` for zeros.
    fn behind(&self, number: u64) -> Option<&Backing> {
        self.backing.as_ref().filter(|backing| number * PAGE < backing.from.len)
    }

    /// The child's segment after an `rfork` that does not share it: every page becomes copy-on-write on both
    /// sides, but those that are pinned, which the child gets a copy of at once. The child's account is the one that
    /// pays.
    ///
    /// # Errors
    /// No memory for a copy.
    pub(crate) fn fork(&self, up: &Arc<Proc>) -> Result<Arc<Segment>> {
        self.fork_as(up, self.kind)
    }

    /// As [`Segment::fork`], for another purpose.
    ///
    /// # Errors
    /// No memory for a copy.
    pub(super) fn fork_as(&self, up: &Arc<Proc>, kind: Kind) -> Result<Arc<Segment>> {
        let mut inner = self.inner.lock();
        let mut pages = PageMap::default();
        let (mut first, mut last) = (u64::MAX, 0);
        let copied = inner.pages.iter_mut().try_for_each(|(number, entry)| {
            if entry.page.pins() > 0 && !entry.cow {
                return pages.insert(number, Entry { page: copy_page(up, &entry.page)?, cow: false });
            }
            if !entry.cow {
                entry.cow = true;
                (first, last) = (first.min(number), number);
            }
            pages.insert(number, entry.clone())
        });
        // What was writable must fault before the next write, also when the copy ended half-way.
        if first <= last {
            self.each_space(|space| space.unmap(self.base + first * PAGE, last - first + 1));
        }
        copied?;
        inner.heir = payer();
        let copy = Inner { top: inner.top, pages, heir: 0 };
        Ok(Self::with(kind, self.base, self.prot, self.backing.clone(), self.close_on_exec, copy))
    }

    /// Moves the end to `top` (rounded up to a page).
    ///
    /// # Errors
    /// `device or object already in use` when a shared segment would shrink.
    pub(crate) fn set_top(&self, top: u64) -> Result<()> {
        let top = top.next_multiple_of(PAGE);
        let mut inner = self.inner.lock();
        if top < inner.top {
            if self.users() > 1 {
                return Err(abi::error::EINUSE.into());
            }
            self.drop_pages(&mut inner, top, u64::MAX);
        }
        inner.top = top;
        self.top.store(top, Ordering::Release);
        Ok(())
    }

    /// `segfree`: whole pages inside `from..to` become zeros again.
    pub(crate) fn free_range(&self, from: u64, to: u64) {
        let mut inner = self.inner.lock();
        let from = from.next_multiple_of(PAGE).max(self.base);
        let to = (to & !(PAGE - 1)).min(inner.top);
        if from < to {
            self.drop_pages(&mut inner, from, to);
        }
    }

    fn drop_pages(&self, inner: &mut Inner, from: u64, to: u64) {
        let to = to.min(inner.top);
        self.each_space(|space| space.unmap(from, (to - from) / PAGE));
        inner.pages.remove_range((from - self.base) / PAGE, (to - self.base) / PAGE);
    }
}

fn copy_page(up: &Arc<Proc>, page: &Page) -> Result<Page> {
    match Page::new_uninit_for_copy_of(page) {
        Ok(copy) => Ok(copy),
        Err(_) if up.kernel.images.reclaim() => {
            Ok(Page::new_uninit_for_copy_of(page).map_err(|_| abi::error::ENOVMEM)?)
        }
        Err(_) => Err(abi::error::ENOVMEM.into()),
    }
}
