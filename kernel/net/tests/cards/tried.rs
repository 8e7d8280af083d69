//! Addresses that are tried before the machine has them, and those that it has for a time.

use super::*;
use net::tried::FOREVER;
use smoltcp::wire::{Icmpv6Packet, Icmpv6Repr, Ipv6Address, NdiscNeighborFlags, NdiscRepr};

const WANTED: Ipv6Address = Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, 7);
/// The group in which those are whose addresses end so.
const GROUP: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 7);
const ALL: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// A message of neighbours from a card.
pub(super) fn said(repr: NdiscRepr<'_>, from: Ipv6Address, to: Ipv6Address, mac: [u8; 6]) -> Vec<u8> {
    let repr = Icmpv6Repr::Ndisc(repr);
    let mut icmp = vec![0; repr.buffer_len()];
    repr.emit(&from, &to, &mut Icmpv6Packet::new_unchecked(&mut icmp[..]), &ChecksumCapabilities::default());
    let [high, low] = (icmp.len() as u16).to_be_bytes();
    let [.., a, b, c, d] = to.octets();
    let ip = [0x60, 0, 0, 0, high, low, 58, 255];
    [&[0x33, 0x33, a, b, c, d], &mac[..], &[0x86, 0xdd], &ip, &from.octets(), &to.octets(), &icmp].concat()
}

/// Somebody says that he has the address.
fn had(mac: [u8; 6]) -> Vec<u8> {
    let lladdr = Some(EthernetAddress(mac).into());
    let repr = NdiscRepr::NeighborAdvert { flags: NdiscNeighborFlags::OVERRIDE, target_addr: WANTED, lladdr };
    said(repr, WANTED, ALL, mac)
}

/// Somebody asks for it, for himself or to talk.
fn asked_for(from: Ipv6Address, mac: [u8; 6]) -> Vec<u8> {
    let lladdr = (!from.is_unspecified()).then(|| EthernetAddress(mac).into());
    said(NdiscRepr::NeighborSolicit { target_addr: WANTED, lladdr }, from, GROUP, mac)
}

fn tries(w: &World) {
    w.stack.try_address(1, WANTED.into(), Some(64)).unwrap();
}

fn has(w: &World, addr: &str) -> bool {
    text::own_addresses(&w.stack).unwrap().lines().any(|l| l.split_ascii_whitespace().next() == Some(addr))
}

fn shows(w: &World, addr: &str) -> Option<String> {
    let status = text::ifc_status(&w.stack, 1).unwrap();
    let words = |l: &str| l.split_ascii_whitespace().map(String::from).collect::<Vec<_>>();
    status.lines().map(words).find(|l| l[0] == addr).map(|l| format!("{} {} {}", l[1], l[3], l[4]))
}

#[test]
fn who_tries_an_address_asks_as_nobody_and_does_not_have_it() {
    let w = World::new();
    tries(&w);
    let sent = w.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, asked_for(Ipv6Address::UNSPECIFIED, OURS));
    assert!(!has(&w, "fd00::7"));
    assert_eq!(shows(&w, "fd00::7").unwrap(), "/64 4294967295 4294967295");
    // Nothing is sent from it, and who asks is not answered.
    let c = w.open(Proto::Udp);
    assert_eq!(refused(w.stack.bind(&c, parse_local("fd00::7!5").unwrap())), "not a local IP address");
    w.comes(asked_for("fd00::9".parse().unwrap(), THEIRS));
    assert!(w.sent().is_empty());
    w.passes(100 * SECOND);
    assert!(!has(&w, "fd00::7"));
    assert_eq!(refused(w.stack.try_address(1, WANTED.into(), None)), "connection in use");
    // Nobody has it.
    assert!(!text::neighbours(&w.stack).unwrap().contains("fd00::7"));
    w.stack.add_address(1, WANTED.into(), Some(64)).unwrap();
    assert!(has(&w, "fd00::7"));
    assert_eq!(text::ifc_status(&w.stack, 1).unwrap().matches("fd00::7 ").count(), 1);
    w.comes(asked_for(Ipv6Address::UNSPECIFIED, THEIRS));
    assert_eq!(w.sent()[0].0[54], 136, "another one who tries it is told");
    assert_eq!(refused(w.stack.try_address(1, WANTED.into(), None)), "connection in use");
}

