//! One port: a byte pipe to whoever is connected on the host.
//!
//! What arrives stays in the buffer that the device filled until somebody reads it, and only then does the
//! device get the buffer back. So a host that writes faster than the guest reads is held up, and nothing is lost.
//!
//! # Connections
//!
//! Whoever opens a port belongs to a connection, a number that goes up when the host leaves. One that is
//! over reads what was received in it, then 0; it cannot be written to, even if the host is there again: a
//! new connection knows nothing of what was said in the last. What it left unread is dropped when somebody of a
//! later one reads. The device tells of data and of connections in different queues. The interrupt handler puts them
//! in order (see `Device::look`): only it takes filled buffers back, with [`Port::collect`], and what it then hears of
//! connections is said with [`Port::host_is`]; [`Port::settle`] gives the buffers to the readers.
//!
//! What is on its way to a host that leaves may be lost, and its buffer with it: see [`Sent`].
//!
//! # Locks
//!
//! `state` (a Lock) guards both rings and all else that changes; it is never held while the device is touched.
//! `writing` (a QLock) belongs to the callers of [`Port::write`]. `watcher` is a leaf.
//!
//! Here is what a port is to those who read and write; `driver` is what it is to the device's driver, `state` what
//! changes.

mod driver;
mod state;

use super::Alarm;
use super::inbox::Inbox;
use crate::Failure;
use crate::ring::{Queue, Segment};
use crate::transport::VirtioTransport;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use machine::dma::Dma;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use machine::sync::{Interrupted, QLock, Rendez};
use state::{SENDING, Sent, State};

/// Bytes of a receive buffer. QEMU never puts more into one.
pub const RECEIVE: usize = 4096;
/// Most entries of a ring, if that can be chosen: all control messages fit.
const SIZE_MOST: u16 = 32;
/// Most bytes that are sent in one piece.
pub const PIECE: usize = 32 * 1024;

/// A port of a console device.
pub struct Port {
    name: String,
    number: u32,
    transport: Arc<dyn VirtioTransport>,
    alarm: Arc<Alarm>,
    state: Lock<State>,
    arrived: Rendez,
    sent: Rendez,
    writing: QLock<()>,
    watcher: Lock<Option<Watcher>>,
    /// It has been there: somebody may be waiting.
    live: AtomicBool,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// What is called when a port may have changed.
type Watcher = Arc<dyn Fn() + Send + Sync>;

/// What a writer finds.
#[derive(PartialEq, Eq)]
enum Offer {
    Busy,
    Gone,
    /// All buffers are with the device, for hosts that have left.
    NoBuffer,
    Taken {
        notify: bool,
    },
}

/// The numbers of a port's queues, receive and transmit.
fn queues(number: u32) -> (u16, u16) {
    // Ports are numbered up to PORTS_MOST.
    let first = if number == 0 { 0 } else { 2 * number as u16 + 2 };
    (first, first + 1)
}

/// An empty ring for a queue.
pub(super) fn ring<T>(transport: &dyn VirtioTransport, queue: u16) -> Result<Queue<T>, Failure> {
    match transport.queue_size(queue, SIZE_MOST) {
        0 => Err(Failure::text(alloc::format!("no queue {queue}"))),
        size => Ok(Queue::new(size, 1, false)?),
    }
}

impl Port {
    pub(super) fn new(
        name: String,
        number: u32,
        transport: &Arc<dyn VirtioTransport>,
        alarm: &Arc<Alarm>,
    ) -> Result<Arc<Port>, Failure> {
        let (receive, transmit) = queues(number);
        let state = State {
            receive: ring(&**transport, receive)?,
            transmit: ring(&**transport, transmit)?,
            sent: Sent::default(),
            memory: None,
            idle: Vec::new(),
            inbox: Inbox::default(),
            present: false,
            connected: false,
            connection: 0,
            opened: false,
            told: false,
            console: false,
            label: None,
        };
        Ok(Arc::new(Port {
            name,
            number,
            transport: transport.clone(),
            alarm: alarm.clone(),
            state: Lock::new(state),
            arrived: Rendez::new(),
            sent: Rendez::new(),
            writing: QLock::new(()),
            watcher: Lock::new(None),
            live: AtomicBool::new(false),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
        }))
    }

    /// Its name: that of the device, and its number behind a dot unless that is 0.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number, from 0.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The name that the host gave it.
    pub fn label(&self) -> Option<String> {
        self.state.lock().label.clone()
    }

    /// Whether it is there.
    pub fn present(&self) -> bool {
        self.state.lock().present
    }

    /// Whether the host is there.
    pub fn connected(&self) -> bool {
        self.state.lock().connected
    }

    /// Whether the machine's console is meant to be here.
    pub fn is_console(&self) -> bool {
        self.state.lock().console
    }

    /// Calls `watcher`, in any context, whenever the port or its host may have come or gone.
    pub fn watch(&self, watcher: impl Fn() + Send + Sync + 'static) {
        let old = self.watcher.lock().replace(Arc::new(watcher));
        drop(old);
    }

    /// To be held over a write of several pieces, so that writes do not mix.
    pub fn writing(&self) -> &QLock<()> {
        &self.writing
    }

