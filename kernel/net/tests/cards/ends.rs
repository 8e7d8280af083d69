//! Ends of connections.

use super::*;

/// What the other side may send up to, by the last packet that tells: its number, from our first byte of it.
fn window_end(w: &World) -> usize {
    let (frame, _) = w.sent().pop().expect("nothing was acknowledged");
    let packet = TcpPacket::new_checked(&frame[34..]).unwrap();
    let acked = packet.ack_number().0.wrapping_sub(101) as usize;
    acked + (usize::from(packet.window_len()) << SHIFT)
}

/// All that can be read.
fn read_to(w: &World, c: &Conversation, got: &mut Vec<u8>, len: usize) {
    while got.len() < len {
        let piece = w.stack.read(c, 1 << 20).unwrap();
        assert!(!piece.is_empty(), "an end after {} of {len} bytes", got.len());
        got.extend(piece);
    }
}

#[test]
fn an_end_behind_what_has_no_room_comes_after_it() {
    // Over Ethernet, with a header of IPv4. Windows are told in units of 128 bytes.
    let w = World::new();
    let (c, seq) = connected(&w);
    let say = |control, at: usize, data: &[u8]| {
        w.comes(tcp(&Tcp { control, seq: 101 + at as i32, ack: Some(seq), ports: PORTS }, data));
    };
    let data: Vec<u8> = (0..70_001u32).map(|n| ((n * 31) >> 4) as u8).collect();
    // The first byte is odd, and so is the room behind it.
    say(TcpControl::None, 0, &data[..1]);
    let (mut at, mut end) = (1, 0);
    while at != end {
        w.passes(SECOND);
        end = window_end(&w);
        let next = (at + 1400).min(end);
        if next == end {
            break;
        }
        say(TcpControl::None, at, &data[at..next]);
        at = next;
    }
    assert!(end > at && end <= 65536, "{at} {end}");
    // One byte more than there is room for, and the end.
    let behind = end + 1;
    say(TcpControl::Fin, at, &data[at..behind]);
    let mut got = Vec::new();
    read_to(&w, &c, &mut got, end);
    // It has not heard all, so the last is said again.
    say(TcpControl::Fin, at, &data[at..behind]);
    read_to(&w, &c, &mut got, behind);
    assert!(got == data[..behind]);
    assert_eq!(w.stack.read(&c, 100).unwrap(), b"");
    assert_eq!(text::status(&w.stack, &c).unwrap().split(' ').next(), Some("Close_wait"));
}

#[test]
fn who_has_said_all_and_then_ends_it_at_once_has_said_all() {
    for has_end in [true, false] {
        let w = World::new();
        let (c, seq) = connected(&w);
        let say = |control, at: i32, data: &[u8]| {
            w.comes(tcp(&Tcp { control, seq: 101 + at, ack: Some(seq), ports: PORTS }, data));
        };
        say(TcpControl::None, 0, b"the last words");
        if has_end {
            say(TcpControl::Fin, 14, b"");
        }
        say(TcpControl::Rst, 14 + i32::from(has_end), b"");
        assert_eq!(w.stack.read(&c, 100).unwrap(), b"the last words");
        match has_end {
            true => assert_eq!(w.stack.read(&c, 100).unwrap(), b""),
            false => assert_eq!(refused(w.stack.read(&c, 100)), "connection reset by peer"),
        }
        assert_eq!(refused(w.stack.write(&c, b"more")), "i/o on hungup channel");
        assert_eq!(text::error(&w.stack, &c).unwrap(), "connection reset by peer\n");
    }
}

#[test]
fn who_writes_more_than_goes_is_told_why_not_how_much() {
    let w = World::new();
    let (c, seq) = connected(&w);
    let written = std::thread::scope(|s| {
        let writer = s.spawn(|| w.stack.write(&c, &[7; 200_000]));
        while !text::status(&w.stack, &c).unwrap().ends_with("qout 65536\n") {
            std::thread::yield_now();
        }
        w.comes(tcp(&Tcp { control: TcpControl::Rst, seq: 101, ack: Some(seq), ports: PORTS }, b""));
        writer.join().unwrap()
    });
    assert_eq!(refused(written), "i/o on hungup channel");
}

#[test]
fn an_end_with_data_is_heard_at_once() {
    for (data, lies_over) in [(&b"the last words"[..], 0), (b"x", 0), (b"again and more", 6)] {
        let w = World::new();
        let (c, seq) = connected(&w);
        let say = |control, at: usize, data: &[u8]| {
            w.comes(tcp(&Tcp { control, seq: 101 + at as i32, ack: Some(seq), ports: PORTS }, data));
        };
        say(TcpControl::None, 0, &data[..lies_over]);
        say(TcpControl::Fin, 0, data);
        let mut got = Vec::new();
        read_to(&w, &c, &mut got, data.len());
        assert_eq!(got, data);
        assert_eq!(w.stack.read(&c, 100).unwrap(), b"");
        let acked = || {
            let (frame, _) = w.sent().pop()?;
            Some(TcpPacket::new_checked(&frame[34..]).unwrap().ack_number().0)
        };
        w.passes(SECOND);
        assert_eq!(acked(), Some(101 + data.len() as i32 + 1));
    }
}

/// Who had no room for a while and has answered each time is no reason to wait for long when something is lost then.
#[test]
fn what_is_lost_after_a_shut_window_is_sent_again_soon() {
    let w = World::new();
    let (c, first) = connected(&w);
    w.sent();
    let says = |ack: i32, window| {
        let said =
            Tcp { control: TcpControl::None, seq: 101, ack: Some(first.wrapping_add(ack)), ports: PORTS };
        w.comes(tcp_with(&said, window, b""));
    };
    w.stack.write(&c, &[1; 100]).unwrap();
    assert_eq!(w.sent().len(), 1);
    says(100, 0);
    w.stack.write(&c, &[2; 100]).unwrap();
    assert!(w.sent().is_empty());
    let mut asked = 0;
    for _ in 0..150 {
        w.passes(SECOND / 10);
        if !w.sent().is_empty() {
            asked += 1;
            says(100, 0);
        }
    }
    assert!(asked >= 5, "asked {asked} times");
    says(100, 60_000);
    assert_eq!(w.sent().len(), 1);
    // That one is lost.
    w.passes(SECOND);
    assert_eq!(w.sent().len(), 1);
}
