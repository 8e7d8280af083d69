//! A port whose host is the test.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use io::port::{Bytes, Finder, PIECE, Port, Room};
use machine::lock::Lock;
use machine::sync::{Interrupted, QLock, Rendez, Wake};

#[derive(Default)]
pub struct Fake {
    pub id: u32,
    pub label: Option<&'static str>,
    pub console: bool,
    /// How often it was asked for its label.
    pub asked: AtomicUsize,
    /// How often somebody wanted to know when all is handed over.
    pub waits: AtomicUsize,
    pub state: Lock<State>,
    changed: Rendez,
    writing: QLock<()>,
    watcher: Lock<Option<Box<dyn Fn() + Send + Sync>>>,
}

#[derive(Default)]
pub struct State {
    pub opens: i32,
    pub connected: bool,
    pub connection: u64,
    pub from_host: VecDeque<Vec<u8>>,
    /// What the host has heard, piece by piece.
    pub heard: Vec<Vec<u8>>,
    /// Takes nothing.
    pub stuck: bool,
    /// Does not hand over what it has taken.
    pub keeps: bool,
    /// Pieces that are taken before a note comes.
    pub patience: Option<usize>,
}

impl Fake {
    /// A port with the host at it.
    pub fn there(id: u32, console: bool) -> Fake {
        let fake = Fake { id, console, ..Fake::default() };
        fake.state.lock().connected = true;
        fake
    }

    pub fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.state.lock());
        self.changed.wakeup();
        if let Some(told) = &*self.watcher.lock() {
            told();
        }
    }

    pub fn connect(&self) {
        self.change(|s| s.connected = true);
    }

    pub fn leave(&self) {
        self.change(|s| {
            s.connected = false;
            s.connection += 1;
        });
    }

    pub fn says(&self, text: &str) {
        self.change(|s| s.from_host.push_back(text.into()));
    }

    /// What the host has heard, when that is enough.
    pub fn hears(&self, enough: impl Fn(&str) -> bool) -> String {
        wait_for(|| Some(String::from_utf8_lossy(&self.heard()).into_owned()).filter(|s| enough(s)))
    }

    /// How many wait for something here.
    pub fn waiting(&self) -> usize {
        self.changed.sleepers()
    }

    /// All that the host has heard.
    pub fn heard(&self) -> Vec<u8> {
        self.state.lock().heard.concat()
    }
}

impl Fake {
    /// Hears a piece, if its connection is not over.
    fn piece(&self, connection: u64, bytes: Bytes<'_>, at: usize, n: usize) -> Result<bool, Interrupted> {
        let mut taken = Ok(false);
        self.changed.sleep_intr(|| {
            let mut state = self.state.lock();
            if !state.connected || state.connection != connection {
                return true;
            }
            if state.stuck {
                return false;
            }
            if let Some(left) = &mut state.patience {
                let Some(less) = left.checked_sub(1) else {
                    taken = Err(Interrupted);
                    return true;
                };
                *left = less;
            }
            machine::host::heap::aside(|| {
                let dma = machine::dma::Dma::new(n).unwrap();
                bytes.copy_to(at, &dma, 0, n);
                let mut piece = vec![0; n];
                dma.read(0, &mut piece);
                state.heard.push(piece);
            });
            taken = Ok(true);
            true
        })?;
        taken
    }
}

impl Port for Fake {
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
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.label.map(String::from)
    }

    fn is_console(&self) -> bool {
        self.console
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

    fn watch(&self, watcher: Box<dyn Fn() + Send + Sync>) {
        *self.watcher.lock() = Some(watcher);
    }

    fn open(&self) -> u64 {
        let mut state = self.state.lock();
        state.opens += 1;
        state.connection
    }

    fn wait(&self, connection: u64) -> Result<usize, Interrupted> {
        let mut there = 0;
        self.changed.sleep_intr(|| {
            let state = self.state.lock();
            there = match state.connection == connection {
                true => state.from_host.front().map_or(0, Vec::len),
                false => 0,
            };
            there != 0 || state.connection != connection
        })?;
        Ok(there)
    }

    fn take(&self, connection: u64, room: &mut Room<'_>) -> usize {
        let mut state = self.state.lock();
        if state.connection != connection {
            return 0;
        }
        let Some(front) = state.from_host.front_mut() else { return 0 };
        let n = front.len().min(room.len());
        machine::host::heap::aside(|| {
            let dma = machine::dma::Dma::new(n).unwrap();
            dma.write(0, &front[..n]);
            room.copy_from(0, &dma, 0, n);
        });
        front.drain(..n);
        if front.is_empty() {
            state.from_host.pop_front();
        }
        n
    }

    fn send(&self, connection: u64, bytes: Bytes<'_>) -> Result<Option<usize>, Interrupted> {
        assert!(self.writing.try_lock().is_none());
        let mut done = 0;
        loop {
            let n = (bytes.len() - done).min(PIECE);
            match self.piece(connection, bytes, done, n) {
                Ok(true) => done += n,
                Ok(false) => return Ok(None),
                Err(_) if done != 0 => return Ok(Some(done)),
                Err(interrupted) => return Err(interrupted),
            }
            if done == bytes.len() {
                return Ok(Some(done));
            }
        }
    }

    fn handed_over(&self, connection: u64, deadline_ns: u64) -> Result<bool, Interrupted> {
        self.waits.fetch_add(1, Ordering::Relaxed);
        let mut alive = true;
        let waited = self.changed.sleep_until(deadline_ns, || {
            let state = self.state.lock();
            alive = state.connected && state.connection == connection;
            !alive || !state.keeps
        });
        match waited {
            Ok(()) => Ok(alive),
            Err(Wake::TimedOut) => Ok(false),
            Err(Wake::Interrupted) => Err(Interrupted),
        }
    }

    fn writing(&self) -> &QLock<()> {
        &self.writing
    }
}

/// What finds these ports.
pub fn finder(ports: &[Arc<Fake>]) -> Finder {
    let ports = ports.to_vec();
    Arc::new(move |put| {
        for port in &ports {
            if !put(&(port.clone() as Arc<dyn Port>)) {
                break;
            }
        }
    })
}

/// Waits for something that other threads do.
pub fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}
