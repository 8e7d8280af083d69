//! A tree of files in memory for [`server`](crate::server), with Plan 9's meaning: what ramfs(4) serves.
//!
//! Permissions are checked for the user who attached; the groups are the users of the same name. Append-only and
//! exclusive-use files are what they say, a version counts the changes of each file, and a file that is removed lives
//! until it is closed. What all of it takes is counted, and beyond a limit writing fails with `file system full`.
//!
//! One lock guards the whole tree (`State`); each open directory has another for how far it is read,
//! which is taken first.

pub mod data;
mod node;
mod state;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{AEXEC, DMDIR, Dir, Qid, error};
use lock_api::{Mutex, RawMutex};

use crate::Stat;
use crate::server::{Files, Refused, Result};
use state::{ROOT, State};

/// A tree in memory.
pub struct Ram<R: RawMutex> {
    state: Arc<Mutex<R, State>>,
}

/// A file of it, open or not.
pub struct File<R: RawMutex> {
    state: Arc<Mutex<R, State>>,
    number: u64,
    user: Arc<[u8]>,
    is_open: bool,
    /// The last name that a reader of this directory has got.
    last: Mutex<R, Option<Vec<u8>>>,
}

impl<R: RawMutex> Ram<R> {
    /// An empty tree whose root belongs to `owner` and has permissions 0775. It takes at most `limit` bytes of memory;
    /// `clock` says the time in seconds since 1970.
    pub fn new(owner: &[u8], limit: u64, clock: fn() -> u32) -> Self {
        Ram { state: Arc::new(Mutex::new(State::new(owner, limit, clock))) }
    }

    /// The same with other permissions of its root.
    pub fn with_root(self, perm: u32) -> Self {
        self.state.lock().set_root(perm);
        self
    }

    /// The same for a machine that has to be asked for each bit of memory: `room` says whether it has so many bytes
    /// more.
    pub fn with_room(self, room: fn(u64) -> bool) -> Self {
        self.state.lock().set_room(room);
        self
    }

    /// The same for a machine where the memory of a file's contents is asked for with `reserve`, which makes room for
    /// so many bytes or says false.
    pub fn with_reserve(self, reserve: fn(&mut Vec<u8>, usize) -> bool) -> Self {
        self.state.lock().set_reserve(reserve);
        self
    }

    /// The same for a machine where others wait for the processor: `pause` lets them have it, and is called between
    /// pieces when much is let go of, with the tree not locked.
    pub fn with_pause(self, pause: fn()) -> Self {
        self.state.lock().pause = pause;
        self
    }

    /// The same file, not open, as `user` may use it.
    pub fn as_user(&self, file: &File<R>, user: &[u8]) -> File<R> {
        self.file(file.number, &Arc::from(user), false)
    }

    /// Tells what the file is, without a record being made. The tree is locked meanwhile.
    ///
    /// # Errors
    /// As `stat`.
    pub fn with_stat<T>(&self, file: &File<R>, tell: impl FnOnce(Dir<&[u8]>) -> T) -> Result<T> {
        let state = self.state.lock();
        let node = state.node(file.number)?;
        if !node.linked && !file.is_open {
            return Err(error::ENONEXIST.into());
        }
        Ok(tell(node.dir(file.number)))
    }

    /// As `open`, of a file that nobody else has.
    ///
    /// # Errors
    /// As `open`; the file is as it was.
    pub fn open_in_place(&self, file: &mut File<R>, mode: u32) -> Result<Qid> {
        let qid = change_tree(&self.state, |state| {
            let qid = state.open(file.number, &file.user, mode)?;
            if !file.is_open {
                state.opened(file.number);
            }
            Ok::<_, Refused>(qid)
        })?;
        file.is_open = true;
        Ok(qid)
    }

    /// As `create`, in a directory that nobody else has, which becomes the new file.
    ///
    /// # Errors
    /// As `create`; the directory is as it was.
    pub fn create_in_place(&self, dir: &mut File<R>, name: &[u8], perm: u32) -> Result<Qid> {
        let mut state = self.state.lock();
        let (number, qid) = state.create(dir.number, &dir.user, name, perm)?;
        state.acquire(number, true);
        state.release(dir.number, dir.is_open);
        (dir.number, dir.is_open) = (number, true);
        *dir.last.get_mut() = None;
        Ok(qid)
    }

