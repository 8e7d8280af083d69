//! `Path`: the name by which a channel was reached, and how to take it back.
//!
//! A path is text (`/n/host/x`, `#|/data`) plus the mounts that were crossed on the way. Each crossing
//! remembers how much of the text was walked when it happened and which directory was mounted upon, so that
//! `..` out of a mounted tree arrives where the user came from and not above the server's root.
//!
//! Paths are immutable and shared: cloning costs one reference count. [`PathBuf`] is the one being built
//! during a walk.
//!
//! # How long a path can be
//!
//! The text has at most [`MAXPATH`] bytes, and the path at most [`MAXCROSSED`] crossings. What was mounted upon has a
//! path of its own, with crossings of its own: they are nested. [`MAXNEST`] is how deep a mount point may be in
//! others'. Paths are let go in a loop all the same, see [`Leftovers`](super::leftovers::Leftovers).

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::error;
use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;

use crate::error::Result;
use crate::name::chan::Chan;
use crate::name::text::Text;

/// Longest text, in bytes. No name is longer, so no element of one is.
pub(crate) const MAXPATH: usize = 65535;
/// Most mounts crossed on the way.
pub(crate) const MAXCROSSED: usize = 1000;
/// How deep crossings may be nested in what is mounted upon.
pub(crate) const MAXNEST: u16 = 256;

/// One mount that was crossed.
#[derive(Clone)]
pub(crate) struct Crossing {
    /// Length in bytes of the text that names the mount point.
    len: usize,
    /// What was mounted upon.
    pub(crate) from: Arc<Chan>,
}

/// The mounts that were crossed, the last one last; `None` for none.
pub(crate) type Crossed = Option<Arc<Vec<Crossing>>>;

/// What a path has crossed that has crossed one mount, for all that cross it at the same place: most names lead over
/// one.
#[derive(Default)]
pub(crate) struct FirstCrossed(Lock<Crossed>);

impl FirstCrossed {
    /// That list, for a path of `len` bytes and the mount on `from`, always the same.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    fn get(&self, len: usize, from: &Arc<Chan>) -> Result<Arc<Vec<Crossing>>> {
        if let Some(known) = &*self.0.lock()
            && known.first().is_some_and(|c| c.len == len)
        {
            return Ok(known.clone());
        }
        // It stays with the mount, whoever comes by first.
        let list = as_kernel(|| {
            let mut list = heap::try_vec(1)?;
            list.push(Crossing { len, from: from.clone() });
            Result::Ok(Arc::new(list))
        })?;
        // What was there is dropped after the lock is let go.
        let old = self.0.lock().replace(list.clone());
        drop(old);
        Ok(list)
    }

    /// The list, when nobody else has it.
    pub(super) fn into_crossed(self) -> Option<Vec<Crossing>> {
        Arc::into_inner(self.0.into_inner()?)
    }
}

/// The name of a channel. See the module comment. It is empty once its owner has let it go.
#[derive(Clone)]
pub struct Path(Option<Arc<Inner>>);

struct Inner {
    text: Text,
    /// Bytes at the front that `..` never removes: `/`, `#c`, `#e` with its specifier.
    root: usize,
    crossed: Crossed,
    nest: u16,
}

impl Path {
    /// The path of the root of something: `/`, or `#` with device letter and specifier.
    pub(crate) fn root(text: String) -> Self {
        let root = text.len();
        Path(Some(Arc::new(Inner { text: Text::new(text), root, crossed: None, nest: 0 })))
    }

    /// The path of the root of a device: `#`, its letter, and what chooses the tree.
    pub(crate) fn of_device(letter: char, spec: &str) -> Self {
        let mut text = String::from("#");
        text.push(letter);
        text.push_str(spec);
        Path::root(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("", |p| p.text.as_str())
    }

    /// How deep its crossings are nested; 0 when there are none.
    pub(crate) fn nest(&self) -> u16 {
        self.0.as_ref().map_or(0, |p| p.nest)
    }

    /// Is it so short that some elements more do not make it too long?
    pub(crate) fn is_short(&self) -> bool {
        self.0.as_ref().is_none_or(|p| {
            let crossed = p.crossed.as_ref().map_or(0, |c| c.len());
            p.text.len() < MAXPATH / 4 && crossed < MAXCROSSED / 4
        })
    }

    /// Starts to build on this path.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    pub(crate) fn to_buf(&self) -> Result<PathBuf> {
        let Some(p) = &self.0 else {
            return Ok(PathBuf { text: Text::new(String::new()), root: 0, crossed: None, nest: 0 });
        };
        Ok(PathBuf { text: p.text.copy()?, root: p.root, crossed: p.crossed.clone(), nest: p.nest })
    }

    /// Lets it go, but for what it alone has crossed, which is the caller's to let go.
    pub(crate) fn take_crossed(&mut self) -> Option<Vec<Crossing>> {
        Arc::into_inner(Arc::into_inner(self.0.take()?)?.crossed?)
    }
}

/// A path that is being walked.
pub(crate) struct PathBuf {
    text: Text,
    root: usize,
    crossed: Crossed,
    nest: u16,
}

impl PathBuf {
    /// The text so far.
    pub(crate) fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The last element, which `stat` gives as the file's name: `/` for the root, `#c` for that of a device.
    pub(crate) fn last(&self) -> &str {
        let text = self.text.as_str();
        let below = text.get(self.root..).unwrap_or("");
        let start = below.bytes().rposition(|b| b == b'/').map_or(0, |slash| slash + 1);
        match below.get(start..) {
            Some(name) if !name.is_empty() => name,
            _ => text,
        }
    }

