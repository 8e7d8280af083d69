//! Two ends that mean well.

use abi::{Dir, ORDWR, OREAD, error};
use port::call::sysfile::{close, open, pipe, wstat};

use super::{End, get, put, secret, settle, world};

/// All that both ends need to do before data go through.
fn shake(a: &End, b: &End, version: u16, hash: &str, enc: &str) {
    for (end, is_client) in [(a, 1), (b, 0)] {
        end.says(&format!("version {version:#x}")).unwrap();
        end.says(&format!("secret {hash} {enc} {is_client} {}", secret(3))).unwrap();
        end.says("changecipher").unwrap();
        put(&end.up, end.hand, b"finished").unwrap();
    }
    for end in [a, b] {
        assert_eq!(get(&end.up, end.hand, 100).unwrap(), b"finished");
        end.says("opened").unwrap();
    }
}

const SUITES: [(u16, &str, &str); 11] = [
    (0x301, "md5", "rc4_128"),
    (0x301, "sha1", "3des_ede_cbc"),
    (0x301, "sha1", "aes_128_cbc"),
    (0x302, "sha1", "aes_256_cbc"),
    (0x302, "md5", "clear"),
    (0x303, "sha256", "3des_ede_cbc"),
    (0x303, "sha256", "aes_256_cbc"),
    (0x303, "clear", "clear"),
    (0x303, "clear", "ccpoly96_aead"),
    (0x303, "clear", "aes_128_gcm_aead"),
    (0x303, "clear", "aes_256_gcm_aead"),
];

#[test]
fn what_one_end_writes_the_other_one_reads() {
    let t = world();
    for (version, hash, enc) in SUITES {
        let [x, y] = pipe(&t.up).unwrap();
        let (a, b) = (End::new(&t.up, x, version), End::new(&t.up, y, version));
        assert_eq!(a.status("State").unwrap(), "Handshaking");
        shake(&a, &b, version, hash, enc);
        assert_eq!(b.status("State").unwrap(), "Established");
        assert_eq!(a.status("Version").unwrap(), format!("{version:#x}"));
        assert_eq!((a.status("EncIn").unwrap(), b.status("HashOut").unwrap()), (enc.into(), hash.into()));
        assert_eq!(a.status("NewEncIn"), None);
        let (from, to) = (a.data(), b.data());
        let much: Vec<u8> = (0..100_000u32).map(|n| (n >> 3) as u8).collect();
        let (sent, up) = (much.clone(), t.process());
        let writer = std::thread::spawn(move || put(&up, from, &sent).unwrap());
        let mut got = Vec::new();
        while got.len() < much.len() {
            let piece = get(&t.up, to, 70_000).unwrap();
            // A record is read whole, and nothing beyond it.
            assert_eq!(piece.len(), (much.len() - got.len()).min(16384));
            got.extend(piece);
        }
        assert!(got == much, "{enc}");
        assert_eq!(writer.join().unwrap(), much.len());
        put(&t.up, to, b"and back").unwrap();
        assert_eq!(get(&t.up, from, 3).unwrap(), b"and");
        assert_eq!(get(&t.up, from, 100).unwrap(), b" back");
        assert_eq!(a.text("stats"), "DataIn: 8\nDataOut: 100000\nHandIn: 8\nHandOut: 8\n");
        for fd in [from, to, a.ctl, b.ctl, a.hand, b.hand, x, y] {
            close(&t.up, fd).unwrap();
        }
    }
    // Who said goodbye may not be gone yet.
    for _ in 0..100 {
        if t.ls("/net/tls").unwrap() == ["clone", "encalgs", "hashalgs"] {
            return;
        }
        settle();
    }
    panic!("{:?}", t.ls("/net/tls").unwrap());
}

