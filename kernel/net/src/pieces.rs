//! Packets that come in pieces (fragments) are put together here; packets that are too long for a wire are cut up.
//!
//! What is kept has an end: so many packets at a time, of which the oldest gives way, so many bytes, and some seconds.
//! Pieces that lie over one another are nobody's honest work: with the first such one the packet is thrown away, and so
//! is one with pieces that no sender makes. A piece that comes twice is ignored.
//!
//! All of it is a function of the packets and of the time that it is told.

use alloc::vec::Vec;

use machine::OutOfMemory;
use machine::heap;
use machine::ledger::as_kernel;

use crate::sums;

/// Packets that are being put together.
const MOST: usize = 16;
/// Bytes of their pieces in all.
const MOST_BYTES: usize = 512 << 10;
/// Pieces of one.
const MOST_PIECES: usize = 64;
/// How long the last piece may take.
const PATIENCE_NS: u64 = 15_000_000_000;
/// The longest packet.
const LONGEST: usize = 65535;
/// The header between in IPv6, and its number.
const V6: usize = 40;
const FRAGMENT: u8 = 44;
const FRAGMENT_BYTES: usize = 8;

/// Which packet a piece is of: its interface, both addresses, protocol and number.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    ifc: usize,
    addrs: [u8; 32],
    protocol: u8,
    number: u32,
}

/// A piece, read without believing it.
struct Piece<'a> {
    key: Key,
    /// The header of IP, as the whole has it but for its length.
    header: &'a [u8],
    at: usize,
    is_last: bool,
    data: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?)))
}

impl<'a> Piece<'a> {
    fn read(packet: &'a [u8], ifc: usize) -> Option<Piece<'a>> {
        let mut addrs = [0; 32];
        let mut keep = |from: &[u8]| addrs.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        let (header, rest, field, number, protocol) = if packet.first()? >> 4 == 4 {
            let header = packet.get(..usize::from(packet.first()? & 15) * 4).filter(|h| h.len() >= 20)?;
            let rest = packet.get(header.len()..word(packet, 2)?)?;
            keep(packet.get(12..20)?);
            (header, rest, word(packet, 6)?, word(packet, 4)? as u32, *packet.get(9)?)
        } else {
            let head = packet.get(V6..V6 + FRAGMENT_BYTES)?;
            let rest = packet.get(V6 + FRAGMENT_BYTES..V6 + word(packet, 4)?)?;
            keep(packet.get(8..V6)?);
            let field = word(head, 2)?;
            // As IPv4 has it: the mark for more in front, the place in eights.
            let field = (field & 1) << 13 | field >> 3;
            (
                packet.get(..V6)?,
                rest,
                field,
                u32::from_be_bytes(*head.get(4..)?.first_chunk()?),
                *head.first()?,
            )
        };
        let (at, is_last) = ((field & 0x1fff) * 8, field & 0x2000 == 0);
        let can_be =
            !rest.is_empty() && (is_last || rest.len() % 8 == 0) && at + rest.len() + header.len() <= LONGEST;
        let key = Key { ifc, addrs, protocol, number };
        can_be.then_some(Piece { key, header, at, is_last, data: rest })
    }
}

/// A packet of which there are some pieces.
struct Part {
    key: Key,
    header: Vec<u8>,
    data: Vec<u8>,
    /// Where pieces begin and end.
    have: Vec<(usize, usize)>,
    /// Where it ends, once that is known.
    end: Option<usize>,
    until_ns: u64,
}

/// What becomes of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Became {
    /// A whole packet.
    Whole(Vec<u8>),
    /// It waits for others.
    Kept,
    /// It, or all of its packet, is thrown away.
    Dropped,
}

/// The packets that are being put together.
#[derive(Default)]
pub(crate) struct Pieces {
    all: Vec<Part>,
}

