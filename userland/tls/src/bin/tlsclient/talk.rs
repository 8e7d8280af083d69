//! Carries what is said, both ways, until the end: what the client and the server do alike once they are connected.
//!
//! Two processes share the connection. One reads what comes of the network and hands on what was said, the other what
//! is to be said. The first sends nothing, since it must not wait for an other side that waits for it: what it has to
//! send goes with what the second sends next. A third, which has begun both, waits for what ends first.
//!
//! Nobody is killed, since who is may hold a lock, or the heap's: whoever is to leave gets the note `leave`, which
//! interrupts what it waits for. A note may come just before the system call that it is to interrupt; so its handler
//! asks for an alarm, and again for one, until the process has left.
//!
//! Locks: `sending` is held while something is sent, so that records go in their order, and `end` within it, never
//! while something is read or written.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use core::convert::Infallible;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::Rfork;
use lib9::proc::Noted;
use lib9::sys::Lock;
use lib9::{Error, Fork, Result, error, fd, proc};
use tls::end::End;

/// How soon who has missed that it is to leave is told again, in milliseconds.
const AGAIN_MS: u32 = 10;

/// How long the last goodbye may take, in milliseconds.
const GOODBYE_MS: u32 = 1000;

/// Both processes are to leave.
static LEAVE: AtomicBool = AtomicBool::new(false);

/// The descriptors of the network.
#[derive(Clone, Copy)]
pub struct Wire {
    pub input: i32,
    pub output: i32,
}

/// The descriptors that what is to be said comes from, and that what was said goes to.
#[derive(Clone, Copy)]
pub struct Ends {
    pub input: i32,
    pub output: i32,
    /// It is the pipe of a command.
    pub command: bool,
}

struct Shared {
    end: Lock<End>,
    sending: Lock<()>,
    wire: Wire,
    ends: Ends,
    heard: Lock<Result<()>>,
}

/// Has both sides agree, and show who they are.
pub fn greet(end: &mut End, wire: Wire) -> Result<()> {
    let mut piece = vec![0; fd::PIECE];
    loop {
        let out = end.outgoing();
        if !out.is_empty() {
            fd::write_all(wire.output, &out)?;
        }
        if end.is_ready() {
            return Ok(());
        }
        let n = fd::read(wire.input, &mut piece)?;
        if n == 0 {
            return Err("it hangs up before it has shown who it is".into());
        }
        if let Err(why) = end.take(piece.get(..n).unwrap_or_default()) {
            // It may be gone.
            let _ = fd::write_all(wire.output, &end.outgoing());
            return Err(why.into());
        }
    }
}

/// Carries until the end; what the command says of itself, if there is one.
pub fn talk(end: End, wire: Wire, ends: Ends) -> Result<String> {
    // When nobody reads any more, the write fails as well.
    proc::notify(Some(|note| match note {
        "leave" | "alarm" => {
            if LEAVE.load(Ordering::Acquire) {
                proc::alarm(AGAIN_MS);
            }
            Noted::Continue
        }
        _ if note.starts_with("sys: write on closed pipe") => Noted::Continue,
        _ => Noted::Default,
    }))?;
    let shared = Arc::new(Shared {
        end: Lock::new(end),
        sending: Lock::new(()),
        wire,
        ends,
        heard: Lock::new(Ok(())),
    });
    let (ours, theirs) = (shared.clone(), shared.clone());
    let sender = proc::spawn(Rfork::empty(), move || send(&ours))?;
    let hearer = proc::spawn(Rfork::empty(), move || {
        let heard = hear(&theirs);
        *theirs.heard.lock() = heard;
        Ok(())
    });
    let mut status = String::new();
    let hearer = hearer.unwrap_or_else(|e| {
        *shared.heard.lock() = Err(e);
        leave(sender);
        -1
    });
    loop {
        let ended = match proc::await_() {
            Ok(ended) => ended,
            Err(e) if e.is(abi::error::EINTR) => continue,
            Err(_) => break,
        };
        match ended.pid {
            // A command may say more than it was asked; where nobody else is, the other side has the last word.
            pid if pid == hearer => {
                let cut = shared.heard.lock().is_err();
                if cut || !ends.command {
                    leave(sender);
                }
            }
            // All of a command's was said. Else the other side may still say something.
            pid if pid == sender && ends.command => {
                leave(hearer);
                // The command may go on, and be heard by nobody.
                let _ = fd::close(ends.input);
            }
            pid if pid == sender => {}
            _ => status = ended.msg,
        }
    }
    // Who does not read does not keep us with a goodbye.
    LEAVE.store(true, Ordering::Release);
    proc::alarm(GOODBYE_MS);
    goodbye(&shared);
    let heard = shared.heard.lock().clone();
    heard.map(|()| status)
}

