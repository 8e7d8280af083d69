//! A server whose requests may wait: each runs in a process of its own.
//!
//! All processes share memory and descriptors. One of them leads: it reads requests, answers those that need no file,
//! and hands the lead to another when it has one to run itself. So a client that asks one thing after the other costs
//! no more switches than with one process. A new process is made when the lead is to be handed on and nobody is free,
//! up to [`MOST`]; the last never gives up the lead, because somebody must hear a `Tflush`. It refuses what it would
//! have to wait for.
//!
//! A flush interrupts the process with the note `flush`. A note may come just before the system call that it is to
//! interrupt; therefore its handler asks for an alarm, and again for one, until the request is done (see
//! `interrupted`). Notes never come at another time: they are posted while the session is locked, which a worker
//! needs to be done; it takes those that are under way before it writes the reply.
//!
//! Locks: the session, the input (only the leader's) and the output are taken one at a time, none within another.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use abi::Rfork;
use ninep::head::Head;
use ninep::kind;
use ninep::server::{Finished, Step};

use super::{Files, Input, MSIZE_MAX, Session};
use crate::proc::{self, Noted};
use crate::sys::Lock;
use crate::{Result, error, fd, file};

/// Most processes.
pub const MOST: usize = 128;
/// How soon a request that a note has missed is interrupted again, in milliseconds.
const AGAIN_MS: u32 = 10;

struct Shared<F: Files> {
    tree: F,
    output: Lock<i32>,
    input: Lock<Input>,
    state: Lock<State<F>>,
    /// One unit when nobody leads.
    lead: AtomicI32,
    ended: AtomicBool,
    failure: Lock<Result<()>>,
}

struct State<F: Files> {
    session: Session<F>,
    /// Tags of requests under way, and the processes that run them.
    running: Vec<(u16, i32)>,
    processes: usize,
    /// Processes that wait for the lead.
    free: usize,
}

/// Processes whose request is to be interrupted: the handler runs in each and has nothing else to know that by.
static FLUSHED: [AtomicI32; MOST] = [const { AtomicI32::new(0) }; MOST];

/// Serves `tree` to one client until it leaves, reading requests from `input` and writing replies to `output`. The
/// process must not use notes and alarms for anything else.
///
/// # Errors
/// As [`super::serve`].
pub fn serve<F>(tree: F, input: i32, output: i32) -> Result<()>
where
    F: Files + Send + Sync + 'static,
    F::File: Send + Sync,
{
    serve_with(tree, input, output, MSIZE_MAX)
}

/// As [`serve`], with messages of at most `msize` bytes.
///
/// # Errors
/// As [`super::serve`].
pub fn serve_with<F>(tree: F, input: i32, output: i32, msize: u32) -> Result<()>
where
    F: Files + Send + Sync + 'static,
    F::File: Send + Sync,
{
    proc::notify(Some(interrupted))?;
    let state = State { session: Session::new(msize), running: Vec::new(), processes: 1, free: 0 };
    let shared = Arc::new(Shared {
        tree,
        output: Lock::new(output),
        input: Lock::new(Input::new(input, msize)),
        state: Lock::new(state),
        lead: AtomicI32::new(1),
        ended: AtomicBool::new(false),
        failure: Lock::new(Ok(())),
    });
    work(&shared);
    shared.failure.lock().clone()
}

/// What a worker does: lead, run, wait to lead.
fn work<F>(shared: &Arc<Shared<F>>)
where
    F: Files + Send + Sync + 'static,
    F::File: Send + Sync,
{
    loop {
        while !proc::semacquire(&shared.lead, true).unwrap_or(false) {}
        if !shared.ended.load(Ordering::Acquire) {
            if let Err(e) = lead(shared) {
                *shared.failure.lock() = Err(e);
                end(shared);
            } else if !shared.ended.load(Ordering::Acquire) {
                continue;
            }
        }
        // The next one is to go, too.
        let _ = proc::semrelease(&shared.lead, 1);
        return;
    }
}

