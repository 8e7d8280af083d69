//! How a mount driver gives Plan 9's meaning to a server that speaks 9P2000.u or 9P2000.L.
//!
//! Pure functions, one for each rule of the table below. The driver does the I/O: it asks a rule what to send, sends
//! it, and gives the reply to a rule. Everything a program sees comes out in Plan 9's words: [`abi::Dir`]s and
//! the texts of [`abi::error`]. The server these rules are written for is QEMU's (see
//! `docs/facts/virtio-9p.md` sections 4 and 7), and its peculiarities are what "the server" tells; others that keep to
//! their dialect are served by the same rules. With [`Dialect::P9`](crate::Dialect::P9), where a rule takes it, the
//! rule changes nothing but the spelling of names, so that one driver can speak all three.
//!
//! The table of rules: what Plan 9's programs expect, what the server has or does instead, and what we do.
//!
//! * [`version::accept`]. Plan 9: version may be answered with an older one. The server: takes exactly `9P2000.u` and
//!   `9P2000.L`, else `unknown`; clamps msize. We: check both, take what comes back.
//! * [`version::Spec::parse`]. Plan 9: `mount` has a spec. The server: a device has a tag, a server has trees. We:
//!   `name`, `name:version` or `name:version:msize`.
//! * [`attach`]. Plan 9: users are names. The server: wants a number, uses it as owner of new files. We: send
//!   `NONUM`: files belong to whom the server runs as.
//! * [`errors::text`]. Plan 9: programs compare texts. The server: `strerror` texts, or only numbers. We: number to
//!   Plan 9's text; a text that already is Plan 9's stays.
//! * [`errors::reply`]. Plan 9: the reply fits the request. The server: may be anything. We: decode, compare tag and
//!   type, turn errors into texts.
//! * [`names::check`]. Plan 9: no `/`, not `.` or `..`. The server: a `/` in a rename kills QEMU; `.` and `..` are
//!   taken. We: refuse before sending; undo the escape.
//! * [`names::element`]. Plan 9: walks go to names and `..`. The server: the same. We: refuse `.`, `/` and the empty
//!   name; undo the escape.
//! * [`names::visible`]. Plan 9: directories hold no `.` and `..`. The server: lists both; may name a file with a
//!   `/`. We: drop such entries.
//! * [`names::last`]. Plan 9: the root is called `/`. The server: calls it `.`. We: last element, else `/`.
//! * [`walk::outcome`]. Plan 9: a walk ends or fails. The server: stops at a symbolic link, or takes `..` after one
//!   for the directory it is in. We: say which name is a link.
//! * [`walk::Links::follow`]. Plan 9: there are no links. The server: does not follow them. We: put the target in the
//!   link's place, from its directory or the share's root; 40 at most.
//! * [`FileType`]. Plan 9: files and directories. The server: links, fifos, sockets, devices too. We: name what it
//!   is.
//! * [`open::permit`]. Plan 9: cannot open what is no file; a directory only to read. The server: special files:
//!   `ENXIO`, before 7.2.3 a hang; opens directories for writing. We: refuse before sending.
//! * [`open::request`]. Plan 9: `OEXEC`, `OCEXEC`, `ORCLOSE`, `OTRUNC`. The server: 3 is refused on a read-only
//!   export, `OREAD|OTRUNC` cuts the file even there, the others are ignored. We: 0 for 3, truncate only when
//!   writing, the rest stays here.
//! * [`open::close`]. Plan 9: `ORCLOSE` removes. The server: ignores it. We: `Tremove` in place of the last `Tclunk`.
//! * [`open::iounit`]. Plan 9: 0 is unknown. The server: 0 for directories, more than msize allows never. We: the
//!   smaller of the two.
//! * [`create::request`]. Plan 9: fails when the file exists. The server: `.u` opens it, unless bit 4 is set. We: set
//!   it; `.L`: `CREAT|EXCL`, and `Tmkdir` for directories.
//! * [`create::inherit`]. Plan 9: permissions are masked by the directory's. The server: takes them exactly. We: mask
//!   here.
//! * [`stat::File::from_stat`]. Plan 9: names, plain bits, length 0 for directories. The server: empty names and
//!   numbers, link and device bits, the host's length. We: translate; keep the rest aside.
//! * [`stat::File::from_attr`]. Plan 9: a stat record. The server: `.L` has `Rgetattr`. We: the same, the name comes
//!   from the walk.
//! * [`list::Listing`]. Plan 9: whole stat records. The server: the same with `.`, `..`; offsets cannot be sought.
//!   We: drop, translate, survive bad records.
//! * [`list::Names`]. Plan 9: whole stat records. The server: `.L`: names with cookies. We: names for the driver to
//!   walk to; the cookie to go on.
//! * [`wstat::plan`]. Plan 9: all or nothing; all ones is "leave it". The server: `.u` takes 0 as owner 0. We: refuse
//!   first what must fail; every number not changed is `NONUM`.
//! * [`wstat::Change::record`]. Plan 9: one `Twstat`. The server: `.u`: mode, times, group, name, length, in this
//!   order; type bits must be as they are. We: one record, type and set-id bits put back.
//! * [`wstat::Change::take_late_times`]. Plan 9: times to 2106. The server: QEMU's `.u` record takes them as signed, to
//!   2038. We: send later ones with `.L`'s message, which QEMU takes.
//! * [`wstat::Change::setattr`], [`rename`](wstat::Change::rename). Plan 9: the same. The server: `.L` has two
//!   messages. We: two messages.
//! * [`wstat::Sync`]. Plan 9: a wstat of nothing is a sync. The server: `.u`: `EINVAL` on a fid that is not open;
//!   `.L`: `Tfsync`. We: send only where it is understood.
//! * [`modebits::ModeBits`]. Plan 9: append-only, exclusive, temporary files. The server: drops the bits. We: keep them
//!   here, by qid, with who has the file open.
//! * [`ids::Ids`]. Plan 9: owners are names. The server: numbers. We: a small table, else decimal.
//! * [`io::read`], [`io::written`]. Plan 9: at most what was asked. The server: may say anything. We: more is an
//!   error, never a longer buffer.
//!
//! Some rules are the driver's own, because they are about order and not about bytes. QEMU runs requests side by
//! side, so a request that depends on another is sent after its reply. QEMU renames onto an existing file silently, so
//! the driver walks to the new name first and refuses when it is there. And QEMU takes all fids along only in a
//! `Trenameat`, so that is what the driver renames with, in both dialects.
//!
//! A link at the end of a path is followed for open, stat and wstat of anything but the name; remove and rename
//! act on the link itself.

pub mod create;
pub mod errors;
pub mod ids;
pub mod io;
pub mod list;
pub mod modebits;
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
