//! The ledger: who pays for memory.
//!
//! Whatever is allocated is charged to an account: blocks of the heap, pages, page tables, stacks, memory shared with
//! devices. A process has one [`Account`], and its thread allocates on it; where a block goes its account's number
//! goes, too, so that the right one is credited whoever gives it back. Number 0 is the kernel's own: what is charged
//! to nobody else. Nothing is counted for it, since it is the rest.
//!
//! An account belongs to a [`User`]; what is charged to an account counts for its user as well. When nobody holds the
//! `Account` any more and nothing is charged to it, its number is used again. What outlives its process (a file of
//! `#R`, a posted channel) stays on the bill of whoever made it.
//!
//! # How it is kept
//!
//! An account is one word: whether it is held and preferred, its user, its bytes. All changes are single atomic
//! operations, so that nothing is locked, and that the word before the change says exactly which user the bytes count
//! for and whether the number has become free. The table of words grows by pages and does not shrink; 2^15 numbers are
//! the end of it.
//!
//! A thread does not go to the table with every allocation: what it has taken and given back on its own account stays
//! in its `Payer` until it is [`BATCH`] bytes. So a bill is right to that much for each of its threads, and exactly
//! right when they are gone. Interrupt handlers have the payer of number 0: what they allocate is the kernel's, and
//! what they free is credited at once. Hence nothing disturbs a thread that changes its own payer.
//!
//! # Threads of the kernel's
//!
//! A thread pays on the account on which it was started: its stack is charged to that, so that the number stays as long
//! as the thread, though the process may be gone. So the two threads of a session over a channel, their buffers and
//! what they put into a pipe that nobody reads, are on the bill of who mounted it; those that see to what a process has
//! abandoned are on that one's.
//!
//! Those that are there for all are started by the kernel, and what they allocate is bounded: the console's threads
//! have a batch of input and a ring of output each; `alarm` posts notes, of which a process has few; `power` and the
//! keepers of devices allocate when they begin and after a reset, for the queues that the device has; the balloon's
//! takes the pages that the host asks for, down to what is set aside for calls and the heap. Requests, and messages
//! with them, are made by whoever asks, and go with them to the driver and back.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use alloc::sync::Arc;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering};

#[cfg(any(target_os = "none", test))]
mod group;
mod payer;

#[cfg(any(target_os = "none", test))]
pub(crate) use group::Group;
#[cfg(target_os = "none")]
pub(crate) use payer::resized;
pub(crate) use payer::{Payer, charge, credit, pay};
#[cfg(any(target_os = "none", test))]
pub(crate) use payer::{Standing, group, standing};
pub use payer::{as_kernel, for_long, may_have, on, payer};

/// Bytes that a thread keeps to itself before it tells the table.
pub const BATCH: i64 = 4096;
/// Numbers there are, the kernel's among them.
pub const MOST: u32 = 1 << 15;
/// Users there are, the kernel among them.
const USERS: usize = 64;

/// Words of a page of the table.
const WORDS: usize = 512;
const PAGES: usize = MOST as usize / WORDS;

/// The bytes of a word, counted from `NOTHING`, because they may be less than nothing for a moment: when somebody else
/// gives back what the thread that took it has not told yet.
const BYTES: u64 = (1 << 48) - 1;
const NOTHING: u64 = 1 << 47;
/// Then the user.
const USER_SHIFT: u32 = 48;
const USER: u64 = (USERS as u64 - 1) << USER_SHIFT;
/// Whether it may use what is set aside for the owner.
const PREFERRED: u64 = 1 << 62;
/// And whether somebody holds the account.
const HELD: u64 = 1 << 63;

type Words = [AtomicU64; WORDS];

static TABLE: [AtomicPtr<Words>; PAGES] = [const { AtomicPtr::new(ptr::null_mut()) }; PAGES];
/// Pages of the table that there are.
static GROWN: AtomicU32 = AtomicU32::new(0);
/// Where the search for a free number begins.
static NEXT: AtomicU32 = AtomicU32::new(1);
/// Numbers in use.
static IN_USE: AtomicU32 = AtomicU32::new(0);

/// What is known of a user.
struct Sum {
    taken: AtomicBool,
    bytes: AtomicI64,
    /// Accounts that are held.
    held: AtomicU32,
    /// Numbers in use: those, and the ones that something is still charged to.
    numbers: AtomicU32,
    most_bytes: AtomicU64,
    most_held: AtomicU32,
    most_numbers: AtomicU32,
    trusted: AtomicBool,
}

