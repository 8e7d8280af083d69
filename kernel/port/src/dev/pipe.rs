//! `#|`: pipes. Each attach makes a new one with two ends, `data` and `data1`, both for reading and writing.
//!
//! What is written stays in pieces: a read gives bytes of one write only, the rest waits for the next. A write of up
//! to [`ATOMIC`] bytes goes in whole; larger ones are cut. A writer waits while the other side has [`CAPACITY`] bytes
//! unread, where each piece counts [`PIECE_COST`] more than it has; and while there is no memory for more, as any call
//! that writes does ([`scarce`]). When an end is closed for the last time the other
//! reads what is left, then 0 a few times, then an error, and cannot write any more. When both are closed the pipe is
//! as new.
//!
//! Locks: one `Lock` for each direction, a leaf; nobody sleeps or copies user memory under it.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut, Range};

use abi::{Qid, error};
use machine::heap;
use machine::ledger::for_long;
use machine::lock::Lock;
use machine::sync::Rendez;

use crate::dev::dirtab::{self, Entry};
use crate::dev::{Dev, Root};
use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::pools::{Counted, PIPES};
use crate::proc::notes::{self, NoteClass};
use crate::proc::process::Proc;
use crate::proc::scarce;

/// Bytes that may wait unread in one direction before a writer has to wait.
pub(crate) const CAPACITY: usize = 256 * 1024;
/// What a piece counts for beside its bytes.
const PIECE_COST: usize = 128;
/// What waits unread beyond this leaves alone what is set aside for the owner: the pipe's reader does not keep up, and
/// may not be there at all.
const QUICK: usize = 16 * 1024;
/// Longest write that is not cut: Plan 9's, which programs that pass messages on rely on.
pub(crate) const ATOMIC: usize = 64 * 1024;
/// Bytes that a piece has in itself: less than it [costs](PIECE_COST).
const FEW: usize = 47;
/// How often a read from a closed pipe gives 0 before it fails.
const EOFS: u32 = 3;

/// The device.
pub struct Pipe;

impl Pipe {
    /// The device.
    pub fn new() -> Arc<Self> {
        Arc::new(Pipe)
    }
}

/// A pipe: `queues[i]` is what end `i` reads.
#[derive(Default)]
struct Ends {
    queues: [Queue; 2],
    /// Channels open on each end.
    open: Lock<[u32; 2]>,
    _counted: Counted<PIPES>,
}

#[derive(Default)]
struct Queue {
    state: Lock<State>,
    filled: Rendez,
    emptied: Rendez,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// The writing end is closed.
    no_writer: bool,
    /// The reading end is closed.
    no_reader: bool,
    /// Reads that found the end.
    eofs: u32,
}

/// What is left of one write.
struct Piece {
    bytes: Bytes,
    at: usize,
}

/// Bytes of a piece. Few of them need no memory of their own, and a part of many needs none either: who reads it has
/// the piece with others.
enum Bytes {
    Few([u8; FEW], u8),
    Many(Vec<u8>),
    Part(Arc<Vec<u8>>, Range<usize>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Few(bytes, len) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Bytes::Many(bytes) => bytes,
            Bytes::Part(bytes, part) => bytes.get(part.clone()).unwrap_or_default(),
        }
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Bytes::Few(bytes, len) => bytes.get_mut(..usize::from(*len)).unwrap_or_default(),
            Bytes::Many(bytes) => bytes,
            // Nobody fills in what has been read already.
            Bytes::Part(..) => &mut [],
        }
    }
}

impl Bytes {
    /// None.
    const fn none() -> Bytes {
        Bytes::Few([0; FEW], 0)
    }

    /// So many zeros, if they are few.
    fn few(len: usize) -> Option<Bytes> {
        (len <= FEW).then_some(Bytes::Few([0; FEW], len as u8))
    }