/// Leads until there is a request to run, hands on the lead and runs it.
fn lead<F>(shared: &Arc<Shared<F>>) -> Result<()>
where
    F: Files + Send + Sync + 'static,
    F::File: Send + Sync,
{
    loop {
        let msize = shared.state.lock().session.msize();
        let Some(request) = shared.input.lock().next(msize)?.map(<[u8]>::to_vec) else {
            end(shared);
            return Ok(());
        };
        let begun = begin(shared, &request);
        let job = match begun.map_err(|e| error!("{e}"))? {
            Step::Reply(reply) => {
                say(shared, &reply)?;
                continue;
            }
            Step::Interrupt(_) => continue,
            Step::Job(job) => job,
        };
        let handed_on = hand_on(shared);
        let done = if handed_on || job.closes() {
            job.run(&shared.tree, &request)
        } else {
            job.refuse(&"too many requests are waiting".into())
        };
        let finished = finish(shared, done);
        let said = if finished.replies.is_empty() { Ok(()) } else { say(shared, &finished.replies) };
        if handed_on {
            // When this could not be said, whoever leads reads that the client is gone.
            shared.state.lock().free += 1;
            return Ok(());
        }
        said?;
    }
}

/// Looks at a request, and remembers who runs it.
fn begin<F: Files>(shared: &Shared<F>, request: &[u8]) -> core::result::Result<Step<F>, ninep::WireError> {
    let mut state = shared.state.lock();
    let step = state.session.begin(request)?;
    match &step {
        Step::Interrupt(tag) => {
            let of_tag = state.running.iter().filter(|(t, _)| t == tag);
            of_tag.for_each(|(_, pid)| interrupt(*pid));
        }
        Step::Job(job) => {
            // A version leaves nobody who waits for what is under way.
            if Head::parse(request).is_ok_and(|head| head.kind == kind::TVERSION) {
                state.running.iter().for_each(|(_, pid)| interrupt(*pid));
            }
            let running = (job.tag(), proc::getpid());
            state.running.push(running);
        }
        Step::Reply(_) => {}
    }
    Ok(step)
}

/// Lets another process lead; false when there is none.
fn hand_on<F>(shared: &Arc<Shared<F>>) -> bool
where
    F: Files + Send + Sync + 'static,
    F::File: Send + Sync,
{
    let mut state = shared.state.lock();
    if state.free > 0 {
        state.free -= 1;
    } else if state.processes < MOST {
        let theirs = shared.clone();
        let started = proc::spawn(Rfork::NOWAIT, move || {
            work(&theirs);
            Ok(())
        });
        if started.is_err() {
            return false;
        }
        state.processes += 1;
    } else {
        return false;
    }
    drop(state);
    proc::semrelease(&shared.lead, 1).is_ok()
}

/// Gives a job back; the notes that were meant for it are over when this returns.
fn finish<F: Files>(shared: &Shared<F>, done: ninep::server::Done<F::File>) -> Finished {
    let pid = proc::getpid();
    let mut state = shared.state.lock();
    let finished = state.session.finish(done);
    state.running.retain(|(_, runner)| *runner != pid);
    let noted = FLUSHED
        .iter()
        .filter(|slot| slot.compare_exchange(pid, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok());
    let noted = noted.count() > 0;
    drop(state);
    if noted {
        proc::alarm(0);
        // On the way out of the kernel what is still pending is delivered.
        let _ = proc::sleep(0);
    }
    finished
}

/// Ends the session: closes what is open, and has everybody come to an end.
fn end<F: Files>(shared: &Shared<F>) {
    let mut state = shared.state.lock();
    let job = state.session.end();
    state.running.iter().for_each(|(_, pid)| interrupt(*pid));
    drop(state);
    job.run(&shared.tree, &[]);
    shared.ended.store(true, Ordering::Release);
}

/// Writes replies whole.
fn say<F: Files>(shared: &Shared<F>, replies: &[u8]) -> Result<()> {
    let output = shared.output.lock();
    fd::write_all(*output, replies)
}

/// Interrupts the request that a process runs. The state is locked.
fn interrupt(pid: i32) {
    if flushed(pid) {
        return;
    }
    let free = FLUSHED
        .iter()
        .find(|slot| slot.compare_exchange(0, pid, Ordering::AcqRel, Ordering::Relaxed).is_ok());
    if free.is_some() {
        // By the device's own name: the files served may have no /proc among them. A process that is gone needs no
        // note.
        let _ = file::control(&format!("#p/{pid}/note"), "flush");
    }
}

/// Whether a process is to be interrupted still.
fn flushed(pid: i32) -> bool {
    FLUSHED.iter().any(|slot| slot.load(Ordering::Acquire) == pid)
}

/// The handler of notes.
fn interrupted(note: &str) -> Noted {
    match note {
        "flush" | "alarm" => {
            if flushed(proc::getpid()) {
                proc::alarm(AGAIN_MS);
            }
            Noted::Continue
        }
        // The write fails as well, and says so.
        _ if note.starts_with("sys: write on closed pipe") => Noted::Continue,
        _ => Noted::Default,
    }
}
