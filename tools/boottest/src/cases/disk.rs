//! Disks: `#S` with the partitions of every kind of table, whose bytes are made here and compared with the image.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::json;
use vm::{Board, Flavour};

use super::{MOUNT, q35};
use crate::case::{Case, World, re};

/// Bytes of a sector, and of the images.
const SECTOR: usize = 512;
const SIZE: usize = 8 << 20;

pub fn cases() -> Vec<Case> {
    vec![
        whole(),
        whole().on(Board::Pc, Flavour::Legacy),
        whole().on(Board::Pc, Flavour::Modern),
        whole().on(Board::Microvm, Flavour::Modern),
        Case::new("disk/gpt", q35())
            .disk("d0", gpt(false), "file=", "")
            .disk("d1", gpt(true), "file=", "")
            .line("sed 2d /dev/sdF0/ctl")
            .gives("part data 0 16384\npart root 100 200\npart plan9 200 8000\npart p3 8000 8100\npart fs 300 8000\n")
            .line("sed 2d /dev/sdF1/ctl; cat /dev/kmesg")
            .gives("part data 0 16384\npart root 100 200\npart plan9 200 8000\npart p3 8000 8100\npart fs 300 8000\n")
            .gives("sdF1: GPT: checksum of the header is wrong\n"),
        Case::new("disk/two", q35())
            .disk("d0", plain(1), "readonly=on,file=", "")
            .disk("d1", plain(2), "file=", ",logical_block_size=4096,physical_block_size=4096")
            .line("cat /dev/sdctl")
            .is("sdF0 virtio-block-0 16384 512 ro\nsdF1 virtio-block-1 2048 4096 rw\n")
            .line("echo no >/dev/sdF0/data")
            .gives("'/dev/sdF0/data' disk is write-protected")
            .line("dd -if /dev/sdF0/data -of /dev/sdF1/data -bs 100000; cmp /dev/sdF0/data /dev/sdF1/data; \
                   echo $status")
            .check(|w| {
                equal(&fs::read(w.image("d0")?)?, &plain(1))?;
                equal(&fs::read(w.image("d1")?)?, &plain(1))
            })
            .line("echo -n here | dd -of /dev/sdF1/data -bs 4 -oseek 1023; echo $status")
            .check(|w| {
                let mut all = plain(1);
                all[4092..4096].copy_from_slice(b"here");
                equal(&fs::read(w.image("d1")?)?, &all)
            }),
        // A disk that takes minutes for what is asked of it: killed is killed, and the driver is not confused by it.
        Case::new("disk/killed", q35())
            .disk("d0", plain(1), "throttling.bps-total=50000,file=", "")
            .line("dd -quiet 1 -if /dev/sdF0/data -bs 4096 -count 1 | sha1sum")
            .gives(re("^[0-9a-f]{40}"))
            .types("dd -if /dev/sdF0/data -bs 2097152 -of /dev/null &; while(! ps | grep -s ' dd$') {}; \
                    kill dd | rc; wait; \
                    ps | grep -c dd; echo g^one\n")
            .sees("\n0\ngone\n")
            .budget(20),
        Case::new("disk/many-readers", q35().memory_mib(512).smp(2))
            .disk("d0", plain(3), "file=", "")
            .line("echo part some 100 1100 >/dev/sdF0/ctl; sha1sum </dev/sdF0/some")
            .gives(re("^[0-9a-f]{40}"))
            .line(format!(
                "sha1sum </dev/sdF0/some; \
                 for(a in {DIGITS}) for(b in {DIGITS}) \
                 {{dd -if /dev/sdF0/some -bs 50$a$b >[2]/dev/null | sha1sum &}}; wait"
            ))
            .check(|w| {
                let mut sums: Vec<&str> = w.output.lines().filter_map(|l| l.split_ascii_whitespace().next()).collect();
                sums.retain(|s| s.len() == 40);
                ensure!(sums.len() == 101, "{} sums of 101:\n{}", sums.len(), w.output);
                ensure!(sums.iter().all(|s| *s == sums[0]), "they differ:\n{}", w.output);
                Ok(())
            })
            .line("grep block /dev/virtio")
            .gives(re("block requests [0-9]+ interrupts"))
            .budget(180),
        Case::new("disk/errors", q35())
            .disk("d0", plain(5), BAD_SECTOR, ",rerror=report,werror=report")
            .line("dd -if /dev/sdF0/data -bs 512 -count 102 -of /dev/null")
            .gives("dd: read: i/o error")
            .gives("100+0 records in\n100+0 records out\n")
            .line("dd -if /dev/sdF0/data -bs 512 -iseek 101 -count 7 -of /dev/null; grep block /dev/virtio")
            .gives("7+0 records in\n7+0 records out\n")
            .gives(" errors 1\n"),
        Case::new("disk/resize", q35())
            .disk("d0", plain(4), "file=", "")
            .line("cat /dev/sdctl")
            .is("sdF0 virtio-block-0 16384 512 rw\n")
            .qmp("block_resize", json!({"device": "d0", "size": 2 * SIZE}))
            .line("while(! grep -s 32768 /dev/sdctl) sleep 1; sed 1d /dev/sdF0/ctl")
            .gives("geometry 32768 512\npart data 0 32768\n"),
    ]
}

