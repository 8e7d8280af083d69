//! A port of a virtio console whose host is a thread with a server that lies.
//!
//! What the machine sends is cut as it likes, and so is what it gets: a port knows no messages. The server leaves when
//! it closes its connection, and its thread ends with that or when it is [told](HostPort::ends).
//!
//! Lock: `state`, for moments; nothing is waited for with it held.

use std::collections::VecDeque;
use std::sync::Arc;

use io::port::{Bytes, Finder, PIECE, Port, Room};
use machine::dma::Dma;
use machine::host::heap::aside;
use machine::lock::Lock;
use machine::sync::{Interrupted, QLock, Rendez, Wake};
use machine::thread;
use ninep::Framer;
use ninep::testserver::hostile::{Act, Hostile};

use super::MSIZE;

/// Most bytes that wait for the host: then the machine does.
const HELD_MAX: usize = 1 << 16;

/// The port.
pub struct HostPort {
    id: u32,
    state: Lock<State>,
    /// Something of the state is another one.
    changed: Rendez,
    writing: QLock<()>,
}

#[derive(Default)]
struct State {
    connected: bool,
    connection: u64,
    from_host: VecDeque<Vec<u8>>,
    /// What the host has not taken yet.
    heard: Vec<u8>,
    over: bool,
}

impl HostPort {
    /// One with nobody at it.
    pub fn new(id: u32) -> HostPort {
        HostPort { id, state: Lock::default(), changed: Rendez::new(), writing: QLock::new(()) }
    }

    /// The host is there, and is this server.
    pub fn is_served_by(self: &Arc<Self>, hostile: Hostile) {
        self.change(|state| state.connected = true);
        let port = self.clone();
        let serve = Box::new(move || port.serve(hostile));
        thread::spawn("host", 0, serve).unwrap_or_else(|_| panic!("no thread for the host"));
    }

    /// The host's thread has nothing to wait for any more.
    pub fn ends(&self) {
        self.change(|state| state.over = true);
    }

    fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.state.lock());
        self.changed.wakeup();
    }

    fn serve(&self, mut hostile: Hostile) {
        let mut framer = Framer::new(MSIZE);
        loop {
            let mut bytes = Vec::new();
            self.changed.sleep(|| {
                let mut state = self.state.lock();
                bytes = std::mem::take(&mut state.heard);
                !bytes.is_empty() || state.over
            });
            if bytes.is_empty() {
                return;
            }
            // There is room for more.
            self.changed.wakeup();
            framer.push(&bytes);
            while let Ok(Some(request)) = framer.next_message() {
                for act in hostile.answer(request) {
                    match act {
                        Act::Send(bytes) => self.change(|state| state.from_host.push_back(bytes)),
                        Act::Wait(_) => std::thread::yield_now(),
                        Act::Close => return self.leave(),
                    }
                }
            }
        }
    }

    fn leave(&self) {
        self.change(|state| {
            state.connected = false;
            state.connection += 1;
        });
    }
}

impl State {
    /// Whether this connection is not over.
    fn is(&self, connection: u64) -> bool {
        self.connected && self.connection == connection
    }

    /// Hears `n` bytes from `at` on.
    fn hear(&mut self, bytes: Bytes<'_>, at: usize, n: usize) {
        aside(|| {
            let dma = Dma::new(n).unwrap_or_else(|_| panic!("no memory of the host"));
            bytes.copy_to(at, &dma, 0, n);
            let old = self.heard.len();
            self.heard.resize(old + n, 0);
            dma.read(0, self.heard.get_mut(old..).unwrap_or_default());
        });
    }
}

impl Port for HostPort {
    fn id(&self) -> u32 {
        self.id
    }

    fn name(&self) -> String {
        format!("virtio-console-{}", self.id)
    }

    fn place(&self) -> String {
        format!("pci-0.{}.0", self.id)
    }

    fn label(&self) -> Option<String> {
        None
    }

    fn is_console(&self) -> bool {
        false
    }

    fn present(&self) -> bool {
        true
    }

    fn connected(&self) -> bool {
        self.state.lock().connected
    }

    fn connection(&self) -> u64 {
        self.state.lock().connection
    }

    fn watch(&self, _watcher: Box<dyn Fn() + Send + Sync>) {}

    fn open(&self) -> u64 {
        self.state.lock().connection
    }

    fn wait(&self, connection: u64) -> Result<usize, Interrupted> {
        let mut there = 0;
        self.changed.sleep_intr(|| {
            let state = self.state.lock();
            there = if state.is(connection) { state.from_host.front().map_or(0, Vec::len) } else { 0 };
            there != 0 || !state.is(connection)
        })?;
        Ok(there)
    }

    fn take(&self, connection: u64, room: &mut Room<'_>) -> usize {
        let mut state = self.state.lock();
        if !state.is(connection) {
            return 0;
        }
        let Some(front) = state.from_host.front_mut() else { return 0 };
        let n = front.len().min(room.len());
        aside(|| {
            let dma = Dma::new(n).unwrap_or_else(|_| panic!("no memory of the host"));
            dma.write(0, front.get(..n).unwrap_or_default());
            room.copy_from(0, &dma, 0, n);
        });
        front.drain(..n);
        if front.is_empty() {
            state.from_host.pop_front();
        }
        n
    }

    fn send(&self, connection: u64, bytes: Bytes<'_>) -> Result<Option<usize>, Interrupted> {
        let mut done = 0;
        while done < bytes.len() {
            let n = (bytes.len() - done).min(PIECE);
            let mut taken = false;
            let waited = self.changed.sleep_intr(|| {
                let mut state = self.state.lock();
                if !state.is(connection) {
                    return true;
                }
                taken = state.heard.len() < HELD_MAX;
                if taken {
                    state.hear(bytes, done, n);
                }
                taken
            });
            match waited {
                Ok(()) if taken => done += n,
                Ok(()) => return Ok(None),
                Err(_) if done != 0 => return Ok(Some(done)),
                Err(interrupted) => return Err(interrupted),
            }
            self.changed.wakeup();
        }
        Ok(Some(done))
    }

    fn handed_over(&self, connection: u64, deadline_ns: u64) -> Result<bool, Interrupted> {
        let mut there = true;
        let waited = self.changed.sleep_until(deadline_ns, || {
            let state = self.state.lock();
            there = state.is(connection);
            !there || state.heard.is_empty()
        });
        match waited {
            Ok(()) => Ok(there),
            Err(Wake::TimedOut) => Ok(false),
            Err(Wake::Interrupted) => Err(Interrupted),
        }
    }

    fn writing(&self) -> &QLock<()> {
        &self.writing
    }
}

/// What finds these ports.
pub fn finder(ports: &[Arc<HostPort>]) -> Finder {
    let ports = ports.to_vec();
    Arc::new(move |put| {
        for port in &ports {
            if !put(&(port.clone() as Arc<dyn Port>)) {
                break;
            }
        }
    })
}
