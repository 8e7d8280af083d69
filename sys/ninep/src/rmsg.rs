//! Replies. The table reads as the one in [`tmsg`](crate::tmsg).

use crate::wire::{Data, Record};
use crate::{Attr, Qids, Str};
use abi::Qid;

messages! {
    /// A server's reply.
    Rmsg;

    /// The session begins.
    RVERSION Version in all {
        /// Largest message from now on, in bytes: not more than was asked.
        msize: u32;
        /// The dialect from now on, or `unknown`.
        version: Str<'a>;
    }
    /// The authentication file is there.
    RAUTH Auth in all {
        /// What it is.
        aqid: Qid;
    }
    /// The root is there.
    RATTACH Attach in all {
        /// What it is.
        qid: Qid;
    }
    /// The request failed.
    RERROR Error in old {
        /// Why, in words.
        ename: Str<'a>;
        /// Why, as a Unix number; 0 if there is none.
        errno: u32, in u else 0;
    }
    /// The request failed.
    RLERROR Lerror in l {
        /// Why, as a Linux number.
        ecode: u32;
    }
    /// The older request is over; its tag is free.
    RFLUSH Flush in all {}
    /// As many of the names as were found.
    RWALK Walk in all {
        /// What they are.
        qids: Qids<'a>;
    }
    /// The file is open.
    ROPEN Open in old {
        /// What it is.
        qid: Qid;
        /// Largest read or write that is done in one piece, in bytes; 0 if unknown.
        iounit: u32;
    }
    /// The file is made and open.
    RCREATE Create in old {
        /// What it is.
        qid: Qid;
        /// As in `Open`.
        iounit: u32;
    }
    /// What was read.
    RREAD Read in all {
        /// At most as much as was asked; nothing at the end of the file.
        data: Data<'a>;
    }
    /// It is written.
    RWRITE Write in all {
        /// So many bytes.
        count: u32;
    }
    /// The fid is forgotten.
    RCLUNK Clunk in all {}
    /// The file is removed.
    RREMOVE Remove in all {}
    /// The file's stat record.
    RSTAT Stat in old {
        /// For [`Stat`](crate::Stat) to parse.
        stat: Record<'a>;
    }
    /// It is changed.
    RWSTAT Wstat in old {}

    /// The figures of a file system.
    RSTATFS Statfs in l {
        /// Its type: Linux's magic number.
        fs_type: u32;
        /// Bytes in a block.
        bsize: u32;
        /// Blocks.
        blocks: u64;
        /// Free ones.
        bfree: u64;
        /// Free ones for ordinary users.
        bavail: u64;
        /// Files there can be.
        files: u64;
        /// Files there can still be.
        ffree: u64;
        /// Its identity.
        fsid: u64;
        /// Longest name in bytes.
        namelen: u32;
    }
    /// The file is open.
    RLOPEN Lopen in l {
        /// What it is.
        qid: Qid;
        /// As in `Open`.
        iounit: u32;
    }
    /// The file is made and open.
    RLCREATE Lcreate in l {
        /// What it is.
        qid: Qid;
        /// As in `Open`.
        iounit: u32;
    }
    /// The link is made.
    RSYMLINK Symlink in l {
        /// What it is.
        qid: Qid;
    }
    /// The special file is made.
    RMKNOD Mknod in l {
        /// What it is.
        qid: Qid;
    }
    /// The file is moved.
    RRENAME Rename in l {}
    /// Where the link points.
    RREADLINK Readlink in l {
        /// A path, relative to the link's directory unless it begins with a slash.
        target: Str<'a>;
    }
    /// The file's attributes.
    RGETATTR Getattr in ul {
        /// Those that were asked for, at least.
        attr: Attr;
    }
    /// They are changed.
    RSETATTR Setattr in ul {}
    /// The fid for the extended attribute is there.
    RXATTRWALK Xattrwalk in l {
        /// Bytes to read.
        size: u64;
    }
    /// The extended attribute can be written.
    RXATTRCREATE Xattrcreate in l {}
    /// Directory entries.
    RREADDIR Readdir in l {
        /// For [`Dirents`](crate::Dirents) to go through; nothing at the end.
        data: Data<'a>;
    }
    /// It is on the disk.
    RFSYNC Fsync in l {}
    /// The lock's fate.
    RLOCK Lock in l {
        /// 0 done, 1 held by another, 2 error, 3 grace period.
        status: u8;
    }
    /// Who holds a lock.
    RGETLOCK Getlock in l {
        /// 0 read, 1 write, 2 nobody.
        lock: u8;
        /// First byte.
        start: u64;
        /// Bytes, 0 for all.
        length: u64;
        /// Process of its client.
        proc_id: u32;
        /// Its client.
        client_id: Str<'a>;
    }
    /// The second name is there.
    RLINK Link in l {}
    /// The directory is made.
    RMKDIR Mkdir in l {
        /// What it is.
        qid: Qid;
    }
    /// The file is moved.
    RRENAMEAT Renameat in ul {}
    /// The file is removed.
    RUNLINKAT Unlinkat in l {}
}
