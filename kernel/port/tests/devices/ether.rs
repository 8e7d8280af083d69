//! `#l`, at two cards on a wire.

use std::sync::Arc;

use abi::{ORDWR, OREAD, OWRITE, error};
use io::ether::{Checksum, Features, Sum};
use port::call::sysfile::{bind, close, open};
use port::dev::ether::EtherDev;
use port::dev::ether::card::{Card, cards};
use port::proc::notes::{NoteClass, post};
use port::testkit::Hosted;
use port::testkit::wire::{Faults, ROOM, WireCard, wire, wire_with};

use super::{get, put, settle};

const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
const B: [u8; 6] = [0x52, 0x54, 0, 0, 0, 2];
const ALL: [u8; 6] = [0xff; 6];
const GROUP: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// A machine that has both ends of a wire.
fn machine() -> (Hosted, Vec<Arc<Card>>, [Arc<WireCard>; 2]) {
    let (a, b) = wire(Faults::default());
    let both = cards(vec![a.clone(), b.clone()]);
    let t = Hosted::with(vec![EtherDev::new(&both)], vec![], &[]);
    bind(&t.up, "#l", "/net", abi::MREPL).unwrap();
    (t, both, [a, b])
}

/// A conversation at a card: its number, `ctl` and `data`.
fn converse(t: &Hosted, card: usize, commands: &[&str]) -> (String, i32, i32) {
    let ctl = open(&t.up, &format!("/net/ether{card}/clone"), ORDWR).unwrap();
    let number = String::from_utf8(get(&t.up, ctl, 100).unwrap()).unwrap();
    for command in commands {
        put(&t.up, ctl, command.as_bytes()).unwrap();
    }
    let dir = format!("/net/ether{card}/{}", number.trim());
    let data = open(&t.up, &format!("{dir}/data"), ORDWR).unwrap();
    (dir, ctl, data)
}

