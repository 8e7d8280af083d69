//! How long packets may be: what routers say of their ways, and the machine's owner of an interface.

use super::*;

/// A router says that a packet of ours was too long for a wire of so many bytes.
fn too_long(quoted: &[u8], most: u16) -> Vec<u8> {
    let [high, low] = most.to_be_bytes();
    let mut icmp = [&[3, 4, 0, 0, 0, 0, high, low], &quoted[..28]].concat();
    smoltcp::wire::Icmpv4Packet::new_unchecked(&mut icmp[..]).fill_checksum();
    v4(1, Ipv4Address::new(10, 0, 0, 1), &icmp)
}

/// Lengths of the packets of IP that were sent, and their data behind the headers of TCP.
fn lengths(sent: &[(Vec<u8>, Open)]) -> Vec<usize> {
    sent.iter().filter(|(f, _)| f[12..14] == [8, 0]).map(|(f, _)| f.len() - 14).collect()
}

#[test]
fn a_connection_says_again_in_shorter_packets_what_was_too_long() {
    let w = World::new();
    let (c, seq) = connected(&w);
    w.sent();
    let much: Vec<u8> = (0..4000u32).map(|n| n as u8).collect();
    assert_eq!(w.stack.write(&c, &much).unwrap(), much.len());
    let sent = w.sent();
    assert_eq!(lengths(&sent), [1440, 1440, 1240]);
    // Who does not know what is under way is not believed.
    let mut guessed = sent[0].0[14..].to_vec();
    guessed[24] ^= 0x40;
    w.comes(too_long(&guessed, 1000));
    assert!(w.sent().is_empty());
    w.comes(too_long(&sent[0].0[14..], 1000));
    let again = w.sent();
    assert!(lengths(&again).iter().all(|len| *len <= 1000), "{:?}", lengths(&again));
    let first = again[0].0[38..42].try_into().unwrap();
    assert_eq!(i32::from_be_bytes(first), seq);
    assert_eq!(again[0].0[54..], much[..960]);
    // Not more than once for the same, nor for nothing.
    w.comes(too_long(&sent[0].0[14..], 1000));
    w.comes(too_long(&sent[0].0[14..], 1400));
    assert!(w.sent().is_empty());
    assert_eq!(text::error(&w.stack, &c).unwrap(), "");
    assert!(
        text::stats(&w.stack, Proto::Tcp)
            .unwrap()
            .lines()
            .any(|l| { l.strip_prefix("RetransSegs: ").is_some_and(|n| n.parse::<u32>().unwrap() > 0) })
    );
}

#[test]
fn datagrams_go_in_pieces_by_a_narrow_way_for_ten_minutes() {
    let w = World::new();
    w.knows(THERE);
    let c = w.udp("10.0.0.9!53");
    w.stack.write(&c, &[7; 1400]).unwrap();
    let sent = w.sent();
    assert_eq!(lengths(&sent), [1428]);
    w.comes(too_long(&sent[0].0[14..], 1000));
    w.stack.write(&c, &[7; 1400]).unwrap();
    let pieces = lengths(&w.sent());
    assert!(pieces.len() == 2 && pieces.iter().all(|len| *len <= 1000), "{pieces:?}");
    // No router has us send crumbs.
    w.comes(too_long(&sent[0].0[14..], 68));
    w.stack.write(&c, &[7; 1400]).unwrap();
    assert_eq!(lengths(&w.sent()).len(), 3);
    w.passes(601 * SECOND);
    w.knows(THERE);
    w.stack.write(&c, &[7; 1400]).unwrap();
    assert_eq!(lengths(&w.sent()), [1428]);
}

#[test]
fn an_interface_takes_no_more_than_its_owner_says() {
    let w = World::new();
    for bad in [0, 575, 1501, 70_000] {
        assert_eq!(refused(w.stack.set_mtu(1, bad)), "bad arg in system call");
    }
    w.stack.set_mtu(1, 1000).unwrap();
    assert!(text::ifc_status(&w.stack, 1).unwrap().contains(" maxtu 1000 "));
    w.knows(THERE);
    let c = w.udp("10.0.0.9!53");
    w.stack.write(&c, &[7; 1400]).unwrap();
    assert_eq!(lengths(&w.sent()).len(), 2);
    let (c, _) = connected(&w);
    w.sent();
    w.stack.write(&c, &[1; 2000]).unwrap();
    assert_eq!(lengths(&w.sent())[0], 1000);
}
