//! `Segment`: a run of pages with one purpose, at one address, in one or many processes.
//!
//! Here it is made, mapped, forked, resized and given up; how its pages come into memory is in `demand`.
//!
//! Lock: `inner` guards pages and length, and `users`, a leaf, who maps it. Taking a page back from all of them, and
//! the end of a space, happen under `inner` and not under `users`.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abi::layout::PAGE;
use machine::heap;
use machine::ledger::{as_kernel, is_held, payer};
use machine::lock::Lock;
use machine::space::{AddressSpace, Prot};
use machine::sync::QLock;

use super::access::FaultAccess;
use super::image::{ImageRef, Stretch};
use super::newpage::copy_page;
use super::pages::{Entry, PageMap};
use super::profile::Profile;
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
    /// May be written.
    pub(super) write: bool,
    /// May be executed: it changes once at most, under `inner`, for all who map it.
    exec: AtomicBool,
    pub(super) backing: Option<Backing>,
    /// Detached by exec.
    pub(crate) close_on_exec: bool,
    pub(super) inner: QLock<Inner>,
    /// `Inner::top`, for those who only want to know.
    top: AtomicU64,
    users: Lock<Vec<Weak<AddressSpace>>>,
    /// Where the time of those goes who run it: see `profile`.
    pub(super) profile: Lock<Option<Arc<Profile>>>,
    /// Those who wait for a semaphore in it.
    pub(crate) sema: Sema,
    _counted: Counted<SEGMENTS>,
}

/// What changes of a segment, under its lock.
pub(super) struct Inner {
    /// First address behind it, at a page.
    pub(super) top: u64,
    pub(super) pages: PageMap,
    /// The account of the last child that has got all pages by a fork: what is copied here from then on is its own.
    pub(super) heir: u16,
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
            write: prot.write,
            exec: AtomicBool::new(prot.exec),
            backing,
            close_on_exec,
            top: AtomicU64::new(inner.top),
            inner: QLock::new(inner),
            users: Lock::new(Vec::new()),
            profile: Lock::new(None),
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
        self.write
    }

    /// May it be executed?
    pub(crate) fn is_executable(&self) -> bool {
        self.exec.load(Ordering::Relaxed)
    }

    /// `segflush`: what is written there may be executed from now on. But not what is on a stack.
    pub(crate) fn make_executable(&self) {
        if self.is_executable() || self.kind == Kind::Stack {
            return;
        }
        let inner = self.inner.lock();
        self.exec.store(true, Ordering::Relaxed);
        // What is mapped as it was has to come back.
        self.each_space(|space| space.unmap(self.base, (inner.top - self.base) / PAGE));
    }

    /// May it be used like this?
    pub(crate) fn allows(&self, access: FaultAccess) -> bool {
        match access {
            FaultAccess::Read => true,
            FaultAccess::Write => self.write,
            FaultAccess::Exec => self.is_executable(),
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
    pub(super) fn each_space(&self, f: impl Fn(&AddressSpace)) {
        // Not all of it under the lock: taking pages back is long, and so is the end of a space.
        let space = |n: usize| self.users.lock().get(n).map(Weak::upgrade);
        (0..).map_while(space).flatten().for_each(|space| f(&space));
    }

    /// A space gives it up: its page table entries go.
    pub(crate) fn detach(&self, space: &Arc<AddressSpace>) {
        let inner = self.inner.lock();
        space.unmap(self.base, (inner.top - self.base) / PAGE);
        let mut users = self.users.lock();
        // Thousands of threads may have it, and end one after the other: nothing else is looked at than addresses.
        let at = users.iter().position(|w| w.as_ptr() == Arc::as_ptr(space));
        let gone = at.map(|at| users.swap_remove(at));
        // It is on nobody's bill, and is not to stay as long as it has been.
        if users.capacity() > 4 * users.len() + 16 {
            let room = 2 * users.len();
            users.shrink_to(room);
        }
        drop(users);
        drop(gone);
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
        // What was writable must fault before the next write. From here on nothing is pinned to be written by way of
        // the page tables either (`Memory::pin`), so the pins that are seen below are all.
        if let Some((first, last)) = inner.pages.bounds() {
            self.each_space(|space| space.protect(self.base + first * PAGE, last - first + 1));
        }
        let pages = inner.pages.copy(|_, entry| {
            if entry.page.pins() > 0 && !entry.cow {
                return Ok(Entry { page: copy_page(up, &entry.page)?, cow: false });
            }
            entry.cow = true;
            Ok(entry.clone())
        })?;
        inner.heir = payer();
        let copy = Inner { top: inner.top, pages, heir: 0 };
        let prot = Prot { write: self.write, exec: self.is_executable() };
        Ok(Self::with(kind, self.base, prot, self.backing.clone(), self.close_on_exec, copy))
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