#[test]
fn goodbye_is_said_when_the_last_file_is_closed() {
    let t = world();
    let [x, y] = pipe(&t.up).unwrap();
    let (a, b) = (End::new(&t.up, x, 0x303), End::new(&t.up, y, 0x303));
    shake(&a, &b, 0x303, "sha1", "aes_128_cbc");
    let (from, to) = (a.data(), b.data());
    put(&t.up, from, b"the end").unwrap();
    for fd in [a.hand, from, x] {
        close(&t.up, fd).unwrap();
    }
    assert_eq!(b.status("State").unwrap(), "Established");
    close(&t.up, a.ctl).unwrap();
    assert_eq!(get(&t.up, to, 100).unwrap(), b"the end");
    assert_eq!(get(&t.up, to, 100).unwrap_err().text(), "tls hungup");
    assert_eq!(b.status("State").unwrap(), "RemoteClosed");
    assert_eq!(get(&t.up, b.hand, 100).unwrap_err().text(), "close notify");
    assert_eq!(put(&t.up, to, b"x").unwrap_err().text(), "tls hungup");
    assert_eq!(b.text("stats").lines().next().unwrap(), "DataIn: 7");
}

#[test]
fn alerts_are_told_at_both_ends() {
    let t = world();
    let [x, y] = pipe(&t.up).unwrap();
    let (a, b) = (End::new(&t.up, x, 0x303), End::new(&t.up, y, 0x303));
    // Not fatal.
    a.says("alert 90").unwrap();
    assert_eq!(get(&t.up, b.hand, 100).unwrap_err().text(), "handshake canceled by user");
    a.says("alert 100").unwrap();
    assert_eq!(get(&t.up, b.hand, 100).unwrap_err().text(), "no renegotiation");
    put(&t.up, a.hand, b"still here").unwrap();
    assert_eq!(get(&t.up, b.hand, 100).unwrap(), b"still here");
    // Fatal.
    a.says("alert 48").unwrap();
    assert_eq!(get(&t.up, b.hand, 100).unwrap_err().text(), "unknown certificate authority");
    for end in [&a, &b] {
        assert_eq!(end.status("State").unwrap(), "Errored");
        assert_eq!(put(&t.up, end.hand, b"x").unwrap_err().text(), "unknown certificate authority");
        let data = end.data();
        assert_eq!(get(&t.up, data, 10).unwrap_err().text(), "tls error");
        assert_eq!(put(&t.up, data, b"x").unwrap_err().text(), "tls error");
    }
    let [x, y] = pipe(&t.up).unwrap();
    let (a, b) = (End::new(&t.up, x, 0x303), End::new(&t.up, y, 0x303));
    shake(&a, &b, 0x303, "clear", "ccpoly96_aead");
    let data = a.data();
    a.says("hangup").unwrap();
    assert_eq!(a.status("State").unwrap(), "LocalClosed");
    assert_eq!(put(&t.up, data, b"x").unwrap_err().text(), "tls hungup");
    let from = b.data();
    assert_eq!(get(&t.up, from, 10).unwrap_err().text(), "tls hungup");
    b.says("alert 0").unwrap();
    assert_eq!(b.status("State").unwrap(), "Closed");
}

#[test]
fn messages_come_in_their_order() {
    let t = world();
    let end = End::bare(&t.up);
    let [x, y] = pipe(&t.up).unwrap();
    assert_eq!(end.wrong(""), "short control request");
    assert_eq!(end.wrong("nonsense"), error::EBADARG);
    assert_eq!(end.wrong("a b c d e f g"), error::EBADARG);
    assert_eq!(end.wrong("version 0x303"), "must set fd before version");
    assert_eq!(end.wrong("secret sha1 clear 1 AAAA"), "must set fd and version before secrets");
    assert_eq!(end.wrong("alert 10"), "must set fd before sending alerts");
    assert_eq!(get(&t.up, end.hand, 10).unwrap_err().text(), "tls hungup");
    assert_eq!(put(&t.up, end.hand, b"x").unwrap_err().text(), "tls hungup");
    assert_eq!(end.wrong(&format!("fd {x}")), "usage: fd open-fd version");
    for version in ["0x300", "0x304", "0", "0xffffffffffffffff"] {
        assert_eq!(end.wrong(&format!("fd {x} {version}")), "unsupported version");
    }
    assert_eq!(end.wrong("fd 99 0x303"), error::EBADFD);
    assert_eq!(end.wrong("fd -1 0x303"), error::EBADFD);
    assert_eq!(end.wrong("fd x 0x303"), error::EBADARG);
    let dir = open(&t.up, "/net", OREAD).unwrap();
    assert!(end.says(&format!("fd {dir} 0x303")).is_err());
    end.says(&format!("fd {x} 771")).unwrap();
    assert_eq!(end.wrong(&format!("fd {y} 0x303")), error::EINUSE);
    assert_eq!(end.wrong("secret sha1 clear 1 AAAA"), "must set fd and version before secrets");
    end.says("version 0x0302").unwrap();
    assert_eq!(end.wrong("version 0x302"), "version already set");
    assert_eq!(end.wrong("changecipher"), "cannot change cipher spec without setting secret");
    assert_eq!(end.wrong("opened"), "cipher must be configured before enabling data messages");
    assert_eq!(end.wrong("secret sha7 clear 1 AAAA"), "unsupported hash algorithm");
    assert_eq!(end.wrong("secret sha1 rot13 1 AAAA"), "unsupported encryption algorithm");
    assert_eq!(end.wrong("secret sha1 clear 1 AAAA"), "not enough secret data provided");
    assert_eq!(end.wrong("secret sha1 clear 1 A*AA"), "bad secret data");
    assert_eq!(end.wrong("secret sha1 clear yes AAAA"), error::EBADARG);
    end.says("secret clear clear 1 AAAA").unwrap();
    end.says("debug on").unwrap();
    let data = end.data();
    assert_eq!(put(&t.up, data, b"x").unwrap_err().text(), "tls improperly configured");
    assert_eq!(get(&t.up, data, 10).unwrap_err().text(), "tls improperly configured");
    assert_eq!(end.wrong("alert 256"), error::EBADARG);
    assert_eq!(end.wrong(&"x".repeat(2000)), error::ETOOBIG);
}

