//! Groups: who hears them, what is told of that, and what is answered to who asks.

use super::*;

const GROUP: Ipv4Address = Ipv4Address::new(239, 1, 2, 3);
/// The address of cards for it.
const GROUP_MAC: [u8; 6] = [1, 0, 0x5e, 1, 2, 3];

fn group() -> IpAddress {
    GROUP.into()
}

/// A datagram to the group.
fn to_group(port: u16, data: &[u8]) -> Vec<u8> {
    let len = (8 + data.len() as u16).to_be_bytes();
    let mut udp = [&[0, 9][..], &port.to_be_bytes(), &len, &[0; 2], data].concat();
    UdpPacket::new_unchecked(&mut udp[..]).fill_checksum(&THERE.into(), &GROUP.into());
    addressed(v4(17, THERE, &udp), GROUP, GROUP_MAC)
}

/// A frame of IPv4 that goes elsewhere than to us.
fn addressed(mut frame: Vec<u8>, to: Ipv4Address, mac: [u8; 6]) -> Vec<u8> {
    frame[..6].copy_from_slice(&mac);
    frame[30..34].copy_from_slice(&to.octets());
    Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
    frame
}

/// A message of IGMP from somebody.
fn igmp(kind: u8, tenths: u8, of: Ipv4Address, to: Ipv4Address) -> Vec<u8> {
    let mut message = [&[kind, tenths, 0, 0][..], &of.octets()].concat();
    smoltcp::wire::IgmpPacket::new_unchecked(&mut message[..]).fill_checksum();
    let [_, b, c, d] = to.octets();
    addressed(v4(2, THERE, &message), to, [1, 0, 0x5e, b & 0x7f, c, d])
}

/// What is told of groups in what was sent: the kind, and of which.
fn told(w: &World) -> Vec<(u8, Ipv4Address)> {
    let is = |f: &Vec<u8>| f[12..15] == [8, 0, 0x46] && f[23] == 2;
    let of = |f: Vec<u8>| {
        // With the option that has routers look, one hop far, and whole.
        assert_eq!((f[22], &f[34..38], f.len()), (1, &[0x94, 4, 0, 0][..], 46));
        assert!(Ipv4Packet::new_checked(&f[14..]).unwrap().verify_checksum());
        (f[38], Ipv4Address::new(f[42], f[43], f[44], f[45]))
    };
    w.sent().into_iter().map(|(f, _)| f).filter(is).map(of).collect()
}

fn headers(w: &World, at: &str) -> Arc<Conversation> {
    let c = w.announce(Proto::Udp, at);
    w.stack.set_headers(&c, true).unwrap();
    c
}

#[test]
fn who_has_joined_a_group_hears_it_until_he_leaves() {
    let w = World::new();
    let c = headers(&w, "*!5353");
    w.comes(to_group(5353, b"before"));
    w.stack.join(&c, HERE.into(), Some(group())).unwrap();
    assert_eq!(told(&w), [(0x16, GROUP)]);
    w.comes(to_group(5353, b"hello"));
    let got = w.stack.read(&c, 200).unwrap();
    assert_eq!((&got[28..32], &got[52..]), (&GROUP.octets()[..], &b"hello"[..]));
    let table = text::own_addresses(&w.stack).unwrap();
    assert!(table.lines().any(|l| l.starts_with("239.1.2.3 ") && l.ends_with("01 4m  ")), "{table}");
    // Once more by chance, then nothing.
    w.passes(11 * SECOND);
    assert_eq!(told(&w), [(0x16, GROUP)]);
    w.passes(100 * SECOND);
    assert_eq!(told(&w), []);
    // Two have joined: the last one tells.
    let other = headers(&w, "*!5354");
    w.stack.join(&other, HERE.into(), Some(group())).unwrap();
    w.stack.join(&other, HERE.into(), Some(group())).unwrap();
    w.stack.leave(&c, HERE.into(), Some(group())).unwrap();
    assert_eq!(told(&w), []);
    w.stack.close(&other);
    assert_eq!(told(&w), [(0x17, GROUP)]);
    w.comes(to_group(5353, b"after"));
    w.comes(datagram(9, 5353, b"to us"));
    assert_eq!(w.stack.read(&c, 200).unwrap()[52..], *b"to us");
    assert_eq!(refused(w.stack.leave(&c, HERE.into(), Some(group()))), "file does not exist");
}

