//! A child process that is a process group of its own and can be waited for with a deadline.
//!
//! A thread owns the child's handle and reaps it. The state's lock guards one fact: whether the process has been
//! reaped. It is held to reap and to kill, so a number that the host has given to somebody else is never killed.

use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// The groups that may be running, for [`kill_all`].
static RUNNING: Mutex<Vec<Arc<Process>>> = Mutex::new(Vec::new());

/// Kills every machine that this process has started. For a program that is about to end without unwinding, after a
/// signal for instance: the machines are in groups of their own, so the terminal's interrupt does not reach them.
pub fn kill_all() {
    let running = std::mem::take(&mut *RUNNING.lock().unwrap_or_else(PoisonError::into_inner));
    for process in running {
        process.kill();
    }
}

/// A running or ended child.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    end: Mutex<Option<ExitStatus>>,
    ended: Condvar,
}

/// The near ends of the child's standard streams.
pub(crate) struct Pipes {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}

impl Process {
    /// Starts `command` in a process group of its own with pipes for its standard streams.
    pub(crate) fn start(command: &mut Command) -> Result<(Arc<Process>, Pipes)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn()?;
        let pid = Pid::from_child(&child);
        let pipes = Pipes {
            stdin: child.stdin.take().context("no standard input")?,
            stdout: child.stdout.take().context("no standard output")?,
            stderr: child.stderr.take().context("no standard error")?,
        };
        let process = Arc::new(Process { pid, end: Mutex::default(), ended: Condvar::new() });
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&process));
        let waited = Arc::clone(&process);
        std::thread::spawn(move || waited.reap(child));
        Ok((process, pipes))
    }

    /// Waits for the end without reaping, then reaps under the lock.
    fn reap(self: Arc<Self>, mut child: Child) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(self.pid), options) {}
        let mut end = self.lock();
        *end = child.wait().ok();
        self.ended.notify_all();
        drop(end);
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).retain(|p| !Arc::ptr_eq(p, &self));
    }

    fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end until `deadline`.
    pub(crate) fn wait(&self, deadline: Instant) -> Option<ExitStatus> {
        let mut end = self.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if end.is_some() || left.is_zero() {
                return *end;
            }
            end = self.ended.wait_timeout(end, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Kills the whole group, unless the child has been reaped.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Sends the whole group a signal, unless the child has been reaped.
    pub(crate) fn signal(&self, signal: Signal) {
        let end = self.lock();
        if end.is_none() {
            // An error means that there is nobody left.
            let _ = kill_process_group(self.pid, signal);
        }
    }
}
