//! Compressed texts, whole and broken.

use super::*;

fn squeeze(level: u8, head: &Head, mut text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut read = |buf: &mut [u8]| {
        let n = text.len().min(buf.len()).min(1000);
        buf[..n].copy_from_slice(&text[..n]);
        text = &text[n..];
        Ok(n)
    };
    let mut write = |b: &[u8]| {
        assert!(!b.is_empty(), "an end of file for who reads a pipe");
        out.extend_from_slice(b);
        Ok(())
    };
    compress(level, head, &mut read, &mut write).unwrap();
    out
}

fn stretch_all(mut data: &[u8], piece: usize) -> Result<(Expanded, Vec<u8>)> {
    let mut out = Vec::new();
    let mut read = |buf: &mut [u8]| {
        let n = data.len().min(buf.len()).min(piece);
        buf[..n].copy_from_slice(&data[..n]);
        data = &data[n..];
        Ok(n)
    };
    let mut write = |b: &[u8]| {
        assert!(!b.is_empty(), "an end of file for who reads a pipe");
        out.extend_from_slice(b);
        Ok(())
    };
    let all = expand(&mut read, &mut write, &mut |_, _| {})?;
    Ok((all, out))
}

/// What has nothing wrong behind it.
fn stretch(data: &[u8], piece: usize) -> Result<(Head, Vec<u8>)> {
    let (all, out) = stretch_all(data, piece)?;
    assert!(all.tail.is_some() || all.length == out.len() as u64);
    all.tail.map_or(Ok((all.head, out)), Err)
}

#[test]
fn there_and_back() {
    let mut seed = 1u32;
    let mut noise = |n: usize| -> Vec<u8> {
        let mut next = || {
            seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12345);
            (seed >> 16) as u8
        };
        (0..n).map(|_| next()).collect()
    };
    let texts = [Vec::new(), b"x".to_vec(), b"abc".repeat(100_000), noise(200_000)];
    for text in &texts {
        for level in [1, 6, 9] {
            let head = Head { name: "text".into(), mtime: 7 };
            let small = squeeze(level, &head, text);
            assert!(small.len() < text.len() / 2 + 1000 || text == &texts[3]);
            assert_eq!(stretch(&small, 1 << 20).unwrap(), (head, text.clone()), "{level}");
        }
    }
    let small = squeeze(6, &Head::default(), b"abc");
    assert_eq!(stretch(&small, 1).unwrap().1, b"abc");
    // Two one behind the other, and zeros as tapes have them.
    let mut both = squeeze(6, &Head { name: "one".into(), mtime: 1 }, b"abc");
    both.extend(squeeze(6, &Head { name: "two".into(), mtime: 2 }, b"def"));
    both.extend([0; 100]);
    assert_eq!(stretch(&both, 3).unwrap(), (Head { name: "one".into(), mtime: 1 }, b"abcdef".to_vec()));
}

#[test]
fn what_others_made() {
    // A stored block, as any compressor may make, with all the parts a head can have.
    let mut data = vec![0x1f, 0x8b, 8, 4 | 8 | 16 | 2, 1, 0, 0, 0, 0, 3];
    data.extend(b"\x02\x00xyname\0comment\0\x12\x34");
    data.extend(b"\x01\x03\x00\xfc\xffabc");
    data.extend(crc32fast::hash(b"abc").to_le_bytes());
    data.extend(3u32.to_le_bytes());
    assert_eq!(stretch(&data, 2).unwrap(), (Head { name: "name".into(), mtime: 1 }, b"abc".to_vec()));
}

#[test]
fn broken_ones() {
    let good = squeeze(6, &Head::default(), &b"hello, hello".repeat(50));
    for cut in 0..good.len() {
        assert!(stretch(&good[..cut], 1 << 20).is_err(), "{cut}");
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            // The time and a few bits that say nothing may be anything.
            let result = stretch(&bad, 1 << 20);
            assert!((3..10).contains(&at) || result.is_err(), "{at} {bit}");
        }
    }
    let mut more = good.clone();
    more.extend(b"rubbish");
    assert_eq!(stretch(&more, 5).unwrap_err().text(), "not a gzip file");
}

#[test]
fn names() {
    assert_eq!(compressed_name("/a/b.c"), "b.c.gz");
    assert_eq!(compressed_name("x.tar"), "x.tgz");
    assert_eq!(compressed_name(".tar"), ".tar.gz");
    assert_eq!(expanded_name("/a/b.gz").as_deref(), Some("b"));
    assert_eq!(expanded_name("x.tgz").as_deref(), Some("x.tar"));
    assert_eq!(expanded_name("x"), None);
    assert_eq!(expanded_name("d/x").as_deref(), Some("x"));
    assert_eq!(expanded_name(".gz"), None);
}

#[test]
fn a_bad_tail_does_not_spoil_what_is_good() {
    let one = squeeze(6, &Head { name: "one".into(), mtime: 1 }, b"abc");
    let two = squeeze(6, &Head { name: "two".into(), mtime: 2 }, &b"hello, hello".repeat(50));
    for (tail, why) in [
        (&b"rubbish"[..], "not a gzip file"),
        (b"r", "unexpected end of file"),
        (&two[..two.len() - 1], "unexpected end of file"),
        (&two[..20], "unexpected end of file"),
    ] {
        let (all, out) = stretch_all(&[&one, tail].concat(), 7).unwrap();
        assert_eq!((all.length, all.tail.unwrap().text()), (3, why));
        assert_eq!(&out[..3], b"abc");
    }
    // The length counts no more than whole members, however much was written of the broken one.
    let mut bad = two.clone();
    let at = bad.len() - 8;
    bad[at] ^= 1;
    let (all, out) = stretch_all(&[&one[..], &two, &bad].concat(), 1 << 20).unwrap();
    assert_eq!((all.length, out.len()), (603, 1203));
    assert_eq!(all.tail.unwrap().text(), "checksum does not match");
    // An empty member is one, too.
    let none = squeeze(6, &Head::default(), b"");
    let (all, _) = stretch_all(&[&none[..], &none[..none.len() - 1]].concat(), 9).unwrap();
    assert!(all.tail.is_some());
}

#[test]
fn a_failing_write_is_not_a_bad_tail() {
    let one = squeeze(6, &Head::default(), b"abc");
    let both = [&one[..], &one].concat();
    let (mut rest, mut room) = (&both[..], 4);
    let mut read = |buf: &mut [u8]| {
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        Ok(n)
    };
    let mut write = |b: &[u8]| {
        room -= b.len() as i32;
        if room < 0 { Err(error!("disk full")) } else { Ok(()) }
    };
    assert_eq!(expand(&mut read, &mut write, &mut |_, _| {}).unwrap_err().text(), "disk full");
}