#[test]
fn who_asks_is_answered_unless_somebody_else_has() {
    let w = World::new();
    let all = Ipv4Address::new(224, 0, 0, 1);
    w.stack.listen_to_group(1, group(), true).unwrap();
    w.passes(11 * SECOND);
    assert_eq!(told(&w).len(), 2);
    w.comes(igmp(0x11, 20, Ipv4Address::UNSPECIFIED, all));
    assert_eq!(told(&w), []);
    w.passes(3 * SECOND);
    assert_eq!(told(&w), [(0x16, GROUP)]);
    // Of one group, and of another.
    w.comes(igmp(0x11, 20, GROUP, GROUP));
    w.comes(igmp(0x11, 20, Ipv4Address::new(239, 9, 9, 9), all));
    w.passes(3 * SECOND);
    assert_eq!(told(&w), [(0x16, GROUP)]);
    w.comes(igmp(0x11, 100, Ipv4Address::UNSPECIFIED, all));
    w.comes(igmp(0x16, 0, GROUP, GROUP));
    w.passes(20 * SECOND);
    assert_eq!(told(&w), []);
    // A broken one is none.
    let mut broken = igmp(0x11, 20, Ipv4Address::UNSPECIFIED, all);
    broken[41] ^= 1;
    w.comes(broken);
    w.passes(20 * SECOND);
    assert_eq!(told(&w), []);
    w.stack.listen_to_group(1, group(), false).unwrap();
    assert_eq!(told(&w), [(0x17, GROUP)]);
    assert_eq!(refused(w.stack.listen_to_group(1, group(), false)), "file does not exist");
}

#[test]
fn groups_of_ipv6_are_told_of_from_the_network_itself() {
    let w = World::new();
    w.stack.listen_to_routers(1, true).unwrap();
    w.passes(SECOND);
    w.sent();
    let group = parse("ff05::7").unwrap();
    let c = headers(&w, "*!99");
    w.stack.join(&c, parse("fd00::2").unwrap(), Some(group)).unwrap();
    let sent: Vec<_> = w.sent().into_iter().map(|(f, _)| f).filter(|f| f[12..14] == [0x86, 0xdd]).collect();
    assert_eq!(sent.len(), 1);
    let f = &sent[0];
    // To the group itself, by one hop, behind a header for routers.
    assert_eq!((&f[..6], f[20], f[21], f[62]), (&[0x33, 0x33, 0, 0, 0, 7][..], 0, 1, 131));
    assert_eq!((&f[22..24], &f[70..72]), (&[0xfe, 0x80][..], &[0xff, 5][..]));
    w.stack.close(&c);
    let sent = w.sent();
    assert!(sent.iter().any(|(f, _)| f[12..14] == [0x86, 0xdd] && f[62] == 132 && f[53] == 2));
}

