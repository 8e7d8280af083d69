//! Interrupts: vectors, the handlers on them, and what each has cost.
//!
//! A device vector (0x30 to 0xef, without 0x40, which in a `Ureg` means a system call) has a slot: the list of its
//! handlers, more than one only on a shared level-triggered line. The slot's lock is held while they run, so a
//! handler that has been removed is not running any more. Handlers may take Locks and wake threads; they may not
//! remove handlers.

pub use crate::types::{Controller, IrqError, Line, Trigger};

use super::entry;
use crate::amd64::cpu;
use crate::amd64::dev::io::Ports;
use crate::amd64::dev::ioapic;
use crate::amd64::dev::lapic;
use crate::amd64::interrupts;
use crate::amd64::lock::Lock;
use crate::amd64::mem::flush;
use crate::amd64::sched::scheduler;
use crate::amd64::time::clock;
use crate::firmware::acpi::Madt;
use crate::heap;
use crate::sampling;
use crate::types::OutOfMemory;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

/// What runs when an interrupt comes, in interrupt context.
pub type Handler = Box<dyn Fn() + Send + Sync>;

const FIRST: usize = 0x30;
const LAST: usize = 0xef;
/// The number that a `Ureg` carries for a system call.
pub(crate) const SYSCALL: u64 = 64;
/// Where a message's address begins; the target's APIC id goes into bits 12 to 19.
const MSI_ADDRESS: u64 = 0xfee0_0000;

/// How often, and how long.
struct Counter {
    count: AtomicU64,
    cycles: AtomicU64,
}

impl Counter {
    const fn new() -> Counter {
        Counter { count: AtomicU64::new(0), cycles: AtomicU64::new(0) }
    }

    fn add(&self, cycles: u64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.cycles.fetch_add(cycles, Ordering::Relaxed);
    }

    fn line(&self, vector: u32, irq: u32, controller: Controller, name: &str) -> Result<Line, OutOfMemory> {
        let (count, cycles) = (self.count.load(Ordering::Relaxed), self.cycles.load(Ordering::Relaxed));
        Ok(Line { vector, irq, count, cycles, controller, name: heap::try_string(name)? })
    }
}

/// One handler.
struct Entry {
    vector: u8,
    irq: u32,
    trigger: Trigger,
    controller: Controller,
    name: String,
    counter: Counter,
    handler: Handler,
}

/// The handlers of one vector.
type Slot = Lock<Vec<Arc<Entry>>>;

static SLOTS: [Slot; 256] = [const { Lock::new(Vec::new()) }; 256];
/// Taken while a vector is being chosen, before any slot.
static CHOOSING: Lock<()> = Lock::new(());
static TRAPS: [Counter; 32] = [const { Counter::new() }; 32];
static TIMER: Counter = Counter::new();
static SPURIOUS: Counter = Counter::new();
static LOOK: Counter = Counter::new();
static FLUSH: Counter = Counter::new();

/// Keeps a handler in place; dropping it stops the line and removes the handler.
pub struct IrqHandle(Arc<Entry>);

/// A message interrupt: what to program into the device, and its handler.
pub struct Msi {
    /// Address the device writes to.
    pub address: u64,
    /// Value the device writes.
    pub data: u32,
    /// Keeps the handler.
    pub handle: IrqHandle,
}

/// Silences the old interrupt controllers and finds the new ones, which `madt` tells of.
pub(crate) fn init(madt: Option<Madt>) {
    let (first, second) = (Ports::of_kernel(0x20, 2), Ports::of_kernel(0xa0, 2));
    first.out8(1, 0xff);
    second.out8(1, 0xff);
    interrupts::init(interrupted_kernel);
    cpu::this().apic.store(lapic::id(), Ordering::Relaxed);
    ioapic::init(madt);
    flush::init(|cpu| lapic::send(cpu.apic.load(Ordering::Relaxed), lapic::FLUSH));
}

/// A handler for message interrupts, on the calling processor.
pub fn msi(name: &str, handler: Handler) -> Result<Msi, IrqError> {
    let _choosing = CHOOSING.lock();
    let vector = free_vector()?;
    let entry = new_entry(vector, u32::from(vector), Trigger::Edge, Controller::Msi, name, handler);
    SLOTS[usize::from(vector)].lock().push(entry.clone());
    let address = MSI_ADDRESS | u64::from(lapic::id()) << 12;
    Ok(Msi { address, data: u32::from(vector), handle: IrqHandle(entry) })
}

/// A handler for a global system interrupt. Level-triggered lines may be shared.
pub fn gsi(gsi: u32, trigger: Trigger, name: &str, handler: Handler) -> Result<IrqHandle, IrqError> {
    let _choosing = CHOOSING.lock();
    if let Some(old) = find_line(gsi) {
        if trigger == Trigger::Edge || old.trigger == Trigger::Edge {
            return Err(IrqError::Busy);
        }
        let entry = new_entry(old.vector, gsi, trigger, Controller::Ioapic, name, handler);
        SLOTS[usize::from(old.vector)].lock().push(entry.clone());
        return Ok(IrqHandle(entry));
    }
    let vector = free_vector()?;
    let entry = new_entry(vector, gsi, trigger, Controller::Ioapic, name, handler);
    let slot = &SLOTS[usize::from(vector)];
    slot.lock().push(entry.clone());
    if !ioapic::route(gsi, vector, trigger) {
        slot.lock().clear();
        return Err(IrqError::NoLine);
    }
    Ok(IrqHandle(entry))
}

