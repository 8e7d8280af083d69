//! Archives of ours and of others, whole and spoilt.

use alloc::string::String;
use alloc::vec::Vec;

use super::*;
use lib9::Result;

/// What Python's zipfile made: a directory, a file as it is, and one that is deflated, with a comment behind the list.
const OTHER: &str = "\
    504b0304140000000000c8695d5800000000000000000000000002000000642f\
    504b0304140000000000c8695d589fa817f8040000000400000005000000642f\
    6f6e656f6e650a504b0304140000080800c8695d583ce4cc4208000000780000\
    0004000000642fcebaaba8acaa18080400504b01021403140000000000c8695d\
    5800000000000000000000000002000000000000000000000080010000000064\
    2f504b01021403140000000000c8695d589fa817f80400000004000000050000\
    000000000000000000800120000000642f6f6e65504b01021403140000080800\
    c8695d583ce4cc42080000007800000004000000000000000000000080014700\
    0000642fceba504b05060000000003000300950000007100000009006120636f\
    6d6d656e74";

fn other() -> Vec<u8> {
    let digits: Vec<u8> = OTHER.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |two: &[u8]| u8::from_str_radix(core::str::from_utf8(two).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// The names and contents, or what is wrong with the first that is.
fn read(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut at = |buf: &mut [u8], at: u64| {
        let rest = archive.get(usize::try_from(at).unwrap()..).unwrap_or_default();
        // A bit at a time, as a file may come.
        let n = rest.len().min(buf.len()).min(100);
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    };
    let mut all = Vec::new();
    for entry in list(&mut at, archive.len() as u64)? {
        let mut text = Vec::new();
        extract(&entry, &mut at, &mut |bytes| {
            text.extend_from_slice(bytes);
            Ok(())
        })?;
        assert_eq!(text.len() as u64, entry.length);
        all.push((entry.name, text));
    }
    Ok(all)
}

fn made(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut write = |bytes: &[u8]| {
        archive.extend_from_slice(bytes);
        Ok(())
    };
    let mut writer = Writer::new(&mut write);
    for (name, text) in files {
        let mut rest = *text;
        let mut read = |buf: &mut [u8]| {
            let n = rest.len().min(buf.len()).min(1000);
            buf[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            Ok(n)
        };
        writer.add(name, Stamp::default(), 6, &mut read).unwrap();
    }
    writer.finish().unwrap();
    archive
}

#[test]
fn archives_of_others_are_read() {
    let files = read(&other()).unwrap();
    let want = [("d/", Vec::new()), ("d/one", b"one\n".to_vec()), ("d/κ", b"xyz".repeat(40))];
    assert!(files.iter().map(|(name, text)| (name.as_str(), text)).eq(want.iter().map(|(n, t)| (*n, t))));
    let archive = other();
    let mut at = |buf: &mut [u8], at: u64| {
        let rest = &archive[at as usize..];
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    };
    let entries = list(&mut at, archive.len() as u64).unwrap();
    // 29 February 2024, 13:14:16.
    assert_eq!(entries[1].time.seconds(&Timezone::gmt()), 1_709_212_456);
    assert!(entries[0].is_dir() && !entries[1].is_dir());
}

#[test]
fn what_is_written_is_read() {
    let long: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    let files: [(&str, &[u8]); 4] = [("a/", b""), ("a/long", &long), ("a/empty", b""), ("κ", b"short")];
    let back = read(&made(&files)).unwrap();
    assert!(back.iter().map(|(name, text)| (name.as_str(), text.as_slice())).eq(files));
    assert_eq!(read(&made(&[])), Ok(Vec::new()));
}

#[test]
fn times_go_both_ways() {
    let zone = Timezone::parse("CET 3600 CES 7200 1711850400 1729994400").unwrap();
    for seconds in [315_532_800, 1_709_212_456, 1_711_843_200, 1_720_000_000, 1_735_689_598, 4_102_444_800] {
        for zone in [&zone, &Timezone::gmt()] {
            assert_eq!(Stamp::new(seconds, zone).seconds(zone), seconds, "{seconds}");
        }
    }
    // What cannot be told is the first that can.
    for seconds in [0, -1, 5_000_000_000] {
        assert_eq!(Stamp::new(seconds, &Timezone::gmt()).seconds(&Timezone::gmt()), 315_532_800);
    }
}

#[test]
fn spoilt_archives_are_errors() {
    for text in [&b""[..], b"PK", &[0; 22], &[0; 70_000]] {
        assert!(read(text).unwrap_err().text().contains("not a zip archive"));
    }
    let good = read(&other()).unwrap();
    // Every byte in turn: never anything else than what was in it, or an error, or another name.
    for archive in [other(), made(&[("d/one", b"one\n"), ("d/two", &b"xyz".repeat(40))])] {
        let good_texts: Vec<Vec<u8>> =
            read(&archive).unwrap().into_iter().chain(good.clone()).map(|(_, text)| text).collect();
        for at in 0..archive.len() {
            for bit in [1, 0x80, 0xff] {
                let mut spoilt = archive.clone();
                spoilt[at] ^= bit;
                for (_, text) in read(&spoilt).unwrap_or_default() {
                    assert!(good_texts.contains(&text), "byte {at} {bit:#x}");
                }
            }
        }
        for len in 0..archive.len() {
            let _ = read(&archive[..len]);
        }
    }
}

/// A file whose data go on and on is ended where its list says it ends.
#[test]
fn a_file_is_not_longer_than_it_says() {
    let zeros = alloc::vec![0; 10_000_000];
    let mut archive = made(&[("zeros", &zeros)]);
    let central = archive.len() - END_LEN - CENTRAL_LEN - 5;
    archive[central + 24..central + 28].copy_from_slice(&100u32.to_le_bytes());
    assert!(read(&archive).unwrap_err().text().contains("length does not match"));
}
