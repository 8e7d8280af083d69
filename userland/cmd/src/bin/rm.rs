//! rm [-fr] file ...: remove files. -r removes what directories hold, -f is silent about failures.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

use cmd::copy::join;
use lib9::{Args, Error, Result, eprintln, exits, fd, usage};

lib9::program!(main);

fn main(args: &Args) -> Result<()> {
    let (mut force, mut recurse) = (false, false);
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'f' => force = true,
            'r' => recurse = true,
            _ => usage(args, "[-fr] file ..."),
        }
    }
    let mut last = None;
    let mut report = |name: &str, error: Error| {
        if !force {
            eprintln!("rm: {name}: {error}");
            last = Some(error);
        }
    };
    for name in flags.rest() {
        let Err(error) = fd::remove(name) else { continue };
        if recurse && fd::stat(name).is_ok_and(|d| d.is_dir()) {
            tree(name, &mut report);
        } else {
            report(name, error);
        }
    }
    match last {
        Some(error) => exits(error.text()),
        None => Ok(()),
    }
}

/// Removes what the directory `name` holds, then itself.
fn tree(name: &str, report: &mut impl FnMut(&str, Error)) {
    match fd::readdir(name) {
        Ok(dirs) => {
            for dir in dirs {
                let inside = join(name, &dir.name);
                match fd::remove(&inside) {
                    Ok(()) => {}
                    Err(_) if dir.is_dir() => tree(&inside, report),
                    Err(e) => report(&inside, e),
                }
            }
        }
        Err(e) => return report(name, e),
    }
    if let Err(e) = fd::remove(name) {
        report(name, e);
    }
}
