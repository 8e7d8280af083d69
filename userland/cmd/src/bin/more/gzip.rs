//! gzip [-cvnD1-9] [file ...]: compress files; `x` becomes `x.gz`, and stays. Without files, standard input is
//! compressed to standard output, as -c does with files. -v names them, -n leaves their times out.

use alloc::format;
use alloc::string::String;

use cmd::gzip::{Head, compress, compressed_name};
use lib9::{Args, Dir, File, Result, eprintln, error, exits, fd, proc, usage};

pub fn main(args: &Args) -> Result<()> {
    let (mut level, mut to_output, mut told, mut timeless) = (None, false, false, false);
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'c' => to_output = true,
            'v' => told = true,
            'n' => timeless = true,
            'D' => {}
            // One number, of one digit.
            '1'..='9' if level.is_none() => level = Some(letter as u8 - b'0'),
            _ => usage(args, "[-cvnD1-9] [file ...]"),
        }
    }
    let level = level.unwrap_or(6);
    if flags.rest().is_empty() {
        let now = u32::try_from(proc::seconds()).unwrap_or(0);
        let head = Head { name: String::new(), mtime: if timeless { 0 } else { now } };
        return compress(level, &head, &mut |buf| fd::read(0, buf), &mut |b| fd::write_all(1, b));
    }
    let mut failed = false;
    for name in flags.rest() {
        if let Err(e) = one(name, level, to_output, told, timeless) {
            eprintln!("gzip: {name}: {e}");
            failed = true;
        }
    }
    if failed { exits("errors") } else { Ok(()) }
}

fn one(name: &str, level: u8, to_output: bool, told: bool, timeless: bool) -> Result<()> {
    let (from, dir) = source(name)?;
    let head = Head { name: String::from(cmd::copy::last_element(name)), mtime: if timeless { 0 } else { dir.mtime } };
    let new = (!to_output).then(|| compressed_name(name));
    if told {
        eprintln!("compressing {name} to {}", new.as_deref().unwrap_or("standard output"));
    }
    whole(new.as_deref(), &dir, |to| {
        compress(level, &head, &mut |buf| from.read(buf), &mut |b| fd::write_all(to, b))
    })
}

/// Opens a file that is no directory.
pub fn source(name: &str) -> Result<(File, lib9::Dir)> {
    let from = File::open(name, abi::OREAD)?;
    let dir = from.stat()?;
    if dir.mode & abi::DMDIR != 0 {
        return Err(error!("is a directory"));
    }
    Ok((from, dir))
}

/// Makes the file `new` of the file `source`, or writes to standard output. What is there under that name stays until
/// the new file is whole; one that fails is removed.
pub fn whole<T>(new: Option<&str>, source: &Dir, make: impl FnOnce(i32) -> Result<T>) -> Result<T> {
    let Some(new) = new else { return make(1) };
    let there = fd::stat(new).ok();
    if let Some(there) = &there {
        if there.mode & abi::DMDIR != 0 {
            return Err(error!("can't create {new}: it is a directory"));
        }
        if cmd::copy::same(there, source) {
            return Err(error!("can't overwrite {new}"));
        }
        // Who may not write to it may not replace it either.
        File::open(new, abi::OWRITE).map_err(|e| error!("can't overwrite {new}: {e}"))?;
    }
    // Beside the one that is there, which is replaced at the end.
    let place = there.as_ref().map_or_else(|| String::from(new), |_| format!("{new}.{}", proc::getpid()));
    let file = File::create(&place, abi::OWRITE | abi::OEXCL, 0o666)
        .map_err(|e| error!("can't create {place}: {e}"))?;
    let made = make(file.fd()).and_then(|made| {
        if let Some(there) = &there {
            fd::fwstat(file.fd(), &Dir { mode: there.mode, ..Dir::untouched() })?;
            fd::remove(new).map_err(|e| error!("can't replace {new}: {e}"))?;
        }
        Ok(made)
    });
    let made = made.map_err(|e| {
        let removed = fd::remove(&place);
        error!("{e}{}", removed.err().map_or(String::new(), |e| format!("; can't remove {place}: {e}")))
    })?;
    if there.is_some() {
        fd::fwstat(file.fd(), &Dir { name: cmd::copy::last_element(new).into(), ..Dir::untouched() })
            .map_err(|e| error!("{new} is called {place}: {e}"))?;
    }
    Ok(made)
}
