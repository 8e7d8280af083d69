//! What a file is, told without a channel for it being made: the way of most `stat`s.
//!
//! Some devices say of a few elements at a time what they lead to ([`Dev::glance`](crate::Dev::glance)). What is
//! mounted on the way is crossed as in a [walk](super::walk). Whatever is not as plain as that (`..`, a union in whose
//! first element there is no such file, an error of any kind) is the walk's to see to, which says what is wrong.
//!
//! No lock is held here; a device has one of its own while it is asked, under which only locks are taken that are
//! leaves.

use alloc::sync::Arc;

use abi::{Dir, Qid};

use crate::error::Result;
use crate::name::chan::Chan;
use crate::name::mhead::Key;
use crate::name::walk::{FEW, Name, Start};
use crate::proc::process::Proc;

/// Who is told what the file is.
type Teller<'a> = &'a mut dyn FnMut(&Dir<&[u8]>) -> Result<()>;

/// Tells what the file is that a name leads to, under the last element of the name. False when that cannot be told
/// without a walk.
pub(crate) fn told(up: &Arc<Proc>, name: &Name<'_>, tell: Teller<'_>) -> bool {
    let elements: &[&str] = &name.elements;
    let Some(last) = elements.last() else { return false };
    if name.must_be_dir || elements.len() > FEW || elements.contains(&"..") {
        return false;
    }
    let start = match name.start {
        Start::Root => up.slash(),
        Start::Dot => up.dot(),
        Start::Device(..) => return false,
    };
    // Then the walk would not be too long either, whatever is crossed.
    if !start.path.is_short() {
        return false;
    }
    let pgrp = up.pgrp();
    let mut at = pgrp.first_mounted(start.key()).unwrap_or(start);
    let mut rest = elements;
    loop {
        let mut tell = |dir: &Dir<&[u8]>| tell(&Dir { name: last.as_bytes(), ..*dir });
        let (walked, mounted, told) = look(up, &at, rest, |key| pgrp.first_mounted(key), &mut tell);
        match mounted {
            Some(first) => {
                rest = rest.get(walked..).unwrap_or_default();
                at = first;
            }
            None => return told,
        }
    }
}

/// Has a device tell of what some elements lead to, until `find` finds something mounted on what is passed: how many of
/// them were passed, what was found, and whether it was told what is there.
#[inline]
pub(super) fn look<M>(
    up: &Arc<Proc>,
    at: &Chan,
    elements: &[&str],
    find: impl Fn(Key) -> Option<M>,
    tell: Teller<'_>,
) -> (usize, Option<M>, bool) {
    let (letter, devno) = (at.dev.letter(), at.devno);
    let (mut walked, mut mounted) = (0, None);
    let mut pass = |qid: Qid| {
        walked += 1;
        mounted = find((letter, devno, qid.path));
        mounted.is_none()
    };
    let told = at.dev.glance(up, at, elements, &mut pass, tell);
    (walked, mounted, told)
}
