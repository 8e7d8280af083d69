//! The host's ends of the machine's character devices: unix sockets in the case's folder, on which QEMU listens.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// How long the machine may take to read or to write something.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who waits for the other at a character device's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// QEMU does, and the machine does not wait for a caller.
    Qemu,
    /// The host does, and QEMU calls; when the connection ends it calls again each second.
    Host,
}

/// All sockets of a case, connected or not.
#[derive(Default)]
pub struct Sockets {
    folder: PathBuf,
    calls_again: &'static str,
    connected: Mutex<BTreeMap<String, UnixStream>>,
    servers: Mutex<BTreeMap<String, Server>>,
}

/// A program of the host that serves a device. It ends with the case.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Sockets {
    /// Those in `folder`; none is connected. `calls_again` is QEMU's option for [`Listener::Host`].
    pub fn new(folder: &Path, calls_again: &'static str) -> Sockets {
        Sockets { folder: folder.to_owned(), calls_again, ..Sockets::default() }
    }

    /// QEMU's argument for the character device `name`.
    pub fn chardev(&self, name: &str, listener: Listener) -> String {
        let role = match listener {
            Listener::Qemu => "server=on,wait=off",
            Listener::Host => self.calls_again,
        };
        format!("socket,id={name},path={},{role}", self.path(name).display())
    }

    /// Where its socket is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Connects to a device.
    pub fn connect(&self, name: &str) -> Result<()> {
        let stream = UnixStream::connect(self.path(name)).context("connecting")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        self.all().insert(name.to_owned(), stream);
        Ok(())
    }

    /// Has `program` talk to a device through its standard input, which it can also write to.
    pub fn serve(&self, name: &str, program: &mut Command) -> Result<()> {
        let stream = UnixStream::connect(self.folder.join(name)).context("connecting")?;
        let child = program.stdin(OwnedFd::from(stream)).spawn().with_context(|| format!("{program:?}"))?;
        self.servers().insert(name.to_owned(), Server(child));
        Ok(())
    }

    /// Kills the program that serves a device.
    pub fn kill(&self, name: &str) -> Result<()> {
        ensure!(self.servers().remove(name).is_some(), "nobody serves {name}");
        Ok(())
    }

    /// Leaves it.
    pub fn leave(&self, name: &str) -> Result<()> {
        ensure!(self.all().remove(name).is_some(), "{name} is not connected");
        Ok(())
    }

    /// Sends all of `bytes` to a device.
    pub fn say(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.stream(name)?.write_all(bytes).context("sending")
    }

    /// Receives `len` bytes from it.
    pub fn hear(&self, name: &str, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.stream(name)?.read_exact(&mut bytes).context("receiving")?;
        Ok(bytes)
    }

    /// Receives from it until `text` has come, and gives all of it.
    pub fn hear_until(&self, name: &str, text: &[u8]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(text) {
            let byte = self.hear(name, 1);
            bytes.extend(byte.with_context(|| {
                format!("{:?} is not in {:?}", String::from_utf8_lossy(text), String::from_utf8_lossy(&bytes))
            })?);
        }
        Ok(bytes)
    }

    fn stream(&self, name: &str) -> Result<UnixStream> {
        let all = self.all();
        let stream = all.get(name).with_context(|| format!("{name} is not connected"))?;
        Ok(stream.try_clone()?)
    }

    fn servers(&self) -> MutexGuard<'_, BTreeMap<String, Server>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, UnixStream>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
