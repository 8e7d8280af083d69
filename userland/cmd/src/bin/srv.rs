//! srv -e [-abcCnq] [-s seconds] command srvname [mtpt]: start a 9P server and post it as /srv/srvname.
//!
//! The command has the other end of a pipe as standard input and output. With a mount point it is mounted, too; -m
//! mounts it on /n/srvname. Without -e the server would be on a network, which this system does not have.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;

use lib9::{Args, Fork, Result, Rfork, eprintln, error, fd, ns, proc, serve, usage};

lib9::program!(main);

fn main(args: &Args) -> Result<()> {
    let mut flag = abi::MREPL;
    let (mut command, mut quiet, mut mount, mut wait) = (false, false, false, 0);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'a' => flag |= abi::MAFTER,
            'b' => flag |= abi::MBEFORE,
            'c' => flag |= abi::MCREATE,
            'C' => flag |= abi::MCACHE,
            'e' => command = true,
            'm' => mount = true,
            'n' => {}
            'q' => quiet = true,
            's' => {
                let ms = flags.value().ok().and_then(cmd::number::milliseconds);
                wait = ms.and_then(|ms| u32::try_from(ms).ok()).unwrap_or_else(|| synopsis(args));
            }
            _ => synopsis(args),
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
    let server = start(what)?;
    proc::sleep(wait)?;
    if !quiet {
        eprintln!("post...");
    }
    serve::post(&post, server, 0o666)?;
    let Some(mtpt) = mtpt else { return Ok(()) };
    ns::mount(server, -1, mtpt, flag, "").map_err(|e| {
        // A server that cannot be mounted is of no use to others either.
        let _ = fd::remove(&post);
        error!("mount {mtpt}: {e}")
    })?;
    Ok(())
}

/// Runs the command in a process of its own; returns this side of its standard input and output.
fn start(command: &str) -> Result<i32> {
    let [ours, theirs] = fd::pipe()?;
    // It lives on after us, and an interrupt at the terminal is none of its business.
    match proc::rfork(Rfork::PROC | Rfork::FDG | Rfork::NOTEG | Rfork::NAMEG | Rfork::NOWAIT)? {
        Fork::Parent(_) => {
            fd::close(theirs)?;
            Ok(ours)
        }
        Fork::Child => {
            let become_server = || {
                fd::close(ours)?;
                fd::dup(theirs, 0)?;
                fd::dup(theirs, 1)?;
                fd::close(theirs)?;
                proc::exec("/bin/rc", &["rc", "-c", command])
            };
            let Err(e) = become_server();
            eprintln!("srv: can't exec rc: {e}");
            proc::exits_now("exec")
        }
    }
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-abcCmnq] [-s seconds] -e command srvname [mtpt]")
}
