//! How a mount driver gives Plan 9's meaning to a server that speaks 9P2000.u or 9P2000.L.
//!
//! Pure functions, one for each row of the table. The driver does the I/O: it asks a row what to send, sends
//! it, and gives the reply to a row. Everything a program sees comes out in Plan 9's words: [`abi::Dir`]s and
//! the texts of [`abi::error`]. The server these rows are written for is QEMU's (see
//! `docs/facts/virtio-9p.md` sections 4 and 7), whose peculiarities are the middle column; others that keep to their
//! dialect are served by the same rules. With [`Dialect::P9`](crate::Dialect::P9), where a row takes it, the row
//! changes nothing but the spelling of names, so that one driver can speak all three.
//!
//! | row | Plan 9 | the server | what we do |
//! |---|---|---|---|
//! | [`version::accept`] | version may be answered with an older one | takes exactly `9P2000.u` and `9P2000.L`, else `unknown`; clamps msize | check both, take what comes back |
//! | [`version::Spec::parse`] | `mount` has a spec | a device has a tag, a server has trees | `name`, `name:version` or `name:version:msize` |
//! | [`attach`] | users are names | wants a number, uses it as owner of new files | send `NONUM`: files belong to whom the server runs as |
//! | [`errors::text`] | programs compare texts | `strerror` texts, or only numbers | number to Plan 9's text; a text that already is Plan 9's stays |
//! | [`errors::reply`] | the reply fits the request | may be anything | decode, compare tag and type, turn errors into texts |
//! | [`names::check`] | no `/`, not `.` or `..` | a `/` in a rename kills QEMU; `.` and `..` are taken | refuse before sending; undo the escape |
//! | [`names::element`] | walks go to names and `..` | the same | refuse `.`, `/` and the empty name; undo the escape |
//! | [`names::visible`] | directories hold no `.` and `..` | lists both; may name a file with a `/` | drop such entries |
//! | [`names::last`] | the root is called `/` | calls it `.` | last element, else `/` |
//! | [`walk::outcome`] | a walk ends or fails | stops at a symbolic link, or takes `..` after one for the directory it is in | say which name is a link |
//! | [`walk::Links::follow`] | there are no links | does not follow them | put the target in the link's place, from its directory or the share's root; 40 at most |
//! | [`FileType`] | files and directories | links, fifos, sockets, devices too | name what it is |
//! | [`open::permit`] | cannot open what is no file; a directory only to read | special files: `ENXIO`, before 7.2.3 a hang; opens directories for writing | refuse before sending |
//! | [`open::request`] | `OEXEC`, `OCEXEC`, `ORCLOSE`, `OTRUNC` | 3 is refused on a read-only export, `OREAD\|OTRUNC` cuts the file even there, the others are ignored | 0 for 3, truncate only when writing, the rest stays here |
//! | [`open::close`] | `ORCLOSE` removes | ignores it | `Tremove` in place of the last `Tclunk` |
//! | [`open::iounit`] | 0 is unknown | 0 for directories, more than msize allows never | the smaller of the two |
//! | [`create::request`] | fails when the file exists | `.u` opens it, unless bit 4 is set | set it; `.L`: `CREAT\|EXCL`, and `Tmkdir` for directories |
//! | [`create::inherit`] | permissions are masked by the directory's | takes them exactly | mask here |
//! | [`stat::File::from_stat`] | names, plain bits, length 0 for directories | empty names and numbers, link and device bits, the host's length | translate; keep the rest aside |
//! | [`stat::File::from_attr`] | a stat record | `.L` has `Rgetattr` | the same, the name comes from the walk |
//! | [`list::Listing`] | whole stat records | the same with `.`, `..`; offsets cannot be sought | drop, translate, survive bad records |
//! | [`list::Names`] | whole stat records | `.L`: names with cookies | names for the driver to walk to; the cookie to go on |
//! | [`wstat::plan`] | all or nothing; all ones is "leave it" | `.u` takes 0 as owner 0 | refuse first what must fail; every number not changed is `NONUM` |
//! | [`wstat::Change::record`] | one `Twstat` | `.u`: mode, times, group, name, length, in this order; type bits must be as they are | one record, type and set-id bits put back |
//! | [`wstat::Change::setattr`], [`rename`](wstat::Change::rename) | the same | `.L` has two messages | two messages |
//! | [`wstat::Sync`] | a wstat of nothing is a sync | `.u`: `EINVAL` on a fid that is not open; `.L`: `Tfsync` | send only where it is understood |
//! | [`kept::Kept`] | append-only, exclusive, temporary files | drops the bits | keep them here, by qid |
//! | [`ids::Ids`] | owners are names | numbers | a small table, else decimal |
//! | [`io::read`], [`io::written`] | at most what was asked | may say anything | more is an error, never a longer buffer |
//!
//! Two rules are the driver's own, because they are about order and not about bytes. QEMU runs requests side by
//! side, so a request that depends on another is sent after its reply. And QEMU renames onto an existing file
//! silently, so the driver walks to the new name first and refuses when it is there.
//!
//! A link at the end of a path is followed for open, stat and wstat of anything but the name; remove and rename
//! act on the link itself.

