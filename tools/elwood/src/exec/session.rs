//! A running `elwood exec`: what happens, and what is done about it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use abi::job::Message;
use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{Plan, bound, status, streams};

/// What comes to the main thread.
enum Event {
    /// The guest said something.
    Said(Message),
    /// The guest's port of messages is closed: there is no machine any more.
    Gone,
    /// Nobody reads what the program writes.
    NoReader,
    /// A signal of the host.
    Signal(i32),
}

/// How it ended, before it is told.
enum End {
    Exit(String),
    NotRun(String),
    NotReady(String),
    Gone,
    TimedOut,
    Signal(i32),
    NoReader,
}

impl End {
    /// Whether we have ended it. What it writes may be waiting for a reader who never comes; a program of the host's
    /// would not wait with its end for him either.
    fn is_ours(&self) -> bool {
        matches!(self, End::TimedOut | End::Signal(_) | End::NoReader)
    }
}

/// How long a program may go on after its output has lost its reader.
const NO_READER_GRACE: Duration = Duration::from_secs(1);
/// How long a program may go on after it was told to end by SIGTERM or SIGHUP.
const TERMINATION_GRACE: Duration = Duration::from_secs(10);
/// How long who reads the output may take when the program has been ended rather than has ended.
const SHOWN_GRACE: Duration = Duration::from_secs(1);
/// How much of the console is kept for the case that the machine fails, in bytes.
const KEPT: usize = 4096;

/// Runs the machine of `plan` to the end of its program.
pub fn run(plan: Plan, timeout: Option<Duration>, verbose: bool) -> Result<u8> {
    let deadline = timeout.map(|t| Instant::now() + t);
    let (sender, events) = channel();
    // Before QEMU starts, so that no signal is missed.
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT])?;
    let told = sender.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let _ = told.send(Event::Signal(signal));
        }
    });

    let (program, arguments) = plan.command.split_first().context("an empty command line")?;
    let mut machine = Machine(
        bound::command(program, arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // The terminal's signals are for the program, which gets them as notes.
            .process_group(0)
            .spawn()
            .context("cannot start QEMU")?,
    );
    drop(plan.theirs);
    let console = machine.0.stdout.take().context("no console")?;
    let console = std::thread::spawn(move || keep(console, verbose));
    let complaints = machine.0.stderr.take().context("no standard error")?;
    let complaints = std::thread::spawn(move || keep(complaints, verbose));

    let (done, shown) = channel();
    let outputs = 1 + usize::from(plan.error.is_some());
    output(plan.output, streams::own(std::io::stdout().as_fd())?, &sender, &done);
    if let Some(error) = plan.error {
        output(error, streams::own(std::io::stderr().as_fd())?, &sender, &done);
    }
    let mut stdin = streams::own(std::io::stdin().as_fd())?;
    // Closed when all is over: QEMU drops what the guest has not taken when a port's socket is closed.
    let input = plan.input;
    let mut fed = input.try_clone()?;
    std::thread::spawn(move || streams::feed(&mut stdin, &mut fed));
    let mut listened = plan.control.try_clone()?;
    std::thread::spawn(move || listen(&mut listened, &sender));

    let end = wait(&events, plan.control, deadline);
    // All that was written has left the machine by now, and there is nothing in it to be saved.
    machine.end();
    drop(input);
    let last = end.is_ours().then(|| Instant::now() + SHOWN_GRACE);
    for _ in 0..outputs {
        let _ = match last {
            None => shown.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(last) => shown.recv_timeout(last.saturating_duration_since(Instant::now())),
        };
    }
    let console = console.join().unwrap_or_default();
    let complaints = complaints.join().unwrap_or_default();
    Ok(tell(end, &console, &complaints))
}

/// QEMU, ended when dropped.
struct Machine(Child);

impl Machine {
    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts the thread that shows what the program writes, and says when that is done.
fn output(mut from: UnixStream, mut to: File, events: &Sender<Event>, done: &Sender<()>) {
    let (events, done) = (events.clone(), done.clone());
    std::thread::spawn(move || {
        if streams::show(&mut from, &mut to) == streams::End::NoReader {
            let _ = events.send(Event::NoReader);
        }
        let _ = done.send(());
    });
}

/// Reads the guest's messages until the machine is gone.
fn listen(from: &mut impl Read, events: &Sender<Event>) {
    let mut have = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match Message::parse(&have) {
            Ok(Some((message, used))) => {
                have.drain(..used);
                let _ = events.send(Event::Said(message));
                continue;
            }
            Ok(None) => {}
            Err(_) => break,
        }
        match from.read(&mut buffer) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
            Ok(n) => have.extend_from_slice(buffer.get(..n).unwrap_or_default()),
        }
    }
    let _ = events.send(Event::Gone);
}

