//! The shares and their services, as a table: names, owners, permissions.
//!
//! What a service serves is not here but in the union of its share, under the service's number.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;

use abi::{DMDIR, Qid, error};

use crate::dev::dirtab::Entry;
use crate::error::{Error, Result};
use crate::name::mhead::Mhead;
use crate::name::namespace::MAXUNION;

/// Longest name of a share or a service, in bytes.
pub(super) const NAME_MAX: usize = 127;
/// Shares that there may be, and how many of them users may have made who are not the machine's owner: they stay when
/// those who made them have gone.
const SHARES_MOST: usize = 2 * OTHERS_MOST;
const OTHERS_MOST: usize = 512;
/// The same of services, in all shares together.
const SERVICES_MOST: usize = 2 * OTHERS_SERVICES_MOST;
const OTHERS_SERVICES_MOST: usize = 1024;

/// What a file of the device is. The number of a share or a service is never another one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// The root of the tree in which shares are used.
    Root,
    /// The root of the tree in which they are made.
    Control,
    /// A share, where it is used.
    Share(u32),
    /// A share, where it is made: the directory of its services.
    Services(u32),
    /// A service.
    Service(u32),
}

impl Node {
    /// What a qid of the device means; `None` for one that it does not give.
    pub(super) fn of(qid: Qid) -> Option<Node> {
        let id = u32::try_from(qid.path >> 3).ok()?;
        match (qid.path & 7, id) {
            (0, 0) => Some(Node::Root),
            (1, 0) => Some(Node::Control),
            (2, id) => Some(Node::Share(id)),
            (3, id) => Some(Node::Services(id)),
            (4, id) => Some(Node::Service(id)),
            _ => None,
        }
    }

    /// Its qid.
    pub(super) fn qid(self) -> Qid {
        let path = |id: u32, kind: u64| u64::from(id) << 3 | kind;
        match self {
            Node::Root => Qid::dir(0),
            Node::Control => Qid::dir(1),
            Node::Share(id) => Qid::dir(path(id, 2)),
            Node::Services(id) => Qid::dir(path(id, 3)),
            Node::Service(id) => Qid::file(path(id, 4)),
        }
    }
}

/// What has a name, an owner and permissions.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) name: Arc<str>,
    pub(super) owner: Arc<str>,
    pub(super) perm: u32,
}

impl Named {
    fn entry(&self, node: Node, perm: u32) -> Entry {
        let named = Entry::named(String::from(&*self.name), 0, perm);
        Entry { owner: Some(self.owner.clone()), qid: node.qid(), ..named }
    }
}

/// A share.
pub(super) struct Share {
    pub(super) named: Named,
    /// What is mounted in it, the newest first. Each has its service's number.
    pub(super) head: Arc<Mhead>,
    /// It was made by a user who is not the machine's owner.
    pub(super) is_others: bool,
}

/// A service, which is in the share with that number.
pub(super) struct Service {
    pub(super) named: Named,
    pub(super) share: u32,
    /// It was made by a user who is not the machine's owner.
    pub(super) is_others: bool,
}

/// All of them.
#[derive(Default)]
pub(super) struct Table {
    shares: BTreeMap<u32, Share>,
    services: BTreeMap<u32, Service>,
    last: u32,
}

impl Table {
    pub(super) fn share(&self, id: u32) -> Result<&Share> {
        self.shares.get(&id).ok_or(error::ENONEXIST.into())
    }

    pub(super) fn service(&self, id: u32) -> Result<&Service> {
        self.services.get(&id).ok_or(error::ENONEXIST.into())
    }

    /// How many shares and services there are.
    pub(super) fn count(&self) -> u64 {
        (self.shares.len() + self.services.len()) as u64
    }

    fn services_of(&self, share: u32) -> impl Iterator<Item = (u32, &Service)> {
        self.services.iter().filter(move |(_, s)| s.share == share).map(|(id, s)| (*id, s))
    }

    /// The name that a file has, and its owner and permissions.
    pub(super) fn named(&self, node: Node) -> Result<&Named> {
        match node {
            Node::Root | Node::Control => Err(error::EPERM.into()),
            Node::Share(id) | Node::Services(id) => self.share(id).map(|share| &share.named),
            Node::Service(id) => self.service(id).map(|service| &service.named),
        }
    }

    /// The same to be changed.
    pub(super) fn named_mut(&mut self, node: Node) -> Result<&mut Named> {
        let named = match node {
            Node::Root | Node::Control => return Err(error::EPERM.into()),
            Node::Share(id) | Node::Services(id) => self.shares.get_mut(&id).map(|share| &mut share.named),
            Node::Service(id) => self.services.get_mut(&id).map(|service| &mut service.named),
        };
        named.ok_or(error::ENONEXIST.into())
    }

