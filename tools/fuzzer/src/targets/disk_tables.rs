//! Whatever is on a disk, reading its partition tables ends, and gives parts of the disk with names of their own.

use port::dev::sd::partitions::{Disk, PARTS_MOST, find, gpt, is_name};

/// Makes the checksums of a GPT right, or nothing behind them would ever be read.
fn seal(bytes: &mut [u8], size: usize, at: usize) {
    let Some(header) = bytes.get(at * size..(at + 1) * size).filter(|h| h.starts_with(b"EFI PART")) else {
        return;
    };
    let number =
        |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
    let (len, array, total) =
        (number(12), number(72).saturating_mul(size), number(80).saturating_mul(number(84)));
    let sum = bytes.get(array..array.saturating_add(total)).map(|array| gpt::crc32(array.iter().copied()));
    let Some(header) = bytes.get_mut(at * size..(at + 1) * size) else { return };
    header[88..92].copy_from_slice(&sum.unwrap_or(0).to_le_bytes());
    header[16..20].fill(0);
    if let Some(used) = header.get(..len) {
        let sum = gpt::crc32(used.iter().copied());
        header[16..20].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Tries these bytes.
pub fn run(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let size = if first & 1 == 0 { 512 } else { 4096 };
    let mut bytes = rest.to_vec();
    bytes.resize(rest.len().next_multiple_of(size), 0);
    let sectors = bytes.len() / size;
    if first & 2 != 0 {
        seal(&mut bytes, size, 1);
        seal(&mut bytes, size, sectors.saturating_sub(1));
    }
    let mut reads = 0;
    let mut read = |sector: u64, buf: &mut [u8]| {
        reads += 1;
        buf.copy_from_slice(&bytes[sector as usize * size..][..size]);
        sector % 251 != 250
    };
    let found = find(&mut Disk { sector_size: size, sectors: sectors as u64, read: &mut read }).unwrap();
    assert!(reads < 2000 && found.parts.len() <= PARTS_MOST);
    for (n, part) in found.parts.iter().enumerate() {
        assert!(part.start < part.end && part.end <= sectors as u64, "{part:?}");
        assert!(is_name(&part.name) || part.name.contains('.'), "{part:?}");
        assert!(found.parts[..n].iter().all(|p| p.name != part.name), "{part:?}");
    }
}
