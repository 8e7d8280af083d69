//! tlsclient [-D] [-n name] [-t trusted] [-x excluded] address [command [arg ...]]: talk with a server by TLS. See
//! tlsclient(8).
//!
//! Two processes share the connection. One reads what comes of the network and hands on what was said, the other what
//! is to be said. The first sends nothing, since it must not wait for an other side that waits for it: what it has to
//! send goes with what the second sends next, and what is told at an end goes if nobody else is sending.
//!
//! Locks: `sending` is held while something is sent, so that records go in their order, and `client` within it, never
//! while something is read or written.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use core::convert::Infallible;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::{OREAD, Rfork};
use lib9::net::{self, Conn};
use lib9::proc::Noted;
use lib9::sys::Lock;
use lib9::{Args, File, Fork, Result, eprintln, error, fd, file, proc, usage};
use rustls::crypto::GetRandomFailed;
use tls::client::{Client, config};
use tls::trust::{Thumbprints, Trust, Way, anchors, line};

lib9::program!(main);

/// Whose certificates are trusted, unless `-t` says otherwise.
const ANCHORS: &str = "/sys/lib/tls/ca.pem";

struct Shared {
    client: Lock<Client>,
    sending: Lock<()>,
    conn: Conn,
    /// Nobody wants to hear what still comes.
    left: AtomicBool,
}

fn main(args: &Args) -> Result<()> {
    let synopsis =
        || -> ! { usage(args, "[-D] [-n name] [-t trusted] [-x excluded] address [command [arg ...]]") };
    let (mut tells, mut name, mut trusted, mut excluded) = (false, None, None, None);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        let mut value = || Some(flags.value().unwrap_or_else(|_| synopsis()));
        match letter {
            'D' => tells = true,
            'n' => name = value(),
            't' => trusted = value(),
            'x' => excluded = value(),
            _ => synopsis(),
        }
    }
    let [address, command @ ..] = flags.rest() else { synopsis() };
    let config = config(random, now, trust(trusted, excluded)?)?;
    let address = net::make_addr(address, "tcp", "https");
    let host = address.split('!').nth(1).unwrap_or_default();
    let mut client = Client::new(config, name.unwrap_or(host))?;

    let conn = net::dial(&address).map_err(|e| error!("can't dial {address}: {e}"))?;
    conn.keep_alive();
    greet(&mut client, &conn)?;
    if tells {
        let known = client.certificate().map(line).unwrap_or_default();
        eprintln!("{}: {}: {}", args.name(), client.kind(), known);
    }
    let ends = if command.is_empty() { [0, 1] } else { run(command, &conn)? };
    // When nobody reads any more, the write fails as well, and the other process is ended.
    proc::notify(Some(|note| match note.starts_with("sys: write on closed pipe") {
        true => Noted::Continue,
        false => Noted::Default,
    }))?;
    let shared =
        Shared { client: Lock::new(client), sending: Lock::new(()), conn, left: AtomicBool::new(false) };
    let shared = Arc::new(shared);
    let theirs = shared.clone();
    let hangs_up = !command.is_empty();
    let sender = proc::spawn(Rfork::empty(), move || send(&theirs, ends[0], hangs_up))?;
    let heard = hear(&shared, ends[1]);
    let _ = proc::postnote(sender, "kill");
    if hangs_up {
        let _ = fd::close(ends[0]);
    }
    // The sender uses memory of ours, and the command's end is ours.
    let mut status = String::new();
    while let Ok(ended) = proc::await_() {
        if ended.pid != sender {
            status = ended.msg;
        }
    }
    goodbye(&shared);
    heard?;
    proc::exits(&status)
}

/// Whom the files say that one trusts.
fn trust(trusted: Option<&str>, excluded: Option<&str>) -> Result<Trust> {
    let way = match trusted {
        Some(name) => Way::Known(prints(name)?),
        None => {
            let pem = file::read(ANCHORS).map_err(|e| error!("{ANCHORS}: {e}"))?;
            Way::Anchors(anchors(&pem).map_err(|e| error!("{ANCHORS}: {e}"))?)
        }
    };
    let excluded = excluded.map_or_else(|| Ok(Thumbprints::default()), prints)?;
    Ok(Trust { way, excluded })
}

fn prints(name: &str) -> Result<Thumbprints> {
    let mut read = |name: &str| file::read_string(name).map_err(|e| alloc::format!("{name}: {e}"));
    let text = read(name)?;
    Thumbprints::parse(&text, &mut read).map_err(|e| error!("{name}: {e}"))
}

