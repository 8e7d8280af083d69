//! What a card is: the features that were taken, and what its configuration says (virtio 1.3 sections 5.1.3 and
//! 5.1.4).

use super::receive::{self, BUFFER};
use super::transmit::SLOTS_MOST;
use crate::Failure;
use crate::transport::{self, VERSION_1, VirtioTransport};
use io::ether::{Features, HEADER, Mac};
use machine::{mem, random};

/// Features.
const CHECKSUM: u64 = 1;
const GUEST_CHECKSUM: u64 = 1 << 1;
const MTU: u64 = 1 << 3;
const MAC: u64 = 1 << 5;
const GUEST_TSO4: u64 = 1 << 7;
const GUEST_TSO6: u64 = 1 << 8;
const HOST_TSO4: u64 = 1 << 11;
const HOST_TSO6: u64 = 1 << 12;
const MERGED: u64 = 1 << 15;
const STATUS: u64 = 1 << 16;
/// A legacy device takes head and frame in one piece.
const ANY_LAYOUT: u64 = 1 << 27;
const EVENTS: u64 = 1 << 29;
const SPEED: u64 = 1 << 63;

/// Where the configuration has what.
const MAC_AT: usize = 0;
const STATUS_AT: usize = 6;
const MTU_AT: usize = 10;
const SPEED_AT: usize = 12;

/// Status: the link is up.
const LINK_UP: u16 = 1;
/// Bytes that a frame carries where the device does not say.
const MTU_USUAL: u16 = 1500;
/// The least that every IP wants, and the most that fits into a buffer.
const MTU_LEAST: u16 = 68;
const MTU_MOST: u16 = (BUFFER - receive::BEFORE) as u16;
/// Entries of a ring, at most, if that can be chosen.
const SIZE_MOST: u16 = 256;
/// Buffers each way, and those of a machine with little memory.
const BUFFERS: u16 = 256;
const BUFFERS_FEW: u16 = 64;
const LITTLE: u64 = 64 << 20;

/// What a card is.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    taken: u64,
    /// Its address.
    pub mac: Mac,
    /// Bytes that a frame carries.
    pub mtu: u16,
    /// Millions of bits a second.
    pub mbps: Option<u32>,
}

/// What is wanted of a device, without what cannot be used: TCP in long frames needs the checksum's feature, and what
/// is received so needs merged buffers.
fn wanted(offered: u64, mtu: Option<u16>) -> u64 {
    let mut wanted = CHECKSUM | GUEST_CHECKSUM | MAC | MERGED | STATUS | EVENTS | SPEED;
    if offered & CHECKSUM != 0 {
        wanted |= HOST_TSO4 | HOST_TSO6;
    }
    if offered & GUEST_CHECKSUM != 0 && offered & MERGED != 0 {
        wanted |= GUEST_TSO4 | GUEST_TSO6;
    }
    if mtu.is_some_and(|mtu| (MTU_LEAST..=MTU_MOST).contains(&mtu)) {
        wanted |= MTU;
    }
    wanted
}

impl Shape {
    /// Brings the device to where its queues can be set up.
    ///
    /// # Errors
    /// When it is none that this driver knows.
    pub fn negotiate(device: &dyn VirtioTransport) -> Result<Shape, Failure> {
        let offered = device.offered();
        let offers_mtu = if offered & MTU != 0 { Some(word(device, MTU_AT)?) } else { None };
        let needed = if offered & VERSION_1 == 0 { ANY_LAYOUT } else { 0 };
        let taken = transport::negotiate(device, wanted(offered, offers_mtu), needed)?;
        let mut mac = [0; 6];
        if taken & MAC != 0 {
            device.config_read(MAC_AT, &mut mac)?;
        } else {
            random::fill(&mut mac);
            // One that nobody has given out, and of a single card.
            mac[0] = mac[0] & !1 | 2;
        }
        let mbps = if taken & SPEED != 0 { speed(device)? } else { None };
        let mtu = offers_mtu.filter(|_| taken & MTU != 0).unwrap_or(MTU_USUAL);
        Ok(Shape { taken, mac, mtu, mbps })
    }

