//! A network card as the kernel shares it: who sends by it, and who hears what comes.
//!
//! A frame that comes is handed to every [`Listener`] that [wants](Wants) it, on the driver's thread, as
//! [`Receiver::receive`]. What one of them sends goes to the card, and to the others where they want it: what is for
//! the card itself or for everybody, and all of it to those who are promiscuous.
//!
//! Locks: `ears` guards which listeners there are, and is not held while they are told: who has just left may be told
//! once more. Behind it `wants`, which is a leaf.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::error;
use io::Ether;
use io::ether::{self, BROADCAST, Frame, HEADER, PIECES, Receiver, SendError, Sum, UNCUT_MOST, Unfinished};
use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;

use crate::error::Result;

/// Most listeners of a card.
pub const LISTENERS_MOST: usize = 64;

/// What a listener wants to hear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Which frames, by what they carry.
    pub kind: Kind,
    /// Those for others, too, and what is sent.
    pub promiscuous: bool,
    /// Nothing that was sent from here in another card's name: who bridges sent that.
    pub bridge: bool,
    /// What it sends itself, too, where others would hear that.
    pub itself: bool,
}

/// Frames by what they carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// None.
    #[default]
    Nothing,
    /// Those of this type.
    Only(u16),
    /// All.
    All,
}

impl Wants {
    /// Whether it wants this frame; `sent` says that it does not come from the wire.
    fn frame(&self, frame: &Frame<'_>, mac: &ether::Mac, sent: bool) -> bool {
        let kind = match self.kind {
            Kind::Nothing => false,
            Kind::Only(kind) => kind == frame.kind(),
            Kind::All => true,
        };
        let to = frame.to();
        let bridged = self.bridge && sent && frame.from() != *mac;
        kind && !bridged && (self.promiscuous || to == *mac || ether::is_group(&to))
    }
}

struct Ear {
    wants: Lock<Wants>,
    receiver: Arc<dyn Receiver>,
}

/// A card and its listeners.
pub struct Card {
    ether: Arc<dyn Ether>,
    ears: Lock<Arc<Vec<Arc<Ear>>>>,
    unheard: AtomicU64,
}

/// The cards of the machine, in the order of their numbers: `#l0` is the first.
pub fn cards(ethers: Vec<Arc<dyn Ether>>) -> Vec<Arc<Card>> {
    ethers.into_iter().map(Card::new).collect()
}

impl Card {
    /// Takes a card, which is nobody else's.
    pub fn new(ether: Arc<dyn Ether>) -> Arc<Card> {
        let card = Arc::new(Card { ether, ears: Lock::default(), unheard: AtomicU64::new(0) });
        card.ether.connect(card.clone());
        card
    }

    /// The card itself.
    pub fn ether(&self) -> &dyn Ether {
        &*self.ether
    }

    /// Frames that came and that nobody wanted.
    pub fn unheard(&self) -> u64 {
        self.unheard.load(Relaxed)
    }

    /// How many want what others send, and what is for others.
    pub fn promiscuous(&self) -> usize {
        self.ears.lock().clone().iter().filter(|ear| ear.wants.lock().promiscuous).count()
    }

    /// Whether anybody wants what others send.
    fn is_watched(&self) -> bool {
        self.ears.lock().iter().any(|ear| ear.wants.lock().promiscuous)
    }

    /// One more listener. `receiver` is told what happens for as long as what this gives is there.
    ///
    /// # Errors
    /// `no free devices` when there are [`LISTENERS_MOST`]; `kernel allocate failed`.
    pub fn listen(self: &Arc<Self>, wants: Wants, receiver: Arc<dyn Receiver>) -> Result<Listener> {
        let ear = Arc::new(Ear { wants: Lock::new(wants), receiver });
        let new = ear.clone();
        self.change(|old, ears| {
            if old.len() >= LISTENERS_MOST {
                return Err(error::ENODEV.into());
            }
            // It is the card's, whoever listens.
            as_kernel(|| heap::try_reserve(ears, old.len() + 1))?;
            ears.extend(old.iter().cloned().chain([new.clone()]));
            Ok(())
        })?;
        Ok(Listener { card: self.clone(), ear })
    }

    /// Replaces the list of listeners by one that `make` fills, which is given the old one.
    fn change(&self, make: impl Fn(&[Arc<Ear>], &mut Vec<Arc<Ear>>) -> Result<()>) -> Result<()> {
        loop {
            let old = self.ears.lock().clone();
            let mut ears = Vec::new();
            make(&old, &mut ears)?;
            let new = as_kernel(|| Arc::new(ears));
            let mut now = self.ears.lock();
            if Arc::ptr_eq(&old, &now) {
                let gone = core::mem::replace(&mut *now, new);
                drop(now);
                drop(gone);
                return Ok(());
            }
        }
    }

