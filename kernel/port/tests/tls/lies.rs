//! An end whose other side says what it should not.

use std::sync::atomic::Ordering;

use abi::{ORDWR, error};
use port::call::sysfile::{close, fstat, fversion, open, pipe};
use port::testkit::Hosted;

use super::{End, get, put, secret, settle, world};

fn record(kind: u8, version: u16, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(version.to_be_bytes());
    out.extend((body.len() as u16).to_be_bytes());
    out.extend(body);
    out
}

/// An end, and the pipe's other end.
fn half(t: &Hosted) -> (End, i32) {
    let [x, y] = pipe(&t.up).unwrap();
    (End::new(&t.up, x, 0x303), y)
}

#[test]
fn records_that_are_wrong_are_the_end_and_answered_by_an_alert() {
    let t = world();
    let long = [22, 3, 3, 0x40, 1];
    let cases: [(&str, Vec<u8>, u8); 12] = [
        ("bad record message length", record(22, 0x303, b""), 22),
        ("bad record message length", long.to_vec(), 22),
        ("record of another version", record(22, 0x200, b"x"), 70),
        ("record of another version", record(22, 0x400, b"x"), 70),
        ("record of another version", vec![0x80, 0x2e, 1, 3, 1], 70),
        ("invalid record message", record(19, 0x303, b"x"), 47),
        ("invalid record message", record(24, 0x303, b"x"), 47),
        ("unexpected change cipher spec", record(20, 0x303, &[1]), 10),
        ("invalid change cipher spec", record(20, 0x303, &[2]), 50),
        ("invalid change cipher spec", record(20, 0x303, &[1, 1]), 50),
        ("invalid alert", record(21, 0x303, &[1]), 50),
        ("application message received before handshake completed", record(23, 0x303, b"x"), 10),
    ];
    for (says, bytes, alert) in cases {
        let (end, y) = half(&t);
        put(&t.up, y, &bytes).unwrap();
        assert_eq!(get(&t.up, end.hand, 100).unwrap_err().text(), says, "{bytes:?}");
        assert_eq!(get(&t.up, y, 100).unwrap(), record(21, 0x303, &[2, alert]), "{bytes:?}");
        assert_eq!(end.status("State").unwrap(), "Errored");
        for fd in [end.ctl, end.hand, y] {
            close(&t.up, fd).unwrap();
        }
    }
    // An alert that is not one.
    let (end, y) = half(&t);
    put(&t.up, y, &record(21, 0x303, &[1, 77])).unwrap();
    assert_eq!(get(&t.up, end.hand, 100).unwrap_err().text(), "invalid alert");
    // A fatal one that has no name.
    let (end, y) = half(&t);
    put(&t.up, y, &record(21, 0x303, &[2, 77])).unwrap();
    assert_eq!(get(&t.up, end.hand, 100).unwrap_err().text(), "unknown error");
    // The server does not know the name that it was called by, and goes on.
    let (end, y) = half(&t);
    put(&t.up, y, &record(21, 0x303, &[1, 112])).unwrap();
    put(&t.up, y, &record(22, 0x301, b"hello")).unwrap();
    assert_eq!(get(&t.up, end.hand, 100).unwrap(), b"hello");
    // Records in one write, and one in many.
    let two = [record(22, 0x303, b"one"), record(22, 0x300, b"two")].concat();
    put(&t.up, y, &two).unwrap();
    assert_eq!(get(&t.up, end.hand, 100).unwrap(), b"one");
    assert_eq!(get(&t.up, end.hand, 1).unwrap(), b"t");
    assert_eq!(get(&t.up, end.hand, 100).unwrap(), b"wo");
    let (p, got) = t.start({
        let end = end.clone();
        move |up| get(up, end.hand, 100)
    });
    record(22, 0x303, b"bit by bit").iter().for_each(|byte| drop(put(&t.up, y, &[*byte]).unwrap()));
    assert_eq!(got.wait().unwrap(), b"bit by bit");
    drop(p);
    // Gone in the middle of a record.
    put(&t.up, y, &record(22, 0x303, b"half")[..7]).unwrap();
    close(&t.up, y).unwrap();
    assert_eq!(get(&t.up, end.hand, 100).unwrap_err().text(), error::EHUNGUP);
    assert_eq!(get(&t.up, end.hand, 100).unwrap_err().text(), "channel error");
}

