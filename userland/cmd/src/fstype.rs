//! Which file server a disk or a partition is for, by how it begins: a function of the first bytes.

use alloc::string::String;

/// Bytes from the beginning that are looked at: an ISO 9660 disc tells of itself in its sector 16.
pub const FRONT: usize = 17 * 2048;

/// Numbers that cwfs(4) writes into its first block as text, for each of the programs that it is compiled to: block
/// size, bits of an address, indirect blocks, direct blocks, bytes of a name.
const CWFS: [(&str, [(&str, u64); 5]); 5] = [
    ("fs", numbers(4096, 32, 2, 6, 28)),
    ("fs64", numbers(8192, 64, 4, 6, 56)),
    ("cwfs", numbers(16384, 32, 2, 6, 28)),
    ("cwfs64", numbers(16384, 64, 4, 6, 56)),
    ("cwfs64x", numbers(16384, 64, 4, 6, 144)),
];

const fn numbers(block: u64, bits: u64, indirect: u64, direct: u64, name: u64) -> [(&'static str, u64); 5] {
    [
        ("blocksize", block),
        ("daddrbits", bits),
        ("indirblks", indirect),
        ("dirblks", direct),
        ("namelen", name),
    ]
}

/// The name of the kind, as 9front's fstype has it: that of the server's program, but `9660` and `dos`. Nothing for
/// what is unknown.
pub fn kind(front: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, bytes: &[u8]| front.get(offset..).is_some_and(|rest| rest.starts_with(bytes));
    // A volume descriptor: its kind, CD001, version 1.
    if at(16 * 2048 + 1, b"CD001\x01") {
        return Some("9660");
    }
    if at(54, b"FAT") || at(82, b"FAT") {
        return Some("dos");
    }
    let magics: [(usize, &[u8], &str); 4] = [
        (0, &[0x52, 0x9a, 0xb1, 0x2b], "paqfs"),
        (0, &[0x01, 0x1c, 0xe5, 0x0d], "hjfs"),
        (0, b"gefs", "gefs"),
        (256, b"kfs wren device", "kfs"),
    ];
    if let Some((_, _, name)) = magics.iter().find(|(offset, magic, _)| at(*offset, magic)) {
        return Some(name);
    }
    let text = String::from_utf8_lossy(front.get(..512).unwrap_or(front));
    let says = |(name, number): &(&str, u64)| {
        text.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(name) && words.next().and_then(|w| w.parse().ok()) == Some(*number)
        })
    };
    CWFS.iter().find(|(_, numbers)| numbers.iter().all(says)).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn kinds() {
        let with = |offset: usize, bytes: &[u8]| {
            let mut front = vec![0; FRONT];
            front[offset..offset + bytes.len()].copy_from_slice(bytes);
            kind(&front)
        };
        assert_eq!(with(32768, b"\x01CD001\x01"), Some("9660"));
        assert_eq!(with(54, b"FAT12"), Some("dos"));
        assert_eq!(with(82, b"FAT32"), Some("dos"));
        assert_eq!(with(0, b"\x01\x1c\xe5\x0d"), Some("hjfs"));
        assert_eq!(with(256, b"kfs wren device\n"), Some("kfs"));
        let text = b"service cwfs\nblocksize 16384\ndaddrbits 64\nindirblks 4\ndirblks 6\nnamelen 144\n";
        assert_eq!(with(0, text), Some("cwfs64x"));
        assert_eq!(with(0, b"blocksize 16384\n"), None);
        assert_eq!([kind(b""), kind(b"gef"), kind(&[0xff; FRONT]), with(0, b"")], [None; 4]);
        assert_eq!(kind(b"gefs"), Some("gefs"));
    }
}
