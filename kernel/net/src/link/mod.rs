//! A card's end of a wire: frames around packets of IP. Finds the neighbour that a packet goes to, has those that are
//! not known asked for ([`talk`], [`near`](crate::near)), and leaves to the card what that can do: checksums, and the
//! cutting of long TCP. What the card has no room for waits here, and smoltcp meanwhile sends nothing.

mod talk;

pub(crate) use talk::solicited;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use machine::heap;
use machine::ledger::as_kernel;
use smoltcp::wire::{IpAddress, IpCidr, Ipv4Address, Ipv6Address};

use crate::cut;
use crate::ifc::chance;
use crate::near::{Mac, Near};
use crate::paths::Paths;
use crate::pieces;
use crate::sums;
use crate::talk::Goes;
use crate::talk::unsent::PIECES;
use crate::wire::ETHERNET;

/// Types of frames.
pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const ARP: u16 = 0x0806;
pub(crate) const IPV6: u16 = 0x86dd;
const EVERYBODY: Mac = [0xff; 6];
/// Packets of so many bytes go anywhere in one piece, if the card itself takes them.
const LEAST: usize = 576;
/// Bytes of frames that wait for room at the card.
const HELD: usize = 512 << 10;

/// What a card can do besides sending frames as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// It fills in checksums.
    pub checksum: bool,
    /// It cuts TCP over IPv4 into frames.
    pub cuts_v4: bool,
    /// It cuts TCP over IPv6 into frames.
    pub cuts_v6: bool,
}

/// What a card is to do to a frame before it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Where the checksum begins and where it is to be put, from the frame's beginning.
    pub checksum: Option<(usize, usize)>,
    /// Bytes of all headers, and of the data behind them in each frame that it is cut into.
    pub cut: Option<(usize, usize)>,
}

/// A frame that has come.
pub struct Came {
    /// The frame, with its header.
    pub bytes: Vec<u8>,
    /// Nobody has to look at the checksum of its TCP or UDP.
    pub is_summed: bool,
}

/// A card, as the stack uses it. It has a queue of its own for what comes.
pub trait Card: Send + Sync {
    /// Its address.
    fn mac(&self) -> [u8; 6];
    /// The largest packet, without its header.
    fn mtu(&self) -> usize;
    /// What it does by itself.
    fn offers(&self) -> Offers {
        Offers::default()
    }
    /// The next frame that has come.
    fn receive(&self) -> Option<Came>;
    /// Frames that came and for which there was no room.
    fn dropped(&self) -> u64;
    /// Whether it has said that it is full, and not that there is room again.
    fn is_full(&self) -> bool {
        false
    }
    /// Sends a frame, which is given in pieces, and copies it; whether it goes.
    fn send(&self, frame: &[&[u8]], open: Open) -> bool;
}

/// See the module comment.
pub(crate) struct Link {
    pub(crate) card: Arc<dyn Card>,
    pub(crate) mac: Mac,
    pub(crate) offers: Offers,
    mtu: usize,
    /// The same of IPv6, as routers have said.
    mtu_v6: usize,
    /// Ways that take less.
    pub(crate) paths: Paths,
    pub(crate) near: Near,
    /// The addresses that we have here, with their networks.
    nets: Vec<IpCidr>,
    /// Networks behind gateways.
    gates: Vec<(IpCidr, IpAddress)>,
    held: VecDeque<(Vec<u8>, Open)>,
    held_bytes: usize,
    /// What tells the pieces of one packet from those of others.
    number: u32,
    /// smoltcp was told that there is no room.
    was_full: bool,
    /// Questions for neighbours, and how many of them it is known of when they are asked again.
    pub(crate) asked: u64,
    pub(crate) noted: u64,
}

impl Link {
    pub(crate) fn new(card: Arc<dyn Card>, mtu: usize) -> Link {
        let (mac, offers) = (card.mac(), card.offers());
        Link {
            card,
            mac,
            offers,
            mtu,
            mtu_v6: mtu,
            paths: Paths::default(),
            near: Near::default(),
            nets: Vec::new(),
            gates: Vec::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            number: chance() as u32,
            was_full: false,
            asked: 0,
            noted: 0,
        }
    }

    /// The machine has these addresses here. Without memory it goes on with those that it had.
    pub(crate) fn set_nets(&mut self, nets: &[IpCidr]) {
        if let Ok(nets) = as_kernel(|| heap::try_copy(nets)) {
            self.nets = nets;
        }
    }

    /// Of these routes through gateways those are used that are reached by this. Without memory it goes on with those
    /// that it had.
    pub(crate) fn set_gates(&mut self, all: impl Iterator<Item = (IpCidr, IpAddress)>) {
        let nets = &self.nets;
        let reached = all.filter(|(_, via)| nets.iter().any(|net| net.contains_addr(via)));
        if let Ok(gates) = as_kernel(|| heap::try_collect(reached)) {
            self.gates = gates;
        }
    }

    /// The largest packet is as long as this from now on.
    pub(crate) fn set_mtu(&mut self, mtu: usize) {
        (self.mtu, self.mtu_v6) = (mtu, mtu);
    }