/// Two ends, and what stands between them.
struct Between {
    a: End,
    b: End,
    /// The pipe's ends that are towards each.
    towards: [i32; 2],
}

impl Between {
    fn new(t: &Hosted, hash: &str, enc: &str) -> Between {
        let ((a, x), (b, y)) = (half(t), half(t));
        let it = Between { a, b, towards: [x, y] };
        for (end, is_client) in [(&it.a, 1), (&it.b, 0)] {
            end.says("version 0x303").unwrap();
            end.says(&format!("secret {hash} {enc} {is_client} {}", secret(9))).unwrap();
            end.says("changecipher").unwrap();
            put(&t.up, end.hand, b"finished").unwrap();
        }
        for _ in 0..2 {
            it.pass(t, 0, |_| ());
            it.pass(t, 1, |_| ());
        }
        for end in [&it.a, &it.b] {
            assert_eq!(get(&t.up, end.hand, 100).unwrap(), b"finished");
            end.says("opened").unwrap();
        }
        it
    }

    /// Passes a record on that comes from this end.
    fn pass(&self, t: &Hosted, from: usize, change: impl Fn(&mut Vec<u8>)) {
        let mut record = get(&t.up, self.towards[from], 40_000).unwrap();
        change(&mut record);
        put(&t.up, self.towards[1 - from], &record).unwrap();
    }
}

#[test]
fn what_is_changed_on_its_way_is_found_and_is_the_end() {
    let t = world();
    for (hash, enc) in [
        ("sha1", "rc4_128"),
        ("md5", "3des_ede_cbc"),
        ("sha256", "aes_128_cbc"),
        ("clear", "aes_256_gcm_aead"),
        ("clear", "ccpoly96_aead"),
        ("sha256", "clear"),
    ] {
        let it = Between::new(&t, hash, enc);
        let (from, to) = (it.a.data(), it.b.data());
        put(&t.up, from, b"as it is").unwrap();
        it.pass(&t, 0, |_| ());
        assert_eq!(get(&t.up, to, 100).unwrap(), b"as it is");
        put(&t.up, from, b"changed").unwrap();
        it.pass(&t, 0, |record| *record.last_mut().unwrap() ^= 1);
        assert_eq!(get(&t.up, to, 100).unwrap_err().text(), "tls error", "{enc}");
        assert_eq!(get(&t.up, to, 100).unwrap_err().text(), "tls error");
        assert_eq!(put(&t.up, to, b"x").unwrap_err().text(), "tls error");
        assert_eq!(get(&t.up, it.b.hand, 100).unwrap_err().text(), "bad record mac");
        // The other side is told in a record that it can read.
        it.pass(&t, 1, |_| ());
        assert_eq!(get(&t.up, from, 100).unwrap_err().text(), "tls error");
        assert_eq!(get(&t.up, it.a.hand, 100).unwrap_err().text(), "bad record mac");
    }
}

#[test]
fn a_record_that_comes_again_or_not_at_all_is_found() {
    let t = world();
    for enc in ["aes_128_gcm_aead", "ccpoly96_aead"] {
        let it = Between::new(&t, "clear", enc);
        let (from, to) = (it.a.data(), it.b.data());
        put(&t.up, from, b"once").unwrap();
        let record = get(&t.up, it.towards[0], 1000).unwrap();
        put(&t.up, it.towards[1], &[record.clone(), record].concat()).unwrap();
        assert_eq!(get(&t.up, to, 100).unwrap(), b"once");
        assert_eq!(get(&t.up, to, 100).unwrap_err().text(), "tls error");
        let it = Between::new(&t, "clear", enc);
        let (from, to) = (it.a.data(), it.b.data());
        put(&t.up, from, b"lost").unwrap();
        get(&t.up, it.towards[0], 1000).unwrap();
        put(&t.up, from, b"next").unwrap();
        it.pass(&t, 0, |_| ());
        assert_eq!(get(&t.up, to, 100).unwrap_err().text(), "tls error");
    }
}

