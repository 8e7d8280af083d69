//! The ring against a device that is played by the test.

use super::descriptor::{INDIRECT, NEXT, WRITE};
use super::*;
use crate::fake::Noise;
use alloc::vec;
use machine::host::dma::{peek, poke};

/// The device's side of a ring.
pub(super) struct Peer {
    pub(super) at: RingAddress,
    next: u16,
    done: u16,
}

impl Peer {
    pub(super) fn new<T>(queue: &Queue<T>) -> Peer {
        Peer { at: queue.address(), next: 0, done: 0 }
    }

    pub(super) fn take(&mut self) -> Option<u16> {
        if get16(self.at.available + 2) == self.next {
            return None;
        }
        let id = get16(self.at.available + 4 + 2 * u64::from(self.next % self.at.size));
        self.next = self.next.wrapping_add(1);
        Some(id)
    }

    pub(super) fn give(&mut self, id: u32, len: u32) {
        let entry = self.at.used + 4 + 8 * u64::from(self.done % self.at.size);
        assert!(poke(entry, &id.to_le_bytes()) && poke(entry + 4, &len.to_le_bytes()));
        self.done = self.done.wrapping_add(1);
        assert!(poke(self.at.used + 2, &self.done.to_le_bytes()));
    }

    /// Segments of a chain: address, length, flags, in order.
    fn chain(&self, id: u16) -> Vec<(u64, u32, u16)> {
        let mut found = vec![];
        let (mut table, mut at) = (self.at.descriptors, id);
        loop {
            let mut b = [0; 16];
            assert!(peek(table + 16 * u64::from(at), &mut b));
            let (phys, len) = (
                u64::from_le_bytes(b[..8].try_into().unwrap()),
                u32::from_le_bytes(b[8..12].try_into().unwrap()),
            );
            let (flags, next) = (u16::from_le_bytes([b[12], b[13]]), u16::from_le_bytes([b[14], b[15]]));
            if flags & INDIRECT != 0 {
                (table, at) = (phys, 0);
                continue;
            }
            found.push((phys, len, flags));
            if flags & NEXT == 0 {
                return found;
            }
            at = next;
        }
    }
}

pub(super) fn get16(phys: u64) -> u16 {
    let mut b = [0; 2];
    assert!(peek(phys, &mut b));
    u16::from_le_bytes(b)
}

pub(super) fn segments(n: u64) -> impl Iterator<Item = Segment> + Clone {
    (0..n).map(move |i| Segment { phys: 0x1000 * (i + 1), len: 10 + i as u32, write: i >= n / 2 })
}

fn send(queue: &mut Queue<u32>, token: u32, n: u64) -> Result<(), Full> {
    let chain = queue.prepare(segments(n))?;
    queue.publish(chain, token, 1000);
    Ok(())
}

#[test]
fn layout_is_the_one_that_every_transport_takes() {
    let queue = Queue::<u32>::new(128, 128, true).unwrap();
    let at = queue.address();
    assert_eq!(
        (at.descriptors % 4096, at.available - at.descriptors, at.used - at.descriptors),
        (0, 2048, 4096)
    );
}

#[test]
fn chains_arrive_as_they_were_given() {
    for indirect in [false, true] {
        let mut queue = Queue::new(16, 8, indirect).unwrap();
        let mut peer = Peer::new(&queue);
        for n in 1..=8 {
            send(&mut queue, n, u64::from(n)).unwrap();
            let id = peer.take().unwrap();
            let got: Vec<_> =
                peer.chain(id).iter().map(|&(phys, len, flags)| (phys, len, flags & WRITE != 0)).collect();
            let want: Vec<_> = segments(u64::from(n)).map(|s| (s.phys, s.len, s.write)).collect();
            assert_eq!(got, want);
            peer.give(u32::from(id), n);
            assert_eq!(queue.pop(), Ok(Some((n, n))));
            assert_eq!((queue.pop(), queue.in_flight()), (Ok(None), 0));
        }
    }
}

#[test]
fn a_full_ring_refuses_and_recovers() {
    for (indirect, capacity) in [(true, 8), (false, 2)] {
        let mut queue = Queue::new(8, 4, indirect).unwrap();
        let mut peer = Peer::new(&queue);
        for round in 0..3 {
            let mut sent = 0;
            while send(&mut queue, sent, 4).is_ok() {
                sent += 1;
            }
            assert_eq!((sent, queue.tokens().count()), (capacity, capacity as usize), "round {round}");
            assert_eq!(send(&mut queue, 9, 4), Err(Full));
            while let Some(id) = peer.take() {
                peer.give(u32::from(id), 0);
            }
            while queue.pop().unwrap().is_some() {}
        }
        assert_eq!(send(&mut queue, 0, 5), Err(Full), "longer than it was made for");
        assert!(queue.prepare(core::iter::empty()).is_err());
    }
}

