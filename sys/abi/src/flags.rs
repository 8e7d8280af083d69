//! Modes, permissions and flags of the file and process system calls (sections 2 and 5 of the manual).

use bitflags::bitflags;

/// Open for reading.
pub const OREAD: u32 = 0;
/// Open for writing.
pub const OWRITE: u32 = 1;
/// Open for both.
pub const ORDWR: u32 = 2;
/// Open for execution: like reading, but needs execute permission.
pub const OEXEC: u32 = 3;
/// Truncate on open.
pub const OTRUNC: u32 = 0x10;
/// Close on exec.
pub const OCEXEC: u32 = 0x20;
/// Remove on close.
pub const ORCLOSE: u32 = 0x40;
/// Create only: fail when the file exists.
pub const OEXCL: u32 = 0x1000;

/// Access bits as `Dev::walk` and permission checks use them.
pub const AEXEC: u32 = 1;
/// Permission to write.
pub const AWRITE: u32 = 2;
/// Permission to read.
pub const AREAD: u32 = 4;

/// `Dir::mode`: a directory.
pub const DMDIR: u32 = 0x8000_0000;
/// `Dir::mode`: writes go to the end.
pub const DMAPPEND: u32 = 0x4000_0000;
/// `Dir::mode`: one opener at a time.
pub const DMEXCL: u32 = 0x2000_0000;
/// `Dir::mode`: a mounted channel.
pub const DMMOUNT: u32 = 0x1000_0000;
/// `Dir::mode`: an authentication file.
pub const DMAUTH: u32 = 0x0800_0000;
/// `Dir::mode`: not backed up.
pub const DMTMP: u32 = 0x0400_0000;

/// `Qid::kind`: a directory.
pub const QTDIR: u8 = 0x80;
/// `Qid::kind`: writes go to the end.
pub const QTAPPEND: u8 = 0x40;
/// `Qid::kind`: one opener at a time.
pub const QTEXCL: u8 = 0x20;
/// `Qid::kind`: a mounted channel.
pub const QTMOUNT: u8 = 0x10;
/// `Qid::kind`: an authentication file.
pub const QTAUTH: u8 = 0x08;
/// `Qid::kind`: not backed up.
pub const QTTMP: u8 = 0x04;
/// `Qid::kind`: a symbolic link (9P2000.u only).
pub const QTSYMLINK: u8 = 0x02;
/// `Qid::kind`: a plain file.
pub const QTFILE: u8 = 0x00;

/// `bind`/`mount`: replace what is there.
pub const MREPL: u32 = 0;
/// `bind`/`mount`: first in the union.
pub const MBEFORE: u32 = 1;
/// `bind`/`mount`: last in the union.
pub const MAFTER: u32 = 2;
/// Mask of the order field.
pub const MORDER: u32 = 3;
/// `bind`/`mount`: files may be created in this element.
pub const MCREATE: u32 = 4;
/// `mount`: cache (accepted, without effect).
pub const MCACHE: u32 = 0x10;
/// All valid `bind`/`mount` bits.
pub const MMASK: u32 = 0x17;

/// `noted`: go on where the note interrupted.
pub const NCONT: i32 = 0;
/// `noted`: die as if there were no handler.
pub const NDFLT: i32 = 1;
/// `noted`: leave the handler state, stay in the frame.
pub const NSAVE: i32 = 2;
/// `noted`: restore after `NSAVE`.
pub const NRSTR: i32 = 3;

/// `segattach`: read only.
pub const SG_RONLY: u32 = 0x20;
/// `segattach`: detach on exec.
pub const SG_CEXEC: u32 = 0x40;

bitflags! {
    /// Flags of `rfork`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Rfork: u32 {
        /// Copy the name space.
        const NAMEG = 1;
        /// Copy the environment.
        const ENVG = 2;
        /// Copy the file descriptors.
        const FDG = 4;
        /// New note group.
        const NOTEG = 8;
        /// New process.
        const PROC = 0x10;
        /// Share data and bss.
        const MEM = 0x20;
        /// Leave no wait record.
        const NOWAIT = 0x40;
        /// Empty name space.
        const CNAMEG = 0x400;
        /// Empty environment.
        const CENVG = 0x800;
        /// No file descriptors.
        const CFDG = 0x1000;
        /// New rendezvous group.
        const REND = 0x2000;
        /// No mounts from now on.
        const NOMNT = 0x4000;
    }
}
