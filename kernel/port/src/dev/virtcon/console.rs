//! The console on a port of a virtio console.
//!
//! What is said goes into a ring of [`RING`] bytes and a thread brings it to the port, since a port cannot be written
//! to in an interrupt handler, and is not there before threads run: so what was said at boot comes first when it is.
//! Another thread hands on what is typed. The port is chosen once, when the devices have told of theirs, or where there
//! is no fallback when it comes; while the port or its host is away the console is on the fallback, if there is one.
//!
//! # Who waits for whom
//!
//! A program that says more than fits waits, like at any slow terminal; but a host that takes nothing for
//! [`PATIENCE_NS`] counts as deaf, and nobody waits for it until it takes something again. The kernel itself never
//! waits. What does not fit then pushes out the oldest that is in the ring, and how much was lost is told where it is
//! missing.
//!
//! # Locks
//!
//! `choice` (a QLock) is held while the port is chosen; `ring` is a leaf, taken in any context.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use io::port::{self, Bytes, Finder};
use io::{ConsoleOut, Port};
use machine::heap::Call;
use machine::lock::Lock;
use machine::sync::{QLock, Rendez};
use machine::{clock, thread};

use crate::dev::cons::input::Input;
use crate::error::Result;
use crate::kmesg::Kmesg;

/// Bytes that may wait for the port.
pub const RING: usize = 64 * 1024;
/// How long a host may take for anything at all before nobody waits for it, in nanoseconds.
pub(crate) const PATIENCE_NS: u64 = 1_000_000_000;
/// Bytes brought to the port at a time, so that a slow host holds up little. No longer than a port's piece.
const PIECE: usize = 4096;
/// Bytes taken from it at a time.
const TYPED: usize = 1024;

/// The console on a port. See the module comment.
pub struct PortConsole {
    /// Which port: its name, its place or the host's name for it; empty, the first that is made for a person.
    wanted: String,
    choice: QLock<Choice>,
    ring: Lock<Ring>,
    /// There is something to say, or the port has come or gone.
    changed: Rendez,
    /// Something has been said.
    said: Rendez,
    fallback: Option<Arc<dyn ConsoleOut>>,
}

/// How far the choice of a port is.
enum Choice {
    /// Before [`PortConsole::start`].
    Unknown,
    From(Finder),
    Made(Option<Arc<dyn Port>>),
}

struct Ring {
    bytes: Box<[u8]>,
    start: usize,
    len: usize,
    lost: u64,
    /// A piece is on its way.
    busy: bool,
    /// The host takes nothing, or is not there: nobody waits.
    deaf: bool,
}

impl Ring {
    /// Puts in what fits; how much that was.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let size = self.bytes.len();
        let n = bytes.len().min(size - self.len);
        for (at, &b) in (self.start + self.len..).zip(bytes.iter().take(n)) {
            if let Some(place) = self.bytes.get_mut(at % size) {
                *place = b;
            }
        }
        self.len += n;
        n
    }

    /// Makes room for `n` bytes at the cost of the oldest.
    fn make_room(&mut self, n: usize) {
        let size = self.bytes.len();
        let over = (self.len + n).saturating_sub(size).min(self.len);
        self.start = (self.start + over) % size;
        self.len -= over;
        self.lost += over as u64;
    }

    /// The next piece, and behind a gap how large that was.
    fn take(&mut self) -> Vec<u8> {
        let mut piece = Vec::new();
        if self.lost != 0 {
            piece.extend_from_slice(format!("\r\nconsole: {} bytes lost\r\n", self.lost).as_bytes());
            self.lost = 0;
        }
        let size = self.bytes.len();
        for _ in 0..self.len.min(PIECE - piece.len().min(PIECE)) {
            piece.extend(self.bytes.get(self.start).copied());
            self.start = (self.start + 1) % size;
            self.len -= 1;
        }
        self.busy = !piece.is_empty();
        piece
    }
}

