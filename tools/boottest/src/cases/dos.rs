//! `dossrv` on disks whose FAT is made here, byte by byte, and read again here: nobody's library is on this side.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{MOTD, MOUNT, motd, q35};
use crate::case::{Case, re};

const SECTOR: usize = 512;
/// Sectors of a floppy disk, and where its second table, its root and its first cluster (of number 2) begin.
const SECTORS: usize = 2880;
const TABLE: usize = 9;
const ROOT: usize = 1 + 2 * TABLE;
const DATA: usize = ROOT + 14;
/// Where the partition of a disk with a table begins.
const BEGIN: usize = 63;
const TEXT: &[u8] = b"hello from a floppy disk\n";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("dos/floppy", q35())
            .share("host", motd)
            .disk("d0", floppy(), "file=", "")
            .line(format!("{MOUNT}; dossrv; mount -c /srv/dos /n/c /dev/sdF0/data; ls /n/c; cat /n/c/Hello.Txt"))
            .is("/n/c/hello.txt\nhello from a floppy disk\n")
            .line("cp /n/host/motd '/n/c/A long name of mine.text'; mkdir /n/c/lib; cp /bin/cat /n/c/lib/cat.prog")
            .is("")
            .line(
                "cmp /bin/cat /n/c/lib/cat.prog && cat '/n/c/a long NAME of mine.text'; rm /n/c/hello.txt; \
                 ls -p /n/c",
            )
            .gives(re(&format!("^{MOTD}'?A long name of mine.text'?\nlib\n$")))
            .check(|w| {
                let image = fs::read(w.image("d0")?)?;
                let found = files(&image, &image[ROOT * SECTOR..DATA * SECTOR])?;
                ensure!(found.len() == 2, "{found:?}");
                ensure!(found[0].0 == "A long name of mine.text" && found[0].1 == MOTD.as_bytes(), "{found:?}");
                let lib = files(&image, &found[1].1)?;
                let (name, program) = lib.iter().find(|(name, _)| !name.starts_with('.')).context("no file")?;
                ensure!(name == "cat.prog" && program.starts_with(b"\x7fELF"), "{name}");
                ensure!(image[SECTOR..][..TABLE * SECTOR] == image[(1 + TABLE) * SECTOR..ROOT * SECTOR], "two tables");
                Ok(())
            })
            // Somewhere else, by another server and to be read alone.
            .line(
                "unmount /n/c; dossrv -r -f /dev/sdF0/data other; mount /srv/other /n/d; ls /n/d; \
                 rm /n/d/lib/cat.prog",
            )
            .gives(re("'?/n/d/A long name of mine.text'?\n/n/d/lib\n"))
            .gives("permission denied\n")
            .line("echo nothing of that kind >/tmp/x; mount /srv/dos /n/e /tmp/x; mount /srv/dos /n/e /none")
            .gives("no FAT file system is there\n")
            .gives(re("/none: [^\n]*does not exist")),
        Case::new("dos/partition", q35())
            .disk("d0", partitioned(), "file=", "")
            .line("c:; cat /n/c/hello.txt; echo new >/n/c/new; c:; cat /n/c/new; ls /srv/dos")
            .is("hello from a floppy disk\nnew\n/srv/dos\n")
            .check(|w| {
                let image = fs::read(w.image("d0")?)?;
                let image = image.get(BEGIN * SECTOR..).context("a short image")?;
                let found = files(image, &image[ROOT * SECTOR..DATA * SECTOR])?;
                ensure!(found.iter().any(|(name, bytes)| name == "new" && bytes == b"new\n"), "{found:?}");
                Ok(())
            }),
    ]
}

/// A floppy disk with one file.
fn floppy() -> Vec<u8> {
    let mut disk = vec![0; SECTORS * SECTOR];
    disk[..11].copy_from_slice(b"\xeb\x3c\x90ELWOOD  ");
    // Bytes of a sector, sectors of a cluster, reserved sectors, tables, entries of the root, sectors in all, the
    // medium, sectors of a table, sectors of a track, heads.
    disk[11..13].copy_from_slice(&512u16.to_le_bytes());
    disk[13..17].copy_from_slice(&[1, 1, 0, 2]);
    disk[17..19].copy_from_slice(&224u16.to_le_bytes());
    disk[19..21].copy_from_slice(&(SECTORS as u16).to_le_bytes());
    disk[21..24].copy_from_slice(&[0xf0, TABLE as u8, 0]);
    disk[24..28].copy_from_slice(&[18, 0, 2, 0]);
    disk[38] = 0x29;
    disk[43..62].copy_from_slice(b"NO NAME    FAT12   ");
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    for table in [1, 1 + TABLE] {
        // The medium, and the end of a chain of one cluster.
        disk[table * SECTOR..][..5].copy_from_slice(&[0xf0, 0xff, 0xff, 0xff, 0x0f]);
    }
    let entry = &mut disk[ROOT * SECTOR..];
    entry[..12].copy_from_slice(b"HELLO   TXT\x20");
    entry[26] = 2;
    entry[28] = TEXT.len() as u8;
    disk[DATA * SECTOR..][..TEXT.len()].copy_from_slice(TEXT);
    disk
}

/// The same as the first partition of a disk.
fn partitioned() -> Vec<u8> {
    let mut disk = vec![0; BEGIN * SECTOR];
    disk.extend(floppy());
    let entry = &mut disk[446..462];
    entry[4] = 1;
    entry[8] = BEGIN as u8;
    entry[12..16].copy_from_slice(&(SECTORS as u32).to_le_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

/// What is in a directory: names, long ones where there are, and contents; of a directory its entries.
fn files(disk: &[u8], dir: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut long: Vec<u16> = Vec::new();
    for entry in dir.chunks_exact(32).take_while(|entry| entry[0] != 0).filter(|entry| entry[0] != 0xe5) {
        let word = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        if entry[11] == 0x0f {
            // Thirteen letters, the last ones first.
            let letters = (1..11).step_by(2).chain((14..26).step_by(2)).chain([28, 30]).map(word);
            let letters: Vec<u16> = letters.take_while(|&letter| letter != 0).collect();
            long.splice(0..0, letters);
            continue;
        }
        let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_lowercase();
        let (name, ending) = (part(&entry[..8]), part(&entry[8..11]));
        let short = if ending.is_empty() { name } else { format!("{name}.{ending}") };
        let name = if long.is_empty() { short } else { String::from_utf16_lossy(&long) };
        long.clear();
        let size = u32::from_le_bytes([entry[28], entry[29], entry[30], entry[31]]) as usize;
        let (mut cluster, mut bytes) = (usize::from(word(26)), Vec::new());
        while (2..0xff8).contains(&cluster) && !name.starts_with('.') {
            ensure!(bytes.len() < disk.len(), "a chain leads in circles");
            let at = (DATA + cluster - 2) * SECTOR;
            bytes.extend(disk.get(at..at + SECTOR).context("a cluster that is none")?);
            // One and a half bytes an entry.
            let at = SECTOR + cluster * 3 / 2;
            let both = usize::from(u16::from_le_bytes([disk[at], disk[at + 1]]));
            cluster = if cluster % 2 == 0 { both & 0xfff } else { both >> 4 };
        }
        if entry[11] & 0x10 == 0 {
            ensure!(bytes.len() == size.next_multiple_of(SECTOR), "{name}: {} for {size}", bytes.len());
            bytes.truncate(size);
        }
        found.push((name, bytes));
    }
    Ok(found)
}
