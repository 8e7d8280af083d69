//! Tables that were made by hand, good and bad.

use super::*;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;

/// A disk in memory.
struct Image {
    size: usize,
    bytes: Vec<u8>,
    /// Sectors that were read.
    reads: usize,
}

impl Image {
    fn new(sectors: usize, size: usize) -> Image {
        Image { size, bytes: vec![0; sectors * size], reads: 0 }
    }

    fn put(&mut self, sector: u64, at: usize, bytes: &[u8]) {
        let start = sector as usize * self.size + at;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
    }

    /// An MBR, or a link of a chain.
    fn table(&mut self, sector: u64, entries: &[(u8, u32, u32)]) {
        for (n, (kind, start, len)) in entries.iter().enumerate() {
            let mut entry = [0; 16];
            entry[4] = *kind;
            entry[8..12].copy_from_slice(&start.to_le_bytes());
            entry[12..].copy_from_slice(&len.to_le_bytes());
            self.put(sector, 446 + 16 * n, &entry);
        }
        self.put(sector, 510, &[0x55, 0xAA]);
    }

    /// A GPT of four entries, at the front and the end: type, first and last sector, name.
    fn gpt(&mut self, entries: &[(u8, u64, u64, &str)]) {
        let sectors = (self.bytes.len() / self.size) as u64;
        self.table(0, &[(0xEE, 1, u32::MAX)]);
        let mut array = vec![0; 512];
        for (n, (kind, first, last, name)) in entries.iter().enumerate() {
            let entry = &mut array[128 * n..128 * (n + 1)];
            let plan9 =
                [0xF9, 0x18, 0x18, 0xC9, 0x25, 0x80, 0xAF, 0x47, 0x89, 0xD2, 0xF0, 0x30, 0xD7, 0, 0x0C, 0x2C];
            entry[..16].copy_from_slice(&if *kind == 9 { plan9 } else { [*kind; 16] });
            entry[32..40].copy_from_slice(&first.to_le_bytes());
            entry[40..48].copy_from_slice(&last.to_le_bytes());
            for (at, unit) in name.encode_utf16().enumerate() {
                entry[56 + 2 * at..58 + 2 * at].copy_from_slice(&unit.to_le_bytes());
            }
        }
        for (at, array_at) in [(1, 2), (sectors - 1, sectors - 2)] {
            let mut header = vec![0; 92];
            header[..16].copy_from_slice(b"EFI PART\0\0\x01\0\x5c\0\0\0");
            header[24..32].copy_from_slice(&at.to_le_bytes());
            header[32..40].copy_from_slice(&(sectors - at).to_le_bytes());
            header[40..48].copy_from_slice(&4u64.to_le_bytes());
            header[48..56].copy_from_slice(&(sectors - 4).to_le_bytes());
            header[72..80].copy_from_slice(&array_at.to_le_bytes());
            header[80..88].copy_from_slice(&[4, 0, 0, 0, 128, 0, 0, 0]);
            header[88..92].copy_from_slice(&gpt::crc32(array.iter().copied()).to_le_bytes());
            let sum = gpt::crc32(header.iter().copied());
            header[16..20].copy_from_slice(&sum.to_le_bytes());
            self.put(at, 0, &header);
            self.put(array_at, 0, &array);
        }
    }

    fn find(&mut self) -> Found {
        let (size, sectors) = (self.size, (self.bytes.len() / self.size) as u64);
        let (bytes, reads) = (&self.bytes, &mut self.reads);
        let mut read = |sector: u64, buf: &mut [u8]| {
            *reads += 1;
            assert!(sector < sectors && buf.len() == size);
            buf.copy_from_slice(&bytes[sector as usize * size..][..size]);
            true
        };
        // What a disk makes large is asked for.
        let mut disk = Disk { sector_size: size, sectors, read: &mut read };
        machine::host::heap::within("partitions", machine::heap::GRANT, || find(&mut disk)).unwrap()
    }

    /// `name start end`, a word each.
    fn parts(&mut self) -> Vec<String> {
        let found = self.find();
        assert_eq!(found.wrong, [""; 0]);
        list(&found)
    }
}

fn list(found: &Found) -> Vec<String> {
    found.parts.iter().map(|p| format!("{} {} {}", p.name, p.start, p.end)).collect()
}

