//! mv fromfile tofile; mv fromfile ... todir: rename files, or move them by copying when the directory changes.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

use cmd::copy::{self, Keep, last_element, same};
use lib9::{Args, Dir, Result, eprintln, error, exits, fd, usage};

lib9::program!(main);

fn main(args: &Args) -> Result<()> {
    let mut flags = args.flags();
    let (None, [from @ .., to]) = (flags.next(), flags.rest()) else { synopsis(args) };
    if from.is_empty() {
        synopsis(args);
    }
    let to_is_dir = fd::stat(to).is_ok_and(|d| d.is_dir());
    if from.len() > 1 && !to_is_dir {
        return Err(error!("{to} is not a directory"));
    }
    let mut failed = false;
    for name in from {
        if let Err(e) = one(name, to, to_is_dir) {
            eprintln!("mv: {e}");
            failed = true;
        }
    }
    if failed { exits("errors") } else { Ok(()) }
}

fn one(from: &str, to: &str, to_is_dir: bool) -> Result<()> {
    let dir = fd::stat(from).map_err(|e| error!("can't stat {from}: {e}"))?;
    // A directory given as the target of another of the same parent is renamed over only when it is the same name.
    let inside = copy::join(to, last_element(from));
    let to = if to_is_dir { inside.as_str() } else { to };
    let (from_parent, to_parent) = (parent(from), parent(to));
    let parents = (fd::stat(from_parent), fd::stat(to_parent));
    let to_dir = parents.1.map_err(|e| error!("can't stat {to_parent}: {e}"))?;
    if parents.0.is_ok_and(|d| same(&d, &to_dir)) {
        return rename(from, &dir, to);
    }
    if dir.is_dir() {
        return Err(error!("{from} is a directory, not moved to {to_parent}"));
    }
    if fd::stat(to).is_ok_and(|d| same(&d, &dir)) {
        return Err(error!("{from} and {to} are the same file"));
    }
    copy::file(from, &dir, to, Keep { time: true, ..Keep::default() })?;
    fd::remove(from).map_err(|e| error!("can't remove {from}: {e}"))
}

/// Gives a file another name in the directory it is in; a plain file of that name makes way.
fn rename(from: &str, dir: &Dir, to: &str) -> Result<()> {
    if let Ok(there) = fd::stat(to) {
        if same(&there, dir) && last_element(from) == last_element(to) {
            return Err(error!("{from} and {to} are the same file"));
        }
        if !same(&there, dir) {
            fd::remove(to).map_err(|e| error!("can't remove {to}: {e}"))?;
        }
    }
    let change = Dir { name: last_element(to).into(), ..Dir::untouched() };
    fd::wstat(from, &change).map_err(|e| error!("can't rename {from} to {to}: {e}"))
}

fn parent(name: &str) -> &str {
    match name.trim_end_matches('/').rsplit_once('/') {
        None => ".",
        Some(("", _)) => "/",
        Some((parent, _)) => parent,
    }
}

fn synopsis(args: &Args) -> ! {
    usage(args, "fromfile tofile\n\tmv fromfile ... todir")
}
