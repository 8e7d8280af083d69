//! The steps of a case: one thing to do or to see, and what a look may be at. Plain data; `play` carries them out.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use vm::Pattern;

use crate::host::Programs;
use crate::peers::Peers;
use crate::socket::Sockets;

/// How long the machine may take to make a file.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fills a share's folder before the machine starts.
pub type Fill = Box<dyn Fn(&Path) -> Result<()> + Send + Sync>;

/// A look at what the last line printed and at the shares' folders.
pub type Check = Box<dyn Fn(&World) -> Result<()> + Send + Sync>;

/// One thing to do, or to see.
pub enum Step {
    /// Type this and a newline at the prompt; all that it prints is the next steps' `output`.
    Line(String),
    /// The output contains this.
    Gives(Pattern),
    /// The output is exactly this.
    Is(String),
    /// A look at the output or at the host's side.
    Check(Check),
    /// Type these characters now, whatever the machine is doing.
    Type(String),
    /// The machine prints this sooner or later.
    Sees(Pattern),
    /// Type these characters on the PC's own keyboard.
    Keys(String),
    /// Tell QEMU this: a command and its arguments.
    Qmp(&'static str, Value),
    /// QEMU tells this event of a device.
    Happens(&'static str, &'static str),
    /// QEMU stands still for so long, as on a host that sleeps.
    Stands(Duration),
    /// The host waits for so long.
    Waits(Duration),
    /// The screen shows this text sooner or later; the rows end in newlines.
    Shows(Pattern),
}

/// How a machine has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It runs on, and the test switches it off.
    Running,
    /// QEMU ends by itself with this status.
    Exits(i32),
    /// QEMU ends by itself with any status but 0.
    Fails,
}

/// What a check may look at.
#[derive(Default)]
pub struct World {
    /// What the last typed line printed.
    pub output: String,
    /// What QEMU answered to the last command of QMP.
    pub answer: Value,
    /// The shares: tag and folder.
    pub folders: Vec<(String, PathBuf)>,
    /// The disks' images.
    pub images: Vec<(String, PathBuf)>,
    /// The host's ends of the character devices.
    pub sockets: Sockets,
    /// What runs on the host beside the machine.
    pub programs: Programs,
    /// What it can talk to by the network.
    pub peers: Peers,
}

impl World {
    /// The host's folder behind the mount tag `tag`, or the one that has just this name.
    pub fn folder(&self, tag: &str) -> Result<&Path> {
        let found = self.folders.iter().find(|(t, _)| t == tag);
        found.map(|(_, path)| path.as_path()).ok_or_else(|| anyhow::anyhow!("the case has no folder {tag}"))
    }

    /// Writes a number into the file `name` of the share `host`, for the machine to read.
    pub fn tell(&self, name: &str, number: impl std::fmt::Display) -> Result<()> {
        Ok(std::fs::write(self.folder("host")?.join(name), number.to_string())?)
    }

    /// Waits until the machine has made the file `name` in the share `tag`.
    pub fn made(&self, tag: &str, name: &str) -> Result<()> {
        let path = self.folder(tag)?.join(name);
        let end = Instant::now() + PATIENCE;
        while !path.exists() {
            anyhow::ensure!(Instant::now() < end, "{name} is not made");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The port of the host that leads to the port `guest` of the machine, by QEMU's `info usernet` in `answer`.
    pub fn forwarded(&self, guest: u16) -> Result<SocketAddr> {
        let table = self.answer.as_str().unwrap_or_default();
        // TCP[HOST_FORWARD]  14  127.0.0.1 37121  10.0.2.15  564  0  0
        let port = table.lines().filter(|line| line.contains("HOST_FORWARD")).find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words.get(5)?.parse() == Ok(guest)).then(|| words.get(3)?.parse().ok())?
        });
        let port: u16 = port.with_context(|| format!("nothing leads to {guest}: {table}"))?;
        Ok((std::net::Ipv4Addr::LOCALHOST, port).into())
    }

    /// The image of the disk with this name.
    pub fn image(&self, name: &str) -> Result<&Path> {
        let found = self.images.iter().find(|(n, _)| n == name);
        found.map(|(_, path)| path.as_path()).ok_or_else(|| anyhow::anyhow!("the case has no disk {name}"))
    }
}