/// In and out of the partitions of a disk with tables, and nothing beside them.
fn whole() -> Case {
    Case::new("disk/mbr", q35())
        .share("host", |folder| Ok(fs::write(folder.join("in"), noise(11, 700_001))?))
        .line(MOUNT)
        .is("")
            .disk("d0", mbr(), "file=", ",serial=the-disk")
            .line("cat /dev/sdctl; cat /dev/sdF0/ctl | sed 1d")
            .gives(re("^sdF0 virtio-block-[01] 16384 512 rw\n"))
            .gives(
                "geometry 16384 512\npart data 0 16384\npart dos 64 2048\npart plan9 2048 8192\npart linux 8200 8300\n\
                 part linuxswap 9010 9500\npart 9fat 2048 3000\npart fossil 3000 8192\n",
            )
            .line("cat /dev/sdF0/ctl; grep block /dev/virtio")
            .gives(re("^inquiry virtio-block-[01] the-disk\n"))
            .gives(re("virtio-block-[01].* '16384 sectors the-disk' .* block requests"))
            .line("dd -if /dev/sdF0/fossil -of /n/host/out -bs 65536; echo $status")
            .check(|w| equal(&fs::read(w.folder("host")?.join("out"))?, part(w, "d0", 3000, 8192)?.as_slice()))
            // In, at odd offsets, and nothing beside it.
            .line("dd -if /n/host/in -of /dev/sdF0/fossil -bs 10007 -oseek 1; echo flush >/dev/sdF0/ctl; echo $status")
            .check(|w| {
                let mut all = mbr();
                all[3000 * SECTOR + 10_007..][..700_001].copy_from_slice(&noise(11, 700_001));
                equal(&fs::read(w.image("d0")?)?, &all)
            })
            .line("cat /n/host/in >/dev/sdF0/linux")
            .gives("short write: 51200 of ")
            .line("echo beyond | dd -of /dev/sdF0/linux -bs 51200 -oseek 1")
            .gives("i/o error")
            .line("echo part mine 20 40 >/dev/sdF0/ctl && echo delpart dos >/dev/sdF0/ctl; ls /dev/sdF0; echo $status")
            .is("/dev/sdF0/9fat\n/dev/sdF0/ctl\n/dev/sdF0/data\n/dev/sdF0/fossil\n/dev/sdF0/linux\n\
                 /dev/sdF0/linuxswap\n/dev/sdF0/mine\n/dev/sdF0/plan9\n\n")
}

/// A drive of which one sector cannot be read.
const BAD_SECTOR: &str = "file.driver=blkdebug,file.inject-error.0.event=read_aio,file.inject-error.0.sector=100,\
                          file.inject-error.0.errno=5,file.image.filename=";

const DIGITS: &str = "0 1 2 3 4 5 6 7 8 9";

/// Bytes that look random, and are the same for the same seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; len];
    for eight in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        eight.copy_from_slice(&state.to_le_bytes()[..eight.len()]);
    }
    bytes
}

