//! A conversation of `#a`: whose turn it is. What it is at is its [`State`].
//!
//! Both directions are turns. Who wants a record takes the [`Input`] out of the state, reads or opens a record with
//! nothing held, and puts it back; who sends takes the [`Output`]. Others wait at `changed`, which every change
//! signals, and notes end that, as they end what waits for the channel below. A record is sealed and numbered before
//! it is sent, so it has to go out whole: what a note cuts short is sent by a thread, the *keeper*, which has the
//! turn meanwhile.
//!
//! What is wrong ends the conversation for all before the other side is told of it.
//!
//! Lock: `state` is a leaf; what leaves it is dropped later.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::Write;

use abi::{ORDWR, error};
use machine::heap;
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::thread;
use spin::Once;

use super::seal::{HEAD, PLAIN_MOST, SEALED_MOST};
use super::silence::Silence;
use super::state::{Counts, Input, Phase, Piece, State};
use super::suite::Suite;
use crate::error::Result;
use crate::mem::iobuf::Src;
use crate::name::chan::Chan;
use crate::name::fgrp;
use crate::proc::process::Proc;
use crate::proc::scarce;

/// Kinds of records.
pub(super) mod kind {
    pub(crate) const CHANGE_CIPHER: u8 = 20;
    pub(crate) const ALERT: u8 = 21;
    pub(crate) const HANDSHAKE: u8 = 22;
    pub(crate) const DATA: u8 = 23;
}

/// What conversations share.
#[derive(Default)]
pub(super) struct Shared {
    /// On whose behalf keepers send: nobody's. A channel is anything that its user could open; a file that asks who
    /// writes there (a note group's, for one) hears of somebody without rights.
    pub(super) sender: Once<Arc<Proc>>,
    /// Who has waited in vain for the other side to take a goodbye.
    pub(super) silence: Silence,
}

/// A conversation.
pub(super) struct Conversation {
    pub(super) number: usize,
    /// The user who has begun it; it may be given away.
    pub(super) user: Arc<str>,
    pub(super) state: Lock<State>,
    pub(super) changed: Rendez,
    pub(super) shared: Arc<Shared>,
}

impl Conversation {
    /// One that has not begun.
    pub(super) fn new(number: usize, owner: Arc<str>, shared: Arc<Shared>) -> Arc<Conversation> {
        let state = State::new(owner.clone());
        let (state, changed) = (Lock::new(state), Rendez::new());
        Arc::new(Conversation { number, user: owner, state, changed, shared })
    }

    /// Whose it is, and who else may use it.
    pub(super) fn owner(&self) -> (Arc<str>, u32) {
        let state = self.state.lock();
        (state.owner.clone(), state.perm)
    }

    /// Gives it to somebody else, or changes who may use it.
    pub(super) fn set_owner(&self, owner: Option<Arc<str>>, perm: Option<u32>) {
        let mut state = self.state.lock();
        state.perm = perm.map_or(state.perm, |perm| perm & 0o777);
        let old = owner.map(|owner| core::mem::replace(&mut state.owner, owner));
        drop(state);
        drop(old);
    }

    /// Counts one more open file, which may be the one that handshakes.
    ///
    /// # Errors
    /// `file does not exist` when it is over; `device or object already in use` when somebody handshakes already.
    pub(super) fn join(&self, is_hand: bool) -> Result<()> {
        let mut state = self.state.lock();
        if state.users == 0 {
            return Err(error::ENONEXIST.into());
        }
        if is_hand && state.has_hand {
            return Err(error::EINUSE.into());
        }
        state.has_hand |= is_hand;
        state.users += 1;
        Ok(())
    }

    /// One open file less. With the last one the other side is told goodbye.
    pub(super) fn leave(self: &Arc<Self>, is_hand: bool) {
        let (mut hand, mut is_last, mut phase) = (VecDeque::new(), false, Phase::Closed);
        {
            let mut state = self.state.lock();
            if is_hand {
                hand = state.forget_hand();
            }
            state.users = state.users.saturating_sub(1);
            if state.users == 0 {
                is_last = true;
                phase = core::mem::replace(&mut state.phase, Phase::Closed);
            }
        }
        drop(hand);
        if is_last {
            self.changed.wakeup();
            if phase.may_send() {
                self.say_goodbye();
            }
        }
    }

    /// Records go through this channel from now on, first of this version.
    ///
    /// # Errors
    /// `device or object already in use` when there is one already; `kernel allocate failed`.
    pub(super) fn begin(&self, chan: Arc<Chan>, depth: usize, version: u16) -> Result<()> {
        let bytes = machine::ledger::for_long(|| heap::try_bytes(HEAD + SEALED_MOST))?;
        let mut state = self.state.lock();
        if state.chan.is_some() {
            drop(state);
            return Err(error::EINUSE.into());
        }
        state.chan = Some((chan, depth));
        state.input = Some(Box::new(Input { bytes, at: 0, end: 0, offset: 0, opener: None }));
        state.output = Some(Box::default());
        state.version = version;
        state.phase = Phase::Handshake;
        Ok(())
    }

