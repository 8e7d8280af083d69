//! Rows: making files and directories.
//!
//! Plan 9's create(2) opens and truncates a file that exists; that is the kernel's work, in three steps: walk,
//! open with `OTRUNC`, and only then create. The create itself must fail when the file has come into being
//! meanwhile, or one process would cut what another has just written.

use super::open::{U_EXCL, flags_l, mode_u, writes};
use crate::attr::lopen;
use crate::{Dialect, NONUM, Str, Tmsg};
use abi::error::EISDIR;
use abi::{DMAPPEND, DMDIR, OCEXEC, OEXCL, OTRUNC};

/// What to send to make a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create<'a> {
    /// This; when it has succeeded the fid is the new file, open.
    Open(Tmsg<'a>),
    /// This; when it has succeeded the fid is still the directory: walk it to the name and open that.
    Mkdir(Tmsg<'a>),
}

/// Translates create. `fid` is the directory, `name` what [`names::check`](super::names::check) let through,
/// `perm` has been through [`inherit`]. Bits that make links, devices or set-id files never get through;
/// `DMAPPEND`, `DMEXCL` and `DMTMP` are for the driver to [keep](super::modebits).
///
/// # Errors
/// `file is a directory` for a directory that is to be written or executed.
pub fn request<'a>(
    dialect: Dialect,
    fid: u32,
    name: &'a [u8],
    perm: u32,
    mode: u32,
) -> Result<Create<'a>, &'static str> {
    let name = Str(name);
    let extension = Str(&[]);
    if dialect == Dialect::P9 {
        let mode = (mode & !(OCEXEC | OEXCL)) as u8;
        return Ok(Create::Open(Tmsg::Create { fid, name, perm, mode, extension }));
    }
    let is_dir = perm & DMDIR != 0;
    if is_dir && super::open::permit(super::FileType::Dir, mode).is_err() {
        return Err(EISDIR);
    }
    let bits = perm & 0o777;
    let mode = mode & !OTRUNC;
    let append = perm & DMAPPEND != 0 && writes(mode);
    Ok(match dialect {
        Dialect::L if is_dir => Create::Mkdir(Tmsg::Mkdir { dfid: fid, name, mode: bits, gid: NONUM }),
        Dialect::L => {
            let flags = flags_l(mode, append) | lopen::CREAT | lopen::EXCL;
            Create::Open(Tmsg::Lcreate { fid, name, flags, mode: bits, gid: NONUM })
        }
        _ if is_dir => Create::Open(Tmsg::Create { fid, name, perm: bits | DMDIR, mode: 0, extension }),
        _ => {
            let mode = mode_u(mode, append) | U_EXCL;
            Create::Open(Tmsg::Create { fid, name, perm: bits, mode, extension })
        }
    })
}

/// Masks the permissions of a new file by those of its directory, as Plan 9's file servers do and Unix's do not.
pub const fn inherit(perm: u32, directory: u32) -> u32 {
    let subject: u32 = if perm & DMDIR != 0 { 0o777 } else { 0o666 };
    perm & (!subject | directory & subject)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::{DMEXCL, DMTMP, OEXEC, ORCLOSE, ORDWR, OREAD, OWRITE};

    fn u(perm: u32, mode: u32) -> Tmsg<'static> {
        Tmsg::Create { fid: 3, name: "a".into(), perm, mode: mode as u8, extension: Str(&[]) }
    }

    fn l(flags: u32, mode: u32) -> Tmsg<'static> {
        Tmsg::Lcreate { fid: 3, name: "a".into(), flags, mode, gid: NONUM }
    }

    #[test]
    fn files_are_made_exclusively() {
        for (perm, mode, u_perm, u_mode, l_flags) in [
            (0o644, OWRITE, 0o644, 0x05, 0o301),
            (0o644, ORDWR | OTRUNC, 0o644, 0x06, 0o302),
            (0o755, OREAD, 0o755, 0x04, 0o300),
            (0o755, OEXEC | ORCLOSE | OCEXEC, 0o755, 0x04, 0o300),
            (0o600 | DMEXCL | DMTMP, OWRITE | OEXCL, 0o600, 0x05, 0o301),
            (0o600 | DMAPPEND, OWRITE, 0o600, 0x85, 0o2301),
            // No symbolic link, no device, no set-user-id by the back door.
            (0x03ff_f1ff, ORDWR, 0o777, 0x06, 0o302),
        ] {
            assert_eq!(
                request(Dialect::U, 3, b"a", perm, mode),
                Ok(Create::Open(u(u_perm, u_mode))),
                "{perm:#x}"
            );
            assert_eq!(request(Dialect::L, 3, b"a", perm, mode), Ok(Create::Open(l(l_flags, u_perm))));
        }
    }

    #[test]
    fn directories() {
        let perm = DMDIR | 0o755;
        assert_eq!(request(Dialect::U, 3, b"a", perm, OREAD), Ok(Create::Open(u(perm, 0))));
        let mkdir = Tmsg::Mkdir { dfid: 3, name: "a".into(), mode: 0o755, gid: NONUM };
        assert_eq!(request(Dialect::L, 3, b"a", perm, OREAD | ORCLOSE), Ok(Create::Mkdir(mkdir)));
        assert_eq!(request(Dialect::U, 3, b"a", perm, OWRITE), Err("file is a directory"));
        assert_eq!(request(Dialect::L, 3, b"a", perm, ORDWR), Err("file is a directory"));
    }

    #[test]
    fn plan9_servers_do_it_all() {
        let perm = DMAPPEND | DMEXCL | 0o600;
        let t = request(Dialect::P9, 3, b"a", perm, OWRITE | ORCLOSE | OCEXEC | OEXCL);
        assert_eq!(t, Ok(Create::Open(u(perm, 0x41))));
    }

    #[test]
    fn permissions_are_masked_by_the_directory() {
        assert_eq!(inherit(0o666, DMDIR | 0o755), 0o644);
        assert_eq!(inherit(0o777, DMDIR | 0o755), 0o755, "execute bits of a file are not the directory's");
        assert_eq!(inherit(0o777, DMDIR | 0o700), 0o711);
        assert_eq!(inherit(DMDIR | 0o777, DMDIR | 0o750), DMDIR | 0o750);
        assert_eq!(inherit(DMAPPEND | 0o666, DMDIR | 0o777), DMAPPEND | 0o666);
    }
}
