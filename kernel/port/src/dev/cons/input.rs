//! Console input: from the interrupt handler of a serial line to the reader of `#c/cons`.
//!
//! The handler puts bytes into a ring that is as deep as any burst ([`RING`]) and wakes the console's kernel
//! process. That one does the line discipline, echoes, posts `interrupt` to the note group that uses the
//! console, tells what runs there when it is asked, and wakes readers. So keys are seen whether or not somebody reads,
//! and nothing of this is done with interrupts off.
//!
//! Locks: `ring`, `line` and `clocks`, all leaves. The note group is that of the process that last opened or read
//! `#c/cons`.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use machine::heap::{self, Call};
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::thread;

use super::line::{ECHO, Line, Wish};
use super::status::{self, Clocks};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::proc::notegroup;
use crate::proc::notes::NoteClass;

/// Bytes that may arrive before the kernel process gets a processor.
pub const RING: usize = 64 * 1024;
/// Reads that find the end of all input before the machine is taken to go on for nobody.
const ENDS: u32 = 64;
/// Bytes of echo at a time: as many as one key makes, and four that were typed before others behind them.
const ROOM: usize = 3 * ECHO;
/// Bytes handled at a time.
const BATCH: usize = 512;

/// The way of the bytes. See the module comment.
pub struct Input {
    ring: Lock<Ring>,
    arrived: Rendez,
    line: Lock<Line>,
    ready: Rendez,
    /// Whom an interrupt goes to; 0: nobody yet.
    noteid: AtomicU32,
    /// When `^T` was typed last.
    clocks: Lock<Clocks>,
    /// Reads after the end of all input.
    ends: AtomicU32,
}

struct Ring {
    bytes: Box<[u8]>,
    start: usize,
    len: usize,
    lost: u64,
}

impl Ring {
    fn put(&mut self, bytes: &[u8]) {
        let size = self.bytes.len();
        for &b in bytes {
            if self.len == size {
                self.lost += 1;
            } else if let Some(place) = self.bytes.get_mut((self.start + self.len) % size) {
                *place = b;
                self.len += 1;
            }
        }
    }

    fn take(&mut self, out: &mut Vec<u8>) {
        let size = self.bytes.len();
        for _ in 0..self.len.min(BATCH) {
            out.extend(self.bytes.get(self.start).copied());
            self.start = (self.start + 1) % size;
            self.len -= 1;
        }
    }
}

impl Input {
    /// Nothing typed, cooked mode.
    pub fn new() -> Arc<Self> {
        let bytes = alloc::vec![0; RING].into_boxed_slice();
        Arc::new(Input {
            ring: Lock::new(Ring { bytes, start: 0, len: 0, lost: 0 }),
            arrived: Rendez::new(),
            line: Lock::new(Line::default()),
            ready: Rendez::new(),
            noteid: AtomicU32::new(0),
            clocks: Lock::new(Clocks::default()),
            ends: AtomicU32::new(0),
        })
    }

    /// Bytes from the keyboard or a line; any context, interrupt handlers above all.
    pub fn put(&self, bytes: &[u8]) {
        self.ring.lock().put(bytes);
        self.arrived.wakeup();
    }