fn frame(to: [u8; 6], from: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [&to[..], &from, &kind.to_be_bytes(), payload].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

#[test]
fn the_files_are_where_programs_of_plan_9_look() {
    let (t, ..) = machine();
    assert_eq!(t.ls("#l").unwrap(), ["ether0", "ether1"]);
    assert_eq!(t.ls("#l1").unwrap(), ["ether1"]);
    assert!(open(&t.up, "#l2", OREAD).unwrap_err().is(error::ENODEV));
    assert!(open(&t.up, "#lx", OREAD).unwrap_err().is(error::EBADSPEC));
    assert_eq!(t.ls("/net/ether1").unwrap(), ["addr", "clone", "ifstats", "stats"]);
    assert_eq!(t.read("/net/ether1/addr").unwrap(), b"525400000002");
    let (dir, ctl, data) = converse(&t, 1, &["connect 0x800"]);
    assert_eq!(dir, "/net/ether1/0");
    assert_eq!(t.ls("/net/ether1").unwrap(), ["addr", "clone", "ifstats", "stats", "0"]);
    assert_eq!(t.ls("/net/ether1/0").unwrap(), ["ctl", "data", "ifstats", "stats", "type"]);
    assert_eq!(t.read("/net/ether1/0/type").unwrap(), b"       2048 ");
    assert_eq!(t.read("/net/ether1/0/ctl").unwrap(), b"          0 ");
    assert_eq!(t.read("/net/ether1/0/stats").unwrap(), t.read("/net/ether1/stats").unwrap());
    assert_eq!(t.ls("/net/ether1/..").unwrap(), t.ls("/net").unwrap());
    close(&t.up, ctl).unwrap();
    assert_eq!(t.stat("/net/ether1/0/data").unwrap().mode, 0o660, "there is its data still");
    close(&t.up, data).unwrap();
    assert!(open(&t.up, "/net/ether1/0/ctl", OREAD).unwrap_err().is(error::ENONEXIST));
}

#[test]
fn a_frame_is_a_write_and_a_read() {
    let (t, ..) = machine();
    let (_, _, a) = converse(&t, 0, &["connect 0x800"]);
    let (_, ctl, b) = converse(&t, 1, &["connect 0x800"]);
    // The card's own address is put in.
    assert_eq!(put(&t.up, a, &frame(B, GROUP, 0x800, &[7; 100])).unwrap(), 114);
    assert_eq!(get(&t.up, b, 9000).unwrap(), frame(B, A, 0x800, &[7; 100]));
    // What does not fit into a read is gone, and short ones are filled up.
    put(&t.up, a, &frame(B, A, 0x800, &[1; 100])).unwrap();
    assert_eq!(put(&t.up, a, &frame(B, A, 0x800, b"2")[..15]).unwrap(), 15);
    assert_eq!(get(&t.up, b, 20).unwrap(), frame(B, A, 0x800, &[1; 100])[..20]);
    assert_eq!(get(&t.up, b, 9000).unwrap(), frame(B, A, 0x800, b"2"));
    assert!(put(&t.up, a, &[0; 13]).unwrap_err().is(error::ETOOSMALL));
    assert!(put(&t.up, a, &[0; 1515]).unwrap_err().is(error::ETOOBIG));
    put(&t.up, a, &frame(B, A, 0x800, &[3; 1500])).unwrap();
    assert_eq!(get(&t.up, b, 9000).unwrap().len(), 1514);
    // What has come before is another kind's.
    put(&t.up, a, &frame(B, A, 0x800, b"old")).unwrap();
    while !String::from_utf8(t.read("/net/ether1/stats").unwrap()).unwrap().starts_with("in: 5\n") {}
    put(&t.up, ctl, b"connect 0x806").unwrap();
    put(&t.up, a, &frame(B, A, 0x806, b"new")).unwrap();
    assert_eq!(get(&t.up, b, 9000).unwrap(), frame(B, A, 0x806, b"new"));
}

#[test]
fn one_kind_is_one_conversations() {
    let (t, ..) = machine();
    let (_, ctl, data) = converse(&t, 0, &["connect 2048"]);
    let (_, other, _) = converse(&t, 0, &["connect -1", "promiscuous"]);
    let (_, third, _) = converse(&t, 0, &["connect -1"]);
    assert!(put(&t.up, third, b"connect 0x800").unwrap_err().is(error::EINUSE));
    assert!(put(&t.up, other, b"connect").unwrap_err().is(error::ECMDARGS));
    assert!(put(&t.up, other, b"connect 70000").unwrap_err().is(error::EBADARG));
    assert!(put(&t.up, other, b"speed up").unwrap_err().is(error::EBADCTL));
    assert!(put(&t.up, other, &[b'x'; 1000]).is_err());
    assert_eq!(t.read("/net/ether0/1/type").unwrap(), b"         -1 ");
    let stats = String::from_utf8(t.read("/net/ether0/stats").unwrap()).unwrap();
    assert!(stats.contains("\nprom: 1\n") && stats.ends_with("\naddr: 525400000001\n"), "{stats}");
    close(&t.up, ctl).unwrap();
    close(&t.up, data).unwrap();
    put(&t.up, third, b"connect 0x800").unwrap();
}

#[test]
fn what_is_sent_is_heard_by_who_snoops_and_groups_by_who_wants_them() {
    let (t, ..) = machine();
    let (_, _, a) = converse(&t, 0, &["connect 0x800"]);
    let (_, _, snoop) = converse(&t, 0, &["connect -1", "promiscuous"]);
    let (_, ctl, b) = converse(&t, 1, &["connect -1"]);
    for f in [frame(B, A, 0x800, b"one"), frame(GROUP, A, 0x800, b"two"), frame(ALL, A, 0x800, b"three")] {
        put(&t.up, a, &f).unwrap();
        assert_eq!(get(&t.up, snoop, 9000).unwrap(), f);
    }
    // As Plan 9 has it, one who broadcasts hears that himself.
    assert_eq!(get(&t.up, a, 9000).unwrap(), frame(ALL, A, 0x800, b"three"));
    assert_eq!(get(&t.up, b, 9000).unwrap(), frame(B, A, 0x800, b"one"));
    assert_eq!(get(&t.up, b, 9000).unwrap(), frame(ALL, A, 0x800, b"three"));
    put(&t.up, ctl, b"addmulti 33:33:00:00:00:01").unwrap();
    put(&t.up, a, &frame(GROUP, A, 0x800, b"four")).unwrap();
    assert_eq!(get(&t.up, b, 9000).unwrap(), frame(GROUP, A, 0x800, b"four"));
    put(&t.up, ctl, b"remmulti 333300000001").unwrap();
    put(&t.up, a, &frame(GROUP, A, 0x800, b"five")).unwrap();
    put(&t.up, a, &frame(B, A, 0x800, b"six")).unwrap();
    assert_eq!(get(&t.up, b, 9000).unwrap(), frame(B, A, 0x800, b"six"));
    assert!(put(&t.up, ctl, b"addmulti 525400000001").unwrap_err().is(error::EBADARG));
    for n in 0..32 {
        put(&t.up, ctl, format!("addmulti 3333000000{n:02x}").as_bytes()).unwrap();
    }
    assert!(put(&t.up, ctl, b"addmulti 0100000000ff").unwrap_err().is(error::ENODEV));
    put(&t.up, ctl, b"addmulti 333300000000").unwrap();
}

#[test]
fn who_bridges_sends_in_anothers_name_and_does_not_get_that_back() {
    let (t, ..) = machine();
    let other = [2, 0, 0, 0, 0, 9];
    let (_, _, bridge) = converse(&t, 0, &["connect -1", "promiscuous", "bridge"]);
    let (_, _, b) = converse(&t, 1, &["connect 0x800"]);
    put(&t.up, bridge, &frame(B, other, 0x800, b"bridged")).unwrap();
    assert_eq!(get(&t.up, b, 9000).unwrap(), frame(B, other, 0x800, b"bridged"));
    put(&t.up, b, &frame(A, B, 0x800, b"back")).unwrap();
    assert_eq!(get(&t.up, bridge, 9000).unwrap(), frame(A, B, 0x800, b"back"));
}

#[test]
fn heads_are_told_with_length_and_time() {
    let (t, ..) = machine();
    let (_, _, a) = converse(&t, 0, &["connect 0x800"]);
    let (_, _, b) = converse(&t, 1, &["connect 0x800", "headersonly"]);
    let f = frame(B, A, 0x800, &[5; 1000]);
    put(&t.up, a, &f).unwrap();
    let head = get(&t.up, b, 9000).unwrap();
    assert_eq!((&head[..58], &head[58..60], head.len()), (&f[..58], &1014u16.to_be_bytes()[..], 64));
}

#[test]
fn a_reader_that_is_slow_loses_frames_which_are_counted() {
    let (t, ..) = machine();
    let (_, _, a) = converse(&t, 0, &["connect 0x800"]);
    let (_, _, b) = converse(&t, 1, &["connect 0x800"]);
    for n in 0..200u32 {
        put(&t.up, a, &frame(B, A, 0x800, &[&n.to_be_bytes()[..], &[0; 1400]].concat())).unwrap();
    }
    // 128 KiB, less what keeping them costs.
    let stats = || String::from_utf8(t.read("/net/ether1/stats").unwrap()).unwrap();
    while !stats().starts_with("in: 200\n") {}
    let kept = (128 << 10) / (1418 + 64);
    // The last one is perhaps being told.
    while !stats().contains(&format!("\nsoft overflows: {}\n", 200 - kept)) {}
    for n in 0..kept {
        assert_eq!(get(&t.up, b, 18).unwrap()[14..], (n as u32).to_be_bytes());
    }
}

#[test]
fn checksums_that_nobody_made_are_made_for_who_reads() {
    let (near, far) = wire_with(Faults::default(), Features { checksum: true, ..Features::default() });
    let t = Hosted::with(vec![EtherDev::new(&cards(vec![near.clone()]))], vec![], &[]);
    bind(&t.up, "#l0", "/net", abi::MREPL).unwrap();
    let (_, _, data) = converse(&t, 0, &["connect 0x800"]);
    let f = frame(A, B, 0x800, &[1; 46]);
    near.inject(&f, Sum::Missing(Checksum { start: 14, field: 20 }));
    // 23 words of 0101: 1717, whose complement is e8e8.
    let made = get(&t.up, data, 9000).unwrap();
    assert_eq!((&made[20..22], &made[..20], &made[22..]), (&[0xe8, 0xe8][..], &f[..20], &f[22..]));
    drop(far);
}

#[test]
fn a_card_that_has_gone_says_so_to_who_waits_there() {
    let (near, far) = wire(Faults::default());
    let t = Hosted::with(vec![EtherDev::new(&cards(vec![near.clone()]))], vec![], &[]);
    bind(&t.up, "#l0", "/net", abi::MREPL).unwrap();
    let (_, _, data) = converse(&t, 0, &["connect 0x800"]);
    near.inject(&frame(A, B, 0x800, b"last"), Sum::Unknown);
    // What is still on the wire goes with the card.
    assert_eq!(get(&t.up, data, 9000).unwrap(), frame(A, B, 0x800, b"last"));
    let (_, reading) = t.start(move |up| get(up, data, 9000));
    settle();
    drop(far);
    assert!(reading.wait().unwrap_err().is(error::EHUNGUP));
    assert!(put(&t.up, data, &frame(B, A, 0x800, b"")).unwrap_err().is(error::EHUNGUP));
    assert!(open(&t.up, "/net/ether0/clone", ORDWR).unwrap_err().is(error::EHUNGUP));
}

#[test]
fn conversations_are_bounded_and_their_places_free_again() {
    let (t, ..) = machine();
    let all: Vec<_> = (0..16).map(|_| converse(&t, 0, &[])).collect();
    assert!(open(&t.up, "/net/ether0/clone", OWRITE).unwrap_err().is(error::ENODEV));
    let (dir, ctl, data) = &all[3];
    close(&t.up, *ctl).unwrap();
    close(&t.up, *data).unwrap();
    assert_eq!(converse(&t, 0, &[]).0, *dir);
    assert_eq!(converse(&t, 1, &[]).0, "/net/ether1/0", "each card has its own");
}

#[test]
fn a_note_ends_the_wait_for_a_frame_and_for_room() {
    let (t, _, [_, far]) = machine();
    let (_, _, data) = converse(&t, 0, &["connect 0x800"]);
    let (p, reading) = t.start(move |up| get(up, data, 9000));
    settle();
    post(&p, "alarm", NoteClass::User);
    assert!(reading.wait().unwrap_err().is(error::EINTR));
    far.hold(true);
    let (p, writing) = t.start(move |up| {
        let mut written = 0;
        loop {
            match put(up, data, &frame(B, A, 0x800, b"")) {
                Ok(_) => written += 1,
                Err(e) => return (written, e),
            }
        }
    });
    settle();
    post(&p, "alarm", NoteClass::User);
    let (written, e) = writing.wait();
    assert!((ROOM..=2 * ROOM).contains(&written) && e.is(error::EINTR), "{written} {e}");
    // With room again it goes on.
    let (_, writing) = t.start(move |up| put(up, data, &frame(B, A, 0x800, b"")));
    settle();
    far.hold(false);
    assert_eq!(writing.wait().unwrap(), 60);
}