    /// Routers have said how long a packet of IPv6 may be here.
    pub(crate) fn set_mtu_v6(&mut self, mtu: usize) {
        self.mtu_v6 = mtu.min(self.mtu);
    }

    /// Bytes of the longest packet of this kind.
    pub(crate) fn most(&self, is_v4: bool) -> usize {
        if is_v4 { self.mtu } else { self.mtu_v6 }
    }

    /// The same of a packet's way.
    fn most_of(&self, packet: &[u8]) -> usize {
        let most = self.most(packet.first().is_some_and(|b| b >> 4 == 4));
        destination(packet).and_then(|to| self.paths.most(&to)).map_or(most, |path| path.min(most))
    }

    /// Whether a frame is for us.
    pub(crate) fn is_for_us(&self, frame: &[u8]) -> bool {
        frame.first_chunk().is_some_and(|to: &Mac| *to == self.mac || to[0] & 1 != 0)
    }

    /// Whether something waits for room at the card, or somebody who has been told so.
    pub(crate) fn waits(&self) -> bool {
        !self.held.is_empty() || self.was_full
    }

    /// Whether what is sent now would only wait.
    pub(crate) fn is_full(&mut self) -> bool {
        let is = !self.held.is_empty() || self.card.is_full();
        self.was_full |= is;
        is
    }

    /// The card may have room again: sends what has waited.
    pub(crate) fn go_on(&mut self) {
        self.was_full = false;
        while !self.card.is_full() {
            let Some((frame, open)) = self.held.pop_front() else { return };
            self.held_bytes -= frame.len();
            if !self.card.send(&[&frame], open) && self.card.is_full() {
                self.held_bytes += frame.len();
                // There is the room that it had.
                self.held.push_front((frame, open));
                return;
            }
        }
    }

    /// Gives a frame to the card, or keeps it until that has room; whether it is not lost.
    fn give(&mut self, frame: &[&[u8]], open: Open) -> bool {
        if self.held.is_empty() && self.card.send(frame, open) {
            return true;
        }
        let len = frame.iter().map(|piece| piece.len()).sum::<usize>();
        if !self.is_full() || self.held_bytes + len > HELD {
            return false;
        }
        let kept = as_kernel(|| {
            let mut whole = heap::try_vec(len)?;
            frame.iter().for_each(|piece| whole.extend_from_slice(piece));
            heap::try_push_back(&mut self.held, (whole, open))
        });
        self.held_bytes += if kept.is_ok() { len } else { 0 };
        kept.is_ok()
    }

    /// Sends a packet of IP whose checksum of UDP is not made. Whether it goes, or waits for its neighbour to be known.
    pub(crate) fn send(&mut self, packet: &mut [u8], now_ns: u64) -> bool {
        let Some(to) = destination(packet) else { return false };
        if let Some(mac) = group(&self.nets, &to) {
            return self.frame(mac, packet);
        }
        let Some(hop) = self.hop(&to) else { return false };
        match self.way(hop, now_ns) {
            Some(mac) => self.frame(mac, packet),
            None => {
                self.near.wait(&hop, packet);
                true
            }
        }
    }

    /// The card of a neighbour, who is asked for if he is to be.
    fn way(&mut self, hop: IpAddress, now_ns: u64) -> Option<Mac> {
        let way = self.near.way(hop, now_ns);
        if way.asks {
            self.ask(hop, way.mac);
        }
        way.mac
    }

    /// Sends what a connection says, whose checksum is not made. Whether it goes, or waits for its neighbour to be
    /// known.
    pub(crate) fn say(&mut self, said: &mut Goes<'_>, now_ns: u64) -> bool {
        let Some(hop) = destination(said.head.bytes()).and_then(|to| self.hop(&to)) else { return false };
        match self.way(hop, now_ns) {
            Some(mac) => self.say_to(mac, said),
            None => {
                // What has data follows a call, which has none; after a silence it is sent again.
                if said.data.len() == 0 {
                    self.near.wait(&hop, said.head.bytes());
                }
                true
            }
        }
    }

    fn say_to(&mut self, to: Mac, said: &mut Goes<'_>) -> bool {
        let start = said.head.start;
        let is_v4 = start == 20;
        let header = self.header(to, if is_v4 { IPV4 } else { IPV6 });
        let (headers, data) = (said.head.bytes().len(), said.data);
        let is_long = data.len() > said.mss;
        let cuts = if is_v4 { self.offers.cuts_v4 } else { self.offers.cuts_v6 };
        if is_long && !(cuts && self.offers.checksum) {
            return cut::each(said.head.bytes(), start, &data, said.mss, |head, data| {
                self.give_pieces(&header, head, data.pieces(), Open::default())
            });
        }
        let field = start + sums::TCP_FIELD;
        let open = if self.offers.checksum {
            let seed = sums::seed(said.head.bytes(), headers - start + data.len());
            sums::put(said.head.bytes_mut(), field, seed);
            let cut = is_long.then_some((ETHERNET + headers, said.mss));
            Open { checksum: Some((ETHERNET + start, ETHERNET + field)), cut }
        } else {
            let sum = sums::of_pieces(said.head.bytes(), start, data.pieces());
            sums::put(said.head.bytes_mut(), field, sum);
            Open::default()
        };
        self.give_pieces(&header, said.head.bytes(), data.pieces(), open)
    }

