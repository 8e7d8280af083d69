//! Datagrams and echoes.

use super::*;

#[test]
fn datagrams_are_whole_and_have_addresses_before_them() {
    let w = World::new();
    let server = w.announce(Proto::Udp, "127.0.0.1!53");
    w.0.set_headers(&server, true).unwrap();
    let client = w.dial(Proto::Udp, "127.0.0.1!53").unwrap();
    for message in [&b"one"[..], b"", &[7; 16000]] {
        assert_eq!(w.0.write(&client, message).unwrap(), message.len());
        let got = w.0.read(&server, 20_000).unwrap();
        let (head, data) = got.split_at(net::udp::HEADER);
        assert_eq!(data, message);
        let one = net::address::to_bytes(Some(parse("127.0.0.1").unwrap()));
        assert_eq!(head[..16], one);
        assert_eq!(head[16..32], one);
        assert_eq!(head[50..52], 53u16.to_be_bytes());
        // It goes back by the same header.
        assert_eq!(w.0.write(&server, &[head, b"answer"].concat()).unwrap(), 58);
        assert_eq!(w.0.read(&client, 100).unwrap(), b"answer");
    }
    assert_eq!(w.0.write(&client, &[0; 17000]), Err(TOO_LONG));
    assert_eq!(w.0.write(&server, &[0; 51]), Err(TOO_SHORT));
    assert_eq!(w.0.write(&server, &[0; 60]), Err(BAD_ADDRESS));
    // A short read cuts the datagram; the rest is gone.
    w.0.write(&client, b"longer").unwrap();
    w.0.write(&client, b"next").unwrap();
    assert_eq!(w.0.read(&server, 54).unwrap()[52..], *b"lo");
    assert_eq!(w.0.read(&server, 100).unwrap()[52..], *b"next");
    assert_eq!(w.status(&client), "Open qin 0 qout 0\n");
}

#[test]
fn a_datagram_without_headers_is_a_call() {
    let w = World::new();
    let server = w.announce(Proto::Udp, "*!7");
    let a = w.dial(Proto::Udp, "127.0.0.1!7").unwrap();
    let b = w.dial(Proto::Udp, "::1!7").unwrap();
    w.0.write(&a, b"from a").unwrap();
    w.0.write(&b, b"from b").unwrap();
    w.0.write(&a, b"more of a").unwrap();
    let (from_a, from_b) = (w.0.listen(&server).unwrap(), w.0.listen(&server).unwrap());
    assert_eq!(w.0.read(&from_a, 100).unwrap(), b"from a");
    assert_eq!(w.0.read(&from_a, 100).unwrap(), b"more of a");
    assert_eq!(w.0.read(&from_b, 100).unwrap(), b"from b");
    w.0.write(&from_b, b"to b").unwrap();
    assert_eq!(w.0.read(&b, 100).unwrap(), b"to b");
}

#[test]
fn datagrams_that_nobody_reads_are_dropped() {
    let w = World::new();
    let server = w.announce(Proto::Udp, "127.0.0.1!53");
    w.0.set_headers(&server, true).unwrap();
    let client = w.dial(Proto::Udp, "127.0.0.1!53").unwrap();
    for n in 0..1000u32 {
        w.0.write(&client, &n.to_le_bytes()).unwrap();
    }
    assert_eq!(w.0.read(&server, 100).unwrap()[52..], [0; 4]);
    assert!(w.status(&server).starts_with("Open qin "));
}

#[test]
fn an_echo_is_answered() {
    let w = World::new();
    for (proto, at, header, request, answer) in
        [(Proto::Icmp, "127.0.0.1!1", 20, 8, 0), (Proto::Icmpv6, "::1!1", 40, 128, 129)]
    {
        let c = w.dial(proto, at).unwrap();
        let mut message = vec![0; header];
        message.extend([request, 0, 0, 0, 0, 0, 0, 5]);
        message.extend(b"payload");
        assert_eq!(w.0.write(&c, &message).unwrap(), message.len());
        let got = w.0.read(&c, 1000).unwrap();
        assert_eq!(got[header], answer);
        assert_eq!(got[header + 6..], message[header + 6..]);
        message[header] = 5;
        assert_eq!(w.0.write(&c, &message), Err(BAD_CONTROL));
    }
}

#[test]
fn an_address_of_a_card_answers_who_is_here() {
    let w = World::new();
    // Without a card it is as good as one.
    for (proto, addr) in [(Proto::Icmp, "10.0.0.2"), (Proto::Icmpv6, "fd00::2")] {
        let ifc = w.0.new_interface().unwrap();
        w.0.add_address(ifc, parse(addr).unwrap(), None).unwrap();
        let c = w.open(proto);
        w.0.connect(&c, IpEndpoint::new(parse(addr).unwrap(), 0), None).unwrap();
        let (head, kind) = if proto == Proto::Icmp { (20, 8) } else { (40, 128) };
        let mut echo = vec![0; head + 16];
        echo[head] = kind;
        w.0.write(&c, &echo).unwrap();
        assert_eq!(w.0.read(&c, 100).unwrap().len(), head + 16);
    }
}
