//! Neighbours: which card an address on a network has. What is to go to one whose card is not known yet waits here.
//!
//! Each is asked for by itself, once a second, and given up after [`TIMES`] questions. One from whom nothing has come
//! for [`FRESH_NS`] is asked again while packets still go to it. Of the [`MOST`] that there may be the one that has
//! been used least recently gives way. All of it is a function of the time that it is told.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use machine::heap;
use machine::ledger::as_kernel;
use smoltcp::wire::IpAddress;

/// The address of a card.
pub(crate) type Mac = [u8; 6];

/// Neighbours of an interface at most.
pub(crate) const MOST: usize = 256;
/// How long until one is asked again.
const AGAIN_NS: u64 = 1_000_000_000;
/// How often one is asked who does not answer.
const TIMES: u8 = 3;
/// How long one is believed from whom nothing comes.
const FRESH_NS: u64 = 60_000_000_000;
/// Packets that wait for one, and bytes of all that wait.
const WAITING: usize = 32;
const WAITING_BYTES: usize = 256 << 10;

/// What is known of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has been asked for.
    Asked,
    /// It has said so.
    Known,
    /// The machine's owner has said so.
    Told,
}

/// See the module comment.
pub(crate) struct Neighbour {
    pub(crate) addr: IpAddress,
    pub(crate) mac: Mac,
    pub(crate) state: State,
    used_ns: u64,
    heard_ns: u64,
    asked_ns: u64,
    times: u8,
    /// Somebody has said that it has another card.
    is_doubted: bool,
    waiting: VecDeque<Vec<u8>>,
}

/// What becomes of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// The card that it goes to; none if it has to wait.
    pub(crate) mac: Option<Mac>,
    /// It is to be asked for.
    pub(crate) asks: bool,
}

/// The neighbours of an interface.
#[derive(Default)]
pub(crate) struct Near {
    all: Vec<Neighbour>,
    /// Where the last one was found.
    last: usize,
    waiting_bytes: usize,
    /// Packets that were dropped because nobody answered, or for want of room.
    pub(crate) dropped: u64,
}

impl Near {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Neighbour> {
        self.all.iter()
    }

    fn find(&mut self, addr: &IpAddress) -> Option<&mut Neighbour> {
        if self.all.get(self.last).is_none_or(|n| n.addr != *addr) {
            self.last = self.all.iter().position(|n| n.addr == *addr)?;
        }
        self.all.get_mut(self.last)
    }

    /// One more, for which another may have to go.
    fn add(&mut self, new: Neighbour) -> Option<&mut Neighbour> {
        if self.all.len() >= MOST {
            let rest = self.all.iter().enumerate().filter(|(_, n)| n.state != State::Told);
            let (at, _) = rest.min_by_key(|(_, n)| n.used_ns)?;
            self.take(at);
        }
        as_kernel(|| heap::try_push(&mut self.all, new)).ok()?;
        self.last = self.all.len() - 1;
        self.all.last_mut()
    }

    fn take(&mut self, at: usize) {
        let gone = self.all.swap_remove(at);
        self.dropped += gone.waiting.len() as u64;
        self.waiting_bytes -= gone.waiting.iter().map(Vec::len).sum::<usize>();
    }

    /// Where a packet for a neighbour goes.
    pub(crate) fn way(&mut self, addr: IpAddress, now_ns: u64) -> Way {
        if let Some(n) = self.find(&addr) {
            n.used_ns = now_ns;
            let is_old =
                n.state == State::Known && (n.is_doubted || now_ns.saturating_sub(n.heard_ns) >= FRESH_NS);
            let mut asks = false;
            if is_old && now_ns.saturating_sub(n.asked_ns) >= AGAIN_NS {
                if n.times < TIMES {
                    (n.times, n.asked_ns, asks) = (n.times + 1, now_ns, true);
                } else {
                    // Another card may have the address now.
                    (n.state, n.times, n.asked_ns, asks) = (State::Asked, 1, now_ns, true);
                }
            }
            return Way { mac: (n.state != State::Asked).then_some(n.mac), asks };
        }
        let times = [now_ns; 2];
        let asks = self.add(Neighbour::new(addr, [0; 6], State::Asked, times)).is_some();
        Way { mac: None, asks }
    }

