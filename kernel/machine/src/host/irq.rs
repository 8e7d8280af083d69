//! Interrupts on the host: a fake device raises them with [`host_raise`], [`host_raise_msi`] or [`host_raise_gsi`], and
//! the handler runs on the raising thread, marked as interrupt context.
//!
//! The table belongs to a machine. Each handler sits in a read-write lock that a raise holds for reading, so dropping
//! its [`IrqHandle`] waits until the handler is no longer running, as it does on the real machine.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use super::machine::{Machine, machine};
use super::{clock, heap, lock};
use crate::heap::{try_push, try_string};
use crate::types::OutOfMemory;
pub use crate::types::{Controller, IrqError, Line, Trigger};

/// What a device's interrupt calls: it may take Locks and wake sleepers, no more.
pub type Handler = Box<dyn Fn() + Send + Sync>;

/// Address that messages of a fake device are written to.
const MSI_ADDRESS: u64 = 0xfee0_0000;
/// First vector for devices.
const FIRST_VECTOR: u32 = 48;
/// Global system interrupts of the simulated I/O APIC.
const GSIS: u32 = 24;

struct Entry {
    vector: u32,
    irq: u32,
    trigger: Trigger,
    controller: Controller,
    name: String,
    count: AtomicU64,
    cycles: AtomicU64,
    handler: RwLock<Option<Handler>>,
}

#[derive(Default)]
pub(super) struct Table {
    entries: Mutex<Vec<Arc<Entry>>>,
}

impl Table {
    fn entries(&self) -> MutexGuard<'_, Vec<Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Data of the message, and whose handler it calls.
type Message = (u32, Arc<Machine>, Arc<Entry>);

/// All message interrupts of all machines, so that a device's thread needs only address and data.
static MESSAGES: Mutex<Vec<Message>> = Mutex::new(Vec::new());
static NEXT_DATA: AtomicU32 = AtomicU32::new(1);

/// A registered handler; dropping it disables and removes the handler.
pub struct IrqHandle {
    home: Arc<Machine>,
    entry: Arc<Entry>,
}

/// A message interrupt: what to program into the device, and its handler.
pub struct Msi {
    /// Address the device writes to.
    pub address: u64,
    /// Value the device writes.
    pub data: u32,
    /// Keeps the handler.
    pub handle: IrqHandle,
}

std::thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Whether the calling thread is in an interrupt handler.
pub(super) fn in_handler() -> bool {
    DEPTH.get() != 0
}

/// Runs `f` as an interrupt of `m`, whichever machine the calling thread belongs to. The caller may hold no Lock: on
/// the real machine interrupts would be off.
pub(super) fn as_interrupt(m: &Arc<Machine>, f: impl FnOnce()) {
    struct Leave(Option<Arc<Machine>>);
    impl Drop for Leave {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
            Machine::exchange(self.0.take());
        }
    }
    assert_eq!(lock::held(), 0, "interrupt while a Lock is held");
    m.interrupts.fetch_add(1, Ordering::Relaxed);
    DEPTH.set(DEPTH.get() + 1);
    let _leave = Leave(Machine::exchange(Some(m.clone())));
    heap::interrupt(f);
}

fn fire(m: &Arc<Machine>, entry: &Entry) -> bool {
    let handler = entry.handler.read().unwrap_or_else(PoisonError::into_inner);
    let Some(handler) = handler.as_ref() else { return false };
    let since = clock::cycles();
    as_interrupt(m, handler);
    entry.count.fetch_add(1, Ordering::Relaxed);
    entry.cycles.fetch_add(clock::cycles() - since, Ordering::Relaxed);
    true
}

fn register(
    irq: u32,
    trigger: Trigger,
    controller: Controller,
    name: &str,
    handler: Handler,
) -> Result<IrqHandle, IrqError> {
    let home = machine();
    let mut entries = home.irqs.entries();
    let mut vector = None;
    if controller == Controller::Ioapic {
        for e in entries.iter().filter(|e| e.controller == controller && e.irq == irq) {
            if e.trigger != Trigger::Level || trigger != Trigger::Level {
                return Err(IrqError::Busy);
            }
            vector = Some(e.vector);
        }
    }
    let free = || (FIRST_VECTOR..240).find(|v| entries.iter().all(|e| e.vector != *v));
    let vector = vector.or_else(free).ok_or(IrqError::NoVector)?;
    let entry = Arc::new(Entry {
        vector,
        irq: if controller == Controller::Msi { vector } else { irq },
        trigger,
        controller,
        name: name.to_string(),
        count: AtomicU64::new(0),
        cycles: AtomicU64::new(0),
        handler: RwLock::new(Some(handler)),
    });
    entries.push(entry.clone());
    drop(entries);
    Ok(IrqHandle { home, entry })
}

