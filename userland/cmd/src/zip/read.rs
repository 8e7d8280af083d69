//! What is in an archive.

use alloc::string::String;
use alloc::vec::Vec;

use lib9::{Result, error};

use super::{CENTRAL, CENTRAL_LEN, DEFLATED, END, END_LEN, Entry, LOCAL, LOCAL_LEN, SECRET, STORED, Stamp};
use crate::gzip::{Fault, Source, Write, inflate};

/// Bytes of the longest comment behind the list, and of a list that is read.
const COMMENT: u64 = 0xffff;
const LIST: u64 = 32 << 20;
/// Bytes that are copied at a time.
const PIECE: usize = 32 << 10;

/// Reads at an offset; 0 is the end.
pub type ReadAt<'a> = &'a mut dyn FnMut(&mut [u8], u64) -> Result<usize>;

/// A number of two or of four bytes in a part.
fn short(part: &[u8], at: usize) -> u16 {
    part.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |b| u16::from_le_bytes(*b))
}

fn word(part: &[u8], at: usize) -> u32 {
    part.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |b| u32::from_le_bytes(*b))
}

/// Bytes of an archive, all of them.
#[allow(clippy::disallowed_methods)] // The rule is the kernel's: a program has nothing set aside.
fn bytes(read: ReadAt<'_>, at: u64, len: usize) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    all.try_reserve_exact(len).map_err(|_| error!("no memory for its list"))?;
    all.resize(len, 0);
    let mut got = 0;
    while got < len {
        match read(all.get_mut(got..).unwrap_or_default(), at + got as u64)? {
            0 => return Err(error!("unexpected end of file")),
            n => got += n,
        }
    }
    Ok(all)
}

/// The files of an archive of this length.
///
/// # Errors
/// It is none, or of a kind that is not read.
pub fn list(read: ReadAt<'_>, length: u64) -> Result<Vec<Entry>> {
    let tail_len = length.min(END_LEN as u64 + COMMENT);
    let tail = bytes(read, length - tail_len, tail_len as usize)?;
    // The last one whose comment ends with the file.
    let ends = (0..=tail.len().saturating_sub(END_LEN)).rev().find(|&at| {
        word(&tail, at) == END && at + END_LEN + usize::from(short(&tail, at + 20)) <= tail.len()
    });
    let end = ends.and_then(|at| tail.get(at..)).filter(|end| end.len() >= END_LEN);
    let end = end.ok_or_else(|| error!("not a zip archive"))?;
    let (count, len, at) = (short(end, 10), u64::from(word(end, 12)), u64::from(word(end, 16)));
    if count == u16::MAX || len == u64::from(u32::MAX) || at == u64::from(u32::MAX) {
        return Err(error!("an archive of the large kind, which is not read"));
    }
    if len > LIST || at.checked_add(len).is_none_or(|end| end > length) {
        return Err(error!("its list makes no sense"));
    }
    let all = bytes(read, at, len as usize)?;
    let mut rest = all.as_slice();
    let mut entries = Vec::new();
    for _ in 0..count {
        let (entry, behind) = central(rest).ok_or_else(|| error!("its list makes no sense"))?;
        entries.push(entry);
        rest = behind;
    }
    Ok(entries)
}

/// The next entry of the list, and what is behind it.
fn central(rest: &[u8]) -> Option<(Entry, &[u8])> {
    let (part, behind) = rest.split_at_checked(CENTRAL_LEN)?;
    let lengths = [28, 30, 32].map(|at| usize::from(short(part, at)));
    let (name, behind) = behind.split_at_checked(lengths[0])?;
    let (_, behind) = behind.split_at_checked(lengths[1] + lengths[2])?;
    let entry = Entry {
        name: String::from_utf8_lossy(name).into_owned(),
        flags: short(part, 8),
        way: short(part, 10),
        time: Stamp { time: short(part, 12), day: short(part, 14) },
        sum: word(part, 16),
        packed: word(part, 20).into(),
        length: word(part, 24).into(),
        at: word(part, 42).into(),
    };
    (word(part, 0) == CENTRAL).then_some((entry, behind))
}

/// Gives `write` what is in a file of the archive.
///
/// # Errors
/// Those of `read` and `write`; it is not what the list says, or in a way that is not known.
pub fn extract(entry: &Entry, read: ReadAt<'_>, write: Write<'_>) -> Result<()> {
    if entry.flags & SECRET != 0 {
        return Err(error!("it is encrypted"));
    }
    let head = bytes(read, entry.at, LOCAL_LEN)?;
    if word(&head, 0) != LOCAL {
        return Err(error!("it is not where the list says"));
    }
    let skip = LOCAL_LEN + usize::from(short(&head, 26)) + usize::from(short(&head, 28));
    let (mut at, mut left) = (entry.at + skip as u64, entry.packed);
    let mut part = |buf: &mut [u8]| {
        let len = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = read(buf.get_mut(..len).unwrap_or_default(), at)?;
        at += n as u64;
        left -= n as u64;
        Ok(n)
    };
    let mut room = entry.length;
    let mut put = |bytes: &[u8]| {
        // What is longer than it says is no file of this list: it may have no end.
        room = room.checked_sub(bytes.len() as u64).ok_or_else(|| error!("length does not match"))?;
        write(bytes)
    };
    let (sum, length) = match entry.way {
        STORED => {
            let mut buf = alloc::vec![0; PIECE];
            let (mut sum, mut length) = (crc32fast::Hasher::new(), 0);
            loop {
                let n = part(&mut buf)?;
                let piece = buf.get(..n).unwrap_or_default();
                if piece.is_empty() {
                    break;
                }
                sum.update(piece);
                length += n as u64;
                put(piece)?;
            }
            (sum.finalize(), length)
        }
        DEFLATED => {
            let whole = inflate(&mut Source::new(&mut part), &mut put);
            let whole = whole.map_err(|(Fault::Data(e) | Fault::Write(e))| e)?;
            (whole.sum, whole.length)
        }
        way => return Err(error!("it is compressed in a way that is not known: {way}")),
    };
    match (sum == entry.sum, length == entry.length) {
        (_, false) => Err(error!("length does not match")),
        (false, _) => Err(error!("checksum does not match")),
        _ => Ok(()),
    }
}