#[test]
fn who_has_it_stands_among_the_neighbours() {
    for (frame, is_there) in [
        (had(THEIRS), true),
        (asked_for(Ipv6Address::UNSPECIFIED, THEIRS), true),
        (asked_for("fd00::9".parse().unwrap(), THEIRS), false),
        // What we have said ourselves.
        (asked_for(Ipv6Address::UNSPECIFIED, OURS), false),
    ] {
        let w = World::new();
        tries(&w);
        w.comes(frame);
        assert_eq!(text::neighbours(&w.stack).unwrap().contains("fd00::7"), is_there);
        w.stack.remove_address(1, WANTED.into()).unwrap();
        assert_eq!(shows(&w, "fd00::7"), None);
        assert_eq!(refused(w.stack.remove_address(1, WANTED.into())), "file does not exist");
    }
}

#[test]
fn there_is_an_end_to_what_can_be_tried() {
    let w = World::new();
    let addr = |n: u16| IpAddress::from(Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, n));
    // Two are there.
    for n in 10..16 {
        w.stack.try_address(1, addr(n), Some(64)).unwrap();
    }
    let one_more = addr(16);
    assert_eq!(refused(w.stack.try_address(1, one_more, Some(64))), "too many addresses or routes");
    for (addr, bits, says) in [
        ("ff02::1", 64, "bad ip address"),
        ("224.0.0.1", 24, "bad ip address"),
        ("::7f00:0:1", 0, "bad ip mask"),
        ("fd00::8", 0, "bad ip mask"),
        ("fd00::8", 129, "bad ip mask"),
        ("10.0.0.8", 33, "bad ip mask"),
        ("10.0.0.8", 0, "bad ip mask"),
    ] {
        let done = w.stack.try_address(1, parse(addr).unwrap(), Some(bits));
        assert_eq!(refused(done), says, "{addr} {bits}");
        if says == "bad ip mask" {
            assert_eq!(refused(w.stack.add_address(1, parse(addr).unwrap(), Some(bits))), says);
        }
    }
    // What is no card has no such thing.
    w.stack.try_address(0, parse("fd11::1").unwrap(), None).unwrap();
    w.stack.try_address(0, parse("10.9.9.9").unwrap(), None).unwrap();
    assert!(has(&w, "fd11::1") && has(&w, "10.9.9.9"));
    w.stack.unbind(1).unwrap();
    w.passes(SECOND);
}

#[test]
fn one_of_ipv4_is_asked_for_by_arp() {
    let wanted = Ipv4Address::new(10, 0, 7, 7);
    let nobody = Ipv4Address::UNSPECIFIED;
    let message = |operation, mac: [u8; 6], from, target| {
        let repr = ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: EthernetAddress(mac),
            source_protocol_addr: from,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: target,
        };
        let mut bytes = [0; 28];
        repr.emit(&mut ArpPacket::new_unchecked(&mut bytes[..]));
        [&[0xff; 6], &mac[..], &[8, 6], &bytes].concat()
    };
    let request = ArpOperation::Request;
    for (frame, is_there) in [
        (message(ArpOperation::Reply, THEIRS, wanted, nobody), true),
        // He talks of something else, or tries it as well.
        (message(request, THEIRS, wanted, THERE), true),
        (message(request, THEIRS, nobody, wanted), true),
        // One who only asks for it, what we have said ourselves, and what is said of another.
        (message(request, THEIRS, THERE, wanted), false),
        (message(request, OURS, nobody, wanted), false),
        (message(request, THEIRS, nobody, THERE), false),
        (message(ArpOperation::Unknown(9), THEIRS, wanted, wanted), false),
    ] {
        let w = World::new();
        w.stack.try_address(1, wanted.into(), Some(24)).unwrap();
        let sent = w.sent();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].0, message(request, OURS, nobody, wanted));
        assert!(!has(&w, "10.0.7.7"));
        w.comes(frame);
        assert!(w.sent().iter().all(|(f, _)| f[28..32] != wanted.octets()), "nothing is said from it");
        let neighbours = text::neighbours(&w.stack).unwrap();
        assert_eq!(neighbours.contains("10.0.7.7"), is_there, "{neighbours}");
        w.stack.add_address(1, wanted.into(), Some(24)).unwrap();
        assert!(has(&w, "10.0.7.7"));
    }
}