static SUMS: [Sum; USERS] = [const {
    Sum {
        taken: AtomicBool::new(false),
        bytes: AtomicI64::new(0),
        held: AtomicU32::new(0),
        numbers: AtomicU32::new(0),
        most_bytes: AtomicU64::new(0),
        most_held: AtomicU32::new(0),
        most_numbers: AtomicU32::new(0),
        trusted: AtomicBool::new(false),
    }
}; USERS];

/// What a user may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Bytes at most.
    pub bytes: u64,
    /// Accounts at most, held ones and those that something is still charged to.
    pub accounts: u32,
    /// Held accounts at most.
    pub held: u32,
    /// May use what is set aside for the machine's owner.
    pub trusted: bool,
}

impl Terms {
    /// Everything, as the owner of the machine.
    pub const OWNER: Terms = Terms { bytes: u64::MAX, accounts: u32::MAX, held: u32::MAX, trusted: true };
}

/// A user whose bills are added up.
#[derive(Debug)]
pub struct User(u16);

impl User {
    /// A new user, or none when there are too many.
    pub fn new(terms: Terms) -> Option<User> {
        let free = |at: &usize| {
            let sum = &SUMS[*at];
            sum.numbers.load(Ordering::Acquire) == 0
                && sum.taken.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let at = (1..USERS).find(free)?;
        let user = User(at as u16);
        user.set_terms(terms);
        Some(user)
    }

    /// Changes what it may have. What it has already stays.
    pub fn set_terms(&self, terms: Terms) {
        let sum = self.sum();
        sum.most_bytes.store(terms.bytes, Ordering::Relaxed);
        sum.most_held.store(terms.held, Ordering::Relaxed);
        sum.most_numbers.store(terms.accounts, Ordering::Relaxed);
        sum.trusted.store(terms.trusted, Ordering::Relaxed);
    }

    /// Bytes charged to its accounts.
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.sum().bytes.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Its accounts: those that are held, and all to which something is charged.
    pub fn accounts(&self) -> (u32, u32) {
        let sum = self.sum();
        (sum.held.load(Ordering::Relaxed), sum.numbers.load(Ordering::Relaxed))
    }

    fn sum(&self) -> &'static Sum {
        &SUMS[usize::from(self.0)]
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.sum().taken.store(false, Ordering::Release);
    }
}

/// An account, held: a process's. Its threads pay [`on`] it.
#[derive(Debug)]
pub struct Account {
    number: u16,
}

impl Account {
    /// A new account of `user`, with nothing on it. None when the user has as many as it may, or there are no more.
    pub fn new(user: &User) -> Option<Arc<Account>> {
        let sum = user.sum();
        if sum.held.load(Ordering::Relaxed) >= sum.most_held.load(Ordering::Relaxed)
            || sum.numbers.load(Ordering::Relaxed) >= sum.most_numbers.load(Ordering::Relaxed)
        {
            return None;
        }
        let number = take(user.0)?;
        sum.held.fetch_add(1, Ordering::Relaxed);
        sum.numbers.fetch_add(1, Ordering::Relaxed);
        IN_USE.fetch_add(1, Ordering::Relaxed);
        // Who holds it last may be anybody.
        Some(as_kernel(|| Arc::new(Account { number })))
    }

    /// Bytes charged to it.
    pub fn bytes(&self) -> u64 {
        word(self.number).map_or(0, |w| bytes_of(w.load(Ordering::Relaxed))).try_into().unwrap_or(0)
    }

    /// Says whether it may use what is set aside for the owner of the machine, while its user is that one.
    pub fn prefer(&self, preferred: bool) {
        let Some(word) = word(self.number) else { return };
        if preferred {
            word.fetch_or(PREFERRED, Ordering::AcqRel);
        } else {
            word.fetch_and(!PREFERRED, Ordering::AcqRel);
        }
    }

    /// Whether it may.
    pub fn is_preferred(&self) -> bool {
        word(self.number).is_some_and(|w| w.load(Ordering::Relaxed) & PREFERRED != 0)
    }

    /// Makes it another user's, with all that is charged to it.
    pub fn set_user(&self, user: &User) {
        let Some(word) = word(self.number) else { return };
        let change = |w: u64| Some(w & !USER | u64::from(user.0) << USER_SHIFT);
        let Ok(before) = word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, change) else { return };
        let (old, bytes) = (sum_of(before), bytes_of(before));
        old.bytes.fetch_sub(bytes, Ordering::Relaxed);
        old.held.fetch_sub(1, Ordering::Relaxed);
        old.numbers.fetch_sub(1, Ordering::Relaxed);
        let new = user.sum();
        new.bytes.fetch_add(bytes, Ordering::Relaxed);
        new.held.fetch_add(1, Ordering::Relaxed);
        new.numbers.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let Some(word) = word(self.number) else { return };
        let sum = sum_of(word.load(Ordering::Relaxed));
        sum.held.fetch_sub(1, Ordering::Relaxed);
        let before = word.fetch_and(!(HELD | PREFERRED), Ordering::AcqRel);
        if before & BYTES == NOTHING {
            is_free_now(sum_of(before));
        }
    }
}

