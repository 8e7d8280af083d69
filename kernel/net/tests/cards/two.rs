//! Two cards, whose routers may have the same address; and cards that take little.

use super::*;
use smoltcp::wire::Ipv6Address;

const SECOND_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x11];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 0x22];

/// One more card.
fn another(w: &World, wire: Wire) -> (u32, Arc<Wire>) {
    let (ifc, wire) = (w.stack.new_interface().unwrap(), Arc::new(wire));
    w.stack.bind_card(ifc, wire.clone(), "/net/ether1").unwrap();
    (ifc, wire)
}

fn with_two() -> (World, Arc<Wire>) {
    let w = World::new();
    let (ifc, other) = another(&w, Wire { mac: Some(SECOND_MAC), ..Wire::default() });
    for ifc in [1, ifc] {
        w.stack.listen_to_routers(ifc, true).unwrap();
    }
    w.passes(SECOND);
    (w, other)
}

/// An advertisement by a router with this card.
fn advert(from: &str, seconds: u64, mac: [u8; 6]) -> Vec<u8> {
    let from: Ipv6Address = from.parse().unwrap();
    let mut frame = routers::advert(from, seconds, 0);
    // Its card, as it stands in the option as well; the sum goes with it.
    let at = frame.windows(6).rposition(|bytes| bytes == THEIRS).unwrap();
    frame[at..at + 6].copy_from_slice(&mac);
    let to = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    smoltcp::wire::Icmpv6Packet::new_unchecked(&mut frame[54..]).fill_checksum(&from, &to);
    frame
}

fn comes(w: &World, wire: &Wire, frame: Vec<u8>) {
    wire.comes.lock().unwrap().push(frame);
    w.round();
}

/// The cards to which a datagram to the world goes by either.
fn ways(w: &World, second: &Wire) -> [Option<[u8; 6]>; 2] {
    w.sent();
    second.sent.lock().unwrap().clear();
    let (c, to) = (w.open(Proto::Udp), parse("2600::1").unwrap());
    if w.stack.connect(&c, (to, 53).into(), None).is_ok() {
        w.stack.write(&c, b"far").unwrap();
    }
    [&*w.wire, second].map(|wire| {
        let sent = wire.sent.lock().unwrap();
        let far = sent.iter().find(|(frame, _)| frame.ends_with(b"far"));
        far.map(|(frame, _)| frame[..6].try_into().unwrap())
    })
}

#[test]
fn the_way_out_is_where_the_router_is() {
    let (w, second) = with_two();
    w.stack.add_address(1, parse("2001:db8::2").unwrap(), Some(64)).unwrap();
    w.stack.add_address(2, parse("2001:db9::2").unwrap(), Some(64)).unwrap();
    w.comes(advert("fe80::1", 1800, THEIRS));
    assert_eq!(ways(&w, &second), [Some(THEIRS), None]);
    // One of the same address on the other network: its end is not that of the first.
    comes(&w, &second, advert("fe80::1", 1800, OTHER));
    assert_eq!(ways(&w, &second), [Some(THEIRS), None]);
    comes(&w, &second, advert("fe80::1", 0, OTHER));
    assert_eq!(ways(&w, &second), [Some(THEIRS), None]);
    comes(&w, &second, advert("fe80::1", 1800, OTHER));
    w.comes(advert("fe80::1", 0, THEIRS));
    assert_eq!(ways(&w, &second), [None, Some(OTHER)]);
    // What an interface has learned goes with it.
    w.stack.unbind(2).unwrap();
    assert!(!text::routes(&w.stack).unwrap().contains("fe80::1 "));
    assert_eq!(ways(&w, &second), [None, None]);
}

#[test]
fn when_one_router_ends_another_that_is_known_is_taken() {
    let (w, second) = with_two();
    w.stack.add_address(1, parse("2001:db8::2").unwrap(), Some(64)).unwrap();
    w.comes(advert("fe80::1", 1800, THEIRS));
    w.comes(advert("fe80::2", 20, OTHER));
    // The first stays the one, and the second is there when it goes.
    assert_eq!(ways(&w, &second), [Some(THEIRS), None]);
    w.comes(advert("fe80::1", 0, THEIRS));
    assert_eq!(ways(&w, &second), [Some(OTHER), None]);
    w.comes(advert("fe80::1", 1800, THEIRS));
    assert_eq!(ways(&w, &second), [Some(OTHER), None]);
    w.passes(21 * SECOND);
    assert_eq!(ways(&w, &second), [Some(THEIRS), None]);
}

#[test]
fn no_packet_is_longer_than_its_card_takes() {
    let w = World::new();
    let (ifc, wire) = another(&w, Wire { mac: Some(SECOND_MAC), mtu: Some(500), ..Wire::default() });
    assert!(text::ifc_status(&w.stack, ifc as usize).unwrap().contains(" maxtu 500 "));
    let v6 = parse("fd00:1::2").unwrap();
    assert_eq!(refused(w.stack.add_address(ifc, v6, Some(64))), "mtu too small for IPv6");
    assert_eq!(refused(w.stack.try_address(ifc, v6, Some(64))), "mtu too small for IPv6");
    assert_eq!(refused(w.stack.listen_to_routers(ifc, true)), "mtu too small for IPv6");
    w.stack.add_address(ifc, parse("11.0.0.2").unwrap(), Some(24)).unwrap();
    w.stack.add_neighbour(parse("11.0.0.9").unwrap(), OTHER).unwrap();
    let c = w.udp("11.0.0.9!53");
    for len in [472, 473, 540, 3000] {
        w.stack.write(&c, &vec![1; len]).unwrap();
        let sent: Vec<_> = wire.sent.lock().unwrap().drain(..).map(|(frame, _)| frame.len() - 14).collect();
        assert!(sent.iter().all(|len| *len <= 500), "{len}: {sent:?}");
        let bytes = sent.iter().map(|len| len - 20).sum::<usize>();
        assert_eq!(bytes, len + 8);
    }
    // Less than every wire takes.
    let (ifc, wire) = (w.stack.new_interface().unwrap(), Arc::new(Wire { mtu: Some(67), ..Wire::default() }));
    assert_eq!(refused(w.stack.bind_card(ifc, wire, "/net/ether2")), "bad ether address");
}
