//! `#9`: what a server makes as large as it can, within what is granted to a call. (Each call of a test is watched, see
//! `machine::host::heap`.)

mod wire;

use ninep::{Dialect, Rmsg, Stat, Str, kind};
use port::call::sysfile;
use wire::{Fate, Share};

#[test]
fn an_error_of_many_bytes_that_are_no_text() {
    let s = Share::new(|host| {
        host.file("f", b"1").unwrap();
    });
    if wire::dialect() == Dialect::L {
        return s.end();
    }
    for bytes in [&b"why"[..], &[0xff; 8100], &[b'x'; 8100]] {
        let words = bytes.to_vec();
        s.wire.plan_for(wire::spoken(kind::TWALK), move |t| {
            // The number is of no error that is known.
            let mut reply = vec![0; 4];
            reply.push(kind::RERROR);
            reply.extend_from_slice(&t[5..7]);
            reply.extend_from_slice(&(words.len() as u16).to_le_bytes());
            reply.extend_from_slice(&words);
            if wire::dialect() == Dialect::U {
                reply.extend_from_slice(&9999u32.to_le_bytes());
            }
            let len = reply.len();
            reply[..4].copy_from_slice(&(len as u32).to_le_bytes());
            Fate::Say(reply, len)
        });
        let e = sysfile::open(&s.t.up, "/n/f", abi::OREAD).unwrap_err();
        assert!(!e.text().is_empty(), "{e}");
        s.wire.no_plan();
    }
    s.end();
}

#[test]
fn links_as_long_as_they_can_be() {
    let s = Share::new(|host| {
        host.dir("d").unwrap();
        host.link("odd", &[0xff; 4000]).unwrap();
        host.link("many", "d/../".repeat(500).as_bytes()).unwrap();
        host.link("more", "d/../".repeat(800).as_bytes()).unwrap();
        host.link("short", &b"./".repeat(2000)).unwrap();
    });
    let long = s.t.ls("/n/odd").unwrap_err();
    assert!(
        long.text().ends_with(abi::error::ETOOLONG) || long.text().ends_with(abi::error::ENONEXIST),
        "{long}"
    );
    assert_eq!(s.t.ls("/n/many").unwrap(), s.t.ls("/n/short").unwrap());
    assert!(s.t.ls("/n/more").unwrap_err().is("too many symbolic links"));
    sysfile::stat(&s.t.up, "/n/many/d").unwrap();
    s.end();
}

/// Records as long as they may be, of which a directory shows copies.
#[test]
fn records_with_long_names() {
    let s = Share::new(|host| {
        host.file("f", b"1").unwrap();
    });
    if wire::dialect() == Dialect::L {
        return s.end();
    }
    for (name, user, shown) in [(1024, 256, true), (1025, 1, false), (1, 257, false), (1, 2000, false)] {
        s.wire.plan_for(wire::spoken(kind::TSTAT), move |t| {
            let long = vec![0xff; user];
            let stat = Stat {
                dir: abi::Dir {
                    name: Str(&vec![0xfe; name]),
                    uid: Str(&long),
                    gid: Str(&long),
                    muid: Str(&long),
                    kind: 0,
                    dev: 0,
                    qid: abi::Qid::default(),
                    mode: 0o644,
                    atime: 0,
                    mtime: 0,
                    length: 0,
                },
                extension: Str(&[]),
                n_uid: ninep::NONUM,
                n_gid: ninep::NONUM,
                n_muid: ninep::NONUM,
            };
            let record = stat.to_vec(wire::dialect()).unwrap();
            let reply = Rmsg::Stat { stat: ninep::wire::Record(&record) };
            let tag = u16::from_le_bytes([t[5], t[6]]);
            let bytes = reply.to_vec(wire::dialect(), tag).unwrap();
            let len = bytes.len();
            Fate::Say(bytes, len)
        });
        let stat = sysfile::stat(&s.t.up, "/n/f");
        assert_eq!(stat.is_ok(), shown, "{name} {user} {stat:?}");
    }
    s.wire.no_plan();
    s.end();
}