#[test]
fn an_empty_disk_has_no_partitions() {
    assert_eq!(Image::new(100, 512).find(), Found::default());
    assert_eq!(Image::new(1, 4096).find(), Found::default());
    let mut read = |_, _: &mut [u8]| panic!("there is no sector");
    let none = find(&mut Disk { sector_size: 512, sectors: 0, read: &mut read }).unwrap();
    assert_eq!(none.wrong, ["cannot be read"]);
}

#[test]
fn primary_and_logical_partitions() {
    for size in [512, 4096] {
        let mut disk = Image::new(5000, size);
        disk.table(0, &[(0x0C, 100, 400), (0x05, 1000, 3000), (0x39, 500, 500), (0x77, 4000, 1000)]);
        disk.table(1000, &[(0x83, 10, 90), (0x05, 200, 300)]);
        disk.table(1200, &[(0x83, 10, 90), (0x0F, 100, 300)]);
        disk.table(1100, &[(0x82, 10, 50)]);
        assert_eq!(
            disk.parts(),
            [
                "dos 100 500",
                "plan9 500 1000",
                "p4 4000 5000",
                "linux 1010 1100",
                "linux.1 1210 1300",
                "linuxswap 1110 1160"
            ]
        );
    }
}

#[test]
fn the_first_sector_of_a_file_system_is_no_table() {
    let mut disk = Image::new(100, 512);
    disk.table(0, &[(0x83, 10, 20)]);
    disk.put(0, 446 + 16, b"code");
    assert_eq!(disk.find(), Found::default());
    let mut short = vec![0; 511];
    short[510] = 0x55;
    assert_eq!(mbr::parse(&short), None);
}

#[test]
fn partitions_outside_or_upon_others_are_left_out() {
    let mut disk = Image::new(1000, 512);
    disk.table(0, &[(0x83, 100, 100), (0x0C, 150, 100), (0x83, 900, 101), (0x83, u32::MAX, u32::MAX)]);
    let found = disk.find();
    assert_eq!(list(&found), ["linux 100 200"]);
    assert_eq!(
        found.wrong,
        [
            "dos: sectors 150 to 250 lie upon linux",
            "linux: sectors 900 to 1001 are no part of the disk",
            "linux: sectors 4294967295 to 8589934590 are no part of the disk"
        ]
    );
    disk.table(0, &[(0x83, 0, 100), (0x83, 100, 0), (0, 0, 0), (0, 0, 0)]);
    let found = disk.find();
    assert_eq!((list(&found), found.wrong.len()), (vec![], 2));
}

#[test]
fn chains_end() {
    // In a circle, out of the container, to no table, and one that is too long.
    for (links, wrong) in [
        (&[(500, 200), (700, 0)][..], "extended partition: leads in a circle at sector 500"),
        (&[(500, 600)], "extended partition: leads to sector 1100"),
        (&[(500, 100)], "extended partition: no table in sector 600"),
    ] {
        let mut disk = Image::new(2000, 512);
        disk.table(0, &[(0x05, 500, 500)]);
        for (at, link) in links {
            disk.table(*at, &[(0x83, 1, 2), (0x05, *link, 10)]);
        }
        let found = disk.find();
        assert_eq!((found.parts.len(), &*found.wrong), (links.len(), &[wrong.to_string()][..]));
    }
    let mut disk = Image::new(2000, 512);
    disk.table(0, &[(0x05, 500, 1500)]);
    (0..200).for_each(|n| disk.table(500 + 4 * n, &[(0x83, 1, 2), (0x05, 4 * n as u32 + 4, 4)]));
    let found = disk.find();
    assert_eq!((found.parts.len(), found.wrong.len(), disk.reads < 80), (64, 1, true));
    // A partition that leaves its container.
    disk.table(0, &[(0x05, 500, 100)]);
    disk.table(500, &[(0x83, 1, 100), (0, 0, 0)]);
    assert_eq!(disk.find().wrong, ["extended partition: partition in sector 500 is not inside"]);
}

#[test]
fn a_gpt_names_its_partitions() {
    for size in [512, 4096] {
        let mut disk = Image::new(1000, size);
        disk.gpt(&[(1, 10, 19, "röot"), (9, 20, 39, ""), (2, 40, 40, "two words"), (3, 50, 59, "data")]);
        disk.put(21, 0, b"part fossil 2 20\n");
        let all = ["röot 10 20", "plan9 20 40", "p3 40 41", "data.1 50 60", "fossil 22 40"];
        assert_eq!(disk.parts(), all);
    }
}

