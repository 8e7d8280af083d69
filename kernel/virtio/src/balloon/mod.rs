//! The memory balloon: memory that the host asks back, and what it may know of the rest.
//!
//! Created by `-device virtio-balloon-pci` (`virtio-balloon-device` on microvm); `balloon MIB` in QEMU's monitor says
//! how much memory the guest may have, `info balloon` how much it has. Follows virtio 1.3 section 5.5.
//!
//! The host says in the configuration how many pages it wants. A thread of the driver takes so many free ones, tells
//! the device which, and keeps them; when the host wants fewer it tells the device which come back, and frees them when
//! the device has heard it. Programs come first: [some memory](kept_free) stays free for them, and while the host wants
//! more than there is beyond that, the balloon looks again every second. With the statistics queue the host is told of
//! memory whenever it asks.
//!
//! Ownership: the pages are the keeper's alone. The device never touches their contents as far as we know, but the host
//! may have taken them away, so nothing but zeroing is done with them before they are used again, as with all free
//! pages.
//!
//! `state` is a leaf.

use crate::Failure;
use crate::inventory::table::{Driver, Status};
use crate::ring::{Queue, RuleBroken, Segment};
use crate::transport::{self, Cause, Interrupts, NEEDS_RESET, VirtioTransport};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use machine::dma::Dma;
use machine::heap::{self, Call};
use machine::lock::Lock;
use machine::page::Page;
use machine::sync::Rendez;
use machine::{clock, mem, thread};

/// Feature: the host is to know before a page is used again. It always is.
const MUST_TELL_HOST: u64 = 1;
/// Feature: a queue for statistics.
const STATS: u64 = 1 << 1;

/// Queues.
const INFLATE: u16 = 0;
const DEFLATE: u16 = 1;
const STATISTICS: u16 = 2;
const SIZE_MOST: u16 = 8;
/// Configuration: pages wanted, pages given.
const WANTED: usize = 0;
const GIVEN: usize = 4;
/// Pages told of at once.
const BATCH: usize = 256;
/// Statistics: tags, and bytes of an entry.
const FREE: u16 = 4;
const TOTAL: u16 = 5;
const AVAILABLE: u16 = 6;
const ENTRY: usize = 10;
/// How long the keeper waits before it looks for more free pages, and for an answer, in nanoseconds.
const AGAIN_NS: u64 = if cfg!(test) { 2_000_000 } else { 1_000_000_000 };

struct State {
    inflate: Queue<()>,
    deflate: Queue<()>,
    statistics: Option<Queue<()>>,
    /// The device has our entry of the statistics queue and has given it back: it wants new numbers.
    asked: bool,
    failure: Option<&'static str>,
}

struct Device {
    transport: Arc<dyn VirtioTransport>,
    state: Lock<State>,
    /// Page numbers, and statistics.
    numbers: Dma,
    figures: Dma,
    keeper: Rendez,
    changed: AtomicBool,
    stopped: AtomicBool,
    given: AtomicU32,
    interrupts: AtomicU64,
    reports: AtomicU64,
}

/// A running balloon.
pub struct Balloon {
    device: Arc<Device>,
    interrupts: Interrupts,
}

impl Balloon {
    /// Starts the balloon behind `transport`.
    ///
    /// # Errors
    /// When any step fails; the device is left alone then, and marked so.
    pub fn start(name: &str, transport: Arc<dyn VirtioTransport>) -> Result<Arc<Balloon>, Failure> {
        transport::start(&*transport, || Balloon::try_start(name, &transport))
    }

    fn try_start(name: &str, transport: &Arc<dyn VirtioTransport>) -> Result<Arc<Balloon>, Failure> {
        let taken = transport::negotiate(&**transport, MUST_TELL_HOST | STATS, 0)?;
        let queue = |n| match transport.queue_size(n, SIZE_MOST) {
            0 => Err(Failure::text(format!("no queue {n}"))),
            size => Ok(Queue::new(size, 1, false)?),
        };
        let statistics = if taken & STATS != 0 { Some(queue(STATISTICS)?) } else { None };
        let state = State {
            inflate: queue(INFLATE)?,
            deflate: queue(DEFLATE)?,
            statistics,
            // The first numbers are sent unasked.
            asked: true,
            failure: None,
        };
        let mut rings = vec![(INFLATE, state.inflate.address()), (DEFLATE, state.deflate.address())];
        rings.extend(state.statistics.as_ref().map(|q| (STATISTICS, q.address())));
        let device = Arc::new(Device {
            transport: transport.clone(),
            state: Lock::new(state),
            numbers: Dma::new(4 * BATCH)?,
            figures: Dma::new(3 * ENTRY)?,
            keeper: Rendez::new(),
            changed: AtomicBool::new(true),
            stopped: AtomicBool::new(false),
            given: AtomicU32::new(0),
            interrupts: AtomicU64::new(0),
            reports: AtomicU64::new(0),
        });
        let interrupts = transport::connect(&**transport, name, &device, Device::interrupt)?;
        for (n, ring) in rings {
            transport.queue_start(n, &ring)?;
        }
        transport::ready(&**transport)?;
        let keeper = device.clone();
        thread::spawn(name, 0, Box::new(move || keeper.keep()))?;
        Ok(Arc::new(Balloon { device, interrupts }))
    }
}

/// Bytes that stay free for programs: a sixteenth of all, which is twice the kernel's own reserve, and some to work
/// with.
fn kept_free() -> u64 {
    mem::total_bytes() / 16 + (8 << 20)
}