/// Has a process stop to wait for anything.
fn leave(pid: i32) {
    LEAVE.store(true, Ordering::Release);
    // By the device's own name: the command may have another name space, and nobody needs /proc. It may be gone.
    let _ = lib9::file::control(&alloc::format!("#p/{pid}/note"), "leave");
}

/// Whether a failure is only that one is to leave.
fn unless_leaving(failed: Error) -> Result<()> {
    if LEAVE.load(Ordering::Acquire) { Ok(()) } else { Err(failed) }
}

/// Hands on what is said, to the end.
fn hear(shared: &Shared) -> Result<()> {
    let to = shared.ends.output;
    let mut piece = vec![0; fd::PIECE];
    let (mut said, mut ended) = {
        let mut end = shared.end.lock();
        (end.said(), end.has_ended())
    };
    loop {
        // An empty write would be the end, in a pipe.
        if !said.is_empty()
            && let Err(e) = fd::write_all(to, &said)
        {
            // A command need not hear all that there is to hear.
            let has_gone = shared.ends.command && e.is(abi::error::EHUNGUP);
            return if has_gone { Ok(()) } else { unless_leaving(e) };
        }
        if ended {
            if shared.ends.command {
                let _ = fd::write(to, &[]);
            }
            return Ok(());
        }
        let n = match fd::read(shared.wire.input, &mut piece) {
            Ok(n) => n,
            Err(e) => return unless_leaving(e),
        };
        if LEAVE.load(Ordering::Acquire) {
            return Ok(());
        }
        if n == 0 {
            // Somebody on the way may have cut it, to have a part taken for the whole.
            return Err("the connection was cut".into());
        }
        let mut end = shared.end.lock();
        let taken = end.take(piece.get(..n).unwrap_or_default());
        (said, ended) = (end.said(), end.has_ended());
        drop(end);
        if let Err(why) = taken {
            if !said.is_empty() {
                fd::write_all(to, &said)?;
            }
            return Err(why.into());
        }
    }
}

/// Says what is to be said, and at its end that it is all.
fn send(shared: &Shared) -> Result<()> {
    let mut piece = vec![0; fd::PIECE];
    loop {
        let n = match fd::read(shared.ends.input, &mut piece) {
            Ok(n) => n,
            // The other end of a pipe may have gone in the middle of something.
            Err(e) if e.is(abi::error::EHUNGUP) => 0,
            Err(e) => return unless_leaving(e),
        };
        if n == 0 {
            break;
        }
        let sending = shared.sending.lock();
        let mut end = shared.end.lock();
        end.put(piece.get(..n).unwrap_or_default())?;
        let out = end.outgoing();
        drop(end);
        let sent = fd::write_all(shared.wire.output, &out);
        drop(sending);
        if let Err(e) = sent {
            return unless_leaving(e);
        }
    }
    goodbye(shared);
    Ok(())
}

/// Tells the other side that nothing more is said, or what was wrong. What is told already is not told again.
fn goodbye(shared: &Shared) {
    let sending = shared.sending.lock();
    let mut end = shared.end.lock();
    end.close();
    let out = end.outgoing();
    drop(end);
    if !out.is_empty() {
        let _ = fd::write_all(shared.wire.output, &out);
    }
    drop(sending);
}

/// Starts a command, which does not get the descriptors `close`; it reads and writes the other end of what is returned.
pub fn run(command: &[String], close: &[i32]) -> Result<Ends> {
    let [ours, theirs] = fd::pipe()?;
    if let Fork::Child = proc::rfork(Rfork::PROC | Rfork::FDG)? {
        let dup = fd::dup(theirs, 0).and_then(|_| fd::dup(theirs, 1));
        [ours, theirs].iter().chain(close).for_each(|fd| drop(fd::close(*fd)));
        let failed = dup.and_then(|_| exec(command)).err().map(|e| e.to_string()).unwrap_or_default();
        let _ = fd::write_all(2, alloc::format!("{failed}\n").as_bytes());
        proc::exits_now(&failed);
    }
    fd::close(theirs)?;
    Ok(Ends { input: ours, output: ours, command: true })
}

/// Becomes a command, by its path or one of those in `/bin`.
fn exec(command: &[String]) -> Result<Infallible> {
    let name = command.first().map(String::as_str).unwrap_or_default();
    let failed = match proc::exec(name, command) {
        Err(_) if !name.starts_with(['/', '.', '#']) => proc::exec(&alloc::format!("/bin/{name}"), command),
        other => other,
    };
    failed.map_err(|e| error!("{name}: {e}"))
}