#[test]
fn a_damaged_gpt_is_not_believed_and_its_copy_is() {
    for at in [512 + 3, 512 + 12, 512 + 18, 512 + 26, 512 + 72, 512 + 84, 512 + 90, 1024 + 40] {
        let mut disk = Image::new(1000, 512);
        disk.gpt(&[(1, 10, 19, "a"), (2, 20, 29, "b")]);
        disk.bytes[at] ^= 0x11;
        let found = disk.find();
        assert_eq!(
            (list(&found), found.wrong.len()),
            (vec!["a 10 20".into(), "b 20 30".into()], 1),
            "byte {at}"
        );
        let copy = disk.bytes.len() - 512 + 30;
        disk.bytes[copy] ^= 1;
        let found = disk.find();
        assert_eq!((list(&found), found.wrong.len()), (vec![], 2));
    }
}

#[test]
fn a_gpt_may_not_give_away_its_own_sectors_or_others_partitions() {
    let mut disk = Image::new(1000, 512);
    disk.gpt(&[(1, 3, 19, "a"), (1, 990, 997, "b"), (1, 30, 29, "c"), (1, 40, u64::MAX, "d")]);
    let found = disk.find();
    assert_eq!((list(&found), found.wrong.len()), (vec![], 4));
    disk.gpt(&[(1, 10, 19, "a"), (1, 19, 21, "b"), (1, 20, 20, "c")]);
    assert_eq!(list(&disk.find()), ["a 10 20", "c 20 21"]);
}

#[test]
fn a_plan9_table_is_counted_from_its_partition() {
    let mut disk = Image::new(5000, 512);
    disk.table(0, &[(0x39, 100, 1000), (0x39, 2000, 1000)]);
    disk.put(101, 0, b"part 9fat 0 200\npart nvram 200 201\npart fs 201 1000\n\0part no 1 2");
    disk.put(
        2001,
        0,
        b"part 9fat 0 100\npart big 100 1001\npart upon 50 150\npart empty 7 7\nrubbish\npart x 1 2\n",
    );
    let found = disk.find();
    assert_eq!(
        list(&found),
        [
            "plan9 100 1100",
            "plan9.1 2000 3000",
            "9fat 100 300",
            "nvram 300 301",
            "fs 301 1100",
            "9fat.1 2000 2100"
        ]
    );
    assert_eq!(
        found.wrong,
        [
            "big: sectors 2100 to 3001 leave their partition",
            "upon: sectors 2050 to 2150 lie upon 9fat.1",
            "empty: sectors 2007 to 2007 are no part of the disk"
        ]
    );
    // Without any other table it is the whole disk's.
    disk.table(0, &[(0, 0, 0), (0, 0, 0)]);
    disk.put(1, 0, b"part data 0 10\npart a/b 10 20\n");
    assert_eq!(disk.parts(), ["data.1 0 10"]);
}

#[test]
fn the_checksum_is_the_usual_one() {
    assert_eq!(gpt::crc32(*b"123456789"), 0xCBF4_3926);
}

#[test]
fn noise_neither_panics_nor_gives_parts_that_are_not_there() {
    let mut state = 7u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..3000 {
        let mut disk = Image::new(64, 512);
        match noise() % 3 {
            0 => disk.gpt(&[(1, 10, 19, "a"), (9, 20, 29, "b")]),
            _ => disk.table(0, &[(0x39, 4, 20), (0x05, 30, 30)]),
        }
        disk.table(30, &[(0x83, 1, 2), (0x05, 4, 4)]);
        disk.put(5, 0, b"part 9fat 0 5\npart x 5 10\n");
        for _ in 0..noise() % 20 {
            let at = (noise() % 60 * 512 + noise() % 100) as usize;
            disk.bytes[at] = noise() as u8;
        }
        for _ in 0..noise() % 8 {
            disk.bytes[446 + (noise() % 64) as usize] = noise() as u8;
        }
        let found = disk.find();
        for (n, part) in found.parts.iter().enumerate() {
            assert!(part.start < part.end && part.end <= 64 && is_name(&part.name));
            assert!(found.parts[..n].iter().all(|p| p.name != part.name));
        }
        assert!(disk.reads < 600);
    }
}
