//! What is longer than a frame: TCP that is cut by the card, or here, and packets in pieces.

use super::*;

const BOTH: Offers = Offers { checksum: true, cuts_v4: true, cuts_v6: true };

/// What was written, each frame with what was left open in it, and what came.
type Transfer = (Vec<u8>, Vec<(Vec<u8>, Open)>, Vec<u8>);

/// Writes much and acknowledges all that comes.
fn transfer(w: &World) -> Transfer {
    let (c, first) = connected(w);
    w.sent();
    let data: Vec<u8> = (0..50_000u32).map(|n| ((n * 7) >> 3) as u8).collect();
    assert_eq!(w.stack.write(&c, &data).unwrap(), data.len());
    let (mut got, mut frames) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        for (frame, open) in w.sent() {
            let packet = TcpPacket::new_checked(&frame[34..]).unwrap();
            let at = packet.seq_number().0.wrapping_sub(first) as usize;
            assert_eq!(at, got.len(), "out of its order");
            got.extend_from_slice(packet.payload());
            frames.push((frame, open));
        }
        let ack = Some(first.wrapping_add(got.len() as i32));
        w.comes(tcp(&Tcp { control: TcpControl::None, seq: 101, ack, ports: PORTS }, b""));
    }
    (data, frames, got)
}

#[test]
fn a_card_that_cuts_is_given_long_frames() {
    let w = World::with(BOTH);
    let (data, frames, got) = transfer(&w);
    assert!(data == got);
    assert!(frames.iter().any(|(f, _)| f.len() > 10_000) && frames.len() < 20, "{} frames", frames.len());
    for (frame, open) in &frames {
        assert_eq!(open.checksum, Some((34, 50)));
        assert_eq!(open.cut, (frame.len() > 54 + 1400).then_some((54, 1400)));
        // The field has the sum of what is not in the frame.
        let pseudo: u32 = [0x0a00, 0x0002, 0x0a00, 0x0009, 6, frame.len() as u32 - 34].iter().sum();
        let pseudo = (pseudo & 0xffff) + (pseudo >> 16);
        assert_eq!(u32::from(u16::from_be_bytes([frame[50], frame[51]])), pseudo);
    }
}

#[test]
fn for_a_card_that_does_not_it_is_cut_here() {
    for offers in [Offers::default(), Offers { checksum: true, ..Offers::default() }] {
        let w = World::with(offers);
        let (data, frames, got) = transfer(&w);
        assert!(data == got);
        for (frame, open) in &frames {
            assert!(frame.len() <= 54 + 1400, "{}", frame.len());
            let ip = Ipv4Packet::new_checked(&frame[14..]).unwrap();
            assert!(ip.verify_checksum());
            if open.checksum.is_none() {
                let packet = TcpPacket::new_checked(ip.payload()).unwrap();
                assert!(packet.verify_checksum(&HERE.into(), &THERE.into()));
            }
            assert_eq!(open.cut, None);
        }
    }
}

/// A piece of a packet: its marks and place, and so many bytes of the frame.
fn piece(whole: &[u8], flags: u8, offset: u8, len: usize) -> Vec<u8> {
    let mut piece = whole[..len].to_vec();
    let total = (len as u16 - 14).to_be_bytes();
    piece[16..18].copy_from_slice(&total);
    (piece[20], piece[21]) = (flags, offset);
    Ipv4Packet::new_unchecked(&mut piece[14..]).fill_checksum();
    piece
}

#[test]
fn pieces_that_no_sender_makes_are_nothing() {
    let w = World::new();
    w.knows(THERE);
    let c = w.announce(Proto::Udp, "*!53");
    let whole = datagram(5000, 53, &[7; 64]);
    // Tiny ones, some that lie over each other, and some beyond the end of any packet.
    for (flags, offset) in [(0x20, 0), (0, 1), (0x20, 1), (0x20, 0), (0, 0xff), (0x3f, 0xff)] {
        for len in [whole.len(), 34, 35, 42] {
            for _ in 0..100 {
                w.comes(piece(&whole, flags, offset, len));
            }
        }
    }
    let stats = text::ip_stats(&w.stack).unwrap();
    assert!(stats.contains("ReasmOKs: 0\n") && !stats.contains("ReasmFails: 0\n"), "{stats}");
    assert!(w.sent().is_empty());
    assert!(text::stats(&w.stack, Proto::Udp).unwrap().contains("Conversations: 1\n"));
    w.comes(whole);
    assert!(w.stack.listen(&c).is_ok());
}

#[test]
fn long_datagrams_go_and_come_in_pieces() {
    let w = World::new();
    w.knows(THERE);
    let c = w.udp("10.0.0.9!53");
    let data: Vec<u8> = (0..5000u32).map(|n| ((n * 3) >> 1) as u8).collect();
    assert_eq!(w.stack.write(&c, &data).unwrap(), data.len());
    let sent = w.sent();
    assert_eq!(sent.len(), 4);
    assert!(sent.iter().all(|(f, open)| f.len() <= 1514 && *open == Open::default()));
    // Turned round, and in another order: it is as if the other had said the same.
    let ours = w.ports(&c).0;
    for (mut frame, _) in sent.into_iter().rev() {
        frame[..6].copy_from_slice(&OURS);
        frame[6..12].copy_from_slice(&THEIRS);
        frame[26..30].copy_from_slice(&THERE.octets());
        frame[30..34].copy_from_slice(&HERE.octets());
        if frame[20] & 0x1f == 0 && frame[21] == 0 {
            frame[34..36].copy_from_slice(&53u16.to_be_bytes());
            frame[36..38].copy_from_slice(&ours.to_be_bytes());
        }
        Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
        w.comes(frame);
    }
    assert!(w.stack.read(&c, 10_000).unwrap() == data);
    assert!(text::ip_stats(&w.stack).unwrap().contains("ReasmOKs: 1\nReasmFails: 0\n"));
    assert_eq!(refused(w.stack.write(&c, &[0; 40_000])), "datagram too long");
}

#[test]
fn what_stands_for_several_packets_is_acknowledged_at_once() {
    let w = World::new();
    let (_c, seq) = connected(&w);
    let say = |at: i32, len: usize| {
        let said = Tcp { control: TcpControl::None, seq: 101 + at, ack: Some(seq), ports: PORTS };
        w.comes(tcp(&said, &vec![7; len]));
    };
    w.sent();
    say(0, 100);
    assert!(w.sent().is_empty(), "a short one may wait for something to go with");
    w.passes(SECOND / 50);
    assert_eq!(w.sent().len(), 1);
    say(100, 3000);
    assert_eq!(w.sent().len(), 1);
    // A short one that waits goes with it.
    say(3100, 100);
    assert!(w.sent().is_empty());
    say(3200, 3000);
    assert_eq!(w.sent().len(), 1);
}
