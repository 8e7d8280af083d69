//! Compressing.

use alloc::vec;
use alloc::vec::Vec;

use lib9::Result;

use super::code::{codes, lengths};
use super::sort::rotations;
use super::{BLOCK, END, GROUP, MAGIC, RUN_A, RUN_B, STEP, Sum, joined};
use crate::gzip::{Read, Write};

/// Bytes that are read, and written, at a time.
const PIECE: usize = 32 << 10;
/// Bits of the longest code that is written, as all readers know them.
const LONGEST: u8 = 17;
/// Most bytes that one of the text takes in a block, counts included, that are not a run's.
const ROOM: usize = 5;

/// Bits that become bytes, the highest first.
struct Bits<'a> {
    write: Write<'a>,
    out: Vec<u8>,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    /// So many bits, up to 48.
    fn put(&mut self, bits: u64, count: u32) -> Result<()> {
        self.held = self.held << count | bits;
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.out.push((self.held >> self.count) as u8);
        }
        if self.out.len() < PIECE { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        let out = core::mem::take(&mut self.out);
        if out.is_empty() { Ok(()) } else { (self.write)(&out) }
    }
}

/// A block that is being filled: what is in it, with its runs as they are written.
struct Block {
    text: Vec<u8>,
    sum: Sum,
    run: Option<(u8, u8)>,
}

impl Block {
    fn new() -> Block {
        Block { text: Vec::new(), sum: Sum::new(), run: None }
    }

    fn add(&mut self, byte: u8) {
        self.sum.add(byte);
        match &mut self.run {
            Some((of, count)) if *of == byte && *count < u8::MAX => *count += 1,
            _ => {
                self.end_run();
                self.run = Some((byte, 1));
            }
        }
    }

    fn end_run(&mut self) {
        if let Some((of, count)) = self.run.take() {
            self.text.resize(self.text.len() + usize::from(count.min(4)), of);
            if let Some(more) = count.checked_sub(4) {
                self.text.push(more);
            }
        }
    }
}

/// Compresses everything; `level` is from 1 to 9, and blocks have that many times 100,000 bytes.
///
/// # Errors
/// Those of `read` and `write`; no memory for a block.
pub fn compress(level: u8, read: Read<'_>, write: Write<'_>) -> Result<()> {
    let level = level.clamp(1, 9);
    let size = usize::from(level) * STEP;
    let mut bits = Bits { write, out: Vec::new(), held: 0, count: 0 };
    for byte in MAGIC.into_iter().chain([b'0' + level]) {
        bits.put(byte.into(), 8)?;
    }
    let (mut sum, mut block, mut input) = (0, Block::new(), vec![0; PIECE]);
    loop {
        let n = read(&mut input)?.min(PIECE);
        for &byte in input.get(..n).unwrap_or_default() {
            if block.text.len() + 2 * ROOM > size {
                sum = joined(sum, finish(&mut bits, core::mem::replace(&mut block, Block::new()))?);
            }
            block.add(byte);
        }
        if n == 0 {
            break;
        }
    }
    if block.run.is_some() {
        sum = joined(sum, finish(&mut bits, block)?);
    }
    bits.put(END, 48)?;
    bits.put(sum.into(), 32)?;
    bits.put(0, (8 - bits.count % 8) % 8)?;
    bits.flush()
}

/// Writes a block; its checksum.
fn finish(bits: &mut Bits<'_>, mut block: Block) -> Result<u32> {
    block.end_run();
    let text = block.text;
    let order = rotations(&text)?;
    let begin = order.iter().position(|at| *at == 0).unwrap_or(0);
    let mut used = [false; 256];
    text.iter().for_each(|byte| used[usize::from(*byte)] = true);
    let symbols = symbols(&text, &order, &used)?;
    let count = used.iter().filter(|used| **used).count() + 2;
    let mut counts = vec![0; count];
    for symbol in &symbols {
        counts[usize::from(*symbol)] += 1;
    }
    let lengths = lengths(&counts, LONGEST);
    let codes = codes(&lengths);
    bits.put(BLOCK, 48)?;
    bits.put(block.sum.value().into(), 32)?;
    bits.put(0, 1)?;
    bits.put(begin as u64, 24)?;
    bits.put(flags(used.chunks(16).map(|group| group.contains(&true))), 16)?;
    for group in used.chunks(16).filter(|group| group.contains(&true)) {
        bits.put(flags(group.iter().copied()), 16)?;
    }
    // There are two tables at least. Both are the same here, and the first is always meant.
    bits.put(2, 3)?;
    let groups = symbols.len().div_ceil(GROUP);
    bits.put(groups as u64, 15)?;
    for _ in 0..groups {
        bits.put(0, 1)?;
    }
    for _ in 0..2 {
        let mut length = lengths[0];
        bits.put(length.into(), 5)?;
        for &wanted in &lengths {
            while length != wanted {
                let longer = wanted > length;
                bits.put(if longer { 0b10 } else { 0b11 }, 2)?;
                length = if longer { length + 1 } else { length - 1 };
            }
            bits.put(0, 1)?;
        }
    }
    for symbol in symbols {
        let symbol = usize::from(symbol);
        bits.put(codes[symbol].into(), lengths[symbol].into())?;
    }
    Ok(block.sum.value())
}

fn flags(which: impl Iterator<Item = bool>) -> u64 {
    which.fold(0, |bits, flag| bits << 1 | u64::from(flag))
}

/// The last bytes of the rotations, as their places among those seen last, runs of the first place as numbers.
fn symbols(text: &[u8], order: &[u32], used: &[bool; 256]) -> Result<Vec<u16>> {
    let mut recent: Vec<u8> = (0..=255).filter(|byte| used[usize::from(*byte)]).collect();
    let mut symbols = super::sort::list(0u16, text.len() + 1)?;
    symbols.clear();
    let mut run = 0usize;
    let last = recent.len() as u16 + 1;
    let end_run = |symbols: &mut Vec<u16>, mut run: usize| {
        while run > 0 {
            symbols.push(if run % 2 == 1 { RUN_A } else { RUN_B });
            run = (run - 1) / 2;
        }
    };
    for &at in order {
        let byte = text[(at as usize + text.len() - 1) % text.len()];
        let place = recent.iter().position(|b| *b == byte).unwrap_or(0);
        if place == 0 {
            run += 1;
            continue;
        }
        end_run(&mut symbols, core::mem::take(&mut run));
        recent[..=place].rotate_right(1);
        symbols.push(place as u16 + 1);
    }
    end_run(&mut symbols, run);
    symbols.push(last);
    Ok(symbols)
}