    /// One element further.
    ///
    /// # Errors
    /// `name too long`; `kernel allocate failed`.
    pub(crate) fn push(&mut self, element: &str) -> Result<()> {
        if self.text.len() + element.len() >= MAXPATH {
            return Err(error::ETOOLONG.into());
        }
        let slash: &[u8] = if self.text.bytes().last() == Some(&b'/') { b"" } else { b"/" };
        self.text.push(slash, element.as_bytes())
    }

    /// The directory here, `from`, is mounted upon, and the walk goes on in what is mounted. `first` is the mount's.
    ///
    /// # Errors
    /// As [`PathBuf::push`].
    pub(crate) fn cross(&mut self, from: &Arc<Chan>, first: &FirstCrossed) -> Result<()> {
        let n = self.crossed.as_ref().map_or(0, |c| c.len());
        if n >= MAXCROSSED {
            return Err(error::ETOOLONG.into());
        }
        let (len, nest) = (self.text.len(), from.path.nest().saturating_add(1));
        if n == 0 {
            self.crossed = Some(first.get(len, from)?);
        } else {
            heap::try_push(self.own_crossed(n)?, Crossing { len, from: from.clone() })?;
        }
        self.nest = self.nest.max(nest);
        Ok(())
    }

    /// The first `n` crossings, to be changed: this path's alone.
    fn own_crossed(&mut self, n: usize) -> Result<&mut Vec<Crossing>> {
        if self.crossed.as_mut().and_then(Arc::get_mut).is_none() {
            let old = self.crossed.as_ref().and_then(|c| c.get(..n)).unwrap_or_default();
            let mut own = heap::try_vec(n + 1)?;
            own.extend_from_slice(old);
            self.crossed = Some(Arc::new(own));
        }
        match self.crossed.as_mut().and_then(Arc::get_mut) {
            Some(own) => {
                own.truncate(n);
                Ok(own)
            }
            // It is new, and nobody else can have it.
            None => Err(error::ENOMEM.into()),
        }
    }

    /// One element back. When that leads to the root of a mounted tree the crossing is undone, and what was
    /// mounted upon is returned: the walk goes on from there.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    pub(crate) fn pop(&mut self) -> Result<Option<Arc<Chan>>> {
        let below = self.text.bytes().get(self.root..).unwrap_or_default();
        let cut = self.root + below.iter().rposition(|b| *b == b'/').unwrap_or(0);
        let crossed = self.crossed.as_ref().map_or(&[][..], |c| c);
        let stay = crossed.iter().rposition(|c| c.len < cut).map_or(0, |last| last + 1);
        // The first of those that end here was crossed from where the user came.
        let undone = crossed.get(stay).filter(|c| c.len == cut).map(|c| c.from.clone());
        if stay == 0 {
            self.crossed = None;
            self.nest = 0;
        } else if stay < crossed.len() {
            let left = self.own_crossed(stay)?;
            self.nest = left.iter().map(|c| c.from.path.nest().saturating_add(1)).max().unwrap_or(0);
        }
        self.text.truncate(cut);
        Ok(undone)
    }

    /// The finished path.
    pub(crate) fn finish(self) -> Path {
        Path(Some(Arc::new(Inner {
            text: self.text,
            root: self.root,
            crossed: self.crossed,
            nest: self.nest,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(root: &str, elements: &[&str]) -> Path {
        let mut p = Path::root(root.into()).to_buf().unwrap();
        for e in elements {
            if *e == ".." {
                assert!(p.pop().unwrap().is_none());
            } else {
                p.push(e).unwrap();
            }
        }
        p.finish()
    }

    #[test]
    fn long_texts_and_short_ones_are_the_same() {
        let mut p = Path::root("/".into()).to_buf().unwrap();
        let mut wanted = String::new();
        let element = "äelement";
        for n in 0..20 {
            p.push(element).unwrap();
            wanted += "/";
            wanted += element;
            assert_eq!((p.as_str(), p.last()), (&*wanted, element), "{n}");
            let copy = p.finish();
            assert_eq!((copy.as_str(), copy.is_short()), (&*wanted, true));
            p = copy.to_buf().unwrap();
        }
        for n in (1..20).rev() {
            assert!(p.pop().unwrap().is_none());
            wanted.truncate(n * (element.len() + 1));
            assert_eq!(p.as_str(), wanted);
        }
        p.push("x").unwrap();
        assert_eq!(p.as_str(), wanted + "/x");
        let long = Path::root("#".repeat(60)).to_buf().unwrap();
        assert_eq!(long.as_str().len(), 60);
    }

    #[test]
    fn the_text_is_what_was_walked() {
        for (root, elements, text, last) in [
            ("/", &[][..], "/", "/"),
            ("/", &["usr", "glenda"], "/usr/glenda", "glenda"),
            ("/", &["usr", ".."], "/", "/"),
            ("/", &[".."], "/", "/"),
            ("/", &["a", "b", "..", "c"], "/a/c", "c"),
            ("#|", &["data"], "#|/data", "data"),
            ("#|", &["data", "..", ".."], "#|", "#|"),
            ("#/", &["rc", "bin"], "#/rc/bin", "bin"),
            ("#/", &["rc", ".."], "#/", "#/"),
            ("#ec", &["path"], "#ec/path", "path"),
        ] {
            let p = walk(root, elements);
            assert_eq!((p.as_str(), p.to_buf().unwrap().last()), (text, last));
        }
    }
}
