//! Every message in every dialect it exists in, against bytes written out by hand from the protocol's tables.
//!
//! The bodies are hex with blanks between fields; the type numbers are literals on purpose. The same messages
//! then serve as the ground for cutting them short and for changing bytes at random.

use abi::Qid;
use ninep::wire::{Data, Record};
use ninep::{Attr, Dialect, NOFID, NONUM, Names, Qids, Rmsg, SetAttr, Str, Time, Tmsg, WireError};

const TAG: u16 = 0x1234;
const QID: Qid = Qid { kind: 0x80, vers: 0x04030201, path: 0x1817161514131211 };
const QID_HEX: &str = "80 01020304 1112131415161718";
const QIDS: [Qid; 2] = [QID, Qid { kind: 2, vers: 9, path: 7 }];
const QIDS_HEX: &str = "0200  80 01020304 1112131415161718  02 09000000 0700000000000000";
const NAMES: [Str<'static>; 3] = [Str(b"usr"), Str(b".."), Str(b"\xff")];

const ATTR: Attr = Attr {
    valid: 0x17ff,
    qid: QID,
    mode: 0o040755,
    uid: 1000,
    gid: 100,
    nlink: 2,
    rdev: 3,
    size: 4,
    blksize: 5,
    blocks: 6,
    atime: Time { sec: 7, nsec: 8 },
    mtime: Time { sec: 9, nsec: 10 },
    ctime: Time { sec: 11, nsec: 12 },
    btime: Time { sec: 13, nsec: 14 },
    gen_number: 15,
    data_version: 16,
};
const SETATTR: SetAttr = SetAttr {
    valid: 0x1a9,
    mode: 0o100644,
    uid: 1,
    gid: 2,
    size: 3,
    atime: Time { sec: 4, nsec: 5 },
    mtime: Time { sec: 6, nsec: 7 },
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.bytes().filter(|b| *b != b' ').map(|b| (b as char).to_digit(16).unwrap() as u8).collect();
    assert!(digits.len().is_multiple_of(2), "{text}");
    digits.chunks(2).map(|p| p[0] << 4 | p[1]).collect()
}

fn message(kind: u8, body: &str) -> Vec<u8> {
    let body = hex(body);
    let size = (7 + body.len()) as u32;
    [&size.to_le_bytes()[..], &[kind, 0x34, 0x12], &body].concat()
}

/// Dialects, type, body, message. The same message may stand here once for each form of its body.
fn requests() -> Vec<(&'static str, u8, String, Tmsg<'static>)> {
    let s = |x: &'static str| Str::from(x);
    let mut rows: Vec<(&str, u8, &str, Tmsg)> = vec![
        ("9", 100, "00200000 0600 395032303030", Tmsg::Version { msize: 8192, version: s("9P2000") }),
        ("u", 100, "00200000 0800 3950323030302e75", Tmsg::Version { msize: 8192, version: s("9P2000.u") }),
        ("L", 100, "00200000 0800 3950323030302e4c", Tmsg::Version { msize: 8192, version: s("9P2000.L") }),
        (
            "9",
            102,
            "01000000 0200 6d65 0000",
            Tmsg::Auth { afid: 1, uname: s("me"), aname: s(""), n_uname: NONUM },
        ),
        (
            "uL",
            102,
            "01000000 0200 6d65 0000 e8030000",
            Tmsg::Auth { afid: 1, uname: s("me"), aname: s(""), n_uname: 1000 },
        ),
        (
            "9",
            104,
            "01000000 ffffffff 0200 6d65 0100 2f",
            Tmsg::Attach { fid: 1, afid: NOFID, uname: s("me"), aname: s("/"), n_uname: NONUM },
        ),
        (
            "uL",
            104,
            "01000000 ffffffff 0200 6d65 0100 2f ffffffff",
            Tmsg::Attach { fid: 1, afid: NOFID, uname: s("me"), aname: s("/"), n_uname: NONUM },
        ),
        ("9uL", 108, "cdab", Tmsg::Flush { oldtag: 0xabcd }),
        ("9uL", 110, "01000000 02000000 0000", Tmsg::Walk { fid: 1, newfid: 2, names: Names::new(&[]) }),
        (
            "9uL",
            110,
            "01000000 02000000 0300 0300 757372 0200 2e2e 0100 ff",
            Tmsg::Walk { fid: 1, newfid: 2, names: Names::new(&NAMES) },
        ),
        ("9u", 112, "01000000 12", Tmsg::Open { fid: 1, mode: 0x12 }),
        (
            "9",
            114,
            "01000000 0100 61 a4010080 04",
            Tmsg::Create { fid: 1, name: s("a"), perm: 0x8000_01a4, mode: 4, extension: s("") },
        ),
        (
            "u",
            114,
            "01000000 0100 61 ff010002 00 0200 2e2e",
            Tmsg::Create { fid: 1, name: s("a"), perm: 0x0200_01ff, mode: 0, extension: s("..") },
        ),
        (
            "9uL",
            116,
            "01000000 0000000000010000 00010000",
            Tmsg::Read { fid: 1, offset: 1 << 40, count: 256 },
        ),
        (
            "9uL",
            118,
            "01000000 0300000000000000 02000000 6869",
            Tmsg::Write { fid: 1, offset: 3, data: Data(b"hi") },
        ),
        ("9uL", 120, "01000000", Tmsg::Clunk { fid: 1 }),
        ("9uL", 122, "01000000", Tmsg::Remove { fid: 1 }),
        ("9u", 124, "01000000", Tmsg::Stat { fid: 1 }),
        ("9u", 126, "01000000 0300 010203", Tmsg::Wstat { fid: 1, stat: Record(&[1, 2, 3]) }),
        ("L", 8, "01000000", Tmsg::Statfs { fid: 1 }),
        ("L", 12, "01000000 02800000", Tmsg::Lopen { fid: 1, flags: 0o100002 }),
        (
            "L",
            14,
            "01000000 0100 61 c1000000 a4010000 64000000",
            Tmsg::Lcreate { fid: 1, name: s("a"), flags: 0o301, mode: 0o644, gid: 100 },
        ),
        (
            "L",
            16,
            "01000000 0100 61 0200 2e2e ffffffff",
            Tmsg::Symlink { dfid: 1, name: s("a"), target: s(".."), gid: NONUM },
        ),
        (
            "L",
            18,
            "01000000 0100 61 b6210000 01000000 03000000 00000000",
            Tmsg::Mknod { dfid: 1, name: s("a"), mode: 0o020666, major: 1, minor: 3, gid: 0 },
        ),
        ("L", 20, "01000000 02000000 0100 61", Tmsg::Rename { fid: 1, dfid: 2, name: s("a") }),
        ("L", 22, "01000000", Tmsg::Readlink { fid: 1 }),
        ("L", 24, "01000000 ff3f000000000000", Tmsg::Getattr { fid: 1, mask: 0x3fff }),
        (
            "L",
            26,
            "01000000 a9010000 a4810000 01000000 02000000 0300000000000000 0400000000000000 0500000000000000 \
             0600000000000000 0700000000000000",
            Tmsg::Setattr { fid: 1, attr: SETATTR },
        ),
        ("L", 30, "01000000 02000000 0400 75736572", Tmsg::Xattrwalk { fid: 1, newfid: 2, name: s("user") }),
        (
            "L",
            32,
            "01000000 0400 75736572 0900000000000000 01000000",
            Tmsg::Xattrcreate { fid: 1, name: s("user"), size: 9, flags: 1 },
        ),
        (
            "L",
            40,
            "01000000 ffffffffffffff7f 00200000",
            Tmsg::Readdir { fid: 1, offset: i64::MAX as u64, count: 8192 },
        ),
        ("L", 50, "01000000 01000000", Tmsg::Fsync { fid: 1, datasync: 1 }),
        (
            "L",
            52,
            "01000000 01 03000000 0500000000000000 0600000000000000 07000000 0200 6d65",
            Tmsg::Lock { fid: 1, lock: 1, flags: 3, start: 5, length: 6, proc_id: 7, client_id: s("me") },
        ),
        (
            "L",
            54,
            "01000000 02 0500000000000000 0600000000000000 07000000 0200 6d65",
            Tmsg::Getlock { fid: 1, lock: 2, start: 5, length: 6, proc_id: 7, client_id: s("me") },
        ),
        ("L", 70, "01000000 02000000 0100 61", Tmsg::Link { dfid: 1, fid: 2, name: s("a") }),
        (
            "L",
            72,
            "01000000 0100 61 ed010000 ffffffff",
            Tmsg::Mkdir { dfid: 1, name: s("a"), mode: 0o755, gid: NONUM },
        ),
        (
            "L",
            74,
            "01000000 0100 61 02000000 0100 62",
            Tmsg::Renameat { olddirfid: 1, oldname: s("a"), newdirfid: 2, newname: s("b") },
        ),
        ("L", 76, "01000000 0100 61 00020000", Tmsg::Unlinkat { dirfid: 1, name: s("a"), flags: 0x200 }),
    ];
    rows.drain(..).map(|(d, k, b, t)| (d, k, b.to_string(), t)).collect()
}

fn replies() -> Vec<(&'static str, u8, String, Rmsg<'static>)> {
    let s = |x: &'static str| Str::from(x);
    let q = |rest: &str| format!("{QID_HEX} {rest}");
    vec![
        (
            "9uL",
            101,
            "00100000 0700 756e6b6e6f776e".into(),
            Rmsg::Version { msize: 4096, version: s("unknown") },
        ),
        ("9uL", 103, q(""), Rmsg::Auth { aqid: QID }),
        ("9uL", 105, q(""), Rmsg::Attach { qid: QID }),
        ("9", 107, "0300 626164".into(), Rmsg::Error { ename: s("bad"), errno: 0 }),
        ("u", 107, "0300 626164 02000000".into(), Rmsg::Error { ename: s("bad"), errno: 2 }),
        ("L", 7, "02000000".into(), Rmsg::Lerror { ecode: 2 }),
        ("9uL", 109, "".into(), Rmsg::Flush {}),
        ("9uL", 111, "0000".into(), Rmsg::Walk { qids: Qids::new(&[]) }),
        ("9uL", 111, QIDS_HEX.into(), Rmsg::Walk { qids: Qids::new(&QIDS) }),
        ("9u", 113, q("00f00100"), Rmsg::Open { qid: QID, iounit: 126976 }),
        ("9u", 115, q("00000000"), Rmsg::Create { qid: QID, iounit: 0 }),
        ("9uL", 117, "00000000".into(), Rmsg::Read { data: Data(b"") }),
        ("9uL", 117, "02000000 6869".into(), Rmsg::Read { data: Data(b"hi") }),
        ("9uL", 119, "02000000".into(), Rmsg::Write { count: 2 }),
        ("9uL", 121, "".into(), Rmsg::Clunk {}),
        ("9uL", 123, "".into(), Rmsg::Remove {}),
        ("9u", 125, "0300 010203".into(), Rmsg::Stat { stat: Record(&[1, 2, 3]) }),
        ("9u", 127, "".into(), Rmsg::Wstat {}),
        (
            "L",
            9,
            "01000000 02000000 0300000000000000 0400000000000000 0500000000000000 \
             0600000000000000 0700000000000000 0800000000000000 ff000000"
                .into(),
            Rmsg::Statfs {
                fs_type: 1,
                bsize: 2,
                blocks: 3,
                bfree: 4,
                bavail: 5,
                files: 6,
                ffree: 7,
                fsid: 8,
                namelen: 255,
            },
        ),
        ("L", 13, q("00f00100"), Rmsg::Lopen { qid: QID, iounit: 126976 }),
        ("L", 15, q("00000000"), Rmsg::Lcreate { qid: QID, iounit: 0 }),
        ("L", 17, q(""), Rmsg::Symlink { qid: QID }),
        ("L", 19, q(""), Rmsg::Mknod { qid: QID }),
        ("L", 21, "".into(), Rmsg::Rename {}),
        ("L", 23, "0200 2e2e".into(), Rmsg::Readlink { target: s("..") }),
        (
            "L",
            25,
            format!(
                "ff17000000000000 {QID_HEX} ed410000 e8030000 64000000 {}",
                (2..=16u64).map(|n| format!("{:016x}", n.swap_bytes())).collect::<String>()
            ),
            Rmsg::Getattr { attr: ATTR },
        ),
        ("L", 27, "".into(), Rmsg::Setattr {}),
        ("L", 31, "0900000000000000".into(), Rmsg::Xattrwalk { size: 9 }),
        ("L", 33, "".into(), Rmsg::Xattrcreate {}),
        ("L", 41, "02000000 6869".into(), Rmsg::Readdir { data: Data(b"hi") }),
        ("L", 51, "".into(), Rmsg::Fsync {}),
        ("L", 53, "01".into(), Rmsg::Lock { status: 1 }),
        (
            "L",
            55,
            "02 0500000000000000 0600000000000000 07000000 0200 6d65".into(),
            Rmsg::Getlock { lock: 2, start: 5, length: 6, proc_id: 7, client_id: s("me") },
        ),
        ("L", 71, "".into(), Rmsg::Link {}),
        ("L", 73, q(""), Rmsg::Mkdir { qid: QID }),
        ("L", 75, "".into(), Rmsg::Renameat {}),
        ("L", 77, "".into(), Rmsg::Unlinkat {}),
    ]
}

fn dialects(letters: &str) -> impl Iterator<Item = Dialect> + '_ {
    letters.chars().map(|c| match c {
        '9' => Dialect::P9,
        'u' => Dialect::U,
        _ => Dialect::L,
    })
}

