//! `elwood serve`: a 9P2000 server of a folder, on a socket or on standard input and output.
//!
//! Each client is a thread with a [`Session`] of its own; they share the [`Folder`], which has no state but the folder
//! itself and the names that clients hold. Requests of one client are answered in order: only plain files and
//! directories are ever opened, so none waits for anybody, and a `Tflush` finds its request answered.
//!
//! The rules of the protocol are those of our own engine, [`ninep::server`]. The server of the crate of the same name
//! on crates.io knows files by qid and names by `str`: it cannot keep an open file, its mode or remove-on-close for
//! each fid, nor serve a name that is not UTF-8.

mod files;
#[cfg(test)]
mod tests;
mod tree;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use ninep::Framer;
use ninep::server::{MSIZE_MAX, Session};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use files::Folder;
use tree::Tree;

/// What `elwood serve` takes.
#[derive(Args)]
pub struct Options {
    /// The folder
    dir: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Call the socket instead of waiting for callers, as a chardev with server=on wants it
    #[arg(long, conflicts_with = "stdio")]
    connect: bool,
    /// Change nothing in the folder
    #[arg(long)]
    readonly: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// A Unix socket
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// An address and port. There is no authentication: whoever reaches it has the folder
    #[arg(long, value_name = "ADDR:PORT")]
    tcp: Option<SocketAddr>,
    /// One client, on standard input and output
    #[arg(long)]
    stdio: bool,
}

/// Serves until the only client leaves, or for ever when it listens.
pub fn serve(options: &Options) -> Result<()> {
    let dir = &options.dir;
    let tree =
        Tree::open(dir, options.readonly).with_context(|| format!("cannot serve {}", dir.display()))?;
    let tree = Arc::new(Folder::new(tree));
    match &options.place {
        Place { unix: Some(path), .. } if options.connect => {
            let socket =
                UnixStream::connect(path).with_context(|| format!("cannot call {}", path.display()))?;
            client(&tree, &socket, &socket)
        }
        Place { unix: Some(path), .. } => listen_unix(&tree, path),
        Place { tcp: Some(addr), .. } if options.connect => {
            let socket = TcpStream::connect(addr).with_context(|| format!("cannot call {addr}"))?;
            let _ = socket.set_nodelay(true);
            client(&tree, &socket, &socket)
        }
        Place { tcp: Some(addr), .. } => {
            let listener = TcpListener::bind(addr).with_context(|| format!("cannot listen on {addr}"))?;
            eprintln!("elwood: {} is on {}", dir.display(), listener.local_addr()?);
            accept(&tree, || {
                let socket = listener.accept()?.0;
                let _ = socket.set_nodelay(true);
                Ok((socket.try_clone()?, socket))
            })
        }
        _ => client(&tree, io::stdin().lock(), io::stdout().lock()),
    }
}

/// Listens on a Unix socket, which is removed when a signal ends the server.
fn listen_unix(tree: &Arc<Folder>, path: &Path) -> Result<()> {
    // A server that was killed leaves its socket behind; one that answers is alive.
    let is_socket = fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if is_socket {
        if UnixStream::connect(path).is_ok() {
            bail!("there is a server on {} already", path.display());
        }
        fs::remove_file(path).with_context(|| format!("cannot remove the old {}", path.display()))?;
    }
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let socket = path.to_owned();
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let _ = fs::remove_file(&socket);
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    });
    eprintln!("elwood: the folder is on {}", path.display());
    accept(tree, || {
        let socket = listener.accept()?.0;
        Ok((socket.try_clone()?, socket))
    })
}

/// Gives each caller a thread.
fn accept<R, W>(tree: &Arc<Folder>, next: impl Fn() -> io::Result<(R, W)>) -> Result<()>
where
    R: Read + Send + 'static,
    W: Write + Send + 'static,
{
    loop {
        match next() {
            Ok((from, to)) => {
                let tree = tree.clone();
                thread::spawn(move || {
                    if let Err(e) = client(&tree, from, to) {
                        eprintln!("elwood: a client is cut off: {e:#}");
                    }
                });
            }
            // Out of descriptors, or a caller that gave up: others may be luckier a moment later.
            Err(e) => {
                eprintln!("elwood: a caller is lost: {e}");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// Answers one client until it leaves.
fn client(folder: &Folder, from: impl Read, to: impl Write) -> Result<()> {
    let mut session = Session::new(MSIZE_MAX);
    let result = converse(folder, &mut session, from, to);
    session.end().run(folder, &[]);
    result
}

fn converse(
    folder: &Folder,
    session: &mut Session<Folder>,
    mut from: impl Read,
    mut to: impl Write,
) -> Result<()> {
    let mut framer = Framer::new(MSIZE_MAX);
    let mut chunk = vec![0; 64 << 10];
    loop {
        let n = match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        framer.push(chunk.get(..n).unwrap_or_default());
        while let Some(request) = framer.next_message()? {
            let reply = session.handle(folder, request)?;
            framer.set_msize(session.msize());
            to.write_all(&reply)?;
            to.flush()?;
        }
    }
}
