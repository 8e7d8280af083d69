//! 9pvpxy file: pass 9P messages between standard input and output and a port of the host.
//!
//! A port is a byte stream that knows no messages; the mount driver wants one message from each read of its channel.
//! The two directions are two processes, so that a slow answer holds nobody up; the rules are those of
//! [`ninep::proxy`]. The first of them to end, for whatever reason, ends the other and the program: both sides are
//! closed then.

use alloc::vec;

use lib9::{Args, Result, Rfork, error, fd, proc, usage};
use ninep::proxy::{Stream, streams};

/// Bytes asked for in one read: what the largest buffer of a port holds, and many small messages.
const CHUNK: usize = 64 << 10;

pub fn main(args: &Args) -> Result<()> {
    let [file] = args.no_flags("file") else { usage(args, "file") };
    let port = fd::open(file, abi::ORDWR).map_err(|e| error!("open {file}: {e}"))?;
    let (requests, replies) = streams();
    let up = proc::spawn(Rfork::empty(), move || pass(requests, 0, port))?;
    let down = match proc::spawn(Rfork::empty(), move || pass(replies, port, 1)) {
        Ok(pid) => pid,
        Err(e) => {
            let _ = proc::postnote(up, "kill");
            return Err(e);
        }
    };
    let ended = proc::await_();
    for pid in [up, down] {
        // The one that has ended is not there any more.
        let _ = proc::postnote(pid, "kill");
    }
    match ended?.msg {
        msg if msg.is_empty() => Ok(()),
        // "9pvpxy 12: reason": the reason is ours to tell.
        msg => Err(error!("{}", msg.split_once(": ").map_or(msg.as_str(), |(_, reason)| reason))),
    }
}

/// Passes one direction on until it ends.
fn pass(mut stream: Stream, from: i32, to: i32) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    stream.pass(&mut chunk, |chunk| fd::read(from, chunk), |message| fd::write_all(to, message))?;
    stream.finish().map_err(|e| error!("{e}"))
}
