//! Fids as QEMU's server has them: paths, and files once they are open.

use alloc::vec::Vec;

use super::errno::*;
use super::{SELF, Server};
use crate::{NOFID, NONUM, Str};

/// What the server knows of a fid: a path, and a file once it is open.
#[derive(Clone, Debug)]
pub(super) struct Fid {
    pub(super) path: Vec<Vec<u8>>,
    pub(super) uid: u32,
    pub(super) open: Option<Open>,
}

#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) ino: u64,
    pub(super) read: bool,
    pub(super) write: bool,
    pub(super) append: bool,
    pub(super) remove: bool,
    /// A directory's names as they were when it was opened or rewound.
    pub(super) names: Vec<Vec<u8>>,
    /// How many of them have been read.
    pub(super) at: usize,
    /// 9P2000: the offset at which the next directory read must be.
    pub(super) offset: u64,
}

impl Server {
    pub(super) fn new_fid(&mut self, number: u32, fid: Fid) -> Result<(), u32> {
        if number == NOFID || self.fids.contains_key(&number) {
            return Err(EINVAL);
        }
        self.fids.insert(number, fid);
        Ok(())
    }

    pub(super) fn opened(&self, fid: u32) -> Result<&Open, u32> {
        self.fids.get(&fid).and_then(|f| f.open.as_ref()).ok_or(EINVAL)
    }

    pub(super) fn opened_mut(&mut self, fid: u32) -> Result<&mut Open, u32> {
        self.fids.get_mut(&fid).and_then(|f| f.open.as_mut()).ok_or(EINVAL)
    }

    /// Makes an open file of a fid.
    pub(super) fn set_open(&mut self, fid: u32, mut open: Open) -> Result<(), u32> {
        if self.host.inode(open.ino)?.is_dir() {
            open.names = self.host.listing(open.ino)?;
        }
        self.fids.get_mut(&fid).ok_or(EINVAL)?.open = Some(open);
        Ok(())
    }

    /// Owner of what a fid makes.
    pub(super) fn creator(&self, fid: u32) -> u32 {
        self.fids.get(&fid).map(|f| f.uid).filter(|uid| *uid != NONUM).unwrap_or(SELF)
    }

    /// The path of a name in the directory of a fid. QEMU looks at the name first: `dots` is what it says of
    /// `.` and `..`, and `no_fid` what it says of an unknown fid.
    pub(super) fn place(&self, dir: u32, name: Str<'_>, dots: u32, no_fid: u32) -> Result<Vec<Vec<u8>>, u32> {
        match name.bytes() {
            n if illegal(n) => return Err(ENOENT),
            b"." | b".." => return Err(dots),
            _ => {}
        }
        let mut path = self.fids.get(&dir).ok_or(no_fid)?.path.clone();
        path.push(name.bytes().to_vec());
        Ok(path)
    }

    /// Renames, and takes the fids of the file and those below along.
    pub(super) fn move_path(&mut self, from: &[Vec<u8>], to: &[Vec<u8>]) -> Result<(), u32> {
        self.host.mv(from, to)?;
        for fid in self.fids.values_mut() {
            fid.moved(from, to);
        }
        Ok(())
    }

    /// The same for a rename that names the fid of the file. QEMU compares with the path of that fid, which is a new
    /// one as soon as its turn has come; so it leaves those that come later where they were.
    pub(super) fn move_fid(&mut self, number: u32, to: &[Vec<u8>]) -> Result<(), u32> {
        let from = self.fids.get(&number).ok_or(ENOENT)?.path.clone();
        self.host.mv(&from, to)?;
        for (n, fid) in self.fids.iter_mut().rev() {
            fid.moved(&from, to);
            if *n == number {
                break;
            }
        }
        Ok(())
    }
}

impl Fid {
    fn moved(&mut self, from: &[Vec<u8>], to: &[Vec<u8>]) {
        if let Some(below) = self.path.strip_prefix(from) {
            self.path = [to, below].concat();
        }
    }
}

impl Open {
    pub(super) fn new(ino: u64) -> Self {
        Open {
            ino,
            read: true,
            write: false,
            append: false,
            remove: false,
            names: Vec::new(),
            at: 0,
            offset: 0,
        }
    }
}

/// A name that is no name.
pub(super) fn illegal(name: &[u8]) -> bool {
    name.is_empty() || name.contains(&b'/')
}
