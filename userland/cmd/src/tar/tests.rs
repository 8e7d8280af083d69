//! Archives that are right, and all kinds of wrong ones.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use lib9::Result;

use super::write::block;
use super::*;

const STYLE: Style = Style { ustar: true, numbers: [0, 0] };

fn member(name: &str) -> Member {
    Member {
        name: name.into(),
        kind: Kind::File,
        mode: 0o644,
        length: 3,
        mtime: 1_795_255_200,
        owner: ["glenda".into(), "sys".into()],
    }
}

fn read_all(mut bytes: &[u8]) -> Result<Vec<Member>> {
    let mut read = |buf: &mut [u8]| {
        let n = buf.len().min(bytes.len());
        buf[..n].copy_from_slice(&bytes[..n]);
        bytes = &bytes[n..];
        Ok(n)
    };
    let mut all = Vec::new();
    while let Some(member) = next(&mut read)? {
        let mut skip = vec![0; member.length as usize + padding(member.length)];
        if read(&mut skip)? < skip.len() {
            return Err(early());
        }
        all.push(member);
    }
    Ok(all)
}

#[test]
fn what_is_written_is_read() {
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(90));
    let longer = "x/".repeat(400) + "end";
    let mut members = vec![member("a"), member(&long), member(&longer), member(&"n".repeat(100))];
    members.push(Member { kind: Kind::Directory, mode: 0o755, length: 0, ..member("dir") });
    let mut bytes = Vec::new();
    for m in &members {
        let head = head(m, STYLE).unwrap();
        assert_eq!(head.len() % BLOCK, 0);
        bytes.extend(head);
        if m.kind == Kind::File {
            bytes.extend(b"abc");
            bytes.resize(bytes.len() + padding(3), 0);
        }
    }
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    assert_eq!(read_all(&bytes).unwrap(), members);
    let big = Member { length: 1 << 40, ..member("big") };
    let mut blocks: &[u8] = &head(&big, STYLE).unwrap();
    let mut read = |buf: &mut [u8]| {
        buf.copy_from_slice(&blocks[..BLOCK]);
        blocks = &blocks[BLOCK..];
        Ok(BLOCK)
    };
    assert_eq!(next(&mut read).unwrap(), Some(big));
    // The older format has no names of owners.
    let mut old = head(&member("a"), Style { ustar: false, numbers: [5, 6] }).unwrap();
    old.resize(BLOCK + 3 * BLOCK, 0);
    let got = read_all(&old).unwrap();
    assert_eq!(got[0].owner, ["5", "6"]);
}

#[test]
fn pax_paths() {
    let style = STYLE;
    let record = "19 path=long/κ name\n27 mtime=1000000000.123456\n";
    // The lengths count bytes.
    let record = record.replace("19 ", &format!("{} ", "19 path=long/κ name\n".len()));
    let mut bytes = block(&Member { length: record.len() as u64, ..member("x") }, b"x", b"", b'x', style)
        .unwrap()
        .to_vec();
    bytes.extend(record.as_bytes());
    bytes.resize(bytes.len() + padding(record.len() as u64), 0);
    bytes.extend(head(&member("short"), style).unwrap());
    bytes.resize(bytes.len() + 3 * BLOCK, 0);
    let got = read_all(&bytes).unwrap();
    assert_eq!((got[0].name.as_str(), got[0].mtime), ("long/κ name", 1_000_000_000));
}

#[test]
fn broken_ones() {
    let good = head(&member("a"), STYLE).unwrap();
    for at in 0..BLOCK {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        let _ = read_all(&bad);
        assert!(read_all(&bad).is_err(), "{at}");
    }
    assert!(read_all(&good[..100]).is_err());
    assert!(read_all(&[0; 1024]).unwrap().is_empty());
    assert!(read_all(&[0; 512]).unwrap().is_empty());
}

