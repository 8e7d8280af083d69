//! The folder: what a client may do with the files below it, by names relative to it: the elements of a path, none
//! for the folder itself.
//!
//! Every name is resolved by the kernel with `RESOLVE_BENEATH`: neither `..` nor a symbolic link, nor a folder renamed
//! at the wrong moment, leads out. Links that stay inside are followed; one that does not, or leads nowhere, is seen
//! as a file that cannot be opened, and can be removed. A file is looked at before it is opened for good, so that a
//! fifo or a device is never opened at all.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use abi::{DMDIR, QTDIR, Qid};
use ninep::translate::ids::Ids;
use ninep::{NONUM, Str};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Timespec, Timestamps,
};
use rustix::fs::{chmodat, chownat, fstat, mkdirat, openat, openat2, renameat_with, unlinkat, utimensat};
use rustix::io::Errno;

/// Result with the host's error number.
pub type Result<T, E = Errno> = std::result::Result<T, E>;

/// A folder that is served.
pub struct Tree {
    root: OwnedFd,
    root_dev: u64,
    readonly: bool,
    ids: Ids,
}

/// What is known of a file.
pub struct Node {
    /// A handle that does not read or write.
    pub handle: OwnedFd,
    /// As 9P knows it.
    pub qid: Qid,
    /// Permissions and `DMDIR`.
    pub mode: u32,
    /// What it is on the host.
    pub kind: FileType,
    /// Seconds since 1970.
    pub atime: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Bytes, 0 for a directory.
    pub length: u64,
    /// Owner.
    pub uid: String,
    /// Group.
    pub gid: String,
}

/// What a `Twstat` changes.
#[derive(Default)]
pub struct Change {
    /// New last element of the name.
    pub name: Option<Vec<u8>>,
    /// New length in bytes.
    pub length: Option<u64>,
    /// New permissions.
    pub mode: Option<u32>,
    /// New times, in seconds since 1970.
    pub atime: Option<u32>,
    /// As `atime`.
    pub mtime: Option<u32>,
    /// New group, by name or number.
    pub gid: Option<String>,
}

impl Tree {
    /// The folder at `path`.
    pub fn open(path: &Path, readonly: bool) -> io::Result<Tree> {
        let root = openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let root_dev = fstat(&root)?.st_dev;
        let mut ids = Ids::new();
        for (number, name) in names_in("/etc/passwd") {
            ids.add_user(number, &name);
        }
        for (number, name) in names_in("/etc/group") {
            ids.add_group(number, &name);
        }
        Ok(Tree { root, root_dev, readonly, ids })
    }

    /// Refuses when nothing may be changed.
    pub fn writable(&self) -> Result<()> {
        if self.readonly { Err(Errno::ROFS) } else { Ok(()) }
    }

    /// Looks at a file.
    pub fn node(&self, name: &[Vec<u8>]) -> Result<Node> {
        let link = |e| {
            // A link that leads nowhere we go is a file of its own.
            let handle = self.resolve(name, OFlags::PATH | OFlags::NOFOLLOW).map_err(|_| e)?;
            let node = self.describe(handle)?;
            if node.kind == FileType::Symlink { Ok(node) } else { Err(e) }
        };
        match self.resolve(name, OFlags::PATH) {
            Ok(handle) => self.describe(handle),
            Err(e) => link(e),
        }
    }

    /// What a handle or an open file is.
    pub fn describe(&self, handle: OwnedFd) -> Result<Node> {
        let stat = fstat(&handle)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_dir = kind == FileType::Directory;
        let (mtime, length) = (stat.st_mtime as u32, if is_dir { 0 } else { stat.st_size as u64 });
        // Numbers of files are unique on one device only.
        let other_dev = stat.st_dev.wrapping_sub(self.root_dev).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Ok(Node {
            handle,
            qid: Qid {
                kind: if is_dir { QTDIR } else { 0 },
                vers: mtime.wrapping_mul(1_000_003) ^ stat.st_mtime_nsec as u32 ^ length as u32,
                path: stat.st_ino ^ other_dev,
            },
            mode: stat.st_mode & 0o777 | if is_dir { DMDIR } else { 0 },
            kind,
            atime: stat.st_atime as u32,
            mtime,
            length,
            uid: self.ids.user(Str(&[]), stat.st_uid),
            gid: self.ids.group(Str(&[]), stat.st_gid),
        })
    }

