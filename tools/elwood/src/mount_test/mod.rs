//! `elwood mount-test`: looks at a 9P2000 server as a client would, without mounting anything.
//!
//! It is for what a guest serves: `exportfs` on a port, whose other end is a socket of this machine.

mod client;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use sha1::{Digest, Sha1};

use client::{Client, Entry, MSIZE_MAX, Stream};

/// What `elwood mount-test` takes.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    place: Place,
    /// Who attaches
    #[arg(long, default_value = "glenda")]
    user: String,
    /// Which tree of the server
    #[arg(long, default_value = "")]
    tree: String,
    /// Largest message to offer, in bytes
    #[arg(long, default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(512..=i64::from(MSIZE_MAX)))]
    msize: u32,
    /// How long to wait for an answer, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// The server's Unix socket
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// The server's address and port
    #[arg(long, value_name = "ADDR:PORT")]
    tcp: Option<SocketAddr>,
}

/// What to do there. Without one: say what was agreed on, and how many files are in the root.
#[derive(Subcommand)]
enum Command {
    /// List a directory
    Ls {
        /// With mode, owner, group, length and time of change (seconds since 1970)
        #[arg(short)]
        long: bool,
        #[arg(default_value = "/")]
        path: OsString,
    },
    /// Copy a file to standard output
    Cat { path: OsString },
    /// Copy a local file, or standard input, to a file of the server
    Put { path: OsString, from: Option<PathBuf> },
    /// Make a directory
    Mkdir { path: OsString },
    /// Rename a file in its directory
    Mv { path: OsString, name: OsString },
    /// Remove a file or an empty directory
    Rm { path: OsString },
    /// SHA-1 sums of all plain files at and below a path, as sha1sum -c reads them
    Sum {
        #[arg(default_value = "/")]
        path: OsString,
    },
}

/// Does what was asked for.
pub fn mount_test(options: &Options) -> Result<()> {
    let stream = connect(&options.place, options.patience())?;
    let mut out = io::stdout().lock();
    run(stream, options, &mut out)?;
    Ok(out.flush()?)
}

impl Options {
    fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }
}

fn connect(place: &Place, patience: Duration) -> Result<Box<dyn Stream>> {
    Ok(match place {
        Place { unix: Some(path), .. } => {
            Box::new(UnixStream::connect(path).with_context(|| format!("cannot call {}", path.display()))?)
        }
        Place { tcp: Some(addr), .. } => {
            let socket =
                TcpStream::connect_timeout(addr, patience).with_context(|| format!("cannot call {addr}"))?;
            socket.set_nodelay(true)?;
            Box::new(socket)
        }
        Place { .. } => bail!("where is the server?"),
    })
}

fn run(stream: Box<dyn Stream>, options: &Options, out: &mut dyn Write) -> Result<()> {
    let mut c = Client::new(stream, options.msize, &options.user, &options.tree, options.patience())?;
    let Some(command) = &options.command else {
        let n = c.list(b"/").context("/")?.len();
        writeln!(out, "9P2000, messages of {} bytes, {n} files in the root", c.msize)?;
        return Ok(());
    };
    let path = command.path();
    let done = match command {
        Command::Ls { long, .. } => ls(&mut c, path, *long, out),
        Command::Cat { .. } => c.get(path, |data| Ok(out.write_all(data)?)),
        Command::Put { from, .. } => match from {
            Some(from) => {
                let file = File::open(from).with_context(|| format!("cannot open {}", from.display()))?;
                c.put(path, file).map(drop)
            }
            None => c.put(path, io::stdin().lock()).map(drop),
        },
        Command::Mkdir { .. } => c.mkdir(path),
        Command::Mv { name, .. } => c.rename(path, name.as_bytes()),
        Command::Rm { .. } => c.remove(path),
        Command::Sum { .. } => sum(&mut c, path, out),
    };
    done.with_context(|| String::from_utf8_lossy(path).into_owned())
}

impl Command {
    fn path(&self) -> &[u8] {
        match self {
            Command::Ls { path, .. }
            | Command::Cat { path }
            | Command::Put { path, .. }
            | Command::Mkdir { path }
            | Command::Mv { path, .. }
            | Command::Rm { path }
            | Command::Sum { path } => path.as_bytes(),
        }
    }
}

fn ls(c: &mut Client, path: &[u8], long: bool, out: &mut dyn Write) -> Result<()> {
    let itself = c.stat(path)?;
    let mut entries = if itself.is_dir() { c.list(path)? } else { vec![itself] };
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for e in &entries {
        if long {
            let (uid, gid) = (String::from_utf8_lossy(&e.uid), String::from_utf8_lossy(&e.gid));
            write!(out, "{} {uid} {gid} {} {} ", mode(e), e.length, e.mtime)?;
        }
        out.write_all(&e.name)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// The mode as ls(1) of the guest shows it.
fn mode(e: &Entry) -> String {
    let kind = match e.mode {
        m if m & abi::DMDIR != 0 => 'd',
        m if m & abi::DMAPPEND != 0 => 'a',
        _ => '-',
    };
    let exclusive = match e.mode {
        m if m & abi::DMEXCL != 0 => 'l',
        m if m & abi::DMTMP != 0 => 't',
        _ => '-',
    };
    let bits = (0..9).rev().zip("rwxrwxrwx".chars());
    let bits = bits.map(|(bit, letter)| if e.mode >> bit & 1 != 0 { letter } else { '-' });
    [kind, exclusive].into_iter().chain(bits).collect()
}

/// The sums of a tree, in the order of names; names are relative to `path`.
fn sum(c: &mut Client, path: &[u8], out: &mut dyn Write) -> Result<()> {
    let itself = c.stat(path)?;
    if !itself.is_dir() {
        return sum_file(c, path, &itself.name, out);
    }
    let mut waiting = vec![Vec::new()];
    while let Some(dir) = waiting.pop() {
        let mut entries = c.list(&join(path, &dir))?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut dirs = Vec::new();
        for e in entries {
            let below = join(&dir, &e.name);
            if e.is_dir() {
                dirs.push(below);
            } else {
                sum_file(c, &join(path, &below), &below, out)
                    .with_context(|| String::from_utf8_lossy(&below).into_owned())?;
            }
        }
        waiting.extend(dirs.into_iter().rev());
    }
    Ok(())
}

fn sum_file(c: &mut Client, path: &[u8], name: &[u8], out: &mut dyn Write) -> Result<()> {
    let mut hash = Sha1::new();
    c.get(path, |data| {
        hash.update(data);
        Ok(())
    })?;
    for byte in hash.finalize() {
        write!(out, "{byte:02x}")?;
    }
    out.write_all(b"  ")?;
    out.write_all(name)?;
    Ok(out.write_all(b"\n")?)
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    match (dir, name) {
        (b"", _) => name.to_vec(),
        (_, b"") => dir.to_vec(),
        _ => [dir, b"/", name].concat(),
    }
}
