//! Expanding.

use alloc::vec;
use alloc::vec::Vec;

use lib9::{Error, Result, error};

use super::code::Decoder;
use super::sort::{list, undo};
use super::{BLOCK, END, GROUP, LONGEST, MAGIC, RUN_A, RUN_B, STEP, Sum, joined};
use crate::gzip::{Read, Write};

/// Bytes that are read, and written, at a time.
const PIECE: usize = 32 << 10;

/// Bits that come from bytes, the highest first.
struct Bits<'a> {
    read: Read<'a>,
    buf: Vec<u8>,
    at: usize,
    have: usize,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    fn byte(&mut self) -> Result<Option<u8>> {
        if self.at >= self.have {
            (self.at, self.have) = (0, 0);
            self.have = (self.read)(&mut self.buf)?.min(self.buf.len());
        }
        let byte = self.buf.get(self.at..self.have).and_then(<[u8]>::first).copied();
        self.at += 1;
        Ok(byte)
    }

    /// So many bits, up to 48.
    fn take(&mut self, count: u32) -> Result<u64> {
        while self.count < count {
            let byte = self.byte()?.ok_or_else(|| error!("unexpected end of file"))?;
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
        self.count -= count;
        Ok(self.held >> self.count & ((1 << count) - 1))
    }

    fn number(&mut self, count: u32) -> Result<usize> {
        Ok(self.take(count)? as usize)
    }

    /// What is left of a byte is nothing.
    fn align(&mut self) {
        self.count -= self.count % 8;
    }
}

fn corrupted() -> Error {
    error!("corrupted data")
}

/// Expands everything: one compressed file, or several one behind the other.
///
/// # Errors
/// Those of `read` and `write`, and what is wrong with the data.
pub fn expand(read: Read<'_>, write: Write<'_>) -> Result<()> {
    let mut bits = Bits { read, buf: vec![0; PIECE], at: 0, have: 0, held: 0, count: 0 };
    let mut first = true;
    loop {
        let begins = if bits.count >= 8 { Some(bits.take(8)? as u8) } else { bits.byte()? };
        match begins {
            None if !first => return Ok(()),
            Some(byte) if byte == MAGIC[0] => {}
            _ if first => return Err(error!("not a bzip2 file")),
            _ => return Err(error!("what is behind the end is none")),
        }
        let rest = [bits.take(8)? as u8, bits.take(8)? as u8, bits.take(8)? as u8];
        let [b'Z', b'h', level @ b'1'..=b'9'] = rest else { return Err(error!("not a bzip2 file")) };
        file(&mut bits, usize::from(level - b'0') * STEP, write)?;
        bits.align();
        first = false;
    }
}

/// The blocks of one file.
fn file(bits: &mut Bits<'_>, size: usize, write: Write<'_>) -> Result<()> {
    let mut sum = 0;
    loop {
        match bits.take(48)? {
            BLOCK => {
                let wanted = bits.take(32)? as u32;
                let (table, begin) = block(bits, size)?;
                if put(table, begin, write)? != wanted {
                    return Err(error!("checksum does not match"));
                }
                sum = joined(sum, wanted);
            }
            END if bits.take(32)? as u32 == sum => return Ok(()),
            END => return Err(error!("checksum does not match")),
            _ => return Err(corrupted()),
        }
    }
}