    /// After a reset it has to be the same again.
    ///
    /// # Errors
    /// When it is not.
    pub fn again(&self, device: &dyn VirtioTransport) -> Result<(), Failure> {
        let wanted = self.taken & !VERSION_1;
        match transport::negotiate(device, wanted, 0)? {
            taken if taken == self.taken => Ok(()),
            _ => Err(Failure::new("device has changed its features")),
        }
    }

    fn has(&self, feature: u64) -> bool {
        self.taken & feature != 0
    }

    /// Whether the link is up now.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub fn link(&self, device: &dyn VirtioTransport) -> Result<bool, Failure> {
        Ok(!self.has(STATUS) || word(device, STATUS_AT)? & LINK_UP != 0)
    }

    /// Whether heads are full.
    pub fn is_full(&self) -> bool {
        self.has(MERGED) || self.has(VERSION_1)
    }

    /// Whether each side tells of which chain it wants to hear.
    pub fn events(&self) -> bool {
        self.has(EVENTS)
    }

    /// What the card does for who sends.
    pub fn features(&self) -> Features {
        Features {
            checksum: self.has(CHECKSUM),
            cuts_v4: self.has(HOST_TSO4),
            cuts_v6: self.has(HOST_TSO6),
            joins: self.has(GUEST_TSO4 | GUEST_TSO6),
        }
    }

    /// Slots of the longest frame that is sent.
    pub fn slots(&self) -> u16 {
        if self.has(HOST_TSO4 | HOST_TSO6) { SLOTS_MOST } else { 1 }
    }

    /// The size of a ring, and how many buffers it is given.
    ///
    /// # Errors
    /// When there is no such queue, or too small a one.
    pub fn ring(&self, device: &dyn VirtioTransport, queue: u16) -> Result<(u16, u16), Failure> {
        let few = mem::total_bytes() < LITTLE;
        match device.queue_size(queue, SIZE_MOST) {
            0 => Err(Failure::text(alloc::format!("no queue {queue}"))),
            size if size < self.slots() => {
                Err(Failure::text(alloc::format!("queue {queue} has room for {size}")))
            }
            size => Ok((size, size.min(if few { BUFFERS_FEW } else { BUFFERS }))),
        }
    }

    /// What the queue of frames that come is made for.
    pub fn receive(&self, size: u16, buffers: u16) -> receive::Shape {
        receive::Shape {
            size,
            buffers,
            full: self.is_full(),
            merged: self.has(MERGED),
            events: self.events(),
            joins: self.features().joins,
            sums: self.has(GUEST_CHECKSUM),
            mtu: usize::from(self.mtu),
        }
    }

    /// Most bytes of a frame that is not cut.
    pub fn frame_most(&self) -> usize {
        // With a tag of a virtual network behind the addresses.
        HEADER + 4 + usize::from(self.mtu)
    }
}

fn word(device: &dyn VirtioTransport, at: usize) -> Result<u16, Failure> {
    let mut bytes = [0; 2];
    device.config_read(at, &mut bytes)?;
    Ok(u16::from_le_bytes(bytes))
}

/// What the device says of its speed; all ones mean that it does not know.
fn speed(device: &dyn VirtioTransport) -> Result<Option<u32>, Failure> {
    let mut bytes = [0; 4];
    device.config_read(SPEED_AT, &mut bytes)?;
    Ok(Some(u32::from_le_bytes(bytes)).filter(|mbps| *mbps <= i32::MAX as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_used_is_wanted() {
        let tso = HOST_TSO4 | HOST_TSO6 | GUEST_TSO4 | GUEST_TSO6;
        let all = CHECKSUM | GUEST_CHECKSUM | MERGED | tso | MTU;
        assert_eq!(wanted(all, Some(1400)) & all, all);
        assert_eq!(wanted(all & !CHECKSUM, None) & tso, GUEST_TSO4 | GUEST_TSO6);
        assert_eq!(wanted(all & !MERGED, None) & tso, HOST_TSO4 | HOST_TSO6);
        assert_eq!(wanted(all & !GUEST_CHECKSUM, None) & tso, HOST_TSO4 | HOST_TSO6);
        for mtu in [None, Some(0), Some(67), Some(2040), Some(9000)] {
            assert_eq!(wanted(all, mtu) & MTU, 0, "{mtu:?}");
        }
    }
}
