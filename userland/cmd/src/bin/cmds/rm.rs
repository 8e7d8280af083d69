//! rm [-fr] file ...: remove files. -r removes what directories hold, -f is silent about failures.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use cmd::copy::{Above, ENDLESS, join, same};
use lib9::{Args, Dir, Error, File, Result, eprintln, error, exits, fd, usage};

/// How many names are removed before the directory is read again.
const PIECE: usize = 500;
/// How often names are removed that were there before.
const AGAIN: u32 = 16;
/// Levels below the current directory from which on this goes there: a name takes time for each of its elements, and it
/// has as many as a tree is deep.
const LEVELS: usize = 32;

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
    let mut walk = Walk::default();
    let mut report = |name: &str, error: Error| {
        if !force {
            eprintln!("rm: {name}: {error}");
            last = Some(error);
        }
    };
    for name in flags.rest() {
        let Err(error) = fd::remove(name) else { continue };
        if recurse && fd::stat(name).is_ok_and(|d| d.is_dir()) {
            walk.tree(Name { full: name, near: 0 }, &mut report)?;
        } else {
            report(name, error);
        }
    }
    match last {
        Some(error) => exits(error.text()),
        None => Ok(()),
    }
}

/// A file in a tree.
#[derive(Clone, Copy)]
struct Name<'a> {
    /// Its name from where the command began.
    full: &'a str,
    /// Where in that begins what leads to it from the current directory; at its end if it is that itself.
    near: usize,
}

impl<'a> Name<'a> {
    /// What leads to it from here.
    fn near(&self) -> &'a str {
        let near = self.full.get(self.near..).unwrap_or_default();
        if near.is_empty() && self.near > 0 { "." } else { near }
    }
}

/// A walk through trees.
#[derive(Default)]
struct Walk {
    above: Above,
    /// The directory that the command began in, once it has left that.
    start: Option<String>,
}

/// The way back to a directory.
struct Way {
    name: String,
    dir: Dir,
}

/// What a directory is.
fn is(name: &str) -> Result<Dir> {
    File::open(name, abi::OREAD).and_then(|file| file.stat())
}

impl Walk {
    /// Removes what the directory `name` holds, then itself. It is read piece by piece, from the beginning after each,
    /// so that a directory of any size takes little memory.
    ///
    /// # Errors
    /// When the way back is lost: what names lead to is not known any more.
    fn tree(&mut self, name: Name<'_>, report: &mut impl FnMut(&str, Error)) -> Result<()> {
        let itself = match is(name.near()) {
            Ok(itself) => itself,
            Err(e) => {
                report(name.full, e);
                return Ok(());
            }
        };
        let start = self.start.as_deref();
        let now = |above: &str| match start {
            Some(start) if !above.starts_with(['/', '#']) => is(&join(start, above)).ok(),
            _ => is(above).ok(),
        };
        // What is removed from a directory changes its time.
        if !self.above.enter_changed(name.full, &itself, now) {
            report(name.full, ENDLESS.into());
            return Ok(());
        }
        match self.go_in(&name, &itself)? {
            None => self.contents(name, report)?,
            Some(way) => {
                let near = join(name.full, "").len();
                self.contents(Name { near, ..name }, report)?;
                way.back()?;
            }
        }
        self.above.leave();
        if let Err(e) = fd::remove(name.near()) {
            report(name.full, e);
        }
        Ok(())
    }

    /// Makes a directory the current one, if it is far from here, and there is a way back.
    fn go_in(&mut self, name: &Name<'_>, itself: &Dir) -> Result<Option<Way>> {
        if name.near().matches('/').count() < LEVELS {
            return Ok(None);
        }
        let way = fd::getwd().and_then(|name| Ok(Way { name, dir: is(".")? }));
        let Ok(way) = way else { return Ok(None) };
        if !way.leads_back() || fd::chdir(name.near()).is_err() {
            return Ok(None);
        }
        self.start.get_or_insert_with(|| way.name.clone());
        // Somebody may have put another in its place.
        if is(".").is_ok_and(|here| same(&here, itself)) {
            return Ok(Some(way));
        }
        way.back()?;
        Ok(None)
    }

    fn contents(&mut self, name: Name<'_>, report: &mut impl FnMut(&str, Error)) -> Result<()> {
        let (mut kept, mut before, mut again) = (BTreeSet::new(), BTreeSet::new(), 0);
        loop {
            let mut piece = Vec::new();
            let read = fd::each_in(name.near(), |dir| {
                if !kept.contains(&dir.name) {
                    piece.push((dir.is_dir(), dir.name));
                }
                Ok(piece.len() < PIECE)
            });
            if let Err(e) = read {
                report(name.full, e);
                return Ok(());
            }
            // What was removed can be there again: below it in a union, or because somebody makes it as fast.
            again = if piece.iter().all(|(_, file)| before.contains(file)) { again + 1 } else { 0 };
            if piece.is_empty() || again > AGAIN {
                return Ok(());
            }
            before = piece.iter().map(|(_, file)| file.clone()).collect();
            for (is_dir, file) in piece {
                let full = join(name.full, &file);
                let inside = Name { full: &full, ..name };
                match fd::remove(inside.near()) {
                    Ok(()) => continue,
                    Err(_) if is_dir => self.tree(inside, report)?,
                    Err(e) => report(&full, e),
                }
                // If it is there still it is not tried again.
                kept.insert(file);
            }
        }
    }
}

impl Way {
    /// Whether it leads to where it did.
    fn leads_back(&self) -> bool {
        is(&self.name).is_ok_and(|dir| same(&dir, &self.dir))
    }

    /// Goes back.
    ///
    /// # Errors
    /// When it leads nowhere, or to another directory.
    fn back(&self) -> Result<()> {
        if !self.leads_back() {
            return Err(error!("cannot go back to {}: it is another directory by now", self.name));
        }
        fd::chdir(&self.name).map_err(|e| error!("cannot go back to {}: {e}", self.name))
    }
}
