//! `#t`: serial lines, three files each: `eia0`, `eia0ctl`, `eia0status`.
//!
//! The first line is usually the console, too. While somebody has `eia0` open for reading, what arrives goes
//! to him and not to the console.
//!
//! Locks: `Port::input` guards what has arrived and is a leaf, taken in interrupt context; it is as deep as
//! [`DEEP`] and does not grow there.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use abi::{Qid, error};
use io::{ConsoleOut, Serial};
use machine::lock::Lock;
use machine::sync::{QLock, Rendez};

use super::cons::input::Input;
use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry};
use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::proc::process::Proc;
use crate::proc::scarce;

/// Bytes that may wait on a line.
pub(crate) const DEEP: usize = 64 * 1024;
/// Bytes written at a time.
const PIECE: usize = 4096;

/// A serial line and the console that gets its input while nobody reads it.
pub type LineOf = (Arc<dyn Serial>, Option<Arc<Input>>);

struct Port {
    serial: Arc<dyn Serial>,
    input: Lock<VecDeque<u8>>,
    arrived: Rendez,
    readers: AtomicU32,
    writers: QLock<()>,
    lost: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    console: Option<Arc<Input>>,
}

impl Port {
    fn receive(&self, bytes: &[u8]) {
        self.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if self.readers.load(Ordering::Relaxed) == 0 {
            match &self.console {
                Some(console) => console.put(bytes),
                None => {
                    self.lost.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }
            }
            return;
        }
        {
            let mut input = self.input.lock();
            let fits = bytes.len().min(DEEP - input.len().min(DEEP));
            input.extend(bytes.iter().take(fits));
            self.lost.fetch_add((bytes.len() - fits) as u64, Ordering::Relaxed);
        }
        self.arrived.wakeup();
    }

    fn read(&self, dst: &mut Dst<'_>) -> Result<usize> {
        let max = dst.len();
        let mut got: Vec<u8> = Vec::with_capacity(max.min(PIECE));
        self.arrived.sleep_intr(|| {
            let mut input = self.input.lock();
            let n = input.len().min(max).min(PIECE);
            got.extend(input.drain(..n));
            n != 0 || max == 0
        })?;
        dst.put(0, &got)?;
        Ok(got.len())
    }

    fn send(&self, bytes: &[u8]) {
        self.serial.write(bytes);
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }

    fn status(&self) -> String {
        format!(
            "b{} l8 pn s1\nreceived {} sent {} lost {}\n",
            self.serial.baud(),
            self.received.load(Ordering::Relaxed),
            self.sent.load(Ordering::Relaxed),
            self.lost.load(Ordering::Relaxed),
        )
    }

    /// Settings are checked word by word; a line that is what is asked for already has nothing to do.
    fn control(&self, text: &str) -> Result<()> {
        for word in text.split_whitespace() {
            let baud = word.strip_prefix(['b', 'B']).map(|n| n.parse() == Ok(self.serial.baud()));
            // Modem lines and flow control are as the machine has them.
            let known = ["l8", "pn", "s1", "d0", "d1", "r0", "r1", "m0", "i1", "f", "h"];
            if baud != Some(true) && !known.contains(&word) {
                return Err(error::EBADCTL.into());
            }
        }
        Ok(())
    }
}

/// The console on a serial line, for [`Kmesg`](crate::kmesg::Kmesg).
pub struct SerialConsole(pub Arc<dyn Serial>);

impl ConsoleOut for SerialConsole {
    fn write(&self, bytes: &[u8]) {
        self.0.write(bytes);
    }
}

/// The device. Qid paths: four times the line's number, plus 1 data, 2 ctl, 3 status.
pub struct Uart {
    ports: Vec<Arc<Port>>,
}

impl Uart {
    /// The device with these lines. What arrives on a line nobody reads goes to `console`, when it has one.
    pub fn new(lines: Vec<LineOf>) -> Arc<Self> {
        let port = |(serial, console): LineOf| {
            let port = Arc::new(Port {
                serial: serial.clone(),
                input: Lock::new(VecDeque::with_capacity(DEEP)),
                arrived: Rendez::new(),
                readers: AtomicU32::new(0),
                writers: QLock::new(()),
                lost: AtomicU64::new(0),
                received: AtomicU64::new(0),
                sent: AtomicU64::new(0),
                console,
            });
            let receiver = port.clone();
            serial.set_receiver(Box::new(move |bytes| receiver.receive(bytes)));
            port
        };
        Arc::new(Uart { ports: lines.into_iter().map(port).collect() })
    }

    fn port(&self, qid: Qid) -> Result<&Arc<Port>> {
        let n = usize::try_from(qid.path / 4).ok();
        n.and_then(|n| self.ports.get(n)).ok_or(error::ENONEXIST.into())
    }
}

/// Is this the data file of a line, open for reading?
fn reads(c: &Chan) -> bool {
    c.qid.path % 4 == 1 && c.mode.is_some_and(|m| dirtab::access(m) & abi::AREAD != 0)
}

impl Dev for Uart {
    fn letter(&self) -> char {
        't'
    }

    fn name(&self) -> &'static str {
        "uart"
    }

    fn list(&self, _up: &Arc<Proc>, _c: &Chan, _dir: Qid) -> Result<Vec<Entry>> {
        let mut out = Vec::new();
        for n in 0..self.ports.len() {
            for (suffix, kind, perm) in [("", 1, 0o660), ("ctl", 2, 0o660), ("status", 3, 0o444)] {
                out.push(Entry::named(format!("eia{n}{suffix}"), n as u64 * 4 + kind, perm));
            }
        }
        Ok(out)
    }

    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        let c = dirtab::open(self, up, c, mode)?;
        if reads(&c) {
            self.port(c.qid)?.readers.fetch_add(1, Ordering::Relaxed);
        }
        Ok(c.share())
    }

    fn close(&self, c: &mut Chan) {
        if reads(c)
            && let Ok(port) = self.port(c.qid)
            && port.readers.fetch_sub(1, Ordering::Relaxed) == 1
        {
            port.input.lock().clear();
        }
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() {
            return dirtab::read_dir(self, up, c, dst, offset);
        }
        let port = self.port(c.qid)?;
        match c.qid.path % 4 {
            1 => port.read(dst),
            2 => dst.put_from(format!("{:>11} ", c.qid.path / 4).as_bytes(), offset),
            _ => dst.put_from(port.status().as_bytes(), offset),
        }
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, _offset: u64) -> Result<usize> {
        let port = self.port(c.qid)?;
        if c.qid.path % 4 == 2 {
            let bytes = src.to_vec(128)?;
            port.control(core::str::from_utf8(&bytes).map_err(|_| error::EBADCTL)?)?;
            return Ok(bytes.len());
        }
        let mut done = 0;
        while done < src.len() && up.may_go_on(done) {
            let Some(piece) = scarce::piece(up, src, done, PIECE)? else { break };
            let _alone = port.writers.lock_intr()?;
            port.send(&piece);
            done += piece.len();
        }
        Ok(done)
    }
}
