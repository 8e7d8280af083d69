//! `Path`: the name by which a channel was reached, and how to take it back.
//!
//! A path is text (`/n/host/x`, `#|/data`) plus the mounts that were crossed on the way. Each crossing
//! remembers how much of the text was walked when it happened and which directory was mounted upon, so that
//! `..` out of a mounted tree arrives where the user came from and not above the server's root.
//!
//! Paths are immutable and shared: cloning costs two reference counts. [`PathBuf`] is the one being built
//! during a walk.

use alloc::string::String;
use alloc::sync::Arc;

use crate::name::chan::Chan;

/// One mount that was crossed.
struct Crossing {
    /// Length in bytes of the text that names the mount point.
    len: usize,
    /// What was mounted upon.
    from: Arc<Chan>,
    /// The crossing before this one.
    outer: Option<Arc<Crossing>>,
}

/// The name of a channel. See the module comment.
#[derive(Clone)]
pub struct Path {
    text: Arc<str>,
    /// Bytes at the front that `..` never removes: `/`, `#c`, `#e` with its specifier.
    root: usize,
    crossed: Option<Arc<Crossing>>,
}

impl Path {
    /// The path of the root of something: `/`, or `#` with device letter and specifier.
    pub(crate) fn root(text: &str) -> Self {
        Path { text: text.into(), root: text.len(), crossed: None }
    }

    /// The path of the root of a device: `#`, its letter, and what chooses the tree.
    pub(crate) fn of_device(letter: char, spec: &str) -> Self {
        let mut text = String::from("#");
        text.push(letter);
        text.push_str(spec);
        Path::root(&text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The last element, which `stat` gives as the file's name: `/` for the root, `#c` for that of a device.
    pub(crate) fn last(&self) -> &str {
        last(&self.text, self.root)
    }

    /// Starts to build on this path.
    pub(crate) fn to_buf(&self) -> PathBuf {
        PathBuf { text: String::from(&*self.text), root: self.root, crossed: self.crossed.clone() }
    }
}

/// A path that is being walked.
#[derive(Clone)]
pub(crate) struct PathBuf {
    text: String,
    root: usize,
    crossed: Option<Arc<Crossing>>,
}

impl PathBuf {
    /// The text so far.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// As [`Path::last`].
    pub(crate) fn last(&self) -> &str {
        last(&self.text, self.root)
    }

    /// One element further.
    pub(crate) fn push(&mut self, element: &str) {
        if !self.text.ends_with('/') {
            self.text.push('/');
        }
        self.text.push_str(element);
    }

    /// The directory here is mounted upon, and the walk goes on in what is mounted.
    pub(crate) fn cross(&mut self, from: Arc<Chan>) {
        let outer = self.crossed.take();
        self.crossed = Some(Arc::new(Crossing { len: self.text.len(), from, outer }));
    }

    /// One element back. When that leads to the root of a mounted tree the crossing is undone, and what was
    /// mounted upon is returned: the walk goes on from there.
    pub(crate) fn pop(&mut self) -> Option<Arc<Chan>> {
        let below = self.text.get(self.root..).unwrap_or("");
        let cut = self.root + below.rfind('/').unwrap_or(0);
        self.text.truncate(cut);
        let mut undone = None;
        while let Some(c) = &self.crossed {
            if c.len < self.text.len() {
                break;
            }
            if c.len == self.text.len() {
                undone = Some(c.from.clone());
            }
            self.crossed = c.outer.clone();
        }
        undone
    }

    /// The finished path.
    pub(crate) fn finish(self) -> Path {
        Path { text: self.text.into(), root: self.root, crossed: self.crossed }
    }
}

fn last(text: &str, root: usize) -> &str {
    match text.get(root..).unwrap_or("").rsplit('/').next() {
        Some(name) if !name.is_empty() => name,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(root: &str, elements: &[&str]) -> Path {
        let mut p = Path::root(root).to_buf();
        for e in elements {
            if *e == ".." {
                assert!(p.pop().is_none());
            } else {
                p.push(e);
            }
        }
        p.finish()
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
            assert_eq!((p.as_str(), p.last()), (text, last));
        }
    }
}