pub mod create;
pub mod errors;
pub mod ids;
pub mod io;
pub mod kept;
pub mod list;
pub mod names;
pub mod open;
pub mod stat;
pub mod version;
pub mod walk;
pub mod wstat;

use crate::attr::{dt, smode};
use crate::stat::dm;
use crate::{NOFID, NONUM, Tmsg};
use abi::Qid;

/// What a file is, in more kinds than Plan 9 has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// A plain file.
    Plain,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// A named pipe of the host.
    Fifo,
    /// A Unix socket of the host.
    Socket,
    /// A device of the host.
    Device,
}

impl FileType {
    /// From a 9P2000.u mode.
    pub const fn from_mode_u(mode: u32) -> FileType {
        if mode & abi::DMDIR != 0 {
            FileType::Dir
        } else if mode & dm::SYMLINK != 0 {
            FileType::Link
        } else if mode & dm::DEVICE != 0 {
            FileType::Device
        } else if mode & dm::NAMEDPIPE != 0 {
            FileType::Fifo
        } else if mode & dm::SOCKET != 0 {
            FileType::Socket
        } else {
            FileType::Plain
        }
    }

    /// From a Linux mode, as 9P2000.L has it.
    pub const fn from_mode_l(mode: u32) -> FileType {
        match mode & smode::IFMT {
            smode::IFDIR => FileType::Dir,
            smode::IFLNK => FileType::Link,
            smode::IFIFO => FileType::Fifo,
            smode::IFSOCK => FileType::Socket,
            smode::IFCHR | smode::IFBLK => FileType::Device,
            _ => FileType::Plain,
        }
    }

    /// From a directory entry of 9P2000.L; `None` when it does not say.
    pub const fn from_dtype(dtype: u8) -> Option<FileType> {
        Some(match dtype {
            dt::DIR => FileType::Dir,
            dt::LNK => FileType::Link,
            dt::FIFO => FileType::Fifo,
            dt::SOCK => FileType::Socket,
            dt::CHR | dt::BLK => FileType::Device,
            dt::REG => FileType::Plain,
            _ => return None,
        })
    }

    /// From a qid, which tells only directories and links apart: anything else is called plain.
    pub const fn from_qid(qid: Qid) -> FileType {
        if qid.is_dir() {
            FileType::Dir
        } else if qid.kind & abi::QTSYMLINK != 0 {
            FileType::Link
        } else {
            FileType::Plain
        }
    }
}

/// The attach that begins a session, without authentication. No number goes with a user's name: files that are
/// made belong to whom the server runs as, not to a number that means something else on the host. But a user
/// whose name is a number is the host's user with that number.
pub fn attach<'a>(fid: u32, uname: &'a str, aname: &'a str) -> Tmsg<'a> {
    let n_uname = uname.parse().unwrap_or(NONUM);
    Tmsg::Attach { fid, afid: NOFID, uname: uname.into(), aname: aname.into(), n_uname }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;

    #[test]
    fn types_by_all_four_spellings() {
        use FileType::*;
        for (u, l, d, t) in [
            (0o644, 0o100644, 8, Plain),
            (0x8000_01ed, 0o040755, 4, Dir),
            (0x0200_01ff, 0o120777, 10, Link),
            (0x0020_01a4, 0o010644, 1, Fifo),
            (0x0010_01ed, 0o140755, 12, Socket),
            (0x0080_01b6, 0o020666, 2, Device),
            (0x0080_01b6, 0o060666, 6, Device),
            (0x000c_01ed, 0o106755, 8, Plain),
        ] {
            assert_eq!(FileType::from_mode_u(u), t);
            assert_eq!(FileType::from_mode_l(l), t);
            assert_eq!(FileType::from_dtype(d), Some(t));
        }
        assert_eq!(FileType::from_dtype(0), None);
        assert_eq!(FileType::from_qid(Qid { kind: 0x80, ..Qid::default() }), Dir);
        assert_eq!(FileType::from_qid(Qid { kind: 0x02, ..Qid::default() }), Link);
        assert_eq!(FileType::from_qid(Qid { kind: 0x40, ..Qid::default() }), Plain);
    }

    #[test]
    fn attach_sends_a_number_only_for_one() {
        for (user, number) in [("glenda", NONUM), ("", NONUM), ("1000", 1000), ("4294967296", NONUM)] {
            let bytes = attach(1, user, "").to_vec(Dialect::U, 0).unwrap();
            assert_eq!(bytes[bytes.len() - 4..], number.to_le_bytes(), "{user}");
        }
    }
}
