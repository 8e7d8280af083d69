//! Rows: changing what a file is like.
//!
//! In Plan 9 a wstat happens as a whole or not at all, and the fields that are all ones or empty stay as they
//! are. The server's wstat is a row of system calls, so what must fail is refused here first; the driver then
//! sends what [`Change`] gives it, after it has made sure that a new name is free.

use alloc::vec::Vec;

use super::FileType;
use super::ids::Ids;
use super::modebits::DROPPED;
use super::names;
use super::stat::File;
use crate::attr::setattr;
use crate::{Dialect, NONUM, SetAttr, Stat, Str, Time, Tmsg, WireError, unescape};
use abi::error::{EISDIR, EPERM};
use abi::{DMDIR, Dir};

/// The last second that QEMU can be told in a 9P2000.u record, where it takes times for signed numbers.
const LAST: u32 = i32::MAX as u32;

/// A group that has no number.
pub const EGROUP: &str = "unknown group";

/// What is to be changed, in the server's terms. `None` is "leave it".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The server's mode, whole: its own type and set-id bits and the new permissions.
    pub mode: Option<u32>,
    /// Last read, in seconds since 1970.
    pub atime: Option<u32>,
    /// Last change, in seconds since 1970.
    pub mtime: Option<u32>,
    /// Number of the group.
    pub gid: Option<u32>,
    /// The new name, as it is sent.
    pub name: Option<Vec<u8>>,
    /// The new length in bytes.
    pub length: Option<u64>,
    /// `DMAPPEND`, `DMEXCL` and `DMTMP`, which are [kept](super::modebits) and not sent.
    pub mode_bits: Option<u32>,
}

/// Compares what a program wants with what the file is like. Fields that already are as wanted are left alone,
/// so a program may also send back a whole stat with one field changed.
///
/// # Errors
/// `permission denied` for another owner, for turning a directory into a file or a file into a directory, and
/// for renaming the root; `file is a directory` for a directory's length; what [`names::check`] says of the
/// name; [`EGROUP`].
pub fn plan(want: &Dir, now: &File, ids: &Ids) -> Result<Change, &'static str> {
    let mut change = Change::default();
    let differs = |field: &str, is: &str| !field.is_empty() && field != is;
    if differs(&want.uid, &now.dir.uid) || differs(&want.muid, &now.dir.muid) {
        return Err(EPERM);
    }
    if differs(&want.name, &now.dir.name) {
        if now.dir.name == "/" {
            return Err(EPERM);
        }
        change.name = Some(names::check(&want.name)?.into_owned());
    }
    if differs(&want.gid, &now.dir.gid) {
        change.gid = Some(ids.group_number(&want.gid).ok_or(EGROUP)?);
    }
    if want.mode != !0 {
        if (want.mode & DMDIR != 0) != (now.what == FileType::Dir) {
            return Err(EPERM);
        }
        let mode = now.raw_mode & !0o777 | want.mode & 0o777;
        change.mode = Some(mode).filter(|m| *m != now.raw_mode);
        change.mode_bits = Some(want.mode & DROPPED);
    }
    if want.length != !0 {
        match now.what {
            FileType::Plain => change.length = Some(want.length),
            _ if want.length == 0 => {}
            FileType::Dir => return Err(EISDIR),
            _ => return Err(EPERM),
        }
    }
    change.atime = Some(want.atime).filter(|t| *t != !0 && *t != now.dir.atime);
    change.mtime = Some(want.mtime).filter(|t| *t != !0 && *t != now.dir.mtime);
    Ok(change)
}

impl Change {
    /// The change that cuts a file to nothing.
    pub fn truncate() -> Change {
        Change { length: Some(0), ..Change::default() }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        Change { mode_bits: None, ..self.clone() } == Change::default()
    }

    /// Takes out the times that are later than QEMU can be told in a 9P2000.u record; `None` when there are none. QEMU
    /// takes 9P2000.L's [`Change::setattr`] in any session, and there they have room.
    pub fn take_late_times(&mut self) -> Option<Change> {
        let late = |time: &mut Option<u32>| time.take_if(|t| *t > LAST);
        let times =
            Change { atime: late(&mut self.atime), mtime: late(&mut self.mtime), ..Change::default() };
        (!times.is_empty()).then_some(times)
    }