/// What the kernel speaks 9P on is nobody's to read or write, whether it was mounted before or after.
#[test]
fn a_channel_of_a_mount_is_not_to_be_had() {
    let t = world();
    let [x, y] = pipe(&t.up).unwrap();
    let [z, far] = pipe(&t.up).unwrap();
    let late = End::new(&t.up, z, 0x303);
    for (fd, server) in [(x, y), (z, far)] {
        let (_, served) = t.start(move |up| {
            assert_eq!(get(up, server, 100).unwrap()[4], 100, "a Tversion");
            put(up, server, b"\x13\0\0\0\x65\xff\xff\0\x20\0\0\x06\09P2000").unwrap();
        });
        fversion(&t.up, fd, 0, "9P2000").unwrap();
        served.wait();
    }
    assert_eq!(End::bare(&t.up).wrong(&format!("fd {x} 0x303")), error::EBADUSEFD);
    let hand = late.hand;
    assert!(put(&t.up, hand, b"\x01\0\0\0").unwrap_err().is(error::EBADUSEFD));
    assert!(get(&t.up, hand, 100).unwrap_err().is(error::EBADUSEFD));
    // Nor does the goodbye get there.
    close(&t.up, hand).unwrap();
    close(&t.up, late.ctl).unwrap();
    settle();
    // A pipe's length is what is in it.
    for server in [y, far] {
        let stat = fstat(&t.up, server).unwrap();
        assert_eq!(abi::Dir::parse(&stat).unwrap().0.length, 0);
    }
}

/// What is said when a conversation is over is not said in the name of the machine's owner.
#[test]
fn a_goodbye_has_no_rights() {
    let t = world();
    let (owner, nobody) = (t.process(), t.process());
    owner.noteid.store(nobody.noteid(), Ordering::Relaxed);
    *nobody.user.lock() = "none".into();
    let group = open(&nobody, &format!("#p/{}/notepg", nobody.pid), ORDWR).unwrap();
    let end = End::new(&nobody, group, 0x303);
    close(&nobody, end.ctl).unwrap();
    close(&nobody, end.hand).unwrap();
    settle();
    assert!(owner.notes.lock().queue.is_empty());
}

#[test]
fn who_handshakes_without_end_is_stopped() {
    let t = world();
    let it = Between::new(&t, "sha1", "clear");
    let (from, to) = (it.a.hand, it.b.data());
    let (_, got) = t.start(move |up| get(up, to, 100));
    for _ in 0..5 {
        put(&t.up, from, &[0; 16000]).unwrap();
        it.pass(&t, 0, |_| ());
    }
    assert_eq!(got.wait().unwrap_err().text(), "tls error");
    // Who has no `hand` says that there is no renegotiation, as often as need be.
    let it = Between::new(&t, "sha1", "clear");
    close(&t.up, it.b.hand).unwrap();
    let (from, to) = (it.a.data(), it.b.data());
    let (_, got) = t.start(move |up| get(up, to, 100));
    for _ in 0..5 {
        put(&t.up, it.a.hand, b"hello").unwrap();
        it.pass(&t, 0, |_| ());
        it.pass(&t, 1, |_| ());
    }
    put(&t.up, from, b"data").unwrap();
    it.pass(&t, 0, |_| ());
    assert_eq!(got.wait().unwrap(), b"data");
    let (_, got) = t.start(move |up| get(up, from, 100));
    assert_eq!(put(&t.up, to, b"back").unwrap(), 4);
    it.pass(&t, 1, |_| ());
    assert_eq!(got.wait().unwrap(), b"back");
    assert_eq!(get(&t.up, it.a.hand, 100).unwrap_err().text(), "no renegotiation");
}
