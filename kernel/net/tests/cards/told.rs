//! What ICMP says of packets of ours.

use std::thread::scope;

use super::*;

/// A message of this type and code that quotes a packet.
fn about(kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    let mut icmp = [&[kind, code, 0, 0, 0, 0, 0, 0], &quoted[..28]].concat();
    smoltcp::wire::Icmpv4Packet::new_unchecked(&mut icmp[..]).fill_checksum();
    v4(1, Ipv4Address::new(10, 0, 0, 1), &icmp)
}

#[test]
fn a_conversation_of_datagrams_ends_with_what_is_said() {
    let w = World::new();
    w.knows(THERE);
    let (c, other) = (w.udp("10.0.0.9!53"), w.udp("10.0.0.9!54"));
    w.stack.write(&c, b"question").unwrap();
    let sent = w.sent().remove(0).0[14..].to_vec();
    let ports = w.ports(&c);
    w.comes(datagram(53, ports.0, b"came before"));
    // About another port, and one that is broken.
    let mut wrong = sent.clone();
    wrong[21] ^= 1;
    w.comes(about(3, 3, &wrong));
    let mut broken = about(3, 3, &sent);
    broken[60] ^= 1;
    w.comes(broken);
    // That it was too long ends nothing.
    w.comes(about(3, 4, &sent));
    assert_eq!(text::error(&w.stack, &c).unwrap(), "");
    w.comes(about(3, 3, &sent));
    assert_eq!(w.stack.read(&c, 100).unwrap(), b"came before");
    assert_eq!(refused(w.stack.read(&c, 100)), "port unreachable");
    assert_eq!(refused(w.stack.write(&c, b"again")), "port unreachable");
    assert_eq!(text::error(&w.stack, &c).unwrap(), "port unreachable\n");
    w.stack.write(&other, b"goes on").unwrap();
    let sent = w.sent().remove(0).0[14..].to_vec();
    w.stack.ignore_advice(&other).unwrap();
    w.comes(about(3, 1, &sent));
    w.stack.write(&other, b"goes on").unwrap();
}

/// An echo that is asked for, or its answer, with this number.
fn echo(kind: u8, number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let mut message = vec![kind, 0, 0, 0, high, low, 0, 7];
    smoltcp::wire::Icmpv4Packet::new_unchecked(&mut message[..]).fill_checksum();
    message
}

#[test]
fn a_conversation_of_echoes_ends_with_what_is_said_of_its_own() {
    let w = World::new();
    w.knows(THERE);
    let open = || {
        let c = w.open(Proto::Icmp);
        w.stack.connect(&c, (IpAddress::from(THERE), 1).into(), None).unwrap();
        w.stack.write(&c, &[&[0; 20][..], &echo(8, 0)].concat()).unwrap();
        (c, w.sent().remove(0).0[14..].to_vec())
    };
    let ((c, sent), (other, of_other)) = (open(), open());
    let answer = v4(1, THERE, &echo(0, w.ports(&c).0));
    w.comes(answer);
    // About an answer, which nobody here has sent, and about another number.
    let mut wrong = sent.clone();
    wrong[20] = 0;
    w.comes(about(3, 1, &wrong));
    let mut wrong = sent.clone();
    wrong[24] ^= 1;
    w.comes(about(3, 1, &wrong));
    assert_eq!(text::error(&w.stack, &c).unwrap(), "");
    w.comes(about(3, 1, &sent));
    assert_eq!(w.stack.read(&c, 100).unwrap().len(), 28);
    assert_eq!(refused(w.stack.read(&c, 100)), "host unreachable");
    assert_eq!(refused(w.stack.write(&c, &[0; 28])), "host unreachable");
    assert_eq!(text::error(&w.stack, &other).unwrap(), "");
    w.comes(about(11, 0, &of_other));
    assert_eq!(refused(w.stack.read(&other, 100)), "ttl exceeded in transit");
}

#[test]
fn a_call_ends_with_it_and_a_connection_does_not() {
    let w = World::new();
    w.knows(THERE);
    let c = w.open(Proto::Tcp);
    let done = scope(|s| {
        let calls = s.spawn(|| w.stack.connect(&c, (IpAddress::from(THERE), 80).into(), None));
        let sent = loop {
            if let Some((frame, _)) = w.sent().pop() {
                break frame;
            }
            std::thread::yield_now();
        };
        w.comes(about(3, 1, &sent[14..]));
        calls.join().unwrap()
    });
    assert_eq!(refused(done), "host unreachable");
    let l = w.announce(Proto::Tcp, "*!80");
    let ports = (5000, 80);
    w.comes(tcp(&Tcp { control: TcpControl::Syn, seq: 100, ack: None, ports }, b""));
    let answer = w.sent().remove(0).0;
    let seq = TcpPacket::new_checked(&answer[34..]).unwrap().seq_number().0;
    w.comes(tcp(&Tcp { control: TcpControl::None, seq: 101, ack: Some(seq + 1), ports }, b""));
    let call = w.stack.listen(&l).unwrap();
    w.comes(about(3, 3, &answer[14..]));
    assert_eq!(w.stack.write(&call, b"still here").unwrap(), 10);
}

#[test]
fn what_is_opened_shows_packets_and_the_log_tells() {
    let w = World::new();
    w.knows(THERE);
    let (c, other) = (w.udp("10.0.0.9!53"), w.udp("10.0.0.9!54"));
    let copies = w.stack.snoop(&c, None).unwrap();
    let all = w.stack.snoop_interface(1).unwrap();
    let log = w.stack.log();
    log.open().unwrap();
    log.control("set icmp arp").unwrap();
    w.stack.write(&c, b"out").unwrap();
    w.stack.write(&other, b"elsewhere").unwrap();
    w.comes(datagram(53, w.ports(&c).0, b"in"));
    for text in ["out", "in"] {
        let packet = copies.read(1000).unwrap();
        assert!(packet[0] == 0x45 && packet.ends_with(text.as_bytes()), "{text}");
    }
    for text in ["out", "elsewhere", "in"] {
        assert!(all.read(1000).unwrap().ends_with(text.as_bytes()), "{text}");
    }
    let sent = w.sent().remove(0).0[14..].to_vec();
    w.comes(about(3, 3, &sent));
    let text = String::from_utf8(log.read(1000).unwrap()).unwrap();
    assert!(text.ends_with(" 10.0.0.9!53: port unreachable\n"), "{text}");
    copies.close();
    w.stack.unbind(1).unwrap();
    // Who still reads hears the end.
    while !all.read(1000).unwrap().is_empty() {}
}