/// A disk without tables.
fn plain(seed: u64) -> Vec<u8> {
    let mut disk = noise(seed, SIZE);
    disk[..2 * SECTOR].fill(0);
    disk
}

fn put(disk: &mut [u8], at: usize, bytes: &[u8]) {
    disk[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A table of PCs in a sector: type, start, length.
fn table(disk: &mut [u8], sector: usize, entries: &[(u8, u32, u32)]) {
    let at = sector * SECTOR;
    disk[at + 446..at + 510].fill(0);
    for (n, (kind, start, len)) in entries.iter().enumerate() {
        put(disk, at + 446 + 16 * n + 4, &[*kind]);
        put(disk, at + 446 + 16 * n + 8, &start.to_le_bytes());
        put(disk, at + 446 + 16 * n + 12, &len.to_le_bytes());
    }
    put(disk, at + 510, &[0x55, 0xAA]);
}

/// A disk with four partitions, two of them in an extended one, and a Plan 9 table.
fn mbr() -> Vec<u8> {
    let mut disk = plain(7);
    table(&mut disk, 0, &[(0x0C, 64, 1984), (0x39, 2048, 6144), (0x05, 8192, 8000)]);
    table(&mut disk, 8192, &[(0x83, 8, 100), (0x05, 800, 1000)]);
    table(&mut disk, 8992, &[(0x82, 18, 490)]);
    put(&mut disk, 2049 * SECTOR, b"part 9fat 0 952\npart fossil 952 6144\n\0");
    disk
}

/// A disk with a GPT, its first header damaged or not.
fn gpt(damaged: bool) -> Vec<u8> {
    let mut disk = plain(8);
    let last = (SIZE / SECTOR - 1) as u64;
    let mut array = vec![0; 128 * 128];
    let plan9 =
        [0xF9, 0x18, 0x18, 0xC9, 0x25, 0x80, 0xAF, 0x47, 0x89, 0xD2, 0xF0, 0x30, 0xD7, 0x00, 0x0C, 0x2C];
    for (n, (kind, from, to, name)) in
        [([1; 16], 100u64, 199u64, "root"), (plan9, 200, 7999, ""), ([2; 16], 8000, 8099, "two words")]
            .into_iter()
            .enumerate()
    {
        let at = 128 * n;
        put(&mut array, at, &kind);
        put(&mut array, at + 32, &from.to_le_bytes());
        put(&mut array, at + 40, &to.to_le_bytes());
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        put(&mut array, at + 56, &name);
    }
    table(&mut disk, 0, &[(0xEE, 1, last as u32)]);
    for (here, other, entries) in [(1, last, 2), (last, 1, last - 32)] {
        let mut header = vec![0; 92];
        put(&mut header, 0, b"EFI PART\0\0\x01\0\x5c\0\0\0");
        for (at, number) in [(24, here), (32, other), (40, 34), (48, last - 33), (72, entries)] {
            put(&mut header, at, &number.to_le_bytes());
        }
        put(&mut header, 80, &[128, 0, 0, 0, 128, 0, 0, 0]);
        put(&mut header, 88, &crc32fast::hash(&array).to_le_bytes());
        let sum = crc32fast::hash(&header);
        put(&mut header, 16, &sum.to_le_bytes());
        disk[here as usize * SECTOR..][..SECTOR].fill(0);
        put(&mut disk, here as usize * SECTOR, &header);
        put(&mut disk, entries as usize * SECTOR, &array);
    }
    put(&mut disk, 201 * SECTOR, b"part fs 100 7800\n\0");
    if damaged {
        disk[SECTOR + 40] ^= 1;
    }
    disk
}

/// Sectors of a disk as the host sees it.
fn part(w: &World, disk: &str, start: usize, end: usize) -> Result<Vec<u8>> {
    Ok(fs::read(w.image(disk)?)?[start * SECTOR..end * SECTOR].to_vec())
}

fn equal(found: &[u8], wanted: &[u8]) -> Result<()> {
    ensure!(found.len() == wanted.len(), "{} bytes instead of {}", found.len(), wanted.len());
    let wrong = found.iter().zip(wanted).position(|(a, b)| a != b);
    ensure!(wrong.is_none(), "byte {wrong:?} is wrong");
    Ok(())
}