/// Every golden message as (dialect, is it a request, bytes).
fn everything() -> Vec<(Dialect, bool, Vec<u8>)> {
    let t = requests();
    let r = replies();
    let t = t.iter().flat_map(|(ds, k, b, _)| dialects(ds).map(move |d| (d, true, message(*k, b))));
    let r = r.iter().flat_map(|(ds, k, b, _)| dialects(ds).map(move |d| (d, false, message(*k, b))));
    t.chain(r).collect()
}

#[test]
fn every_request_in_every_dialect() {
    for (ds, kind, body, t) in requests() {
        let bytes = message(kind, &body);
        assert_eq!(t.kind(), kind, "{t:?}");
        for d in dialects(ds) {
            assert_eq!(t.to_vec(d, TAG).as_ref(), Ok(&bytes), "{t:?}");
            assert_eq!(Tmsg::decode(d, &bytes), Ok((TAG, t)));
            assert_eq!(t.size(d), Ok(bytes.len()));
            let mut small = vec![0xee; bytes.len() - 1];
            assert_eq!(t.encode(d, TAG, &mut small), Err(WireError::Room(bytes.len())));
            let mut large = vec![0xee; bytes.len() + 1];
            assert_eq!(t.encode(d, TAG, &mut large), Ok(bytes.len()));
            assert_eq!((&large[..bytes.len()], large[bytes.len()]), (&bytes[..], 0xee));
        }
    }
}

