//! A port whose host is the test.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use io::port::{Finder, PIECE, Port};
use machine::lock::Lock;
use machine::sync::{Interrupted, QLock, Rendez};

#[derive(Default)]
pub struct Fake {
    pub id: u32,
    pub label: Option<&'static str>,
    pub console: bool,
    /// How often it was asked for its label.
    pub asked: AtomicUsize,
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

    /// All that the host has heard.
    pub fn heard(&self) -> Vec<u8> {
        self.state.lock().heard.concat()
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

    fn watch(&self, watcher: Box<dyn Fn() + Send + Sync>) {
        *self.watcher.lock() = Some(watcher);
    }

    fn open(&self) -> u64 {
        let mut state = self.state.lock();
        state.opens += 1;
        state.connection
    }

    fn read(&self, connection: u64, max: usize) -> Result<Vec<u8>, Interrupted> {
        let mut got = vec![];
        self.changed.sleep_intr(|| {
            let mut state = self.state.lock();
            if state.connection != connection {
                return true;
            }
            got = state.from_host.pop_front().unwrap_or_default();
            assert!(got.len() <= max);
            !got.is_empty()
        })?;
        Ok(got)
    }

    fn write(&self, connection: u64, bytes: &[u8]) -> Result<bool, Interrupted> {
        assert!(bytes.len() <= PIECE && self.writing.try_lock().is_none());
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
            machine::host::heap::aside(|| state.heard.push(bytes.to_vec()));
            taken = Ok(true);
            true
        })?;
        taken
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