/// A block: the last bytes of its rotations, and which of them it is.
fn block(bits: &mut Bits<'_>, size: usize) -> Result<(Vec<u32>, usize)> {
    if bits.take(1)? == 1 {
        return Err(error!("a block of the oldest kind, which is not read"));
    }
    let begin = bits.number(24)?;
    let mut used = Vec::new();
    let groups = bits.take(16)?;
    for group in (0..16u8).filter(|g| groups >> (15 - g) & 1 == 1) {
        let bytes = bits.take(16)?;
        used.extend((0..16u8).filter(|b| bytes >> (15 - b) & 1 == 1).map(|b| group << 4 | b));
    }
    let tables = bits.number(3)?;
    let count = bits.number(15)?;
    if used.is_empty() || !(2..=6).contains(&tables) || count == 0 {
        return Err(corrupted());
    }
    let mut recent: Vec<u8> = (0..tables as u8).collect();
    let mut chosen = Vec::with_capacity(count);
    for _ in 0..count {
        let mut place = 0;
        while bits.take(1)? == 1 {
            place += 1;
            if place >= tables {
                return Err(corrupted());
            }
        }
        recent[..=place].rotate_right(1);
        chosen.push(recent[0]);
    }
    let mut decoders = Vec::new();
    for _ in 0..tables {
        let mut length = bits.number(5)?;
        let mut lengths = Vec::with_capacity(used.len() + 2);
        for _ in 0..used.len() + 2 {
            loop {
                if !(1..=LONGEST).contains(&length) {
                    return Err(corrupted());
                }
                if bits.take(1)? == 0 {
                    break;
                }
                length = if bits.take(1)? == 0 { length + 1 } else { length - 1 };
            }
            lengths.push(length as u8);
        }
        decoders.push(Decoder::new(&lengths));
    }
    let table = symbols(bits, size, used, &chosen, &decoders)?;
    if begin >= table.len() { Err(corrupted()) } else { Ok((table, begin)) }
}

/// The symbols of a block, as bytes.
fn symbols(
    bits: &mut Bits<'_>,
    size: usize,
    mut recent: Vec<u8>,
    chosen: &[u8],
    decoders: &[Decoder],
) -> Result<Vec<u32>> {
    let last = recent.len() as u16 + 1;
    let mut table = list(0u32, size)?;
    table.clear();
    let (mut run, mut weight) = (0usize, 1usize);
    let mut choices = chosen.iter();
    loop {
        let decoder = choices.next().and_then(|choice| decoders.get(usize::from(*choice)));
        let decoder = decoder.ok_or_else(corrupted)?;
        for _ in 0..GROUP {
            let mut failed = None;
            let bit = || match bits.take(1) {
                Ok(bit) => Some(bit as u32),
                Err(e) => {
                    failed = Some(e);
                    None
                }
            };
            let Some(symbol) = decoder.next(bit) else { return Err(failed.unwrap_or_else(corrupted)) };
            if let RUN_A | RUN_B = symbol {
                run += weight << symbol;
                weight <<= 1;
                if run > size {
                    return Err(corrupted());
                }
                continue;
            }
            if run > 0 {
                if table.len() + run > size {
                    return Err(corrupted());
                }
                table.resize(table.len() + run, u32::from(recent[0]));
                (run, weight) = (0, 1);
            }
            if symbol == last {
                return Ok(table);
            }
            if table.len() >= size {
                return Err(corrupted());
            }
            // The first place has no symbol of its own, but runs.
            recent.get_mut(..usize::from(symbol)).ok_or_else(corrupted)?.rotate_right(1);
            table.push(u32::from(recent[0]));
        }
    }
}

/// Writes what a block was; its checksum.
fn put(mut table: Vec<u32>, begin: usize, write: Write<'_>) -> Result<u32> {
    let mut at = undo(&mut table, begin).ok_or_else(corrupted)?;
    let (mut sum, mut out) = (Sum::new(), Vec::with_capacity(PIECE));
    let (mut before, mut alike) = (None, 0);
    for _ in 0..table.len() {
        let entry = table.get(at as usize).copied().ok_or_else(corrupted)?;
        let byte = entry as u8;
        at = entry >> 8;
        // Behind four that are alike is how many more there are.
        let times = if alike == 4 { byte } else { 1 };
        let shown = if alike == 4 { before.unwrap_or(byte) } else { byte };
        for _ in 0..times {
            sum.add(shown);
            out.push(shown);
            if out.len() == PIECE {
                write(&out)?;
                out.clear();
            }
        }
        if alike == 4 {
            (before, alike) = (None, 0);
        } else {
            alike = if before == Some(byte) { alike + 1 } else { 1 };
            before = Some(byte);
        }
    }
    if !out.is_empty() {
        write(&out)?;
    }
    Ok(sum.value())
}
