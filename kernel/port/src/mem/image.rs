//! Images: the contents of executables, page by page, shared by everybody who runs them and kept for the next.
//!
//! Ownership: the cache owns images; a running program's segments hold an [`ImageRef`]. While there is one, the
//! image keeps the program's file open to page from. When the last goes, the file is closed (so that a server
//! can be unmounted) and the pages stay until memory is wanted elsewhere.
//!
//! Lock order: `ImageCache::list`, then `Image::state`; both leaves otherwise. Pages are read without either.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use machine::lock::Lock;
use machine::page::{Page, Pinned};

use crate::chan::Chan;
use crate::error::{Error, Result};
use crate::iobuf::Dst;
use crate::note;
use crate::proc::Proc;

/// What must be equal for two executables to be the same one: device, instance and qid, and because servers'
/// versions are weak, time and length as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImageKey {
    /// Device letter, instance, qid path.
    pub file: (char, u32, u64),
    /// Qid version.
    pub vers: u32,
    /// Time of last change.
    pub mtime: u32,
    /// Bytes.
    pub length: u64,
}

/// The pages of an executable that were read so far.
pub struct Image {
    key: ImageKey,
    state: Lock<State>,
}

struct State {
    chan: Option<Arc<Chan>>,
    users: u32,
    /// By file offset and valid length: a.out data does not start at a page of the file.
    pages: BTreeMap<(u64, u32), Page>,
}

/// A running program's hold on its image.
pub struct ImageRef {
    image: Arc<Image>,
}

/// All images.
pub struct ImageCache {
    list: Lock<Vec<Arc<Image>>>,
}

/// Images kept without anybody running them.
const KEEP: usize = 64;

impl ImageCache {
    /// An empty cache.
    pub const fn new() -> Self {
        ImageCache { list: Lock::new(Vec::new()) }
    }

    /// The image of the file behind `chan` (open for OEXEC), from the cache or new.
    pub fn attach(&self, key: ImageKey, chan: &Arc<Chan>) -> ImageRef {
        let mut dropped = Vec::new();
        let mut list = self.list.lock();
        let found = list.iter().position(|i| i.key == key);
        let image = match found {
            Some(at) => list.remove(at),
            None => Arc::new(Image {
                key,
                state: Lock::new(State { chan: None, users: 0, pages: BTreeMap::new() }),
            }),
        };
        {
            let mut state = image.state.lock();
            state.users += 1;
            if state.chan.is_none() {
                state.chan = Some(chan.clone());
            }
        }
        // Most recently used last; the oldest idle ones go.
        list.push(image.clone());
        while list.len() > KEEP {
            match list.iter().position(|i| i.state.lock().users == 0) {
                Some(at) => dropped.push(list.remove(at)),
                None => break,
            }
        }
        drop(list);
        drop(dropped);
        ImageRef { image }
    }

    /// Gives back the memory of images that nobody runs. True when there were any.
    pub fn reclaim(&self) -> bool {
        let mut idle = Vec::new();
        self.list.lock().retain(|i| {
            let keep = i.state.lock().users > 0;
            if !keep {
                idle.push(i.clone());
            }
            keep
        });
        !idle.is_empty()
    }
}

impl Default for ImageCache {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for ImageRef {
    fn clone(&self) -> Self {
        self.image.state.lock().users += 1;
        ImageRef { image: self.image.clone() }
    }
}

impl Drop for ImageRef {
    fn drop(&mut self) {
        let closed = {
            let mut state = self.image.state.lock();
            state.users -= 1;
            if state.users == 0 { state.chan.take() } else { None }
        };
        drop(closed);
    }
}

impl ImageRef {
    /// The page that holds `len` bytes (at most 4096) of the file from `offset`, zeros behind them.
    /// Sleeps while the file is read; two who want the same page at once may both read it.
    ///
    /// # Errors
    /// What the file's server says, a file that ends early, or no memory.
    pub fn page(&self, up: &Arc<Proc>, offset: u64, len: u32) -> Result<Page> {
        let chan = {
            let state = self.image.state.lock();
            if let Some(page) = state.pages.get(&(offset, len)) {
                return Ok(page.clone());
            }
            state.chan.clone().ok_or(Error::new(abi::error::EIOLOAD))?
        };
        let page = super::memory::new_page(up)?;
        let pinned = [Pinned::new(page.clone(), 0, len as usize)];
        let mut got = 0;
        while got < len as usize {
            let rest = crate::iobuf::cut(&pinned, got, len as usize - got);
            // A note must not look like a broken disk.
            let read = || chan.dev.read(up, &chan, &mut Dst::Pages(&rest), offset + got as u64);
            match note::despite_notes(up, read)? {
                0 => return Err(abi::error::EIOLOAD.into()),
                n => got += n,
            }
        }
        drop(pinned);
        let mut state = self.image.state.lock();
        let kept = state.pages.entry((offset, len)).or_insert(page).clone();
        drop(state);
        Ok(kept)
    }

    /// Name of the file, for messages.
    pub fn path(&self) -> alloc::string::String {
        let chan = self.image.state.lock().chan.clone();
        chan.map(|c| alloc::string::String::from(c.path.as_str())).unwrap_or_default()
    }
}