/// An archive of one member of this letter and length field, with the contents behind it, and its end.
fn archive(letter: u8, length: &[u8], contents: &[u8]) -> Vec<u8> {
    let mut head = block(&member("name"), b"name", b"", letter, STYLE).unwrap().to_vec();
    head[124..124 + length.len()].copy_from_slice(length);
    head[148..156].fill(b' ');
    let sum: u32 = head.iter().map(|&b| u32::from(b)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    head.extend_from_slice(contents);
    head.resize(head.len() + padding(contents.len() as u64) + 2 * BLOCK, 0);
    head
}

#[test]
fn an_end_that_comes_early_is_told() {
    let early = "unexpected end of archive";
    let whole = archive(b'0', b"00000000003\0", b"abc");
    assert_eq!(read_all(&whole).unwrap().len(), 1);
    for cut in [0, 1, 511, BLOCK, BLOCK + 3, 2 * BLOCK, 2 * BLOCK + 1] {
        assert_eq!(read_all(&whole[..cut]).unwrap_err().text(), early, "{cut}");
    }
    // Two archives, one behind the other: the second is not passed over.
    let mut two = whole[..3 * BLOCK].to_vec();
    two.extend_from_slice(&whole);
    assert!(read_all(&two).unwrap_err().text().contains("goes on"));
}

#[test]
fn lengths_are_bounded() {
    let mut huge = [0u8; 12];
    huge[0] = 0x80;
    huge[4..].copy_from_slice(&u64::MAX.to_be_bytes());
    assert_eq!(read_all(&archive(b'0', &huge, b"")).unwrap_err().text(), "bad archive header: length");
    assert_eq!(read_all(&archive(b'0', &[0xff; 12], b"")).unwrap_err().text(), "bad archive header: length");
    assert_eq!(
        read_all(&archive(b'0', b"-0000000001\0", b"")).unwrap_err().text(),
        "bad archive header: length"
    );
    assert!(read_all(&archive(b'x', b"77777777777\0", b"")).is_err());
    for records in
        ["27 size=18446744073709551615\n", "11 size=-1\n", "13 size=abc\n", "99 path=x\n", "junk", "7 path\n"]
    {
        let length = format!("{:011o}\0", records.len());
        let text = read_all(&archive(b'x', length.as_bytes(), records.as_bytes())).unwrap_err();
        assert!(text.text().starts_with("bad archive header"), "{records} {text}");
    }
}

#[test]
fn other_kinds_are_named() {
    for (letter, contents, want) in [
        (b'1', "", "a link to "),
        (b'2', "", "a link to "),
        (b'3', "", "a device"),
        (b'6', "", "a FIFO"),
        (b'S', "abc", "a file with holes"),
        (b'M', "abc", "the rest of a file"),
        (b'V', "", "the name of the volume"),
        (b'Z', "abc", "of the unknown kind 'Z'"),
    ] {
        // What has contents is passed over with them, and the end is found.
        let length = format!("{:011o}\0", if letter < b'7' { 9 } else { contents.len() });
        let got = read_all(&archive(letter, length.as_bytes(), contents.as_bytes())).unwrap();
        let Kind::Other(words) = &got[0].kind else { panic!("{letter}") };
        assert!(words.starts_with(want), "{words}");
    }
    // A file whose name ends with a slash is a directory; its contents are passed over all the same.
    let mut old = archive(b'0', b"00000000003\0", b"abc");
    old[4] = b'/';
    let sum =
        old[..BLOCK].iter().enumerate().map(|(i, &b)| if (148..156).contains(&i) { 32 } else { b.into() });
    let sum: u32 = sum.sum();
    old[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(read_all(&old).unwrap()[0].kind, Kind::Directory);
    // Names of links that are too long for the head.
    let mut link = archive(b'K', b"00000000005\0", b"there");
    link.truncate(2 * BLOCK);
    link.extend_from_slice(&archive(b'2', b"", b""));
    assert_eq!(read_all(&link).unwrap()[0].kind, Kind::Other("a link to there".into()));
    let mut holes = archive(b'x', b"00000000024\0", b"20 GNU.sparse.map=0\n");
    holes.truncate(2 * BLOCK);
    holes.extend_from_slice(&archive(b'0', b"00000000003\0", b"abc"));
    assert!(matches!(&read_all(&holes).unwrap()[0].kind, Kind::Other(_)));
    for (records, good) in [("16 comment=some\n", true), ("9 path=x\n", false), ("9 size=3\n", false)] {
        let length = format!("{:011o}\0", records.len());
        let mut all = archive(b'g', length.as_bytes(), records.as_bytes());
        all.truncate(2 * BLOCK);
        all.extend_from_slice(&archive(b'0', b"00000000003\0", b"abc"));
        assert_eq!(read_all(&all).is_ok(), good, "{records}");
    }
}

#[test]
fn names_stay_inside() {
    assert_eq!(safe_name("a/b", false).as_deref(), Some("a/b"));
    assert_eq!(safe_name("/a", false).as_deref(), Some("a"));
    assert_eq!(safe_name("/a", true).as_deref(), Some("/a"));
    assert_eq!(safe_name("/", false).as_deref(), Some("."));
    assert_eq!(safe_name("#s/x", false).as_deref(), Some("./#s/x"));
    assert_eq!(safe_name("#s/x", true).as_deref(), Some("./#s/x"));
    assert_eq!(safe_name("//#s/x", false).as_deref(), Some("./#s/x"));
    for bad in ["..", "../x", "a/../b", "/..", "#s/../x"] {
        assert_eq!(safe_name(bad, false), None, "{bad}");
    }
}