#[test]
fn indices_wrap_and_order_does_not_matter() {
    let mut noise = Noise::new(1);
    for indirect in [false, true] {
        let mut queue = Queue::new(16, 4, indirect).unwrap();
        let mut peer = Peer::new(&queue);
        let mut held: Vec<u16> = vec![];
        let (mut sent, mut back) = (0u32, vec![false; 70_000]);
        // More than once around the 16 bits.
        while sent < 70_000 {
            while sent < 70_000 && send(&mut queue, sent, 1 + noise.below(4)).is_ok() {
                sent += 1;
            }
            held.extend(core::iter::from_fn(|| peer.take()));
            for _ in 0..1 + noise.below(held.len() as u64) {
                let id = held.swap_remove(noise.below(held.len() as u64) as usize);
                peer.give(u32::from(id), u32::from(id));
            }
            while let Some((token, _)) = queue.pop().unwrap() {
                assert!(!core::mem::replace(&mut back[token as usize], true), "{token} twice");
            }
        }
        assert_eq!(back.iter().filter(|b| !**b).count(), usize::from(queue.in_flight()));
    }
}

#[test]
fn lies_are_caught_and_stay_caught() {
    type Act = fn(&mut Peer, u16);
    let lies: [(&str, Act); 5] = [
        ("device returned a request that cannot exist", |p, _| p.give(8, 0)),
        ("device returned a request that cannot exist", |p, _| p.give(u32::MAX, 0)),
        ("device returned a request that it did not have", |p, id| p.give(u32::from(id ^ 1), 0)),
        ("device wrote more than it was given room for", |p, id| p.give(u32::from(id), 1001)),
        ("device returned more requests than it was given", |p, _| {
            assert!(poke(p.at.used + 2, &40000u16.to_le_bytes()));
        }),
    ];
    for (how, act) in lies {
        let mut queue = Queue::new(8, 4, true).unwrap();
        let mut peer = Peer::new(&queue);
        send(&mut queue, 5, 2).unwrap();
        let id = peer.take().unwrap();
        act(&mut peer, id);
        assert_eq!(queue.pop(), Err(RuleBroken(how)));
        assert_eq!(queue.pop(), Err(RuleBroken(how)), "and nothing comes out any more");
        assert_eq!((queue.in_flight(), queue.abandon(), queue.abandon()), (1, Some(5), None));
        queue.clear();
        let mut peer = Peer::new(&queue);
        send(&mut queue, 6, 2).unwrap();
        let id = peer.take().unwrap();
        peer.give(u32::from(id), 0);
        assert_eq!(queue.pop(), Ok(Some((6, 0))));
    }
}

#[test]
fn a_chain_returned_twice_is_a_lie() {
    let mut queue = Queue::new(8, 4, true).unwrap();
    let mut peer = Peer::new(&queue);
    send(&mut queue, 1, 2).unwrap();
    send(&mut queue, 2, 2).unwrap();
    let id = peer.take().unwrap();
    peer.give(u32::from(id), 0);
    peer.give(u32::from(id), 0);
    assert_eq!(queue.pop(), Ok(Some((1, 0))));
    assert!(queue.pop().is_err());
}

#[test]
fn a_device_that_scribbles_over_the_descriptors_confuses_nobody() {
    let mut queue = Queue::new(8, 4, false).unwrap();
    let mut peer = Peer::new(&queue);
    for round in 0..20 {
        send(&mut queue, round, 3).unwrap();
        send(&mut queue, round + 100, 4).unwrap();
        let (a, b) = (peer.take().unwrap(), peer.take().unwrap());
        assert_eq!(peer.chain(b).len(), 4);
        assert!(poke(peer.at.descriptors, &[0xFF; 128]) && poke(peer.at.available, &[0xFF; 2]));
        peer.give(u32::from(b), 1);
        peer.give(u32::from(a), 2);
        assert_eq!(queue.pop(), Ok(Some((round + 100, 1))));
        assert_eq!(queue.pop(), Ok(Some((round, 2))));
    }
}
