//! A conversation of `#a`: what it is at, and whose turn it is.
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
use alloc::vec::Vec;
use core::fmt::Write;

use abi::{ORDWR, error};
use machine::heap;
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::thread::{self, ThreadRef};
use spin::Once;

use super::seal::{HEAD, Opener, PLAIN_MOST, SEALED_MOST, Sealer};
use super::silence::Silence;
use super::suite::Suite;
use crate::error::{Error, Result};
use crate::mem::iobuf::Src;
use crate::name::chan::Chan;
use crate::name::fgrp;
use crate::proc::process::Proc;

/// Bytes of messages that wait for the handshake, at most, each with what it costs to keep.
const HAND_MOST: usize = 64 << 10;
const KEPT: usize = 64;

/// Kinds of records.
pub(super) mod kind {
    pub(crate) const CHANGE_CIPHER: u8 = 20;
    pub(crate) const ALERT: u8 = 21;
    pub(crate) const HANDSHAKE: u8 = 22;
    pub(crate) const DATA: u8 = 23;
}

/// How far a conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not begun, or over.
    Closed,
    Handshake,
    Open,
    RemoteClosed,
    LocalClosed,
    Error,
}

impl Phase {
    fn text(self) -> &'static str {
        match self {
            Phase::Closed => "Closed",
            Phase::Handshake => "Handshaking",
            Phase::Open => "Established",
            Phase::RemoteClosed => "RemoteClosed",
            Phase::LocalClosed => "LocalClosed",
            Phase::Error => "Errored",
        }
    }

    /// Whether the other side may still be told something.
    pub(super) fn may_send(self) -> bool {
        matches!(self, Phase::Handshake | Phase::Open | Phase::RemoteClosed)
    }
}

/// What is left of a record that came.
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) at: usize,
}

/// What is received with.
pub(super) struct Input {
    /// Room for the longest record; what is there is between these two.
    pub(super) bytes: Vec<u8>,
    pub(super) at: usize,
    pub(super) end: usize,
    /// Where in the channel to read on.
    pub(super) offset: u64,
    pub(super) opener: Option<Box<Opener>>,
}

/// What is sent with.
#[derive(Default)]
pub(super) struct Output {
    /// Sealed, and sent up to here.
    pub(super) record: Vec<u8>,
    pub(super) at: usize,
    pub(super) offset: u64,
    pub(super) sealer: Option<Box<Sealer>>,
}

/// Bytes of both files, both ways.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) data: [u64; 2],
    pub(super) hand: [u64; 2],
}

pub(super) struct State {
    pub(super) phase: Phase,
    /// What went wrong.
    pub(super) wrong: &'static str,
    pub(super) version: u16,
    /// Both sides have agreed on it.
    pub(super) is_agreed: bool,
    /// Data may come.
    pub(super) is_opened: bool,
    pub(super) input: Option<Box<Input>>,
    pub(super) output: Option<Box<Output>>,
    /// What the next change of ciphers changes to.
    pub(super) next_in: Option<Box<Opener>>,
    pub(super) next_out: Option<Box<Sealer>>,
    pub(super) suite_in: Option<Suite>,
    pub(super) suite_out: Option<Suite>,
    /// Of the last record of data, what was not read.
    pub(super) data: Option<Piece>,
    /// Messages of the handshake, and then what is to be told there.
    hand: VecDeque<Piece>,
    hand_bytes: usize,
    hand_alert: Option<&'static str>,
    /// Somebody has `hand` open.
    has_hand: bool,
    pub(super) keeper: Option<ThreadRef>,
    /// What records go through, and how many conversations are below this one.
    chan: Option<(Arc<Chan>, usize)>,
    /// Open files; none any more when it is over.
    users: u32,
    pub(super) counts: Counts,
    owner: Arc<str>,
    perm: u32,
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

impl State {
    /// What a file that cannot be used now says.
    pub(super) fn refusal(&self, is_hand: bool) -> Error {
        match self.phase {
            Phase::Error if is_hand => self.wrong.into(),
            Phase::Error => "tls error".into(),
            Phase::RemoteClosed | Phase::LocalClosed | Phase::Closed => "tls hungup".into(),
            Phase::Handshake | Phase::Open => "tls improperly configured".into(),
        }
    }

    /// It is over, for this reason, unless it was already. Says whether data were open.
    pub(super) fn fail(&mut self, why: &'static str) -> bool {
        if self.phase != Phase::Error {
            self.phase = Phase::Error;
            self.wrong = why;
            self.tell_hand(why);
        }
        self.is_opened
    }