/// The group in which an address is asked for is told of before it is tried, and as long as it is there.
#[test]
fn where_an_address_is_asked_for_is_told_of() {
    // Reports and their ends, and what is tried, in their order: the kind, the sender, and the last bytes of the group
    // or the address.
    let told = |w: &World| -> Vec<(u8, u8, [u8; 3])> {
        let sent = w.all_sent().into_iter().map(|(f, _)| f).filter(|f| f[12..14] == [0x86, 0xdd]);
        let of = |f: Vec<u8>| match (f[20], f[54]) {
            (0, _) => Some((f[62], f[22], [f[83], f[84], f[85]])),
            (58, 135) => Some((135, f[22], [f[75], f[76], f[77]])),
            _ => None,
        };
        sent.filter_map(of).collect()
    };
    let w = World::new();
    told(&w);
    w.stack.try_address(1, parse("fd00::1:2:3").unwrap(), Some(64)).unwrap();
    let asked = [2, 0, 3];
    assert_eq!(told(&w), [(131, 0, asked), (135, 0, asked)]);
    // Once more by chance, also when it has become ours meanwhile.
    w.stack.add_address(1, parse("fd00::1:2:3").unwrap(), Some(64)).unwrap();
    assert_eq!(told(&w), []);
    w.passes(11 * SECOND);
    assert_eq!(told(&w).iter().filter(|t| **t == (131, 0, asked)).count(), 1);
    // Another address that is asked for in the same group.
    w.stack.add_address(1, parse("fd00::9:2:3").unwrap(), Some(64)).unwrap();
    w.stack.remove_address(1, parse("fd00::1:2:3").unwrap()).unwrap();
    assert_eq!(told(&w), []);
    // Who has joined it himself keeps it.
    let group = parse("ff02::1:ff02:3").unwrap();
    w.stack.listen_to_group(1, group, true).unwrap();
    w.stack.remove_address(1, parse("fd00::9:2:3").unwrap()).unwrap();
    assert_eq!(told(&w), []);
    w.stack.listen_to_group(1, group, false).unwrap();
    assert_eq!(told(&w), [(132, 0, asked)]);
    // Of one that somebody else has nothing stays.
    w.stack.try_address(1, parse("fd00::9:2:3").unwrap(), Some(64)).unwrap();
    w.stack.remove_address(1, parse("fd00::9:2:3").unwrap()).unwrap();
    assert_eq!(told(&w), [(131, 0, asked), (135, 0, asked), (132, 0, asked)]);
}

#[test]
fn what_is_sent_to_a_group_comes_back_to_who_hears_it_here() {
    let w = World::new();
    let c = headers(&w, "*!7000");
    w.stack.join(&c, HERE.into(), Some(group())).unwrap();
    let from = w.udp("239.1.2.3!7000");
    w.sent();
    w.stack.write(&from, b"to all").unwrap();
    let sent = w.sent();
    assert_eq!(sent[0].0[..6], GROUP_MAC);
    assert_eq!(w.stack.read(&c, 200).unwrap()[52..], *b"to all");
    // Its own answer by the loopback, where only that has the group.
    let c = headers(&w, "*!7001");
    let here = parse("239.7.7.7").unwrap();
    w.stack.join(&c, parse("127.0.0.1").unwrap(), Some(here)).unwrap();
    assert_eq!(told(&w), []);
    let from = w.open(Proto::Udp);
    w.stack.connect(&from, (here, 7001).into(), Some(parse_local("127.0.0.1!0").unwrap())).unwrap();
    w.stack.write(&from, b"inside").unwrap();
    assert_eq!(w.stack.read(&c, 200).unwrap()[52..], *b"inside");
    assert!(w.sent().is_empty());
}

#[test]
fn what_is_no_group_is_refused_and_there_is_an_end_to_groups() {
    let w = World::new();
    let c = headers(&w, "*!80");
    let text = "addmulti for a non multicast address";
    assert_eq!(refused(w.stack.join(&c, HERE.into(), Some(THERE.into()))), text);
    assert_eq!(refused(w.stack.join(&c, HERE.into(), None)), text);
    assert_eq!(refused(w.stack.listen_to_group(1, THERE.into(), true)), text);
    assert_eq!(refused(w.stack.join(&c, THERE.into(), Some(group()))), "not a local IP address");
    assert_eq!(refused(w.stack.join(&c, parse("fd00::2").unwrap(), Some(group()))), "not a local IP address");
    let tcp = w.open(Proto::Tcp);
    assert!(w.stack.join(&tcp, HERE.into(), Some(group())).is_err());
    let of = |n: usize| IpAddress::v4(239, 2, 0, n as u8);
    let joined = (0..100).take_while(|n| w.stack.join(&c, HERE.into(), Some(of(*n))).is_ok()).count();
    assert_eq!(joined, net::groups::JOINED_MOST);
    let more = (100..200).take_while(|n| w.stack.listen_to_group(1, of(*n), true).is_ok()).count();
    assert_eq!(joined + more, net::groups::MOST);
    // What comes from the wire in our name is still believed of nobody.
    w.stack.close(&c);
    let c = headers(&w, "*!5353");
    w.stack.join(&c, HERE.into(), Some(of(100))).unwrap();
    let mut forged = addressed(to_group(5353, b"forged"), Ipv4Address::new(239, 2, 0, 100), GROUP_MAC);
    forged[26..30].copy_from_slice(&HERE.octets());
    forged[40..42].copy_from_slice(&[0, 0]);
    Ipv4Packet::new_unchecked(&mut forged[14..]).fill_checksum();
    w.comes(forged);
    assert!(text::status(&w.stack, &c).unwrap().contains("qin 0 "));
    // With its interface they are gone, and another one of the same number has none.
    w.stack.unbind(1).unwrap();
    assert!(!text::own_addresses(&w.stack).unwrap().contains("239."));
    assert_eq!(refused(w.stack.leave(&c, parse("127.0.0.1").unwrap(), Some(of(100)))), "file does not exist");
}

