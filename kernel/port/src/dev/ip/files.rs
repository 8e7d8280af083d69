//! The files of `#I`: what a qid path means, and which files a directory has.
//!
//! A path has the file's kind in its low byte, the protocol in the next, and the number of a conversation or interface
//! above.

use alloc::string::ToString;
use alloc::sync::Arc;

use abi::Qid;
use net::{Files, Proto};

use crate::dev::dirtab::Entry;

/// Kinds of files.
pub(super) mod kind {
    pub(crate) const NDB: u64 = 2;
    pub(crate) const ROUTES: u64 = 3;
    pub(crate) const OWN: u64 = 4;
    pub(crate) const ARP: u64 = 5;
    pub(crate) const LOG: u64 = 6;
    /// The directory of a protocol.
    pub(crate) const PROTO: u64 = 16;
    pub(crate) const CLONE: u64 = 17;
    pub(crate) const STATS: u64 = 18;
    /// The directory of a conversation or an interface.
    pub(crate) const NUMBER: u64 = 19;
    pub(crate) const CTL: u64 = 20;
    pub(crate) const DATA: u64 = 21;
    pub(crate) const ERR: u64 = 22;
    pub(crate) const LISTEN: u64 = 23;
    pub(crate) const LOCAL: u64 = 24;
    pub(crate) const REMOTE: u64 = 25;
    pub(crate) const STATUS: u64 = 26;
    pub(crate) const SNOOP: u64 = 27;
}

/// The directory of interfaces, where a protocol would be.
pub(super) const IPIFC: u64 = Proto::ALL.len() as u64;

/// The files of the root that are no directories.
const TOP: [(&str, u64, u32); 5] = [
    ("arp", kind::ARP, 0o664),
    ("iproute", kind::ROUTES, 0o664),
    ("ipselftab", kind::OWN, 0o444),
    // It tells of everybody's conversations.
    ("log", kind::LOG, 0o660),
    ("ndb", kind::NDB, 0o664),
];

/// The files of a conversation; those that are anybody's to read.
const CONVERSATION: [(&str, u64, bool); 8] = [
    ("ctl", kind::CTL, false),
    ("data", kind::DATA, false),
    ("err", kind::ERR, false),
    ("listen", kind::LISTEN, false),
    ("local", kind::LOCAL, true),
    ("remote", kind::REMOTE, true),
    ("snoop", kind::SNOOP, false),
    ("status", kind::STATUS, true),
];

/// What a path says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) kind: u64,
    /// The protocol, or [`IPIFC`].
    pub(super) proto: u64,
    pub(super) number: u32,
}

impl Place {
    pub(super) fn of(qid: Qid) -> Place {
        Place { kind: qid.path & 0xff, proto: qid.path >> 8 & 0xff, number: (qid.path >> 16) as u32 }
    }

    pub(super) fn path(self) -> u64 {
        self.kind | self.proto << 8 | u64::from(self.number) << 16
    }

    pub(super) fn with(self, kind: u64) -> Place {
        Place { kind, ..self }
    }

    /// The protocol; none for interfaces.
    pub(super) fn protocol(self) -> Option<Proto> {
        Proto::ALL.get(self.proto as usize).copied()
    }

    /// The directory in which it is.
    pub(super) fn parent(self) -> Qid {
        match self.kind {
            kind::CLONE | kind::STATS | kind::NUMBER => {
                Qid::dir(Place { kind: kind::PROTO, number: 0, ..self }.path())
            }
            kind::CTL..=kind::SNOOP => Qid::dir(self.with(kind::NUMBER).path()),
            _ => Qid::dir(0),
        }
    }
}

/// The files of the root, by their places from 0.
pub(super) fn top(at: usize) -> Option<Entry> {
    if let Some((name, kind, perm)) = TOP.get(at) {
        return Some(Entry::file(name, *kind, *perm));
    }
    let proto = (at - TOP.len()) as u64;
    let name = match Proto::ALL.get(proto as usize) {
        Some(proto) => proto.name(),
        None if proto == IPIFC => "ipifc",
        None => return None,
    };
    Some(Entry::dir(name, Place { kind: kind::PROTO, proto, number: 0 }.path(), 0o555))
}

/// The two files of a protocol that are no conversations, by their places from 0.
pub(super) fn fixed(proto: u64, at: usize) -> Option<Entry> {
    let place = |kind| Place { kind, proto, number: 0 }.path();
    match at {
        0 => Some(Entry::file("clone", place(kind::CLONE), if proto == IPIFC { 0o660 } else { 0o666 })),
        1 => Some(Entry::file("stats", place(kind::STATS), 0o444)),
        _ => None,
    }
}

/// The directory of a conversation or an interface.
pub(super) fn numbered(proto: u64, number: u32, owner: Option<Arc<str>>) -> Entry {
    let path = Place { kind: kind::NUMBER, proto, number }.path();
    let named = Entry::named(number.to_string(), path, 0o555 | abi::DMDIR);
    Entry { qid: Qid::dir(path), owner, ..named }
}

/// The files of a conversation or an interface, by their places from 0.
pub(super) fn inside(place: Place, files: Option<&Files>, at: usize) -> Option<Entry> {
    let (name, kind, public) = CONVERSATION.get(at).copied()?;
    let path = place.with(kind).path();
    let perm = match files {
        _ if public => 0o444,
        Some(files) if kind == kind::SNOOP => files.perm & 0o444,
        None if kind == kind::SNOOP => 0o440,
        Some(files) => files.perm,
        None => 0o660,
    };
    let entry = Entry::file(name, path, perm);
    Some(Entry { owner: files.map(|f| f.owner.clone()), ..entry })
}

/// How many files a conversation has; an interface has less.
pub(super) const INSIDE: usize = CONVERSATION.len();

/// Whether an interface has such a file.
pub(super) fn is_of_interface(kind: u64) -> bool {
    matches!(kind, kind::CTL | kind::DATA | kind::STATUS | kind::LOCAL | kind::SNOOP)
}