/// All handlers, ascending by vector.
///
/// # Errors
/// No memory: there may be some hundred.
pub fn snapshot() -> Result<Vec<Line>, OutOfMemory> {
    let m = machine();
    let entries = heap::aside(|| m.irqs.entries().clone());
    let mut lines = Vec::new();
    for e in &entries {
        let line = Line {
            vector: e.vector,
            irq: e.irq,
            count: e.count.load(Ordering::Relaxed),
            cycles: e.cycles.load(Ordering::Relaxed),
            controller: e.controller,
            name: try_string(&e.name)?,
        };
        try_push(&mut lines, line)?;
    }
    heap::aside(|| lines.sort_by_key(|l| l.vector));
    Ok(lines)
}

/// A message interrupt for a PCI device.
///
/// # Errors
/// When all vectors are taken.
pub fn msi(name: &str, handler: Handler) -> Result<Msi, IrqError> {
    let handle = register(0, Trigger::Edge, Controller::Msi, name, handler)?;
    let data = NEXT_DATA.fetch_add(1, Ordering::Relaxed);
    let message = (data, handle.home.clone(), handle.entry.clone());
    MESSAGES.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    Ok(Msi { address: MSI_ADDRESS, data, handle })
}

/// A handler for a global system interrupt.
///
/// # Errors
/// When there is no such line, or it is in use and cannot be shared.
pub fn gsi(gsi: u32, trigger: Trigger, name: &str, handler: Handler) -> Result<IrqHandle, IrqError> {
    if gsi >= GSIS {
        return Err(IrqError::NoLine);
    }
    register(gsi, trigger, Controller::Ioapic, name, handler)
}

/// A handler for an interrupt of the old ISA numbering. The simulated machine has the usual override: 0 is line 2.
///
/// # Errors
/// As [`gsi`].
pub fn isa(irq: u8, name: &str, handler: Handler) -> Result<IrqHandle, IrqError> {
    if irq > 15 {
        return Err(IrqError::NoLine);
    }
    gsi(if irq == 0 { 2 } else { u32::from(irq) }, Trigger::Edge, name, handler)
}

/// Raises an interrupt by its handle.
pub fn host_raise(handle: &IrqHandle) {
    fire(&handle.home, &handle.entry);
}

/// Raises an interrupt as a device does that writes a message, from any thread. False when nobody listens.
pub fn host_raise_msi(address: u64, data: u32) -> bool {
    let found = {
        let all = MESSAGES.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .find(|(d, ..)| *d == data && address == MSI_ADDRESS)
            .map(|(_, m, e)| (m.clone(), e.clone()))
    };
    found.is_some_and(|(m, e)| fire(&m, &e))
}

/// Raises a line of the calling thread's machine. False when nobody listens.
pub fn host_raise_gsi(gsi: u32) -> bool {
    let m = machine();
    let entries = m.irqs.entries().clone();
    let on_line = entries.iter().filter(|e| e.controller == Controller::Ioapic && e.irq == gsi);
    // Not `any`: every handler of a shared line is called.
    on_line.map(|e| fire(&m, e)).fold(false, |one, this| one | this)
}

impl Drop for IrqHandle {
    fn drop(&mut self) {
        self.home.irqs.entries().retain(|e| !Arc::ptr_eq(e, &self.entry));
        MESSAGES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(.., e)| !Arc::ptr_eq(e, &self.entry));
        let handler = self.entry.handler.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(handler);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;
    use core::sync::atomic::AtomicUsize;

    fn counter() -> (Arc<AtomicUsize>, Handler) {
        let n = Arc::new(AtomicUsize::new(0));
        let n2 = n.clone();
        (n, Box::new(move || _ = n2.fetch_add(1, Ordering::SeqCst)))
    }