    /// Opens a plain file or a directory.
    pub fn reopen(&self, node: &Node, flags: OFlags) -> Result<File> {
        match node.kind {
            FileType::RegularFile | FileType::Directory => {}
            _ => return Err(Errno::ACCESS),
        }
        if flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::TRUNC) {
            self.writable()?;
        }
        Ok(openat(CWD, handle_path(node.handle.as_fd()), flags | OFlags::CLOEXEC, Mode::empty())?.into())
    }

    /// Makes a file or directory that was not there. The permissions are those of the directory at most.
    pub fn create(&self, dir: &Node, name: &[u8], perm: u32, flags: OFlags) -> Result<File> {
        self.writable()?;
        let name = OsStr::from_bytes(name);
        let mask = if perm & DMDIR != 0 { 0o777 } else { 0o666 };
        let perm_bits = Mode::from_bits_truncate(perm & 0o777 & (!mask | dir.mode & mask));
        if perm & DMDIR != 0 {
            mkdirat(&dir.handle, name, Mode::RWXU)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = openat(&dir.handle, name, flags, Mode::empty())?;
            rustix::fs::fchmod(&made, perm_bits)?;
            return Ok(made.into());
        }
        let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(&dir.handle, name, flags, Mode::RUSR | Mode::WUSR)?;
        rustix::fs::fchmod(&made, perm_bits)?;
        Ok(made.into())
    }

    /// Removes a file, a link, or an empty directory; never the folder itself.
    pub fn remove(&self, name: &[Vec<u8>]) -> Result<()> {
        self.writable()?;
        let (dir, last) = self.parent(name)?;
        match unlinkat(&dir, last, AtFlags::empty()) {
            Err(Errno::ISDIR) => unlinkat(&dir, last, AtFlags::REMOVEDIR),
            other => other,
        }
    }

    /// Changes a file; what is most likely to fail comes first.
    pub fn change(&self, name: &[Vec<u8>], node: &Node, change: &Change) -> Result<()> {
        self.writable()?;
        let others = [change.mode, change.atime, change.mtime].iter().any(Option::is_some);
        if node.kind == FileType::Symlink && (others || change.length.is_some() || change.gid.is_some()) {
            return Err(Errno::PERM);
        }
        let group = match &change.gid {
            Some(gid) => Some(Gid::from_raw(self.ids.group_number(gid).ok_or(Errno::INVAL)?)),
            None => None,
        };
        let cut = match change.length {
            Some(_) if node.kind != FileType::RegularFile => return Err(Errno::PERM),
            Some(length) => Some((self.reopen(node, OFlags::WRONLY)?, length)),
            None => None,
        };
        if let Some(new) = &change.name {
            let (dir, last) = self.parent(name)?;
            renameat_with(&dir, last, &dir, OsStr::from_bytes(new), RenameFlags::NOREPLACE)?;
        }
        if let Some((file, length)) = cut {
            rustix::fs::ftruncate(&file, length)?;
        }
        if group.is_some() {
            chownat(&node.handle, "", None, group, AtFlags::EMPTY_PATH)?;
        }
        let path = handle_path(node.handle.as_fd());
        if let Some(mode) = change.mode {
            chmodat(CWD, &path, Mode::from_bits_truncate(mode & 0o777), AtFlags::empty())?;
        }
        if change.atime.is_some() || change.mtime.is_some() {
            let time = |t: Option<u32>| match t {
                Some(t) => Timespec { tv_sec: i64::from(t), tv_nsec: 0 },
                None => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
            };
            let times = Timestamps { last_access: time(change.atime), last_modification: time(change.mtime) };
            utimensat(CWD, &path, &times, AtFlags::empty())?;
        }
        Ok(())
    }

    /// The directory that a name stands in, and its last element.
    fn parent<'n>(&self, name: &'n [Vec<u8>]) -> Result<(OwnedFd, &'n OsStr)> {
        let (last, dir) = name.split_last().ok_or(Errno::PERM)?;
        Ok((self.resolve(dir, OFlags::PATH | OFlags::DIRECTORY)?, OsStr::from_bytes(last)))
    }

    fn resolve(&self, name: &[Vec<u8>], flags: OFlags) -> Result<OwnedFd> {
        let joined = name.join(&b'/');
        let path: &[u8] = if joined.is_empty() { b"." } else { &joined };
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut tries = 0;
        loop {
            match openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), how) {
                // Something was renamed meanwhile, and the kernel does not want to guess.
                Err(Errno::AGAIN) if tries < 100 => tries += 1,
                // The way out of the folder.
                Err(Errno::XDEV) => return Err(Errno::ACCESS),
                other => return other,
            }
        }
    }
}

/// A name under which the kernel finds what a handle is for, whatever has become of its own name.
fn handle_path(handle: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

/// Names and numbers in a file like `/etc/passwd`. Without the file numbers stand for themselves.
fn names_in(path: &str) -> Vec<(u32, String)> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number = fields.nth(1)?.parse().ok().filter(|n| *n != NONUM)?;
        Some((number, name.to_owned()))
    };
    text.lines().filter_map(line).collect()
}
