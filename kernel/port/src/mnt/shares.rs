//! `#9` as a directory: a file for each share of the host, which stands for its server.
//!
//! A share has no channel on which 9P2000 could be spoken, and yet programs mount servers by their channels: what is
//! posted as `/srv/boot` is the root for every name space that is built from its beginning. So whoever opens `#9/TAG`
//! has a channel that mount(2) takes, by either mount device; nothing can be read from it or written to it. A share
//! has one tree and knows no users, so it has no name for a tree, and `fauth` fails.
//!
//! The files are channels without an `aux`. No state, no locks.

use alloc::string::String;
use alloc::sync::Arc;

use abi::{Qid, error};

use super::shared::Wanted;
use super::tags::Tags;
use crate::dev::MountDriver;
use crate::dev::dirtab::{Entry, Put};
use crate::error::{Error, Result};
use crate::name::chan::Chan;

/// Who may mount a share: everybody, as by its tag.
const PERM: u32 = 0o666;

/// Is this a file of the directory, or the directory itself?
pub(super) fn is_ours(c: &Chan) -> bool {
    c.aux.is_none() && c.dev.letter() == '9'
}

/// The mount driver of the share that `server` stands for.
pub(super) fn driver(server: &Chan) -> Option<Arc<dyn MountDriver>> {
    if is_ours(server) { server.dev.clone().as_mount_driver() } else { None }
}

/// The files behind the one with number `after`, one by one: a host makes as many as it likes. One whose tag can be no
/// name is not there; it is mounted by its tag.
pub(super) fn each(tags: &Tags, after: u64, put: Put<'_>) {
    for (name, number) in tags.names().zip(1..).skip(usize::try_from(after).unwrap_or(usize::MAX)) {
        if is_name(name) && !put(number, Entry::named(String::from(name), number, PERM)) {
            return;
        }
    }
}

/// The file with this number, from 1.
pub(super) fn entry(tags: &Tags, number: u64) -> Option<Entry> {
    let name = tags.names().nth(usize::try_from(number.checked_sub(1)?).ok()?)?;
    is_name(name).then(|| Entry::named(String::from(name), number, PERM))
}

/// The file with this name.
pub(super) fn lookup(tags: &Tags, name: &str) -> Option<Qid> {
    // Of two tags the first counts, as it does for a mount.
    tags.names().zip(1..).find(|(tag, _)| *tag == name && is_name(tag)).map(|(_, path)| Qid::file(path))
}

fn is_name(tag: &str) -> bool {
    !tag.is_empty() && tag != "." && tag != ".." && !tag.contains('/')
}

/// What a mount of the share by its file wants, which names no tree: nothing, or `:VERSION:MSIZE`.
///
/// # Errors
/// `bad attach specifier`.
pub(super) fn wanted(spec: &str) -> Result<Wanted> {
    match Wanted::parse(spec)? {
        ("", wanted) => Ok(wanted),
        _ => Err(Error::new(error::EBADSPEC).with_name(spec)),
    }
}
