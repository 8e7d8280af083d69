//! Name spaces: which directories and files are mounted upon, and with what.
//!
//! A [`Pgrp`] is shared by the processes of one name space. It maps the identity of a file (device letter,
//! instance, qid path; the version does not matter) to an [`Mhead`], which is what stands in its place.
//!
//! A union has at most [`MAXUNION`] elements and a name space at most [`MAXMOUNTS`] in all, and what grows with either
//! is built where memory can say no: a union that is bound onto itself doubles each time.
//!
//! Locks: `Pgrp::change` (sleeping) serialises bind and unmount; `Pgrp::table`, for looking up, and then `Mhead::list`
//! come after it. What is replaced is dropped after all of them are released, because dropping
//! the last reference to a `Chan` may talk to a server, and wait for it.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use abi::error;
use machine::heap;
use machine::lock::Lock;
use machine::sync::QLock;

use crate::error::Result;
use crate::kernel::Kernel;
use crate::name::chan::{Chan, OwnChan};
use crate::name::mhead::{Key, Mhead, Mount, Mounted, Origin, Union};
use crate::name::path::MAXNEST;
use crate::pools::{Counted, NAME_SPACES};

/// Most elements of a union.
pub const MAXUNION: usize = 1024;
/// Most elements of all unions of a name space.
pub const MAXMOUNTS: usize = 16384;
/// Files mounted upon that are copied at a time, between looks at memory.
const BATCH: usize = 32;

/// A [`Key`] as one number, which is compared at once, and in the same order.
type Packed = u128;

#[inline]
fn pack((letter, devno, path): Key) -> Packed {
    u128::from(letter) << 96 | u128::from(devno) << 64 | u128::from(path)
}

/// A number below 2048 that is another one for most other keys.
#[inline]
fn mixed(key: Packed) -> u64 {
    let sum = (key as u64).wrapping_add(((key >> 64) as u64) << 24);
    sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 53
}

/// A bit for each of two thousand remainders of keys, set once a file with that is mounted upon, and for good: who
/// finds none need not look in the table. With thirty files mounted upon, one of seventy others shares a bit.
#[derive(Default)]
struct Marks([AtomicU64; 32]);

impl Marks {
    /// The word and the bit for a key.
    #[inline]
    fn place(&self, key: Packed) -> (Option<&AtomicU64>, u64) {
        let mixed = mixed(key);
        (self.0.get((mixed / 64) as usize), 1 << (mixed % 64))
    }

    fn set(&self, key: Packed) {
        if let (Some(word), bit) = self.place(key) {
            word.fetch_or(bit, Ordering::Release);
        }
    }

    #[inline]
    fn may_have(&self, key: Packed) -> bool {
        let (word, bit) = self.place(key);
        word.is_some_and(|word| word.load(Ordering::Acquire) & bit != 0)
    }
}

/// Files that are found again without a search.
const RECENT: usize = 8;

/// The files that are mounted upon.
#[derive(Default)]
struct Table {
    all: BTreeMap<Packed, Arc<Mhead>>,
    /// Some of them that were found lately, each at the place that its key has.
    recent: [Option<(Packed, Arc<Mhead>)>; RECENT],
}

impl Table {
    /// What is found for a key without a search.
    #[inline]
    fn known(&self, key: Packed) -> Option<&Arc<Mhead>> {
        let (known, head) = self.recent.get(mixed(key) as usize % RECENT)?.as_ref()?;
        (*known == key).then_some(head)
    }

    /// Has what is there for a key be known. The table has what was known in its place, so this drops nothing.
    #[inline]
    fn find(&mut self, key: Packed) {
        if self.known(key).is_none()
            && let Some(head) = self.all.get(&key)
            && let Some(place) = self.recent.get_mut(mixed(key) as usize % RECENT)
        {
            *place = Some((key, head.clone()));
        }
    }

    /// Takes it out; all that the table had of it is the caller's to drop.
    fn remove(&mut self, key: Packed) -> [Option<Arc<Mhead>>; 2] {
        let place = self.recent.get_mut(mixed(key) as usize % RECENT);
        let known = place.and_then(|place| place.take_if(|(known, _)| *known == key));
        [self.all.remove(&key), known.map(|(_, head)| head)]
    }
}

/// A name space. See the module comment.
pub struct Pgrp {
    /// `/dev/pgrpid`, once somebody has asked.
    id: AtomicU32,
    no_mount: AtomicBool,
    /// What may be in the table: most files on the way of a name are not.
    marks: Marks,
    table: Lock<Table>,
    /// Held while the table or a union changes: how many elements all unions have.
    pub(super) change: QLock<usize>,
    _counted: Counted<NAME_SPACES>,
}