#[test]
fn service_and_hops_are_written_before_and_after_a_conversation_begins() {
    let w = World::new();
    w.knows(THERE);
    let c = w.open(Proto::Udp);
    w.stack.set_service(&c, 0x10).unwrap();
    w.stack.set_hops(&c, 7).unwrap();
    w.stack.connect(&c, (IpAddress::from(THERE), 53).into(), None).unwrap();
    w.stack.write(&c, b"a").unwrap();
    let sent = w.sent();
    let f = &sent[0].0;
    assert_eq!((f[15], f[22]), (0x10, 7));
    assert!(Ipv4Packet::new_checked(&f[14..]).unwrap().verify_checksum());
    w.stack.set_service(&c, 0).unwrap();
    w.stack.set_hops(&c, 9).unwrap();
    w.stack.write(&c, b"b").unwrap();
    assert_eq!((w.sent()[0].0[15], w.sent().len()), (0, 0));
    let (c, _) = connected(&w);
    w.stack.set_service(&c, 0x28).unwrap();
    w.stack.set_hops(&c, 3).unwrap();
    w.sent();
    w.stack.write(&c, b"tcp").unwrap();
    let sent = w.sent();
    assert_eq!((sent[0].0[15], sent[0].0[22]), (0x28, 3));
    assert!(Ipv4Packet::new_checked(&sent[0].0[14..]).unwrap().verify_checksum());
    // Of IPv6 it lies across two bytes.
    let c = w.udp("fd00::9!53");
    w.stack.set_service(&c, 0xb8).unwrap();
    w.stack.write(&c, b"six").unwrap();
    w.comes(told_v6());
    let sent = w.sent();
    let f = &sent.iter().find(|(f, _)| f[12..14] == [0x86, 0xdd] && f[20] == 17).unwrap().0;
    assert_eq!(f[14..16], [0x6b, 0x80]);
}

/// The answer of fd00::9 to who asks for it.
fn told_v6() -> Vec<u8> {
    use smoltcp::wire::{Icmpv6Packet, Icmpv6Repr, Ipv6Address, NdiscNeighborFlags, NdiscRepr};
    let (from, to): (Ipv6Address, Ipv6Address) = ("fd00::9".parse().unwrap(), "fd00::2".parse().unwrap());
    let lladdr = Some(EthernetAddress(THEIRS).into());
    let flags = NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE;
    let repr = Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert { flags, target_addr: from, lladdr });
    let mut icmp = vec![0; repr.buffer_len()];
    repr.emit(&from, &to, &mut Icmpv6Packet::new_unchecked(&mut icmp[..]), &ChecksumCapabilities::default());
    let [high, low] = (icmp.len() as u16).to_be_bytes();
    let ip = [0x60, 0, 0, 0, high, low, 58, 255];
    [&OURS[..], &THEIRS, &[0x86, 0xdd], &ip, &from.octets(), &to.octets(), &icmp].concat()
}