    /// The bytes `from..to`, which are not copied if they are many.
    fn part(&mut self, from: usize, to: usize) -> Bytes {
        if let Some(mut few) = Bytes::few(to - from) {
            few.copy_from_slice(self.get(from..to).unwrap_or(&[]));
            return few;
        }
        if let Bytes::Many(bytes) = self {
            let (len, bytes) = (bytes.len(), core::mem::take(bytes));
            *self = Bytes::Part(Arc::new(bytes), 0..len);
        }
        match self {
            Bytes::Part(bytes, _) => Bytes::Part(bytes.clone(), from..to),
            // They are no more than are few.
            _ => Bytes::none(),
        }
    }
}

/// What a read finds.
enum Taken {
    Bytes(Bytes),
    End,
    HungUp,
}

impl State {
    /// Is there so much unread that a writer has to wait? Every piece costs something beside its bytes, which may be
    /// none.
    fn is_full(&self) -> bool {
        self.bytes + self.pieces.len() * PIECE_COST >= CAPACITY
    }

    /// Takes up to `max` bytes; `None` when the reader has to wait.
    fn take(&mut self, max: usize) -> Option<Taken> {
        let Some(piece) = self.pieces.front_mut() else {
            if !self.no_writer {
                return None;
            }
            self.eofs += 1;
            return Some(if self.eofs > EOFS { Taken::HungUp } else { Taken::End });
        };
        let left = piece.bytes.len() - piece.at;
        let n = left.min(max);
        let bytes = if n == left && piece.at == 0 {
            core::mem::replace(&mut piece.bytes, Bytes::none())
        } else {
            piece.bytes.part(piece.at, piece.at + n)
        };
        piece.at += n;
        if n == left {
            self.pieces.pop_front();
        }
        self.bytes -= n;
        Some(Taken::Bytes(bytes))
    }
}

impl Queue {
    fn read(&self, dst: &mut Dst<'_>) -> Result<usize> {
        let max = dst.len();
        let mut taken = None;
        self.filled.sleep_intr(|| {
            taken = self.state.lock().take(max);
            taken.is_some()
        })?;
        match taken {
            Some(Taken::Bytes(bytes)) => {
                self.emptied.wakeup();
                dst.put(0, &bytes)?;
                Ok(bytes.len())
            }
            Some(Taken::HungUp) => Err(error::EHUNGUP.into()),
            Some(Taken::End) | None => Ok(0),
        }
    }

    /// Bytes for a piece.
    ///
    /// # Errors
    /// No memory. Whoever reads may give some back, so it is for the caller to wait.
    fn room(&self, len: usize) -> Result<Bytes> {
        match Bytes::few(len) {
            Some(few) => Ok(few),
            None => self.much_room(len),
        }
    }

    #[inline(never)]
    fn much_room(&self, len: usize) -> Result<Bytes> {
        if let Ok(piece) = for_long(|| heap::try_bytes(len)) {
            return Ok(Bytes::Many(piece));
        }
        let (had, alone) = {
            let state = self.state.lock();
            (state.bytes, state.no_reader)
        };
        match alone {
            // It says so when they are put in.
            true => Ok(Bytes::none()),
            false if had + len <= QUICK => Ok(Bytes::Many(heap::try_bytes(len)?)),
            false => Err(error::ENOMEM.into()),
        }
    }

    /// Adds one piece, when there is room. `Ok(false)`: nobody will read it.
    fn write(&self, bytes: Bytes) -> Result<bool> {
        let mut alive = true;
        let mut memory = true;
        let mut piece = Some(bytes);
        let slept = self.emptied.sleep_intr(|| {
            let mut state = self.state.lock();
            if state.no_reader {
                alive = false;
                return true;
            }
            if state.is_full() {
                return false;
            }
            memory = heap::try_reserve(&mut state.pieces, 1).is_ok();
            if memory && let Some(bytes) = piece.take() {
                state.bytes += bytes.len();
                state.pieces.push_back(Piece { bytes, at: 0 });
            }
            true
        });
        slept?;
        if !memory {
            return Err(error::ENOMEM.into());
        }
        self.filled.wakeup();
        Ok(alive)
    }

    fn wake_all(&self) {
        self.filled.wakeup();
        self.emptied.wakeup();
    }
}

