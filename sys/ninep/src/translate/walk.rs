//! Rows: what a walk came to, and symbolic links.
//!
//! The server does not follow links: it stops at one. The driver walks on itself, and only inside the share:
//! an absolute target begins at the share's root.
//!
//! ```text
//! let mut links = Links::default();
//! loop {
//!     walk `names` from `start` (16 at a time), then
//!     match outcome(names.len(), qids, start_qid)? {
//!         Walked::Done(qid) => the new fid is it,
//!         Walked::Missing { text, .. } => fail,
//!         Walked::Link { at, made } => {
//!             unless the new fid is the link (made, and `at` the last): clunk it if it was made, and walk to
//!             names[..=at], which makes the link's fid;
//!             read its target (Tstat's extension, or Treadlink), and clunk it;
//!             let next = links.follow(&names, at, target)?;
//!             start over with next.names, from the root's fid if next.from_root
//!         }
//!     }
//! }
//! ```

use alloc::string::String;
use alloc::vec::Vec;

use super::FileType;
use super::errors::ELOOP;
use super::stat::NAME_MOST;
use crate::{Qids, Str};
use abi::Qid;
use abi::error::{EMOUNTRPC, ENOMEM, ENONEXIST, ENOTDIR, ETOOLONG};

/// Most links in one path.
pub const MAXLINKS: u32 = 40;
/// Most names that a path may have when its links are put in.
pub const MAXNAMES: usize = 1024;

/// What a walk came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walked {
    /// Every name was found, the last is no link, and the new fid is there.
    Done(Qid),
    /// A name is a symbolic link.
    Link {
        /// Which name: the first that is one.
        at: usize,
        /// Whether the new fid was made. It is the link itself if that is the last name; otherwise the server
        /// went on from there as if it were a directory (QEMU does, to `..`), and the fid is of no use.
        made: bool,
    },
    /// A name was not found; there is no new fid.
    Missing {
        /// Which name.
        at: usize,
        /// Why.
        text: &'static str,
    },
}

/// Reads an `Rwalk`. `start` is what the walk began at, for a walk of no names.
///
/// # Errors
/// `mount rpc error` when there are more qids than names.
pub fn outcome(names: usize, qids: Qids<'_>, start: Qid) -> Result<Walked, &'static str> {
    let found = qids.len();
    if found > names {
        return Err(EMOUNTRPC);
    }
    if let Some(at) = qids.iter().position(|qid| FileType::from_qid(qid) == FileType::Link) {
        return Ok(Walked::Link { at, made: found == names });
    }
    let last = qids.last().unwrap_or(start);
    Ok(match FileType::from_qid(last) {
        _ if found == names => Walked::Done(last),
        FileType::Dir => Walked::Missing { at: found, text: ENONEXIST },
        _ => Walked::Missing { at: found, text: ENOTDIR },
    })
}

/// Where a walk goes on after a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// From the root of the share; otherwise from where the walk began before.
    pub from_root: bool,
    /// The names to walk, `..` among them, `.` not.
    pub names: Vec<String>,
}

/// Counts the links of one path, so that a loop ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Links {
    followed: u32,
}

