//! Buffered output: [`Out`] for any descriptor, and the one for standard output behind `print!`.
//!
//! Standard output is written when its buffer is full, before a process is made, and on exit. A failed write is kept
//! and reported once, on exit, unless [`end_when_failing`] is called.

use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::sys::Lock;
use crate::{Error, Result, fd};

const FULL: usize = 8192;

/// A writer that collects small pieces; written out when full, on [`Out::flush`] and when dropped.
#[derive(Debug)]
pub struct Out {
    fd: i32,
    buf: Vec<u8>,
    failed: Option<Error>,
}

impl Out {
    /// A writer to `fd`, which stays the caller's to close.
    pub const fn new(fd: i32) -> Self {
        Out { fd, buf: Vec::new(), failed: None }
    }

    /// The descriptor.
    pub fn fd(&self) -> i32 {
        self.fd
    }

    /// Appends bytes. A failure to write shows at the next [`Out::flush`].
    pub fn write(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if self.buf.len() + bytes.len() > FULL {
            self.drain();
        }
        if bytes.len() >= FULL {
            self.push(bytes);
        } else {
            self.buf.reserve(if self.buf.capacity() == 0 { FULL } else { 0 });
            self.buf.extend_from_slice(bytes);
        }
    }

    /// Writes out what is collected.
    ///
    /// # Errors
    /// The first failure since the last flush.
    pub fn flush(&mut self) -> Result<()> {
        self.drain();
        self.failed.take().map_or(Ok(()), Err)
    }

    fn drain(&mut self) {
        let mut buf = core::mem::take(&mut self.buf);
        if !buf.is_empty() {
            self.push(&buf);
        }
        buf.clear();
        self.buf = buf;
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.failed = fd::write_all(self.fd, bytes).err();
        }
    }
}

impl fmt::Write for Out {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.write(s.as_bytes());
        Ok(())
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        self.drain();
    }
}

static STDOUT: Lock<Out> = Lock::new(Out::new(1));

/// Does the program end when standard output fails?
static ENDS: AtomicBool = AtomicBool::new(false);

/// From now on the program ends at once when standard output cannot be written, and not when everything is done.
pub fn end_when_failing() {
    ENDS.store(true, Ordering::Relaxed);
}

/// Ends the program if that is to be.
fn after(failed: Option<Error>) {
    if let Some(e) = failed.filter(|_| ENDS.load(Ordering::Relaxed)) {
        crate::sys::fail(&e);
    }
}

/// Appends bytes to standard output.
pub fn write(bytes: &[u8]) {
    let mut out = STDOUT.lock();
    out.write(bytes);
    let failed = out.failed.clone();
    drop(out);
    after(failed);
}

/// Writes out what standard output has collected.
///
/// # Errors
/// The first failure to write since the last flush.
pub fn flush() -> Result<()> {
    STDOUT.lock().flush()
}

/// Runs `f` after [`flush`], and lets nobody write to standard output meanwhile: a fork in it copies a lock that the
/// child can let go of as well as the parent, and not one that somebody holds who is not in the child.
pub(crate) fn while_flushed<R>(f: impl FnOnce() -> R) -> R {
    let mut out = STDOUT.lock();
    let _ = out.flush();
    f()
}

#[doc(hidden)]
pub fn print(args: fmt::Arguments<'_>) {
    let mut out = STDOUT.lock();
    let _ = fmt::Write::write_fmt(&mut *out, args);
    let failed = out.failed.clone();
    drop(out);
    after(failed);
}

#[doc(hidden)]
pub fn eprint(args: fmt::Arguments<'_>) {
    // One write, so that messages of several processes do not mix.
    let text = alloc::fmt::format(args);
    let _ = fd::write(2, text.as_bytes());
}

/// Prints to standard output, buffered.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::out::print(::core::format_args!($($arg)*)) };
}

/// Prints a line to standard output, buffered.
#[macro_export]
macro_rules! println {
    () => { $crate::out::write(b"\n") };
    ($($arg:tt)*) => { $crate::out::print(::core::format_args!("{}\n", ::core::format_args!($($arg)*))) };
}

/// Prints to descriptor 2 at once.
#[macro_export]
macro_rules! eprint {
    ($($arg:tt)*) => { $crate::out::eprint(::core::format_args!($($arg)*)) };
}

/// Prints a line to descriptor 2 at once.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::out::eprint(::core::format_args!("\n")) };
    ($($arg:tt)*) => { $crate::out::eprint(::core::format_args!("{}\n", ::core::format_args!($($arg)*))) };
}