    fn give_pieces(&mut self, header: &[u8], head: &[u8], data: &[&[u8]], open: Open) -> bool {
        let mut frame: [&[u8]; 2 + PIECES] = [&[]; 2 + PIECES];
        let pieces = [header, head].into_iter().chain(data.iter().copied());
        let count = frame.iter_mut().zip(pieces).map(|(place, piece)| *place = piece).count();
        self.give(frame.get(..count).unwrap_or(&[]), open)
    }

    /// The neighbour that is next on the way to an address.
    fn hop(&self, to: &IpAddress) -> Option<IpAddress> {
        let near = self.nets.iter().filter(|net| net.contains_addr(to)).map(|net| (net.prefix_len(), *to));
        let gates = self.gates.iter().filter(|(net, _)| net.contains_addr(to));
        let far = gates.map(|(net, via)| (net.prefix_len(), *via));
        // Of two that say the same much the network itself.
        far.chain(near).max_by_key(|(len, _)| *len).map(|(_, hop)| hop)
    }

    fn header(&self, to: Mac, kind: u16) -> [u8; ETHERNET] {
        let mut header = [0; ETHERNET];
        let kind = kind.to_be_bytes();
        let bytes = to.iter().chain(&self.mac).chain(&kind);
        header.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        header
    }

    /// Sends a packet to a card, in pieces if it is too long.
    fn frame(&mut self, to: Mac, packet: &mut [u8]) -> bool {
        let is_v4 = packet.first().is_some_and(|b| b >> 4 == 4);
        let header = self.header(to, if is_v4 { IPV4 } else { IPV6 });
        let place = sums::place(packet);
        let most = if packet.len() < LEAST { LEAST.min(self.mtu) } else { self.most_of(packet) };
        let Some(place) = place.filter(|_| packet.len() <= most) else {
            return self.pieces(&header, packet, place, most);
        };
        if self.offers.checksum {
            sums::begin(packet, place);
            let checksum = Some((ETHERNET + place.start, ETHERNET + place.field));
            return self.give(&[&header, packet], Open { checksum, cut: None });
        }
        sums::finish(packet, place);
        self.give(&[&header, packet], Open::default())
    }

    /// Sends what a card does nothing to, in pieces if it is too long.
    fn pieces(&mut self, header: &[u8], packet: &mut [u8], place: Option<sums::Place>, most: usize) -> bool {
        if let Some(place) = place {
            sums::finish(packet, place);
        }
        if packet.len() <= most {
            return self.give(&[header, packet], Open::default());
        }
        self.number = self.number.wrapping_add(1);
        let number = self.number;
        pieces::cut(packet, most, number, |head, data| self.give(&[header, head, data], Open::default()))
    }

    /// Sends what has waited for a neighbour.
    fn release(&mut self, mac: Mac, waiting: VecDeque<Vec<u8>>) {
        for mut packet in waiting {
            self.frame(mac, &mut packet);
        }
    }

    /// The machine's owner says which card an address has. False when there is no room for it.
    pub(crate) fn tell(&mut self, addr: IpAddress, mac: Mac, now_ns: u64) -> bool {
        let waiting = self.near.tell(addr, mac, now_ns);
        waiting.map(|waiting| self.release(mac, waiting)).is_some()
    }

    /// Asks again for neighbours who have not answered, and forgets what is over.
    pub(crate) fn late(&mut self, now_ns: u64) {
        self.paths.late(now_ns);
        while let Some(addr) = self.near.late(now_ns) {
            self.ask(addr, None);
        }
    }
}

/// Where a packet goes.
pub(crate) fn destination(packet: &[u8]) -> Option<IpAddress> {
    match packet.first()? >> 4 {
        4 => Some(Ipv4Address::from(*packet.get(16..)?.first_chunk::<4>()?).into()),
        6 => Some(Ipv6Address::from(*packet.get(24..)?.first_chunk::<16>()?).into()),
        _ => None,
    }
}

/// The address of cards for an address that is more than one's.
fn group(nets: &[IpCidr], to: &IpAddress) -> Option<Mac> {
    match to {
        IpAddress::Ipv4(v4) if v4.is_multicast() => {
            let [_, b, c, d] = v4.octets();
            Some([0x01, 0x00, 0x5e, b & 0x7f, c, d])
        }
        IpAddress::Ipv4(v4) => {
            let is_all = |net: &IpCidr| matches!(net, IpCidr::Ipv4(net) if net.broadcast() == Some(*v4));
            (v4.is_broadcast() || nets.iter().any(is_all)).then_some(EVERYBODY)
        }
        IpAddress::Ipv6(v6) => v6.is_multicast().then(|| group_v6(v6)),
    }
}

fn group_v6(to: &Ipv6Address) -> Mac {
    let [.., a, b, c, d] = to.octets();
    [0x33, 0x33, a, b, c, d]
}