impl Pgrp {
    /// An empty name space.
    pub(crate) fn new() -> Arc<Self> {
        Self::with(false, BTreeMap::new(), 0)
    }

    fn with(no_mount: bool, table: BTreeMap<Packed, Arc<Mhead>>, mounts: usize) -> Arc<Self> {
        let marks = Marks::default();
        table.keys().for_each(|key| marks.set(*key));
        Arc::new(Pgrp {
            id: AtomicU32::new(0),
            no_mount: AtomicBool::new(no_mount),
            marks,
            table: Lock::new(Table { all: table, ..Table::default() }),
            change: QLock::new(mounts),
            _counted: Counted::new(),
        })
    }

    /// A copy, for `RFNAMEG`. Changes of one are not seen in the other. `RFNOMNT` is inherited.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    pub fn copy(&self) -> Result<Arc<Self>> {
        let mounts = self.change.lock();
        let mut copy = BTreeMap::new();
        self.each_head(|key, head| {
            if copy.len() % BATCH == BATCH - 1 && !heap::is_granted() {
                return Err(error::ENOMEM.into());
            }
            copy.insert(key, Mhead::new(head.from.clone(), head.list()));
            Ok(())
        })?;
        Ok(Self::with(self.no_mount(), copy, *mounts))
    }

    /// Does something with each file that is mounted upon, in the order of the keys. `change` is held. A table with
    /// thousands is not gone through with interrupts off.
    pub(super) fn each_head(&self, mut f: impl FnMut(Packed, Arc<Mhead>) -> Result<()>) -> Result<()> {
        let mut some: [Option<(Packed, Arc<Mhead>)>; BATCH] = [const { None }; BATCH];
        let mut from = Bound::Unbounded;
        loop {
            let mut last = None;
            let table = self.table.lock();
            for (place, (key, head)) in some.iter_mut().zip(table.all.range((from, Bound::Unbounded))) {
                last = Some(*key);
                *place = Some((*key, head.clone()));
            }
            drop(table);
            let Some(key) = last else { return Ok(()) };
            from = Bound::Excluded(key);
            for (key, head) in some.iter_mut().filter_map(Option::take) {
                f(key, head)?;
            }
        }
    }

    /// An empty one in its place, for `RFCNAMEG`. `RFNOMNT` is inherited.
    pub(crate) fn emptied(&self) -> Arc<Self> {
        Self::with(self.no_mount(), BTreeMap::new(), 0)
    }

    /// The number of this name space, `/dev/pgrpid`: given when it is first asked for.
    pub(crate) fn id(&self, kernel: &Kernel) -> u32 {
        match self.id.load(Ordering::Relaxed) {
            0 => {
                let id = kernel.new_id();
                self.id.compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed).err().unwrap_or(id)
            }
            id => id,
        }
    }

    /// `RFNOMNT`: no `mount` and hardly any `#` from now on.
    pub fn forbid_mounts(&self) {
        self.no_mount.store(true, Ordering::Relaxed);
    }

    /// Was `RFNOMNT` asked for?
    pub fn no_mount(&self) -> bool {
        self.no_mount.load(Ordering::Relaxed)
    }

    /// The union on this file, when it is mounted upon.
    pub(crate) fn find(&self, key: Key) -> Option<Arc<Mhead>> {
        let key = pack(key);
        if !self.marks.may_have(key) {
            return None;
        }
        let mut table = self.table.lock();
        table.find(key);
        table.known(key).cloned()
    }

    /// The first of what is mounted on this file, if anything is.
    #[inline]
    pub(crate) fn first_mounted(&self, key: Key) -> Option<Arc<Chan>> {
        let key = pack(key);
        if !self.marks.may_have(key) {
            return None;
        }
        self.first_in_table(key)
    }

    #[inline(never)]
    fn first_in_table(&self, key: Packed) -> Option<Arc<Chan>> {
        let mut table = self.table.lock();
        table.find(key);
        table.known(key)?.first_under(&table)
    }

    /// Is any file of this instance of a device mounted upon?
    pub(crate) fn any_on(&self, letter: char, devno: u32) -> bool {
        let range = pack((letter, devno, 0))..=pack((letter, devno, u64::MAX));
        self.table.lock().all.range(range).next().is_some()
    }

    /// Puts `new` on `old` as `flags` say, and gives the mount's `id` back. When `new` was reached through a
    /// mount point (`new.umh`), all elements of that union come along.
    ///
    /// # Errors
    /// `inconsistent mount`: a file on a directory or the other way round; before or after a file; creation
    /// wanted in a union, or in a single mount that does not allow it. `no free devices`: more elements than
    /// [`MAXUNION`] or [`MAXMOUNTS`]. `name too long`: `old` is in too many mounts that are in mounts. `kernel allocate
    /// failed`. Nothing has changed then.
    pub(crate) fn mount(
        &self,
        id: u32,
        mut new: OwnChan,
        old: Arc<Chan>,
        flags: u32,
        origin: Origin,
    ) -> Result<u32> {
        let order = flags & abi::MORDER;
        let create = flags & abi::MCREATE != 0;
        if new.qid.is_dir() != old.qid.is_dir() || (!old.qid.is_dir() && order != abi::MREPL) {
            return Err(error::EMOUNT.into());
        }
        if old.path.nest() >= MAXNEST {
            return Err(error::ETOOLONG.into());
        }
        // It is not kept in the channel: a union that is bound onto itself would never go away.
        let source = new.umh.take().map(|h| h.list());
        if let (true, Some(s)) = (create, &source) {
            // One mount that allows creation may be bound on with -c; a union would not know where to create.
            let single = s.len() == 1 && s.iter().all(|m| m.flags & abi::MCREATE != 0);
            if !s.is_empty() && !single {
                return Err(error::EMOUNT.into());
            }
        }
        let key = old.key();
        let first = Mount { id, flags, what: Mounted::new(new.share(), origin) };
        let others = source.as_ref().and_then(|s| s.get(1..)).unwrap_or_default();
        let others = others.iter().map(|m| {
            let order = if order == abi::MREPL { abi::MAFTER } else { order };
            Mount { id, flags: order, what: m.what.clone() }
        });

        let mut drop_later = None;
        let mut mounts = self.change.lock();
        let head = self.find(key);
        let was = match &head {
            Some(head) => head.list(),
            // The first union on a plain directory keeps the directory itself.
            None if order != abi::MREPL => {
                let this = Mounted::new(old.clone(), Origin::default());
                Arc::new(alloc::vec![Mount { id: 0, flags: 0, what: this }])
            }
            None => Union::default(),
        };
        let (before, after) = match order {
            abi::MBEFORE => (&[][..], &was[..]),
            abi::MAFTER => (&was[..], &[][..]),
            _ => (&[][..], &[][..]),
        };
        let len = before.len() + 1 + others.len() + after.len();
        let had = if head.is_some() { was.len() } else { 0 };
        let total = mounts.saturating_sub(had) + len;
        if len > MAXUNION || total > MAXMOUNTS {
            return Err(error::ENODEV.into());
        }
        let mut list = heap::try_vec(len)?;
        list.extend_from_slice(before);
        list.push(first);
        list.extend(others);
        list.extend_from_slice(after);
        match &head {
            Some(head) => drop_later = Some(head.replace(list)),
            None => {
                let head = Mhead::new(old, Arc::new(list));
                self.marks.set(pack(key));
                self.table.lock().all.insert(pack(key), head);
            }
        }
        *mounts = total;
        drop(mounts);
        drop((was, drop_later));
        Ok(id)
    }

    /// Takes `what` off `old`, or everything when that is `None`. `what` may also be the channel to the
    /// server that was mounted.
    ///
    /// # Errors
    /// `not mounted`; `not in union`; `kernel allocate failed`.
    pub(crate) fn unmount(&self, what: Option<&Chan>, old: &Chan) -> Result<()> {
        let mut mounts = self.change.lock();
        let head = self.find(old.key()).ok_or(error::EUNMOUNT)?;
        let was = head.list();
        let mut rest: Vec<Mount> = Vec::new();
        if let Some(what) = what {
            let is_it =
                |m: &Mount| m.to.same_file(what) || m.server.as_ref().is_some_and(|s| s.same_file(what));
            let at = was.iter().position(is_it).ok_or(error::EUNION)?;
            heap::try_reserve_exact(&mut rest, was.len())?;
            rest.extend(was.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, m)| m.clone()));
        }
        *mounts = (*mounts + rest.len()).saturating_sub(was.len());
        let gone = rest.is_empty().then(|| self.table.lock().remove(pack(old.key())));
        // Channels that were opened through this union go on without what is gone.
        let replaced = head.replace(rest);
        drop(mounts);
        drop((was, replaced, gone, head));
        Ok(())
    }
}
