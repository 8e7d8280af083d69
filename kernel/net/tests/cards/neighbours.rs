//! Who is asked for, how often, and what waits meanwhile.

use super::*;

fn addr(n: u8) -> Ipv4Address {
    Ipv4Address::new(10, 0, 0, n)
}

#[test]
fn each_is_asked_for_by_itself_and_what_waits_goes() {
    let w = World::new();
    let (a, b) = (w.udp("10.0.0.20!53"), w.udp("10.0.0.21!53"));
    let far = w.udp("8.8.8.8!53");
    for (c, text) in [(&a, "to a"), (&b, "to b"), (&a, "to a, too"), (&far, "to far")] {
        w.stack.write(c, text.as_bytes()).unwrap();
    }
    // All within the same moment, and what is far by its gateway.
    assert_eq!(asked(&w.sent()), [addr(20), addr(21), addr(1)]);
    w.comes(arp(ArpOperation::Reply, addr(20), [2, 0, 0, 0, 0, 20]));
    let sent: Vec<Vec<u8>> = w.sent().into_iter().map(|(f, _)| f).collect();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|f| f.starts_with(&[2, 0, 0, 0, 0, 20])));
    assert!(sent[0].ends_with(b"to a") && sent[1].ends_with(b"to a, too"));
    w.passes(SECOND);
    assert_eq!(asked(&w.sent()), [addr(21), addr(1)]);
    let text = text::neighbours(&w.stack).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split_ascii_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ether", "OK", "10.0.0.20", "020000000014"]);
    assert_eq!(lines[1], ["ether", "WAIT", "10.0.0.21"]);
    // Who does not answer is given up, and what waited is lost.
    w.passes(SECOND);
    w.passes(SECOND);
    assert!(!text::neighbours(&w.stack).unwrap().contains("WAIT"));
    assert!(text::ip_stats(&w.stack).unwrap().contains("OutDiscards: 2\n"));
    w.sent();
    w.passes(10 * SECOND);
    assert!(w.sent().is_empty());
}

#[test]
fn the_owner_may_say_who_is_where() {
    let w = World::new();
    let c = w.udp("10.0.0.20!53");
    w.stack.write(&c, b"early").unwrap();
    w.stack.add_neighbour(addr(20).into(), [2, 0, 0, 0, 0, 7]).unwrap();
    let sent = w.sent();
    assert!(
        sent.last().unwrap().0.starts_with(&[2, 0, 0, 0, 0, 7]) && sent.last().unwrap().0.ends_with(b"early")
    );
    // What somebody else says does not change that.
    w.comes(arp(ArpOperation::Reply, addr(20), [2, 0, 0, 0, 0, 8]));
    w.stack.write(&c, b"late").unwrap();
    assert!(w.sent()[0].0.starts_with(&[2, 0, 0, 0, 0, 7]));
    assert_eq!(refused(w.stack.add_neighbour(parse("8.8.8.8").unwrap(), [2; 6])), "no route");
    assert_eq!(refused(w.stack.add_neighbour(addr(20).into(), [1; 6])), "bad ip address");
    w.stack.forget_neighbour(addr(20).into()).unwrap();
    assert_eq!(refused(w.stack.forget_neighbour(addr(20).into())), "file does not exist");
    w.knows(addr(9));
    w.stack.flush_neighbours();
    assert_eq!(text::neighbours(&w.stack).unwrap(), "");
    assert_eq!(net::arp::parse_mac("52:54:00:12:34:56"), net::arp::parse_mac("525400123456"));
    for bad in ["", "5254001234", "52540012345g", "52540012345678"] {
        assert!(net::arp::parse_mac(bad).is_err(), "{bad}");
    }
}