/// Keeps the end of what comes, and shows all of it if that is wanted.
fn keep(mut from: impl Read, verbose: bool) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 {
            break;
        }
        let piece = buffer.get(..n).unwrap_or_default();
        if verbose {
            let _ = std::io::stderr().write_all(piece);
        }
        kept.extend_from_slice(piece);
        let too_much = kept.len().saturating_sub(KEPT);
        kept.drain(..too_much);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Waits for the end of the program, and passes on to it what is meant for it.
fn wait(events: &Receiver<Event>, mut control: impl Write, deadline: Option<Instant>) -> End {
    let mut post = |note: Message| {
        // It reads it when it gets there; if it is gone, that comes as an event.
        let _ = control.write_all(&note.to_bytes());
    };
    let mut signalled = None;
    let mut unread = false;
    // Until when a program that shall end may go on.
    let mut grace = None;
    loop {
        let soonest = deadline.into_iter().chain(grace).min();
        let event = match soonest {
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => events.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match event {
            Ok(Event::Said(Message::Ended(exit))) => {
                return if unread { End::NoReader } else { End::Exit(exit) };
            }
            Ok(Event::Said(Message::NotRun(why))) => return End::NotRun(why),
            Ok(Event::Said(Message::NotReady(why))) => return End::NotReady(why),
            Ok(Event::Said(Message::Note(_) | Message::NoteOne(_))) => {}
            Ok(Event::Gone) | Err(RecvTimeoutError::Disconnected) => return End::Gone,
            Ok(Event::Signal(signal)) => {
                // Who signals twice is in a hurry.
                if signalled.replace(signal).is_some() {
                    return End::Signal(signal);
                }
                post(note_of(signal));
                if matches!(signal, SIGTERM | SIGHUP) {
                    grace = Some(Instant::now() + TERMINATION_GRACE);
                }
            }
            Ok(Event::NoReader) => {
                post(Message::Note("sys: write on closed pipe".into()));
                unread = true;
                grace = Some(Instant::now() + NO_READER_GRACE);
            }
            Err(RecvTimeoutError::Timeout) => {
                return match signalled {
                    _ if unread => End::NoReader,
                    Some(signal) if grace == soonest => End::Signal(signal),
                    _ => End::TimedOut,
                };
            }
        }
    }
}

/// The note for a signal of the host.
fn note_of(signal: i32) -> Message {
    match signal {
        SIGINT => Message::Note("interrupt".into()),
        SIGHUP => Message::Note("hangup".into()),
        // A Go program shows all its goroutines, if one of its processes alone gets to do it.
        SIGQUIT => Message::NoteOne("abort".into()),
        _ => Message::Note("kill".into()),
    }
}

/// Says on standard error what the exit status alone does not say.
fn tell(end: End, console: &str, complaints: &str) -> u8 {
    match end {
        End::Exit(exit) => {
            let (status, show) = status::of(&exit);
            if show {
                eprintln!("elwood: the program ended with: {exit}");
            }
            status
        }
        End::NotRun(why) => {
            eprintln!("elwood: {why}");
            status::of_refusal(&why)
        }
        End::NotReady(why) => {
            eprintln!("elwood: the machine: {why}");
            125
        }
        End::Gone => {
            eprintln!("elwood: the machine ended before the program did");
            let tail = |text: &str| {
                let lines: Vec<_> = text.lines().collect();
                lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
            };
            for (who, text) in [("QEMU", complaints), ("its console", console)] {
                if !text.trim().is_empty() {
                    eprintln!("{who} said:\n{}", tail(text.trim_end()));
                }
            }
            125
        }
        End::TimedOut => {
            eprintln!("elwood: the time is over");
            status::TIMED_OUT
        }
        End::Signal(signal) => 128 + u8::try_from(signal).unwrap_or(0),
        // As a program of the host that ignores no signal.
        End::NoReader => 141,
    }
}