impl PortConsole {
    /// The console on the port `wanted` (see the field), which speaks at `fallback` while there is none.
    pub fn new(wanted: &str, fallback: Option<Arc<dyn ConsoleOut>>) -> Arc<Self> {
        let bytes = alloc::vec![0; RING].into_boxed_slice();
        Arc::new(PortConsole {
            wanted: wanted.into(),
            choice: QLock::new(Choice::Unknown),
            ring: Lock::new(Ring { bytes, start: 0, len: 0, lost: 0, busy: false, deaf: false }),
            changed: Rendez::new(),
            said: Rendez::new(),
            fallback,
        })
    }

    /// Starts the threads: the port is one of those that `find` finds, and what is typed there goes to `input`.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    pub fn start(self: &Arc<Self>, find: Finder, input: &Arc<Input>, kmesg: &Arc<Kmesg>) -> Result<()> {
        *self.choice.lock() = Choice::From(find);
        let (speaker, kmesg) = (self.clone(), kmesg.clone());
        thread::spawn("console out", 0, Box::new(move || speaker.speak(&kmesg)))?;
        let (listener, input) = (self.clone(), input.clone());
        thread::spawn("console in", 0, Box::new(move || listener.listen(&input)))?;
        Ok(())
    }

    /// Whether the console is on this port.
    pub fn is_on(&self, port: &dyn Port) -> bool {
        self.port().is_some_and(|mine| mine.id() == port.id())
    }

    /// The port. Who asks first waits until the devices have told of theirs.
    fn port(&self) -> Option<Arc<dyn Port>> {
        let mut choice = self.choice.lock();
        if let Choice::From(find) = &*choice {
            let made = self.choose(find);
            if made.is_none() && self.fallback.is_none() {
                return None; // it may come yet
            }
            *choice = Choice::Made(made);
        }
        match &*choice {
            Choice::Made(port) => port.clone(),
            _ => None,
        }
    }

    /// The port, waited for where there is nothing else to speak to.
    fn port_at_last(&self) -> Option<Arc<dyn Port>> {
        loop {
            let port = self.port();
            if port.is_some() || self.fallback.is_some() {
                return port;
            }
            self.deaf_unless(false);
            self.changed.sleep_surely_until(clock::now_ns().saturating_add(PATIENCE_NS), || false);
        }
    }

    fn choose(&self, ports: &Finder) -> Option<Arc<dyn Port>> {
        let is_wanted = |p: &dyn Port| {
            p.name() == self.wanted || p.place() == self.wanted || p.label().as_ref() == Some(&self.wanted)
        };
        if self.wanted.is_empty() {
            port::find(ports, |p| p.is_console()).or_else(|| port::find(ports, |_| true))
        } else {
            port::find(ports, is_wanted)
        }
    }

    /// The life of the thread that brings out what is said.
    fn speak(self: &Arc<Self>, kmesg: &Kmesg) {
        let port = self.port_at_last();
        if let Some(port) = &port {
            let me = self.clone();
            port.watch(Box::new(move || me.changed.wakeup()));
        } else if self.fallback.is_some() {
            kmesg.print(format_args!("console: no such virtio port; the console is on the serial line\n"));
        }
        // The connection that is spoken to, what is on its way, and whether all that came before went to the port.
        let (mut on, mut piece, mut faithful) = (None, Vec::new(), true);
        // Whether the host was there at the last look.
        let mut was_up = false;
        loop {
            let _call = Call::enter("console out");
            let mut up = false;
            self.changed.sleep(|| {
                up = port.as_ref().is_some_and(|p| p.present() && p.connected());
                let heard = up || self.fallback.is_some();
                self.deaf_unless(heard);
                up != was_up || heard && (!piece.is_empty() || self.ring.lock().len != 0)
            });
            match (&port, on) {
                (Some(port), None) if up => {
                    let connection = port.open();
                    (on, was_up) = (Some(connection), true);
                    if !faithful {
                        faithful = true;
                        kmesg.replay(&Direct(&**port, connection));
                    }
                    continue;
                }
                (Some(port), _) if was_up && !up => {
                    (on, was_up) = (None, false);
                    if self.fallback.is_some() {
                        let name = port.name();
                        kmesg.print(format_args!("console: nobody at {name}; it is on the serial line\n"));
                    }
                    continue;
                }
                _ => {}
            }
            if piece.is_empty() {
                piece = self.ring.lock().take();
            }
            match (&port, on, &self.fallback) {
                // A host that has left, and perhaps come back: that is a new connection.
                (Some(port), Some(connection), _) => match write(&**port, connection, &piece) {
                    true => self.done(&mut piece),
                    false => on = None,
                },
                (_, None, Some(fallback)) => {
                    faithful = false;
                    fallback.write(&piece);
                    self.done(&mut piece);
                }
                _ => self.done(&mut piece),
            }
        }
    }

    /// A piece is out.
    fn done(&self, piece: &mut Vec<u8>) {
        piece.clear();
        {
            let mut ring = self.ring.lock();
            ring.busy = false;
            ring.deaf = false;
        }
        self.said.wakeup();
    }

    /// Nobody waits while nothing is heard at all.
    fn deaf_unless(&self, heard: bool) {
        if !heard {
            self.ring.lock().deaf = true;
            self.said.wakeup();
        }
    }

    /// The life of the thread that hands on what is typed.
    fn listen(&self, input: &Input) {
        let Some(port) = self.port_at_last() else { return };
        let mut typed = [0; TYPED];
        loop {
            self.changed.sleep(|| port.present());
            let connection = port.open();
            loop {
                let _call = Call::enter("console in");
                match port.read(connection, &mut typed) {
                    Ok(0) => break,
                    Ok(n) => input.put(typed.get(..n).unwrap_or(&[])),
                    // Nobody interrupts this thread.
                    Err(_) => return,
                }
            }
        }
    }
}