/// A handler for an interrupt of the old ISA numbering, wherever the machine has wired it.
pub fn isa(irq: u8, name: &str, handler: Handler) -> Result<IrqHandle, IrqError> {
    if irq > 15 {
        return Err(IrqError::NoLine);
    }
    let (line, trigger) = ioapic::isa(irq);
    gsi(line, trigger, name, handler)
}

fn new_entry(
    vector: u8,
    irq: u32,
    trigger: Trigger,
    controller: Controller,
    name: &str,
    handler: Handler,
) -> Arc<Entry> {
    Arc::new(Entry {
        vector,
        irq,
        trigger,
        controller,
        name: String::from(name),
        counter: Counter::new(),
        handler,
    })
}

fn free_vector() -> Result<u8, IrqError> {
    let free = |v: &usize| *v as u64 != SYSCALL && SLOTS[*v].lock().is_empty();
    (FIRST..=LAST).find(free).map(|v| v as u8).ok_or(IrqError::NoVector)
}

fn find_line(gsi: u32) -> Option<Arc<Entry>> {
    let on_line = |e: &&Arc<Entry>| e.controller == Controller::Ioapic && e.irq == gsi;
    SLOTS[FIRST..=LAST].iter().find_map(|slot| slot.lock().iter().find(on_line).cloned())
}

impl Drop for IrqHandle {
    fn drop(&mut self) {
        let _choosing = CHOOSING.lock();
        let slot = &SLOTS[usize::from(self.0.vector)];
        // The handler itself is dropped with `self`, when no lock is held any more.
        let last = {
            let mut handlers = slot.lock();
            handlers.retain(|e| !Arc::ptr_eq(e, &self.0));
            handlers.is_empty()
        };
        if last && self.0.controller == Controller::Ioapic {
            ioapic::mask(self.0.irq);
        }
    }
}

/// Serves an interrupt that has come, or that was put off, while the kernel ran at `pc`, with interrupts off.
pub(crate) fn interrupted_kernel(vector: u8, pc: u64) {
    dispatch(vector);
    let ticks = cpu::this().ticked.take();
    if ticks != 0 {
        sampling::count(pc, ticks);
    }
}

/// Serves an interrupt, on the interrupted stack, with interrupts off.
pub(crate) fn dispatch(vector: u8) {
    let cpu = cpu::this();
    let start = clock::cycles();
    cpu.interrupts.fetch_add(1, Ordering::Relaxed);
    let payer = cpu.payer.replace(&raw const cpu.nobody);
    match vector {
        lapic::TIMER => {
            lapic::eoi();
            scheduler::timer_fired();
            TIMER.add(clock::cycles().wrapping_sub(start));
        }
        lapic::LOOK => {
            lapic::eoi();
            scheduler::look();
            LOOK.add(clock::cycles().wrapping_sub(start));
        }
        lapic::FLUSH => {
            lapic::eoi();
            flush::serve();
            FLUSH.add(clock::cycles().wrapping_sub(start));
        }
        lapic::SPURIOUS => SPURIOUS.add(0), // wants no end-of-interrupt
        _ => {
            let mut before = start;
            for e in SLOTS[usize::from(vector)].lock().iter() {
                (e.handler)();
                let after = clock::cycles();
                e.counter.add(after.wrapping_sub(before));
                before = after;
            }
            lapic::eoi();
        }
    }
    cpu.payer.set(payer);
    cpu.intr_cycles.fetch_add(clock::cycles().wrapping_sub(start), Ordering::Relaxed);
}

/// Counts an exception of a program.
pub(crate) fn count_trap(vector: u8) {
    if let Some(c) = TRAPS.get(usize::from(vector)) {
        c.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Adds what serving an exception has cost.
pub(crate) fn charge_trap(vector: u8, cycles: u64) {
    if let Some(c) = TRAPS.get(usize::from(vector)) {
        c.cycles.fetch_add(cycles, Ordering::Relaxed);
    }
}

/// Every handler, ascending by vector. Spurious interrupts and those that processors send one another appear once they
/// have happened, as do exceptions that no processor has today.
///
/// # Errors
/// No memory: there may be some hundred.
pub fn snapshot() -> Result<Vec<Line>, OutOfMemory> {
    let mut lines = Vec::new();
    for (vector, c) in TRAPS.iter().enumerate() {
        if vector < entry::KNOWN || c.count.load(Ordering::Relaxed) > 0 {
            let line = c.line(vector as u32, vector as u32, Controller::Trap, entry::NAMES[vector]);
            heap::try_push(&mut lines, line?)?;
        }
    }
    for slot in &SLOTS[FIRST..=LAST] {
        for n in 0.. {
            // One after the other: nothing is asked for while the slot is locked.
            let entry = slot.lock().get(n).cloned();
            let Some(e) = entry else { break };
            let line = e.counter.line(u32::from(e.vector), e.irq, e.controller, &e.name);
            heap::try_push(&mut lines, line?)?;
        }
    }
    let seldom = [
        (&TIMER, lapic::TIMER, "APIC timer"),
        (&LOOK, lapic::LOOK, "look"),
        (&FLUSH, lapic::FLUSH, "flush"),
        (&SPURIOUS, lapic::SPURIOUS, "spurious"),
    ];
    for (counter, vector, name) in seldom {
        if vector == lapic::TIMER || counter.count.load(Ordering::Relaxed) > 0 {
            let line = counter.line(u32::from(vector), 0, Controller::Lapic, name);
            heap::try_push(&mut lines, line?)?;
        }
    }
    Ok(lines)
}
