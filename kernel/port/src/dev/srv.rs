//! `#s`: channels posted under names, for processes that have no other way to share them.
//!
//! Creating a file reserves a name; writing the decimal number of a descriptor posts that descriptor's channel;
//! opening the file gives that very channel. A name lives until it is removed, or, with `ORCLOSE`, until who
//! created it closes it.
//!
//! Locks: `posts` guards the table and is a leaf. Channels that leave it are dropped after it is released.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use abi::{Dir, Qid, error};
use machine::heap;
use machine::ledger::for_long;
use machine::lock::Lock;

use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry, Put};
use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::name::fgrp::fd_to_chan;
use crate::proc::process::Proc;

/// Longest name, in bytes.
const NAME_MAX: usize = 127;
/// Names that all users but the machine's owner may have together: they stay when those who made them have gone.
const OTHERS_MOST: usize = 1000;

/// A posted channel.
#[derive(Clone)]
struct Post {
    name: Arc<str>,
    path: u64,
    owner: Arc<str>,
    perm: u32,
    chan: Option<Arc<Chan>>,
    /// It was made by a user who is not the machine's owner.
    is_others: bool,
}

#[derive(Default)]
struct Posts {
    /// In the order in which they were made.
    by_path: BTreeMap<u64, Post>,
    by_name: BTreeMap<Arc<str>, u64>,
    last_path: u64,
    /// How many others have made.
    others: usize,
}

impl Posts {
    fn get(&mut self, c: &Chan) -> Result<&mut Post> {
        self.by_path.get_mut(&c.qid.path).ok_or(error::ENONEXIST.into())
    }

    fn remove(&mut self, path: u64) -> Option<Post> {
        let post = self.by_path.remove(&path)?;
        self.by_name.remove(&post.name);
        self.others -= usize::from(post.is_others);
        Some(post)
    }
}

/// The device.
#[derive(Default)]
pub struct Srv {
    posts: Lock<Posts>,
}

impl Srv {
    /// The device.
    pub fn new() -> Arc<Self> {
        Arc::new(Srv::default())
    }

    fn count(&self) -> u64 {
        self.posts.lock().by_path.len() as u64
    }

    fn post(&self, c: &Chan) -> Result<Post> {
        self.posts.lock().get(c).cloned()
    }

    fn unpost(&self, path: u64) -> Option<Post> {
        self.posts.lock().remove(path)
    }
}

fn entry(p: &Post) -> Entry {
    Entry { owner: Some(p.owner.clone()), ..Entry::named(String::from(&*p.name), p.path, p.perm) }
}

/// The channel that is posted under a name of this owner and these permissions, for who opens that.
///
/// # Errors
/// `device shut down` when there is none yet; `file already exists` for who creates; `permission denied`.
pub(super) fn open_posted(
    up: &Arc<Proc>,
    owner: &str,
    perm: u32,
    posted: Option<Arc<Chan>>,
    mode: u32,
) -> Result<Arc<Chan>> {
    let chan = posted.ok_or(error::ESHUTDOWN)?;
    // `create` of a name that is taken ends here.
    if mode & abi::OTRUNC != 0 {
        return Err(error::EEXIST.into());
    }
    let have = chan.mode.map(|m| m & 3);
    if mode & abi::ORCLOSE != 0 || (have != Some(abi::ORDWR) && have != Some(mode & 3)) {
        return Err(error::EPERM.into());
    }
    up.check_perm(owner, perm, dirtab::access(mode))?;
    Ok(chan)
}

/// The number of a descriptor, as a program writes it, and how many bytes it has written.
///
/// # Errors
/// `bad arg in system call` when it is none; a bad user address.
pub(super) fn descriptor(src: &Src<'_>) -> Result<(i32, usize)> {
    let text = src.to_vec(32)?;
    let number = core::str::from_utf8(&text).ok().map(|t| t.trim_matches(['\0', ' ', '\n', '\t']));
    let fd = number.and_then(|t| t.parse().ok()).ok_or(error::EBADARG)?;
    Ok((fd, text.len()))
}

impl Dev for Srv {
    fn letter(&self) -> char {
        's'
    }