#[test]
fn every_reply_in_every_dialect() {
    for (ds, kind, body, r) in replies() {
        let bytes = message(kind, &body);
        assert_eq!(r.kind(), kind, "{r:?}");
        for d in dialects(ds) {
            assert_eq!(r.to_vec(d, TAG).as_ref(), Ok(&bytes), "{r:?}");
            assert_eq!(Rmsg::decode(d, &bytes), Ok((TAG, r)));
        }
    }
    let (.., getattr) = everything().into_iter().find(|(_, t, m)| !t && m[4] == 25).unwrap();
    assert_eq!(getattr.len(), 160, "as QEMU sends it");
}

#[test]
fn messages_of_other_dialects_are_refused() {
    for (ds, kind, body, t) in requests() {
        for d in Dialect::ALL.into_iter().filter(|d| !t.exists_in(*d)) {
            assert!(!dialects(ds).any(|in_table| in_table == d));
            assert_eq!(t.to_vec(d, TAG), Err(WireError::Dialect(kind)));
            assert_eq!(Tmsg::decode(d, &message(kind, &body)), Err(WireError::Dialect(kind)));
        }
    }
    for (_, kind, body, r) in replies() {
        for d in Dialect::ALL.into_iter().filter(|d| !r.exists_in(*d)) {
            assert_eq!(Rmsg::decode(d, &message(kind, &body)), Err(WireError::Dialect(kind)));
        }
    }
}

