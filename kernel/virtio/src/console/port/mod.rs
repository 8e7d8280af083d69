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
//! What is on its way to a host that leaves may be lost, and its buffer with it: see [`state::Sent`].
//!
//! # Who is woken
//!
//! Whoever takes something from the device (an interrupt handler, or the keeper) remembers in `news` of what kind it
//! was, and wakes those whom it concerns when all is in order, with [`Port::wake_concerned`]: readers when bytes have
//! been settled, writers when pieces have come back, all and the watcher when the host has come or gone. Nobody else
//! takes anything from the device, so nobody can have taken what another one is waiting for.
//!
//! # Locks
//!
//! `state` (a Lock) guards both rings and all else that changes; it is never held while the device is touched.
//! `writing` (a QLock) belongs to the callers of [`Port::send`]; `taking` (a QLock, under which nobody sleeps) keeps
//! together what one read takes. `watcher` is a leaf.
//!
//! Here is what a port is to everybody; `receive` and `send` are what it is to those who read and write, `gather` makes
//! one piece of what several write, `driver` is what it is to the device's driver, `state` what changes.

mod driver;
pub(super) mod gather;
mod receive;
mod send;
mod state;

use super::Alarm;
use super::inbox::Inbox;
use crate::Failure;
use crate::ring::Queue;
use crate::transport::VirtioTransport;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use machine::lock::Lock;
use machine::sync::{QLock, Rendez};
use state::{Sent, State};

/// Bytes of a receive buffer. QEMU never puts more into one.
pub const RECEIVE: usize = 4096;
/// Most entries of a ring, if that can be chosen: all control messages fit.
const SIZE_MOST: u16 = 32;
/// Most bytes that are sent in one piece.
pub const PIECE: usize = io::port::PIECE;

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
    taking: QLock<()>,
    watcher: Lock<Option<Watcher>>,
    /// Of what kinds something has happened that nobody was woken for yet: bits of [`driver`].
    news: AtomicU8,
    /// It has been there: somebody may be waiting.
    live: AtomicBool,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// What is called when a port may have changed.
type Watcher = Arc<dyn Fn() + Send + Sync>;

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
            filling: None,
            untold: false,
            memory: None,
            idle: Vec::new(),
            inbox: Inbox::default(),
            present: false,
            connected: false,
            connection: 0,
            doubted: false,
            asked: None,
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
            taking: QLock::new(()),
            watcher: Lock::new(None),
            news: AtomicU8::new(0),
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

    /// The connection that there is, or that the next host begins.
    pub fn connection(&self) -> u64 {
        self.state.lock().connection
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
}
