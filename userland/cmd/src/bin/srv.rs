//! srv -e [-abcCnq] [-s seconds] command srvname [mtpt]: start a 9P server and post it as /srv/srvname.
//!
//! The command has the other end of a pipe as standard input and output. With a mount point it is mounted, too; -m
//! mounts it on /n/srvname. Without -e the server would be on a network, which this system does not have.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;

use cmd::namespace;
use lib9::{Args, Result, eprintln, error, fd, proc, serve, usage};

lib9::program!(main);

fn main(args: &Args) -> Result<()> {
    let mut flag = abi::MREPL;
    let (mut command, mut quiet, mut mount, mut wait) = (false, false, false, 0);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'e' => command = true,
            'm' => mount = true,
            'n' => {}
            'q' => quiet = true,
            's' => {
                let ms = flags.value().ok().and_then(cmd::number::milliseconds);
                wait = ms.and_then(|ms| u32::try_from(ms).ok()).unwrap_or_else(|| synopsis(args));
            }
            _ => flag |= namespace::mount_flag(letter).unwrap_or_else(|| synopsis(args)),
        }
    }
    let (what, name, mtpt) = match flags.rest() {
        [what] if !command => (what, what.as_str(), None),
        [what, name] => (what, name.as_str(), None),
        [what, name, mtpt] => (what, name.as_str(), Some(mtpt.as_str())),
        _ => synopsis(args),
    };
    if !command {
        return Err(error!("can't dial {what}: there is no network"));
    }
    let post = match name.starts_with('/') {
        true => name.into(),
        false => format!("/srv/{name}"),
    };
    let default;
    let mtpt = match mtpt {
        None if mount => {
            default = format!("/n/{}", cmd::copy::last_element(name));
            Some(default.as_str())
        }
        mtpt => mtpt,
    };
    let server = serve::start(|end| run(what, end))?;
    proc::sleep(wait)?;
    if !quiet {
        eprintln!("post...");
    }
    serve::post(&post, server, 0o666)?;
    let Some(mtpt) = mtpt else { return Ok(()) };
    namespace::mount(server, mtpt, flag).inspect_err(|_| {
        // A server that cannot be mounted is of no use to others either.
        let _ = fd::remove(&post);
    })
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
    usage(args, "[-abcCmnq] [-s seconds] -e command srvname [mtpt]")
}
