//! What is acknowledged of TCP, and when.

use std::time::{Duration, Instant};

use super::*;

/// Bytes of a frame that the other side, or who has joined some, sends.
const LONG: usize = 20_000;

/// What of a window can be told.
fn told(window: usize) -> usize {
    window >> SHIFT << SHIFT
}

/// That many bytes, of which the first has this number.
fn frame(seq: i32, ack: i32, len: usize) -> Vec<u8> {
    tcp(&Tcp { control: TcpControl::None, seq, ack: Some(ack), ports: PORTS }, &vec![7; len])
}

fn data(w: &World, seq: i32, ack: i32, len: usize) {
    w.comes(frame(seq, ack, len));
}

/// What was sent, all of which only acknowledges: up to which number, and the window behind that.
fn acknowledged(w: &World) -> Vec<(i32, usize)> {
    let of = |(frame, _): (Vec<u8>, Open)| {
        let packet = TcpPacket::new_checked(&frame[34..]).unwrap();
        assert!(packet.payload().is_empty() && packet.ack());
        (packet.ack_number().0, usize::from(packet.window_len()) << SHIFT)
    };
    w.sent().into_iter().map(of).collect()
}

#[test]
fn what_nobody_waits_for_is_acknowledged_at_once() {
    let w = World::new();
    let (_c, ack) = connected(&w);
    acknowledged(&w);
    data(&w, 101, ack, LONG);
    assert_eq!(acknowledged(&w), [(101 + LONG as i32, told((64 << 10) - LONG))]);
}

/// What is sent while two frames come to a new connection and `f` is done then; that is done again until it has taken
/// less than half of what a reader is waited for, as the host's time goes on by itself.
fn in_time(f: impl Fn(&World, &Conversation)) -> Vec<(i32, usize)> {
    loop {
        let w = World::new();
        let (c, ack) = connected(&w);
        acknowledged(&w);
        let frames = [frame(101, ack, LONG), frame(101 + LONG as i32, ack, LONG)];
        let began = Instant::now();
        let waits = c.reads();
        frames.into_iter().for_each(|frame| w.comes(frame));
        drop(waits);
        f(&w, &c);
        if began.elapsed() < Duration::from_millis(5) {
            return acknowledged(&w);
        }
    }
}

#[test]
fn what_a_reader_takes_is_acknowledged_with_the_room_that_he_makes() {
    assert_eq!(in_time(|_, _| {}), []);
    let sent = in_time(|w, c| {
        assert_eq!(w.stack.read(c, 1 << 20).unwrap().len(), 2 * LONG);
        // Nothing is left that would be told later.
        w.passes(SECOND);
    });
    assert_eq!(sent, [(101 + 2 * LONG as i32, 64 << 10)]);
}

#[test]
fn a_reader_who_does_not_come_is_waited_for_a_moment() {
    assert_eq!(in_time(|w, _| w.passes(SECOND / 200)), []);
    let sent = in_time(|w, _| w.passes(SECOND / 100));
    assert_eq!(sent, [(101 + 2 * LONG as i32, told((64 << 10) - 2 * LONG))]);
}

#[test]
fn what_else_is_to_be_said_does_not_wait_for_a_reader() {
    let w = World::new();
    let (c, ack) = connected(&w);
    acknowledged(&w);
    let _waits = c.reads();
    // Something is missing: the other side is told at once.
    data(&w, 101 + 1000, ack, 1000);
    assert_eq!(acknowledged(&w)[0].0, 101);
    data(&w, 101, ack, 1000);
    assert_eq!(acknowledged(&w)[0].0, 101 + 2000);
    // What we have to say goes, too, and the end is acknowledged as ever.
    w.stack.write(&c, b"said").unwrap();
    w.sent();
    let seq = 101 + 2000 + LONG as i32;
    data(&w, 101 + 2000, ack, LONG);
    assert_eq!(acknowledged(&w)[0].0, seq, "what we have said is not acknowledged yet");
    let end = Tcp { control: TcpControl::Fin, seq, ack: Some(ack + 4), ports: PORTS };
    w.comes(tcp(&end, b"last"));
    w.passes(SECOND / 100);
    assert_eq!(acknowledged(&w).last().unwrap().0, seq + 5);
}

/// The other side says that it is there.
fn answers(w: &World, ack: i32) {
    w.comes(tcp(&Tcp { control: TcpControl::None, seq: 101, ack: Some(ack), ports: PORTS }, b""));
}

/// How many questions, and resets, were sent.
fn asked(w: &World) -> (usize, usize) {
    // Neighbours may be asked for, too.
    let sent: Vec<_> = w.sent().into_iter().filter(|(frame, _)| frame[12..14] == [8, 0]).collect();
    let of = |(frame, _): &(Vec<u8>, Open)| TcpPacket::new_checked(&frame[34..]).unwrap().rst();
    let resets = sent.iter().filter(|frame| of(frame)).count();
    (sent.len() - resets, resets)
}

#[test]
fn who_was_quiet_before_he_is_asked_is_asked_first() {
    let w = World::new();
    let (c, ack) = connected(&w);
    w.passes(1000 * SECOND);
    w.sent();
    w.stack.set_keepalive(&c, 1000).unwrap();
    assert_eq!(asked(&w), (1, 0));
    answers(&w, ack);
    // Then he does not answer any more.
    for _ in 0..8 {
        w.passes(SECOND);
        assert_eq!(asked(&w), (1, 0));
    }
    w.passes(SECOND);
    assert_eq!(asked(&w).1, 1);
    assert_eq!(refused(w.stack.read(&c, 10)), "connection timed out");
}

#[test]
fn who_is_to_be_asked_more_often_is_not_given_up_before() {
    let w = World::new();
    let (c, ack) = connected(&w);
    w.sent();
    w.stack.set_keepalive(&c, 10_000).unwrap();
    assert_eq!(asked(&w), (1, 0));
    answers(&w, ack);
    w.stack.set_keepalive(&c, 1000).unwrap();
    for _ in 0..10 {
        w.passes(SECOND);
    }
    assert_eq!(asked(&w), (1, 0));
    for _ in 0..100 {
        answers(&w, ack);
        w.passes(SECOND);
        assert_eq!(asked(&w), (1, 0));
    }
    w.passes(SECOND);
    assert_eq!(asked(&w), (1, 0));
    w.passes(6 * SECOND);
    assert_eq!(asked(&w).1, 0);
    w.passes(SECOND);
    assert_eq!(asked(&w).1, 1);
}
