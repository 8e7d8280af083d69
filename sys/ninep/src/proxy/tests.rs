//! Every cutting of a stream, every bad length, and changed bytes.

use std::string::ToString;
use std::vec::Vec;

use super::*;
use crate::wire::Data;
use crate::{NOTAG, rng};

fn version(msize: u32) -> Vec<u8> {
    Tmsg::Version { msize, version: "9P2000".into() }.to_vec(Dialect::P9, NOTAG).unwrap()
}

fn agreed(msize: u32, version: &str) -> Vec<u8> {
    Rmsg::Version { msize, version: version.into() }.to_vec(Dialect::P9, NOTAG).unwrap()
}

fn write(len: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
    Tmsg::Write { fid: 1, offset: 2, data: Data(&data) }.to_vec(Dialect::P9, 3).unwrap()
}

fn read(len: usize) -> Vec<u8> {
    Rmsg::Read { data: Data(&std::vec![7; len]) }.to_vec(Dialect::P9, 3).unwrap()
}

/// A session of 8192 bytes, agreed on.
fn session(msize: u32) -> (Stream, Stream) {
    let (mut client, mut server) = streams();
    client.push(&version(MSIZE_MAX));
    assert_eq!(client.next_message(), Ok(Some(&version(MSIZE_MAX)[..])));
    server.push(&agreed(msize, "9P2000"));
    assert!(server.next_message().unwrap().is_some());
    (client, server)
}

fn drain(stream: &mut Stream, out: &mut Vec<Vec<u8>>) -> Result<(), Refusal> {
    while let Some(m) = stream.next_message()? {
        out.push(m.to_vec());
    }
    Ok(())
}

fn requests() -> Vec<Vec<u8>> {
    let mut all = std::vec![version(8192)];
    all.extend((0..3).map(|i| write(i * 5)));
    all.push(Tmsg::Flush { oldtag: 3 }.to_vec(Dialect::P9, 4).unwrap());
    all
}

#[test]
fn every_cut_in_two_and_three_gives_the_same_messages() {
    let messages = requests();
    let bytes = messages.concat();
    for a in 0..=bytes.len() {
        for b in a..=bytes.len() {
            let (mut stream, _) = streams();
            let mut got = Vec::new();
            for piece in [&bytes[..a], &bytes[a..b], &bytes[b..]] {
                stream.push(piece);
                drain(&mut stream, &mut got).unwrap();
            }
            assert_eq!(got, messages, "{a} {b}");
            assert_eq!(stream.finish(), Ok(()));
        }
    }
}

#[test]
fn reads_of_every_size_give_the_same_messages() {
    let messages: Vec<_> = [0, 1, 100, 4000, 4096, 8192 - 11].into_iter().map(read).collect();
    let bytes = messages.concat();
    for step in (1..300).chain([511, 512, 1000, 4095, 4096, bytes.len()]) {
        let (_, mut stream) = session(8192);
        let mut got = Vec::new();
        for piece in bytes.chunks(step) {
            stream.push(piece);
            drain(&mut stream, &mut got).unwrap();
        }
        assert_eq!(got, messages, "{step}");
        assert_eq!(stream.finish(), Ok(()));
    }
}

#[test]
fn an_end_is_clean_only_between_messages() {
    let message = write(20);
    for cut in 0..=message.len() {
        let (mut stream, _) = session(8192);
        stream.push(&message[..cut]);
        let whole = stream.next_message().unwrap().is_some();
        assert_eq!(whole, cut == message.len());
        match stream.finish() {
            Ok(()) => assert!(whole || cut == 0),
            Err(e) => assert_eq!(e, Refusal::Cut { from: Side::Client, held: cut }),
        }
    }
}

#[test]
fn every_bad_length_is_refused_as_soon_as_the_head_is_there_and_for_good() {
    let (limit, from) = (8192, Side::Server);
    for size in [0, 1, 6, 8193, MSIZE_MAX, MSIZE_MAX + 1, u32::MAX] {
        let (_, mut stream) = session(8192);
        stream.push(&size.to_le_bytes());
        assert!(matches!(stream.next_message(), Ok(None) | Err(Refusal::Size { .. })));
        stream.push(&[kind::RREAD, 1, 0]);
        assert_eq!(stream.next_message(), Err(Refusal::Size { from, size, limit }));
        stream.push(&read(1));
        assert_eq!(stream.next_message(), Err(Refusal::Size { from, size, limit }));
        assert!(stream.finish().is_err());
    }
    let (mut stream, _) = session(8192);
    stream.push(&write(8192 - 23));
    assert!(stream.next_message().unwrap().is_some());
    stream.push(&write(8192 - 22));
    let refused = stream.next_message().unwrap_err();
    assert_eq!(refused.to_string(), "message of 8193 bytes from the client, 8192 are agreed");
}

#[test]
fn before_a_session_and_at_its_largest_a_message_is_a_mebibyte() {
    for (mut stream, _) in [streams(), session(MSIZE_MAX)] {
        stream.push(&write(MSIZE_MAX as usize - 23));
        assert!(stream.next_message().unwrap().is_some());
        stream.push(&write(MSIZE_MAX as usize - 22));
        assert!(matches!(stream.next_message(), Err(Refusal::Size { limit: MSIZE_MAX, .. })));
    }
}

#[test]
fn more_than_a_mebibyte_is_asked_for_as_a_mebibyte() {
    let (mut client, mut server) = streams();
    client.push(&version(u32::MAX));
    assert_eq!(client.next_message(), Ok(Some(&version(MSIZE_MAX)[..])));
    server.push(&agreed(MSIZE_MAX, "9P2000"));
    assert!(server.next_message().unwrap().is_some());
}

