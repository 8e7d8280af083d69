//! The kernel's log, and the console as the place where output goes.
//!
//! What the kernel prints ([`kprint!`](crate::kprint)) is kept in a ring of [`SIZE`] bytes, `/dev/kmesg`, and goes
//! to the console. What programs write to `#c/cons` goes to the console only. Lines end in CR LF there.
//!
//! Locks: `ring` and `out` are leaves, held for a few copies. Printing is allowed anywhere, in interrupt
//! handlers too; it does not allocate. Whether a line of the kernel's may come in the middle of a program's is
//! left open; programs among themselves are kept apart by `#c`.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use io::ConsoleOut;
use machine::OutOfMemory;
use machine::heap;
use machine::lock::Lock;

/// Bytes of the log that are kept: the last ones.
pub(crate) const SIZE: usize = 64 * 1024;

/// The log and the console. One for each kernel.
pub struct Kmesg {
    ring: Lock<Ring>,
    out: Lock<Option<Arc<dyn ConsoleOut>>>,
}

struct Ring {
    bytes: Box<[u8]>,
    /// Where the next byte goes.
    next: usize,
    /// The ring has gone round.
    full: bool,
}

impl Ring {
    fn add(&mut self, bytes: &[u8]) {
        for &b in bytes {
            if let Some(place) = self.bytes.get_mut(self.next) {
                *place = b;
            }
            self.next += 1;
            if self.next >= self.bytes.len() {
                self.next = 0;
                self.full = true;
            }
        }
    }
}

impl Kmesg {
    /// An empty log; output goes to `out`.
    pub fn new(out: Option<Arc<dyn ConsoleOut>>) -> Arc<Self> {
        let bytes = alloc::vec![0; SIZE].into_boxed_slice();
        Arc::new(Kmesg { ring: Lock::new(Ring { bytes, next: 0, full: false }), out: Lock::new(out) })
    }

    /// From now on output goes to `out`. With `replay` all that was kept is put out there first.
    pub fn set_console(&self, out: Arc<dyn ConsoleOut>, replay: bool) {
        let old = self.out.lock().replace(out);
        drop(old);
        if replay && let Ok(text) = self.text() {
            self.console(&text);
        }
    }

    /// Everything that is kept, oldest first; it begins at a line's beginning.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn text(&self) -> Result<Vec<u8>, OutOfMemory> {
        let mut out = heap::try_vec(SIZE)?;
        let full = {
            let ring = self.ring.lock();
            let (new, old) = ring.bytes.split_at(ring.next.min(ring.bytes.len()));
            if ring.full {
                out.extend_from_slice(old);
            }
            out.extend_from_slice(new);
            ring.full
        };
        if full && let Some(end) = out.iter().position(|&b| b == b'\n') {
            out.drain(..=end);
        }
        Ok(out)
    }

    /// Puts bytes into the log and out to the console.
    pub(crate) fn log(&self, bytes: &[u8]) {
        self.ring.lock().add(bytes);
        self.console(bytes);
    }

    /// Formats into the log and out to the console; what `kprint!` calls.
    pub fn print(&self, args: fmt::Arguments<'_>) {
        let mut line = Piece::new(|bytes: &[u8]| self.log(bytes));
        // Only a Display of ours could fail, and what it wrote until then is worth having.
        let _ = line.write_fmt(args);
        line.flush();
    }

    /// Puts bytes out to the console, LF as CR LF.
    pub fn console(&self, bytes: &[u8]) {
        let out = self.out.lock().clone();
        if let Some(out) = out {
            put_lines(bytes, &*out);
        }
    }

    /// Puts all that was kept out there, too, if there is memory to do it with.
    pub(crate) fn replay(&self, out: &dyn ConsoleOut) {
        if let Ok(text) = self.text() {
            put_lines(&text, out);
        }
    }

    /// Waits until the console has said everything, but not for ever: before the machine ends.
    pub fn flush(&self) {
        let out = self.out.lock().clone();
        if let Some(out) = out {
            out.flush();
        }
    }
}