/// Brings bytes to a port and waits until they are handed over; whether the host was there.
fn write(port: &dyn Port, connection: u64, bytes: &[u8]) -> bool {
    let _alone = port.writing().lock();
    let sent = port.send(connection, Bytes::Kernel(bytes));
    matches!(sent, Ok(Some(_))) && matches!(port.handed_over(connection, u64::MAX), Ok(true))
}

/// A connection as a place where something is said.
struct Direct<'a>(&'a dyn Port, u64);

impl ConsoleOut for Direct<'_> {
    fn write(&self, bytes: &[u8]) {
        // Who has left hears nothing of it.
        bytes.chunks(PIECE).for_each(|piece| drop(write(self.0, self.1, piece)));
    }
}

impl ConsoleOut for PortConsole {
    fn write(&self, bytes: &[u8]) {
        let mut rest = bytes;
        while thread::may_park() && !rest.is_empty() {
            let deadline = clock::now_ns().saturating_add(PATIENCE_NS);
            let mut put = 0;
            let heard = self.said.sleep_surely_until(deadline, || {
                let mut ring = self.ring.lock();
                put = ring.put(rest);
                put != 0 || ring.deaf
            });
            rest = rest.get(put..).unwrap_or(&[]);
            self.changed.wakeup();
            if put == 0 {
                self.ring.lock().deaf |= !heard;
                break;
            }
        }
        for piece in rest.chunks(RING) {
            let mut ring = self.ring.lock();
            ring.make_room(piece.len());
            ring.put(piece);
            drop(ring);
            self.changed.wakeup();
        }
    }

    fn flush(&self) {
        let deadline = clock::now_ns().saturating_add(PATIENCE_NS);
        self.said.sleep_surely_until(deadline, || {
            let ring = self.ring.lock();
            ring.deaf || ring.len == 0 && !ring.busy
        });
    }
}
