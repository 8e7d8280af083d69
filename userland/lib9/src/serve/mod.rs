//! A 9P file server on two descriptors: the thin part of [`ninep::server`] that reads and writes.
//!
//! A server is a type that implements [`Files`]. [`serve`] answers one request after the other, in this process:
//! right for a tree that never waits. [`workers::serve`] runs each request in a process of its own that shares this
//! one's memory, so that one which waits holds up none. [`start`] makes the process for a server, and [`post`] puts a
//! descriptor into `/srv` for others to mount.

pub mod workers;

use alloc::format;
use alloc::vec::Vec;

use abi::OWRITE;
use ninep::Framer;
pub use ninep::server::{Files, MSIZE_MAX, Refused, Session};

use crate::{Error, Fork, Result, Rfork, error, fd, proc};

/// Bytes asked for in one read: what most requests fit in many times over.
const CHUNK: usize = 64 << 10;

/// Cuts what comes from a descriptor into messages.
struct Input {
    fd: i32,
    framer: Framer,
    chunk: Vec<u8>,
}

impl Input {
    fn new(fd: i32, msize: u32) -> Input {
        Input { fd, framer: Framer::new(msize), chunk: alloc::vec![0; CHUNK] }
    }

    /// The next message, of at most `msize` bytes; `None` when the client has left.
    fn next(&mut self, msize: u32) -> Result<Option<&[u8]>> {
        self.framer.set_msize(msize);
        while self.framer.wanted().map_err(|e| error!("{e}"))? > 0 {
            let n = match fd::read(self.fd, &mut self.chunk) {
                // A note that was for somebody else.
                Err(e) if e.is(abi::error::EINTR) => continue,
                // The other end of a pipe is gone in the middle of a write, which is an end as any other.
                Err(e) if e.is(abi::error::EHUNGUP) => 0,
                other => other?,
            };
            if n == 0 {
                return match self.framer.held() {
                    0 => Ok(None),
                    held => Err(error!("the client left in the middle of a message: {held} bytes")),
                };
            }
            self.framer.push(self.chunk.get(..n).unwrap_or_default());
        }
        self.framer.next_message().map_err(|e| error!("{e}"))
    }
}

/// Serves `tree` to one client until it leaves, reading requests from `input` and writing replies to `output`.
///
/// # Errors
/// When a descriptor fails, or the client sends what is no message.
pub fn serve<F: Files>(tree: &F, input: i32, output: i32) -> Result<()> {
    let mut session = Session::<F>::new(MSIZE_MAX);
    let mut input = Input::new(input, MSIZE_MAX);
    let result = loop {
        let request = match input.next(session.msize()) {
            Ok(Some(request)) => request,
            Ok(None) => break Ok(()),
            Err(e) => break Err(e),
        };
        let replied = match session.handle(tree, request) {
            Ok(reply) => fd::write_all(output, &reply),
            Err(e) => Err(error!("{e}")),
        };
        if replied.is_err() {
            break replied;
        }
    };
    session.end().run(tree, &[]);
    result
}

/// Runs `server` in a process of its own, with one end of a pipe; returns the other end, which can be mounted or
/// posted. The process ends with `server`; it lives on after this one, and an interrupt at the terminal is none of
/// its business.
///
/// # Errors
/// When there is no pipe or no process to be had.
pub fn start(server: impl FnOnce(i32)) -> Result<i32> {
    let [ours, theirs] = fd::pipe()?;
    match proc::rfork(Rfork::PROC | Rfork::FDG | Rfork::NOTEG | Rfork::NAMEG | Rfork::NOWAIT)? {
        Fork::Parent(_) => {
            fd::close(theirs)?;
            Ok(ours)
        }
        Fork::Child => {
            // The server would not see the last client leave if it held that end open itself.
            let _ = fd::close(ours);
            server(theirs);
            proc::exits("")
        }
    }
}

/// Posts the descriptor `fd` as `/srv/name`, or as `name` if that is a path, with the permissions `perm`.
///
/// # Errors
/// When the name is taken, or may not be made.
pub fn post(name: &str, fd: i32, perm: u32) -> Result<()> {
    let path = if name.starts_with('/') { name.into() } else { format!("/srv/{name}") };
    let posted = fd::create(&path, OWRITE | abi::OEXCL, perm).map_err(|e| error!("create {path}: {e}"))?;
    let written = fd::write_all(posted, format!("{fd}").as_bytes());
    let _ = fd::close(posted);
    written.map_err(|e: Error| error!("post {path}: {e}"))
}
