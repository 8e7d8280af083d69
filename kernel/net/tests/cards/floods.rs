//! Who sends more than anybody can answer, and what must not be answered, or only so often.

use super::*;

/// What says that there is nobody at a port.
fn unreachable(w: &World) -> Vec<Vec<u8>> {
    let frames = w.sent().into_iter().map(|(frame, _)| frame);
    frames.filter(|f| f[12..14] == [8, 0] && f[23] == 1 && f[34] == 3).collect()
}

#[test]
fn who_sends_without_an_end_keeps_nobody_from_sending() {
    let w = World::new();
    w.knows(THERE);
    let _l = w.announce(Proto::Udp, "*!9");
    let here = w.announce(Proto::Udp, "127.0.0.1!10");
    let (out, own) = (w.udp("10.0.0.9!53"), w.udp("127.0.0.1!10"));
    *w.wire.endless.lock().unwrap() = Some(datagram(7, 9, b"flood"));
    w.stack.write(&own, b"own").unwrap();
    w.stack.write(&out, b"out").unwrap();
    // In as many rounds as there are things to do: it is sent, comes by the loopback, and is a call.
    (0..4).for_each(|_| assert!(w.stack.round().0));
    assert!(w.sent().iter().any(|(frame, _)| frame.ends_with(b"out")));
    *w.wire.endless.lock().unwrap() = None;
    let call = w.stack.listen(&here).unwrap();
    assert_eq!(w.stack.read(&call, 10).unwrap(), b"own");
}

#[test]
fn that_there_is_nobody_is_said_so_often_and_no_more() {
    let w = World::new();
    w.knows(THERE);
    let flood = || {
        (0..500).for_each(|_| w.comes(datagram(7, 9, b"who is there?")));
        unreachable(&w).len()
    };
    // Some time passes while it is done, in which there are more.
    assert!((50..150).contains(&flood()));
    w.passes(SECOND / 10);
    // One more each hundredth of a second.
    assert!((10..110).contains(&flood()));
    // Echoes are no such thing.
    let mut echo = vec![8, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4];
    smoltcp::wire::Icmpv4Packet::new_unchecked(&mut echo[..]).fill_checksum();
    (0..200).for_each(|_| w.comes(v4(1, THERE, &echo)));
    assert_eq!(w.sent().iter().filter(|(f, _)| f[23] == 1 && f[34] == 0).count(), 200);
    // Neither is what TCP says, which has its own measure.
    (0..500).for_each(|_| {
        w.comes(tcp(&Tcp { control: TcpControl::Syn, seq: 100, ack: None, ports: PORTS }, b""));
    });
    let refused = w.sent().len();
    assert!((200..400).contains(&refused));
    assert!(text::stats(&w.stack, Proto::Tcp).unwrap().contains(&format!("OutRsts: {refused}\n")));
}

#[test]
fn nothing_of_one_packet_is_in_another() {
    let w = World::new();
    w.knows(THERE);
    let c = w.udp("10.0.0.9!53");
    w.stack.write(&c, &[0xa5; 100]).unwrap();
    // What is there of that one where the message has bytes that say nothing.
    assert!(w.sent()[0].0[38..42].iter().any(|b| *b != 0));
    w.comes(datagram(7, 9, b"who is there?"));
    let message = &unreachable(&w)[0];
    assert_eq!(message[34..36], [3, 3]);
    assert_eq!(message[38..42], [0; 4]);
}

/// What has a wrong sum in front is none, whatever it carries: its addresses may be somebody else's.
#[test]
fn what_has_a_wrong_header_is_nothing() {
    let w = World::new();
    w.knows(THERE);
    let _l = w.announce(Proto::Tcp, "*!80");
    let _u = w.announce(Proto::Udp, "*!9");
    let broken = |mut frame: Vec<u8>, at: usize| {
        frame[at] ^= 1;
        frame
    };
    let call = || tcp(&Tcp { control: TcpControl::Syn, seq: 100, ack: None, ports: PORTS }, b"");
    // The time to live, and the sum itself.
    for at in [22, 24] {
        w.comes(broken(call(), at));
        assert!(w.sent().is_empty(), "{at}");
    }
    // A datagram in two pieces, of which one is broken.
    let piece = |at: u16, more: bool, data: &[u8]| {
        let mut frame = v4(17, THERE, data);
        let field = (at / 8) | (u16::from(more) << 13);
        frame[20..22].copy_from_slice(&field.to_be_bytes());
        Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
        frame
    };
    let udp = datagram(7, 9, &[5; 24])[34..].to_vec();
    w.comes(piece(0, true, &udp[..16]));
    w.comes(broken(piece(16, false, &udp[16..]), 22));
    assert!(text::ip_stats(&w.stack).unwrap().contains("InHdrErrors: 3\n"));
    assert!(text::ip_stats(&w.stack).unwrap().contains("ReasmOKs: 0\n"));
    assert!(text::stats(&w.stack, Proto::Tcp).unwrap().contains("CsumErrs: 0\n"));
    // The same as they were sent.
    w.comes(piece(16, false, &udp[16..]));
    assert!(text::ip_stats(&w.stack).unwrap().contains("ReasmOKs: 1\n"));
    w.comes(call());
    assert_eq!(w.sent().len(), 1);
}

#[test]
fn what_is_no_call_is_not_said_to_be_answered() {
    let w = World::new();
    w.knows(THERE);
    let _l = w.announce(Proto::Tcp, "*!80");
    w.stack.log().open().unwrap();
    w.stack.log().control("set tcp").unwrap();
    let call = |ports, data: &[u8]| {
        w.comes(tcp(&Tcp { control: TcpControl::Syn, seq: 100, ack: None, ports }, data));
        String::from_utf8(w.stack.log().read(1000).unwrap()).unwrap()
    };
    assert!(call((0, 80), b"").ends_with("call of 10.0.0.9!0 to 80 is no call\n"));
    assert!(call(PORTS, &[0; 300]).ends_with("call of 10.0.0.9!5000 to 80 is no call\n"));
    assert!(call(PORTS, b"").ends_with("call of 10.0.0.9!5000 to 80 is answered\n"));
}
