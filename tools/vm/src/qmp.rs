//! Talking to QEMU itself: the QEMU Machine Protocol, JSON lines over a socket (docs/interop/qmp-spec).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::Guest;

/// How long QEMU may take to answer.
const ANSWER_BUDGET: Duration = Duration::from_secs(10);

/// A connection that is ready for commands.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
    /// What has happened and nobody has asked for, the oldest first.
    events: Vec<Value>,
}

impl Qmp {
    /// Waits for QEMU to connect and leaves the negotiation mode.
    pub(crate) fn accept(listener: UnixListener, guest: &Guest) -> Result<Qmp> {
        let deadline = Instant::now() + ANSWER_BUDGET;
        listener.set_nonblocking(true)?;
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e).context("QMP socket"),
            }
            if guest.end().is_some() {
                return Err(guest.failure("QEMU ended before it opened its QMP socket".into()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(guest.failure("QEMU did not open its QMP socket".into()));
            }
            // Wakes at once when QEMU connects; the short limit is for noticing that it has ended.
            let wait = left.min(Duration::from_millis(100));
            let mut fds = [rustix::event::PollFd::new(&listener, rustix::event::PollFlags::IN)];
            match rustix::event::poll(&mut fds, Some(&wait.try_into()?)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e).context("QMP socket"),
            }
        };
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(ANSWER_BUDGET))?;
        let mut qmp = Qmp { stream: BufReader::new(stream), events: Vec::new() };
        qmp.read()?;
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Carries out `command` (`stop`, `cont`, `quit`, `system_powerdown`, `query-status`...) and returns what it gives.
    /// Events that come in between are kept for [`Qmp::happens`].
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let mut line = serde_json::to_vec(&json!({ "execute": command, "arguments": arguments }))?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line)?;
        loop {
            let mut answer = self.read().with_context(|| format!("QMP {command}"))?;
            if let Some(error) = answer.get("error") {
                bail!("QMP {command}: {}", error.get("desc").unwrap_or(error));
            }
            if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
            self.events.extend(answer.get("event").is_some().then_some(answer));
        }
    }

    /// Waits until `event` has happened to the device with this id, if it has not since it was asked for last.
    pub fn happens(&mut self, event: &str, device: &str) -> Result<()> {
        let is_it = |e: &Value| e["event"] == event && e["data"]["device"] == device;
        loop {
            if let Some(at) = self.events.iter().position(is_it) {
                self.events.remove(at);
                return Ok(());
            }
            let next = self.read().with_context(|| format!("QMP event {event} of {device}"))?;
            self.events.push(next);
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("QEMU closed its QMP socket");
        }
        Ok(serde_json::from_str(&line)?)
    }
}
