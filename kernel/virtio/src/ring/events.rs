//! Who wants to hear of what: the device of new chains, the driver of finished ones (virtio 1.3 sections 2.7.7 and
//! 2.7.10).
//!
//! Without EVENT_IDX each side has a flag that the other one looks at. With it each says of which chain it wants to
//! hear next, and of no others: so one that is busy is left alone without having to say so.

use super::{Queue, USED};
use machine::dma::fence;

/// Used flag: the device does not want to be notified.
const NO_NOTIFY: u16 = 1;
/// Available flag: the driver does not want to be interrupted.
const NO_INTERRUPT: u16 = 1;

impl<T> Queue<T> {
    /// With or without EVENT_IDX; before the device knows the ring.
    pub fn with_events(mut self, events: bool) -> Queue<T> {
        self.events = events;
        self
    }

    /// Whether the device wants to be told of what has been published since this was asked last.
    pub fn wants_notify(&mut self) -> bool {
        // The index must be out before the flag is read, or both sides could wait for each other.
        fence();
        let since = self.shown.wrapping_sub(core::mem::replace(&mut self.told, self.shown));
        if !self.events {
            return self.ring.get_u16(self.used) & NO_NOTIFY == 0;
        }
        let wanted = self.ring.get_u16(self.used + 4 + USED * usize::from(self.size));
        self.shown.wrapping_sub(wanted).wrapping_sub(1) < since
    }

    /// The device need not interrupt from now on; it may all the same.
    pub fn be_deaf(&mut self) {
        // With events it interrupts for the chain that was named, and for no other until one is named again.
        if !self.events {
            self.ring.set_u16(self.available, NO_INTERRUPT);
        }
    }

    /// The device is to interrupt when it has finished `more` chains, counted from what was taken back; a device
    /// without EVENT_IDX does at each. True: they are finished already, and there need not be an interrupt.
    pub fn listen_for(&mut self, more: u16) -> bool {
        let last = self.taken.wrapping_add(more.max(1)).wrapping_sub(1);
        match self.events {
            true => self.ring.set_u16(self.available + 4 + 2 * usize::from(self.size), last),
            false => self.ring.set_u16(self.available, 0),
        }
        // It must be out before the index is read, or both sides could wait for each other.
        fence();
        self.waiting() >= more.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::tests::{Peer, get16, segments};
    use machine::host::dma::poke;

    fn publish(queue: &mut Queue<u32>, n: u32) {
        for token in 0..n {
            let chain = queue.prepare(segments(1)).unwrap();
            queue.publish(chain, token, 1000);
        }
    }

    #[test]
    fn with_flags_each_side_hears_of_everything_or_nothing() {
        machine::host::new_machine();
        let mut queue = Queue::<u32>::new(8, 1, false).unwrap();
        let mut peer = Peer::new(&queue);
        publish(&mut queue, 1);
        assert!(queue.wants_notify() && queue.wants_notify());
        assert!(poke(peer.at.used, &[1, 0]));
        assert!(!queue.wants_notify());
        queue.be_deaf();
        assert_eq!(get16(peer.at.available), 1);
        assert!(!queue.listen_for(1));
        assert_eq!(get16(peer.at.available), 0);
        let id = peer.take().unwrap();
        peer.give(u32::from(id), 0);
        assert!(queue.listen_for(1) && queue.listen_for(0) && !queue.listen_for(2));
    }

    #[test]
    fn with_events_each_side_hears_of_what_it_has_named_also_when_numbers_begin_again() {
        machine::host::new_machine();
        let mut queue = Queue::<u32>::new(8, 1, false).unwrap().with_events(true);
        let mut peer = Peer::new(&queue);
        let (used_event, avail_event) = (peer.at.available + 4 + 16, peer.at.used + 4 + 64);
        for round in (0..70_000u32).step_by(7) {
            let first = round as u16;
            // It wants to hear of the third from here on.
            assert!(poke(avail_event, &first.wrapping_add(2).to_le_bytes()));
            publish(&mut queue, 2);
            assert!(!queue.wants_notify(), "{round}");
            publish(&mut queue, 2);
            assert!(queue.wants_notify(), "{round}");
            publish(&mut queue, 3);
            assert!(!queue.wants_notify(), "{round}: it has not named another one");
            assert!(!queue.listen_for(4));
            assert_eq!(get16(used_event), first.wrapping_add(3));
            for n in 1..=7 {
                let id = peer.take().unwrap();
                peer.give(u32::from(id), 0);
                assert_eq!(queue.listen_for(4), n >= 4, "{round}");
            }
            queue.be_deaf();
            assert_eq!(get16(peer.at.available), 0, "there is no flag");
            while queue.pop().unwrap().is_some() {}
        }
    }
}
