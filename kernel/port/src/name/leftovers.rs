//! What a channel alone has kept, let go in a loop.
//!
//! A channel holds channels: those mounted upon on the way to it, the union that it was opened through with all that is
//! mounted there, the element of it that is being read; and each of them may hold others. A program makes such a chain
//! as long as it likes, and kernel stacks are short. So the drop of a channel takes out of it what nobody else has, and
//! out of that again, until nothing is left: no drop ever runs inside another one's.
//!
//! Whoever takes the last reference to something takes what is in it ([`Arc::into_inner`]), so two who let go of the
//! same chain at once share the work. What waits in the list is one entry for each level at most, since paths are
//! [nested](super::path) only so deep.
//!
//! No locks: closing a channel may talk to a server.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::chan::Chan;
use super::mhead::{Mount, Mounted};
use super::path::Crossing;

/// What is to be let go. See the module comment.
#[derive(Default)]
pub(super) struct Leftovers(Vec<Left>);

enum Left {
    Crossed(Vec<Crossing>),
    Union(Vec<Mount>),
    Chan(Arc<Chan>),
}

impl Leftovers {
    /// Takes what `c` holds of others, who may be held by nobody else.
    pub(super) fn take_from(&mut self, c: &mut Chan) {
        if let Some(crossed) = c.path.take_crossed() {
            self.0.push(Left::Crossed(crossed));
        }
        if let Some(head) = c.umh.take().and_then(Arc::into_inner) {
            let (from, crossed, list) = head.into_parts();
            self.0.extend(crossed.map(Left::Crossed));
            self.0.extend(Arc::into_inner(list).map(Left::Union));
            self.0.push(Left::Chan(from));
        }
        self.0.extend(c.dir_mut().and_then(|dir| dir.open.take()).map(Left::Chan));
    }

    /// Lets go of all of it.
    pub(super) fn let_go(&mut self) {
        while let Some(last) = self.0.last_mut() {
            match last {
                Left::Crossed(list) if !list.is_empty() => {
                    let crossing = list.pop();
                    self.chan(crossing.map(|crossing| crossing.from));
                }
                Left::Union(list) if !list.is_empty() => {
                    let mounted = list.pop().and_then(Mount::into_mounted);
                    if let Some(Mounted { to, server, .. }) = mounted {
                        self.chan(Some(to));
                        self.chan(server);
                    }
                }
                _ => {
                    if let Some(Left::Chan(c)) = self.0.pop() {
                        self.chan(Some(c));
                    }
                }
            }
        }
    }

    fn chan(&mut self, c: Option<Arc<Chan>>) {
        if let Some(mut c) = c.and_then(Arc::into_inner) {
            self.take_from(&mut c);
            // It holds nothing any more, so its drop closes it and does nothing else.
            drop(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::string::String;
    use std::thread;

    use abi::{MREPL, Qid};
    use machine::sole::Sole;

    use super::*;
    use crate::dev::Dev;
    use crate::error::Result;
    use crate::mem::iobuf::Dst;
    use crate::name::chan::OwnChan;
    use crate::name::mhead::Origin;
    use crate::name::namespace::Pgrp;
    use crate::name::path::{FirstCrossed, Path};
    use crate::proc::process::Proc;

    const DEEP: usize = 100_000;

    /// Counts what is closed.
    #[derive(Default)]
    struct Closer(AtomicUsize);

    impl Dev for Closer {
        fn letter(&self) -> char {
            'x'
        }
        fn name(&self) -> &'static str {
            "closer"
        }
        fn open(&self, _: &Arc<Proc>, c: OwnChan, _: u32) -> Result<Arc<Chan>> {
            Ok(c.share())
        }
        fn close(&self, _: &mut Chan) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn read(&self, _: &Arc<Proc>, _: &Chan, _: &mut Dst<'_>, _: u64) -> Result<usize> {
            Ok(0)
        }
    }

    fn chan(dev: &Arc<Closer>, n: usize) -> Chan {
        Chan::new(dev.clone(), 0, Qid::dir(n as u64), Path::root(String::from("/")), None)
    }

    /// Makes a chain, each link of which holds the one before, and drops it where the stack is twice the kernel's.
    fn chain(link: fn(&Arc<Closer>, usize, Chan) -> Chan) -> usize {
        let small = thread::Builder::new().stack_size(64 << 10);
        let dropped = small.spawn(move || {
            let dev = Arc::new(Closer::default());
            let mut c = chan(&dev, 0);
            for n in 1..DEEP {
                c = link(&dev, n, c);
            }
            drop(c);
            dev.0.load(Ordering::Relaxed)
        });
        dropped.unwrap().join().unwrap()
    }

    #[test]
    fn crossings_nested_in_crossings() {
        let closed = chain(|dev, n, before| {
            let mut path = Path::root(String::from("/")).to_buf().unwrap();
            path.push("mnt").unwrap();
            path.cross(&Arc::new(before), &FirstCrossed::default()).unwrap();
            let mut c = chan(dev, n);
            c.path = path.finish();
            c
        });
        assert_eq!(closed, DEEP);
    }

    #[test]
    fn servers_and_elements_that_are_read() {
        let closed = chain(|dev, n, before| {
            let mut c = chan(dev, n);
            if n % 2 == 0 {
                c.dir();
                c.dir_mut().unwrap().open = Some(Arc::new(before));
                return c;
            }
            let pgrp = Pgrp::new();
            let old = Arc::new(chan(dev, n));
            let origin = Origin { server: Some(Arc::new(before)), ..Origin::default() };
            pgrp.mount(1, Sole::new(chan(dev, n)), old.clone(), MREPL, origin).unwrap();
            c.umh = pgrp.find(old.key());
            c
        });
        assert_eq!(closed, DEEP + 2 * (DEEP / 2));
    }

    #[test]
    fn who_shares_a_chain_shares_its_end() {
        let dev = Arc::new(Closer::default());
        let mut c = chan(&dev, 0);
        let mut others = Vec::new();
        for n in 1..10_000 {
            let mut path = Path::root(String::from("/")).to_buf().unwrap();
            path.cross(&Arc::new(c), &FirstCrossed::default()).unwrap();
            c = chan(&dev, n);
            c.path = path.finish();
            others.push(c.path.clone());
        }
        let ends = [others, Vec::new()].map(|paths| {
            let small = thread::Builder::new().stack_size(64 << 10);
            small.spawn(move || drop(paths)).unwrap()
        });
        drop(c);
        for end in ends {
            end.join().unwrap();
        }
        assert_eq!(dev.0.load(Ordering::Relaxed), 10_000);
    }
}
