//! Rows: opening and closing.

use super::FileType;
use super::errors::ESPECIAL;
use crate::attr::lopen;
use crate::{Dialect, IOHDRSZ, Tmsg};
use abi::error::EISDIR;
use abi::{OCEXEC, OEXCL, OEXEC, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE};

/// QEMU's bit in a 9P2000.u open mode: `O_EXCL`.
pub const U_EXCL: u8 = 0x04;
/// QEMU's bit in a 9P2000.u open mode: `O_APPEND`.
pub const U_APPEND: u8 = 0x80;
/// The part of a mode that says read, write, both or execute.
const RWX: u32 = 3;

/// Whether a mode lets the file be written.
pub const fn writes(mode: u32) -> bool {
    matches!(mode & RWX, OWRITE | ORDWR)
}

/// Refuses what must not be opened, before the server is asked: QEMU opens directories for writing, and before
/// 7.2.3 it opened fifos and waited.
///
/// # Errors
/// `permission denied` for fifos, sockets and devices, `file is a directory` for anything but reading one.
pub const fn permit(what: FileType, mode: u32) -> Result<(), &'static str> {
    match what {
        FileType::Fifo | FileType::Socket | FileType::Device => Err(ESPECIAL),
        FileType::Dir if mode & RWX != OREAD || mode & OTRUNC != 0 => Err(EISDIR),
        _ => Ok(()),
    }
}

/// What to send to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Whether the file must be cut to nothing first, by a wstat of its length. So it is for reading with
    /// `OTRUNC`: a truncating open to read is carried out by QEMU even on a read-only share, a wstat is not.
    pub truncate_first: bool,
    /// The request.
    pub message: Tmsg<'static>,
}

/// Translates Plan 9's open mode; [`permit`] was asked before. `append` is for a file that is
/// [kept](super::modebits) append-only: then the server puts every write at the end.
pub const fn request(dialect: Dialect, fid: u32, what: FileType, mode: u32, append: bool) -> Open {
    let truncates = mode & OTRUNC != 0;
    match dialect {
        Dialect::P9 => Open {
            truncate_first: false,
            message: Tmsg::Open { fid, mode: (mode & !(OCEXEC | OEXCL)) as u8 },
        },
        Dialect::U => Open {
            truncate_first: truncates && !writes(mode),
            message: Tmsg::Open { fid, mode: mode_u(mode, append) },
        },
        Dialect::L => {
            let directory = if matches!(what, FileType::Dir) { lopen::DIRECTORY } else { 0 };
            Open {
                truncate_first: truncates && !writes(mode),
                message: Tmsg::Lopen { fid, flags: flags_l(mode, append) | directory },
            }
        }
    }
}

/// The open mode of 9P2000.u.
pub(super) const fn mode_u(mode: u32, append: bool) -> u8 {
    let access = if mode & RWX == OEXEC { OREAD } else { mode & RWX };
    let truncate = if writes(mode) { mode & OTRUNC } else { 0 };
    (access | truncate) as u8 | if append && writes(mode) { U_APPEND } else { 0 }
}

/// The open flags of 9P2000.L.
pub(super) const fn flags_l(mode: u32, append: bool) -> u32 {
    let access = match mode & RWX {
        OWRITE => lopen::WRONLY,
        ORDWR => lopen::RDWR,
        _ => return lopen::RDONLY,
    };
    let truncate = if mode & OTRUNC != 0 { lopen::TRUNC } else { 0 };
    access | truncate | if append { lopen::APPEND } else { 0 }
}

/// The last message for a fid: `Tremove` for a file that was opened with `ORCLOSE`, else `Tclunk`.
/// A 9P2000 server was told of `ORCLOSE` and does it by itself.
pub const fn close(dialect: Dialect, fid: u32, mode: u32) -> Tmsg<'static> {
    if mode & ORCLOSE != 0 && !matches!(dialect, Dialect::P9) {
        Tmsg::Remove { fid }
    } else {
        Tmsg::Clunk { fid }
    }
}

