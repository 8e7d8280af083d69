//! mv fromfile tofile; mv fromfile ... todir: rename files, or move them by copying when the directory changes.

use alloc::format;
use alloc::string::String;

use cmd::copy::{self, Keep, Made, last_element, same};
use lib9::{Args, Dir, Result, eprintln, error, exits, fd, proc, usage};

pub fn main(args: &Args) -> Result<()> {
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
    let mut made = Made::default();
    for name in from {
        if let Err(e) = one(name, to, to_is_dir, &mut made) {
            eprintln!("mv: {e}");
            failed = true;
        }
    }
    if failed { exits("errors") } else { Ok(()) }
}

fn one(from: &str, to: &str, to_is_dir: bool, made: &mut Made) -> Result<()> {
    let dir = fd::stat(from).map_err(|e| error!("can't stat {from}: {e}"))?;
    // A directory given as the target of another of the same parent is renamed over only when it is the same name.
    let inside = copy::join(to, last_element(from));
    let to = if to_is_dir { inside.as_str() } else { to };
    made.first(from, to)?;
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

/// Gives a file another name in the directory it is in. A file of that name makes way, and is removed when it has.
fn rename(from: &str, dir: &Dir, to: &str) -> Result<()> {
    let called = |name: &str| Dir { name: last_element(name).into(), ..Dir::untouched() };
    let renamed = || fd::wstat(from, &called(to)).map_err(|e| error!("can't rename {from} to {to}: {e}"));
    let Ok(there) = fd::stat(to) else { return renamed() };
    if same(&there, dir) {
        if last_element(from) == last_element(to) {
            return Err(error!("{from} and {to} are the same file"));
        }
        return renamed();
    }
    let aside = format!("{}.{}", to.trim_end_matches('/'), proc::getpid());
    fd::wstat(to, &called(&aside)).map_err(|e| error!("can't rename {to}: {e}"))?;
    let moved = renamed().and_then(|()| {
        fd::remove(&aside).map_err(|e| {
            let back = fd::wstat(to, &called(from));
            error!("can't remove {to}: {e}{}", back.err().map_or(String::new(), |e| format!("; {from} is there: {e}")))
        })
    });
    moved.map_err(|e| match fd::wstat(&aside, &called(to)) {
        Ok(()) => e,
        Err(other) => error!("{e}; {to} is called {aside}: {other}"),
    })
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