/// Numbers in use, of [`MOST`].
pub fn in_use() -> u32 {
    IN_USE.load(Ordering::Relaxed)
}

/// Whether somebody still holds the account with this number. The kernel holds its own.
pub fn is_held(number: u16) -> bool {
    word(number).is_none_or(|w| w.load(Ordering::Relaxed) & HELD != 0)
}

#[inline]
fn word(number: u16) -> Option<&'static AtomicU64> {
    if number == 0 {
        return None;
    }
    let page = TABLE.get(usize::from(number) / WORDS)?.load(Ordering::Acquire);
    // SAFETY: a page of the table is never freed, and only shared references to its atomics are made.
    let page = unsafe { page.as_ref() }?;
    page.get(usize::from(number) % WORDS)
}

fn bytes_of(word: u64) -> i64 {
    (word & BYTES) as i64 - NOTHING as i64
}

#[inline]
fn sum_of(word: u64) -> &'static Sum {
    &SUMS[((word & USER) >> USER_SHIFT) as usize]
}

/// One number is free again. The caller has seen its word become so, which only one can.
fn is_free_now(sum: &Sum) {
    sum.numbers.fetch_sub(1, Ordering::Relaxed);
    IN_USE.fetch_sub(1, Ordering::Relaxed);
}

/// Takes a free number for a user.
fn take(user: u16) -> Option<u16> {
    let first = HELD | u64::from(user) << USER_SHIFT | NOTHING;
    // A table that is nearly full is long to search.
    let room = GROWN.load(Ordering::Acquire) * WORDS as u32;
    if in_use() + room / 8 >= room {
        grow();
    }
    let room = GROWN.load(Ordering::Acquire) * WORDS as u32;
    let start = NEXT.load(Ordering::Relaxed);
    for i in 0..room {
        let number = (start + i) % room;
        let Some(word) = u16::try_from(number).ok().and_then(word) else { continue };
        let before = word.load(Ordering::Relaxed);
        if before & (HELD | BYTES) == NOTHING
            && word.compare_exchange(before, first, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        {
            NEXT.store(number + 1, Ordering::Relaxed);
            return Some(number as u16);
        }
    }
    None
}

/// Adds a page to the table, if there can be one and there is memory for it.
fn grow() {
    let at = GROWN.load(Ordering::Acquire);
    let Some(place) = TABLE.get(at as usize) else { return };
    let layout = Layout::new::<Words>();
    // SAFETY: the layout has a size.
    let page = as_kernel(|| unsafe { alloc_zeroed(layout) }).cast::<Words>();
    // SAFETY: fresh memory for these words, for which any bits are a value, and nobody else's yet.
    let Some(words) = (unsafe { page.as_ref() }) else { return };
    words.iter().for_each(|w| w.store(NOTHING, Ordering::Relaxed));
    match place.compare_exchange(ptr::null_mut(), page, Ordering::AcqRel, Ordering::Relaxed) {
        Ok(_) => {
            GROWN.fetch_add(1, Ordering::AcqRel);
        }
        // Somebody else was faster.
        // SAFETY: allocated above with this layout, and known to nobody.
        Err(_) => unsafe { dealloc(page.cast(), layout) },
    }
}

/// Changes a bill.
fn change(number: u16, bytes: i64) {
    let Some(word) = word(number) else { return };
    let before = word.fetch_add(bytes as u64, Ordering::AcqRel);
    let sum = sum_of(before);
    sum.bytes.fetch_add(bytes, Ordering::Relaxed);
    if before.wrapping_add(bytes as u64) & (HELD | BYTES) == NOTHING {
        is_free_now(sum);
    }
}

/// Moves a charge to the account `to`, if somebody holds it and it has the same user. Whether it was moved: then `from`
/// is to be credited.
pub(crate) fn hand_over(from: u16, to: u16, bytes: usize) -> bool {
    let (Some(giver), Some(taker)) = (word(from), word(to)) else { return false };
    let user = giver.load(Ordering::Relaxed) & USER;
    let takes =
        |w: u64| (from != to && w & (HELD | USER) == HELD | user).then(|| w.wrapping_add(bytes as u64));
    let taken = taker.fetch_update(Ordering::AcqRel, Ordering::Relaxed, takes);
    taken.inspect(|before| _ = sum_of(*before).bytes.fetch_add(bytes as i64, Ordering::Relaxed)).is_ok()
}

#[cfg(test)]
mod tests;
