//! The end of a connection that comes together with data. smoltcp takes the end even where it had no room for all of
//! the data before it, and what was left out is lost then: whoever reads finds an end that nobody has sent there. It
//! can happen without anybody's fault, since a window that is told in units of two bytes may move back by one. So the
//! end is taken off such a packet and given to smoltcp as one more, which it heeds only if all before it has come;
//! what did not is sent again.
//!
//! There is nothing to lock here: it is a function of bytes.

use alloc::vec::Vec;

use machine::heap;
use machine::ledger::as_kernel;
use smoltcp::wire::{IPV6_HEADER_LEN, Ipv4Packet, Ipv6Packet, TcpPacket};

use crate::sums;

/// Bytes of the longest headers of which this is made; longer ones no stack sends.
const LONGEST: usize = 256;
/// Where a header has its flags, and some of them.
const FLAGS: usize = 13;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;

/// Takes the end off a packet of TCP that has data before it: the end alone. Without memory it is as if that had been
/// lost on its way.
pub(crate) fn taken_off(packet: &mut [u8]) -> Option<Vec<u8>> {
    let place = sums::place(packet).filter(sums::Place::is_tcp)?;
    let tcp = packet.get(place.start..place.end)?;
    if tcp.get(FLAGS)? & (FIN | SYN | RST) != FIN {
        return None;
    }
    let whole = TcpPacket::new_checked(tcp).ok()?;
    let (head, data) = (usize::from(whole.header_len()), whole.payload().len());
    if data == 0 || place.start + head > LONGEST {
        return None;
    }
    let seq = whole.seq_number() + data;
    let kept = as_kernel(|| heap::try_copy(packet.get(..place.start + head).unwrap_or(&[])));
    TcpPacket::new_unchecked(packet.get_mut(place.start..place.end)?).set_fin(false);
    let mut end = kept.ok()?;
    TcpPacket::new_unchecked(end.get_mut(place.start..)?).set_seq_number(seq);
    let len = end.len();
    if end.first()? >> 4 == 4 {
        let mut ip = Ipv4Packet::new_unchecked(&mut end[..]);
        ip.set_total_len(u16::try_from(len).ok()?);
        ip.fill_checksum();
    } else {
        let len = u16::try_from(len.checked_sub(IPV6_HEADER_LEN)?).ok()?;
        Ipv6Packet::new_unchecked(&mut end[..]).set_payload_len(len);
    }
    Some(end)
}