impl Pieces {
    /// A piece has come by an interface.
    pub(crate) fn come(&mut self, packet: &[u8], ifc: usize, now_ns: u64) -> Became {
        self.all.retain(|part| part.until_ns > now_ns);
        let Some(piece) = Piece::read(packet, ifc) else { return Became::Dropped };
        let at = match self.all.iter().position(|part| part.key == piece.key) {
            Some(at) => at,
            None => match self.begin(&piece, now_ns) {
                Ok(at) => at,
                Err(OutOfMemory) => return Became::Dropped,
            },
        };
        let bytes = self.all.iter().map(|part| part.data.len()).sum::<usize>();
        let end = piece.at + piece.data.len();
        let Some(part) = self.all.get_mut(at) else { return Became::Dropped };
        if part.have.contains(&(piece.at, end)) && !(piece.is_last && part.end.is_none()) {
            return Became::Kept;
        }
        let more = end.saturating_sub(part.data.len());
        let fits = part.have.len() < MOST_PIECES && bytes + more <= MOST_BYTES;
        if !fits || !part.takes(&piece, end) || as_kernel(|| part.add(&piece, end)).is_err() {
            self.all.swap_remove(at);
            return Became::Dropped;
        }
        if part.end != Some(part.have.iter().map(|(from, to)| to - from).sum()) {
            return Became::Kept;
        }
        let part = self.all.swap_remove(at);
        // Each piece was short enough beside its own header; the first one's may be longer.
        if part.header.len() + part.data.len() > LONGEST {
            return Became::Dropped;
        }
        as_kernel(|| part.whole()).map_or(Became::Dropped, Became::Whole)
    }

    fn begin(&mut self, piece: &Piece<'_>, now_ns: u64) -> Result<usize, OutOfMemory> {
        if self.all.len() >= MOST {
            let oldest = self.all.iter().enumerate().min_by_key(|(_, part)| part.until_ns).map(|(at, _)| at);
            if let Some(at) = oldest {
                self.all.swap_remove(at);
            }
        }
        let part = as_kernel(|| {
            let (header, have) = (heap::try_copy(piece.header)?, heap::try_vec(MOST_PIECES)?);
            let until_ns = now_ns.saturating_add(PATIENCE_NS);
            Ok(Part { key: piece.key, header, data: Vec::new(), have, end: None, until_ns })
        })?;
        as_kernel(|| heap::try_push(&mut self.all, part))?;
        Ok(self.all.len() - 1)
    }
}

impl Part {
    /// Whether a piece is honest beside those that there are.
    fn takes(&self, piece: &Piece<'_>, end: usize) -> bool {
        let overlaps = self.have.iter().any(|(from, to)| *from < end && piece.at < *to);
        let is_beyond = self.end.is_some_and(|known| end > known || piece.is_last && end != known);
        let cuts = piece.is_last && self.have.iter().any(|(_, to)| *to > end);
        !overlaps && !is_beyond && !cuts
    }

    fn add(&mut self, piece: &Piece<'_>, end: usize) -> Result<(), OutOfMemory> {
        if self.data.len() < end {
            let more = end - self.data.len();
            heap::try_reserve(&mut self.data, more)?;
            self.data.resize(end, 0);
        }
        if let Some(place) = self.data.get_mut(piece.at..end) {
            place.copy_from_slice(piece.data);
        }
        // The first piece's header is the whole's.
        if piece.at == 0 {
            self.header = heap::try_copy(piece.header)?;
        }
        // There is room: see `begin`.
        self.have.push((piece.at, end));
        if piece.is_last {
            self.end = Some(end);
        }
        Ok(())
    }

    fn whole(self) -> Result<Vec<u8>, OutOfMemory> {
        let mut packet = heap::try_vec(self.header.len() + self.data.len())?;
        packet.extend_from_slice(&self.header);
        packet.extend_from_slice(&self.data);
        if packet.first().is_some_and(|b| b >> 4 == 4) {
            let len = packet.len() as u16;
            sums::put(&mut packet, 2, len);
            sums::put(&mut packet, 6, 0);
            sums::put(&mut packet, 10, 0);
            let sum = sums::of_header(self.header_of(&packet));
            sums::put(&mut packet, 10, sum);
        } else {
            sums::put(&mut packet, 4, self.data.len() as u16);
            if let Some(place) = packet.get_mut(6) {
                *place = self.key.protocol;
            }
        }
        Ok(packet)
    }

    fn header_of<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        packet.get(..self.header.len()).unwrap_or(&[])
    }
}

