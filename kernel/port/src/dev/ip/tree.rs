//! What channels of `#I` have: a stack, or an open file of it, and how the directories of a stack are gone through.
//!
//! Locks: those of an open file are leaves.

use alloc::sync::Arc;

use abi::{Qid, error};
use machine::lock::Lock;
use net::config::{OpenInterface, Tag};
use net::copies::Copies;
use net::{Conversation, Files, Stack};

use super::files::{INSIDE, IPIFC, Place, fixed, inside, is_of_interface, kind, numbered, top};
use super::ndb::Ndb;
use crate::dev::dirtab::{Entry, Text};
use crate::error::Result;
use crate::name::chan::Chan;

/// A stack, as channels have it.
pub(super) struct Tree {
    pub(super) stack: Arc<Stack>,
    /// What programs keep in `ndb`.
    pub(super) ndb: Ndb,
}

/// What an open file has.
pub(super) struct Open {
    pub(super) tree: Arc<Tree>,
    /// Of which it is one of the users.
    pub(super) conversation: Option<Arc<Conversation>>,
    /// The interface whose control file it is.
    pub(super) interface: Option<OpenInterface>,
    /// What routes are marked with that are added by it.
    pub(super) tag: Lock<Tag>,
    /// Packets that it shows.
    pub(super) copies: Option<Arc<Copies>>,
    /// What has been seen of `ndb`, by who has it open for reading and writing.
    pub(super) seen: Option<Lock<u32>>,
    pub(super) text: Text,
}

impl Open {
    pub(super) fn new(tree: Arc<Tree>, conversation: Option<Arc<Conversation>>) -> Arc<Open> {
        Arc::new(Open::nothing(tree, conversation))
    }

    /// The control file of an interface.
    pub(super) fn of_interface(tree: Arc<Tree>, interface: OpenInterface) -> Arc<Open> {
        Arc::new(Open { interface: Some(interface), ..Open::nothing(tree, None) })
    }

    fn nothing(tree: Arc<Tree>, conversation: Option<Arc<Conversation>>) -> Open {
        let (interface, copies, seen) = (None, None, None);
        Open { tree, conversation, interface, tag: untagged(), copies, seen, text: Text::new() }
    }

    /// One that shows packets.
    pub(super) fn showing(
        tree: Arc<Tree>,
        conversation: Option<Arc<Conversation>>,
        copies: Arc<Copies>,
    ) -> Arc<Open> {
        Arc::new(Open { copies: Some(copies), ..Open::nothing(tree, conversation) })
    }

    /// One of `ndb`, which may be changed as it was when it was opened.
    pub(super) fn changing(tree: Arc<Tree>, seen: u32) -> Arc<Open> {
        Arc::new(Open { seen: Some(Lock::new(seen)), ..Open::nothing(tree, None) })
    }
}

/// What routes are marked with that nobody has said it of.
fn untagged() -> Lock<Tag> {
    Lock::new(*b"none")
}

/// The stack that a channel is of.
pub(super) fn tree(c: &Chan) -> Result<Arc<Tree>> {
    match c.aux::<Open>() {
        Ok(open) => Ok(open.tree.clone()),
        Err(_) => c.aux_arc::<Tree>(),
    }
}

/// The conversation that a place is in.
pub(super) fn files(tree: &Tree, place: Place) -> Result<Option<Files>> {
    match place.protocol() {
        Some(proto) => tree.stack.get(proto, place.number).map(Some).ok_or(error::ENONEXIST.into()),
        None if tree.stack.has_interface(place.number) => Ok(None),
        None => Err(error::ENONEXIST.into()),
    }
}

impl Tree {
    /// The file behind the key `after` in a directory, and its key. Keys are places from 1; those of conversations are
    /// behind those of other files.
    pub(super) fn next(&self, dir: Qid, after: u64) -> Result<Option<(u64, Entry)>> {
        let place = Place::of(dir);
        let at = usize::try_from(after).unwrap_or(usize::MAX);
        if dir.path == 0 {
            return Ok(top(at).map(|e| (after + 1, e)));
        }
        if place.kind == kind::PROTO {
            if let Some(entry) = fixed(place.proto, at) {
                return Ok(Some((after + 1, entry)));
            }
            let from = u32::try_from(after.saturating_sub(2)).unwrap_or(u32::MAX);
            let found = match place.protocol() {
                Some(proto) => self.stack.next(proto, from).map(|f| (f.shared.number, Some(f.owner))),
                None => self.stack.next_interface(from).map(|n| (n, None)),
            };
            return Ok(found.map(|(n, owner)| (u64::from(n) + 3, numbered(place.proto, n, owner))));
        }
        let files = files(self, place)?;
        let mut at = at;
        while at < INSIDE {
            let entry = inside(place, files.as_ref(), at);
            at += 1;
            match entry {
                Some(e) if place.proto != IPIFC || is_of_interface(Place::of(e.qid).kind) => {
                    return Ok(Some((at as u64, e)));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}