    /// Hands a frame over; whether anybody wanted it.
    fn tell(&self, frame: &Frame<'_>, sender: Option<&Arc<Ear>>) -> bool {
        let (mac, ears) = (self.ether.mac(), self.ears.lock().clone());
        let mut heard = false;
        for ear in ears.iter() {
            let wants = *ear.wants.lock();
            let itself = sender.is_some_and(|sender| Arc::ptr_eq(sender, ear)) && !wants.itself;
            if !itself && wants.frame(frame, &mac, sender.is_some()) {
                heard = true;
                ear.receiver.receive(frame);
            }
        }
        heard
    }

    /// Sends a frame; if it `tells`, those who want to hear what is sent hear of it before the card does: nobody hears
    /// an answer before the question.
    fn send(
        &self,
        frame: &[&[u8]],
        unfinished: Unfinished,
        sender: &Arc<Ear>,
        tells: bool,
    ) -> core::result::Result<(), SendError> {
        let mut header = [0; HEADER];
        let len = frame.iter().map(|piece| piece.len()).sum::<usize>();
        // With a tag of a virtual network behind the addresses.
        let most = if unfinished.cut.is_some() { UNCUT_MOST } else { HEADER + 4 + self.ether.mtu() };
        if frame.len() > PIECES || !(HEADER..=most).contains(&len) {
            return Err(SendError::Malformed);
        }
        let first = match frame.first() {
            // As it mostly is.
            Some(first) if first.len() >= HEADER => first,
            _ => {
                frame.iter().copied().flatten().zip(&mut header).for_each(|(from, to)| *to = *from);
                &header[..]
            }
        };
        let to = Frame { bytes: first, sum: Sum::Unknown }.to();
        let own = to == self.ether.mac();
        if own || tells && (to == BROADCAST || self.is_watched()) {
            // Who only listens does without when there is no memory.
            let whole = heap::try_vec(len).map(|mut whole: Vec<u8>| {
                frame.iter().for_each(|piece| whole.extend_from_slice(piece));
                whole
            });
            if let Ok(bytes) = whole {
                let sum = unfinished.checksum.map_or(Sum::Unknown, Sum::Missing);
                self.tell(&Frame { bytes: &bytes, sum }, Some(sender));
            } else if own {
                return Err(SendError::Full);
            }
        }
        if own { Ok(()) } else { self.ether.send(frame, unfinished) }
    }
}

impl Receiver for Card {
    fn receive(&self, frame: &Frame<'_>) {
        if !self.tell(frame, None) {
            self.unheard.fetch_add(1, Relaxed);
        }
    }

    fn rest(&self) {
        let ears = self.ears.lock().clone();
        ears.iter().for_each(|ear| ear.receiver.rest());
    }

    fn changed(&self) {
        let ears = self.ears.lock().clone();
        ears.iter().for_each(|ear| ear.receiver.changed());
    }
}

/// A place at a card, from which one sends and hears. It is free again when this goes.
pub struct Listener {
    card: Arc<Card>,
    ear: Arc<Ear>,
}

impl Listener {
    /// The card.
    pub fn card(&self) -> &Arc<Card> {
        &self.card
    }

    /// What is heard.
    pub fn wants(&self) -> Wants {
        *self.ear.wants.lock()
    }

    /// Wants something else from now on.
    pub fn set_wants(&self, wants: Wants) {
        *self.ear.wants.lock() = wants;
    }

    /// As [`Listener::set_wants`], unless another listener wants the same one kind: two that answer what comes would be
    /// in each other's way.
    ///
    /// # Errors
    /// `device or object already in use`.
    pub fn set_wants_alone(&self, wants: Wants) -> Result<()> {
        let ears = self.card.ears.lock();
        let same = |ear: &Arc<Ear>| !Arc::ptr_eq(ear, &self.ear) && ear.wants.lock().kind == wants.kind;
        if matches!(wants.kind, Kind::Only(_)) && ears.iter().any(same) {
            return Err(error::EINUSE.into());
        }
        *self.ear.wants.lock() = wants;
        Ok(())
    }

    /// Sends a frame, given as to [`Ether::send`]. What is for this card itself only goes to its listeners. Those who
    /// hear what is sent hear of one that is refused for want of room, too.
    ///
    /// # Errors
    /// As [`Ether::send`].
    pub fn send(&self, frame: &[&[u8]], unfinished: Unfinished) -> core::result::Result<(), SendError> {
        self.card.send(frame, unfinished, &self.ear, true)
    }

    /// Sends a frame again that was refused for want of room: all have heard of it.
    ///
    /// # Errors
    /// As [`Ether::send`].
    pub fn send_again(&self, frame: &[&[u8]], unfinished: Unfinished) -> core::result::Result<(), SendError> {
        self.card.send(frame, unfinished, &self.ear, false)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let left = self.card.change(|old, ears| {
            // The new list is no longer than the old one, which goes; a small block is the call's own.
            ears.reserve_exact(old.len().saturating_sub(1));
            ears.extend(old.iter().filter(|ear| !Arc::ptr_eq(ear, &self.ear)).cloned());
            Ok(())
        });
        debug_assert!(left.is_ok());
    }
}
