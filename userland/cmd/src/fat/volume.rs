//! One file system: its directories and files by their names, and what is known of those that somebody has.
//!
//! Nothing of the library's is kept between two requests but the file system itself: a file is looked up by its path
//! each time, so that there are no two ideas of how long it is. What is kept of a file that is read are the pieces of
//! the disk that it is in.

use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use abi::error as no;
use lamfat::{Date, DateTime, Error, FsOptions, Seek, SeekFrom, TimeProvider, Write};
use ninep::server::{Refused, Result};

use super::disk::{Core, Device, Disk, Fault};
use super::entries::{
    Fs, Known, Told, collect, entry, entry_at, folded, folder, from_seconds, is_named, known, root_known,
};

/// Deepest path: one that leads in circles is as long as one likes.
const DEEPEST: usize = 64;
/// Longest gap that a write behind a file's end fills.
const GAP: u64 = 64 << 20;
/// The longest file is one byte shorter.
const LONGEST: u64 = 1 << 32;

/// The seconds since 1970.
pub type Now = fn() -> i64;

#[derive(Debug)]
pub(super) struct Clock(Now);

impl TimeProvider for Clock {
    fn get_current_date(&self) -> Date {
        self.get_current_date_time().date
    }

    fn get_current_date_time(&self) -> DateTime {
        from_seconds((self.0)())
    }
}

/// A file that somebody has.
pub struct Node {
    path: RefCell<Vec<String>>,
    gone: Cell<bool>,
    /// Offsets in the disk and lengths, in the order of the file.
    pieces: RefCell<Option<Vec<(u64, u64)>>>,
}

/// A file system.
pub struct Volume<D: Device> {
    fs: Fs<D>,
    core: Rc<RefCell<Core<D>>>,
    nodes: RefCell<Vec<Weak<Node>>>,
    now: Now,
    most: u64,
}

impl<D: Device> Volume<D> {
    /// That of a device.
    ///
    /// # Errors
    /// There is none that can be understood.
    pub fn new(device: D, now: Now) -> Result<Volume<D>> {
        let len = device.size();
        let core = Rc::new(RefCell::new(Core::new(device)));
        core.borrow_mut().allow(1 << 16);
        let options = FsOptions::new().time_provider(Clock(now)).strict(false);
        let fs = Fs::new(Disk::new(core.clone()), options).map_err(|e| match e {
            Error::Io(Fault::Device(why)) => Refused::from(why),
            _ => Refused::from("no FAT file system is there"),
        })?;
        // Each cluster of a device and each entry of a directory may be looked at, some times each.
        let clusters = len / u64::from(fs.cluster_size()).max(1) + 2;
        let most = (1 << 21) + clusters.saturating_mul(16);
        // What closes it comes without asking.
        core.borrow_mut().allow(most);
        Ok(Volume { fs, core, nodes: RefCell::default(), now, most })
    }

    /// One request, whose changes are on the disk when it is done.
    fn request<T>(&self, f: impl FnOnce(&Fs<D>) -> Told<T>) -> Result<T> {
        self.core.borrow_mut().allow(self.most);
        let done = f(&self.fs).map_err(refused);
        let flushed = self.core.borrow_mut().flush().map_err(|e| refused(Error::Io(e)));
        // What closes the file system comes without asking.
        self.core.borrow_mut().allow(self.most);
        let done = done?;
        flushed?;
        Ok(done)
    }

    /// Whether nothing can be changed.
    pub fn is_readonly(&self) -> bool {
        self.core.borrow().device().is_readonly()
    }

    /// The file that has this path, as the same for everybody who has it.
    fn node(&self, path: Vec<String>) -> Rc<Node> {
        let mut nodes = self.nodes.borrow_mut();
        nodes.retain(|node| node.strong_count() > 0);
        let same = |node: &Rc<Node>| {
            let held = node.path.borrow();
            !node.gone.get()
                && held.len() == path.len()
                && held.iter().zip(&path).all(|(a, b)| folded(a).eq(folded(b)))
        };
        if let Some(node) = nodes.iter().filter_map(Weak::upgrade).find(same) {
            return node;
        }
        let node =
            Rc::new(Node { path: RefCell::new(path), gone: Cell::new(false), pieces: RefCell::new(None) });
        nodes.push(Rc::downgrade(&node));
        node
    }