#[test]
fn who_asks_for_us_is_answered_and_strangers_are_not_believed() {
    let w = World::new();
    w.comes(arp(ArpOperation::Request, THERE, THEIRS));
    let sent = w.sent();
    let ArpRepr::EthernetIpv4 { operation, source_hardware_addr, target_protocol_addr, .. } =
        ArpRepr::parse(&ArpPacket::new_checked(&sent[0].0[14..]).unwrap()).unwrap()
    else {
        panic!("no answer")
    };
    assert_eq!((operation, target_protocol_addr), (ArpOperation::Reply, THERE));
    assert_eq!(source_hardware_addr, EthernetAddress(OURS));
    // From another network, in our own name, from a group, an answer that nobody asked for, and for another card.
    let mut others = arp(ArpOperation::Request, addr(30), [2, 0, 0, 0, 0, 30]);
    others[5] = 77;
    for frame in [
        arp(ArpOperation::Request, Ipv4Address::new(11, 0, 0, 1), THEIRS),
        arp(ArpOperation::Request, HERE, THEIRS),
        arp(ArpOperation::Request, addr(31), [3, 0, 0, 0, 0, 3]),
        arp(ArpOperation::Reply, addr(32), THEIRS),
        others,
    ] {
        w.comes(frame);
    }
    assert!(w.sent().is_empty());
    assert_eq!(text::neighbours(&w.stack).unwrap().lines().count(), 1);
    // A neighbour of IPv6 is asked for by its group, answers, and is answered.
    let c = w.udp("fd00::9!53");
    w.stack.write(&c, b"six").unwrap();
    let (question, _) = &w.sent()[0];
    assert_eq!((&question[..6], question[54]), (&[0x33, 0x33, 0xff, 0, 0, 9][..], 135));
}

#[test]
fn what_a_full_card_does_not_take_waits_for_it() {
    let w = World::new();
    w.knows(THERE);
    let c = w.udp("10.0.0.9!53");
    w.wire.full.store(true, Ordering::SeqCst);
    for n in 0..5u8 {
        w.stack.write(&c, &[n; 10]).unwrap();
    }
    assert!(w.sent().is_empty());
    w.wire.full.store(false, Ordering::SeqCst);
    w.round();
    assert!(w.sent().iter().map(|(f, _)| f[42]).eq(0..5));
}

/// Who does not say that he is to be believed rather than others changes nothing of what is known (RFC 4861, 7.2.5):
/// the card that it has is asked.
#[test]
fn what_does_not_override_is_only_a_reason_to_ask() {
    use smoltcp::wire::{Ipv6Address, NdiscNeighborFlags, NdiscRepr};
    let w = World::new();
    let target = Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, 9);
    let all = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let says = |flags, mac: [u8; 6]| {
        let lladdr = Some(EthernetAddress(mac).into());
        let advert = NdiscRepr::NeighborAdvert { flags, target_addr: target, lladdr };
        w.comes(tried::said(advert, target, all, mac));
    };
    let c = w.udp("fd00::9!53");
    w.stack.write(&c, b"six").unwrap();
    w.sent();
    // Of who is not known yet it is enough.
    says(NdiscNeighborFlags::SOLICITED, THEIRS);
    assert!(w.sent()[0].0.starts_with(&THEIRS));
    let liar = [2, 0, 0, 0, 0, 0x66];
    says(NdiscNeighborFlags::empty(), liar);
    w.passes(SECOND);
    w.sent();
    w.stack.write(&c, b"six").unwrap();
    let sent: Vec<Vec<u8>> = w.sent().into_iter().map(|(frame, _)| frame).collect();
    assert!(sent.iter().all(|frame| frame.starts_with(&THEIRS)));
    assert!(sent.iter().any(|frame| frame[54] == 135) && sent.iter().any(|frame| frame.ends_with(b"six")));
    // It says that it has it still, and is not asked again.
    says(NdiscNeighborFlags::SOLICITED, THEIRS);
    w.stack.write(&c, b"six").unwrap();
    assert!(w.sent().iter().all(|(frame, _)| frame[54] != 135));
    says(NdiscNeighborFlags::OVERRIDE, liar);
    w.stack.write(&c, b"six").unwrap();
    assert!(w.sent()[0].0.starts_with(&liar));
}
