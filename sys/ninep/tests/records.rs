//! Stat records and directory entries, against bytes written out by hand.

use abi::{Dir, Qid};
use ninep::{Dialect, Dirent, Dirents, Stat, Stats, Str, WireError};

const PLAIN: [u8; 58] = *b"\x38\0\x4d\0\x05\0\0\0\x80\x01\x02\x03\x04\x11\x12\x13\x14\x15\x16\x17\x18\
    \xed\x01\0\x80\x01\0\0\0\x02\0\0\0\x03\0\0\0\0\0\0\0\x03\0usr\x02\0me\x03\0sys\x01\0?";

fn stat() -> Stat<'static> {
    Stat::from(Dir {
        kind: 0x4d,
        dev: 5,
        qid: Qid { kind: 0x80, vers: 0x04030201, path: 0x1817161514131211 },
        mode: 0x8000_01ed,
        atime: 1,
        mtime: 2,
        length: 3,
        name: Str(b"usr"),
        uid: Str(b"me"),
        gid: Str(b"sys"),
        muid: Str(b"?"),
    })
}

fn stat_u() -> Stat<'static> {
    Stat { extension: Str(b"c 1 3"), n_uid: 1000, n_gid: 100, n_muid: 0, ..stat() }
}

fn plain_u() -> Vec<u8> {
    let tail = b"\x05\0c 1 3\xe8\x03\0\0\x64\0\0\0\0\0\0\0";
    let mut bytes = [&PLAIN[..], tail].concat();
    bytes[0] += tail.len() as u8;
    bytes
}

#[test]
fn both_forms() {
    for d in [Dialect::P9, Dialect::L] {
        assert_eq!(stat().to_vec(d).unwrap(), PLAIN);
        assert_eq!(Stat::parse(d, &PLAIN), Ok((stat(), PLAIN.len())));
    }
    assert_eq!(stat_u().to_vec(Dialect::U).unwrap(), plain_u());
    assert_eq!(Stat::parse(Dialect::U, &plain_u()), Ok((stat_u(), plain_u().len())));
    // One is never taken for the other.
    assert_eq!(Stat::parse(Dialect::U, &PLAIN), Err(WireError::Short));
    assert_eq!(Stat::parse(Dialect::P9, &plain_u()), Err(WireError::Trailing));
}

#[test]
fn it_is_the_same_record_as_abi_s() {
    let (dir, n) = abi::Dir::parse(&PLAIN).unwrap();
    assert_eq!((dir.to_bytes(), n), (PLAIN.to_vec(), PLAIN.len()));
    assert_eq!(Stat::default().to_vec(Dialect::P9).unwrap(), abi::Dir::untouched().to_bytes());
}

#[test]
fn every_cut_is_an_error() {
    for (d, bytes) in [(Dialect::P9, PLAIN.to_vec()), (Dialect::U, plain_u())] {
        for n in 0..bytes.len() {
            assert_eq!(Stat::parse(d, &bytes[..n]), Err(WireError::Short));
            let mut cut = bytes[..n].to_vec();
            if n >= 2 {
                cut[0] = (n - 2) as u8;
                assert_eq!(Stat::parse(d, &cut), Err(WireError::Short), "{n}");
            }
        }
    }
}

#[test]
fn one_bad_record_costs_one_entry() {
    let good = plain_u();
    let mut bad = good.clone();
    bad[41] = 200;
    let mut overrun = good.clone();
    overrun[1] = 9;
    let data = [&good[..], &bad, &good, &overrun, &good].concat();
    let got: Vec<_> = Stats::new(Dialect::U, &data).collect();
    assert_eq!(got, [Ok(stat_u()), Err(WireError::Short), Ok(stat_u()), Err(WireError::Short)]);
    assert_eq!(Stats::new(Dialect::U, &[7]).collect::<Vec<_>>(), [Err(WireError::Short)]);
    // Records of no bytes must not make it run for ever.
    assert_eq!(Stats::new(Dialect::U, &[0; 100]).count(), 50);
}

#[test]
fn records_have_a_limit() {
    let long = vec![b'x'; 65535];
    let fits = Stat::from(Dir { name: Str(&long[..65535 - PLAIN.len() + 2 + 3]), ..*stat() });
    assert_eq!(fits.to_vec(Dialect::P9).unwrap().len(), 65537);
    let over = Stat::from(Dir { name: Str(&long[..65535 - PLAIN.len() + 2 + 4]), ..*stat() });
    assert_eq!(over.to_vec(Dialect::P9), Err(WireError::TooLong));
}

#[test]
fn directory_entries() {
    let one = b"\x80\0\0\0\0\x09\0\0\0\0\0\0\0\xfe\xff\xff\xff\xff\xff\xff\x7f\x04\x02\0..";
    let entry = Dirent {
        qid: Qid { kind: 0x80, vers: 0, path: 9 },
        cookie: 0x7fff_ffff_ffff_fffe,
        dtype: 4,
        name: Str(b".."),
    };
    let mut buf = [0; 64];
    assert_eq!(entry.encode(&mut buf), Ok(26));
    assert_eq!(&buf[..26], one);
    assert_eq!(entry.encode(&mut buf[..25]), Err(WireError::Room(26)));
    for n in 1..26 {
        let data = [&one[..], &one[..n]].concat();
        assert_eq!(Dirents::new(&data).collect::<Vec<_>>(), [Ok(entry), Err(WireError::Short)]);
    }
}
