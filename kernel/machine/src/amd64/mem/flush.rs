//! Throwing away translations on other processors: what makes unmapping safe when there are several.
//!
//! Whoever takes a mapping away, or makes it read-only, changes the table first, then calls [`everywhere`] or
//! [`where_active`], and only when that has returned may it give the page to somebody else. The caller's processor
//! writes what is to go into its own `Order`, marks itself in `asked` of each target, sends the interrupt `FLUSH` and
//! waits until all have answered.
//!
//! # Why nobody waits for ever
//!
//! The initiator has interrupts off or put off, mostly because it holds the Lock of the tables. A target may have them
//! so as well: because it waits for a Lock (perhaps that one), because it is itself an initiator, or because it is in a
//! short section. So the rule is: **who waits without letting interrupts in serves**. [`serve`] is called in the
//! waiting loop of `Lock::lock` and in the one below; nothing else in this crate waits for another processor in such a
//! state. It takes no locks.
//!
//! A processor that loads a space marks itself in the space's `active` before, and takes the mark away after it has
//! loaded another (`space`). An initiator changes the table before it reads the marks, both with locked instructions:
//! so either it sees the mark, or the processor sees the new table.

use super::paging;
use crate::amd64::cpu::{self, Cpu};
use crate::amd64::interrupts;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU64, Ordering, fence};
use spin::Once;
use x86_64::VirtAddr;
use x86_64::instructions::tlb;

/// So many single translations are thrown away one by one; beyond, all at once.
const ONE_BY_ONE: u64 = 32;
const PAGE: u64 = 4096;
/// After so many looks a processor counts as lost.
const LOST: u64 = 1 << 32;

/// How the interrupt `FLUSH` is sent to a processor: what sends it stands above this room.
static INTERRUPT: Once<fn(&Cpu)> = Once::new();

/// Says how a processor is interrupted; before there are several.
pub(crate) fn init(interrupt: fn(&Cpu)) {
    INTERRUPT.call_once(|| interrupt);
}

/// What a processor wants thrown away. Written by its owner while nobody is asked, read by those who are.
pub(crate) struct Order {
    va: AtomicU64,
    pages: AtomicU64,
    /// Bit set: that processor has not answered yet.
    open: AtomicU64,
}

impl Order {
    pub const fn new() -> Order {
        Order { va: AtomicU64::new(0), pages: AtomicU64::new(0), open: AtomicU64::new(0) }
    }
}

/// Throws away translations of `pages` pages from `va`, which are a program's, on the processors in `active`.
/// Interrupts are off.
pub(crate) fn where_active(active: &AtomicU64, va: u64, pages: u64) {
    fence(Ordering::SeqCst);
    let cpu = cpu::this();
    let active = active.load(Ordering::SeqCst);
    if active & cpu.bit() != 0 {
        here(cpu, va, pages);
    }
    ask(cpu, active & !cpu.bit(), va, pages);
}

/// The same for the kernel's own, on all processors.
pub(crate) fn everywhere(va: u64, pages: u64) {
    interrupts::without_interrupts(|| {
        fence(Ordering::SeqCst);
        let cpu = cpu::this();
        here(cpu, va, pages);
        ask(cpu, cpu::all_bits() & !cpu.bit(), va, pages);
    });
}

fn ask(cpu: &Cpu, targets: u64, va: u64, pages: u64) {
    debug_assert!(!interrupts::are_enabled());
    if targets == 0 {
        return;
    }
    cpu.order.va.store(va, Ordering::Relaxed);
    cpu.order.pages.store(pages, Ordering::Relaxed);
    cpu.order.open.store(targets, Ordering::Release);
    for target in cpu::among(targets) {
        target.asked.fetch_or(cpu.bit(), Ordering::AcqRel);
        if let Some(interrupt) = INTERRUPT.get() {
            interrupt(target);
        }
    }
    let mut looks = 0u64;
    while cpu.order.open.load(Ordering::Acquire) != 0 {
        serve();
        spin_loop();
        looks += 1;
        assert!(looks < LOST, "processors {:#x} do not answer", cpu.order.open.load(Ordering::Relaxed));
    }
}

/// Does what other processors have asked of this one. Interrupts are off.
pub(crate) fn serve() {
    let cpu = cpu::this();
    if cpu.asked.load(Ordering::Relaxed) == 0 {
        return;
    }
    let asked = cpu.asked.swap(0, Ordering::AcqRel);
    for asker in cpu::among(asked) {
        let (va, pages) = (asker.order.va.load(Ordering::Relaxed), asker.order.pages.load(Ordering::Relaxed));
        if va >= paging::DIRECT || !leave_space(cpu) {
            here(cpu, va, pages);
        }
        asker.order.open.fetch_and(!cpu.bit(), Ordering::Release);
    }
}

/// An idle processor that still has a program's space loaded lets go of it, so that it need not be asked again. The
/// reference goes in its idle loop.
fn leave_space(cpu: &Cpu) -> bool {
    if !cpu::is_idle_here() {
        return false;
    }
    // SAFETY: this processor's, and interrupts are off.
    if let Some(space) = unsafe { &*cpu.space.get() } {
        space.unload(cpu);
    }
    true
}

/// Throws away translations of this processor, whose interrupts are off.
fn here(cpu: &Cpu, va: u64, pages: u64) {
    if pages <= ONE_BY_ONE {
        (0..pages).for_each(|i| tlb::flush(VirtAddr::new(va + i * PAGE)));
    } else {
        cpu.tlb_purges.fetch_add(1, Ordering::Relaxed);
        tlb::flush_all();
    }
}
