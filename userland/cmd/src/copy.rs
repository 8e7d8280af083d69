//! Copying in pieces: what cat, cp, mv and tee do.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use lib9::fd::{self, PIECE};
use lib9::{Dir, File, Result, error};

/// Copies what is left of `from` to `to`; the names are for messages.
///
/// # Errors
/// `error reading NAME: ...` or `error writing NAME: ...`.
pub fn copy(from: i32, to: i32, from_name: &str, to_name: &str) -> Result<()> {
    let mut buf = vec![0; PIECE];
    loop {
        let n = fd::read(from, &mut buf).map_err(|e| error!("error reading {from_name}: {e}"))?;
        if n == 0 {
            return Ok(());
        }
        let piece = buf.get(..n).unwrap_or(&[]);
        fd::write_all(to, piece).map_err(|e| error!("error writing {to_name}: {e}"))?;
    }
}

/// Does something with each file of a command line, `-` and no file at all being standard input. One that cannot be
/// opened or read is told, and the others are done all the same. Says whether there was nothing to tell; [`status`]
/// makes of it how the program ends.
pub fn each(program: &str, names: &[String], act: &mut dyn FnMut(&File, &str) -> Result<()>) -> bool {
    let stdin = [String::from("-")];
    let mut failed = false;
    for name in if names.is_empty() { &stdin[..] } else { names } {
        let done = match name.as_str() {
            "-" => act(&File::from_fd(0), "stdin"),
            name => match File::open(name, abi::OREAD) {
                Ok(file) => act(&file, name).map_err(|e| error!("can't read {name}: {e}")),
                Err(e) => Err(error!("can't open {name}: {e}")),
            },
        };
        if let Err(e) = done {
            let _ = lib9::out::flush();
            lib9::eprintln!("{program}: {e}");
            failed = true;
        }
    }
    !failed
}

/// The end of a program that has told everything that was wrong.
///
/// # Errors
/// None: the program ends here, with the status `errors`, if something was.
pub fn status(good: bool) -> Result<()> {
    if good { Ok(()) } else { lib9::exits("errors") }
}

/// What cp and mv keep of the original.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    /// Its group.
    pub group: bool,
    /// Its owner.
    pub owner: bool,
    /// Its mode and times.
    pub time: bool,
}

/// Copies the plain file `from`, of which `dir` is known, to the file `to`.
///
/// # Errors
/// What could not be opened, created, read, written or changed.
pub fn file(from: &str, dir: &Dir, to: &str, keep: Keep) -> Result<()> {
    let source = File::open(from, abi::OREAD).map_err(|e| error!("can't open {from}: {e}"))?;
    let target =
        File::create(to, abi::OWRITE, dir.mode & 0o777).map_err(|e| error!("can't create {to}: {e}"))?;
    copy(source.fd(), target.fd(), from, to)?;
    let mut change = Dir::untouched();
    if keep.time {
        change.mtime = dir.mtime;
        change.mode = dir.mode;
    }
    if keep.group || keep.owner {
        change.gid = dir.gid.clone();
    }
    if keep.owner {
        change.uid = dir.uid.clone();
    }
    if change != Dir::untouched() {
        fd::fwstat(target.fd(), &change).map_err(|e| error!("can't wstat {to}: {e}"))?;
    }
    Ok(())
}

/// The files that a command has made: none of them makes way for another of the same command.
#[derive(Clone, Debug, Default)]
pub struct Made(BTreeSet<String>);

impl Made {
    /// Notes that `from` becomes `to`.
    ///
    /// # Errors
    /// When something else has become that already.
    pub fn first(&mut self, from: &str, to: &str) -> Result<()> {
        if self.0.insert(to.into()) {
            Ok(())
        } else {
            Err(error!("{from} would take the place of another: {to}"))
        }
    }
}

/// The directories that a walk through a tree is in. A directory can be bound below itself, and then the tree has no
/// end.
#[derive(Clone, Debug, Default)]
pub struct Above(Vec<(String, Dir)>);

impl Above {
    /// Goes into a directory, of which `dir` was told when it was open, so that what is bound there counts. False when
    /// it is one of those above.
    pub fn enter(&mut self, dir: &Dir) -> bool {
        self.enter_changed("", dir, |_| None)
    }

    /// The same for a walk that changes the directories which it goes through: those above may have other times by now,
    /// which `now` tells by their names.
    pub fn enter_changed(&mut self, name: &str, dir: &Dir, now: impl Fn(&str) -> Option<Dir>) -> bool {
        // Some servers give two directories one number, but hardly two that are alike in everything.
        let alike = |a: &Dir| {
            same(a, dir) && (a.mtime, a.mode, &a.uid, &a.gid) == (dir.mtime, dir.mode, &dir.uid, &dir.gid)
        };
        let is_it = |(name, a): &(String, Dir)| {
            alike(a) || same(a, dir) && a.mtime != dir.mtime && now(name).is_some_and(|a| alike(&a))
        };
        if self.0.iter().any(is_it) {
            return false;
        }
        self.0.push((name.into(), dir.clone()));
        true
    }

    /// Comes out of the directory that was entered last.
    pub fn leave(&mut self) {
        self.0.pop();
    }
}

/// What is told of a directory that is one of those above it.
pub const ENDLESS: &str = "it is a directory that it is in";

/// Are these one and the same file?
pub fn same(a: &Dir, b: &Dir) -> bool {
    a.qid.path == b.qid.path && a.qid.kind == b.qid.kind && a.dev == b.dev && a.kind == b.kind
}

/// `dir/name`, without doubling the slash.
pub fn join(dir: &str, name: &str) -> String {
    let slash = if dir.ends_with('/') { "" } else { "/" };
    alloc::format!("{dir}{slash}{name}")
}

/// The last element of a name; slashes at its end do not count.
pub fn last_element(name: &str) -> &str {
    name.trim_end_matches('/').rsplit('/').next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_that_is_in_itself_ends() {
        let dir = |path| Dir { qid: lib9::Qid::dir(path), ..Dir::untouched() };
        let mut above = Above::default();
        assert!(above.enter(&dir(1)) && above.enter(&dir(2)));
        assert!(!above.enter(&dir(1)) && !above.enter(&dir(2)));
        assert!(above.enter(&Dir { mtime: 7, ..dir(1) }));
        above.leave();
        above.leave();
        assert!(above.enter(&dir(2)));
    }

    #[test]
    fn what_was_changed_on_the_way_is_known_again() {
        let dir = |mtime| Dir { qid: lib9::Qid::dir(1), mtime, ..Dir::untouched() };
        let mut above = Above::default();
        assert!(above.enter_changed("l", &dir(5), |_| None));
        let now = |name: &str| Some(dir(if name == "l" { 6 } else { 5 }));
        assert!(!above.enter_changed("l/x", &dir(6), now));
        assert!(above.enter_changed("l/y", &dir(7), now));
    }

    #[test]
    fn no_two_become_one() {
        let mut made = Made::default();
        assert!(made.first("a/x", "d/x").is_ok() && made.first("a/y", "d/y").is_ok());
        assert!(made.first("b/x", "d/x").is_err());
    }

    #[test]
    fn names() {
        assert_eq!(join("/", "a"), "/a");
        assert_eq!(join("b", "a"), "b/a");
        assert_eq!(last_element("/usr/glenda/"), "glenda");
        assert_eq!(last_element("x"), "x");
    }
}
