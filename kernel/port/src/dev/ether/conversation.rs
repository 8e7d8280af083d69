//! A conversation of `#l`: frames of one kind, or all, that are read and written one by one.
//!
//! What comes waits in a queue of at most [`QUEUE_MOST`] bytes; what comes then is lost, and counted. A frame that is
//! written waits for room at the card.
//!
//! Lock: `state` is a leaf.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::error;
use io::ether::{self, BROADCAST, Frame, HEADER, Mac, Receiver, SendError, Sum, Unfinished};
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::{clock, heap};

use super::card::{Card, Listener, Wants};
use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};

/// Bytes that wait to be read, at most, each frame with what it costs to keep.
const QUEUE_MOST: usize = 128 << 10;
const KEPT: usize = 64;
/// Bytes of a frame before its checksum, at least: shorter ones are filled up with zeros.
const SHORTEST: usize = 60;
/// Most groups that a conversation listens to.
const GROUPS: usize = 32;
/// Bytes that are kept of a frame when only headers are wanted, and all that is told then: the frame's length and the
/// time in milliseconds are behind them.
const HEAD: usize = 58;
const HEAD_TOLD: usize = 64;

#[derive(Default)]
struct State {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    groups: Vec<Mac>,
    promiscuous: bool,
    heads: bool,
    /// The card has gone.
    over: bool,
}

/// What hears for a conversation.
struct Ear {
    state: Lock<State>,
    arrived: Rendez,
    room: Rendez,
    card: Arc<Card>,
    lost: Arc<AtomicU64>,
}

/// A conversation.
pub(super) struct Conversation {
    number: usize,
    listener: Listener,
    ear: Arc<Ear>,
}

impl State {
    /// Whether it hears what is for this address, which the card hears.
    fn hears(&self, to: &Mac) -> bool {
        !ether::is_group(to) || *to == BROADCAST || self.promiscuous || self.groups.contains(to)
    }
}

impl Receiver for Ear {
    fn receive(&self, frame: &Frame<'_>) {
        let (hears, heads) = {
            let state = self.state.lock();
            (state.hears(&frame.to()), state.heads)
        };
        if !hears {
            return;
        }
        let len = if heads { HEAD_TOLD } else { frame.bytes.len() };
        let Ok(mut kept) = heap::try_vec(len) else {
            self.lost.fetch_add(1, Relaxed);
            return;
        };
        if heads {
            kept.extend_from_slice(frame.bytes.get(..HEAD).unwrap_or(frame.bytes));
            kept.resize(HEAD, 0);
            let len = u16::try_from(frame.bytes.len()).unwrap_or(u16::MAX);
            kept.extend_from_slice(&len.to_be_bytes());
            // As a counter of 32 bits has it.
            kept.extend_from_slice(&((clock::now_ns() / 1_000_000) as u32).to_be_bytes());
        } else {
            kept.extend_from_slice(frame.bytes);
            if let Sum::Missing(checksum) = frame.sum {
                ether::finish(&mut kept, checksum);
            }
        }
        let refused = {
            let mut state = self.state.lock();
            let bytes = state.bytes + kept.len() + KEPT;
            if bytes > QUEUE_MOST || heap::try_reserve(&mut state.frames, 1).is_err() {
                Some(kept)
            } else {
                state.bytes = bytes;
                state.frames.push_back(kept);
                None
            }
        };
        match refused {
            Some(_) => drop(self.lost.fetch_add(1, Relaxed)),
            None => self.arrived.wakeup(),
        }
    }

    fn changed(&self) {
        if !self.card.ether().works() {
            self.state.lock().over = true;
            self.arrived.wakeup();
        }
        self.room.wakeup();
    }
}

