//! Who may be announced where, beside whom; and callers among a flood.

use super::*;

fn announces(w: &World, who: &str, proto: Proto, at: &str) -> Result<Arc<Conversation>> {
    let c = w.open_as(proto, who);
    w.stack.announce(&c, parse_local(at).unwrap()).map(|()| c)
}

#[test]
fn nobody_takes_anothers_calls() {
    let w = World::new();
    for proto in [Proto::Tcp, Proto::Udp] {
        let _a = announces(&w, "ada", proto, "*!80").unwrap();
        let _b = announces(&w, "bob", proto, "10.0.0.2!81").unwrap();
        for (who, at) in [("bob", "10.0.0.2!80"), ("bob", "*!80"), ("ada", "*!81"), ("ada", "10.0.0.2!81")] {
            assert_eq!(refused(announces(&w, who, proto, at)), "address in use", "{who} {at}");
        }
        // Beside another address, beside himself, and as the machine's owner.
        for (who, at) in [("ada", "127.0.0.1!81"), ("ada", "10.0.0.2!80"), ("glenda", "*!81")] {
            announces(&w, who, proto, at).unwrap();
        }
        let c = w.open_as(proto, "bob");
        assert_eq!(refused(w.stack.bind(&c, parse_local("10.0.0.2!80").unwrap())), "address in use");
    }
}

#[test]
fn who_has_all_ports_has_those_that_nobody_else_has() {
    let w = World::new();
    w.knows(THERE);
    let others = w.open_as(Proto::Tcp, "bob");
    assert_eq!(refused(w.stack.announce_all(&others, None)), "permission denied");
    assert_eq!(refused(w.stack.announce_all(&w.open(Proto::Icmp), None)), "bad local port");
    let all = w.open(Proto::Tcp);
    w.stack.announce_all(&all, None).unwrap();
    assert_eq!(refused(w.stack.announce_all(&w.open(Proto::Tcp), None)), "address in use");
    let _one = announces(&w, "bob", Proto::Tcp, "*!80").unwrap();
    for (port, taken) in [(80, "bob"), (81, "glenda"), (65535, "glenda")] {
        let ports = (5000, port);
        w.comes(tcp(&Tcp { control: TcpControl::Syn, seq: 100, ack: None, ports }, b""));
        let answer = w.sent().remove(0).0;
        let packet = TcpPacket::new_checked(&answer[34..]).unwrap();
        assert!(packet.syn() && packet.ack());
        let seq = packet.seq_number().0;
        w.comes(tcp(&Tcp { control: TcpControl::None, seq: 101, ack: Some(seq + 1), ports }, b""));
        let mut number = 0;
        let call = loop {
            let files = w.stack.next(Proto::Tcp, number).unwrap();
            number = files.shared.number + 1;
            if text::remote(&w.stack, &files.shared).unwrap().ends_with("!5000\n")
                && text::local(&w.stack, &files.shared).unwrap().ends_with(&format!("!{port}\n"))
            {
                break files;
            }
        };
        assert_eq!(&*call.owner, taken, "{port}");
    }
}

#[test]
fn datagrams_to_ports_that_nobody_has_are_calls_to_who_has_all() {
    let w = World::new();
    w.knows(THERE);
    assert_eq!(refused(w.stack.announce_all(&w.open_as(Proto::Udp, "bob"), None)), "permission denied");
    let is_unreachable =
        |sent: Vec<(Vec<u8>, Open)>| sent.iter().any(|(f, _)| f[23] == 1 && f[34..36] == [3, 3]);
    w.comes(datagram(5000, 4000, b"to nobody"));
    assert!(is_unreachable(w.sent()));
    let headed = w.open(Proto::Udp);
    w.stack.set_headers(&headed, true).unwrap();
    assert_eq!(refused(w.stack.announce_all(&headed, None)), "bad process or channel control request");
    let all = w.open(Proto::Udp);
    w.stack.announce_all(&all, None).unwrap();
    assert_eq!(refused(w.stack.set_headers(&all, true)), "bad process or channel control request");
    assert!(text::status(&w.stack, &all).unwrap().starts_with("Open "));
    assert_eq!(refused(w.stack.announce_all(&w.open(Proto::Udp), None)), "address in use");
    let one = announces(&w, "bob", Proto::Udp, "*!4001").unwrap();
    for (port, to, data) in [(4000, &all, &b"first"[..]), (4001, &one, b"bob's"), (65535, &all, b"last")] {
        w.comes(datagram(5000, port, data));
        let call = w.stack.listen(to).unwrap();
        assert_eq!(w.ports(&call), (port, 5000));
        assert_eq!(w.stack.read(&call, 100).unwrap(), data);
        w.stack.write(&call, b"answer").unwrap();
        let answer = w.sent().remove(0).0;
        assert_eq!(answer[34..38], [port.to_be_bytes(), 5000u16.to_be_bytes()].concat());
        assert_eq!(answer[42..], *b"answer");
    }
    // A conversation goes on, and one with somebody is no call.
    w.comes(datagram(5000, 4000, b"more"));
    let ours = w.udp("10.0.0.9!5000");
    let port = w.ports(&ours).0;
    w.comes(datagram(5000, port, b"to us"));
    assert_eq!(w.stack.read(&ours, 100).unwrap(), b"to us");
    assert_eq!(refused(w.stack.read(&all, 100)), "not connected");
    w.stack.close(&all);
    w.comes(datagram(5001, 4002, b"to nobody again"));
    assert!(is_unreachable(w.sent()));
}

/// Callers who are not there do not keep out one who calls again, whatever their number.
#[test]
fn an_honest_caller_gets_through_a_flood() {
    let w = World::new();
    w.knows(THERE);
    let l = w.announce(Proto::Tcp, "*!80");
    let flood = |from: std::ops::Range<u32>| {
        for n in from {
            let ports = (6000 + (n % 50_000) as u16, 80);
            w.comes(tcp(&Tcp { control: TcpControl::Syn, seq: 7, ack: None, ports }, b""));
        }
        w.sent();
    };
    let call = Tcp { control: TcpControl::Syn, seq: 100, ack: None, ports: (5000, 80) };
    flood(0..2000);
    let mut next = 2000;
    let seq = (0..10).find_map(|_| {
        // As a caller does who gets no answer, while the others go on, many for each time that he calls.
        host_advance(SECOND);
        flood(next..next + 100);
        next += 100;
        w.comes(tcp(&call, b""));
        w.sent().iter().find_map(|(f, _)| {
            let packet = TcpPacket::new_checked(&f[34..]).ok()?;
            (packet.dst_port() == 5000 && packet.syn()).then(|| packet.seq_number().0)
        })
    });
    let ack = Some(seq.expect("never answered") + 1);
    w.comes(tcp(&Tcp { control: TcpControl::None, seq: 101, ack, ports: (5000, 80) }, b""));
    assert!(w.stack.listen(&l).is_ok());
    // And a flood of datagrams at one place leaves another's alone.
    let (flooded, quiet) = (w.udp("10.0.0.9!53"), w.udp("10.0.0.9!54"));
    let ports = w.ports(&flooded);
    for _ in 0..5000 {
        w.comes(datagram(53, ports.0, &[7; 1000]));
    }
    w.comes(datagram(54, w.ports(&quiet).0, b"still heard"));
    assert_eq!(w.stack.read(&quiet, 100).unwrap(), b"still heard");
}
