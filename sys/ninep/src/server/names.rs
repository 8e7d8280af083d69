//! Files that are known by their names: for trees whose files are opened by path.
//!
//! A [`Node`] is one name below the root. As long as anybody holds it, everybody who walks there gets the same one,
//! so a rename is seen by every fid at or below it, of every client. A node says nothing about whether the file
//! exists.
//!
//! Each node's lock guards its own name and the table of its children; a parent's lock is taken before its child's. The
//! kind of lock is the caller's, because programs, kernels and hosts wait differently.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use lock_api::{Mutex, RawMutex};

/// Deepest name: a client that walks on and on shall not fill the memory or the stack.
pub const DEPTH_MAX: usize = 500;

/// One name, and those known below it.
pub struct Node<R: RawMutex> {
    parent: Option<Arc<Node<R>>>,
    depth: usize,
    inner: Mutex<R, Inner<R>>,
}

struct Inner<R: RawMutex> {
    name: Vec<u8>,
    children: BTreeMap<Vec<u8>, Weak<Node<R>>>,
}

impl<R: RawMutex> Node<R> {
    /// The root, which has no name.
    pub fn root() -> Arc<Self> {
        Arc::new(Node { parent: None, depth: 0, inner: Mutex::new(Inner::new(&[])) })
    }

    /// The node for a name in this directory, or `None` when it is too deep.
    pub fn child(self: &Arc<Self>, name: &[u8]) -> Option<Arc<Self>> {
        if self.depth >= DEPTH_MAX {
            return None;
        }
        let mut inner = self.inner.lock();
        if let Some(node) = inner.children.get(name).and_then(Weak::upgrade) {
            return Some(node);
        }
        let node = Arc::new(Node {
            parent: Some(self.clone()),
            depth: self.depth + 1,
            inner: Mutex::new(Inner::new(name)),
        });
        inner.children.insert(name.to_vec(), Arc::downgrade(&node));
        Some(node)
    }

    /// The directory it stands in; the root is its own.
    pub fn parent(self: &Arc<Self>) -> Arc<Self> {
        self.parent.as_ref().unwrap_or(self).clone()
    }

    /// The last element of the name; the root's is empty.
    pub fn name(&self) -> Vec<u8> {
        self.inner.lock().name.clone()
    }

    /// The elements of the name, from below the root.
    pub fn path(&self) -> Vec<Vec<u8>> {
        let mut path = Vec::new();
        let mut at = self;
        while let Some(parent) = &at.parent {
            path.push(at.name());
            at = parent;
        }
        path.reverse();
        path
    }

    /// The file has another name now. A node that stood for that name stands for it no more.
    pub fn rename(self: &Arc<Self>, name: &[u8]) {
        let Some(parent) = &self.parent else { return };
        let mut siblings = parent.inner.lock();
        let mut inner = self.inner.lock();
        siblings.forget(&inner.name, Arc::as_ptr(self));
        siblings.children.insert(name.to_vec(), Arc::downgrade(self));
        inner.name = name.to_vec();
    }
}

impl<R: RawMutex> Inner<R> {
    fn new(name: &[u8]) -> Self {
        Inner { name: name.to_vec(), children: BTreeMap::new() }
    }

    fn forget(&mut self, name: &[u8], node: *const Node<R>) {
        if self.children.get(name).is_some_and(|known| known.as_ptr() == node) {
            self.children.remove(name);
        }
    }
}

impl<R: RawMutex> Drop for Node<R> {
    fn drop(&mut self) {
        let this: *const Self = self;
        if let Some(parent) = &self.parent {
            parent.inner.lock().forget(&self.inner.get_mut().name, this);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::RawMutex as Raw;

    fn path(node: &Node<Raw>) -> alloc::string::String {
        alloc::string::String::from_utf8(node.path().join(&b'/')).unwrap()
    }

    #[test]
    fn a_rename_is_seen_below_and_by_others() {
        let root = Node::<Raw>::root();
        let dir = root.child(b"dir").unwrap();
        let file = dir.child(b"file").unwrap();
        let same = root.child(b"dir").unwrap();
        same.rename(b"folder");
        assert_eq!((path(&file), path(&root)), ("folder/file".into(), "".into()));
        assert!(Arc::ptr_eq(&root.child(b"folder").unwrap(), &dir));
        assert!(!Arc::ptr_eq(&root.child(b"dir").unwrap(), &dir));
        assert!(Arc::ptr_eq(&file.parent(), &dir) && Arc::ptr_eq(&root.parent(), &root));
        root.rename(b"x");
        assert_eq!(path(&file), "folder/file");
    }

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let root = Node::<Raw>::root();
        let (a, b) = (root.child(b"a").unwrap(), root.child(b"b").unwrap());
        // `b` was removed; `a` takes its name, and the old `b` must not take the new one's entry along when it goes.
        a.rename(b"b");
        drop(b);
        assert!(Arc::ptr_eq(&root.child(b"b").unwrap(), &a));
        drop(a);
        assert!(root.inner.lock().children.is_empty());
    }

    #[test]
    fn there_is_a_bottom() {
        let mut at = Node::<Raw>::root();
        for _ in 0..DEPTH_MAX {
            at = at.child(b"d").unwrap();
        }
        assert!(at.child(b"d").is_none());
    }
}
