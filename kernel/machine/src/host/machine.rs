//! One simulated computer: what all kernel threads of one test share.
//!
//! The thread-local `HERE` says which one the running thread belongs to. `thread::spawn` hands it on; any other
//! thread gets a fresh one on first use, or joins one with [`Machine::enter`] (a fake device's thread that
//! wants its test's console or fake I/O space).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Mutex;

use super::heap::aside;
use super::{boot, irq, power, program, uart, user};
use crate::census::Counts;
use crate::ledger;
use crate::types::OutOfMemory;

/// Pages a machine has unless [`limit_pages`] says otherwise: 1 GiB. They cost nothing until used.
pub const DEFAULT_PAGES: usize = 1 << 18;

/// Pages that programs cannot have, so that the kernel can still work when they have taken everything.
pub const KERNEL_RESERVE: usize = 16;

/// A simulated computer.
pub struct Machine {
    /// Pages in use, by programs and by the kernel.
    used: AtomicUsize,
    /// Of those, the ones the kernel uses for itself (tables, stacks, DMA).
    kernel: AtomicUsize,
    /// Pages there are.
    limit: AtomicUsize,
    pub(super) chaos_seed: AtomicU64,
    pub(super) wall: crate::wall::Wall,
    pub(super) switches: AtomicU64,
    pub(super) interrupts: AtomicU64,
    pub(super) syscalls: AtomicU64,
    pub(super) faults: AtomicU64,
    pub(super) panics: AtomicU64,
    pub(super) boot: Mutex<Option<&'static crate::types::BootInfo>>,
    pub(super) firmware: Mutex<Vec<boot::Firmware>>,
    pub(super) console: Mutex<Vec<u8>>,
    pub(super) uart: uart::State,
    pub(super) power: Mutex<Option<power::Power>>,
    pub(super) irqs: irq::Table,
    pub(super) io: super::io::Space,
    pub(super) program: Mutex<Option<user::SharedProgram>>,
    pub(super) programs: program::Programs,
    pub(super) random: super::random::Pool,
    pub(super) failures: super::failures::Failures,
    counts: Counts,
}

/// What a page is charged to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Charge {
    /// A program: leaves the reserve alone.
    User,
    /// The kernel: may use the last page.
    Kernel,
}

impl Machine {
    fn new() -> Arc<Machine> {
        let new = || Machine {
            used: AtomicUsize::new(0),
            kernel: AtomicUsize::new(0),
            limit: AtomicUsize::new(DEFAULT_PAGES),
            chaos_seed: AtomicU64::new(0),
            wall: super::clock::wall(),
            switches: AtomicU64::new(0),
            interrupts: AtomicU64::new(0),
            syscalls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            boot: Mutex::new(None),
            firmware: Mutex::new(Vec::new()),
            console: Mutex::new(Vec::new()),
            uart: uart::State::default(),
            power: Mutex::new(None),
            irqs: irq::Table::default(),
            io: super::io::Space::default(),
            program: Mutex::new(None),
            programs: program::Programs::default(),
            random: super::random::Pool::default(),
            failures: super::failures::Failures::default(),
            counts: Counts::new(),
        };
        aside(|| Arc::new(new()))
    }

    /// Makes the calling thread part of this machine. Call it before anything else of `machine`.
    pub fn enter(self: &Arc<Self>) {
        HERE.with(|h| *h.borrow_mut() = Some(self.clone()));
    }

    /// Makes the calling thread part of another machine, or of none; gives the one it was part of.
    pub(super) fn exchange(other: Option<Arc<Machine>>) -> Option<Arc<Machine>> {
        HERE.with(|h| core::mem::replace(&mut *h.borrow_mut(), other))
    }

    /// What `f` makes of the calling thread's machine; `None` when it has none, is being torn down, or the machine is
    /// being exchanged.
    pub(super) fn with_here<R>(f: impl FnOnce(&Machine) -> R) -> Option<R> {
        HERE.try_with(|h| h.try_borrow().ok()?.as_deref().map(f)).ok().flatten()
    }

    /// The chaos seed of the calling thread's machine; 0 also when it has none, or that is being
    /// made or torn down.
    pub(super) fn seed_here() -> u64 {
        let seed = |m: &Arc<Machine>| m.chaos_seed.load(Ordering::Relaxed);
        HERE.try_with(|h| h.try_borrow().ok()?.as_ref().map(seed)).ok().flatten().unwrap_or(0)
    }

    /// Kernel threads and programs of this machine that ended in a panic.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Acquire)
    }

    /// Takes `n` pages out of the budget, or none. Gives the number of the account that pays for them.
    pub(super) fn charge(&self, n: usize, to: Charge) -> Result<u16, OutOfMemory> {
        let bytes = n * abi::layout::PAGE as usize;
        if self.failures.step() || !ledger::may_have(bytes) {
            return Err(OutOfMemory);
        }
        let limit = self.limit.load(Ordering::Relaxed);
        let limit = if to == Charge::User { limit.saturating_sub(KERNEL_RESERVE) } else { limit };
        self.used
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| {
                used.checked_add(n).filter(|&total| total <= limit)
            })
            .map_err(|_| OutOfMemory)?;
        if to == Charge::Kernel {
            self.kernel.fetch_add(n, Ordering::Relaxed);
        }
        Ok(ledger::charge(bytes))
    }

    /// Puts `n` pages back, for which `owner` paid.
    pub(super) fn release(&self, n: usize, from: Charge, owner: u16) {
        ledger::credit(owner, n * abi::layout::PAGE as usize);
        if from == Charge::Kernel {
            self.kernel.fetch_sub(n, Ordering::Relaxed);
        }
        self.used.fetch_sub(n, Ordering::AcqRel);
    }

    pub(super) fn total_pages(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    pub(super) fn used_pages(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn kernel_pages(&self) -> usize {
        self.kernel.load(Ordering::Relaxed)
    }
}

std::thread_local! {
    static HERE: RefCell<Option<Arc<Machine>>> = const { RefCell::new(None) };
}

/// What is counted on the calling thread's machine; `None` when it has none, or is being torn down.
pub(crate) fn counted<R>(f: impl FnOnce(&Counts) -> R) -> Option<R> {
    Machine::with_here(|m| f(&m.counts))
}

/// The machine that the calling thread belongs to; a new one for a thread that has none.
pub fn machine() -> Arc<Machine> {
    HERE.with(|h| h.borrow_mut().get_or_insert_with(Machine::new).clone())
}

/// Gives the calling thread a machine of its own and returns it. Threads spawned before keep the old one.
pub fn new_machine() -> Arc<Machine> {
    let m = Machine::new();
    m.enter();
    m
}

/// Limits the calling thread's machine to `pages` pages of 4096 bytes, of which [`KERNEL_RESERVE`] are not for
/// programs. What is in use already counts.
pub fn limit_pages(pages: usize) {
    machine().limit.store(pages, Ordering::Relaxed);
}
