//! Rows: what a file is like.

use alloc::string::String;

use super::FileType;
use super::ids::Ids;
use super::names;
use crate::{Attr, Dialect, NONUM, Stat, Str};
use abi::{DMDIR, Dir, QTDIR, Qid};

/// A file as programs see it, and what else the server said that Plan 9 has no place for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What stat gives. The device type and number are 0: the mount fills them in.
    pub dir: Dir,
    /// What it really is.
    pub what: FileType,
    /// The server's own mode: 9P2000.u's bits, or Linux's. A wstat of the mode starts from it.
    pub raw_mode: u32,
}

/// Where a link points, as a 9P2000.u server's record tells; nothing for what is no link.
pub fn target<'a>(stat: &Stat<'a>) -> Str<'a> {
    if FileType::from_mode_u(stat.mode) == FileType::Link { stat.extension } else { Str(&[]) }
}

/// Longest name of a file, in bytes, that is shown.
pub const NAME_MOST: usize = 1024;
/// Longest name of a user.
const USER_MOST: usize = 256;
/// Longest target of a symbolic link, in bytes, that is followed: no Linux has a longer one.
pub const TARGET_MOST: usize = 4096;

/// Are the strings of a server's record such as a system has? Copies are made of them, and a record may have 64 KiB.
pub fn fits(stat: &Stat<'_>) -> bool {
    let users = [stat.uid, stat.gid, stat.muid];
    stat.name.bytes().len() <= NAME_MOST
        && users.iter().all(|s| s.bytes().len() <= USER_MOST)
        && stat.extension.bytes().len() <= TARGET_MOST
}

impl File {
    /// From the stat record of a 9P2000.u server. A 9P2000 record passes through with its own bits.
    pub fn from_stat(dialect: Dialect, stat: &Stat<'_>, ids: &Ids) -> File {
        if dialect == Dialect::P9 {
            return from_plan9(stat);
        }
        let what = FileType::from_mode_u(stat.mode);
        File {
            dir: Dir {
                kind: 0,
                dev: 0,
                qid: qid(stat.qid, what),
                mode: mode(stat.mode, what),
                atime: stat.atime,
                mtime: stat.mtime,
                length: length(stat.length, what),
                name: names::last(stat.name),
                uid: ids.user(stat.uid, stat.n_uid),
                gid: ids.group(stat.gid, stat.n_gid),
                muid: ids.user(stat.muid, stat.n_muid),
            },
            what,
            raw_mode: stat.mode,
        }
    }

    /// From the attributes of a 9P2000.L server, which have no name: it is the last one that was walked to.
    pub fn from_attr(attr: &Attr, name: &str, ids: &Ids) -> File {
        let what = FileType::from_mode_l(attr.mode);
        let uid = ids.user(Str(&[]), attr.uid);
        File {
            dir: Dir {
                kind: 0,
                dev: 0,
                qid: qid(attr.qid, what),
                mode: mode(attr.mode, what),
                atime: seconds(attr.atime.sec),
                mtime: seconds(attr.mtime.sec),
                length: length(attr.size, what),
                name: if name.is_empty() { String::from("/") } else { String::from(name) },
                muid: uid.clone(),
                uid,
                gid: ids.group(Str(&[]), attr.gid),
            },
            what,
            raw_mode: attr.mode,
        }
    }
}

fn from_plan9(stat: &Stat<'_>) -> File {
    let text = |s: Str<'_>| s.text().into_owned();
    File {
        dir: Dir {
            kind: stat.kind,
            dev: stat.dev,
            qid: stat.qid,
            mode: stat.mode,
            atime: stat.atime,
            mtime: stat.mtime,
            length: stat.length,
            name: text(stat.name),
            uid: text(stat.uid),
            gid: text(stat.gid),
            muid: text(stat.muid),
        },
        what: if stat.mode & DMDIR != 0 { FileType::Dir } else { FileType::Plain },
        raw_mode: stat.mode,
    }
}

/// The qid: a directory or a plain file, and never one while the mode says the other.
fn qid(qid: Qid, what: FileType) -> Qid {
    Qid { kind: if what == FileType::Dir { QTDIR } else { 0 }, ..qid }
}

/// The mode: permissions and `DMDIR`. Link, device and set-id bits are not Plan 9's.
fn mode(raw: u32, what: FileType) -> u32 {
    raw & 0o777 | if what == FileType::Dir { DMDIR } else { 0 }
}

/// Only a plain file has a length.
fn length(bytes: u64, what: FileType) -> u64 {
    if what == FileType::Plain { bytes } else { 0 }
}