/// Has both sides agree, and the server show who it is.
fn greet(client: &mut Client, conn: &Conn) -> Result<()> {
    let mut piece = vec![0; fd::PIECE];
    loop {
        let out = client.outgoing();
        if !out.is_empty() {
            conn.data.write_all(&out)?;
        }
        if client.is_ready() {
            return Ok(());
        }
        let n = conn.data.read(&mut piece)?;
        if n == 0 {
            return Err("it hangs up before it has shown who it is".into());
        }
        if let Err(why) = client.take(piece.get(..n).unwrap_or_default()) {
            // It may be gone.
            let _ = conn.data.write_all(&client.outgoing());
            return Err(why.into());
        }
    }
}

/// Hands on what is said, to the end.
fn hear(shared: &Shared, to: i32) -> Result<()> {
    let mut piece = vec![0; fd::PIECE];
    let (mut said, mut ended) = {
        let mut client = shared.client.lock();
        (client.said(), client.has_ended())
    };
    loop {
        // An empty write would be the end, in a pipe.
        if !said.is_empty() {
            fd::write_all(to, &said)?;
        }
        if ended {
            return Ok(());
        }
        let n = match shared.conn.data.read(&mut piece) {
            Ok(n) => n,
            Err(_) if shared.left.load(Ordering::Acquire) => return Ok(()),
            Err(e) => return Err(e),
        };
        if shared.left.load(Ordering::Acquire) {
            return Ok(());
        }
        if n == 0 {
            // Somebody on the way may have cut it, to have a part taken for the whole.
            return Err("the connection was cut".into());
        }
        let mut client = shared.client.lock();
        let taken = client.take(piece.get(..n).unwrap_or_default());
        (said, ended) = (client.said(), client.has_ended());
        drop(client);
        if let Err(why) = taken {
            if !said.is_empty() {
                fd::write_all(to, &said)?;
            }
            return Err(why.into());
        }
    }
}

/// Says what is to be said. At its end the other side may still say something, unless that was all of a command's.
fn send(shared: &Shared, from: i32, hangs_up: bool) -> Result<()> {
    let mut piece = vec![0; fd::PIECE];
    loop {
        let n = fd::read(from, &mut piece)?;
        if n == 0 {
            break;
        }
        let sending = shared.sending.lock();
        let mut client = shared.client.lock();
        client.put(piece.get(..n).unwrap_or_default())?;
        let out = client.outgoing();
        drop(client);
        shared.conn.data.write_all(&out)?;
        drop(sending);
    }
    if hangs_up {
        shared.left.store(true, Ordering::Release);
        goodbye(shared);
        let _ = shared.conn.ctl.write_all(b"hangup");
    }
    Ok(())
}

/// Tells the other side that nothing more is said, or what was wrong, if nobody is sending.
fn goodbye(shared: &Shared) {
    let Some(sending) = shared.sending.try_lock() else { return };
    let mut client = shared.client.lock();
    client.close();
    let out = client.outgoing();
    drop(client);
    let _ = shared.conn.data.write_all(&out);
    drop(sending);
}

/// Starts a command; it reads and writes the other end of what is returned.
fn run(command: &[String], conn: &Conn) -> Result<[i32; 2]> {
    let [ours, theirs] = fd::pipe()?;
    if let Fork::Child = proc::rfork(Rfork::PROC | Rfork::FDG)? {
        let close = [ours, theirs, conn.data.fd(), conn.ctl.fd()];
        let dup = fd::dup(theirs, 0).and_then(|_| fd::dup(theirs, 1));
        close.into_iter().for_each(|fd| drop(fd::close(fd)));
        let failed = dup.and_then(|_| exec(command));
        proc::exits_now(&failed.err().map(|e| e.to_string()).unwrap_or_default());
    }
    fd::close(theirs)?;
    Ok([ours, ours])
}

/// Becomes a command, by its path or one of those in `/bin`.
fn exec(command: &[String]) -> Result<Infallible> {
    let name = command.first().map(String::as_str).unwrap_or_default();
    let failed = match proc::exec(name, command) {
        Err(_) if !name.starts_with(['/', '.', '#']) => proc::exec(&alloc::format!("/bin/{name}"), command),
        other => other,
    };
    failed.map_err(|e| error!("{name}: {e}"))
}

fn random(bytes: &mut [u8]) -> core::result::Result<(), GetRandomFailed> {
    let random = File::open("/dev/random", OREAD).map_err(|_| GetRandomFailed)?;
    match fd::readn(random.fd(), bytes) {
        Ok(n) if n == bytes.len() => Ok(()),
        _ => Err(GetRandomFailed),
    }
}

fn now() -> Option<u64> {
    // Before 1970 nobody knows what time it is.
    u64::try_from(proc::seconds()).ok().filter(|seconds| *seconds > 0)
}
