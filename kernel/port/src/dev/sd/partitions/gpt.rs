//! The GUID partition table (UEFI specification 2.10, chapter 5): a header in the second sector, an array of entries,
//! and a copy of both at the end of the disk. Both parts have a checksum, without which nothing is believed.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use machine::heap::{try_extend, try_push};
use machine::types::OutOfMemory;

use super::{Disk, Found, is_name, number, plan9};

const MAGIC: &[u8] = b"EFI PART";
/// Bytes of a header in use, at least.
const HEADER: usize = 92;
/// Bytes of an entry, at least.
const ENTRY: usize = 128;
/// Most bytes of the array that are read; 128 entries are 16 KiB.
const ARRAY_MOST: u64 = 128 * 1024;
/// Bytes of the name in an entry, and where it is.
const NAME: core::ops::Range<usize> = 56..128;

/// Types of partitions, as the bytes of their GUIDs stand on the disk, and what they are called.
const PLAN9: [u8; 16] = guid(0xC918_18F9, 0x8025, 0x47AF, 0x89D2_F030_D700_0C2C);
const TYPES: [([u8; 16], &str); 8] = [
    (PLAN9, "plan9"),
    (guid(0xC12A_7328, 0xF81F, 0x11D2, 0xBA4B_00A0_C93E_C93B), "esp"),
    (guid(0xEBD0_A0A2, 0xB9E5, 0x4433, 0x87C0_68B6_B726_99C7), "dos"),
    (guid(0x0FC6_3DAF, 0x8483, 0x4772, 0x8E79_3D69_D847_7DE4), "linux"),
    (guid(0x4F68_BCE3, 0xE8CD, 0x4DB1, 0x96E7_FBCA_F984_B709), "linux"),
    (guid(0x0657_FD6D, 0xA4AB, 0x43C4, 0x84E5_0933_C84B_4F4F), "linuxswap"),
    (guid(0x2168_6148, 0x6449, 0x6E6F, 0x744E_6565_6445_4649), "bios"),
    (guid(0x024D_EE41, 0x33E7, 0x11D3, 0x9D69_0008_C781_F39F), "mbr"),
];

/// The first three parts of a GUID are little-endian, the rest is not.
const fn guid(a: u32, b: u16, c: u16, d: u64) -> [u8; 16] {
    let ([a0, a1, a2, a3], [b0, b1], [c0, c1]) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    let [d0, d1, d2, d3, d4, d5, d6, d7] = d.to_be_bytes();
    [a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, d2, d3, d4, d5, d6, d7]
}

/// The checksum of both parts: the CRC of Ethernet and zip.
pub fn crc32(bytes: impl IntoIterator<Item = u8>) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.into_iter().fold(!0, |crc: u32, byte| (0..8).fold(crc ^ u32::from(byte), step))
}

/// What a header says.
struct Header {
    /// Sectors that partitions may have, the last one included.
    first: u64,
    last: u64,
    /// The entries, all of them.
    array: Vec<u8>,
    entry: usize,
}

/// Takes up what the table says: the one at the front, or if that is broken, the copy.
///
/// # Errors
/// No memory.
pub(super) fn read(disk: &mut Disk<'_>, found: &mut Found) -> Result<(), OutOfMemory> {
    let header = match header(disk, 1) {
        Ok(header) => header,
        Err(Fault::Memory) => return Err(OutOfMemory),
        Err(Fault::Table(why)) => {
            found.tell(format_args!("GPT: {why}"))?;
            match header(disk, disk.sectors.saturating_sub(1)) {
                Ok(copy) => copy,
                Err(Fault::Memory) => return Err(OutOfMemory),
                Err(Fault::Table(why)) => return found.tell(format_args!("GPT's copy: {why}")),
            }
        }
    };
    let mut nested = Vec::new();
    for (n, entry) in header.array.chunks_exact(header.entry).enumerate() {
        let kind = entry.get(..16).unwrap_or(&[]);
        if kind.iter().all(|b| *b == 0) {
            continue;
        }
        let (start, last) = (number::<8>(entry, 32), number::<8>(entry, 40));
        let known = TYPES.iter().find(|(guid, _)| guid == kind).map(|(_, name)| *name);
        let label = label(entry).filter(|label| is_name(label));
        let name = label.or(known.map(str::to_string)).unwrap_or_else(|| format!("p{}", n + 1));
        if start < header.first || last > header.last {
            found.tell(format_args!("{name}: sectors {start} to {last} are not for partitions"))?;
            continue;
        }
        let end = last.saturating_add(1);
        if found.add(disk.sectors, 0, &name, start, end)? && kind == PLAN9 {
            try_push(&mut nested, (start, end))?;
        }
    }
    for (start, end) in nested {
        plan9::read(disk, start, end, found)?;
    }
    Ok(())
}

/// Why there is no table.
enum Fault {
    /// No memory.
    Memory,
    /// It is not sound, in this way.
    Table(&'static str),
}

impl From<OutOfMemory> for Fault {
    fn from(_: OutOfMemory) -> Fault {
        Fault::Memory
    }
}

impl From<&'static str> for Fault {
    fn from(why: &'static str) -> Fault {
        Fault::Table(why)
    }
}

/// The header in this sector with its array, when all of it is sound.
fn header(disk: &mut Disk<'_>, at: u64) -> Result<Header, Fault> {
    let sector = disk.sector(at)?.ok_or("cannot be read")?;
    if !sector.starts_with(MAGIC) {
        return Err("there is none".into());
    }
    let len = number::<4>(&sector, 12) as usize;
    let bytes = sector.get(..len).filter(|b| b.len() >= HEADER).ok_or("header of a wrong size")?;
    // The checksum is taken with itself as 0.
    let sum = crc32(bytes.iter().enumerate().map(|(n, b)| if (16..20).contains(&n) { 0 } else { *b }));
    if u64::from(sum) != number::<4>(bytes, 16) {
        return Err("checksum of the header is wrong".into());
    }
    if number::<8>(bytes, 24) != at {
        return Err("header of another place".into());
    }
    let (count, entry) = (number::<4>(bytes, 80), number::<4>(bytes, 84));
    let total = count.saturating_mul(entry);
    if entry < ENTRY as u64 || total > ARRAY_MOST {
        return Err("array of a wrong size".into());
    }
    let mut array = Vec::new();
    let start = number::<8>(bytes, 72);
    for n in 0..total.div_ceil(disk.sector_size as u64) {
        let sector = disk.sector(start.saturating_add(n))?.ok_or("array cannot be read")?;
        try_extend(&mut array, &sector)?;
    }
    array.truncate(total as usize);
    if u64::from(crc32(array.iter().copied())) != number::<4>(bytes, 88) {
        return Err("checksum of the array is wrong".into());
    }
    let (first, last) = (number::<8>(bytes, 40), number::<8>(bytes, 48));
    Ok(Header { first, last, array, entry: entry as usize })
}

/// The name that somebody gave the partition.
fn label(entry: &[u8]) -> Option<String> {
    let units = entry.get(NAME)?.chunks_exact(2).map(|c| number::<2>(c, 0) as u16);
    char::decode_utf16(units.take_while(|u| *u != 0)).collect::<Result<String, _>>().ok()
}