/// Cuts a packet up for a wire that takes `mtu` bytes, and gives each piece as its head and its data. `number` tells
/// the pieces of one packet from those of another. Whether all have gone.
pub(crate) fn cut(
    packet: &[u8],
    mtu: usize,
    number: u32,
    mut give: impl FnMut(&[u8], &[u8]) -> bool,
) -> bool {
    let is_v4 = packet.first().is_some_and(|b| b >> 4 == 4);
    let len = if is_v4 { usize::from(packet.first().map_or(0, |b| b & 15)) * 4 } else { V6 };
    let Some((header, data)) = packet.split_at_checked(len) else { return false };
    let mut bytes = [0; 60 + FRAGMENT_BYTES];
    let head_len = if is_v4 { len } else { len + FRAGMENT_BYTES };
    let (Some(head), Some(most)) = (bytes.get_mut(..head_len), mtu.checked_sub(head_len)) else {
        return false;
    };
    let most = most & !7;
    if most == 0 {
        return false;
    }
    let mut all = true;
    for (n, piece) in data.chunks(most).enumerate() {
        let at = n * most;
        let more = at + piece.len() < data.len();
        if let Some(place) = head.get_mut(..len) {
            place.copy_from_slice(header);
        }
        if is_v4 {
            sums::put(head, 2, (head_len + piece.len()) as u16);
            sums::put(head, 4, number as u16);
            sums::put(head, 6, (at / 8) as u16 | u16::from(more) << 13);
            sums::put(head, 10, 0);
            let sum = sums::of_header(head);
            sums::put(head, 10, sum);
        } else {
            sums::put(head, 4, (FRAGMENT_BYTES + piece.len()) as u16);
            let protocol = header.get(6).copied().unwrap_or(0);
            let [a, b, c, d] = number.to_be_bytes();
            let [high, low] = (at as u16 | u16::from(more)).to_be_bytes();
            if let Some(place) = head.get_mut(len..) {
                place.copy_from_slice(&[protocol, 0, high, low, a, b, c, d]);
            }
            if let Some(place) = head.get_mut(6) {
                *place = FRAGMENT;
            }
        }
        all &= give(head, piece);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::wire::Ipv4Packet;

    fn whole(is_v4: bool, len: usize) -> Vec<u8> {
        let mut packet = if is_v4 {
            let [high, low] = (20 + len as u16).to_be_bytes();
            std::vec![0x45, 0, high, low, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
        } else {
            let [high, low] = (len as u16).to_be_bytes();
            [&[0x60, 0, 0, 0, high, low, 17, 64][..], &[0xfd; 16], &[0xfc; 16]].concat()
        };
        if is_v4 {
            Ipv4Packet::new_unchecked(&mut packet[..]).fill_checksum();
        }
        packet.extend((0..len).map(|n| ((n * 7) >> 2) as u8));
        packet
    }

    fn cut_up(packet: &[u8], mtu: usize, number: u32) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        assert!(cut(packet, mtu, number, |head, data| {
            all.push([head, data].concat());
            true
        }));
        all
    }

    #[test]
    fn what_is_cut_up_comes_together_in_any_order() {
        machine::host::new_machine();
        for is_v4 in [true, false] {
            for (len, mtu) in [(3000, 1500), (1500, 1280), (65_000, 1500), (1481, 1500)] {
                let mut packet = whole(is_v4, len);
                let mut pieces = cut_up(&packet, mtu, 7);
                if is_v4 {
                    // Its number stays.
                    sums::put(&mut packet, 4, 7);
                    sums::put(&mut packet, 10, 0);
                    Ipv4Packet::new_unchecked(&mut packet[..]).fill_checksum();
                }
                assert!(pieces.iter().all(|p| p.len() <= mtu) && pieces.len() > 1);
                for turn in 0..3 {
                    let mut all = Pieces::default();
                    let mut got = None;
                    for piece in &pieces {
                        match all.come(piece, 1, 0) {
                            Became::Whole(whole) => got = Some(whole),
                            became => assert_eq!(became, Became::Kept),
                        }
                        // Once more changes nothing, as long as it is not whole.
                        if got.is_none() {
                            assert_eq!(all.come(piece, 1, 0), Became::Kept);
                        }
                    }
                    assert!(got.unwrap() == packet, "{is_v4} {len} {turn}");
                    assert!(all.all.is_empty());
                    pieces.reverse();
                    pieces.rotate_left(turn);
                }
            }
        }
    }

    /// A piece of IPv4 of packet 9.
    fn piece(at: usize, len: usize, more: bool) -> Vec<u8> {
        let mut packet = whole(true, len);
        sums::put(&mut packet, 4, 9);
        sums::put(&mut packet, 6, (at / 8) as u16 | u16::from(more) << 13);
        packet
    }

    #[test]
    fn what_no_sender_makes_is_thrown_away() {
        machine::host::new_machine();
        // Over another, beyond the end, another end, and an end in the middle.
        for (first, second) in [
            (piece(0, 64, true), piece(32, 64, true)),
            (piece(64, 64, true), piece(0, 128, true)),
            (piece(64, 8, false), piece(72, 8, true)),
            (piece(64, 8, false), piece(128, 8, false)),
            (piece(64, 64, true), piece(8, 8, false)),
        ] {
            let mut all = Pieces::default();
            assert_eq!(all.come(&first, 1, 0), Became::Kept);
            assert_eq!(all.come(&second, 1, 0), Became::Dropped);
            assert!(all.all.is_empty());
        }
        let mut all = Pieces::default();
        // Not of eights, nothing, and longer than any packet.
        for bad in [piece(0, 63, true), piece(8, 0, true), piece(65_528, 64, false)] {
            assert_eq!(all.come(&bad, 1, 0), Became::Dropped);
        }
        for end in 0..28 {
            assert_eq!(all.come(&piece(0, 64, true)[..end], 1, 0), Became::Dropped, "{end}");
        }
        assert!(all.all.is_empty());
    }

    /// Sixty bytes of header before the first piece, twenty before the last: each is right by itself.
    #[test]
    fn what_is_longer_than_any_packet_is_thrown_away() {
        machine::host::new_machine();
        for (last, is_whole) in [(65_475 - 65_000, true), (65_476 - 65_000, false), (65_515 - 65_000, false)]
        {
            let mut all = Pieces::default();
            let mut first = piece(0, 65_000, true);
            first[0] = 0x4f;
            first[2..4].copy_from_slice(&(65_060u16).to_be_bytes());
            first.splice(20..20, [1; 40]);
            assert_eq!(all.come(&first, 1, 0), Became::Kept);
            match all.come(&piece(65_000, last, false), 1, 0) {
                Became::Whole(packet) => {
                    assert!(is_whole, "{} bytes", packet.len());
                    assert_eq!((packet.len(), &packet[2..4]), (65_535, &[0xff, 0xff][..]));
                }
                became => assert_eq!((became, is_whole), (Became::Dropped, false)),
            }
            assert!(all.all.is_empty());
        }
    }

    #[test]
    fn what_is_kept_has_an_end() {
        machine::host::new_machine();
        let mut all = Pieces::default();
        // Many packets: the oldest go.
        for n in 0..100u32 {
            let mut first = piece(0, 64, true);
            sums::put(&mut first, 4, n as u16);
            assert_eq!(all.come(&first, 1, u64::from(n)), Became::Kept);
        }
        assert_eq!(all.all.len(), MOST);
        // Many small pieces of one.
        let mut all = Pieces::default();
        let dropped =
            (0..200).map(|n| all.come(&piece(n * 16, 8, true), 1, 0)).filter(|b| *b == Became::Dropped);
        assert_eq!(dropped.count(), 3);
        assert!(all.all.iter().all(|p| p.have.len() <= MOST_PIECES));
        // Pieces far out of many packets.
        let mut all = Pieces::default();
        for n in 0..MOST as u32 {
            let mut far = piece(65_000, 64, true);
            sums::put(&mut far, 4, n as u16);
            all.come(&far, 1, 0);
        }
        assert!(all.all.iter().map(|p| p.data.len()).sum::<usize>() <= MOST_BYTES);
        // And all of it goes by itself.
        assert_eq!(all.come(&piece(0, 8, true), 1, PATIENCE_NS), Became::Kept);
        assert_eq!(all.all.len(), 1);
        // One by another interface is another's.
        assert_eq!(all.come(&piece(8, 8, false), 2, PATIENCE_NS), Became::Kept);
        assert!(matches!(all.come(&piece(8, 8, false), 1, PATIENCE_NS), Became::Whole(_)));
    }
}
