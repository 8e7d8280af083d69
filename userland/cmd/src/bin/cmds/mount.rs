//! mount [-a|-b] [-cCnq] [-d '#X'] [-k keypattern] /srv/service dir [spec]: attach a 9P server to the name space.
//!
//! With -d the mount device is X instead of M: `mount -d '#9' /dev/null /mnt/x tag` is a folder of the host.

use cmd::namespace::{contradicts_itself, mount_flag};
use lib9::{Args, Result, eprintln, error, exits, fd, ns, sys, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut flag = abi::MREPL;
    let (mut authenticate, mut quiet) = (true, false);
    let mut device = None;
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'n' => authenticate = false,
            'q' => quiet = true,
            'd' => device = Some(flags.value().ok().and_then(letter_of).unwrap_or_else(|| synopsis(args))),
            // There is no factotum to hand the pattern to.
            'k' => drop(flags.value().unwrap_or_else(|_| synopsis(args))),
            _ => flag |= mount_flag(letter).unwrap_or_else(|| synopsis(args)),
        }
    }
    let (service, dir, spec) = match flags.rest() {
        [service, dir] => (service, dir, ""),
        [service, dir, spec] => (service, dir, spec.as_str()),
        _ => synopsis(args),
    };
    if contradicts_itself(flag) {
        synopsis(args);
    }
    let result = attach(service, dir, spec, flag, device, authenticate);
    if quiet && result.is_err() {
        exits("mount");
    }
    result
}

/// The letter of `#9`, or of `9`.
fn letter_of(device: &str) -> Option<char> {
    let mut letters = device.strip_prefix('#').unwrap_or(device).chars();
    letters.next().filter(|_| letters.next().is_none())
}

fn attach(
    service: &str,
    dir: &str,
    spec: &str,
    flag: u32,
    device: Option<char>,
    authenticate: bool,
) -> Result<()> {
    let server = fd::open(service, abi::ORDWR).map_err(|e| error!("can't open {service}: {e}"))?;
    let mounted = match device {
        Some(letter) => ns::mountdev(server, -1, dir, flag, spec, letter),
        None => {
            // A server that wants nobody authenticated refuses the auth file, and is attached to without.
            let afd = if authenticate { sys::fauth(server, spec).unwrap_or(-1) } else { -1 };
            if afd >= 0 {
                eprintln!("mount: warning: the server wants authentication and there is no factotum");
            }
            ns::mount(server, afd, dir, flag, spec)
        }
    };
    mounted.map(drop).map_err(|e| error!("mount {dir}: {e}"))
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-a|-b] [-cCnq] [-d '#X'] [-k keypattern] /srv/service dir [spec]")
}
