//! Interfaces whose other end is a program, and those that lead back to the machine.

use super::*;

#[test]
fn a_program_is_the_other_end_of_an_interface() {
    let w = World::new();
    let n = w.stack.new_interface().unwrap();
    assert_eq!(refused(w.stack.packets(n)), "not connected");
    w.stack.bind_here(n, true).unwrap();
    assert_eq!(refused(w.stack.bind_here(n, true)), "connection in use");
    w.stack.add_address(n, parse("10.5.0.1").unwrap(), Some(24)).unwrap();
    let c = w.udp("10.5.0.9!53");
    // Nobody reads yet.
    w.stack.write(&c, b"lost").unwrap();
    let reads = w.stack.packets(n).unwrap();
    w.stack.write(&c, b"question").unwrap();
    let packet = reads.read(2000).unwrap();
    let ip = Ipv4Packet::new_checked(&packet[..]).unwrap();
    assert!(ip.verify_checksum());
    let udp = UdpPacket::new_checked(ip.payload()).unwrap();
    assert!(udp.verify_checksum(&ip.src_addr().into(), &ip.dst_addr().into()));
    assert_eq!((udp.dst_port(), udp.payload()), (53, &b"question"[..]));
    // The program answers; and in the machine's own name, and with a wrong sum, which is not believed.
    let answer = |from: [u8; 4], breaks: bool| {
        let (here, port) = (Ipv4Address::new(10, 5, 0, 1), udp.src_port().to_be_bytes());
        let mut udp = [&[0, 53][..], &port, &[0, 14, 0, 0], b"answer"].concat();
        UdpPacket::new_unchecked(&mut udp[..]).fill_checksum(&Ipv4Address::from(from).into(), &here.into());
        udp[9] ^= u8::from(breaks);
        let mut ip = vec![0x45, 0, 0, 20 + udp.len() as u8, 0, 0, 0, 0, 64, 17, 0, 0];
        ip.extend([from, here.octets()].concat());
        ip.extend(udp);
        Ipv4Packet::new_unchecked(&mut ip[..]).fill_checksum();
        ip
    };
    for (from, breaks) in [(HERE.octets(), false), ([10, 5, 0, 9], true)] {
        w.stack.bring(n, answer(from, breaks)).unwrap();
        assert!(text::status(&w.stack, &c).unwrap().contains("qin 0 "));
    }
    w.stack.bring(n, answer([10, 5, 0, 9], false)).unwrap();
    assert_eq!(w.stack.read(&c, 100).unwrap(), b"answer");
    for bad in [vec![], vec![0x45; 19], vec![0x25; 40]] {
        assert_eq!(refused(w.stack.bring(n, bad)), "read or write too small");
    }
    assert_eq!(refused(w.stack.bring(1, vec![0x45; 40])), "not connected");
    // What is long comes in pieces.
    w.stack.set_mtu(n, 1000).unwrap();
    w.stack.write(&c, &[3; 1500]).unwrap();
    let pieces = [reads.read(5000).unwrap(), reads.read(5000).unwrap()];
    assert!(pieces.iter().all(|p| p.len() <= 1000));
    // The card has had nothing of it.
    assert!(w.sent().is_empty());
    w.stack.unbind(n).unwrap();
    assert!(reads.read(100).unwrap().is_empty());
}

#[test]
fn tcp_to_a_program_is_whole_and_summed() {
    let w = World::new();
    let n = w.stack.new_interface().unwrap();
    w.stack.bind_here(n, true).unwrap();
    w.stack.add_address(n, parse("10.5.0.1").unwrap(), Some(24)).unwrap();
    let reads = w.stack.packets(n).unwrap();
    let c = w.open(Proto::Tcp);
    let stack = w.stack.clone();
    let calls = std::thread::spawn(move || stack.connect(&c, (IpAddress::v4(10, 5, 0, 9), 80).into(), None));
    let packet = reads.read(2000).unwrap();
    let ip = Ipv4Packet::new_checked(&packet[..]).unwrap();
    let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
    assert!(tcp.syn() && tcp.verify_checksum(&ip.src_addr().into(), &ip.dst_addr().into()));
    // It refuses.
    let repr = TcpRepr {
        src_port: 80,
        dst_port: tcp.src_port(),
        control: TcpControl::Rst,
        seq_number: TcpSeqNumber(0),
        ack_number: Some(tcp.seq_number() + 1),
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: b"",
    };
    let mut bytes = vec![0; repr.buffer_len()];
    let ends = (IpAddress::from(ip.dst_addr()), IpAddress::from(ip.src_addr()));
    repr.emit(
        &mut TcpPacket::new_unchecked(&mut bytes[..]),
        &ends.0,
        &ends.1,
        &ChecksumCapabilities::default(),
    );
    let mut answer = vec![0x45, 0, 0, 20 + bytes.len() as u8, 0, 0, 0, 0, 64, 6, 0, 0];
    answer.extend([ip.dst_addr().octets(), ip.src_addr().octets()].concat());
    answer.extend(bytes);
    Ipv4Packet::new_unchecked(&mut answer[..]).fill_checksum();
    w.stack.bring(n, answer).unwrap();
    assert_eq!(refused(calls.join().unwrap()), "connection refused");
}

#[test]
fn another_loopback_has_addresses_of_its_own() {
    let w = World::new();
    let n = w.stack.new_interface().unwrap();
    w.stack.bind_here(n, false).unwrap();
    w.stack.add_address(n, parse("10.7.0.1").unwrap(), Some(32)).unwrap();
    let l = w.announce(Proto::Udp, "10.7.0.1!9");
    let c = w.udp("10.7.0.1!9");
    w.stack.write(&c, b"here").unwrap();
    let call = w.stack.listen(&l).unwrap();
    assert_eq!(w.stack.read(&call, 100).unwrap(), b"here");
    // It is no way for what goes to all.
    let c = w.udp("255.255.255.255!67");
    w.stack.write(&c, b"who").unwrap();
    assert_eq!(w.sent()[0].0[..6], [0xff; 6]);
}