    /// Tells what is at the end of some names from a file on, without their files being held, and shows those on the
    /// way, the last one included, to `pass`, which may want no more. None when it does, and when there is an error of
    /// any kind, which walking tells. The tree is locked meanwhile.
    pub fn glance<'a, T>(
        &self,
        file: &File<R>,
        names: impl Iterator<Item = &'a [u8]>,
        pass: &mut dyn FnMut(Qid) -> bool,
        tell: impl FnOnce(Dir<&[u8]>) -> T,
    ) -> Option<T> {
        let state = self.state.lock();
        let mut number = file.number;
        let mut node = state.node(number).ok()?;
        for name in names {
            node.allow(&file.user, AEXEC).ok()?;
            number = node.child(name).ok()?;
            node = state.node(number).ok()?;
            if !pass(node.qid(number)) {
                return None;
            }
        }
        node.linked.then(|| tell(node.dir(number)))
    }

    /// Walks several names, none of them held on the way, and shows what is passed, the last one included, to `pass`.
    ///
    /// # Errors
    /// As `walk` of the first that cannot be walked, when those before have been shown. A file that is no directory is
    /// not walked from, not even to the one above.
    pub fn walk_all<'a>(
        &self,
        from: &File<R>,
        names: impl Iterator<Item = &'a [u8]>,
        pass: &mut dyn FnMut(Qid),
    ) -> Result<File<R>> {
        let mut state = self.state.lock();
        let mut number = from.number;
        for name in names {
            state.node(number)?.entries()?;
            number = state.step(number, &from.user, name)?;
            pass(state.node(number)?.qid(number));
        }
        state.acquire(number, false).ok_or(error::ENONEXIST)?;
        drop(state);
        Ok(self.held(number, &from.user, false))
    }

    /// Reads a plain file without a copy being made: `put` is given `len` bytes from `offset` on, or as many as there
    /// are, piece by piece, until it refuses one. How many there were, if it has refused none. The tree is locked
    /// meanwhile.
    ///
    /// # Errors
    /// As `read`.
    pub fn lend(
        &self,
        file: &File<R>,
        offset: u64,
        len: usize,
        put: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Option<usize>> {
        Ok(self.state.lock().contents(file.number)?.lend(offset, len, put))
    }

    /// Files and directories, those too that were removed and are in use still.
    pub fn files(&self) -> usize {
        self.state.lock().files()
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.state.lock().used()
    }

    fn file(&self, number: u64, user: &Arc<[u8]>, is_open: bool) -> File<R> {
        self.state.lock().acquire(number, is_open);
        self.held(number, user, is_open)
    }

    /// A file for which it is noted already that it is held.
    fn held(&self, number: u64, user: &Arc<[u8]>, is_open: bool) -> File<R> {
        File { state: self.state.clone(), number, user: user.clone(), is_open, last: Mutex::new(None) }
    }
}

impl<R: RawMutex> File<R> {
    /// Who uses it.
    pub fn user(&self) -> &[u8] {
        &self.user
    }
}

/// Does something with the tree, and lets go of the contents that nobody has any more when it is not locked any more.
fn change_tree<R: RawMutex, T>(tree: &Mutex<R, State>, act: impl FnOnce(&mut State) -> T) -> T {
    let mut state = tree.lock();
    let done = act(&mut state);
    let (gone, pause) = (state.take_gone(), state.pause);
    drop(state);
    if !gone.is_empty() {
        gone.let_go(pause);
    }
    done
}

impl<R: RawMutex> Drop for File<R> {
    fn drop(&mut self) {
        change_tree(&self.state, |state| state.release(self.number, self.is_open));
    }
}

impl<R: RawMutex> Files for Ram<R> {
    type File = File<R>;

    fn attach(&self, user: &[u8], tree: &[u8]) -> Result<(File<R>, Qid)> {
        if !matches!(tree, b"" | b"/") {
            return Err(error::ENONEXIST.into());
        }
        let user = Arc::from(if user.is_empty() { b"none" } else { user });
        let qid = self.state.lock().node(ROOT)?.qid(ROOT);
        Ok((self.file(ROOT, &user, false), qid))
    }

    fn walk(&self, dir: &File<R>, name: &[u8]) -> Result<(File<R>, Qid)> {
        let mut state = self.state.lock();
        let number = state.step(dir.number, &dir.user, name)?;
        let qid = state.acquire(number, false).ok_or(error::ENONEXIST)?;
        drop(state);
        Ok((self.held(number, &dir.user, false), qid))
    }

    fn open(&self, file: &File<R>, mode: u32) -> Result<(File<R>, Qid)> {
        let qid = change_tree(&self.state, |state| {
            let qid = state.open(file.number, &file.user, mode)?;
            state.acquire(file.number, true);
            Ok::<_, Refused>(qid)
        })?;
        Ok((self.held(file.number, &file.user, true), qid))
    }

    fn create(&self, dir: &File<R>, name: &[u8], perm: u32, _mode: u32) -> Result<(File<R>, Qid)> {
        let mut state = self.state.lock();
        let (number, qid) = state.create(dir.number, &dir.user, name, perm)?;
        state.acquire(number, true);
        drop(state);
        Ok((self.held(number, &dir.user, true), qid))
    }

    fn read(&self, file: &File<R>, offset: u64, buf: &mut [u8]) -> Result<usize> {
        Ok(self.state.lock().contents(file.number)?.read(offset, buf))
    }

    fn list(&self, dir: &File<R>, rewind: bool, put: &mut dyn FnMut(&[u8]) -> bool) -> Result<()> {
        let mut last = dir.last.lock();
        if rewind {
            *last = None;
        }
        let state = self.state.lock();
        let from = last.clone();
        state.list(dir.number, from.as_deref(), |record, name| {
            let taken = put(record);
            if taken {
                *last = Some(name.to_vec());
            }
            taken
        })
    }

    fn write(&self, file: &File<R>, offset: u64, data: &[u8]) -> Result<usize> {
        self.state.lock().write(file.number, &file.user, offset, data)?;
        Ok(data.len())
    }

    fn stat(&self, file: &File<R>) -> Result<Vec<u8>> {
        let state = self.state.lock();
        let node = state.node(file.number)?;
        if !node.linked && !file.is_open {
            return Err(error::ENONEXIST.into());
        }
        node.record(file.number)
    }

    fn wstat(&self, file: &File<R>, change: &Stat<'_>) -> Result<()> {
        change_tree(&self.state, |state| state.wstat(file.number, &file.user, change))
    }

    fn remove(&self, file: &File<R>) -> Result<()> {
        change_tree(&self.state, |state| state.remove(file.number, &file.user))
    }
}

/// The type that a qid shows of a mode.
fn qid_kind(mode: u32) -> u8 {
    (mode >> 24) as u8
}

const _: () = assert!((DMDIR >> 24) as u8 == abi::QTDIR);
