//! `#9`: large reads and writes are pieces, which the device answers in any order, short or with an error.

mod wire;

use abi::{DMAPPEND, ORDWR, OREAD, OWRITE, error};
use ninep::{Dialect, Rmsg, kind};
use port::call::sysfile;
use port::mem::iobuf::{Src, UserBuf};
use wire::transfer::{UNIT, open, read, with_memory};
use wire::{Fate, Share, pattern};

#[test]
fn large_reads_are_pieces_in_flight_together_and_come_back_in_any_order() {
    let contents = pattern(2_500_000);
    let s = Share::new(|host| {
        host.file("big", &contents).unwrap();
    });
    s.wire.state().reorders = true;
    let fd = open(&s.t, "/n/big", OREAD);
    let before = s.wire.count(kind::TREAD);
    assert!(read(&s.t.up, fd, 2_000_000, 100).unwrap() == contents[100..2_000_100]);
    assert_eq!(s.wire.count(kind::TREAD) - before, 2_000_000usize.div_ceil(UNIT));
    assert_eq!(s.wire.state().peak, 8, "as many as a slot has");
    assert!(read(&s.t.up, fd, 1_000_000, 2_000_000).unwrap() == contents[2_000_000..], "up to the end");
    assert!(read(&s.t.up, fd, 10, 2_500_000).unwrap().is_empty());
    // A small one is one message.
    let before = s.wire.count(kind::TREAD);
    assert!(read(&s.t.up, fd, UNIT, 0).unwrap() == contents[..UNIT]);
    assert_eq!(s.wire.count(kind::TREAD) - before, 1);
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

#[test]
fn large_writes_too() {
    let contents = pattern(2_100_000);
    let s = Share::new(|_| {});
    let va = with_memory(&s.t, &contents);
    s.wire.state().reorders = true;
    let fd = sysfile::create(&s.t.up, "/n/big", ORDWR, 0o644).unwrap();
    let len = contents.len() - 3;
    let src = Src::User(UserBuf { mem: &s.t.up.mem, va: va + 3, len });
    assert_eq!(sysfile::pwrite(&s.t.up, fd, &src, 1).unwrap(), len);
    assert_eq!(s.wire.state().peak, 8);
    assert!(s.wire.host("big").unwrap()[1..] == contents[3..]);
    // Beyond the memory: what there is, when something is.
    let src = Src::User(UserBuf { mem: &s.t.up.mem, va: va + 1_000_000, len: 3_000_000 });
    let n = sysfile::pwrite(&s.t.up, fd, &src, 0).unwrap();
    assert!((8 * UNIT..=1_102_000).contains(&n), "{n}");
    let src = Src::User(UserBuf { mem: &s.t.up.mem, va: 0x1000, len: 3_000_000 });
    assert!(sysfile::pwrite(&s.t.up, fd, &src, 0).unwrap_err().is_fault());
    sysfile::close(&s.t.up, fd).unwrap();

    // Append-only files take one piece at a time, or they would be mixed up.
    let fd = sysfile::create(&s.t.up, "/n/log", OWRITE, DMAPPEND | 0o644).unwrap();
    let src = Src::User(UserBuf { mem: &s.t.up.mem, va, len: 1_000_000 });
    assert_eq!(sysfile::pwrite(&s.t.up, fd, &src, 0).unwrap(), 1_000_000);
    assert!(s.wire.host("log").unwrap() == contents[..1_000_000]);
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

#[test]
fn what_counts_is_the_part_up_to_the_first_short_piece() {
    let contents = pattern(1_000_000);
    let s = Share::new(|host| {
        host.file("big", &contents).unwrap();
    });
    s.wire.state().reorders = true;
    let fd = open(&s.t, "/n/big", ORDWR);
    // The third piece of a read has only 1000 bytes.
    let at = |t: &[u8]| u64::from_le_bytes(t[11..19].try_into().unwrap());
    s.wire.plan_for(kind::TREAD, move |t| match at(t) {
        262_144 => Fate::Edit(Box::new(|mut reply| {
            reply.truncate(1011);
            reply[0..4].copy_from_slice(&1011u32.to_le_bytes());
            reply[7..11].copy_from_slice(&1000u32.to_le_bytes());
            reply
        })),
        _ => Fate::Answer,
    });
    assert!(read(&s.t.up, fd, 900_000, 0).unwrap() == contents[..2 * UNIT + 1000]);
    // It fails.
    s.wire.plan_for(kind::TREAD, move |t| match at(t) {
        262_144 => Fate::Edit(error_reply(t, "Input/output error", 5)),
        _ => Fate::Answer,
    });
    assert!(read(&s.t.up, fd, 900_000, 0).unwrap() == contents[..2 * UNIT]);
    assert_eq!(read(&s.t.up, fd, 900_000, 2 * UNIT as i64), Err(error::EIO.into()));
    // A write of which the disk takes half.
    s.wire.plan_for(kind::TWRITE, move |t| match at(t) {
        131_072 => {
            let reply =
                Rmsg::Write { count: 5 }.to_vec(Dialect::U, u16::from_le_bytes([t[5], t[6]])).unwrap();
            let len = reply.len();
            Fate::Say(reply, len)
        }
        _ => Fate::Answer,
    });
    let va = with_memory(&s.t, &contents);
    let src = Src::User(UserBuf { mem: &s.t.up.mem, va, len: 900_000 });
    assert_eq!(sysfile::pwrite(&s.t.up, fd, &src, 0).unwrap(), UNIT + 5);
    // One that fails further on: what is said of it is not lost.
    for (fails_at, number, told) in
        [(131_072, 28, error::EFULL), (524_288, 61, "host error 61"), (0, 5, error::EIO)]
    {
        s.wire.plan_for(kind::TWRITE, move |t| match at(t) == fails_at {
            true => Fate::Edit(error_reply(t, "No space left on device", number)),
            false => Fate::Answer,
        });
        let e = sysfile::pwrite(&s.t.up, fd, &src, 0).unwrap_err();
        assert!(e.text().contains(told), "{fails_at}: {e}");
    }
    s.wire.no_plan();
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

fn error_reply(t: &[u8], ename: &'static str, errno: u32) -> Box<dyn FnOnce(Vec<u8>) -> Vec<u8> + Send> {
    let reply = wire::error(t, ename, errno);
    Box::new(move |_| reply)
}

#[test]
fn an_error_may_be_longer_than_what_was_to_be_read() {
    let s = Share::new(|host| {
        host.file("f", b"12345").unwrap();
    });
    let fd = open(&s.t, "/n/f", OREAD);
    const LONG: &str =
        "the disk is on fire, and so are the cables, the rack, the cooling and most of the room behind it";
    for len in [1, 2, 100, 5000] {
        s.wire.plan_for(kind::TREAD, |t| Fate::Edit(error_reply(t, LONG, 0)));
        let says = if wire::dialect() == Dialect::L { "host error 0" } else { LONG };
        assert_eq!(read(&s.t.up, fd, len, 0), Err(says.into()), "{len}");
        s.wire.plan_for(kind::TREAD, |t| Fate::Edit(error_reply(t, "No such device or address", 6)));
        assert_eq!(read(&s.t.up, fd, len, 0), Err(error::EPERM.into()), "{len}");
    }
    s.wire.no_plan();
    assert_eq!(read(&s.t.up, fd, 100, 1).unwrap(), b"2345");
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}