    fn name(&self) -> &'static str {
        "srv"
    }

    fn each(&self, _up: &Arc<Proc>, _c: &Chan, _dir: Qid, after: u64, put: Put<'_>) -> Result<()> {
        let mut at = after;
        loop {
            let next = self.posts.lock().by_path.range(at + 1..).next().map(|(_, post)| entry(post));
            let Some(next) = next else { return Ok(()) };
            at = next.qid.path;
            if !put(at, next) {
                return Ok(());
            }
        }
    }

    fn lookup(&self, _up: &Arc<Proc>, _c: &Chan, _dir: Qid, name: &str) -> Result<Option<Qid>> {
        Ok(self.posts.lock().by_name.get(name).map(|&path| Qid::file(path)))
    }

    fn entry(&self, _up: &Arc<Proc>, c: &Chan) -> Result<Entry> {
        match c.qid.path {
            0 => Ok(self.root_entry()),
            _ => Ok(entry(self.posts.lock().get(c)?)),
        }
    }

    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        if c.qid.is_dir() {
            return dirtab::open(self, up, c, mode).map(OwnChan::share);
        }
        let post = self.post(&c)?;
        open_posted(up, &post.owner, post.perm, post.chan, mode)
    }

    fn create(&self, up: &Arc<Proc>, mut c: OwnChan, name: &str, mode: u32, perm: u32) -> Result<Arc<Chan>> {
        if mode & 3 != abi::OWRITE || perm & abi::DMDIR != 0 || !c.qid.is_dir() {
            return Err(error::EPERM.into());
        }
        if name.len() > NAME_MAX {
            return Err(error::ETOOLONG.into());
        }
        // It may be there for ever, with all that it leads to.
        if !for_long(heap::is_granted) {
            return Err(error::ENOMEM.into());
        }
        let (owner, is_others) = (up.user(), !up.is_hostowner());
        {
            let name: Arc<str> = name.into();
            let mut posts = self.posts.lock();
            if posts.by_name.contains_key(&name) {
                return Err(error::EEXIST.into());
            }
            if is_others && posts.others >= OTHERS_MOST {
                return Err(error::ENODEV.into());
            }
            posts.others += usize::from(is_others);
            posts.last_path += 1;
            let path = posts.last_path;
            posts.by_name.insert(name.clone(), path);
            posts.by_path.insert(path, Post { name, path, owner, perm: perm & 0o777, chan: None, is_others });
            c.qid = Qid::file(path);
        }
        c.mode = Some(mode);
        Ok(c.share())
    }

    fn close(&self, c: &mut Chan) {
        if c.mode.is_some_and(|m| m & abi::ORCLOSE != 0) && !c.qid.is_dir() {
            drop(self.unpost(c.qid.path));
        }
    }

    fn pools(&self, show: &mut dyn FnMut(&str, u64)) {
        show("srv", self.count());
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        // A file that was opened is the posted channel; one that was created is open for writing.
        dirtab::read_dir(self, up, c, dst, offset)
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, _offset: u64) -> Result<usize> {
        let (fd, len) = descriptor(src)?;
        let chan = fd_to_chan(up, fd, None)?;
        // A post of itself would never go away, nor would two of each other, and the end of a long chain of them would
        // end the next one and so on; an authentication file is good for one conversation.
        if chan.dev.letter() == self.letter() || chan.qid.kind & abi::QTAUTH != 0 {
            return Err(error::EBADARG.into());
        }
        let mut posts = self.posts.lock();
        let post = posts.get(c)?;
        if post.chan.is_some() {
            return Err(error::EINUSE.into());
        }
        post.chan = Some(chan);
        Ok(len)
    }

    fn remove(&self, up: &Arc<Proc>, c: OwnChan) -> Result<()> {
        if c.qid.is_dir() {
            return Err(error::EPERM.into());
        }
        let post = self.post(&c)?;
        if *post.owner != *up.user() && !up.is_hostowner() {
            return Err(error::EPERM.into());
        }
        drop(self.unpost(c.qid.path));
        Ok(())
    }

    fn wstat(&self, up: &Arc<Proc>, c: &Chan, dir: &Dir) -> Result<()> {
        if c.qid.is_dir() {
            return Err(error::EPERM.into());
        }
        let (user, host) = (up.user(), up.is_hostowner());
        if dir.name.len() > NAME_MAX || dir.uid.len() > NAME_MAX {
            return Err(error::ETOOLONG.into());
        }
        let new: Arc<str> = dir.name.as_str().into();
        let mut posts = self.posts.lock();
        let taken = posts.by_name.get(&new).is_some_and(|path| *path != c.qid.path);
        let post = posts.get(c)?;
        if *post.owner != *user && !host {
            return Err(error::EPERM.into());
        }
        if !dir.name.is_empty() && taken {
            return Err(error::EEXIST.into());
        }
        if !dir.uid.is_empty() {
            post.owner = dir.uid.as_str().into();
        }
        if dir.mode != !0 {
            post.perm = dir.mode & 0o777;
        }
        if !dir.name.is_empty() {
            let old = core::mem::replace(&mut post.name, new.clone());
            posts.by_name.remove(&old);
            posts.by_name.insert(new, c.qid.path);
        }
        Ok(())
    }

    fn posted_name(&self, c: &Chan) -> Option<String> {
        let posts = self.posts.lock();
        let same = |p: &&Post| p.chan.as_ref().is_some_and(|x| core::ptr::eq(Arc::as_ptr(x), c));
        posts.by_path.values().find(same).map(|p| format!("/srv/{}", p.name))
    }
}