impl Ends {
    /// End `i` is closed for the last time.
    fn hang_up(&self, i: usize) {
        let [a, b] = &self.queues;
        let (mine, theirs) = if i == 0 { (a, b) } else { (b, a) };
        // Nobody reads what is left.
        let unread = {
            let mut state = mine.state.lock();
            state.no_reader = true;
            state.bytes = 0;
            core::mem::take(&mut state.pieces)
        };
        drop(unread);
        {
            let mut state = theirs.state.lock();
            state.no_writer = true;
        }
        mine.wake_all();
        theirs.wake_all();
    }

    /// Both ends are closed: whoever opens it next finds it as new.
    fn renew(&self) {
        for q in &self.queues {
            let old = core::mem::take(&mut *q.state.lock());
            drop(old);
        }
    }
}

/// Which end a file is.
fn end_of(c: &Chan) -> usize {
    usize::from(c.qid.path == 2)
}

impl Dev for Pipe {
    fn letter(&self) -> char {
        '|'
    }

    fn name(&self) -> &'static str {
        "pipe"
    }

    fn attach(&self, up: &Arc<Proc>, spec: &str) -> Result<Root> {
        let root = Root::of_only_tree(spec)?;
        Ok(Root { devno: up.kernel.new_id(), aux: Some(Arc::new(Ends::default())), ..root })
    }

    fn list(&self, _up: &Arc<Proc>, c: &Chan, _dir: Qid) -> Result<Vec<Entry>> {
        let ends = c.aux::<Ends>()?;
        let mut files = [Entry::file("data", 1, 0o666), Entry::file("data1", 2, 0o666)];
        for (file, q) in files.iter_mut().zip(&ends.queues) {
            file.length = q.state.lock().bytes as u64;
        }
        Ok(files.to_vec())
    }

    fn root_entry(&self) -> Entry {
        Entry::dir("", 0, 0o500)
    }

    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        // Truncating a pipe is harmless: `>` to one must work.
        let c = dirtab::open(self, up, c, mode)?;
        if !c.qid.is_dir() {
            let ends = c.aux::<Ends>()?;
            if let Some(n) = ends.open.lock().get_mut(end_of(&c)) {
                *n += 1;
            }
        }
        Ok(c.share())
    }

    fn close(&self, c: &mut Chan) {
        let Ok(ends) = c.aux::<Ends>() else { return };
        if c.mode.is_none() || c.qid.is_dir() {
            return;
        }
        let i = end_of(c);
        let (last, none) = {
            let mut open = ends.open.lock();
            let mut last = false;
            if let Some(n) = open.get_mut(i) {
                *n = n.saturating_sub(1);
                last = *n == 0;
            }
            (last, *open == [0, 0])
        };
        if none {
            ends.renew();
        } else if last {
            ends.hang_up(i);
        }
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() {
            return dirtab::read_dir(self, up, c, dst, offset);
        }
        let [a, b] = &c.aux::<Ends>()?.queues;
        if end_of(c) == 0 { a.read(dst) } else { b.read(dst) }
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, _offset: u64) -> Result<usize> {
        let [a, b] = &c.aux::<Ends>()?.queues;
        let to = if end_of(c) == 0 { b } else { a };
        let mut done = 0;
        loop {
            let n = (src.len() - done).min(ATOMIC);
            let put = || {
                let mut piece = to.room(n)?;
                src.get(done, &mut piece)?;
                to.write(piece)
            };
            // Who has written something already waits here; who has not, where the call began.
            match if done == 0 { put() } else { scarce::patiently(up, put) } {
                Ok(true) => done += n,
                Ok(false) => {
                    notes::post(up, "sys: write on closed pipe", NoteClass::User);
                    return Err(error::EHUNGUP.into());
                }
                // What went in before counts.
                Err(_) if done != 0 => return Ok(done),
                Err(e) => return Err(e),
            }
            // An empty write is a piece of its own, too.
            if done == src.len() || !up.may_go_on(done) {
                return Ok(done);
            }
        }
    }

    fn is_stream(&self, c: &Chan) -> bool {
        !c.qid.is_dir()
    }
}