/// Most bytes for one `Tread` or `Twrite`, from what `Ropen` said and the session's largest message.
pub const fn iounit(answered: u32, msize: u32) -> u32 {
    let most = msize.saturating_sub(IOHDRSZ);
    if answered == 0 || answered > most { most } else { answered }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_before_the_server_is_asked() {
        for what in [FileType::Fifo, FileType::Socket, FileType::Device] {
            assert_eq!(permit(what, OREAD), Err("permission denied"));
        }
        assert_eq!(permit(FileType::Dir, OREAD), Ok(()));
        assert_eq!(permit(FileType::Dir, OREAD | ORCLOSE | OCEXEC), Ok(()));
        for mode in [OWRITE, ORDWR, OEXEC, OREAD | OTRUNC] {
            assert_eq!(permit(FileType::Dir, mode), Err("file is a directory"), "{mode:#x}");
            assert_eq!(permit(FileType::Plain, mode), Ok(()));
        }
    }

    #[test]
    fn modes() {
        // Plan 9's mode, 9P2000.u's, 9P2000.L's, truncated first.
        for (mode, u, l, first) in [
            (OREAD, 0, 0, false),
            (OWRITE, 1, 1, false),
            (ORDWR, 2, 2, false),
            (OEXEC, 0, 0, false),
            (OWRITE | OTRUNC, 0x11, 0o1001, false),
            (ORDWR | OTRUNC | OCEXEC | ORCLOSE, 0x12, 0o1002, false),
            (OREAD | OTRUNC, 0, 0, true),
            (OEXEC | OCEXEC | ORCLOSE, 0, 0, false),
            (OWRITE | OEXCL, 1, 1, false),
        ] {
            let t = request(Dialect::U, 3, FileType::Plain, mode, false);
            assert_eq!(
                t,
                Open { truncate_first: first, message: Tmsg::Open { fid: 3, mode: u } },
                "{mode:#x}"
            );
            let t = request(Dialect::L, 3, FileType::Plain, mode, false);
            assert_eq!(t, Open { truncate_first: first, message: Tmsg::Lopen { fid: 3, flags: l } });
        }
        let dir = request(Dialect::L, 3, FileType::Dir, OREAD, false);
        assert_eq!(dir.message, Tmsg::Lopen { fid: 3, flags: 0o200000 });
        let plan9 = request(Dialect::P9, 3, FileType::Plain, OEXEC | OTRUNC | ORCLOSE | OCEXEC, true);
        assert_eq!(plan9.message, Tmsg::Open { fid: 3, mode: 0x53 });
    }

    #[test]
    fn append_only_files_are_appended_to() {
        let mode = |m| request(Dialect::U, 3, FileType::Plain, m, true).message;
        assert_eq!(mode(OWRITE), Tmsg::Open { fid: 3, mode: 0x81 });
        assert_eq!(mode(OREAD), Tmsg::Open { fid: 3, mode: 0 });
        let flags = request(Dialect::L, 3, FileType::Plain, ORDWR, true).message;
        assert_eq!(flags, Tmsg::Lopen { fid: 3, flags: 0o2002 });
    }

    #[test]
    fn remove_on_close() {
        assert_eq!(close(Dialect::U, 3, ORDWR | ORCLOSE), Tmsg::Remove { fid: 3 });
        assert_eq!(close(Dialect::L, 3, ORDWR), Tmsg::Clunk { fid: 3 });
        assert_eq!(close(Dialect::P9, 3, ORDWR | ORCLOSE), Tmsg::Clunk { fid: 3 });
    }

    #[test]
    fn iounits() {
        assert_eq!(iounit(126_976, 131_072), 126_976);
        assert_eq!(iounit(0, 131_096), 131_072);
        assert_eq!(iounit(u32::MAX, 8192), 8168);
        assert_eq!(iounit(5, 7), 0);
    }
}
