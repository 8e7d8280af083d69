//! cp [-gux] fromfile tofile; cp [-gux] fromfile ... todir: copy plain files.
//!
//! -g keeps the group, -u group and owner, -x mode and modification time. Trees are copied by dircp.

use cmd::copy::{self, Keep, Made, last_element, same};
use lib9::{Args, Result, eprintln, error, exits, fd, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut keep = Keep::default();
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'g' => keep.group = true,
            'u' => keep.owner = true,
            'x' => keep.time = true,
            _ => synopsis(args),
        }
    }
    let [from @ .., to] = flags.rest() else { synopsis(args) };
    let to_is_dir = fd::stat(to).is_ok_and(|d| d.is_dir());
    if from.is_empty() {
        synopsis(args);
    }
    if from.len() > 1 && !to_is_dir {
        return Err(error!("{to} is not a directory"));
    }
    let mut failed = false;
    let mut made = Made::default();
    for name in from {
        if let Err(e) = one(name, to, to_is_dir, keep, &mut made) {
            eprintln!("cp: {e}");
            failed = true;
        }
    }
    if failed { exits("errors") } else { Ok(()) }
}

fn one(from: &str, to: &str, to_is_dir: bool, keep: Keep, made: &mut Made) -> Result<()> {
    let dir = fd::stat(from).map_err(|e| error!("can't stat {from}: {e}"))?;
    if dir.is_dir() {
        return Err(error!("{from} is a directory"));
    }
    let inside;
    let to = if to_is_dir {
        inside = copy::join(to, last_element(from));
        inside.as_str()
    } else {
        to
    };
    made.first(from, to)?;
    if fd::stat(to).is_ok_and(|d| same(&d, &dir)) {
        return Err(error!("{from} and {to} are the same file"));
    }
    copy::file(from, &dir, to, keep)
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-gux] fromfile tofile\n\tcp [-gux] fromfile ... todir")
}