impl Conversation {
    /// One that hears nothing yet.
    ///
    /// # Errors
    /// `no free devices`; `kernel allocate failed`.
    pub(super) fn begin(card: &Arc<Card>, number: usize, lost: &Arc<AtomicU64>) -> Result<Arc<Conversation>> {
        let ear = Arc::new(Ear {
            state: Lock::default(),
            arrived: Rendez::new(),
            room: Rendez::new(),
            card: card.clone(),
            lost: lost.clone(),
        });
        let listener = card.listen(Wants { itself: true, ..Wants::default() }, ear.clone())?;
        if !card.ether().works() {
            return Err(error::EHUNGUP.into());
        }
        Ok(Arc::new(Conversation { number, listener, ear }))
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// What it hears.
    pub(super) fn wants(&self) -> Wants {
        self.listener.wants()
    }

    /// Hears something else from now on. What has come before is gone when it is another kind.
    ///
    /// # Errors
    /// `device or object already in use` when another listener has that kind.
    pub(super) fn set_wants(&self, wants: Wants) -> Result<()> {
        let old = self.wants();
        self.listener.set_wants_alone(wants)?;
        let mut state = self.ear.state.lock();
        state.promiscuous = wants.promiscuous;
        if wants.kind != old.kind {
            state.bytes = 0;
            let gone = core::mem::take(&mut state.frames);
            drop(state);
            drop(gone);
        }
        Ok(())
    }

    /// Tells only of heads from now on.
    pub(super) fn want_heads(&self) {
        self.ear.state.lock().heads = true;
    }

    /// Hears what is for a group, or does not any more.
    ///
    /// # Errors
    /// `bad arg in system call` when it is none; `no free devices` when there are too many.
    pub(super) fn set_group(&self, group: Mac, hears: bool) -> Result<()> {
        if !ether::is_group(&group) {
            return Err(error::EBADARG.into());
        }
        let mut room = heap::try_vec(GROUPS)?;
        let mut state = self.ear.state.lock();
        room.extend(state.groups.iter().filter(|g| **g != group));
        if hears && room.len() == GROUPS {
            return Err(error::ENODEV.into());
        }
        room.extend(hears.then_some(group));
        let old = core::mem::replace(&mut state.groups, room);
        drop(state);
        drop(old);
        Ok(())
    }

    /// Waits for a frame, and gives as much of it as there is room for; the rest is gone.
    ///
    /// # Errors
    /// `interrupted`; `i/o on hungup channel` when the card has gone; a bad user address.
    pub(super) fn read(&self, dst: &mut Dst<'_>) -> Result<usize> {
        let mut frame = None;
        self.ear.arrived.sleep_intr(|| {
            let mut state = self.ear.state.lock();
            frame = state.frames.pop_front();
            state.bytes -= frame.as_ref().map_or(0, |frame| frame.len() + KEPT);
            frame.is_some() || state.over
        })?;
        let frame = frame.ok_or(error::EHUNGUP)?;
        let n = frame.len().min(dst.len());
        dst.put(0, frame.get(..n).unwrap_or(&frame))?;
        Ok(n)
    }

    /// Sends a frame, in the card's name unless the conversation bridges.
    ///
    /// # Errors
    /// `read or write too large` and `too small`; `interrupted` while there is no room; `i/o on hungup channel`.
    pub(super) fn write(&self, src: &Src<'_>) -> Result<usize> {
        let ether = self.ear.card.ether();
        let len = src.len();
        if len > HEADER + ether.mtu() {
            return Err(error::ETOOBIG.into());
        }
        if len < HEADER {
            return Err(error::ETOOSMALL.into());
        }
        let mut frame = src.to_vec(HEADER + ether.mtu())?;
        if !self.wants().bridge
            && let Some(from) = frame.get_mut(6..12)
        {
            from.copy_from_slice(&ether.mac());
        }
        let zeros = [0; SHORTEST];
        let fill = zeros.get(frame.len().min(SHORTEST)..).unwrap_or(&[]);
        let pieces: [&[u8]; 2] = [&frame, fill];
        let mut sent = self.listener.send(&pieces, Unfinished::default());
        if sent == Err(SendError::Full) {
            self.ear.room.sleep_intr(|| {
                sent = self.listener.send_again(&pieces, Unfinished::default());
                sent != Err(SendError::Full)
            })?;
        }
        match sent {
            Ok(()) => Ok(len),
            Err(SendError::Malformed) => Err(error::ETOOBIG.into()),
            Err(SendError::Full | SendError::Gone) => Err(error::EHUNGUP.into()),
        }
    }
}