impl Links {
    /// Puts a link's target in its place. `names[at]` is the link, and the names before it were walked, so
    /// none of them is a link and `..` after them means what it says.
    ///
    /// # Errors
    /// `file does not exist` when the target is empty, `too many symbolic links` after [`MAXLINKS`] links or
    /// when there are more than [`MAXNAMES`] names, `file name too long` for one that no file can have.
    pub fn follow(&mut self, names: &[String], at: usize, target: Str<'_>) -> Result<Followed, &'static str> {
        let add = |all: &mut Vec<String>, name: &str| {
            all.push(name.into());
            true
        };
        self.follow_with(names, at, target, add)
    }

    /// The same for whoever may have no memory: `add` appends a name, or says false.
    ///
    /// # Errors
    /// As [`Links::follow`]; `kernel allocate failed` when `add` says so.
    pub fn follow_with(
        &mut self,
        names: &[String],
        at: usize,
        target: Str<'_>,
        mut add: impl FnMut(&mut Vec<String>, &str) -> bool,
    ) -> Result<Followed, &'static str> {
        self.followed += 1;
        if self.followed > MAXLINKS {
            return Err(ELOOP);
        }
        if target.is_empty() {
            return Err(ENONEXIST);
        }
        let from_root = target.bytes().starts_with(b"/");
        let before = if from_root { &[] } else { names.get(..at).unwrap_or_default() };
        let after = names.get(at.saturating_add(1)..).unwrap_or_default();
        let inside = target.bytes().split(|b| *b == b'/').filter(|e| !matches!(*e, b"" | b"."));
        let mut names = Vec::new();
        let mut one = |name: &str| match names.len() {
            MAXNAMES => Err(ELOOP),
            _ => add(&mut names, name).then_some(()).ok_or(ENOMEM),
        };
        before.iter().try_for_each(|name| one(name))?;
        for name in inside {
            if name.len() > NAME_MOST {
                return Err(ETOOLONG);
            }
            one(&Str(name).text())?;
        }
        after.iter().try_for_each(|name| one(name))?;
        Ok(Followed { from_root, names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const DIR: Qid = Qid { kind: 0x80, vers: 0, path: 1 };
    const FILE: Qid = Qid { kind: 0, vers: 0, path: 2 };
    const LINK: Qid = Qid { kind: 2, vers: 0, path: 3 };

    fn walked(names: usize, qids: &[Qid]) -> Result<Walked, &'static str> {
        outcome(names, Qids::new(qids), DIR)
    }

    #[test]
    fn outcomes() {
        assert_eq!(walked(0, &[]), Ok(Walked::Done(DIR)));
        assert_eq!(walked(2, &[DIR, FILE]), Ok(Walked::Done(FILE)));
        assert_eq!(walked(2, &[DIR]), Ok(Walked::Missing { at: 1, text: ENONEXIST }));
        assert_eq!(walked(2, &[FILE]), Ok(Walked::Missing { at: 1, text: ENOTDIR }));
        assert_eq!(walked(2, &[]), Ok(Walked::Missing { at: 0, text: ENONEXIST }));
        assert_eq!(walked(1, &[DIR, DIR]), Err(EMOUNTRPC));
    }

    #[test]
    fn links_stop_a_walk() {
        // `link/x`: QEMU stops after `link`.
        assert_eq!(walked(2, &[LINK]), Ok(Walked::Link { at: 0, made: false }));
        assert_eq!(walked(2, &[DIR, LINK]), Ok(Walked::Link { at: 1, made: true }));
        // `link/../x`: QEMU takes `..` for the directory that the link is in.
        assert_eq!(walked(3, &[LINK, DIR, FILE]), Ok(Walked::Link { at: 0, made: true }));
        assert_eq!(walked(3, &[DIR, LINK, DIR]), Ok(Walked::Link { at: 1, made: true }));
        assert_eq!(walked(3, &[LINK, DIR]), Ok(Walked::Link { at: 0, made: false }));
        // A fid that is a link, walked by no names, is what it was.
        assert_eq!(outcome(0, Qids::new(&[]), LINK), Ok(Walked::Done(LINK)));
    }

    fn follow(path: &str, at: usize, target: &[u8]) -> Result<(bool, String), &'static str> {
        let names: Vec<String> = path.split('/').map(ToString::to_string).collect();
        Links::default().follow(&names, at, Str(target)).map(|f| (f.from_root, f.names.join("/")))
    }

    #[test]
    fn targets_take_the_links_place() {
        assert_eq!(follow("a/link/x", 1, b"b"), Ok((false, "a/b/x".into())));
        assert_eq!(follow("a/link/x", 1, b"../c/./d//"), Ok((false, "a/../c/d/x".into())));
        assert_eq!(follow("a/link/x", 1, b"/usr/lib"), Ok((true, "usr/lib/x".into())));
        assert_eq!(follow("a/link", 1, b"/"), Ok((true, "".into())));
        assert_eq!(follow("a/link", 1, b"."), Ok((false, "a".into())));
        assert_eq!(follow("link", 0, b"p\xe8re"), Ok((false, "p\u{efe8}re".into())));
        assert_eq!(follow("link", 0, b""), Err(ENONEXIST));
    }

    #[test]
    fn loops_end() {
        let names = [String::from("l")];
        let mut links = Links::default();
        for _ in 0..MAXLINKS {
            assert!(links.follow(&names, 0, "l".into()).is_ok());
        }
        assert_eq!(links.follow(&names, 0, "l".into()), Err(ELOOP));
        assert_eq!(follow("l", 0, &b"x/".repeat(MAXNAMES + 1)), Err(ELOOP));
    }
}
