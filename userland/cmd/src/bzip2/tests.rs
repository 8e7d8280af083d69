//! What is compressed here and elsewhere, whole and spoilt.

use alloc::vec::Vec;

use super::*;
use lib9::Result;

/// What Python's bz2 made of [`text`].
const OTHER: &str = "\
    425a6831314159265359915707830000417fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
    ffffffb000d5420000000000000000260000000000000000130000000000000000000000000000980983226988004c02\
    60d01300011a309800046000f5000682608c009934c232601300260023464c0002600026046098980000930004c0004c\
    00000000000000000000000000000000000000000000000000000000042821864388123436383a2c7c8084888c93c04a\
    4c4e5052545659e12d2e2f3031147a0199a1a9b1bf88e0e4e8ecf0500601c5c626466686a6c6e70727476787a7c7ffc4\
    04142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e66676805040080f5300601a82b4a30c086b\
    6c7008dcdea8077388772731211d058003a8508eca4eef1ea797a7b7c7d7a7b7c7d7e7f80818283fec242c343c444c54\
    5c646c747c848c949ca4acb4bcc4ccd4dce4ecf4fd050d151d252d353d454d555d656d757d858d959da5adb5bdc5cdd5\
    dde5edf5fe060e161e262e363e464e565e666e767e868e969ea6aeb6bec6ced6dee6eef6ff070f171f272f373f474f57\
    5f676f777f878f979ffbd3d7dbdfe3e667ea7ffff7f9fa2ee48a70a12122ae0f06";

fn text() -> Vec<u8> {
    let all: Vec<u8> = (0..=255).collect();
    [&b"hello, hello, hello\n"[..], &[b'a'; 300], b"aaaabaaaaab", &all].concat()
}

fn other() -> Vec<u8> {
    let digits: Vec<u8> = OTHER.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |two: &[u8]| u8::from_str_radix(core::str::from_utf8(two).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Runs it over bytes that come some at a time.
fn over(
    bytes: &[u8],
    run: impl FnOnce(crate::gzip::Read<'_>, crate::gzip::Write<'_>) -> Result<()>,
) -> Result<Vec<u8>> {
    let (mut rest, mut out) = (bytes, Vec::new());
    let mut read = |buf: &mut [u8]| {
        let n = rest.len().min(buf.len()).min(777);
        buf[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        Ok(n)
    };
    let mut write = |bytes: &[u8]| {
        assert!(!bytes.is_empty(), "in a pipe this is the end");
        out.extend_from_slice(bytes);
        Ok(())
    };
    run(&mut read, &mut write).map(|()| out)
}

fn there_and_back(bytes: &[u8]) {
    let small = over(bytes, |r, w| compress(1, r, w)).unwrap();
    assert!(over(&small, expand).unwrap() == bytes, "{} bytes are others", bytes.len());
}

#[test]
fn what_others_made_is_expanded() {
    assert_eq!(over(&other(), expand).unwrap(), text());
    // Two behind one another are both.
    assert_eq!(over(&[other(), other()].concat(), expand).unwrap(), [text(), text()].concat());
}

#[test]
fn there_and_back_again() {
    there_and_back(b"");
    there_and_back(b"x");
    there_and_back(&text());
    for n in [1, 3, 4, 5, 254, 255, 256, 259, 260, 1000, 100_000] {
        there_and_back(&alloc::vec![7; n]);
    }
    // Over the border of blocks, alike for long, by chance, and with few symbols.
    let mut chance = 1u32;
    let mut next = || {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        chance >> 24
    };
    there_and_back(&(0..250_000).map(|_| next() as u8).collect::<Vec<_>>());
    there_and_back(&(0..250_000).map(|_| (next() & 1) as u8).collect::<Vec<_>>());
    there_and_back(&b"abcabcabd".repeat(30_000));
    there_and_back(&[alloc::vec![0; 99_985], text()].concat());
}

#[test]
fn what_comes_seldom_has_no_long_code() {
    // Fibonacci's numbers make the longest codes that there can be.
    let (mut a, mut b) = (1u32, 1u32);
    let counts: Vec<u32> = (0..40)
        .map(|_| {
            (a, b) = (b, a + b);
            a
        })
        .collect();
    let all = code::lengths(&counts, 17);
    assert!(all.iter().all(|length| (1..=17).contains(length)), "{all:?}");
    // They leave nothing over and nothing out.
    assert!(all.iter().map(|length| 1u64 << (40 - length)).sum::<u64>() <= 1 << 40);
    assert_eq!(code::lengths(&[5, 1], 17), [1, 1]);
}

#[test]
fn spoilt_files_are_errors() {
    for bad in [&b""[..], b"B", b"BZh", b"BZh0", b"BZx9", b"hello"] {
        assert!(over(bad, expand).is_err(), "{bad:?}");
    }
    let good = other();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut spoilt = good.clone();
            spoilt[at] ^= 1 << bit;
            // Bits behind the end, and those that say how large a block may be, mean nothing here.
            if let Ok(out) = over(&spoilt, expand) {
                assert!(out == text(), "byte {at} bit {bit}");
            }
        }
        assert!(over(&good[..at], expand).is_err(), "{at}");
    }
}

#[test]
fn names() {
    assert_eq!(compressed_name("a/x.tar"), "x.tbz");
    assert_eq!(compressed_name("x"), "x.bz2");
    assert_eq!(expanded_name("x.tbz2").as_deref(), Some("x.tar"));
    assert_eq!(expanded_name("a/x.bz2").as_deref(), Some("x"));
    assert_eq!(expanded_name("x"), None);
}