    /// What a file is. A share that is used cannot be written to, whoever may make services in it.
    pub(super) fn entry(&self, node: Node) -> Result<Entry> {
        Ok(match node {
            Node::Root => Entry::dir("", 0, 0o555),
            Node::Control => Entry { qid: node.qid(), ..Entry::dir("", 0, 0o777) },
            Node::Share(_) => {
                let named = self.named(node)?;
                named.entry(node, DMDIR | named.perm & !0o222)
            }
            Node::Services(_) => {
                let named = self.named(node)?;
                named.entry(node, DMDIR | named.perm)
            }
            Node::Service(_) => {
                let named = self.named(node)?;
                named.entry(node, named.perm)
            }
        })
    }

    /// The file behind the one with this number in a directory, and its number.
    pub(super) fn next(&self, dir: Node, after: u32) -> Option<(u32, Node)> {
        let rest = after.checked_add(1)?..;
        match dir {
            Node::Root => self.shares.range(rest).next().map(|(id, _)| (*id, Node::Share(*id))),
            Node::Control => self.shares.range(rest).next().map(|(id, _)| (*id, Node::Services(*id))),
            Node::Services(share) => {
                let mut behind = self.services.range(rest);
                behind.find(|(_, s)| s.share == share).map(|(id, _)| (*id, Node::Service(*id)))
            }
            Node::Share(_) | Node::Service(_) => None,
        }
    }

    /// The file of this name in a directory.
    pub(super) fn find(&self, dir: Node, name: &str) -> Option<Node> {
        let share = || self.shares.iter().find(|(_, s)| *s.named.name == *name).map(|(id, _)| *id);
        match dir {
            Node::Root => share().map(Node::Share),
            Node::Control => share().map(Node::Services),
            Node::Services(id) => {
                let mut services = self.services_of(id);
                services.find(|(_, s)| *s.named.name == *name).map(|(id, _)| Node::Service(id))
            }
            Node::Share(_) | Node::Service(_) => None,
        }
    }

    /// The directory in which a file is.
    pub(super) fn parent(&self, node: Node) -> Node {
        match node {
            Node::Root | Node::Share(_) => Node::Root,
            Node::Control | Node::Services(_) => Node::Control,
            Node::Service(id) => self.services.get(&id).map_or(Node::Control, |s| Node::Services(s.share)),
        }
    }

    /// A number that no share or service has or had.
    ///
    /// # Errors
    /// `no free devices` when there is none any more.
    pub(super) fn number(&mut self) -> Result<u32> {
        self.last = self.last.checked_add(1).ok_or(error::ENODEV)?;
        Ok(self.last)
    }

    /// Adds a share under a number of its own.
    ///
    /// # Errors
    /// `file already exists`; `no free devices` when there are too many. It is given back, since it is not to be
    /// dropped in here.
    pub(super) fn add_share(&mut self, id: u32, share: Share) -> core::result::Result<Node, (Error, Share)> {
        let others = self.shares.values().filter(|s| s.is_others).count();
        if self.find(Node::Control, &share.named.name).is_some() {
            return Err((error::EEXIST.into(), share));
        }
        if self.shares.len() >= SHARES_MOST || share.is_others && others >= OTHERS_MOST {
            return Err((error::ENODEV.into(), share));
        }
        self.shares.insert(id, share);
        Ok(Node::Services(id))
    }

    /// Adds a service to its share.
    ///
    /// # Errors
    /// `file already exists`; `no free devices` when there are too many, or in the share; `file does not exist` when
    /// that has gone.
    pub(super) fn add_service(&mut self, service: Service) -> Result<Node> {
        let share = service.share;
        self.share(share)?;
        if self.find(Node::Services(share), &service.named.name).is_some() {
            return Err(error::EEXIST.into());
        }
        let others = self.services.values().filter(|s| s.is_others).count();
        if self.services.len() >= SERVICES_MOST
            || service.is_others && others >= OTHERS_SERVICES_MOST
            || self.services_of(share).count() >= MAXUNION
        {
            return Err(error::ENODEV.into());
        }
        let id = self.number()?;
        self.services.insert(id, service);
        Ok(Node::Service(id))
    }

    /// Takes out a share, when it has no service; it is the caller's to drop.
    ///
    /// # Errors
    /// `directory not empty`; `file does not exist`.
    pub(super) fn remove_share(&mut self, id: u32) -> Result<Share> {
        if self.services_of(id).next().is_some() {
            return Err(error::ENOTEMPTY.into());
        }
        self.shares.remove(&id).ok_or(error::ENONEXIST.into())
    }

    /// Takes out a service.
    pub(super) fn remove_service(&mut self, id: u32) -> Option<Service> {
        self.services.remove(&id)
    }
}
