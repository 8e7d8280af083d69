//! srv [-abcCmnq] [-s seconds] system [srvname [mtpt]]: call a 9P server of the network and post the connection as
//! /srv/srvname.
//! srv [-abcCmnq] [-s seconds] -e command srvname [mtpt]: start one instead.
//!
//! The command has the other end of a pipe as standard input and output. With a mount point it is mounted, too; -m
//! mounts it on /n/srvname. What is posted already is used, unless it is a connection that is over, or cannot be
//! mounted any more.

use alloc::format;
use alloc::string::String;

use cmd::namespace;
use lib9::{Args, Error, Result, eprintln, error, fd, file, net, proc, serve, usage};

/// What is to be done.
struct Job<'a> {
    /// An address or a command.
    what: &'a str,
    is_command: bool,
    /// The file in `/srv`.
    post: String,
    quiet: bool,
    wait_ms: u32,
}

pub fn main(args: &Args) -> Result<()> {
    let mut flag = abi::MREPL;
    let (mut is_command, mut quiet, mut mount, mut wait_ms) = (false, false, false, 0);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'e' => is_command = true,
            'm' => mount = true,
            'n' => {}
            'q' => quiet = true,
            's' => {
                let ms = flags.value().ok().and_then(cmd::number::milliseconds);
                wait_ms = ms.and_then(|ms| u32::try_from(ms).ok()).unwrap_or_else(|| synopsis(args));
            }
            _ => flag |= namespace::mount_flag(letter).unwrap_or_else(|| synopsis(args)),
        }
    }
    let (what, name, mtpt) = match flags.rest() {
        [what] if !is_command => (what, what.as_str(), None),
        [what, name] => (what, name.as_str(), None),
        [what, name, mtpt] => (what, name.as_str(), Some(String::from(mtpt))),
        _ => synopsis(args),
    };
    let post = if name.starts_with('/') { name.into() } else { format!("/srv/{name}") };
    let mtpt = mtpt.or_else(|| mount.then(|| format!("/n/{}", cmd::copy::last_element(name))));
    let job = Job { what, is_command, post, quiet, wait_ms };
    // Somebody else may have called the same server before.
    let posted = job.posted()?;
    let Some(mtpt) = mtpt else {
        if posted.is_none() {
            return job.begin().map(drop);
        }
        if !quiet {
            eprintln!("srv: {} already exists", job.post);
        }
        return Ok(());
    };
    if let Some(server) = posted {
        match namespace::mount(server, &mtpt, flag) {
            Err(e) if is_gone(&e) => {}
            other => return other,
        }
        job.remove()?;
    }
    namespace::mount(job.begin()?, &mtpt, flag).inspect_err(|_| {
        // A server that cannot be mounted is of no use to others either.
        let _ = fd::remove(&job.post);
    })
}

impl Job<'_> {
    /// What is posted already, and has not hung up as far as that can be seen. What cannot be opened is no server,
    /// unless that is for something of our own.
    fn posted(&self) -> Result<Option<i32>> {
        if fd::stat(&self.post).is_err() {
            return Ok(None);
        }
        match fd::open(&self.post, abi::ORDWR) {
            Ok(server) if !is_over(server) => Ok(Some(server)),
            Err(e) if [abi::error::EINTR, abi::error::ENOFD, abi::error::ENOMEM].iter().any(|ours| e.is(ours)) => {
                Err(error!("open {}: {e}", self.post))
            }
            _ => self.remove().map(|()| None),
        }
    }

    /// Removes what was posted, and nothing else that is called so.
    fn remove(&self) -> Result<()> {
        let there = fd::stat(&self.post).map_err(|e| error!("stat {}: {e}", self.post))?;
        if there.kind != u16::from(b's') {
            return Err(error!("{} is no service, and stays", self.post));
        }
        fd::remove(&self.post).map_err(|e| error!("remove {}: {e}", self.post))
    }

    /// Calls or starts the server and posts it; the descriptor.
    fn begin(&self) -> Result<i32> {
        let server = match self.is_command {
            true => serve::start(|end| run(self.what, end))?,
            false => call(self.what)?,
        };
        proc::sleep(self.wait_ms)?;
        if !self.quiet {
            eprintln!("post...");
        }
        serve::post(&self.post, server, 0o666)?;
        Ok(server)
    }
}

/// Calls a server of the network. What is posted is its data alone: the conversation is there as long as that is.
fn call(system: &str) -> Result<i32> {
    let conn = net::dial(&net::make_addr(system, "", "9fs")).map_err(|e| error!("can't dial {system}: {e}"))?;
    conn.keep_alive();
    Ok(conn.data.into_fd())
}

/// Whether it is the data of a conversation of TCP that the other side has ended, or nobody can go on with.
fn is_over(server: i32) -> bool {
    let Ok(path) = fd::fd2path(server) else { return false };
    let status = path.strip_suffix("/data").and_then(|dir| file::read_string(&format!("{dir}/status")).ok());
    status.is_some_and(|status| matches!(status.split_ascii_whitespace().next(), Some("Closed" | "Close_wait")))
}

/// Whether it says that the server has gone.
fn is_gone(e: &Error) -> bool {
    let texts = [abi::error::EHUNGUP, abi::error::EMOUNTRPC, abi::error::EIO];
    texts.iter().any(|text| e.is(text)) || e.is("connection reset by peer") || e.is("connection timed out")
}

/// Becomes the command, with this end of a pipe as its standard input and output.
fn run(command: &str, end: i32) -> ! {
    let exec = || {
        fd::dup(end, 0)?;
        fd::dup(end, 1)?;
        fd::close(end)?;
        proc::exec("/bin/rc", &["rc", "-c", command])
    };
    let Err(e) = exec();
    eprintln!("srv: can't exec rc: {e}");
    proc::exits_now("exec")
}

fn synopsis(args: &Args) -> ! {
    const SYNOPSIS: &str = "[-abcCmnq] [-s seconds] system [srvname [mtpt]]\n\t\
                            srv [-abcCmnq] [-s seconds] -e command srvname [mtpt]";
    usage(args, SYNOPSIS)
}