#[test]
fn a_request_is_no_reply_and_terror_is_nothing() {
    for (d, is_request, bytes) in everything() {
        let kind = bytes[4];
        if is_request {
            assert_eq!(Rmsg::decode(d, &bytes), Err(WireError::Kind(kind)));
        } else {
            assert_eq!(Tmsg::decode(d, &bytes), Err(WireError::Kind(kind)));
        }
    }
    for d in Dialect::ALL {
        for kind in [0, 6, 10, 28, 106, 128, 255] {
            assert_eq!(Tmsg::decode(d, &message(kind, "00000000")), Err(WireError::Kind(kind)));
            assert_eq!(Rmsg::decode(d, &message(kind, "00000000")), Err(WireError::Kind(kind)));
        }
    }
}

fn decodes(d: Dialect, is_request: bool, bytes: &[u8]) -> bool {
    if is_request { Tmsg::decode(d, bytes).is_ok() } else { Rmsg::decode(d, bytes).is_ok() }
}

#[test]
fn every_cut_is_an_error() {
    for (d, is_request, bytes) in everything() {
        for n in 0..bytes.len() {
            assert!(!decodes(d, is_request, &bytes[..n]), "{bytes:x?} cut at {n}");
            // With a size field that hides the cut. A stat record with the count 0 is QEMU's and may be cut.
            let mut cut = bytes[..n].to_vec();
            if n >= 7 {
                cut[..4].copy_from_slice(&(n as u32).to_le_bytes());
                assert!(!decodes(d, is_request, &cut), "{bytes:x?} honestly cut at {n}");
            }
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(!decodes(d, is_request, &longer));
        longer[..4].copy_from_slice(&(bytes.len() as u32 + 1).to_le_bytes());
        assert!(!decodes(d, is_request, &longer), "{longer:x?} has a byte too many");
    }
}

/// Decodes, and if that is possible looks at everything and encodes it again.
fn chew(d: Dialect, bytes: &[u8]) {
    if let Ok((tag, t)) = Tmsg::decode(d, bytes) {
        let again = t.to_vec(d, tag).unwrap();
        assert_eq!(Tmsg::decode(d, &again), Ok((tag, t)), "{}", format_args!("{t:?}"));
    }
    if let Ok((tag, r)) = Rmsg::decode(d, bytes) {
        let again = r.to_vec(d, tag).unwrap();
        assert_eq!(Rmsg::decode(d, &again), Ok((tag, r)), "{}", format_args!("{r:?}"));
    }
    let _ = ninep::head::Tio::parse(bytes);
    let _ = ninep::head::Rio::parse(bytes);
    for stat in ninep::Stats::new(d, bytes).flatten() {
        let again = stat.to_vec(d).unwrap();
        assert_eq!(ninep::Stat::parse(d, &again), Ok((stat, again.len())));
    }
    assert!(ninep::Dirents::new(bytes).count() <= bytes.len());
}

#[test]
fn random_changes_never_panic() {
    let all = everything();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 20) as usize % below
    };
    for _ in 0..60_000 {
        let (_, _, golden) = &all[random(all.len())];
        let mut bytes = golden.clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(5) {
                0 => bytes[at] = random(256) as u8,
                1 => bytes[at] ^= 1 << random(8),
                2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)],
                3 => bytes.truncate(at.max(7)),
                _ => bytes.extend((0..random(20)).map(|i| i as u8)),
            }
        }
        if random(2) == 0 {
            let size = bytes.len() as u32;
            bytes[..4].copy_from_slice(&size.to_le_bytes());
        }
        Dialect::ALL.into_iter().for_each(|d| chew(d, &bytes));
    }
}

