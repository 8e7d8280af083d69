//! `rendezvous`: two processes of a group meet at a tag and exchange a value.
//!
//! Ownership: a group ([`Rgrp`]) holds the meetings at which somebody waits; whoever comes second takes it out.
//!
//! Lock order: `Rgrp::waiting`, then `Meeting::second`.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use abi::error;
use machine::lock::Lock;
use machine::sync::Rendez;

use crate::error::Result;
use crate::proc::process::Proc;

/// Processes that meet by `rendezvous`.
#[derive(Default)]
pub(crate) struct Rgrp {
    waiting: Lock<BTreeMap<u64, Arc<Meeting>>>,
}

struct Meeting {
    first: u64,
    second: Lock<Option<u64>>,
    rendez: Rendez,
}

/// `rendezvous`: gives `value` to the process of the group that comes with the same tag, and gets its value.
///
/// # Errors
/// `interrupted`.
pub(crate) fn rendezvous(up: &Arc<Proc>, tag: u64, value: u64) -> Result<u64> {
    let group = up.rgrp.lock().clone();
    let meeting = {
        let mut waiting = group.waiting.lock();
        if let Some(meeting) = waiting.remove(&tag) {
            *meeting.second.lock() = Some(value);
            drop(waiting);
            meeting.rendez.wakeup();
            return Ok(meeting.first);
        }
        let meeting = Arc::new(Meeting { first: value, second: Lock::new(None), rendez: Rendez::new() });
        waiting.insert(tag, meeting.clone());
        meeting
    };
    let slept = meeting.rendez.sleep_intr(|| meeting.second.lock().is_some());
    if slept.is_err() {
        let mut waiting = group.waiting.lock();
        // The partner may have come in the meantime: then the meeting took place.
        if meeting.second.lock().is_none() {
            waiting.remove(&tag);
            return Err(error::EINTR.into());
        }
    }
    let value = *meeting.second.lock();
    value.ok_or(error::EINTR.into())
}
