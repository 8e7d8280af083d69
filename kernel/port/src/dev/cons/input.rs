//! Console input: from the interrupt handler of a serial line to the reader of `#c/cons`.
//!
//! The handler puts bytes into a ring that is as deep as any burst ([`RING`]) and wakes the console's kernel
//! process. That one does the line discipline, echoes, posts `interrupt` to the note group that uses the
//! console, and wakes readers. So keys are seen whether or not somebody reads, and nothing of this is done with
//! interrupts off.
//!
//! Locks: `ring` and `line`, both leaves. The note group is that of the process that last opened or read
//! `#c/cons`.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use machine::heap::{self, Call};
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::thread;

use super::line::{ECHO, Line};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::proc::notes::{self, NoteClass};

/// Bytes that may arrive before the kernel process gets a processor.
pub const RING: usize = 64 * 1024;
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
        let mut echo = Vec::with_capacity(2 * ECHO);
        let mut interrupts = 0;
        let mut rest = batch.as_slice();
        while !rest.is_empty() {
            echo.clear();
            {
                let mut line = self.line.lock();
                while let Some((&b, later)) = rest.split_first()
                    && echo.len() <= ECHO
                {
                    interrupts += u32::from(line.key(b, &mut echo));
                    rest = later;
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
        if interrupts != 0 && noteid != 0 {
            notes::post_group(&kernel, noteid, "interrupt", NoteClass::User, None);
        }
        let lost = core::mem::take(&mut self.ring.lock().lost);
        if lost != 0 {
            crate::kprint!(kernel, "cons: {lost} bytes of input lost\n");
        }
        true
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
