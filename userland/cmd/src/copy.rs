//! Copying in pieces: what cat, cp, mv and tee do.

use alloc::string::String;
use alloc::vec;

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
    fn names() {
        assert_eq!(join("/", "a"), "/a");
        assert_eq!(join("b", "a"), "b/a");
        assert_eq!(last_element("/usr/glenda/"), "glenda");
        assert_eq!(last_element("x"), "x");
    }
}