    /// Starts the kernel process.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    pub fn start(self: &Arc<Self>, kernel: &Arc<Kernel>) -> Result<()> {
        let (input, kernel) = (self.clone(), Arc::downgrade(kernel));
        let run = move || {
            let mut batch = Vec::with_capacity(BATCH);
            while input.handle(&kernel, &mut batch) {}
        };
        let thread = thread::spawn("cons", 0, Box::new(run))?;
        // A person waits for the echo.
        thread.set_priority(15);
        Ok(())
    }

    /// Waits for bytes and handles a batch of them. False when the kernel is gone.
    fn handle(&self, kernel: &Weak<Kernel>, batch: &mut Vec<u8>) -> bool {
        let _call = Call::enter("console input");
        batch.clear();
        self.arrived.sleep(|| self.ring.lock().len != 0);
        self.ring.lock().take(batch);
        let Some(kernel) = kernel.upgrade() else {
            return false;
        };
        // Room for what one byte adds behind the last look: it may be the last of some that are no key after all.
        let mut echo = Vec::with_capacity(ROOM);
        let (mut interrupts, mut asked) = (0, 0);
        let mut rest = batch.as_slice();
        while !rest.is_empty() || self.line.lock().has_rest() {
            echo.clear();
            {
                let mut line = self.line.lock();
                while echo.len() <= ECHO {
                    let wish = match (line.put_rest(&mut echo), rest.split_first()) {
                        (Some(wish), _) => wish,
                        (None, Some((&b, later))) => {
                            rest = later;
                            line.put(b, &mut echo)
                        }
                        (None, None) => break,
                    };
                    match wish {
                        Wish::None => {}
                        Wish::Interrupt => interrupts += 1,
                        Wish::Status => asked += 1,
                    }
                }
                line.set_echoing(!echo.is_empty());
            }
            if !echo.is_empty() {
                kernel.kmesg.console(&echo);
                self.line.lock().set_echoing(false);
            }
        }
        self.ready.wakeup();
        let noteid = self.noteid.load(Ordering::Relaxed);
        if asked != 0 {
            self.tell(&kernel, noteid);
        }
        if interrupts != 0 && noteid != 0 {
            notegroup::post_group(&kernel, noteid, "interrupt", NoteClass::User, None);
        }
        let lost = core::mem::take(&mut self.ring.lock().lost);
        if lost != 0 {
            crate::kprint!(kernel, "cons: {lost} bytes of input lost\n");
        }
        true
    }

    /// Says what runs, and shows again what is being typed.
    fn tell(&self, kernel: &Kernel, noteid: u32) {
        let since = *self.clocks.lock();
        let mut clocks = since;
        let mut text = status::line(kernel, noteid, &mut clocks).into_bytes();
        *self.clocks.lock() = clocks;
        text.splice(..0, *b"^T\n");
        text.push(b'\n');
        self.line.lock().show_again(&mut text);
        kernel.kmesg.console(&text);
    }

    /// Rows and columns of the console's window; 0 and 0 when nobody has told.
    pub(crate) fn size(&self) -> (u16, u16) {
        self.line.lock().size()
    }

    /// The window has so many rows and columns.
    pub(crate) fn set_size(&self, rows: u16, columns: u16) {
        self.line.lock().set_size(rows, columns);
    }

    /// Counts a read behind the end of all input: true for the one that was one too many.
    pub(crate) fn is_read_too_often(&self) -> bool {
        self.line.lock().is_over() && self.ends.fetch_add(1, Ordering::Relaxed) == ENDS
    }

    /// From now on interrupts go to this note group.
    pub(crate) fn used_by(&self, noteid: u32) {
        self.noteid.store(noteid, Ordering::Relaxed);
    }

    /// Waits for a line (in raw mode: for anything) and gives up to `max` bytes of it; none is end of file.
    ///
    /// # Errors
    /// `interrupted`; `kernel allocate failed`.
    pub fn read(&self, max: usize) -> Result<Vec<u8>> {
        loop {
            let mut next = None;
            self.ready.sleep_intr(|| {
                next = self.line.lock().next();
                next.is_some()
            })?;
            let n = next.unwrap_or(0).min(max);
            let mut got = heap::try_vec(n)?;
            let mut line = self.line.lock();
            // Unless another reader was faster.
            if line.next() == next {
                line.take(n, &mut got);
                return Ok(got);
            }
        }
    }

    /// Raw mode on or off.
    pub(crate) fn set_raw(&self, raw: bool) {
        self.line.lock().set_raw(raw);
        self.ready.wakeup();
    }

    /// Keep finished lines back, or no longer.
    pub(crate) fn set_hold(&self, hold: bool) {
        self.line.lock().set_hold(hold);
        self.ready.wakeup();
    }
}
