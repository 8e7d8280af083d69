//! Takes all there is of one kind of thing, or of several kinds at a time, holds it for a moment, and ends.
//!
//! Each kind is a function that takes until it is refused, or has enough, and leaves what it holds to the end of its
//! process. Being refused is right, and so is being killed for the memory that was taken. What is wrong: the machine
//! ends, somebody else's process ends, or what was taken does not come back.

mod files;
mod memory;
mod processes;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lib9::proc;

use crate::watch::{self, Before, Said};

/// A kind: its name, and what takes all of it.
pub type Kind = (&'static str, fn());

/// All of them.
pub const KINDS: &[Kind] = &[
    ("descriptors", files::descriptors),
    ("pipes", files::pipes),
    ("environment", files::environment),
    ("names", files::names),
    ("unions", files::unions),
    ("binds", files::binds),
    ("mounts", files::mounts),
    ("posts", files::posts),
    ("tmp", files::tmp),
    ("paths", files::paths),
    ("once", files::once),
    ("queues", files::queues),
    ("processes", processes::processes),
    ("threads", processes::threads),
    ("short", processes::short),
    ("records", processes::records),
    ("notes", processes::notes),
    ("alarms", processes::alarms),
    ("rendezvous", processes::rendezvous),
    ("semaphores", processes::semaphores),
    ("spaces", processes::spaces),
    ("broken", processes::broken),
    ("segments", memory::segments),
    ("sparse", memory::sparse),
    ("memory", memory::memory),
    ("many", memory::many),
    ("shared", memory::shared),
    ("arguments", memory::arguments),
    ("stacks", memory::stacks),
];

/// How often something is taken at most.
pub const MANY: usize = 10_000;

/// Attacks with these kinds at a time, for at most so many seconds.
pub fn run(seconds: u64, kinds: &[&str]) -> Said {
    let mut chosen = Vec::new();
    for kind in kinds {
        let found = KINDS.iter().find(|(name, _)| name == kind);
        chosen.push(found.ok_or_else(|| format!("there is no kind {kind}"))?);
    }
    let before = Before::now()?;
    for (_, take) in chosen {
        watch::start(take);
    }
    watch::finish(&before, seconds * 1000)?;
    before.clean()?;
    Ok(String::new())
}

/// What was taken is held for a moment, for others to meet it.
pub fn hold() {
    let _ = proc::sleep(300);
}

/// Does it until it fails, or was done often enough; how often it was done.
pub fn until_refused<T>(most: usize, mut take: impl FnMut(usize) -> lib9::Result<T>) -> usize {
    (0..most).take_while(|&n| take(n).is_ok()).count()
}
