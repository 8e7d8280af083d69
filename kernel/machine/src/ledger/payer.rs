//! Who pays: each thread's payer, which keeps what it takes and gives back on its own account until that is a
//! [`BATCH`].

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, Ordering};

#[cfg(any(target_os = "none", test))]
use super::group::Group;
use super::{Account, BATCH, PREFERRED, Sum, bytes_of, change, sum_of, word};
use crate::arch;

/// Who pays for what a thread allocates. Only the thread itself changes it.
pub(crate) struct Payer {
    number: AtomicU16,
    /// Allocations may fail now.
    tries: AtomicBool,
    /// What is allocated now is there for longer than its process.
    lasting: AtomicBool,
    /// What the table has not been told yet.
    pending: AtomicI64,
}

impl Payer {
    /// The kernel.
    pub const fn new() -> Payer {
        Payer {
            number: AtomicU16::new(0),
            tries: AtomicBool::new(false),
            lasting: AtomicBool::new(false),
            pending: AtomicI64::new(0),
        }
    }

    /// The account's number.
    #[inline]
    pub fn number(&self) -> u16 {
        self.number.load(Ordering::Relaxed)
    }

    /// Charges an allocation; the number is to be kept with it.
    #[inline]
    pub fn charge(&self, bytes: usize) -> u16 {
        let number = self.number();
        if number != 0 {
            self.add(bytes as i64);
        }
        number
    }

    /// Credits what was charged to `number`.
    #[inline]
    pub fn credit(&self, number: u16, bytes: usize) {
        if number == 0 {
        } else if number == self.number() {
            self.add(-(bytes as i64));
        } else {
            change(number, -(bytes as i64));
        }
    }

    #[inline]
    fn add(&self, bytes: i64) {
        let pending = self.pending.load(Ordering::Relaxed) + bytes;
        self.pending.store(pending, Ordering::Relaxed);
        if !(-BATCH..=BATCH).contains(&pending) {
            self.tell();
        }
    }

    #[cold]
    fn tell(&self) {
        let pending = self.pending.load(Ordering::Relaxed);
        self.pending.store(0, Ordering::Relaxed);
        change(self.number(), pending);
    }

    /// Whether its allocations may fail.
    #[inline]
    #[cfg_attr(not(target_os = "none"), expect(dead_code, reason = "the host has its own"))]
    pub fn tries(&self) -> bool {
        self.tries.load(Ordering::Relaxed)
    }

    /// Says whether its allocations may fail, and what was said before.
    #[inline]
    #[cfg_attr(not(target_os = "none"), expect(dead_code, reason = "the host has its own"))]
    pub fn set_tries(&self, tries: bool) -> bool {
        let before = self.tries.load(Ordering::Relaxed);
        self.tries.store(tries, Ordering::Relaxed);
        before
    }

    /// The user whose bill it is; none for the kernel.
    #[inline]
    fn sum(&self) -> Option<&'static Sum> {
        word(self.number()).map(|w| sum_of(w.load(Ordering::Relaxed)))
    }
}

/// The number of the account on which the calling thread allocates.
pub fn payer() -> u16 {
    arch::with_payer(Payer::number)
}

/// Charges the calling thread's account; the number is for [`credit`].
pub(crate) fn charge(bytes: usize) -> u16 {
    arch::with_payer(|p| p.charge(bytes))
}

/// Credits what was charged.
pub(crate) fn credit(number: u16, bytes: usize) {
    arch::with_payer(|p| p.credit(number, bytes));
}

/// Charges or credits a block that has grown or shrunk to the account that has it.
#[cfg_attr(not(target_os = "none"), expect(dead_code, reason = "the host's blocks do not"))]
pub(crate) fn resized(number: u16, by: i64) {
    arch::with_payer(|p| match number == p.number() {
        _ if number == 0 => {}
        true => p.add(by),
        false => change(number, by),
    });
}

/// Whether the user of the calling thread may have so many bytes more. The kernel may.
#[inline]
pub fn may_have(bytes: usize) -> bool {
    let within = |s: &Sum| {
        let has = u64::try_from(s.bytes.load(Ordering::Relaxed)).unwrap_or(0);
        has.saturating_add(bytes as u64) <= s.most_bytes.load(Ordering::Relaxed)
    };
    arch::with_payer(|p| p.sum().is_none_or(within))
}

/// Whom somebody works for whose account has this number.
#[cfg(any(target_os = "none", test))]
pub(crate) fn group(number: u16) -> Group {
    let Some(word) = word(number) else { return Group::Kernel };
    let word = word.load(Ordering::Relaxed);
    match (sum_of(word).trusted.load(Ordering::Relaxed), word & PREFERRED != 0) {
        (false, _) => Group::Others,
        (true, false) => Group::Owner,
        (true, true) => Group::Console,
    }
}

/// What the calling thread may use of what is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It works for the kernel.
    Kernel,
    /// It works for the owner of the machine on a preferred account with a small bill, and what it takes goes with it.
    Owner,
    /// Anybody else.
    Other,
}

/// The calling thread's standing, when a bill of at most `small` bytes is a small one.
#[cfg_attr(
    all(not(target_os = "none"), not(test)),
    expect(dead_code, reason = "the host sets nothing aside")
)]
pub(crate) fn standing(small: usize) -> Standing {
    let (word, lasting) = arch::with_payer(|p| (word(p.number()), p.lasting.load(Ordering::Relaxed)));
    let Some(word) = word else { return Standing::Kernel };
    let word = word.load(Ordering::Relaxed);
    let is_small = usize::try_from(bytes_of(word)).unwrap_or(0) <= small;
    let is_preferred = word & PREFERRED != 0 && !lasting;
    match is_preferred && is_small && sum_of(word).trusted.load(Ordering::Relaxed) {
        true => Standing::Owner,
        false => Standing::Other,
    }
}

/// Makes something that is there for longer than its process: what is set aside for the owner is not for that, or it
/// would be used up by whoever comes often enough.
pub fn for_long<R>(f: impl FnOnce() -> R) -> R {
    let before = arch::with_payer(|p| p.lasting.swap(true, Ordering::Relaxed));
    let result = f();
    arch::with_payer(|p| p.lasting.store(before, Ordering::Relaxed));
    result
}

/// Does something for which `account` pays.
pub fn on<R>(account: &Arc<Account>, f: impl FnOnce() -> R) -> R {
    pay(account.number, f)
}

/// Does something for which the kernel pays: what belongs to nobody in particular.
pub fn as_kernel<R>(f: impl FnOnce() -> R) -> R {
    pay(0, f)
}

/// Does something for which the account with this number pays: held, or something stays charged to it meanwhile, so
/// that it does not become another.
pub(crate) fn pay<R>(number: u16, f: impl FnOnce() -> R) -> R {
    let turn = Turn::begin(number);
    let result = f();
    drop(turn);
    result
}

/// While another account pays: the one before, and what it had pending.
struct Turn(u16, i64);

impl Turn {
    fn begin(number: u16) -> Turn {
        arch::with_payer(|p| {
            let before = Turn(p.number(), p.pending.load(Ordering::Relaxed));
            p.number.store(number, Ordering::Relaxed);
            p.pending.store(0, Ordering::Relaxed);
            before
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        arch::with_payer(|p| {
            p.tell();
            p.number.store(self.0, Ordering::Relaxed);
            p.pending.store(self.1, Ordering::Relaxed);
        });
    }
}