#[test]
fn counts_are_checked() {
    let walk = |n: u16| {
        let names = "0100 61".repeat(usize::from(n));
        message(110, &format!("01000000 02000000 {:04x} {names}", n.swap_bytes()))
    };
    assert!(Tmsg::decode(Dialect::P9, &walk(16)).is_ok());
    assert_eq!(Tmsg::decode(Dialect::P9, &walk(17)), Err(WireError::TooMany(17)));
    let many = [Str(b"a"); 17];
    let t = Tmsg::Walk { fid: 1, newfid: 2, names: Names::new(&many) };
    assert_eq!(t.to_vec(Dialect::P9, 0), Err(WireError::TooMany(17)));
    // A count that the data do not bear out, both ways.
    assert_eq!(Rmsg::decode(Dialect::U, &message(117, "03000000 6869")), Err(WireError::Count(3)));
    assert_eq!(Rmsg::decode(Dialect::U, &message(117, "01000000 6869")), Err(WireError::Count(1)));
    // The largest string, and one more.
    let long = vec![b'x'; 65536];
    let t = |n: usize| Tmsg::Version { msize: 0, version: Str(&long[..n]) }.to_vec(Dialect::P9, 0);
    assert_eq!(t(65535).unwrap().len(), 7 + 4 + 2 + 65535);
    assert_eq!(t(65536), Err(WireError::TooLong));
}

#[test]
fn qemus_empty_count_before_a_stat_is_understood() {
    let rstat = message(125, "0000 010203");
    assert_eq!(Rmsg::decode(Dialect::U, &rstat), Ok((TAG, Rmsg::Stat { stat: Record(&[1, 2, 3]) })));
    assert_eq!(Rmsg::decode(Dialect::U, &message(125, "0200 010203")), Err(WireError::Count(2)));
}