    /// Keeps a packet until it is known where to.
    pub(crate) fn wait(&mut self, addr: &IpAddress, packet: &[u8]) {
        let room = WAITING_BYTES - self.waiting_bytes;
        let kept = self.find(addr).is_some_and(|n| {
            n.waiting.len() < WAITING
                && packet.len() <= room
                && as_kernel(|| heap::try_push_back(&mut n.waiting, heap::try_copy(packet)?)).is_ok()
        });
        if kept { self.waiting_bytes += packet.len() } else { self.dropped += 1 }
    }

    /// A neighbour has said which card it has. One that is new is kept if it `asks` for us. What waits for it may go.
    pub(crate) fn heard(&mut self, addr: IpAddress, mac: Mac, asks: bool, now_ns: u64) -> VecDeque<Vec<u8>> {
        let Some(n) = self.find(&addr) else {
            if asks {
                self.add(Neighbour::new(addr, mac, State::Known, [now_ns; 2]));
            }
            return VecDeque::new();
        };
        if n.state == State::Told {
            return VecDeque::new();
        }
        (n.mac, n.state, n.heard_ns, n.times) = (mac, State::Known, now_ns, 0);
        n.is_doubted = false;
        let waiting = core::mem::take(&mut n.waiting);
        self.waiting_bytes -= waiting.iter().map(Vec::len).sum::<usize>();
        waiting
    }

    /// Whether a neighbour is known by another card than this, which somebody has said that it has, and not that he is
    /// to be believed rather than others (RFC 4861, section 7.2.5). It keeps the card that it has, which is asked.
    pub(crate) fn doubt(&mut self, addr: &IpAddress, mac: &Mac) -> bool {
        let known = self.find(addr).filter(|n| n.state != State::Asked && n.mac != *mac);
        known.map(|n| n.is_doubted = true).is_some()
    }

    /// Something has come from a neighbour: it has still the card that it had.
    pub(crate) fn confirm(&mut self, addr: &IpAddress, mac: &Mac, now_ns: u64) {
        if let Some(n) = self.find(addr)
            && n.state == State::Known
            && n.mac == *mac
        {
            (n.heard_ns, n.times, n.is_doubted) = (now_ns, 0, false);
        }
    }

    /// The machine's owner says which card an address has. What waits for it may go. None when there is no room for
    /// one more, since all others are the owner's, too, or no memory.
    pub(crate) fn tell(&mut self, addr: IpAddress, mac: Mac, now_ns: u64) -> Option<VecDeque<Vec<u8>>> {
        let waiting = self.heard(addr, mac, true, now_ns);
        let n = self.find(&addr)?;
        (n.mac, n.state) = (mac, State::Told);
        Some(waiting)
    }

    /// Forgets a neighbour; whether it was there.
    pub(crate) fn forget(&mut self, addr: &IpAddress) -> bool {
        let at = self.all.iter().position(|n| n.addr == *addr);
        at.map(|at| self.take(at)).is_some()
    }

    /// Forgets them all.
    pub(crate) fn flush(&mut self) {
        while !self.all.is_empty() {
            self.take(self.all.len() - 1);
        }
    }

    /// When something is to be done that nobody sends for.
    pub(crate) fn soonest_ns(&self) -> u64 {
        let asked = self.all.iter().filter(|n| n.state == State::Asked);
        asked.map(|n| n.asked_ns.saturating_add(AGAIN_NS)).min().unwrap_or(u64::MAX)
    }

    /// The next one that is to be asked for again, after those have gone that have been asked for often enough.
    pub(crate) fn late(&mut self, now_ns: u64) -> Option<IpAddress> {
        let is_late =
            |n: &Neighbour| n.state == State::Asked && now_ns.saturating_sub(n.asked_ns) >= AGAIN_NS;
        while let Some(at) = self.all.iter().position(is_late) {
            match self.all.get_mut(at) {
                Some(n) if n.times < TIMES => {
                    (n.times, n.asked_ns) = (n.times + 1, now_ns);
                    return Some(n.addr);
                }
                _ => self.take(at),
            }
        }
        None
    }
}

