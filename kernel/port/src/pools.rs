//! The kinds of things that are counted while they live, by the numbers that `machine::census` knows them by. What
//! `/dev/pools` calls them is in [`SHOWN`].

pub(crate) use machine::census::Counted;
use machine::census::PINNED;

/// Channels.
pub(crate) const CHANS: usize = 1;
/// Pipes.
pub(crate) const PIPES: usize = 2;
/// Segments of memory.
pub(crate) const SEGMENTS: usize = 3;
/// Groups of descriptors.
pub(crate) const FD_GROUPS: usize = 4;
/// Processes, with those that the kernel has itself and those of the dead that somebody still looks at.
pub(crate) const PROCESSES: usize = 5;
/// Sessions with 9P servers.
pub(crate) const SESSIONS: usize = 6;
/// Request slots of all sessions.
pub(crate) const SLOTS: usize = 7;
/// Requests of all slots, each with its tag.
pub(crate) const REQUESTS: usize = 8;

/// Groups of environment variables.
pub(crate) const ENV_GROUPS: usize = 9;
/// Name spaces.
pub(crate) const NAME_SPACES: usize = 10;
/// What is bound or mounted, once however many name spaces have it.
pub(crate) const MOUNTS: usize = 11;

/// All of them, with their names.
pub(crate) const SHOWN: [(&str, usize); 12] = [
    ("process", PROCESSES),
    ("segment", SEGMENTS),
    ("pinned", PINNED),
    ("fdgroup", FD_GROUPS),
    ("envgroup", ENV_GROUPS),
    ("namespace", NAME_SPACES),
    ("mount", MOUNTS),
    ("chan", CHANS),
    ("pipe", PIPES),
    ("9p.session", SESSIONS),
    ("9p.slot", SLOTS),
    ("9p.request", REQUESTS),
];