#[test]
fn what_routers_bring_is_tried_as_well() {
    let near: Ipv6Address = "fe80::ff:fe00:1".parse().unwrap();
    for taken in [false, true] {
        let w = World::new();
        w.stack.listen_to_routers(1, true).unwrap();
        if taken {
            let lladdr = Some(EthernetAddress(THEIRS).into());
            let flags = NdiscNeighborFlags::OVERRIDE;
            let repr = NdiscRepr::NeighborAdvert { flags, target_addr: near, lladdr };
            w.comes(said(repr, near, ALL, THEIRS));
        }
        w.passes(2 * SECOND);
        assert_eq!(has(&w, "fe80::ff:fe00:1"), !taken);
        // Routers are asked for by who it is, or by nobody.
        w.sent();
        w.passes(4 * SECOND);
        let asks: Vec<_> = w.sent().into_iter().filter(|(f, _)| f[54] == 133).collect();
        assert_eq!(asks[0].0[22..38] == near.octets(), !taken);
        assert_eq!(asks[0].0[22..38] == [0; 16], taken);
    }
}

#[test]
fn an_address_of_the_card_may_have_an_end() {
    let w = World::new();
    let net = parse("2001:db8:1::").unwrap();
    let adds = |bits, on_link, lives| w.stack.add_of_card(1, net, bits, on_link, lives);
    for (bits, lives, says) in [
        (0, [9, 9], "bad ip mask"),
        (65, [9, 9], "bad ip mask"),
        (64, [9, 10], "bad arg in system call"),
        (64, [0, 0], "bad arg in system call"),
    ] {
        assert_eq!(refused(adds(bits, true, lives)), says);
    }
    for net in ["fe80::", "10.0.0.0"] {
        let done = w.stack.add_of_card(1, parse(net).unwrap(), 64, true, [FOREVER; 2]);
        assert_eq!(refused(done), "bad ip address");
    }
    assert_eq!(refused(w.stack.add_of_card(0, net, 64, true, [FOREVER; 2])), "connection in use");
    adds(64, true, [100, 50]).unwrap();
    let addr = "2001:db8:1::ff:fe00:1";
    assert_eq!(shows(&w, addr).unwrap(), "/64 100 50");
    w.passes(60 * SECOND);
    assert_eq!(shows(&w, addr).unwrap(), "/64 40 0");
    // It is said anew, as routers do.
    adds(64, true, [100, 50]).unwrap();
    let c = w.udp("2001:db8:1::5!53");
    w.passes(99 * SECOND);
    assert!(has(&w, addr));
    w.stack.write(&c, b"still").unwrap();
    w.passes(SECOND);
    assert!(!has(&w, addr));
    assert_eq!(refused(w.stack.write(&c, b"gone")), "i/o on hungup channel");
    // For ever, and in no network.
    adds(64, false, [FOREVER; 2]).unwrap();
    assert_eq!(shows(&w, addr).unwrap(), "/128 4294967295 4294967295");
    w.passes(1_000_000 * SECOND);
    assert!(has(&w, addr));
    assert_eq!(refused(w.stack.connect(&w.open(Proto::Udp), (net, 5).into(), None)), "no route");
}
