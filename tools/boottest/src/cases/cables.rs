//! A cable that is pulled, and a machine that stands still, while the machine sends. (What it receives meanwhile is
//! `dial/cable`'s.)

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;

use super::dial::{LISTENS, MUCH, machine};
use super::load::noise;
use crate::case::{Case, World};

pub fn cases() -> Vec<Case> {
    vec![cable_out()]
}

/// The host's program that takes what the machine sends, a little at a time.
#[derive(Default)]
struct Taker {
    place: Mutex<Option<SocketAddr>>,
    taken: AtomicUsize,
    thread: Mutex<Option<JoinHandle<Result<Vec<u8>>>>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Taker {
    /// Remembers where the machine is called, which QEMU has just told.
    fn find(&self, w: &World) -> Result<()> {
        *lock(&self.place) = Some(w.forwarded(7)?);
        noise(&w.folder("host")?.join("big"), MUCH)
    }

    /// Calls the machine, and waits until something has come.
    fn begin(self: &Arc<Self>) -> Result<()> {
        let place = *lock(&self.place);
        let mut stream = TcpStream::connect(place.context("nobody is to be called")?)?;
        stream.set_read_timeout(Some(Duration::from_secs(100)))?;
        self.taken.store(0, Ordering::SeqCst);
        let this = self.clone();
        let takes = move || {
            let (mut all, mut piece) = (Vec::new(), vec![0; 50_000]);
            loop {
                let n = stream.read(&mut piece).context("nothing comes")?;
                all.extend_from_slice(&piece[..n]);
                this.taken.store(all.len(), Ordering::SeqCst);
                if n == 0 {
                    return Ok(all);
                }
                // So that the machine is in the middle of it for some seconds.
                sleep(Duration::from_millis(n as u64 / 8000));
            }
        };
        let thread = spawn(takes);
        while self.taken.load(Ordering::SeqCst) == 0 {
            ensure!(!thread.is_finished(), "nothing has come");
            sleep(Duration::from_millis(1));
        }
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// All of it comes, and is what it was.
    fn end(&self, w: &World) -> Result<()> {
        let thread = lock(&self.thread).take().context("nobody takes anything")?;
        let got = thread.join().map_err(|_| anyhow!("who takes it has panicked"))??;
        ensure!(got == fs::read(w.folder("host")?.join("big"))?, "other bytes have come: {}", got.len());
        Ok(())
    }
}

/// See the module comment.
fn cable_out() -> Case {
    let taker = Arc::new(Taker::default());
    let [first, second, third] = [(); 3].map(|()| taker.clone());
    let begins = |taker: &Arc<Taker>| {
        let taker = taker.clone();
        move |_: &World| taker.begin()
    };
    let ends = |taker: &Arc<Taker>| {
        let taker = taker.clone();
        move |w: &World| taker.end(w)
    };
    let is_under_way = |taker: Arc<Taker>| {
        move |_: &World| {
            ensure!((taker.taken.load(Ordering::SeqCst) as u64) < MUCH, "all of it has come before");
            Ok(())
        }
    };
    machine("dial/cable-out", &[7])
        .check(move |w| first.find(w))
        .line(format!("aux/listen1 -t 'tcp!*!7' cat /n/host/big & {LISTENS}"))
        .is("")
        .check(begins(&taker))
        .qmp("set_link", json!({ "name": "n0", "up": false }))
        .waits(4)
        .check(is_under_way(second))
        .qmp("set_link", json!({ "name": "n0", "up": true }))
        .check(ends(&taker))
        .check(begins(&taker))
        .qmp("stop", json!({}))
        .waits(10)
        .check(is_under_way(third))
        .qmp("cont", json!({}))
        .check(ends(&taker))
        .line("netstat -n | grep -c Established")
        .is("0\n")
        .pinned()
        .budget(120)
}
