//! The blocks that an archive has of a member besides its contents.

use alloc::format;
use alloc::vec::Vec;

use lib9::Result;

use super::{BLOCK, Kind, Member, Style, padding};

/// The blocks before the contents of a member.
///
/// # Errors
/// A file that is too long for the format.
pub fn head(member: &Member, style: Style) -> Result<Vec<u8>> {
    let name = member.name.as_bytes();
    let mut blocks = Vec::new();
    let (mut prefix, mut last) = (&name[..0], name);
    if name.len() > 100 {
        match split(name).filter(|_| style.ustar) {
            Some(parts) => (prefix, last) = parts,
            None => {
                let long = Member { name: "././@LongLink".into(), kind: Kind::File, ..member.clone() };
                let long = Member { length: name.len() as u64 + 1, mode: 0, mtime: 0, ..long };
                blocks = block(&long, long.name.as_bytes(), b"", b'L', style)?.to_vec();
                blocks.extend_from_slice(name);
                blocks.resize(blocks.len() + padding(long.length) + 1, 0);
                last = name.get(..100).unwrap_or(name);
            }
        }
    }
    let letter = if member.kind == Kind::Directory { b'5' } else { b'0' };
    blocks.extend_from_slice(&block(member, last, prefix, letter, style)?);
    Ok(blocks)
}

/// A name as up to 155 bytes, a slash, and up to 100.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = (0..name.len()).find(|&at| name.get(at) == Some(&b'/') && name.len() - at - 1 <= 100)?;
    let (prefix, last) = (name.get(..at)?, name.get(at + 1..)?);
    (at > 0 && at <= 155 && !last.is_empty()).then_some((prefix, last))
}

pub(super) fn block(
    member: &Member,
    name: &[u8],
    prefix: &[u8],
    letter: u8,
    style: Style,
) -> Result<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, width: usize, bytes: &[u8]| {
        let bytes = bytes.get(..bytes.len().min(width)).unwrap_or(&[]);
        if let Some(place) = block.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    let octal = |n: u64, digits: usize| format!("{n:0digits$o}\0");
    put(0, 100, name);
    put(100, 8, octal(u64::from(member.mode & 0o777), 7).as_bytes());
    put(108, 8, octal(u64::from(style.numbers[0] & 0o777_7777), 7).as_bytes());
    put(116, 8, octal(u64::from(style.numbers[1] & 0o777_7777), 7).as_bytes());
    if member.length < 1 << 33 {
        put(124, 12, octal(member.length, 11).as_bytes());
    } else {
        // More than eight gigabytes: as GNU's tar writes it.
        put(124, 1, &[0x80]);
        put(128, 8, &member.length.to_be_bytes());
    }
    put(136, 12, octal(u64::from(member.mtime), 11).as_bytes());
    put(148, 8, b"        ");
    put(156, 1, &[letter]);
    if style.ustar {
        put(257, 8, b"ustar\x0000");
        put(265, 31, member.owner[0].as_bytes());
        put(297, 31, member.owner[1].as_bytes());
        put(345, 155, prefix);
    } else if letter == b'5' || letter == b'0' {
        put(156, 1, if letter == b'5' { b"5" } else { b"\0" });
    }
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = block.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(148, format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}
