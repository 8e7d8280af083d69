//! What 9P2000.L says about files: `getattr`, `setattr` and directory entries, with Linux's numbers.

use crate::Str;
use crate::wire::{Field, Reader, WireError, Writer};
use abi::Qid;

/// Flags of `Tlopen` and `Tlcreate`: Linux's, as on most processors.
pub mod lopen {
    /// Read.
    pub const RDONLY: u32 = 0;
    /// Write.
    pub const WRONLY: u32 = 1;
    /// Both.
    pub const RDWR: u32 = 2;
    /// Make the file when it is not there.
    pub const CREAT: u32 = 0o100;
    /// With `CREAT`: it must not be there.
    pub const EXCL: u32 = 0o200;
    /// Cut the file to nothing.
    pub const TRUNC: u32 = 0o1000;
    /// Every write goes to the end.
    pub const APPEND: u32 = 0o2000;
    /// Do not wait.
    pub const NONBLOCK: u32 = 0o4000;
    /// It must be a directory.
    pub const DIRECTORY: u32 = 0o200000;
    /// It must not be a symbolic link.
    pub const NOFOLLOW: u32 = 0o400000;
}

/// The file types in Linux's mode bits.
pub mod smode {
    /// The bits that hold the type.
    pub const IFMT: u32 = 0o170000;
    /// A fifo.
    pub const IFIFO: u32 = 0o010000;
    /// A character device.
    pub const IFCHR: u32 = 0o020000;
    /// A directory.
    pub const IFDIR: u32 = 0o040000;
    /// A block device.
    pub const IFBLK: u32 = 0o060000;
    /// A plain file.
    pub const IFREG: u32 = 0o100000;
    /// A symbolic link.
    pub const IFLNK: u32 = 0o120000;
    /// A socket.
    pub const IFSOCK: u32 = 0o140000;
    /// Set-user-id, set-group-id and sticky.
    pub const SETBITS: u32 = 0o7000;
}

/// Bits of `Tgetattr`'s mask and `Rgetattr`'s `valid`.
pub mod getattr {
    /// `mode`.
    pub const MODE: u64 = 0x1;
    /// `nlink`.
    pub const NLINK: u64 = 0x2;
    /// `uid`.
    pub const UID: u64 = 0x4;
    /// `gid`.
    pub const GID: u64 = 0x8;
    /// `rdev`.
    pub const RDEV: u64 = 0x10;
    /// `atime`.
    pub const ATIME: u64 = 0x20;
    /// `mtime`.
    pub const MTIME: u64 = 0x40;
    /// `ctime`.
    pub const CTIME: u64 = 0x80;
    /// The qid.
    pub const INO: u64 = 0x100;
    /// `size`.
    pub const SIZE: u64 = 0x200;
    /// `blocks`.
    pub const BLOCKS: u64 = 0x400;
    /// All of the above: what every file has.
    pub const BASIC: u64 = 0x7ff;
    /// Everything there is a bit for.
    pub const ALL: u64 = 0x3fff;
}

/// Bits of `Tsetattr`'s `valid`.
pub mod setattr {
    /// `mode`.
    pub const MODE: u32 = 0x1;
    /// `uid`.
    pub const UID: u32 = 0x2;
    /// `gid`.
    pub const GID: u32 = 0x4;
    /// `size`.
    pub const SIZE: u32 = 0x8;
    /// `atime`: the server's clock, unless `ATIME_SET`.
    pub const ATIME: u32 = 0x10;
    /// `mtime`: the server's clock, unless `MTIME_SET`.
    pub const MTIME: u32 = 0x20;
    /// `ctime`.
    pub const CTIME: u32 = 0x40;
    /// `atime` is as given.
    pub const ATIME_SET: u32 = 0x80;
    /// `mtime` is as given.
    pub const MTIME_SET: u32 = 0x100;
}

/// `Dirent::dtype`: Linux's directory entry types.
pub mod dt {
    /// The server does not say.
    pub const UNKNOWN: u8 = 0;
    /// A fifo.
    pub const FIFO: u8 = 1;
    /// A character device.
    pub const CHR: u8 = 2;
    /// A directory.
    pub const DIR: u8 = 4;
    /// A block device.
    pub const BLK: u8 = 6;
    /// A plain file.
    pub const REG: u8 = 8;
    /// A symbolic link.
    pub const LNK: u8 = 10;
    /// A socket.
    pub const SOCK: u8 = 12;
}