    /// The same with the last times that can be told in place of later ones.
    #[must_use]
    pub fn earlier(self) -> Change {
        let bound = |time: Option<u32>| time.map(|t| t.min(LAST));
        Change { atime: bound(self.atime), mtime: bound(self.mtime), ..self }
    }

    /// The record of a 9P2000.u `Twstat`. The numbers that are not changed are `NONUM`: a record that ended
    /// before them would be read as owner 0, group 0.
    ///
    /// # Errors
    /// `TooLong` when the name does not fit, which one that was [checked](names::check) does.
    pub fn record(&self) -> Result<Vec<u8>, WireError> {
        let stat = Stat {
            dir: Dir {
                mode: self.mode.unwrap_or(!0),
                atime: self.atime.unwrap_or(!0),
                mtime: self.mtime.unwrap_or(!0),
                length: self.length.unwrap_or(!0),
                name: Str(self.name.as_deref().unwrap_or_default()),
                ..Dir::untouched()
            },
            n_gid: self.gid.unwrap_or(NONUM),
            ..Stat::default()
        };
        stat.to_vec(Dialect::U)
    }

    /// The 9P2000.L message for everything but the name; `None` when there is nothing else.
    pub fn setattr(&self, fid: u32) -> Option<Tmsg<'static>> {
        let bit = |set: bool, bits: u32| if set { bits } else { 0 };
        let valid = bit(self.mode.is_some(), setattr::MODE)
            | bit(self.gid.is_some(), setattr::GID)
            | bit(self.length.is_some(), setattr::SIZE)
            | bit(self.atime.is_some(), setattr::ATIME | setattr::ATIME_SET)
            | bit(self.mtime.is_some(), setattr::MTIME | setattr::MTIME_SET);
        let attr = SetAttr {
            valid,
            mode: self.mode.unwrap_or(0),
            uid: NONUM,
            gid: self.gid.unwrap_or(NONUM),
            size: self.length.unwrap_or(0),
            atime: Time::seconds(u64::from(self.atime.unwrap_or(0))),
            mtime: Time::seconds(u64::from(self.mtime.unwrap_or(0))),
        };
        (valid != 0).then_some(Tmsg::Setattr { fid, attr })
    }

    /// The 9P2000.L message for the name, to be sent last; `None` when it stays. `fid` must not be open, so a
    /// clone of an open one. `dfid` is its directory; QEMU also takes `NOFID` for "the one it is in".
    pub fn rename(&self, fid: u32, dfid: u32) -> Option<Tmsg<'_>> {
        self.name.as_deref().map(|name| Tmsg::Rename { fid, dfid, name: Str(name) })
    }
}

/// A wstat that changes nothing asks for the file's data to be put on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It is none: make a [`plan`].
    No,
    /// It is one, and the server would not understand it, or has nothing to put on the disk: succeed.
    Done,
    /// It is one: send the record of an empty [`Change`] in a `Twstat`.
    Wstat,
    /// It is one: send this.
    Fsync(Tmsg<'static>),
}

impl Sync {
    /// Looks at what a program wants of a fid, and at whether the fid is open to write.
    pub fn of(dialect: Dialect, want: &Dir, fid: u32, written: bool) -> Sync {
        match dialect {
            _ if *want != Dir::untouched() => Sync::No,
            Dialect::P9 => Sync::Wstat,
            _ if !written => Sync::Done,
            Dialect::U => Sync::Wstat,
            Dialect::L => Sync::Fsync(Tmsg::Fsync { fid, datasync: 0 }),
        }
    }
}

