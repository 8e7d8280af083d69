//! rm [-fr] file ...: remove files. -r removes what directories hold, -f is silent about failures.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use cmd::copy::{Above, ENDLESS, join};
use lib9::{Args, Error, File, Result, eprintln, exits, fd, usage};

/// How many names are removed before the directory is read again.
const PIECE: usize = 500;
/// How often names are removed that were there before.
const AGAIN: u32 = 16;

pub fn main(args: &Args) -> Result<()> {
    let (mut force, mut recurse) = (false, false);
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'f' => force = true,
            'r' => recurse = true,
            _ => usage(args, "[-fr] file ..."),
        }
    }
    // A script may have a list of nothing for -f.
    if flags.rest().is_empty() && !force {
        usage(args, "[-fr] file ...");
    }
    let mut last = None;
    let mut above = Above::default();
    let mut report = |name: &str, error: Error| {
        if !force {
            eprintln!("rm: {name}: {error}");
            last = Some(error);
        }
    };
    for name in flags.rest() {
        let Err(error) = fd::remove(name) else { continue };
        if recurse && fd::stat(name).is_ok_and(|d| d.is_dir()) {
            tree(name, &mut above, &mut report);
        } else {
            report(name, error);
        }
    }
    match last {
        Some(error) => exits(error.text()),
        None => Ok(()),
    }
}

/// Removes what the directory `name` holds, then itself. It is read piece by piece, from the beginning after each, so
/// that a directory of any size takes little memory.
fn tree(name: &str, above: &mut Above, report: &mut impl FnMut(&str, Error)) {
    // What is removed from a directory changes its time.
    let is = |name: &str| File::open(name, abi::OREAD).and_then(|file| file.stat());
    match is(name) {
        Err(e) => return report(name, e),
        Ok(itself) if !above.enter_changed(name, &itself, |name| is(name).ok()) => {
            return report(name, ENDLESS.into());
        }
        Ok(_) => {}
    }
    contents(name, above, report);
    above.leave();
    if let Err(e) = fd::remove(name) {
        report(name, e);
    }
}

fn contents(name: &str, above: &mut Above, report: &mut impl FnMut(&str, Error)) {
    let (mut kept, mut before, mut again) = (BTreeSet::new(), BTreeSet::new(), 0);
    loop {
        let mut piece = Vec::new();
        let read = fd::each_in(name, |dir| {
            if !kept.contains(&dir.name) {
                piece.push((dir.is_dir(), dir.name));
            }
            Ok(piece.len() < PIECE)
        });
        if let Err(e) = read {
            return report(name, e);
        }
        // What was removed can be there again: below it in a union, or because somebody makes it as fast.
        again = if piece.iter().all(|(_, file)| before.contains(file)) { again + 1 } else { 0 };
        if piece.is_empty() || again > AGAIN {
            break;
        }
        before = piece.iter().map(|(_, file)| file.clone()).collect();
        for (is_dir, file) in piece {
            let inside = join(name, &file);
            match fd::remove(&inside) {
                Ok(()) => continue,
                Err(_) if is_dir => tree(&inside, above, report),
                Err(e) => report(&inside, e),
            }
            // If it is there still it is not tried again.
            kept.insert(file);
        }
    }
}