impl Neighbour {
    fn new(addr: IpAddress, mac: Mac, state: State, [now_ns, asked_ns]: [u64; 2]) -> Neighbour {
        let times = u8::from(state == State::Asked);
        let (waiting, is_doubted) = (VecDeque::new(), false);
        Neighbour {
            addr,
            mac,
            state,
            used_ns: now_ns,
            heard_ns: now_ns,
            asked_ns,
            times,
            is_doubted,
            waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MAC: Mac = [2, 0, 0, 0, 0, 9];
    const GOES: Way = Way { mac: Some(MAC), asks: false };
    const ASKS: Way = Way { mac: None, asks: true };
    const WAITS: Way = Way { mac: None, asks: false };

    fn addr(n: u8) -> IpAddress {
        IpAddress::v4(10, 0, (n / 100) + 1, n)
    }

    #[test]
    fn each_is_asked_for_by_itself_once_a_second_and_given_up() {
        let mut near = Near::default();
        assert_eq!(near.way(addr(1), 0), ASKS);
        near.wait(&addr(1), &[1; 100]);
        assert_eq!(near.way(addr(2), 1), ASKS);
        assert_eq!(near.way(addr(1), 2), WAITS);
        assert_eq!((near.late(SECOND - 1), near.soonest_ns()), (None, SECOND));
        assert_eq!(near.late(SECOND), Some(addr(1)));
        assert_eq!(near.late(SECOND), None);
        assert_eq!(near.late(SECOND + 1), Some(addr(2)));
        assert_eq!(near.late(2 * SECOND), Some(addr(1)));
        assert_eq!(near.late(3 * SECOND), Some(addr(2)));
        assert_eq!((near.iter().count(), near.dropped, near.waiting_bytes), (1, 1, 0));
        assert_eq!(near.way(addr(1), 3 * SECOND), ASKS);
    }

    #[test]
    fn what_waits_goes_in_its_order_and_has_an_end() {
        let mut near = Near::default();
        assert_eq!(near.way(addr(1), 0), ASKS);
        for n in 0..WAITING as u8 + 5 {
            near.wait(&addr(1), &[n]);
        }
        assert_eq!(near.dropped, 5);
        let waiting = near.heard(addr(1), MAC, false, 1);
        assert!(waiting.iter().map(|p| p[0]).eq(0..WAITING as u8));
        assert_eq!((near.waiting_bytes, near.way(addr(1), 2)), (0, GOES));
        // Who was not asked for is not kept, unless it asks itself.
        near.heard(addr(3), MAC, false, 2);
        assert_eq!(near.iter().count(), 1);
        near.heard(addr(3), MAC, true, 2);
        assert_eq!(near.way(addr(3), 2), GOES);
    }

    #[test]
    fn who_is_silent_is_asked_again_and_then_not_believed() {
        let mut near = Near::default();
        near.heard(addr(1), MAC, true, 0);
        assert_eq!(near.way(addr(1), FRESH_NS - 1), GOES);
        let again = Way { mac: Some(MAC), asks: true };
        assert_eq!(near.way(addr(1), FRESH_NS), again);
        assert_eq!(near.way(addr(1), FRESH_NS + 1), GOES);
        near.confirm(&addr(1), &[7; 6], FRESH_NS + 2);
        assert_eq!(near.way(addr(1), FRESH_NS + SECOND), again);
        assert_eq!(near.way(addr(1), FRESH_NS + 2 * SECOND), again);
        assert_eq!(near.way(addr(1), FRESH_NS + 3 * SECOND), ASKS);
        near.heard(addr(1), MAC, false, FRESH_NS + 3 * SECOND);
        near.confirm(&addr(1), &MAC, 2 * FRESH_NS);
        assert_eq!(near.way(addr(1), 3 * FRESH_NS - 1), GOES);
    }

    #[test]
    fn what_the_owner_says_stays() {
        let mut near = Near::default();
        assert!(near.tell(addr(1), MAC, 0).unwrap().is_empty());
        near.heard(addr(1), [7; 6], true, 1);
        assert_eq!(near.way(addr(1), 10 * FRESH_NS), GOES);
        for n in 0..=255 {
            for high in 0..2 {
                near.way(IpAddress::v4(10, 1, high, n), 1);
            }
        }
        assert_eq!((near.iter().count(), near.way(addr(1), 10 * FRESH_NS)), (MOST, GOES));
        assert!(near.forget(&addr(1)) && !near.forget(&addr(1)));
        near.flush();
        assert_eq!((near.iter().count(), near.soonest_ns()), (0, u64::MAX));
        // It may say so of as many as there is room for; of those it may change its mind.
        let all = |high: u8| (0..=255).map(move |n| IpAddress::v4(10, 1, high, n));
        assert!(all(0).all(|addr| near.tell(addr, MAC, 2).is_some()));
        assert!(all(1).all(|addr| near.tell(addr, MAC, 2).is_none()));
        assert!(all(0).all(|addr| near.tell(addr, [8; 6], 3).is_some()));
        assert!(near.iter().count() == MOST && near.iter().all(|n| n.mac == [8; 6]));
    }
}