/// Puts bytes out, LF as CR LF, each line in one piece if it is no longer than one: what else is said at the same time,
/// as the echo of what is typed, comes before or after it.
fn put_lines(bytes: &[u8], out: &dyn ConsoleOut) {
    let mut piece = Piece::new(|bytes: &[u8]| out.write(bytes));
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        match line.split_last() {
            Some((b'\n', text)) => {
                piece.add(text);
                piece.add_whole(b"\r\n");
                piece.flush();
            }
            _ => piece.add(line),
        }
    }
    piece.flush();
}

/// Bytes of a piece.
const PIECE: usize = 160;

/// Collects bytes, so that a line mostly goes out in one piece, without allocating.
struct Piece<F: Fn(&[u8])> {
    put: F,
    bytes: [u8; PIECE],
    len: usize,
}

impl<F: Fn(&[u8])> Piece<F> {
    fn new(put: F) -> Piece<F> {
        Piece { put, bytes: [0; PIECE], len: 0 }
    }

    fn flush(&mut self) {
        if self.len != 0 {
            (self.put)(self.bytes.get(..self.len).unwrap_or(&[]));
            self.len = 0;
        }
    }

    fn add(&mut self, mut rest: &[u8]) {
        while !rest.is_empty() {
            if self.len == PIECE {
                self.flush();
            }
            let room = self.bytes.get_mut(self.len..).unwrap_or_default();
            let (now, later) = rest.split_at(rest.len().min(room.len()));
            if let Some(to) = room.get_mut(..now.len()) {
                to.copy_from_slice(now);
            }
            self.len += now.len();
            rest = later;
        }
    }

    /// Adds what fits into a piece to one.
    fn add_whole(&mut self, bytes: &[u8]) {
        if self.len + bytes.len() > PIECE {
            self.flush();
        }
        self.add(bytes);
    }
}

impl<F: Fn(&[u8])> Write for Piece<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add(text.as_bytes());
        Ok(())
    }
}

/// Prints to the log and console of a [`Kernel`](crate::Kernel): `kprint!(kernel, "{n} pages\n")`.
#[macro_export]
macro_rules! kprint {
    ($kernel:expr, $($arg:tt)*) => { $kernel.kmesg.print(format_args!($($arg)*)) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[derive(Default)]
    struct Screen(Lock<Vec<u8>>, Lock<Vec<usize>>);
    impl ConsoleOut for Screen {
        fn write(&self, bytes: &[u8]) {
            self.0.lock().extend_from_slice(bytes);
            self.1.lock().push(bytes.len());
        }
    }

    #[test]
    fn a_line_goes_out_in_one_piece_with_its_end() {
        let screen = Arc::new(Screen::default());
        let k = Kmesg::new(Some(screen.clone()));
        k.console(b"one\n\ntwo\nthr");
        k.console("x".repeat(159).as_bytes());
        k.console("x".repeat(159).as_bytes());
        k.console(b"");
        assert_eq!(*screen.1.lock(), [5, 2, 5, 3, 159, 159]);
        screen.1.lock().clear();
        k.console(&[&[b'y'; 158][..], b"\n", &[b'y'; 159], b"\n", &[b'y'; 400]].concat());
        assert_eq!(*screen.1.lock(), [160, 159, 2, 160, 160, 80]);
        assert!(screen.0.lock().starts_with(b"one\r\n\r\ntwo\r\nthrxx"));
    }

    #[test]
    fn the_log_keeps_the_last_lines_whole() {
        let screen = Arc::new(Screen::default());
        let k = Kmesg::new(None);
        k.print(format_args!("one {}\n", 1));
        k.set_console(screen.clone(), true);
        k.print(format_args!("two\n"));
        assert_eq!(*screen.0.lock(), b"one 1\r\ntwo\r\n");
        assert_eq!(k.text().unwrap(), b"one 1\ntwo\n");
        let long = "x".repeat(300);
        for i in 0..1000 {
            k.print(format_args!("{i} {long}\n"));
        }
        let text = String::from_utf8(k.text().unwrap()).unwrap();
        assert!(text.len() <= SIZE && text.len() > SIZE - 400);
        assert!(text.ends_with(&alloc::format!("999 {long}\n")));
        assert!(text.lines().all(|l| l.ends_with(&long) && l.split(' ').count() == 2));
    }
}