/// The record for a 9P2000 server, which understands wstat by itself: only the name's escape is undone.
///
/// # Errors
/// `TooLong` when the record exceeds 65,535 bytes.
pub fn plan9_record(want: &Dir) -> Result<Vec<u8>, WireError> {
    let strings = want.strings().map(|s| unescape(s));
    let stat = Stat::from(want.with_strings(strings.each_ref().map(|s| Str(s))));
    stat.to_vec(Dialect::P9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::{DMAPPEND, DMEXCL};

    fn now(raw_mode: u32) -> File {
        let stat = Stat {
            dir: Dir { mode: raw_mode, name: "f".into(), length: 10, atime: 1, mtime: 2, ..Dir::untouched() },
            n_uid: 1000,
            n_gid: 100,
            n_muid: 0,
            ..Stat::default()
        };
        File::from_stat(Dialect::U, &stat, &ids())
    }

    fn ids() -> Ids {
        let mut ids = Ids::new();
        ids.add_user(1000, "glenda");
        ids.add_group(100, "sys");
        ids.add_group(20, "dialout");
        ids
    }

    fn want(f: impl FnOnce(&mut Dir)) -> Dir {
        let mut d = Dir::untouched();
        f(&mut d);
        d
    }

    fn change(raw_mode: u32, f: impl FnOnce(&mut Dir)) -> Result<Change, &'static str> {
        plan(&want(f), &now(raw_mode), &ids())
    }

    fn sent(change: &Change) -> Stat<'static> {
        let bytes = change.record().unwrap().leak();
        Stat::parse(Dialect::U, bytes).unwrap().0
    }

    /// The ancestor's `chmod` gave every file to root.
    #[test]
    fn chmod_leaves_the_owner_alone() {
        let c = change(0o644, |d| d.mode = 0o600).unwrap();
        let s = sent(&c);
        assert_eq!((s.mode, s.n_uid, s.n_gid, s.n_muid), (0o600, NONUM, NONUM, NONUM));
        assert_eq!((s.length, s.atime, s.mtime, s.name), (!0, !0, !0, Str(b"")));
        assert_eq!((s.uid, s.gid, s.muid, s.extension), (Str(b""), Str(b""), Str(b""), Str(b"")));
        let Some(Tmsg::Setattr { fid: 3, attr }) = c.setattr(3) else { panic!() };
        assert_eq!((attr.valid, attr.mode, attr.uid, attr.gid), (1, 0o600, NONUM, NONUM));
        assert_eq!(c.rename(3, 4), None);
    }

    #[test]
    fn type_and_set_id_bits_are_put_back() {
        assert_eq!(change(0x000c_01ed, |d| d.mode = 0o700).unwrap().mode, Some(0x000c_01c0));
        assert_eq!(change(0x0020_01a4, |d| d.mode = 0o600).unwrap().mode, Some(0x0020_0180));
        assert_eq!(change(DMDIR | 0o755, |d| d.mode = DMDIR | 0o700).unwrap().mode, Some(DMDIR | 0o700));
        assert_eq!(change(DMDIR | 0o755, |d| d.mode = 0o700), Err("permission denied"));
        assert_eq!(change(0o644, |d| d.mode = DMDIR | 0o644), Err("permission denied"));
    }

    #[test]
    fn bits_the_server_does_not_have_are_kept_here() {
        let c = change(0o644, |d| d.mode = DMEXCL | 0o644).unwrap();
        assert_eq!((c.mode, c.mode_bits, c.is_empty()), (None, Some(DMEXCL), true));
        let c = change(0o644, |d| d.mode = DMAPPEND | 0o600).unwrap();
        assert_eq!((c.mode, c.mode_bits, c.is_empty()), (Some(0o600), Some(DMAPPEND), false));
        assert_eq!(change(0o644, |d| d.mtime = 9).unwrap().mode_bits, None);
    }

    #[test]
    fn times_length_and_group() {
        let c = change(0o644, |d| {
            d.atime = 5;
            d.mtime = 6;
            d.length = 0;
            d.gid = "dialout".into();
        })
        .unwrap();
        let s = sent(&c);
        assert_eq!((s.atime, s.mtime, s.length, s.n_gid, s.n_uid, s.mode), (5, 6, 0, 20, NONUM, !0));
        assert_eq!(s.gid, Str(b""), "QEMU ignores the text");
        let Some(Tmsg::Setattr { attr, .. }) = c.setattr(3) else { panic!() };
        assert_eq!(attr.valid, 0x4 | 0x8 | 0x10 | 0x20 | 0x80 | 0x100);
        assert_eq!((attr.size, attr.gid, attr.atime.sec, attr.mtime.sec), (0, 20, 5, 6));
        assert_eq!(change(0o644, |d| d.gid = "7".into()).unwrap().gid, Some(7));
        assert_eq!(change(0o644, |d| d.gid = "nobody".into()), Err(EGROUP));
        assert_eq!(change(DMDIR | 0o755, |d| d.length = 5), Err("file is a directory"));
        assert_eq!(change(DMDIR | 0o755, |d| d.length = 0).map(|c| c.is_empty()), Ok(true));
        assert_eq!(change(0x0020_01a4, |d| d.length = 5), Err("permission denied"));
        assert_eq!(change(0o644, |d| d.length = 10).unwrap().length, Some(10), "it may have grown since");
    }

    #[test]
    fn renames() {
        let c = change(0o644, |d| d.name = "p\u{efe8}re".into()).unwrap();
        assert_eq!(sent(&c).name, Str(b"p\xe8re"));
        assert_eq!(c.setattr(3), None);
        assert_eq!(c.rename(3, 4), Some(Tmsg::Rename { fid: 3, dfid: 4, name: Str(b"p\xe8re") }));
        assert_eq!(change(0o644, |d| d.name = "f".into()).map(|c| c.is_empty()), Ok(true));
        // What makes QEMU abort.
        assert_eq!(change(0o644, |d| d.name = "a/b".into()), Err("bad character in file name"));
        assert_eq!(change(0o644, |d| d.name = "..".into()), Err("file name syntax"));
        let mut root = now(DMDIR | 0o755);
        root.dir.name = "/".into();
        assert_eq!(plan(&want(|d| d.name = "x".into()), &root, &ids()), Err("permission denied"));
        assert_eq!(plan(&want(|d| d.name = "/".into()), &root, &ids()).map(|c| c.is_empty()), Ok(true));
    }

    #[test]
    fn owners_stay() {
        assert_eq!(change(0o644, |d| d.uid = "bootes".into()), Err("permission denied"));
        assert_eq!(change(0o644, |d| d.muid = "bootes".into()), Err("permission denied"));
        assert_eq!(change(0o644, |d| d.uid = "glenda".into()).map(|c| c.is_empty()), Ok(true));
    }

    #[test]
    fn a_whole_stat_sent_back_changes_one_thing() {
        let file = now(0o644);
        let want = Dir { mtime: 99, length: !0, ..file.dir.clone() };
        let c = plan(&want, &file, &ids()).unwrap();
        assert_eq!(c, Change { mtime: Some(99), mode_bits: Some(0), ..Change::default() });
    }

    #[test]
    fn truncation() {
        let s = sent(&Change::truncate());
        assert_eq!((s.length, s.mode, s.n_uid, s.n_gid), (0, !0, NONUM, NONUM));
    }

    #[test]
    fn syncs() {
        let all_ones = Dir::untouched();
        assert_eq!(Sync::of(Dialect::U, &all_ones, 3, true), Sync::Wstat);
        assert_eq!(Sync::of(Dialect::U, &all_ones, 3, false), Sync::Done);
        assert_eq!(
            Sync::of(Dialect::L, &all_ones, 3, true),
            Sync::Fsync(Tmsg::Fsync { fid: 3, datasync: 0 })
        );
        assert_eq!(Sync::of(Dialect::L, &all_ones, 3, false), Sync::Done);
        assert_eq!(Sync::of(Dialect::P9, &all_ones, 3, false), Sync::Wstat);
        assert_eq!(Sync::of(Dialect::U, &want(|d| d.mtime = 1), 3, true), Sync::No);
        assert_eq!(Change::default().record().unwrap(), Stat::default().to_vec(Dialect::U).unwrap());
    }

    #[test]
    fn plan9_gets_what_the_program_wrote() {
        let d = want(|d| d.name = "p\u{efe8}re".into());
        let bytes = plan9_record(&d).unwrap();
        assert_eq!(Stat::parse(Dialect::P9, &bytes).unwrap().0.name, Str(b"p\xe8re"));
        assert_eq!(plan9_record(&Dir::untouched()).unwrap(), Dir::untouched().to_bytes());
    }
}