/// Linux's seconds are signed and 64 bits wide: before 1970 is 1970, and after 2106 the last second there is.
fn seconds(s: u64) -> u32 {
    if s > i64::MAX as u64 { 0 } else { u32::try_from(s).unwrap_or(NONUM - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Time;

    fn stat<'a>(mode: u32, extension: &'a str) -> Stat<'a> {
        let dir = Dir {
            kind: 0,
            dev: 0,
            qid: Qid { kind: if mode & DMDIR != 0 { 0x80 } else { 0 }, vers: 5, path: 9 },
            mode,
            atime: 1,
            mtime: 2,
            length: 4096,
            name: "f".into(),
            ..Dir::untouched()
        };
        Stat { dir, extension: extension.into(), n_uid: 1000, n_gid: 100, n_muid: 0 }
    }

    fn change<'a>(mut stat: Stat<'a>, change: impl FnOnce(&mut Dir<Str<'a>>)) -> Stat<'a> {
        change(&mut stat.dir);
        stat
    }

    fn file(mode: u32, extension: &str) -> File {
        File::from_stat(Dialect::U, &stat(mode, extension), &Ids::new())
    }

    #[test]
    fn a_plain_file() {
        let f = file(0x000c_01ed, "HARDLINKCOUNT 1");
        assert_eq!((f.what, f.raw_mode), (FileType::Plain, 0x000c_01ed));
        assert_eq!((f.dir.mode, f.dir.length, f.dir.qid), (0o755, 4096, Qid { kind: 0, vers: 5, path: 9 }));
        assert_eq!((f.dir.uid.as_str(), f.dir.gid.as_str(), f.dir.muid.as_str()), ("1000", "100", "0"));
        assert_eq!((f.dir.atime, f.dir.mtime), (1, 2));
    }

    #[test]
    fn the_root() {
        let root = change(stat(DMDIR | 0o755, "HARDLINKCOUNT 3"), |dir| dir.name = ".".into());
        let f = File::from_stat(Dialect::U, &root, &Ids::new());
        assert_eq!((f.dir.name.as_str(), f.dir.length, f.dir.mode), ("/", 0, DMDIR | 0o755));
        assert_eq!(f.dir.qid.kind, QTDIR);
    }

    #[test]
    fn special_files_are_plain_and_empty() {
        for (mode, ext, what) in [
            (0x0020_01a4, "", FileType::Fifo),
            (0x0010_01a4, "", FileType::Socket),
            (0x0080_01a4, "c 1 3", FileType::Device),
        ] {
            let f = file(mode, ext);
            assert_eq!((f.what, f.dir.mode, f.dir.length, f.dir.qid.kind), (what, 0o644, 0, 0));
            assert_eq!((f.raw_mode, target(&stat(mode, ext))), (mode, "".into()));
        }
    }

    #[test]
    fn links_tell_their_target() {
        let f = file(0x0200_01ff, "../lib");
        assert_eq!((f.what, f.dir.length), (FileType::Link, 0));
        assert_eq!(target(&stat(0x0200_01ff, "../lib")), "../lib".into());
        assert_eq!(f.dir.qid.kind, 0, "programs know no links");
    }

    #[test]
    fn mode_and_qid_never_contradict_each_other() {
        let lying = change(stat(0o644, ""), |dir| dir.qid = Qid { kind: 0x80, vers: 0, path: 1 });
        assert_eq!(File::from_stat(Dialect::U, &lying, &Ids::new()).dir.qid.kind, 0);
    }

    #[test]
    fn attributes() {
        let attr = Attr {
            qid: Qid { kind: 0, vers: 5, path: 9 },
            mode: 0o104755,
            uid: 1000,
            gid: 100,
            size: 77,
            atime: Time::seconds(1),
            mtime: Time { sec: 2, nsec: 999 },
            ..Attr::default()
        };
        let mut ids = Ids::new();
        ids.add_user(1000, "glenda");
        let f = File::from_attr(&attr, "f", &ids);
        assert_eq!((f.what, f.raw_mode, f.dir.mode, f.dir.length), (FileType::Plain, 0o104755, 0o755, 77));
        assert_eq!(
            (f.dir.uid.as_str(), f.dir.gid.as_str(), f.dir.muid.as_str()),
            ("glenda", "100", "glenda")
        );
        assert_eq!((f.dir.atime, f.dir.mtime, f.dir.name.as_str()), (1, 2, "f"));
        let root = File::from_attr(&Attr { mode: 0o040755, size: 4096, ..attr }, "", &ids);
        assert_eq!((root.dir.name.as_str(), root.dir.length, root.dir.qid.kind), ("/", 0, QTDIR));
        let fifo = File::from_attr(&Attr { mode: 0o010600, ..attr }, "p", &ids);
        assert_eq!((fifo.what, fifo.dir.mode, fifo.dir.length), (FileType::Fifo, 0o600, 0));
    }

    #[test]
    fn odd_times() {
        assert_eq!(seconds(-5i64 as u64), 0);
        assert_eq!(seconds(1 << 40), 0xffff_fffe, "all ones would read as \"leave it\"");
        assert_eq!(seconds(1_800_000_000), 1_800_000_000);
    }

    #[test]
    fn plan9_passes_through() {
        let s = change(stat(DMDIR | abi::DMAPPEND | 0o700, ""), |dir| dir.uid = "u".into());
        let f = File::from_stat(Dialect::P9, &s, &Ids::new());
        assert_eq!((f.dir.mode, f.dir.length, f.what), (s.mode, 4096, FileType::Dir));
        assert_eq!((f.dir.uid.as_str(), f.dir.gid.as_str()), ("u", ""));
    }
}