#[test]
fn files_are_those_of_the_page() {
    let t = world();
    let end = End::bare(&t.up);
    assert_eq!(t.ls("#a").unwrap(), ["tls"]);
    assert_eq!(t.ls("/net/tls").unwrap(), ["clone", "encalgs", "hashalgs", "0"]);
    assert_eq!(t.ls("/net/tls/0").unwrap(), ["ctl", "data", "hand", "stats", "status"]);
    assert!(open(&t.up, "/net/tls/00/ctl", ORDWR).unwrap_err().is(error::ENONEXIST));
    assert!(open(&t.up, "/net/tls/1/ctl", ORDWR).unwrap_err().is(error::ENONEXIST));
    assert!(open(&t.up, "/net/tls/0/hand", ORDWR).unwrap_err().is(error::EINUSE));
    close(&t.up, end.hand).unwrap();
    close(&t.up, open(&t.up, "/net/tls/0/hand", ORDWR).unwrap()).unwrap();
    // Given to somebody else.
    let bob = t.process();
    *bob.user.lock() = "bob".into();
    assert!(open(&bob, "/net/tls/0/ctl", ORDWR).unwrap_err().is(error::EPERM));
    assert!(wstat(&bob, "/net/tls/0/ctl", &Dir { mode: 0o666, ..Dir::untouched() }.to_bytes()).is_err());
    let given = Dir { uid: "bob".into(), ..Dir::untouched() };
    wstat(&t.up, "/net/tls/0/ctl", &given.to_bytes()).unwrap();
    let fd = open(&bob, "/net/tls/0/ctl", ORDWR).unwrap();
    assert_eq!(t.stat("/net/tls/0").unwrap().uid, "bob");
    close(&t.up, end.ctl).unwrap();
    assert!(!t.ls("/net/tls").unwrap().contains(&"0".into()) || fd != end.ctl);
}

#[test]
fn conversations_go_through_others_but_not_through_themselves() {
    let t = world();
    let [x, y] = pipe(&t.up).unwrap();
    let (mut fds, mut ends) = ([x, y], Vec::new());
    for depth in 0..4 {
        let (a, b) = (End::new(&t.up, fds[0], 0x303), End::new(&t.up, fds[1], 0x303));
        shake(&a, &b, 0x303, "sha1", if depth % 2 == 0 { "rc4_128" } else { "aes_128_cbc" });
        fds = [a.data(), b.data()];
        ends.push((a, b));
    }
    put(&t.up, fds[0], b"deep").unwrap();
    assert_eq!(get(&t.up, fds[1], 100).unwrap(), b"deep");
    assert_eq!(End::bare(&t.up).wrong(&format!("fd {} 0x303", fds[0])), error::EINUSE);
    let end = End::bare(&t.up);
    let itself = end.data();
    assert_eq!(end.wrong(&format!("fd {itself} 0x303")), "tls improperly configured");
    settle();
}
