//! `#C`: the ports of virtio consoles, byte pipes to the host.
//!
//! `virtcon/NAME` is a port, `virtcon/by-name/LABEL` the same one by the name that the host gave it, and
//! `virtcon/by-place/PLACE` by where its device sits: two names that stay when devices come and go. A file
//! belongs, from its open to its close, to one connection of the host: when that is over it reads what is left, then
//! 0, and cannot be written any more. A connection has one reader at a time ([`readers`]). Offsets mean nothing.
//!
//! Which ports there are is asked of the machine each time; who reads is all that the device knows itself. An open
//! channel keeps its port. Lock: the port's own `writing` (a QLock) is held over a write of up to [`WHOLE`] bytes, so
//! that writes do not mix. What is written is in memory, and stays there, before it is taken: a program's memory may
//! have to be paged in from a server behind this very port.
//!
//! A write is over when the device has it; that its host has it, too, is what a close waits for, [`CLOSING_NS`] at most
//! and no longer than until a note comes, and the end of the machine.

pub mod console;
mod readers;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use abi::{Qid, error};
use io::Port;
use io::port::{self, Finder, Room};
use machine::{clock, heap, thread};

use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry, Put};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::mem::iobuf::{Dst, Ready, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::proc::process::Proc;
use crate::proc::scarce;
use console::PortConsole;
use readers::{Readers, Reading};

/// The device. Qid paths: `virtcon` is 1, `by-name` 2, `by-place` 3; a port's files are four times its id and the
/// path of the folder, above 256.
pub struct VirtCon {
    find: Finder,
    console: Option<Arc<PortConsole>>,
    readers: Arc<Readers>,
}

const VIRTCON: u64 = 1;
const BY_NAME: u64 = 2;
const BY_PLACE: u64 = 3;
const PORT: u64 = 0x100;
/// The key of the first folder: behind those of ports.
const FOLDERS: u64 = 1 << 33;
/// Longest write that is not mixed with others: a message of 9P on a channel is no longer.
const WHOLE: usize = 1 << 20;

/// How long the close of what was written to waits for its host, in nanoseconds.
const CLOSING_NS: u64 = 1_000_000_000;
/// How often it is looked whether the machine's end has no time left, in nanoseconds.
const LOOK_NS: u64 = 10_000_000;

/// An open file: what a channel's `aux` is.
struct Open {
    port: Arc<dyn Port>,
    connection: u64,
    /// Something was written that nobody has waited for.
    wrote: AtomicBool,
    /// Kept for its end: the reader's place.
    _reading: Option<Reading>,
}

impl VirtCon {
    /// The device with the ports that `find` finds. Nobody else can open the one that `console` is on.
    pub fn new(find: Finder, console: Option<Arc<PortConsole>>) -> Arc<Self> {
        Arc::new(VirtCon { find, console, readers: Arc::default() })
    }

    fn port(&self, qid: Qid) -> Result<Arc<dyn Port>> {
        let id = qid.path.wrapping_sub(PORT) >> 2;
        port::find(&self.find, |p| u64::from(p.id()) == id).ok_or(error::ENONEXIST.into())
    }

    /// What a port is called in the folder of labels, if it is there: of two with the same label the first has it.
    /// `before` has the labels of all ports before this one.
    fn name_by_label(&self, port: &dyn Port, before: &mut Labels) -> Option<String> {
        let name = port.label().and_then(|label| file_name(&label))?;
        if before.may_have(&name) {
            let same = |p: &dyn Port| p.label().and_then(|label| file_name(&label)).as_ref() == Some(&name);
            let first = port::find(&self.find, same)?;
            return (first.id() == port.id()).then_some(name);
        }
        Some(name)
    }
}

/// Labels that were seen, in eight bytes each: there may be hundreds, as long as the host likes.
#[derive(Default)]
struct Labels {
    sums: Vec<u64>,
    /// There was no memory for one of them.
    forgot: bool,
}

impl Labels {
    /// Whether this label may have been seen. It has been from now on.
    fn may_have(&mut self, label: &str) -> bool {
        // FNV-1a: a host that makes two labels have one sum makes its guest look twice.
        let sum = label
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |sum, b| (sum ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let seen = self.forgot || self.sums.contains(&sum);
        if !seen {
            self.forgot = heap::try_push(&mut self.sums, sum).is_err();
        }
        seen
    }
}

/// The file of a port with this label. What no name can have is replaced by what looks like it: control characters by
/// their pictures, a slash by U+2215. `None` for what leads elsewhere.
fn file_name(label: &str) -> Option<String> {
    let name = abi::quote::one_line(label).replace('/', "\u{2215}");
    (!matches!(&*name, "" | "." | "..")).then_some(name)
}

impl Open {
    /// Writes all of it, not mixed with what others write, but for what a note keeps back.
    fn write(&self, bytes: &Ready<'_>) -> Result<usize> {
        let _alone = self.port.writing().lock_intr()?;
        let sent = self.port.send(self.connection, bytes.bytes());
        // Whoever was told to stop does not wait at the close for what he did not want to wait for here.
        self.wrote.store(matches!(sent, Ok(Some(n)) if n == bytes.len()), Relaxed);
        sent?.ok_or(error::EHUNGUP.into())
    }

    /// Waits for the host to have what was written, if it takes it soon.
    fn hand_over(&self) {
        if self.wrote.swap(false, Relaxed) && thread::may_park() {
            // A host that leaves, or takes nothing, and a note: there is nothing more to wait for.
            let _ = self.port.handed_over(self.connection, clock::now_ns().saturating_add(CLOSING_NS));
        }
    }

    /// Reads what there is, at most what there is room for.
    fn read(&self, dst: &mut Dst<'_>) -> Result<usize> {
        loop {
            let n = self.port.wait(self.connection)?.min(dst.len());
            if n == 0 {
                return Ok(0);
            }
            // The memory may be paged in from a server behind this very port: before anything is taken.
            let pages = dst.pin(0, n)?;
            let mut room = match (&pages, &mut *dst) {
                (Some(pages), _) => Room::Pages(pages),
                (None, Dst::Kernel(bytes)) => Room::Kernel(bytes),
                (None, _) => return Err(error::EBADARG.into()),
            };
            match self.port.take(self.connection, &mut room) {
                // Another one with the same descriptor was faster.
                0 => {}
                n => return Ok(n),
            }
        }
    }
}

impl Dev for VirtCon {
    fn letter(&self) -> char {
        'C'
    }

    fn name(&self) -> &'static str {
        "virtcon"
    }

    fn each(&self, _up: &Arc<Proc>, _c: &Chan, dir: Qid, after: u64, put: Put<'_>) -> Result<()> {
        if dir.path == 0 {
            return dirtab::only(Entry::dir("virtcon", VIRTCON, 0o555), after, put);
        }
        let (mut any, mut wanted) = (false, true);
        let mut before = Labels::default();
        (self.find)(&mut |port| {
            any = true;
            // Ids begin with 0, keys with 1.
            let (id, key) = (u64::from(port.id()), u64::from(port.id()) + 1);
            let name = match dir.path {
                BY_NAME => self.name_by_label(&**port, &mut before),
                _ if key <= after => None,
                BY_PLACE => Some(port.place()),
                _ => Some(port.name()),
            };
            if key > after
                && let Some(name) = name
            {
                // A server behind it does not know who of this machine asks.
                wanted = put(key, Entry::named(name, (id << 2 | dir.path) + PORT, 0o660));
            }
            wanted
        });
        if dir.path != VIRTCON || !any || !wanted {
            return Ok(());
        }
        // Behind all ports.
        for (key, name, path) in [(FOLDERS, "by-name", BY_NAME), (FOLDERS + 1, "by-place", BY_PLACE)] {
            let labelled = |p: &dyn Port| p.label().and_then(|label| file_name(&label)).is_some();
            let there = path == BY_PLACE || port::find(&self.find, labelled).is_some();
            if there && key > after && !put(key, Entry::dir(name, path, 0o555)) {
                break;
            }
        }
        Ok(())
    }

    fn parent(&self, _c: &Chan, file: Qid) -> Qid {
        match file.path {
            VIRTCON => Qid::dir(0),
            BY_NAME | BY_PLACE => Qid::dir(VIRTCON),
            path => Qid::dir(path & 3),
        }
    }

    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        // Truncating a pipe is harmless: `>` to one must work.
        let mut c = dirtab::open(self, up, c, mode)?;
        if !c.qid.is_dir() {
            let port = self.port(c.qid)?;
            if self.console.as_ref().is_some_and(|console| console.is_on(&*port)) {
                return Err(error::EINUSE.into());
            }
            let reads = c.mode.is_some_and(|mode| dirtab::access(mode) & abi::AREAD != 0);
            let reading = if reads { Some(self.readers.enter(&*port)?) } else { None };
            let connection = reading.as_ref().map_or_else(|| port.open(), Reading::connection);
            c.aux =
                Some(Arc::new(Open { port, connection, wrote: AtomicBool::new(false), _reading: reading }));
        }
        Ok(c.share())
    }

    fn close(&self, c: &mut Chan) {
        if let Ok(open) = c.aux::<Open>() {
            open.hand_over();
        }
    }

    fn finish(&self, _kernel: &Kernel, leave: &dyn Fn() -> bool) {
        let end = clock::now_ns().saturating_add(CLOSING_NS);
        (self.find)(&mut |port| {
            while !leave()
                && clock::now_ns() < end
                && port.handed_over(port.connection(), clock::now_ns().saturating_add(LOOK_NS)) == Ok(false)
                && port.connected()
            {}
            !leave()
        });
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() {
            return dirtab::read_dir(self, up, c, dst, offset);
        }
        let open = c.aux::<Open>()?;
        if dst.is_empty() {
            return Ok(0);
        }
        open.read(dst)
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, _offset: u64) -> Result<usize> {
        let open = c.aux::<Open>()?;
        let mut done = 0;
        loop {
            // The memory may be paged in from a server behind this very port: before the lock.
            let n = (src.len() - done).min(WHOLE);
            let ready =
                if done == 0 { src.ready(0, n) } else { scarce::patiently(up, || src.ready(done, n)) };
            match ready.and_then(|ready| open.write(&ready).map(|n| (n, ready.len()))) {
                Ok((n, len)) if n == len => done += n,
                Ok((n, _)) => return Ok(done + n),
                // What went out before a note came, or memory was out, counts.
                Err(e) if done == 0 || e.is(error::EHUNGUP) => return Err(e),
                Err(_) => return Ok(done),
            }
            if done == src.len() {
                return Ok(done);
            }
        }
    }

    fn is_stream(&self, c: &Chan) -> bool {
        !c.qid.is_dir()
    }
}