#[test]
fn a_server_cannot_agree_on_more_than_was_asked() {
    let (mut client, mut server) = streams();
    client.push(&version(8192));
    client.next_message().unwrap();
    server.push(&agreed(8193, "9P2000"));
    assert_eq!(server.next_message(), Err(Refusal::Msize { asked: 8192, got: 8193 }));
    // Nor on anything before it was asked.
    let (_, mut server) = streams();
    server.push(&agreed(8192, "9P2000"));
    assert_eq!(server.next_message(), Err(Refusal::Msize { asked: 0, got: 8192 }));
}

#[test]
fn unknown_agrees_on_nothing_and_tiny_leaves_room_to_ask_again() {
    let (mut client, mut server) = streams();
    client.push(&version(8192));
    client.next_message().unwrap();
    server.push(&agreed(0, "unknown"));
    server.next_message().unwrap();
    assert_eq!(server.agreement().limit(), MSIZE_MAX);
    let (mut client, _) = session(7);
    client.push(&version(8192));
    assert!(client.next_message().unwrap().is_some());
}

#[test]
fn replies_of_the_old_session_pass_until_the_new_one_is_agreed() {
    let (mut client, mut server) = session(8192);
    client.push(&version(512));
    client.next_message().unwrap();
    server.push(&read(8000));
    assert!(server.next_message().unwrap().is_some());
    server.push(&agreed(512, "9P2000"));
    server.next_message().unwrap();
    server.push(&read(8000));
    assert!(matches!(server.next_message(), Err(Refusal::Size { limit: 512, .. })));
    client.push(&write(8000));
    assert!(matches!(client.next_message(), Err(Refusal::Size { limit: 512, .. })));
}

#[test]
fn requests_come_from_the_client_and_replies_from_the_server() {
    for k in 0..=u8::MAX {
        let message = [7, 0, 0, 0, k, 0, 0];
        let (mut client, mut server) = session(8192);
        client.push(&message);
        server.push(&message);
        let (from_client, from_server) = (client.next_message(), server.next_message());
        if k % 2 == 0 {
            assert_eq!(from_server, Err(Refusal::Direction { from: Side::Server, kind: k }));
        } else {
            assert_eq!(from_client, Err(Refusal::Direction { from: Side::Client, kind: k }));
        }
        // A version message of 7 bytes is none.
        assert_eq!(from_client.is_ok(), k % 2 == 0 && k != kind::TVERSION, "{k}");
        assert_eq!(from_server.is_ok(), k % 2 == 1 && k != kind::RVERSION, "{k}");
    }
}

#[test]
fn whatever_comes_what_is_passed_on_is_whole_and_cutting_changes_nothing() {
    let seed = &mut 9;
    let good = requests().concat();
    for _ in 0..3000 {
        let mut bytes = good.clone();
        for _ in 0..rng::next(seed) % 4 {
            let at = (rng::next(seed) as usize) % bytes.len();
            bytes[at] = rng::next(seed) as u8;
        }
        let run = |step: usize| {
            let (mut stream, _) = streams();
            let mut got = Vec::new();
            for piece in bytes.chunks(step) {
                stream.push(piece);
                if let Err(e) = drain(&mut stream, &mut got) {
                    return (got, Err(e));
                }
            }
            (got, stream.finish())
        };
        let (got, end) = run(bytes.len());
        assert_eq!(run(rng::next(seed) as usize % 40 + 1), (got.clone(), end));
        for m in &got {
            assert_eq!(Head::parse(m).unwrap().size as usize, m.len());
            assert!(m.len() <= MSIZE_MAX as usize && m[4] % 2 == 0);
        }
        if end.is_ok() {
            assert_eq!(got.concat().len(), bytes.len());
        }
    }
}

#[test]
fn a_stream_is_passed_on_in_whole_messages_until_it_ends_or_is_refused() {
    let messages = requests();
    let all = messages.concat();
    // What is passed on of these bytes, read so many at a time.
    let pass = |bytes: &[u8], step: usize| {
        let (mut stream, _) = streams();
        let (mut at, mut out) = (0, Vec::new());
        let read = |chunk: &mut [u8]| {
            let n = step.min(chunk.len()).min(bytes.len() - at);
            chunk[..n].copy_from_slice(&bytes[at..at + n]);
            at += n;
            Ok::<_, ()>(n)
        };
        let write = |message: &[u8]| {
            out.push(message.to_vec());
            Ok(())
        };
        stream.pass(&mut [0; 100], read, write).unwrap();
        (out, stream.finish())
    };
    for step in [1, 7, 30, 100] {
        assert_eq!(pass(&all, step), (messages.clone(), Ok(())));
        let (out, end) = pass(&all[..all.len() - 1], step);
        assert_eq!((out.len(), end.is_err()), (messages.len() - 1, true));
        let echoed = [&messages[0][..], &read(3), &messages[1]].concat();
        let (out, end) = pass(&echoed, step);
        assert_eq!((out.len(), end), (1, Err(Refusal::Direction { from: Side::Client, kind: kind::RREAD })));
    }
    let (mut stream, _) = streams();
    assert_eq!(stream.pass(&mut [0; 9], |_| Err("read"), |_| Ok(())), Err("read"));
    let whole = |chunk: &mut [u8]| {
        chunk[..messages[0].len()].copy_from_slice(&messages[0]);
        Ok(messages[0].len())
    };
    assert_eq!(stream.pass(&mut [0; 100], whole, |_| Err("write")), Err("write"));
}