impl Device {
    fn interrupt(&self, cause: Cause) {
        self.interrupts.fetch_add(1, Relaxed);
        if cause.includes(Cause::CONFIG) {
            if self.transport.status() & NEEDS_RESET != 0 {
                self.state.lock().failure = Some("device needs a reset");
            }
            self.changed.store(true, SeqCst);
        }
        if cause.includes(Cause::QUEUE) {
            let mut state = self.state.lock();
            match state.statistics.as_mut().map(Queue::pop) {
                Some(Ok(Some(_))) => state.asked = true,
                Some(Err(RuleBroken(how))) => state.failure = Some(how),
                _ => {}
            }
        }
        self.keeper.wakeup();
    }

    /// The keeper's life.
    fn keep(&self) {
        let mut pages: Vec<Page> = Vec::new();
        let mut short = false;
        loop {
            let _call = Call::enter("keeper of a balloon");
            let due = if short { clock::now_ns().saturating_add(AGAIN_NS) } else { u64::MAX };
            self.keeper.sleep_surely_until(due, || self.has_work());
            if self.stopped.load(SeqCst) || self.state.lock().failure.is_some() {
                // The device forgets the pages in its reset; only then may they be used again.
                if self.transport.reset().is_err() {
                    core::mem::forget(pages);
                }
                return;
            }
            self.changed.store(false, SeqCst);
            if core::mem::take(&mut self.state.lock().asked) {
                self.report();
            }
            short = self.adjust(&mut pages);
        }
    }

    fn has_work(&self) -> bool {
        let state = self.state.lock();
        self.changed.load(SeqCst)
            || self.stopped.load(SeqCst)
            || state.failure.is_some()
            || state.asked && state.statistics.is_some()
    }

    /// Takes or gives back pages until the host has as many as it wants, or there are no more: then true.
    fn adjust(&self, pages: &mut Vec<Page>) -> bool {
        loop {
            let mut wanted = [0; 4];
            if self.transport.config_read(WANTED, &mut wanted).is_err() {
                return false;
            }
            let wanted = u32::from_le_bytes(wanted) as usize;
            let have = pages.len();
            let done = if have < wanted {
                let before = pages.len();
                let some = BATCH.min(wanted - have);
                let room = heap::try_reserve(pages, some).is_ok() && mem::free_bytes() > kept_free();
                pages.extend((0..some).take_while(|_| room).map_while(|_| Page::new_zeroed().ok()));
                let taken = pages.get(before..).unwrap_or(&[]);
                taken.is_empty() || !self.tell(INFLATE, taken)
            } else if have > wanted {
                let keep = wanted.max(have.saturating_sub(BATCH));
                let told = self.tell(DEFLATE, pages.get(keep..).unwrap_or(&[]));
                if told {
                    pages.truncate(keep);
                }
                !told
            } else {
                return false;
            };
            let given = u32::try_from(pages.len()).unwrap_or(u32::MAX);
            self.given.store(given, Relaxed);
            // Where the device has no such field there is nobody to tell.
            let _ = self.transport.config_write(GIVEN, given);
            if done {
                return self.state.lock().failure.is_none();
            }
        }
    }

    /// Tells the device of pages, and waits until it has heard. False when it does not.
    fn tell(&self, queue: u16, pages: &[Page]) -> bool {
        for (n, page) in pages.iter().enumerate() {
            // A page number has 32 bits; machines of 16 TiB are not ours.
            self.numbers.set_u32(4 * n, (page.phys() >> 12) as u32);
        }
        let message = Segment { phys: self.numbers.phys(), len: 4 * pages.len() as u32, write: false };
        {
            let mut state = self.state.lock();
            let ring = if queue == INFLATE { &mut state.inflate } else { &mut state.deflate };
            let Ok(chain) = ring.prepare(core::iter::once(message)) else { return false };
            ring.publish(chain, (), 0);
        }
        self.transport.notify(queue);
        let mut heard = false;
        self.keeper.sleep(|| {
            let mut state = self.state.lock();
            let ring = if queue == INFLATE { &mut state.inflate } else { &mut state.deflate };
            match ring.pop() {
                Ok(None) => {}
                Ok(Some(_)) => heard = true,
                Err(RuleBroken(how)) => state.failure = Some(how),
            }
            heard || state.failure.is_some() || self.stopped.load(SeqCst)
        });
        heard
    }

    /// Tells the host how much memory there is.
    fn report(&self) {
        let free = mem::free_bytes();
        for (n, (tag, value)) in
            [(FREE, free), (TOTAL, mem::total_bytes()), (AVAILABLE, free)].into_iter().enumerate()
        {
            self.figures.write(n * ENTRY, &tag.to_le_bytes());
            self.figures.write(n * ENTRY + 2, &value.to_le_bytes());
        }
        let message = Segment { phys: self.figures.phys(), len: (3 * ENTRY) as u32, write: false };
        {
            let mut state = self.state.lock();
            let Some(ring) = state.statistics.as_mut() else { return };
            let Ok(chain) = ring.prepare(core::iter::once(message)) else { return };
            ring.publish(chain, (), 0);
        }
        self.reports.fetch_add(1, Relaxed);
        self.transport.notify(STATISTICS);
    }
}

impl Driver for Balloon {
    fn driver(&self) -> &'static str {
        "balloon"
    }

    fn status(&self) -> Status {
        let device = &self.device;
        Status {
            interrupts: self.interrupts.text.clone(),
            identity: String::new(),
            failure: device.state.lock().failure.map(String::from),
            counters: vec![
                ("pages", u64::from(device.given.load(Relaxed))),
                ("interrupts", device.interrupts.load(Relaxed)),
                ("reports", device.reports.load(Relaxed)),
            ],
        }
    }
}

impl Drop for Balloon {
    /// Tests only end devices: the keeper goes, and gives everything back.
    fn drop(&mut self) {
        self.device.stopped.store(true, SeqCst);
        self.device.keeper.wakeup();
    }
}

#[cfg(test)]
mod tests;
