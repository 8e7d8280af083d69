//! `mount -C`: contents of a share's files are kept, and nobody reads what is older than its open.

mod wire;

use abi::{MCACHE, MCREATE, MREPL, ORDWR, OREAD, OTRUNC, OWRITE};
use machine::page::Page;
use ninep::kind;
use ninep::testserver::{Body, Tree};
use port::call::sysfile;
use port::mem::iobuf::{Dst, Src};
use port::mnt::Patience;
use port::testkit::Hosted;
use wire::{Share, pattern};

const LEN: usize = 300_000;

fn share(fill: impl FnOnce(&mut Tree)) -> Share {
    let s = Share::unmounted(Patience::DEVICE, fill);
    s.mount_as("host", "/n", MREPL | MCREATE | MCACHE).unwrap();
    s
}

fn big() -> Share {
    share(|host| drop(host.file("big", &pattern(LEN))))
}

fn open(t: &Hosted, mode: u32) -> i32 {
    sysfile::open(&t.up, "/n/big", mode).unwrap()
}

/// Reads on, in pieces, until the end.
fn read_on(t: &Hosted, fd: i32, piece: usize) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let mut buf = vec![0; piece];
        match sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap() {
            0 => return all,
            n => all.extend_from_slice(&buf[..n]),
        }
    }
}

fn read_at(t: &Hosted, fd: i32, len: usize, at: i64) -> Vec<u8> {
    let mut buf = vec![0; len];
    let n = sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), at).unwrap();
    buf.truncate(n);
    buf
}

fn whole(t: &Hosted, piece: usize) -> Vec<u8> {
    let fd = open(t, OREAD);
    let all = read_on(t, fd, piece);
    sysfile::close(&t.up, fd).unwrap();
    all
}

/// The host writes another text, some seconds later.
fn change(s: &Share, bytes: Vec<u8>) {
    let mut state = s.wire.state();
    let node = state.server.host.node_mut("big").unwrap();
    node.body = Body::File(bytes);
    node.mtime += 10;
}

