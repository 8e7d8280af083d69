//! A running machine: waiting for what it prints, typing at it, ending it.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdin, Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::process::Process;
use crate::transcript::{Found, Missing, Pattern, Transcript};
use crate::{Qmp, Serial, Vm};

/// How many lines of the transcript an error shows.
const TAIL_LINES: usize = 12;

/// A QEMU process, killed with its process group when this is dropped.
#[derive(Debug)]
pub struct Guest {
    process: Arc<Process>,
    stdin: ChildStdin,
    transcript: Arc<Transcript>,
    errors: Arc<Transcript>,
    qmp: Option<Qmp>,
    /// How much of the transcript has been matched.
    seen: usize,
}

impl Vm {
    /// Starts QEMU with the serial line connected to this program.
    pub fn start(&self) -> Result<Guest> {
        self.start_with(None)
    }

    /// The same; all that arrives on the serial line goes to `copy` too, as it is, from another thread.
    pub fn start_and_copy(&self, copy: impl Fn(&[u8]) + Send + 'static) -> Result<Guest> {
        self.start_with(Some(Box::new(copy)))
    }

    fn start_with(&self, copy: Option<crate::transcript::Copy>) -> Result<Guest> {
        let mut words = self.clone().serial(Serial::Stdio).command_line()?.into_iter();
        let program = words.next().unwrap_or_default();
        let mut command = Command::new(&program);
        command.args(words);
        // QEMU connects to us, not we to it: then there is no moment to miss.
        let mut listener = None;
        if self.qmp {
            let dir = tempfile::tempdir().context("a folder for the QMP socket")?;
            let path = dir.path().join("qmp");
            listener = Some((UnixListener::bind(&path)?, dir));
            command.arg("-chardev");
            command.arg(format!("socket,id=qmp,path={}", path.display()));
            command.args(["-mon", "chardev=qmp,mode=control"]);
        }
        let start = Instant::now();
        let (process, pipes) =
            Process::start(&mut command).with_context(|| format!("cannot start {}", program.display()))?;
        let transcript = Arc::new(Transcript::new(start));
        transcript.fill(pipes.stdout, copy);
        let errors = Arc::new(Transcript::new(start));
        errors.fill(pipes.stderr, None);
        let mut guest = Guest { process, stdin: pipes.stdin, transcript, errors, qmp: None, seen: 0 };
        if let Some((listener, _dir)) = listener {
            guest.qmp = Some(Qmp::accept(listener, &guest)?);
        }
        Ok(guest)
    }
}

impl Guest {
    /// Waits until the machine has printed `pattern` after all that earlier calls matched.
    ///
    /// # Errors
    /// When `timeout` passes first or the machine ends first; the error shows the transcript's last lines.
    pub fn expect(&mut self, pattern: impl Into<Pattern>, timeout: Duration) -> Result<Found> {
        self.expect_before(pattern, Instant::now() + timeout)
    }

    /// The same with a point in time instead of a length.
    pub fn expect_before(&mut self, pattern: impl Into<Pattern>, deadline: Instant) -> Result<Found> {
        let pattern = pattern.into();
        let begun = Instant::now();
        match self.transcript.wait(&pattern, self.seen, deadline) {
            Ok(found) => {
                self.seen = found.end;
                Ok(found)
            }
            Err(Missing::TimedOut) => {
                Err(self.failure(format!("{pattern} did not come within {:.1?}", begun.elapsed())))
            }
            Err(Missing::Closed) => {
                let end = self.process.wait(Instant::now() + Duration::from_secs(1));
                let end = end.map_or("closed its console".into(), |e| format!("ended ({})", describe(e)));
                Err(self.failure(format!("the machine {end} before {pattern} came")))
            }
        }
    }

    /// Types `text` on the serial line, as it is. Returns when QEMU has taken it, not when the guest has.
    pub fn send(&mut self, text: &str) -> Result<()> {
        let sent = self.stdin.write_all(text.as_bytes()).and_then(|()| self.stdin.flush());
        sent.map_err(|e| self.failure(format!("cannot type {text:?}: {e}")))
    }

    /// What has been printed so far, matched or not.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Waits until QEMU has ended by itself and all of its output is in the transcript.
    ///
    /// # Errors
    /// When it is still running after `budget`; it goes on running then.
    pub fn wait_exit(&mut self, budget: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + budget;
        let Some(status) = self.process.wait(deadline) else {
            return Err(self.failure(format!("the machine still runs after {budget:.1?}")));
        };
        // The pipes are closed by now, if no child of QEMU's has them.
        let grace = Instant::now() + Duration::from_secs(1);
        self.transcript.wait_closed(grace);
        self.errors.wait_closed(grace);
        Ok(status)
    }

    /// Whether QEMU has not ended yet.
    pub fn is_running(&self) -> bool {
        self.end().is_none()
    }

    /// Kills QEMU, as if its power were cut. Dropping a guest does that too.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Has QEMU stand still for so long, as on a host that sleeps: it does nothing, and its clocks go on.
    pub fn stand_still(&self, time: Duration) {
        self.process.signal(rustix::process::Signal::STOP);
        std::thread::sleep(time);
        self.process.signal(rustix::process::Signal::CONT);
    }

    /// What QEMU itself has said on its standard error.
    pub fn qemu_messages(&self) -> String {
        self.errors.text()
    }

    /// The connection to QEMU itself, of a machine described with `Vm::with_qmp`.
    pub fn qmp(&mut self) -> Result<&mut Qmp> {
        match &mut self.qmp {
            Some(qmp) => Ok(qmp),
            None => bail!("this machine was described without QMP"),
        }
    }

    /// An error made of `what` and what the machine and QEMU have said last.
    pub(crate) fn failure(&self, what: String) -> anyhow::Error {
        let mut text = what;
        let errors = self.errors.last_lines(TAIL_LINES);
        if !errors.is_empty() {
            text += &format!("\nQEMU said:\n{errors}");
        }
        let tail = self.transcript.last_lines(TAIL_LINES);
        if tail.is_empty() {
            text += "\nthe machine has printed nothing";
        } else {
            text += &format!("\nthe machine's last lines:\n{tail}");
        }
        anyhow!(text)
    }

    /// Whether QEMU has ended, without waiting.
    pub(crate) fn end(&self) -> Option<ExitStatus> {
        self.process.wait(Instant::now())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.process.kill();
        // Reaped before the caller goes on: its folders and ports are free then.
        self.process.wait(Instant::now() + Duration::from_secs(10));
    }
}

/// What a shell would make of `status`: the exit code, or 128 plus the signal's number.
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn describe(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("killed by signal {signal}"),
        None => format!("exit status {}", exit_code(status)),
    }
}