    /// One side has said that it will send nothing more.
    pub(super) fn close_side(&mut self, side: Phase) {
        self.phase = match self.phase {
            Phase::Open | Phase::Handshake => side,
            Phase::RemoteClosed | Phase::LocalClosed if self.phase != side => Phase::Closed,
            phase => phase,
        };
        self.tell_hand("close notify");
    }

    /// Who reads `hand` is told this behind what has come.
    pub(super) fn tell_hand(&mut self, what: &'static str) {
        if self.has_hand && self.hand_alert.is_none() {
            self.hand_alert = Some(what);
        }
    }

    /// Keeps a message for who reads `hand`. False when nobody does.
    ///
    /// # Errors
    /// `record too long` when too much waits already.
    pub(super) fn add_hand(&mut self, bytes: Vec<u8>) -> Result<bool> {
        if !self.has_hand {
            return Ok(false);
        }
        let with = self.hand_bytes + bytes.len() + KEPT;
        if with > HAND_MOST || heap::try_reserve(&mut self.hand, 1).is_err() {
            return Err("record too long".into());
        }
        self.hand_bytes = with;
        self.hand.push_back(Piece { bytes, at: 0 });
        Ok(true)
    }

    /// Takes up to `max` bytes of a message, or what is told instead; none when one has to wait.
    fn next_hand(&mut self, max: usize) -> Option<Result<Piece>> {
        if let Some(mut piece) = self.hand.pop_front() {
            match piece.take(max) {
                Ok((taken, rest)) => {
                    match rest {
                        Some(rest) => self.hand.push_front(rest),
                        None => self.hand_bytes = self.hand_bytes.saturating_sub(KEPT),
                    }
                    let n = taken.bytes.len() - taken.at;
                    self.hand_bytes = self.hand_bytes.saturating_sub(n);
                    self.counts.hand[0] += n as u64;
                    return Some(Ok(taken));
                }
                Err(e) => {
                    self.hand.push_front(piece);
                    return Some(Err(e));
                }
            }
        }
        if let Some(alert) = self.hand_alert.take() {
            return Some(Err(alert.into()));
        }
        match self.phase {
            Phase::Open | Phase::Handshake | Phase::LocalClosed => None,
            _ => Some(Err(self.refusal(true))),
        }
    }

    /// Takes up to `max` bytes of data; none when one has to wait.
    fn next_data(&mut self, max: usize) -> Option<Result<Piece>> {
        if let Some(mut piece) = self.data.take() {
            match piece.take(max) {
                Ok((taken, rest)) => {
                    self.data = rest;
                    self.counts.data[0] += (taken.bytes.len() - taken.at) as u64;
                    return Some(Ok(taken));
                }
                Err(e) => {
                    self.data = Some(piece);
                    return Some(Err(e));
                }
            }
        }
        (self.phase != Phase::Open).then(|| Err(self.refusal(false)))
    }
}

impl Piece {
    /// Up to `max` bytes of it, and what is left.
    ///
    /// # Errors
    /// `kernel allocate failed`; it is as it was.
    fn take(&mut self, max: usize) -> Result<(Piece, Option<Piece>)> {
        let left = self.bytes.get(self.at..).unwrap_or(&[]);
        if left.len() <= max {
            return Ok((Piece { bytes: core::mem::take(&mut self.bytes), at: self.at }, None));
        }
        let taken = Piece { bytes: heap::try_copy(left.get(..max).unwrap_or(&[]))?, at: 0 };
        let rest = Piece { bytes: core::mem::take(&mut self.bytes), at: self.at + max };
        Ok((taken, Some(rest)))
    }
}

impl Conversation {
    /// One that has not begun.
    pub(super) fn new(number: usize, owner: Arc<str>, shared: Arc<Shared>) -> Arc<Conversation> {
        let state = State {
            phase: Phase::Closed,
            wrong: "",
            version: 0,
            is_agreed: false,
            is_opened: false,
            input: None,
            output: None,
            next_in: None,
            next_out: None,
            suite_in: None,
            suite_out: None,
            data: None,
            hand: VecDeque::new(),
            hand_bytes: 0,
            hand_alert: None,
            has_hand: false,
            keeper: None,
            chan: None,
            users: 1,
            counts: Counts::default(),
            owner: owner.clone(),
            perm: 0o660,
        };
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
                hand = core::mem::take(&mut state.hand);
                (state.hand_bytes, state.hand_alert, state.has_hand) = (0, None, false);
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
            let sent = heap::try_bytes(n).map_err(Error::from).and_then(|mut body| {
                src.get(done, &mut body)?;
                self.send_record(up, kind, &body)
            });
            match sent {
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