fn pages(s: &Share) -> u64 {
    let text = String::from_utf8(s.t.read("#c/pools").unwrap()).unwrap();
    let line = text.lines().find(|l| l.ends_with(" content.page")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn what_was_read_is_read_again_without_a_message() {
    let s = big();
    for piece in [4096, 1000, 100_000, LEN + 5] {
        let before = s.wire.count(kind::TREAD);
        assert!(whole(&s.t, piece) == pattern(LEN), "{piece}");
        let messages = s.wire.count(kind::TREAD) - before;
        // The first time it is brought in pieces of 128 KiB. The end is known by the length, but it is asked for.
        assert!(messages <= if piece == 4096 { 8 } else { 1 }, "{piece}: {messages}");
    }
    assert_eq!(pages(&s), (LEN as u64).div_ceil(4096));
    // Anywhere, also across the end.
    let fd = open(&s.t, OREAD);
    let before = s.wire.count(kind::TREAD);
    assert_eq!(read_at(&s.t, fd, 5000, 4090), pattern(LEN)[4090..9090]);
    assert_eq!(read_at(&s.t, fd, 5000, LEN as i64 - 7), pattern(LEN)[LEN - 7..]);
    assert_eq!(s.wire.count(kind::TREAD), before);
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

#[test]
fn a_mount_that_does_not_say_so_asks_each_time() {
    let s = Share::new(|host| drop(host.file("big", &pattern(LEN))));
    for _ in 0..2 {
        let before = s.wire.count(kind::TREAD);
        assert!(whole(&s.t, 4096) == pattern(LEN));
        assert!(s.wire.count(kind::TREAD) - before > LEN / 4096);
    }
    assert_eq!(pages(&s), 0);
    s.end();
}

#[test]
fn only_what_is_wanted_is_brought_for_who_does_not_read_on() {
    let s = big();
    let fd = open(&s.t, OREAD);
    assert_eq!(read_at(&s.t, fd, 10, 200_000), pattern(LEN)[200_000..200_010]);
    assert_eq!(pages(&s), 1);
    assert_eq!(read_at(&s.t, fd, 10, 100_000), pattern(LEN)[100_000..100_010]);
    assert_eq!(pages(&s), 2);
    // But from there on, more comes.
    assert_eq!(read_at(&s.t, fd, 10_000, 100_010), pattern(LEN)[100_010..110_010]);
    assert!(pages(&s) > 20);
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

#[test]
fn an_open_sees_what_the_host_has_changed() {
    let s = big();
    assert!(whole(&s.t, 4096) == pattern(LEN));
    let old = open(&s.t, OREAD);
    for new in [vec![b'x'; LEN], vec![b'y'; 5], vec![b'z'; LEN + 9000]] {
        change(&s, new.clone());
        assert!(whole(&s.t, 4096) == new);
        assert!(whole(&s.t, 9000) == new);
        // Who has had it open is told what is there now, too, since nothing older is kept.
        assert_eq!(read_at(&s.t, old, 3, 0), new[..3]);
    }
    sysfile::close(&s.t.up, old).unwrap();
    s.end();
}

#[test]
fn who_has_it_open_meets_the_end_where_it_is() {
    let s = big();
    let fd = open(&s.t, OREAD);
    assert_eq!(read_at(&s.t, fd, 10, 0), pattern(10));
    change(&s, pattern(140_000));
    assert!(read_on(&s.t, fd, 4096) == pattern(140_000)[..], "shorter");
    sysfile::close(&s.t.up, fd).unwrap();
    let fd = open(&s.t, OREAD);
    let first = read_on(&s.t, fd, 4096);
    change(&s, pattern(150_000));
    assert!([first, read_on(&s.t, fd, 4096)].concat() == pattern(150_000), "longer");
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

#[test]
fn what_this_machine_changes_is_seen_at_once() {
    let s = big();
    assert!(whole(&s.t, 4096) == pattern(LEN));
    let reader = open(&s.t, OREAD);
    assert_eq!(read_at(&s.t, reader, 4, 5000), pattern(LEN)[5000..5004]);
    let writer = open(&s.t, ORDWR);
    sysfile::pwrite(&s.t.up, writer, &Src::Kernel(b"here"), 5000).unwrap();
    assert_eq!(read_at(&s.t, reader, 4, 5000), b"here");
    assert_eq!(read_at(&s.t, writer, 4, 5000), b"here");
    sysfile::pwrite(&s.t.up, writer, &Src::Kernel(b"more"), 5000).unwrap();
    assert_eq!(read_at(&s.t, reader, 4, 5000), b"more");
    sysfile::close(&s.t.up, writer).unwrap();
    let cut = open(&s.t, OWRITE | OTRUNC);
    assert_eq!(read_at(&s.t, reader, 4, 5000), b"");
    sysfile::close(&s.t.up, cut).unwrap();
    sysfile::close(&s.t.up, reader).unwrap();
    // Too new to be kept, so a write of the same second is seen by the next open.
    for text in [b"aaaa", b"bbbb"] {
        s.t.write("/n/big", text).unwrap();
        s.wire.state().server.host.node_mut("big").unwrap().mtime = now_s();
        assert_eq!(whole(&s.t, 10), text);
        assert_eq!(pages(&s), 0);
    }
    s.end();
}

fn now_s() -> i64 {
    machine::clock::wall_ns() / 1_000_000_000
}

#[test]
fn a_file_in_the_place_of_a_removed_one_is_another() {
    let s = big();
    assert!(whole(&s.t, 4096) == pattern(LEN));
    sysfile::remove(&s.t.up, "/n/big").unwrap();
    assert_eq!(pages(&s), 0);
    let fd = sysfile::create(&s.t.up, "/n/big", OWRITE, 0o644).unwrap();
    sysfile::pwrite(&s.t.up, fd, &Src::Kernel(b"new"), 0).unwrap();
    sysfile::close(&s.t.up, fd).unwrap();
    assert_eq!(whole(&s.t, 10), b"new");
    s.end();
}

#[test]
fn nothing_is_left_when_the_share_is_unmounted() {
    let s = big();
    assert!(whole(&s.t, 4096) == pattern(LEN));
    let t = &s.t;
    sysfile::unmount(&t.up, None, "/n").unwrap();
    assert_eq!(pages(&s), 0);
}

#[test]
fn a_file_larger_than_all_that_is_kept_is_read_ahead() {
    let len = 12_000_000;
    let s = share(|host| drop(host.file("big", &pattern(len))));
    machine::host::limit_pages(4000);
    let most = machine::mem::total_bytes() / 4096 / 2;
    assert!(len as u64 / 4096 > most);
    let before = s.wire.count(kind::TREAD);
    let fd = open(&s.t, OREAD);
    assert!(read_on(&s.t, fd, 4096) == pattern(len));
    sysfile::close(&s.t.up, fd).unwrap();
    assert!(s.wire.count(kind::TREAD) - before < 2 * len / (32 * 4096));
    assert!(pages(&s) <= most);
    // What is kept of it, and how that is found, is no call's: one that reads all of it ends as others.
    assert!(whole(&s.t, len) == pattern(len));
    s.end();
}

#[test]
fn memory_is_bounded_and_given_back() {
    let s = share(|host| {
        for n in 0..60 {
            host.file(format!("f{n}"), &pattern(LEN)).unwrap();
        }
    });
    machine::host::limit_pages(4000);
    let most = machine::mem::total_bytes() / 4096 / 2;
    for n in 0..60 {
        assert!(s.t.read(&format!("/n/f{n}")).unwrap() == pattern(LEN));
        assert!(pages(&s) <= most, "{}", pages(&s));
    }
    assert!(pages(&s) > most / 2);
    // What was read last is still there, what was read first is not.
    for (n, again) in [(59, false), (0, true)] {
        let before = s.wire.count(kind::TREAD);
        assert!(s.t.read(&format!("/n/f{n}")).unwrap() == pattern(LEN));
        assert_eq!(s.wire.count(kind::TREAD) - before > 1, again, "{n}");
    }
    s.end();
}

/// What is kept leaves to programs what they may have, beside what is set aside for the kernel.
#[test]
fn what_is_kept_leaves_room_to_programs() {
    let s = share(|host| drop(host.file("big", &pattern(3_000_000))));
    machine::host::limit_pages(4000);
    let (free, total) = (machine::mem::free_bytes, machine::mem::total_bytes());
    let least = machine::mem::aside_bytes() + total / 8;
    let full = |_| (free() > least + 310 * 4096).then(|| Page::new_zeroed().ok()).flatten();
    let rest: Vec<Page> = machine::ledger::as_kernel(|| (0..4000).map_while(full).collect());
    assert!(rest.len() > 1000);
    for _ in 0..2 {
        assert!(s.t.read("/n/big").unwrap() == pattern(3_000_000));
        // Up to 32 pages come at a time, when there is still more than that.
        assert!(pages(&s) > 0 && free() > least - 32 * 4096, "{} {least}", free());
    }
    drop(rest);
    s.end();
}

fn sent(s: &Share) -> usize {
    s.settle();
    s.wire.state().log.len()
}

/// What was told of a name is told again without a message, until something is done here, or the file is opened.
#[test]
fn names_are_kept_for_a_moment() {
    let s = share(|host| {
        for i in 0..20 {
            host.file(format!("d/f{i}"), "x".repeat(i).as_bytes()).unwrap();
        }
        host.file("d/deep/er", b"12").unwrap();
    });
    let up = &s.t.up;
    let length = |name: &str| s.t.stat(name).unwrap().length;
    assert_eq!((length("/n/d/f3"), length("/n/d/deep/er")), (3, 2));
    let before = sent(&s);
    for _ in 0..10 {
        assert_eq!((length("/n/d/f3"), length("/n/d/deep/er")), (3, 2));
    }
    assert_eq!(sent(&s), before);
    // The host's changes are not seen yet; but what is opened is as it is.
    s.wire.state().server.host.file("d/f3", b"changed").unwrap();
    assert_eq!(length("/n/d/f3"), 3);
    let fd = sysfile::open(up, "/n/d/f3", OREAD).unwrap();
    assert_eq!(length("/n/d/f3"), 7);
    sysfile::close(up, fd).unwrap();
    // A list tells of all its files.
    assert_eq!(s.t.ls("/n/d").unwrap().len(), 21);
    // The directory was opened: the way over it is walked once more.
    assert_eq!(length("/n/d/f0"), 0);
    let before = sent(&s);
    for i in (0..20).filter(|i| *i != 3) {
        assert_eq!(length(&format!("/n/d/f{i}")), i);
    }
    assert_eq!(sent(&s), before);
    // All that is done here is seen.
    let fd = sysfile::open(up, "/n/d/f4", OWRITE).unwrap();
    assert_eq!(length("/n/d/f4"), 4);
    sysfile::pwrite(up, fd, &Src::Kernel(b"123456"), 0).unwrap();
    assert_eq!(length("/n/d/f4"), 6);
    sysfile::close(up, fd).unwrap();
    let rename = abi::Dir { name: "g".into(), ..abi::Dir::untouched() };
    sysfile::wstat(up, "/n/d/f5", &rename.to_bytes()).unwrap();
    assert!(s.t.stat("/n/d/f5").unwrap_err().is(abi::error::ENONEXIST));
    assert_eq!(length("/n/d/g"), 5);
    sysfile::remove(up, "/n/d/g").unwrap();
    assert!(s.t.stat("/n/d/g").unwrap_err().is(abi::error::ENONEXIST));
    s.t.create("/n/d/g", b"new").unwrap();
    assert_eq!(length("/n/d/g"), 3);
    // The host's are, after a moment.
    s.wire.state().server.host.file("d/f6", b"changed").unwrap();
    s.wire.state().server.host.remove("d/f7").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert_eq!(length("/n/d/f6"), 7);
    assert!(s.t.stat("/n/d/f7").unwrap_err().is(abi::error::ENONEXIST));
    s.end();
}

/// What is mounted on a name that is kept is what has that name, and so is what is below it.
#[test]
fn kept_names_do_not_hide_what_is_mounted() {
    let s = share(|host| {
        host.file("d/deep/er", b"12").unwrap();
        host.file("other/deep/er", b"12345").unwrap();
    });
    let up = &s.t.up;
    let length = |name: &str| s.t.stat(name).unwrap().length;
    let before = s.t.stat("/n/d/deep").unwrap().qid;
    assert_eq!((length("/n/d/deep/er"), length("/n/other/deep/er")), (2, 5));
    sysfile::bind(up, "/n/other/deep", "/n/d/deep", MREPL).unwrap();
    let seen = s.t.stat("/n/d/deep").unwrap();
    assert_ne!(seen.qid.path, before.path);
    assert_eq!((&*seen.name, length("/n/d/deep/er")), ("deep", 5));
    sysfile::unmount(up, None, "/n/d/deep").unwrap();
    assert_eq!((s.t.stat("/n/d/deep").unwrap().qid, length("/n/d/deep/er")), (before, 2));
    // As it is to those that look at it in other ways.
    let fd = sysfile::open(up, "/n/d/deep/er", OREAD).unwrap();
    let open = abi::Dir::parse(&sysfile::fstat(up, fd).unwrap()).unwrap().0;
    assert_eq!(s.t.stat("/n/d/deep/er").unwrap(), open);
    sysfile::close(up, fd).unwrap();
    s.end();
}

/// What is opened is what the server has by that name, whatever was mounted on what had it a moment ago.
#[test]
fn an_open_does_not_go_by_names_that_are_kept() {
    let s = share(|host| {
        host.file("d/deep/er", b"12").unwrap();
        host.file("other/deep/er", b"12345").unwrap();
    });
    s.t.stat("/n/d/deep").unwrap();
    sysfile::bind(&s.t.up, "/n/other/deep", "/n/d/deep", MREPL).unwrap();
    assert_eq!(s.t.stat("/n/d/deep/er").unwrap().length, 5);
    {
        let host = &mut s.wire.state().server.host;
        host.remove("d/deep/er").unwrap();
        host.remove("d/deep").unwrap();
        host.file("d/deep/er", b"1234567").unwrap();
    }
    assert_eq!(s.t.read("/n/d/deep/er").unwrap(), b"1234567");
    assert_eq!(machine::host::machine().panics(), 0);
}