    #[test]
    fn messages_reach_their_handler_from_any_thread() {
        host::new_machine();
        let ((a, fa), (b, fb)) = (counter(), counter());
        let (x, y) = (msi("x", fa).unwrap(), msi("y", fb).unwrap());
        assert_ne!(x.data, y.data);
        let (address, data) = (x.address, x.data);
        std::thread::spawn(move || assert!(host_raise_msi(address, data))).join().unwrap();
        host_raise(&x.handle);
        assert!(!host_raise_msi(y.address + 1, y.data));
        assert_eq!((a.load(Ordering::SeqCst), b.load(Ordering::SeqCst)), (2, 0));
        let lines = snapshot().unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].name.as_str(), lines[0].count, lines[0].controller), ("x", 2, Controller::Msi));
        assert!(lines[0].vector < lines[1].vector);
        assert_eq!(lines[1].count, 0);
        drop(x);
        assert!(!host_raise_msi(address, data));
        assert_eq!(snapshot().unwrap().len(), 1);
        assert_eq!(crate::cpu::stats()[0].interrupts, 2);
    }

    #[test]
    fn level_lines_are_shared_and_edges_are_not() {
        host::new_machine();
        let ((a, fa), (b, fb)) = (counter(), counter());
        let x = gsi(11, Trigger::Level, "x", fa).unwrap();
        let _y = gsi(11, Trigger::Level, "y", fb).unwrap();
        assert!(host_raise_gsi(11));
        assert!(!host_raise_gsi(10));
        assert_eq!((a.load(Ordering::SeqCst), b.load(Ordering::SeqCst)), (1, 1));
        let lines = snapshot().unwrap();
        assert_eq!(lines[0].vector, lines[1].vector);
        assert_eq!((lines[0].irq, lines[0].controller), (11, Controller::Ioapic));
        assert_eq!(gsi(11, Trigger::Edge, "z", counter().1).map(drop), Err(IrqError::Busy));
        drop(x);
        assert!(host_raise_gsi(11));
        assert_eq!((a.load(Ordering::SeqCst), b.load(Ordering::SeqCst)), (1, 2));
        let _t = isa(0, "timer", counter().1).unwrap();
        assert_eq!(isa(0, "timer", counter().1).map(drop), Err(IrqError::Busy));
        assert!(host_raise_gsi(2));
        assert_eq!(gsi(24, Trigger::Level, "none", counter().1).map(drop), Err(IrqError::NoLine));
        assert_eq!(isa(16, "none", counter().1).map(drop), Err(IrqError::NoLine));
    }

    #[test]
    fn vectors_run_out_and_come_back() {
        host::new_machine();
        let mut all = Vec::new();
        loop {
            match msi("many", Box::new(|| {})) {
                Ok(m) => all.push(m),
                Err(e) => break assert_eq!(e, IrqError::NoVector),
            }
        }
        assert_eq!(all.len(), 240 - FIRST_VECTOR as usize);
        all.pop();
        assert!(msi("one", Box::new(|| {})).is_ok());
    }

    #[test]
    fn a_handler_runs_on_its_own_machine() {
        host::new_machine();
        host::limit_pages(12_345);
        let m = msi("x", Box::new(|| assert_eq!(crate::mem::total_bytes(), 12_345 * 4096))).unwrap();
        let (address, data) = (m.address, m.data);
        std::thread::spawn(move || {
            let before = crate::mem::total_bytes();
            assert!(host_raise_msi(address, data));
            assert_eq!(crate::mem::total_bytes(), before);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn dropping_the_handle_waits_for_a_running_handler() {
        host::new_machine();
        let inside = Arc::new(AtomicUsize::new(0));
        let inside2 = inside.clone();
        let m = msi(
            "slow",
            Box::new(move || {
                inside2.store(1, Ordering::SeqCst);
                std::thread::sleep(core::time::Duration::from_millis(20));
                inside2.store(2, Ordering::SeqCst);
            }),
        )
        .unwrap();
        let (address, data) = (m.address, m.data);
        let device = std::thread::spawn(move || host_raise_msi(address, data));
        while inside.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        drop(m);
        assert_eq!(inside.load(Ordering::SeqCst), 2);
        assert!(device.join().unwrap());
    }

    #[test]
    #[should_panic(expected = "interrupt while a Lock is held")]
    fn no_interrupt_comes_while_a_lock_is_held() {
        let m = msi("x", Box::new(|| {})).unwrap();
        let l = crate::lock::Lock::new(());
        let _g = l.lock();
        host_raise(&m.handle);
    }

    #[test]
    #[should_panic(expected = "`interrupt` allocated 4096 bytes without asking; 0 are granted")]
    fn a_handler_does_not_allocate() {
        let m = msi("x", Box::new(|| drop(alloc::vec![0u8; 4096]))).unwrap();
        host_raise(&m.handle);
    }

    #[test]
    fn what_an_interrupt_disturbs_goes_on_as_it_was() {
        let (n, handler) = counter();
        let m = msi("x", handler).unwrap();
        let call = heap::Call::enter("test");
        let held = alloc::vec![0u8; 4096];
        host_raise(&m.handle);
        assert_eq!((heap::peak(), n.load(Ordering::SeqCst)), (4096, 1));
        drop((held, call));
    }

    #[test]
    #[should_panic(expected = "park in an interrupt handler")]
    fn a_handler_does_not_park() {
        let m = msi("x", Box::new(|| crate::thread::park_until(0))).unwrap();
        host_raise(&m.handle);
    }
}
