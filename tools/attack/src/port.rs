//! The host's ends of a machine's ports: servers that lie, or somebody who says `pong` to a `ping`.
//!
//! A thread for each port is connected to QEMU's socket as long as the machine lives, and again when it has closed
//! the connection itself, which is one of the things that such a server does. What it is changes with the round.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ninep::testserver::hostile::{Act, Hostile};
use ninep::{Dialect, Framer};

/// What is at the other end of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// Answers the line `ping` with the line `pong`.
    Echo,
    /// A server of this dialect that lies, by this seed.
    Liar(Dialect, u64),
    /// Nobody any more.
    Gone,
}

/// The largest request that is read.
const MSIZE: u32 = 1 << 21;

/// A port of a machine.
pub struct Port {
    path: PathBuf,
    other: Arc<Mutex<(u64, Other)>>,
    /// How many connections there have been.
    connections: Arc<AtomicU64>,
    now: Arc<Now>,
}

/// What the host's end is about, for who wants to know.
#[derive(Default)]
struct Now {
    what: Mutex<&'static str>,
    /// Bytes that came by this connection.
    heard: AtomicU64,
}

impl Now {
    fn is(&self, what: &'static str) {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }
}

impl Port {
    /// One whose socket is `name` in a folder; nobody is there yet.
    pub fn new(folder: &Path, name: &str) -> Port {
        let path = folder.join(name);
        let other = Arc::new(Mutex::new((0, Other::Echo)));
        let port = Port { path, other, connections: Arc::default(), now: Arc::default() };
        let (path, other, connections) = (port.path.clone(), port.other.clone(), port.connections.clone());
        let now = port.now.clone();
        std::thread::spawn(move || serve(&path, &other, &connections, &now));
        port
    }

    /// What the host's end is about, and how many bytes came by its connection.
    pub fn doing(&self) -> (&'static str, u64) {
        let what = *self.now.what.lock().unwrap_or_else(PoisonError::into_inner);
        (what, self.now.heard.load(Ordering::Relaxed))
    }

    /// QEMU's arguments for it.
    pub fn arguments(&self, name: &str, number: usize) -> [String; 4] {
        [
            "-chardev".into(),
            format!("socket,id={name},path={},server=on,wait=off", self.path.display()),
            "-device".into(),
            format!("virtserialport,chardev={name},name={name},nr={number}"),
        ]
    }

    /// From now on somebody else is there. The connection is a new one.
    pub fn becomes(&self, other: Other) {
        let before = self.connections.load(Ordering::Relaxed);
        let mut now = self.other.lock().unwrap_or_else(PoisonError::into_inner);
        *now = (now.0 + 1, other);
        drop(now);
        // The machine is to meet the new one; if it does not come, that is seen soon enough.
        for _ in 0..100 {
            if self.connections.load(Ordering::Relaxed) > before || other == Other::Gone {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.becomes(Other::Gone);
    }
}

fn serve(path: &Path, other: &Mutex<(u64, Other)>, connections: &AtomicU64, doing: &Now) {
    let now = || *other.lock().unwrap_or_else(PoisonError::into_inner);
    let mut served = 0;
    loop {
        let (generation, who) = now();
        if who == Other::Gone {
            return;
        }
        let Ok(stream) = UnixStream::connect(path) else {
            doing.is("tries to connect");
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        doing.heard.store(0, Ordering::Relaxed);
        connections.fetch_add(1, Ordering::Relaxed);
        served += 1;
        let timed = stream.set_read_timeout(Some(Duration::from_millis(50)));
        if timed.and(stream.set_write_timeout(Some(Duration::from_millis(500)))).is_err() {
            return;
        }
        let still = || now().0 == generation;
        // The connection's end is what it is: the machine's, or ours.
        let _ = match who {
            Other::Liar(dialect, seed) => lie(&stream, dialect, seed + served, &still, doing),
            _ => echo(&stream, &still, doing),
        };
        doing.is("has closed it");
        drop(stream);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Reads some bytes; nothing at the end, or when it is somebody else's turn.
fn some(
    mut stream: &UnixStream,
    buffer: &mut [u8],
    still: &dyn Fn() -> bool,
    doing: &Now,
) -> std::io::Result<usize> {
    while still() {
        match stream.read(buffer) {
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            other => {
                doing.heard.fetch_add(other.as_ref().map_or(0, |n| *n as u64), Ordering::Relaxed);
                return other;
            }
        }
    }
    Ok(0)
}

fn echo(mut stream: &UnixStream, still: &dyn Fn() -> bool, doing: &Now) -> std::io::Result<()> {
    let (mut line, mut buffer) = (Vec::new(), [0; 512]);
    loop {
        doing.is("listens for a ping");
        let n = some(stream, &mut buffer, still, doing)?;
        if n == 0 {
            return Ok(());
        }
        line.extend_from_slice(buffer.get(..n).unwrap_or_default());
        if line.ends_with(b"ping\n") {
            line.clear();
            doing.is("says pong");
            stream.write_all(b"pong\n")?;
        }
    }
}

fn lie(
    mut stream: &UnixStream,
    dialect: Dialect,
    seed: u64,
    still: &dyn Fn() -> bool,
    doing: &Now,
) -> std::io::Result<()> {
    let mut seed = seed;
    let mut hostile = Hostile::new(dialect, seed);
    let mut framer = Framer::new(MSIZE);
    let mut buffer = vec![0; 65_536];
    loop {
        doing.is("lies");
        let n = some(stream, &mut buffer, still, doing)?;
        if n == 0 {
            return Ok(());
        }
        framer.push(buffer.get(..n).unwrap_or_default());
        while let Ok(Some(request)) = framer.next_message() {
            // A new session gets a new character.
            if request.get(4) == Some(&ninep::kind::TVERSION) {
                seed = seed.wrapping_add(1 << 20);
                hostile = Hostile::new(dialect, seed);
            }
            for act in hostile.answer(request) {
                match act {
                    Act::Send(bytes) => stream.write_all(&bytes)?,
                    Act::Wait(ms) => std::thread::sleep(Duration::from_millis(ms.into())),
                    Act::Close => return Ok(()),
                }
            }
        }
    }
}