/// `Tunlinkat`'s flag for a directory.
pub const AT_REMOVEDIR: u32 = 0x200;

macro_rules! fields {
    ($(#[$doc:meta])* $Name:ident { $( $(#[$field_doc:meta])* $field:ident : $ty:ty, )* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $Name { $( $(#[$field_doc])* pub $field: $ty, )* }

        impl<'a> Field<'a> for $Name {
            fn get(r: &mut Reader<'a>) -> Result<Self, WireError> {
                Ok($Name { $( $field: r.get()?, )* })
            }
            fn put(&self, w: &mut Writer<'_>) {
                $( w.put(&self.$field); )*
            }
        }
    };
}

fields! {
    /// A time in a message, as the host's clock has it.
    Time {
        /// Seconds since 1970.
        sec: u64,
        /// And nanoseconds.
        nsec: u64,
    }
}

impl Time {
    /// A whole second.
    pub const fn seconds(sec: u64) -> Time {
        Time { sec, nsec: 0 }
    }
}

fields! {
    /// The attributes of a file in `Rgetattr`: 153 bytes.
    Attr {
        /// Which of the fields are meant, as in [`getattr`].
        valid: u64,
        /// The file.
        qid: Qid,
        /// Linux's mode, with the file's type.
        mode: u32,
        /// Number of the owner.
        uid: u32,
        /// Number of the group.
        gid: u32,
        /// Names the file has.
        nlink: u64,
        /// The device it is, if it is one.
        rdev: u64,
        /// Bytes.
        size: u64,
        /// Good size of a transfer in bytes.
        blksize: u64,
        /// Units of 512 bytes on the disk.
        blocks: u64,
        /// Last read.
        atime: Time,
        /// Last change of the data.
        mtime: Time,
        /// Last change of the attributes.
        ctime: Time,
        /// Birth.
        btime: Time,
        /// Generation of the inode.
        gen_number: u64,
        /// Version of the data.
        data_version: u64,
    }
}

fields! {
    /// The change in a `Tsetattr`.
    SetAttr {
        /// Which of the fields are meant, as in [`setattr`].
        valid: u32,
        /// Linux's mode, with the file's type.
        mode: u32,
        /// Number of the owner.
        uid: u32,
        /// Number of the group.
        gid: u32,
        /// Bytes.
        size: u64,
        /// Last read.
        atime: Time,
        /// Last change.
        mtime: Time,
    }
}

/// One entry of an `Rreaddir`: `qid[13] cookie[8] type[1] name[s]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dirent<'a> {
    /// The file. Some servers leave its type and version 0.
    pub qid: Qid,
    /// The `offset` with which a `Treaddir` goes on after this entry: any number, in no order.
    pub cookie: u64,
    /// What kind of file, as in [`dt`].
    pub dtype: u8,
    /// Its name.
    pub name: Str<'a>,
}

impl Dirent<'_> {
    /// Encodes the entry at the front of `buf` and says how long it is.
    ///
    /// # Errors
    /// [`WireError::Room`] with the size needed when `buf` is too small, `TooLong` for the name.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, WireError> {
        let mut w = Writer::new(buf);
        w.put(&self.qid);
        w.put(&self.cookie);
        w.put(&self.dtype);
        w.put(&self.name);
        w.finish(&[])
    }
}

/// Goes through the entries of an `Rreaddir`. An entry that is cut short is an error, and the last.
#[derive(Clone, Debug)]
pub struct Dirents<'a> {
    rest: Reader<'a>,
}

impl<'a> Dirents<'a> {
    /// The entries in the data of a reply.
    pub fn new(data: &'a [u8]) -> Self {
        Dirents { rest: Reader::new(data) }
    }

    /// Bytes that were not looked at.
    pub fn left(&self) -> usize {
        self.rest.left()
    }

    fn entry(&mut self) -> Result<Dirent<'a>, WireError> {
        let r = &mut self.rest;
        Ok(Dirent { qid: r.get()?, cookie: r.get()?, dtype: r.get()?, name: r.get()? })
    }
}

impl<'a> Iterator for Dirents<'a> {
    type Item = Result<Dirent<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.left() == 0 {
            return None;
        }
        let entry = self.entry();
        if entry.is_err() {
            self.rest.rest();
        }
        Some(entry)
    }
}