    /// The root.
    pub fn root(&self) -> Rc<Node> {
        self.node(Vec::new())
    }

    /// What is called so in a directory.
    ///
    /// # Errors
    /// There is no such file.
    pub fn walk(&self, dir: &Node, name: &str) -> Result<(Rc<Node>, Known)> {
        let mut path = dir.path()?;
        if name == ".." {
            path.pop();
        } else {
            if path.len() >= DEEPEST {
                return Err("path is too deep".into());
            }
            path.push(name.into());
        }
        let known = self.known_at(&path)?;
        Ok((self.node(path), known))
    }

    /// What is known of a file.
    ///
    /// # Errors
    /// It is gone.
    pub fn known(&self, node: &Node) -> Result<Known> {
        self.known_at(&node.path()?)
    }

    fn known_at(&self, path: &[String]) -> Result<Known> {
        self.request(|fs| match path.split_last() {
            None => Ok(root_known()),
            Some((name, before)) => {
                let dir = folder(fs, before)?;
                Ok(known(&entry(&dir, name)?, before))
            }
        })
    }

    /// What is in a directory behind the first `skip` entries, until `put` wants no more.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn list(&self, dir: &Node, skip: usize, mut put: impl FnMut(&Known) -> bool) -> Result<()> {
        let path = dir.path()?;
        self.request(|fs| {
            for (n, entry) in folder(fs, &path)?.iter().filter(is_named).enumerate() {
                let entry = entry?;
                if n >= skip && !put(&known(&entry, &path)) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Reads a plain file.
    ///
    /// # Errors
    /// It cannot be read, or is gone.
    pub fn read(&self, node: &Node, offset: u64, bytes: &mut [u8]) -> Result<usize> {
        let path = node.path()?;
        let mut pieces = node.pieces.borrow_mut();
        self.request(|fs| {
            if pieces.is_none() {
                *pieces = Some(collect(fs, &path)?);
            }
            let all = pieces.as_deref().unwrap_or_default();
            let (mut done, mut from) = (0, offset);
            for (at, len) in all {
                // The whole piece is before what is wanted.
                if from >= *len {
                    from -= len;
                    continue;
                }
                while from < *len && done < bytes.len() {
                    let end =
                        (bytes.len() - done).min(usize::try_from(len - from).unwrap_or(usize::MAX)) + done;
                    let place = bytes.get_mut(done..end).unwrap_or_default();
                    let n = self.core.borrow_mut().read(at + from, place)?;
                    if n == 0 {
                        return Ok(done);
                    }
                    done += n;
                    from += n as u64;
                }
                if done == bytes.len() {
                    break;
                }
                from = 0;
            }
            Ok(done)
        })
    }

    /// Writes a plain file; what is between its end and there becomes zeros.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, node: &Node, offset: u64, bytes: &[u8]) -> Result<()> {
        let path = node.path()?;
        if offset.saturating_add(bytes.len() as u64) >= LONGEST {
            return Err("a file of FAT is shorter than 4 GiB".into());
        }
        *node.pieces.borrow_mut() = None;
        let gap = offset.saturating_sub(self.known(node)?.len);
        if gap > GAP {
            return Err("FAT has no holes, and that one is too long to be filled".into());
        }
        self.request(|fs| {
            let mut file = entry_at(fs, &path)?.to_file();
            file.seek(SeekFrom::End(0))?;
            let mut left = gap;
            while left > 0 {
                let zeros = [0; 512];
                let n = left.min(512) as usize;
                file.write_all(zeros.get(..n).unwrap_or_default())?;
                left -= n as u64;
            }
            if file.seek(SeekFrom::Start(offset))? != offset {
                return Err(Error::CorruptedFileSystem);
            }
            file.write_all(bytes)?;
            file.flush()
        })
    }

    /// Cuts a file, or lengthens it with zeros.
    ///
    /// # Errors
    /// It cannot be done.
    pub fn set_len(&self, node: &Node, len: u64) -> Result<()> {
        let path = node.path()?;
        if len > self.known(node)?.len {
            let Some(last) = len.checked_sub(1) else { return Ok(()) };
            return self.write(node, last, &[0]);
        }
        *node.pieces.borrow_mut() = None;
        self.request(|fs| {
            let mut file = entry_at(fs, &path)?.to_file();
            if file.seek(SeekFrom::Start(len))? != len {
                return Err(Error::CorruptedFileSystem);
            }
            file.truncate()?;
            file.set_modified(from_seconds((self.now)()));
            file.flush()
        })
    }

    /// Sets when it was written.
    ///
    /// # Errors
    /// It cannot be done.
    pub fn set_mtime(&self, node: &Node, seconds: u32) -> Result<()> {
        let path = node.path()?;
        self.request(|fs| {
            let mut file = entry_at(fs, &path)?.to_file();
            file.set_modified(from_seconds(seconds.into()));
            file.flush()
        })
    }

    /// Makes a file or a directory.
    ///
    /// # Errors
    /// The name is there, or cannot be; there is no room.
    pub fn create(&self, dir: &Node, name: &str, is_dir: bool) -> Result<(Rc<Node>, Known)> {
        let mut path = dir.path()?;
        if path.len() >= DEEPEST {
            return Err("path is too deep".into());
        }
        self.request(|fs| {
            let dir = folder(fs, &path)?;
            match entry(&dir, name) {
                Ok(_) => return Err(Error::AlreadyExists),
                Err(Error::NotFound) => {}
                Err(e) => return Err(e),
            }
            if is_dir { dir.create_dir(name).map(drop) } else { dir.create_file(name)?.flush() }
        })?;
        path.push(name.into());
        let known = self.known_at(&path)?;
        Ok((self.node(path), known))
    }

    /// Removes a file, or a directory that is empty.
    ///
    /// # Errors
    /// It is not empty, or cannot be removed.
    pub fn remove(&self, node: &Node) -> Result<()> {
        let path = node.path()?;
        let Some((name, before)) = path.split_last() else { return Err(no::EPERM.into()) };
        self.request(|fs| folder(fs, before)?.remove(name))?;
        node.gone.set(true);
        Ok(())
    }

    /// Gives a file another name in its directory.
    ///
    /// # Errors
    /// The name is there, or cannot be.
    pub fn rename(&self, node: &Node, name: &str) -> Result<()> {
        let path = node.path()?;
        let Some((old, before)) = path.split_last() else { return Err(no::EPERM.into()) };
        self.request(|fs| {
            let dir = folder(fs, before)?;
            dir.rename(old, &dir, name)
        })?;
        // Those below it have another path, too.
        for held in self.nodes.borrow().iter().filter_map(Weak::upgrade) {
            let mut held = held.path.borrow_mut();
            let is_below =
                held.len() >= path.len() && held.iter().zip(&path).all(|(a, b)| folded(a).eq(folded(b)));
            if let Some(element) = held.get_mut(before.len()).filter(|_| is_below) {
                *element = name.into();
            }
        }
        Ok(())
    }
}

impl Node {
    fn path(&self) -> Result<Vec<String>> {
        if self.gone.get() { Err(no::ENONEXIST.into()) } else { Ok(self.path.borrow().clone()) }
    }
}

/// In Plan 9's words.
fn refused(error: Error<Fault>) -> Refused {
    match error {
        Error::Io(Fault::Device(why)) => why.into(),
        Error::Io(Fault::Endless) => "the file system leads in circles".into(),
        Error::NotFound => no::ENONEXIST.into(),
        Error::AlreadyExists => no::EEXIST.into(),
        Error::DirectoryIsNotEmpty => "directory is not empty".into(),
        Error::NotEnoughSpace => no::EFULL.into(),
        Error::InvalidFileNameLength | Error::UnsupportedFileNameCharacter => no::EFILENAME.into(),
        _ => "the file system is damaged".into(),
    }
}