    /// The channel that records go through, to be read or written.
    ///
    /// # Errors
    /// `tls improperly configured` when there is none yet; `inappropriate use of fd` when the kernel has begun to speak
    /// 9P there, as for any program's reads and writes.
    pub(super) fn channel(&self) -> Result<Arc<Chan>> {
        let chan = self.state.lock().chan.as_ref().map(|(chan, _)| chan.clone());
        let chan = chan.ok_or("tls improperly configured")?;
        fgrp::check_transfer(&chan, ORDWR).map(|()| chan)
    }

    /// How many conversations are below this one; none when it has no channel.
    pub(super) fn depth(&self) -> Option<usize> {
        self.state.lock().chan.as_ref().map(|(_, depth)| *depth)
    }

    /// Waits for bytes of `data` or `hand`, receiving records meanwhile if nobody else does.
    ///
    /// # Errors
    /// `interrupted`; `tls hungup`, `tls error`, what the other side's alert says; what the channel says.
    pub(super) fn receive(self: &Arc<Self>, up: &Arc<Proc>, is_hand: bool, max: usize) -> Result<Piece> {
        loop {
            let (mut found, mut turn) = (None, None);
            self.changed.sleep_intr(|| {
                let mut state = self.state.lock();
                found = if is_hand { state.next_hand(max) } else { state.next_data(max) };
                // Once data are open, messages for `hand` come with them. Records that bring nothing keep nobody from
                // a note.
                if found.is_none() && !(is_hand && state.is_opened) && !thread::current().interrupted() {
                    turn = state.input.take();
                }
                found.is_some() || turn.is_some()
            })?;
            if let Some(found) = found {
                return found;
            }
            let Some(mut input) = turn else { continue };
            let done = self.step(up, &mut input);
            self.state.lock().input = Some(input);
            self.changed.wakeup();
            done?;
            // There may be more and more of them that bring nothing.
            up.let_others();
        }
    }

    /// Sends what is written to `data` or `hand`, in records as long as can be.
    ///
    /// # Errors
    /// As [`receive`](Self::receive), when nothing was sent.
    pub(super) fn send(self: &Arc<Self>, up: &Arc<Proc>, is_hand: bool, src: &Src<'_>) -> Result<usize> {
        let kind = if is_hand { kind::HANDSHAKE } else { kind::DATA };
        let mut done = 0;
        loop {
            let n = (src.len() - done).min(PLAIN_MOST);
            // An empty message of the handshake is none.
            if n == 0 && (is_hand || done != 0) {
                return Ok(done);
            }
            let send = || {
                let mut body = heap::try_bytes(n)?;
                src.get(done, &mut body)?;
                self.send_record(up, kind, &body)
            };
            match if done == 0 { send() } else { scarce::patiently(up, send) } {
                Ok(()) => done += n,
                Err(_) if done != 0 => return Ok(done),
                Err(e) => return Err(e),
            }
            let mut state = self.state.lock();
            let counts = &mut state.counts;
            let count = if is_hand { &mut counts.hand[1] } else { &mut counts.data[1] };
            *count += n as u64;
            drop(state);
            if done == src.len() || !up.may_go_on(done) {
                return Ok(done);
            }
        }
    }

    /// What `status` says.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    pub(super) fn status(&self) -> Result<String> {
        let (phase, version, now, next) = {
            let state = self.state.lock();
            let next_in = state.next_in.as_ref().map(|next| next.suite);
            let next_out = state.next_out.as_ref().map(|next| next.suite);
            (state.phase, state.version, [state.suite_in, state.suite_out], [next_in, next_out])
        };
        let mut text = heap::Text::new();
        // What is left out for want of memory is told at the end.
        let _ = writeln!(text, "State: {}\nVersion: {version:#x}", phase.text());
        for (way, (now, next)) in ["In", "Out"].into_iter().zip(now.into_iter().zip(next)) {
            for (new, suite) in [("", now), ("New", next)] {
                let Some(Suite { enc, hash }) = suite else { continue };
                let _ = writeln!(text, "{new}Enc{way}: {}\n{new}Hash{way}: {}", enc.name(), hash.name());
            }
        }
        if let Ok(chan) = self.channel() {
            let _ = writeln!(text, "Chan: {}", chan.path.as_str());
        }
        Ok(text.finish()?)
    }

    /// What `stats` says.
    pub(super) fn stats(&self) -> String {
        let Counts { data, hand } = self.state.lock().counts;
        alloc::format!(
            "DataIn: {}\nDataOut: {}\nHandIn: {}\nHandOut: {}\n",
            data[0],
            data[1],
            hand[0],
            hand[1]
        )
    }
}
