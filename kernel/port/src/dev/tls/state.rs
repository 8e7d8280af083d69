//! What a conversation of `#a` is at, as data: what has come and was not read, what goes out, and what is said of it
//! when it is over. Nothing here waits.
//!
//! Owned by a conversation, behind its lock `state`.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use machine::heap;
use machine::thread::ThreadRef;

use super::seal::{Opener, Sealer};
use super::suite::Suite;
use crate::error::{Error, Result};
use crate::name::chan::Chan;

/// Bytes of messages that wait for the handshake, at most, each with what it costs to keep.
const HAND_MOST: usize = 64 << 10;
const KEPT: usize = 64;

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
    pub(super) fn text(self) -> &'static str {
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

/// All of it.
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
    pub(super) has_hand: bool,
    pub(super) keeper: Option<ThreadRef>,
    /// What records go through, and how many conversations are below this one.
    pub(super) chan: Option<(Arc<Chan>, usize)>,
    /// Open files; none any more when it is over.
    pub(super) users: u32,
    pub(super) counts: Counts,
    pub(super) owner: Arc<str>,
    pub(super) perm: u32,
}

impl State {
    /// Not begun, with one open file.
    pub(super) fn new(owner: Arc<str>) -> State {
        State {
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
            owner,
            perm: 0o660,
        }
    }

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

    /// Nobody reads `hand` any more. What waited there, to be dropped without the lock.
    pub(super) fn forget_hand(&mut self) -> VecDeque<Piece> {
        (self.hand_bytes, self.hand_alert, self.has_hand) = (0, None, false);
        core::mem::take(&mut self.hand)
    }

    /// Takes up to `max` bytes of a message, or what is told instead; none when one has to wait.
    pub(super) fn next_hand(&mut self, max: usize) -> Option<Result<Piece>> {
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
    pub(super) fn next_data(&mut self, max: usize) -> Option<Result<Piece>> {
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
