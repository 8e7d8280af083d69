//! Requests.
//!
//! The table below is the protocol: types, fields in wire order, and the dialects that have them
//! (`old` is 9P2000 and 9P2000.u, `ul` 9P2000.u and 9P2000.L).

use crate::wire::{Data, Record};
use crate::{Names, SetAttr, Str};

messages! {
    /// A request to a server.
    Tmsg;

    /// Begins a session: agree on the largest message and the dialect; every fid is forgotten.
    TVERSION Version in all {
        /// Largest message the client will send or take, in bytes.
        msize: u32;
        /// The dialect's name.
        version: Str<'a>;
    }
    /// Asks for a file through which to authenticate.
    TAUTH Auth in all {
        /// The fid that becomes that file.
        afid: u32;
        /// Who wants to attach.
        uname: Str<'a>;
        /// To which tree.
        aname: Str<'a>;
        /// The user's number, or `NONUM`.
        n_uname: u32, in ul else crate::NONUM;
    }
    /// Makes a fid that is the root of a tree.
    TATTACH Attach in all {
        /// The new fid.
        fid: u32;
        /// The file through which the user authenticated, or `NOFID`.
        afid: u32;
        /// Who attaches.
        uname: Str<'a>;
        /// To which tree.
        aname: Str<'a>;
        /// The user's number, or `NONUM`.
        n_uname: u32, in ul else crate::NONUM;
    }
    /// Gives up an older request.
    TFLUSH Flush in all {
        /// The tag of that request.
        oldtag: u16;
    }
    /// Goes from one file to another by names; without names, copies the fid.
    TWALK Walk in all {
        /// Where the walk begins.
        fid: u32;
        /// The fid for where it ends; not made unless every name was found.
        newfid: u32;
        /// The names.
        names: Names<'a>;
    }
    /// Opens a file.
    TOPEN Open in old {
        /// The file.
        fid: u32;
        /// `OREAD` and so on; 9P2000.u servers have bits of their own.
        mode: u8;
    }
    /// Makes a file in a directory and opens it: the fid is the new file then.
    TCREATE Create in old {
        /// The directory.
        fid: u32;
        /// The new name.
        name: Str<'a>;
        /// Permissions and `DM` bits.
        perm: u32;
        /// As in `Open`.
        mode: u8;
        /// Target of a link, numbers of a device.
        extension: Str<'a>, in u else Str(&[]);
    }
    /// Reads from an open file.
    TREAD Read in all {
        /// The file.
        fid: u32;
        /// Where to read, in bytes.
        offset: u64;
        /// Most bytes to read.
        count: u32;
    }
    /// Writes to an open file.
    TWRITE Write in all {
        /// The file.
        fid: u32;
        /// Where to write, in bytes.
        offset: u64;
        /// What to write.
        data: Data<'a>;
    }
    /// Forgets a fid.
    TCLUNK Clunk in all {
        /// The fid.
        fid: u32;
    }
    /// Removes a file, and forgets the fid in any case.
    TREMOVE Remove in all {
        /// The file.
        fid: u32;
    }
    /// Asks for a file's stat record.
    TSTAT Stat in old {
        /// The file.
        fid: u32;
    }
    /// Changes what the stat record says.
    TWSTAT Wstat in old {
        /// The file.
        fid: u32;
        /// The record, as [`Stat`](crate::Stat) encodes it; fields of all ones and empty strings stay as they are.
        stat: Record<'a>;
    }

    /// Asks for the figures of the file system.
    TSTATFS Statfs in l {
        /// Any file in it.
        fid: u32;
    }
    /// Opens a file.
    TLOPEN Lopen in l {
        /// The file.
        fid: u32;
        /// Linux's open flags, as in [`lopen`](crate::attr::lopen).
        flags: u32;
    }
    /// Makes a plain file and opens it: the fid is the new file then.
    TLCREATE Lcreate in l {
        /// The directory.
        fid: u32;
        /// The new name.
        name: Str<'a>;
        /// Linux's open flags.
        flags: u32;
        /// Linux's mode bits.
        mode: u32;
        /// The group's number, or `NONUM`.
        gid: u32;
    }
    /// Makes a symbolic link.
    TSYMLINK Symlink in l {
        /// The directory.
        dfid: u32;
        /// The new name.
        name: Str<'a>;
        /// What it points to.
        target: Str<'a>;
        /// The group's number, or `NONUM`.
        gid: u32;
    }
    /// Makes a special file.
    TMKNOD Mknod in l {
        /// The directory.
        dfid: u32;
        /// The new name.
        name: Str<'a>;
        /// Linux's mode bits with the type.
        mode: u32;
        /// Major number of a device.
        major: u32;
        /// Minor number of a device.
        minor: u32;
        /// The group's number, or `NONUM`.
        gid: u32;
    }
    /// Moves a file to a directory, under a new name.
    TRENAME Rename in l {
        /// The file.
        fid: u32;
        /// The directory.
        dfid: u32;
        /// The new name.
        name: Str<'a>;
    }
    /// Asks where a symbolic link points.
    TREADLINK Readlink in l {
        /// The link.
        fid: u32;
    }
    /// Asks for a file's attributes. It is 9P2000.L's, and QEMU takes it in a session of 9P2000.u too.
    TGETATTR Getattr in ul {
        /// The file.
        fid: u32;
        /// Which of them, as in [`getattr`](crate::attr::getattr).
        mask: u64;
    }
    /// Changes a file's attributes. It is 9P2000.L's, and QEMU takes it in a session of 9P2000.u too.
    TSETATTR Setattr in ul {
        /// The file.
        fid: u32;
        /// Which, and to what.
        attr: SetAttr;
    }
    /// Makes a fid to read one extended attribute, or the list of their names.
    TXATTRWALK Xattrwalk in l {
        /// The file.
        fid: u32;
        /// The fid to read from.
        newfid: u32;
        /// The attribute's name, empty for the list.
        name: Str<'a>;
    }
    /// Turns a fid into one that writes an extended attribute.
    TXATTRCREATE Xattrcreate in l {
        /// The file.
        fid: u32;
        /// The attribute's name.
        name: Str<'a>;
        /// How many bytes will be written.
        size: u64;
        /// Linux's `setxattr` flags.
        flags: u32;
    }
    /// Reads directory entries.
    TREADDIR Readdir in l {
        /// The open directory.
        fid: u32;
        /// 0, or the cookie of the last entry seen.
        offset: u64;
        /// Most bytes to read.
        count: u32;
    }
    /// Asks for a file's data to be put on the disk.
    TFSYNC Fsync in l {
        /// The open file.
        fid: u32;
        /// Not 0: the data alone.
        datasync: u32;
    }
    /// Locks or unlocks a part of a file.
    TLOCK Lock in l {
        /// The open file.
        fid: u32;
        /// 0 read, 1 write, 2 unlock.
        lock: u8;
        /// 1 wait, 2 reclaim.
        flags: u32;
        /// First byte.
        start: u64;
        /// Bytes, 0 for all.
        length: u64;
        /// Process of the client.
        proc_id: u32;
        /// The client's name.
        client_id: Str<'a>;
    }
    /// Asks who holds a lock.
    TGETLOCK Getlock in l {
        /// The open file.
        fid: u32;
        /// 0 read, 1 write, 2 unlock.
        lock: u8;
        /// First byte.
        start: u64;
        /// Bytes, 0 for all.
        length: u64;
        /// Process of the client.
        proc_id: u32;
        /// The client's name.
        client_id: Str<'a>;
    }
    /// Gives a file a second name.
    TLINK Link in l {
        /// The directory.
        dfid: u32;
        /// The file.
        fid: u32;
        /// The new name.
        name: Str<'a>;
    }
    /// Makes a directory.
    TMKDIR Mkdir in l {
        /// The directory to make it in.
        dfid: u32;
        /// The new name.
        name: Str<'a>;
        /// Linux's mode bits.
        mode: u32;
        /// The group's number, or `NONUM`.
        gid: u32;
    }
    /// Moves a file from one directory to another, or gives it a new name. It is 9P2000.L's, and QEMU takes it in a
    /// session of 9P2000.u too.
    TRENAMEAT Renameat in ul {
        /// The directory it is in.
        olddirfid: u32;
        /// Its name there.
        oldname: Str<'a>;
        /// The directory it goes to.
        newdirfid: u32;
        /// Its name there.
        newname: Str<'a>;
    }
    /// Removes a file by name.
    TUNLINKAT Unlinkat in l {
        /// The directory it is in.
        dirfid: u32;
        /// Its name.
        name: Str<'a>;
        /// 0x200 when it is a directory.
        flags: u32;
    }
}
