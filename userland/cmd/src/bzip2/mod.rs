//! Files as bzip2 compresses them: blocks that are sorted, counted and coded, each by itself. [`expand`] and
//! [`compress`] are functions of bytes that come and go in pieces.
//!
//! A block's way in: runs of four and more equal bytes become four and a count; all rotations of the block are sorted,
//! and their last bytes stand in for it; each byte becomes its place among those seen last; runs of the first place are
//! written as numbers; and what that makes is coded with as few bits as often as it comes.

mod code;
mod compress;
mod expand;
mod sort;
#[cfg(test)]
mod tests;

use alloc::string::String;

pub use compress::compress;
pub use expand::expand;

use crate::copy::last_element;

/// How a file begins, before the digit that says how large its blocks are.
const MAGIC: [u8; 3] = *b"BZh";
/// How a block begins, and what is behind the last one.
const BLOCK: u64 = 0x3141_5926_5359;
const END: u64 = 0x1772_4538_5090;
/// Bytes of a block for each step of that digit.
const STEP: usize = 100_000;
/// Symbols that are coded with one table, one behind the other.
const GROUP: usize = 50;
/// Bits of the longest code of a symbol that is read.
const LONGEST: usize = 20;
/// Symbols for runs of the first place.
const RUN_A: u16 = 0;
const RUN_B: u16 = 1;

/// What each byte does to a checksum.
static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let (mut sum, mut bit) = ((n as u32) << 24, 0);
        while bit < 8 {
            sum = sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 };
            bit += 1;
        }
        table[n] = sum;
        n += 1;
    }
    table
};

/// The checksum of bytes, from their first bit on.
struct Sum(u32);

impl Sum {
    fn new() -> Sum {
        Sum(!0)
    }

    fn add(&mut self, byte: u8) {
        self.0 = self.0 << 8 ^ TABLE[(self.0 >> 24) as usize ^ usize::from(byte)];
    }

    fn value(&self) -> u32 {
        !self.0
    }
}

/// The sum of a file with one more block.
fn joined(file: u32, block: u32) -> u32 {
    file.rotate_left(1) ^ block
}

/// What a compressed file is called: `.bz2` behind its name, and `.tbz` for archives.
pub fn compressed_name(name: &str) -> String {
    let name = last_element(name);
    match name.strip_suffix(".tar") {
        Some(stem) if !stem.is_empty() => alloc::format!("{stem}.tbz"),
        _ => alloc::format!("{name}.bz2"),
    }
}

/// What an expanded file is called; nothing when that is what it was called before.
pub fn expanded_name(name: &str) -> Option<String> {
    let last = last_element(name);
    let stem = |suffix| last.strip_suffix(suffix).filter(|stem: &&str| !stem.is_empty());
    let archive = stem(".tbz").or_else(|| stem(".tbz2")).map(|stem| alloc::format!("{stem}.tar"));
    let known = archive.or_else(|| stem(".bz2").map(String::from));
    known.or_else(|| (last != name).then(|| last.into()))
}