    /// One more user; gives the connection to which it belongs.
    ///
    /// The first makes the device hand on what the host sends, and nobody takes that back: QEMU throws away what it is
    /// just about to hand on when it hears that the port is closed, which may be the first words of the next
    /// connection.
    pub fn open(&self) -> u64 {
        let connection = {
            let mut state = self.state.lock();
            state.opened = true;
            state.connection
        };
        self.alarm.wake();
        connection
    }

    /// Waits for bytes and gives up to `max` of them, from one buffer. None are given when the connection is over
    /// or `max` is 0.
    ///
    /// # Errors
    /// When the caller is interrupted before something has come.
    pub fn read(&self, connection: u64, max: usize) -> Result<Vec<u8>, Interrupted> {
        let mut bytes = Vec::new();
        if max == 0 {
            return Ok(bytes);
        }
        bytes.reserve_exact(max.min(RECEIVE));
        self.arrived.sleep_intr(|| {
            let (over, notify) = self.take(connection, max, &mut bytes);
            if notify {
                self.transport.notify(queues(self.number).0);
            }
            over
        })?;
        Ok(bytes)
    }

    /// Takes bytes that are there. The first answer: the reader need not wait, having bytes or the end; the second:
    /// the device has buffers back and wants to hear of it.
    fn take(&self, connection: u64, max: usize, bytes: &mut Vec<u8>) -> (bool, bool) {
        let mut state = self.state.lock();
        let mut notify = false;
        while state.inbox.front().is_some_and(|r| r.connection < connection) {
            notify |= state.drop_front();
        }
        let over = !state.present || state.connection != connection;
        let State { inbox, memory: Some(memory), .. } = &mut *state else { return (over, notify) };
        let Some(front) = inbox.front() else { return (over, notify) };
        if front.connection != connection {
            return (true, notify);
        }
        let n = (front.len - front.at).min(max).min(RECEIVE);
        bytes.resize(n, 0);
        if let Some(buffer) = memory.receive.get(front.buffer) {
            buffer.read(front.at, bytes);
        }
        front.at += n;
        if front.at == front.len {
            notify |= state.drop_front();
        }
        (true, notify)
    }

    /// Sends `bytes`, at most 32 KiB of them, and waits until the device has handed them over. False: the connection is
    /// over, and they are lost.
    ///
    /// # Errors
    /// When the caller is interrupted before the device has them. Afterwards they go out whatever happens, and
    /// an interruption ends only the waiting.
    pub fn write(&self, connection: u64, bytes: &[u8]) -> Result<bool, Interrupted> {
        let mut offer = Offer::Busy;
        loop {
            self.sent.sleep_intr(|| {
                offer = self.offer(connection, bytes);
                offer != Offer::Busy
            })?;
            match offer {
                Offer::Taken { notify: true } => self.transport.notify(queues(self.number).1),
                Offer::Taken { notify: false } => {}
                Offer::NoBuffer if self.add_buffer() => continue,
                Offer::NoBuffer => {
                    self.alarm.raise("device does not return what it is given");
                    return Ok(false);
                }
                Offer::Gone | Offer::Busy => return Ok(false),
            }
            break;
        }
        let mut alive = true;
        let waited = self.sent.sleep_intr(|| {
            let mut state = self.state.lock();
            self.finish(&mut state);
            alive = state.takes(connection);
            !state.sent.is_busy() || !alive
        });
        Ok(alive || waited.is_err())
    }

    /// Gives a piece to the device, when it does not have one.
    fn offer(&self, connection: u64, bytes: &[u8]) -> Offer {
        let mut state = self.state.lock();
        self.finish(&mut state);
        if !state.takes(connection) {
            return Offer::Gone;
        }
        if state.sent.is_busy() {
            return Offer::Busy;
        }
        let bytes = bytes.get(..PIECE).unwrap_or(bytes);
        let State { transmit, sent, memory: Some(memory), .. } = &mut *state else { return Offer::Gone };
        if bytes.is_empty() {
            return Offer::Taken { notify: false };
        }
        let free = sent.free(memory.transmit.len());
        let Some((buffer, dma)) = free.and_then(|n| Some((n, memory.transmit.get(n)?))) else {
            return Offer::NoBuffer;
        };
        dma.write(0, bytes);
        let segment = Segment { phys: dma.phys(), len: bytes.len() as u32, write: false };
        let Ok(chain) = transmit.prepare(core::iter::once(segment)) else { return Offer::Busy };
        transmit.publish(chain, buffer, 0);
        sent.give(buffer);
        self.bytes_out.fetch_add(bytes.len() as u64, Relaxed);
        Offer::Taken { notify: transmit.wants_notify() }
    }

    /// Makes one more buffer to send from. False when there are enough, or there is no memory.
    fn add_buffer(&self) -> bool {
        let Ok(dma) = as_kernel(|| Dma::new(PIECE)) else { return false };
        let mut state = self.state.lock();
        let State { memory: Some(memory), .. } = &mut *state else { return false };
        let has_room = memory.transmit.len() < SENDING;
        if has_room {
            memory.transmit.push(dma);
        }
        has_room
    }

    /// Takes back what the device has sent, and what it has lost.
    fn finish(&self, state: &mut State) {
        loop {
            match state.transmit.pop() {
                Ok(Some((buffer, _))) => {
                    let lost = state.sent.take(buffer);
                    while state.transmit.give_up(|n| lost & (1 << n) != 0).is_some() {}
                }
                Ok(None) => return,
                Err(broken) => return self.alarm.raise(broken.0),
            }
        }
    }
}
