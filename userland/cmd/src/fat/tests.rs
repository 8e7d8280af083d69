//! Disks in memory, sound ones of every kind and spoilt ones, as a client of the server sees them.

use std::cell::RefCell as Shared;
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use lamfat::{FatType, FormatVolumeOptions, format_volume};
use ninep::server::Files;

use super::disk::{Core, Disk};
use super::*;

std::thread_local! {
    static BYTES: Shared<Vec<u8>> = const { Shared::new(Vec::new()) };
}

/// The disk that this test has. Of one whose name ends in `ro` nothing can be changed.
struct Memory {
    readonly: bool,
}

impl Device for Memory {
    fn size(&self) -> u64 {
        BYTES.with_borrow(|bytes| bytes.len() as u64)
    }

    fn is_readonly(&self) -> bool {
        self.readonly
    }

    fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), String> {
        BYTES.with_borrow(|bytes| {
            let from = bytes.get(offset as usize..).and_then(|bytes| bytes.get(..to.len()));
            to.copy_from_slice(from.ok_or("i/o error")?);
            Ok(())
        })
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<(), String> {
        assert!(!self.readonly);
        BYTES.with_borrow_mut(|bytes| {
            let to = bytes.get_mut(offset as usize..).and_then(|bytes| bytes.get_mut(..from.len()));
            to.ok_or("i/o error")?.copy_from_slice(from);
            Ok(())
        })
    }
}

fn open(name: &str) -> Result<Memory, String> {
    match name {
        "/dev/sdF0/dos" | "ro" => Ok(Memory { readonly: name == "ro" }),
        _ => Err(format!("{name}: file does not exist")),
    }
}

/// A moment that FAT can tell.
const NOW: i64 = 1_800_000_000;

fn dos() -> Dos<Memory> {
    Dos::new(open, || NOW, Some("/dev/sdF0/dos"), b"glenda")
}

/// An empty file system of that kind and size.
fn format(kind: FatType, len: usize) {
    BYTES.with_borrow_mut(|bytes| *bytes = vec![0; len]);
    let core = Rc::new(RefCell::new(Core::new(Memory { readonly: false })));
    core.borrow_mut().allow(u64::MAX);
    let options = FormatVolumeOptions::new().fat_type(kind);
    format_volume(&mut Disk::new(core), options).unwrap();
}

const KINDS: [(FatType, usize); 3] =
    [(FatType::Fat12, 1440 << 10), (FatType::Fat16, 16 << 20), (FatType::Fat32, 40 << 20)];

fn walk(dos: &Dos<Memory>, path: &str) -> Result<File<Memory>> {
    let mut file = dos.attach(b"glenda", b"")?.0;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        file = dos.walk(&file, name.as_bytes())?.0;
    }
    Ok(file)
}

fn make(dos: &Dos<Memory>, dir: &str, name: &str, bytes: &[u8]) -> Result<()> {
    let file = dos.create(&walk(dos, dir)?, name.as_bytes(), 0o666, abi::OWRITE)?.0;
    for (n, piece) in bytes.chunks(5000).enumerate() {
        assert_eq!(dos.write(&file, n as u64 * 5000, piece)?, piece.len());
    }
    Ok(())
}

fn mkdir(dos: &Dos<Memory>, dir: &str, name: &str) -> Result<()> {
    dos.create(&walk(dos, dir)?, name.as_bytes(), DMDIR | 0o777, abi::OREAD).map(drop)
}

fn bytes(dos: &Dos<Memory>, path: &str) -> Result<Vec<u8>> {
    let file = walk(dos, path)?;
    let (mut all, mut piece) = (Vec::new(), [0; 7000]);
    loop {
        let n = dos.read(&file, all.len() as u64, &mut piece)?;
        if n == 0 || all.len() > 1 << 24 {
            return Ok(all);
        }
        all.extend_from_slice(&piece[..n]);
    }
}

fn names(dos: &Dos<Memory>, path: &str) -> Result<Vec<String>> {
    let dir = dos.open(&walk(dos, path)?, abi::OREAD)?.0;
    let mut names = Vec::new();
    let mut rewind = true;
    loop {
        let before = names.len();
        // So many records a read.
        let mut left = 7;
        dos.list(&dir, rewind, &mut |record| {
            if left == 0 {
                return false;
            }
            left -= 1;
            let (stat, _) = Stat::parse(ninep::Dialect::P9, record).unwrap();
            names.push(String::from_utf8(stat.name.bytes().to_vec()).unwrap());
            true
        })?;
        rewind = false;
        if names.len() == before || names.len() > 2000 {
            return Ok(names);
        }
    }
}

fn change(dos: &Dos<Memory>, path: &str, edit: impl FnOnce(&mut Dir<Str<'_>>)) -> Result<()> {
    let file = walk(dos, path)?;
    let mut dir = Dir::untouched();
    edit(&mut dir);
    dos.wstat(&file, &dir.into())
}

fn much(len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(0x9E37_79B1) >> 24) as u8).collect()
}

#[test]
fn files_are_made_read_changed_and_removed_on_every_kind() {
    for (kind, len) in KINDS {
        format(kind, len);
        let server = dos();
        make(&server, "", "a long name of Greek letters λόγος.text", b"hello\n").unwrap();
        make(&server, "", "README.TXT", &much(300_000)).unwrap();
        mkdir(&server, "", "lib").unwrap();
        mkdir(&server, "lib", "deep").unwrap();
        for n in 0..40 {
            make(&server, "lib/deep", &format!("file number {n}"), n.to_string().as_bytes()).unwrap();
        }
        // Another server, so that nothing is remembered.
        let held = walk(&server, "lib").unwrap();
        drop((held, server));
        let server = dos();
        assert_eq!(bytes(&server, "A LONG name of greek letters ΛΌΓΟΣ.text").unwrap(), b"hello\n");
        assert!(bytes(&server, "readme.txt").unwrap() == much(300_000));
        assert_eq!(names(&server, "").unwrap().len(), 3);
        assert_eq!(names(&server, "lib/deep").unwrap().len(), 40);
        assert_eq!(bytes(&server, "lib/deep/file number 39").unwrap(), b"39");
        assert!(walk(&server, "lib/deep/../../lib/deep/file number 0").is_ok());
        let stat = server.stat(&walk(&server, "readme.txt").unwrap()).unwrap();
        let (stat, _) = Stat::parse(ninep::Dialect::P9, &stat).unwrap();
        assert_eq!((stat.length, i64::from(stat.mtime), stat.mode), (300_000, NOW, 0o666));
        assert_eq!(stat.uid.bytes(), b"glenda");

        // In the middle, behind the end with a gap, shorter, longer.
        let file = walk(&server, "readme.txt").unwrap();
        let mut model = much(300_000);
        server.write(&file, 100_001, b"changed").unwrap();
        model[100_001..100_008].copy_from_slice(b"changed");
        server.write(&file, 310_000, b"end").unwrap();
        model.resize(310_000, 0);
        model.extend(b"end");
        assert!(bytes(&server, "readme.txt").unwrap() == model);
        for len in [70_000, 80_000, 0, 5] {
            change(&server, "readme.txt", |dir| dir.length = len as u64).unwrap();
            model.resize(len, 0);
            assert!(bytes(&server, "readme.txt").unwrap() == model, "{len}");
        }
        change(&server, "readme.txt", |dir| dir.mtime = 1_000_000_000).unwrap();

        // Another name, for who has it and what is below it, too.
        let below = walk(&server, "lib/deep/file number 7").unwrap();
        change(&server, "lib/deep", |dir| dir.name = Str(b"deeper than before")).unwrap();
        let mut piece = [0; 9];
        assert_eq!(server.read(&below, 0, &mut piece).unwrap(), 1);
        assert!(walk(&server, "lib/deep").is_err() && walk(&server, "lib/Deeper than before").is_ok());
        assert!(change(&server, "lib", |dir| dir.name = Str(b"readme.txt")).is_err());
        assert!(server.remove(&walk(&server, "lib").unwrap()).is_err());
        server.remove(&below).unwrap();
        assert!(server.read(&below, 0, &mut piece).is_err() && server.stat(&below).is_err());
        for name in names(&server, "lib/deeper than before").unwrap() {
            let path = format!("lib/deeper than before/{name}");
            server.remove(&walk(&server, &path).unwrap()).unwrap();
        }
        server.remove(&walk(&server, "lib/deeper than before").unwrap()).unwrap();
        server.remove(&walk(&server, "lib").unwrap()).unwrap();
        // Cut by who opens it.
        make(&server, "", "cut", b"something").unwrap();
        server.open(&walk(&server, "cut").unwrap(), abi::OWRITE | OTRUNC).unwrap();
        assert_eq!(bytes(&server, "cut").unwrap(), b"");
    }
}

#[test]
fn what_is_full_is_full_and_can_be_emptied() {
    format(FatType::Fat12, 200 << 10);
    let server = dos();
    assert!(make(&server, "", "big", &much(400_000)).unwrap_err().to_string().contains("full"));
    assert!(make(&server, "", "other", b"x").unwrap_err().to_string().contains("full"));
    server.remove(&walk(&server, "big").unwrap()).unwrap();
    make(&server, "", "fits", &much(150_000)).unwrap();
    assert!(bytes(&server, "fits").unwrap() == much(150_000));
}

#[test]
fn what_cannot_be_is_refused() {
    format(FatType::Fat16, 16 << 20);
    let server = dos();
    make(&server, "", "there", b"x").unwrap();
    for name in ["there", "THERE", "a*b", "a\"b", "a?b", "a:b", "a|b", "a<b"] {
        assert!(make(&server, "", name, b"").is_err(), "{name}");
    }
    assert!(make(&server, "", &"x".repeat(300), b"").is_err());
    assert!(server.create(&walk(&server, "").unwrap(), b"\xff", 0, 0).is_err());
    assert!(server.attach(b"glenda", b"/dev/sdF7/dos").is_err());
    let file = walk(&server, "there").unwrap();
    for offset in [u64::MAX, 1 << 32, (1 << 32) - 1, 1 << 30] {
        assert!(server.write(&file, offset, b"x").is_err(), "{offset}");
    }
    assert!(server.walk(&file, b"below").is_err());
    assert!(change(&server, "there", |dir| dir.mode = 0o444).is_err());
    assert!(change(&server, "there", |dir| dir.uid = Str(b"bootes")).is_err());
    assert!(change(&server, "there", |dir| dir.length = 1 << 40).is_err());
    assert!(change(&server, "", |dir| dir.name = Str(b"root")).is_err());
    assert!(change(&server, "there", |_| {}).is_ok());
    assert!(server.remove(&walk(&server, "").unwrap()).is_err());
    assert_eq!(bytes(&server, "there").unwrap(), b"x");

    // What is read only is not written, nor is what closes it.
    drop((file, server));
    let server = Dos::new(open, || NOW, Some("ro"), b"glenda");
    let before = BYTES.with_borrow(Vec::clone);
    assert_eq!(bytes(&server, "there").unwrap(), b"x");
    assert!(make(&server, "", "new", b"").is_err());
    assert!(server.remove(&walk(&server, "there").unwrap()).is_err());
    assert!(server.open(&walk(&server, "there").unwrap(), abi::OWRITE).is_err());
    drop(server);
    assert!(before == BYTES.with_borrow(Vec::clone));
}

/// Two mounts of one device are one file system.
#[test]
fn a_device_is_there_once() {
    format(FatType::Fat12, 1440 << 10);
    let server = dos();
    let one = server.attach(b"glenda", b"/dev/sdF0/dos").unwrap().0;
    let other = server.attach(b"glenda", b"").unwrap().0;
    let made = server.create(&one, b"made", 0o666, 0).unwrap().0;
    server.write(&made, 0, b"by one").unwrap();
    let found = server.walk(&other, b"MADE").unwrap().0;
    server.write(&found, 6, b" and the other").unwrap();
    assert_eq!(bytes(&server, "made").unwrap(), b"by one and the other");
    server.remove(&found).unwrap();
    assert!(server.stat(&made).is_err());
}

/// Does everything that can be done; nothing of it matters but that it ends.
fn use_it(server: &Dos<Memory>) {
    for path in ["", "lib", "lib/deep"] {
        let found = names(server, path).unwrap_or_default();
        for name in found.iter().take(6) {
            let path = format!("{path}/{name}");
            let _ = bytes(server, &path);
            let _ = names(server, &path);
            let _ = change(server, &path, |dir| dir.length = 700);
            let _ = change(server, &path, |dir| dir.mtime = 7);
        }
        let _ = make(server, path, "new file with a name", &much(9000));
        let _ = mkdir(server, path, "new folder");
        for name in found.iter().take(3) {
            let path = format!("{path}/{name}");
            let _ = change(server, &path, |dir| dir.name = Str(b"another name"));
            let _ = walk(server, &path).and_then(|file| server.remove(&file));
        }
    }
}

/// Nobody panics or goes on for ever, whatever is on a disk.
#[test]
fn spoilt_disks_are_errors() {
    let mut seed = 0x5eed_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below.max(1) as u64) as usize
    };
    for (kind, len) in [(FatType::Fat12, 360 << 10), (FatType::Fat16, 5 << 20), (FatType::Fat32, 36 << 20)] {
        format(kind, len);
        {
            let server = dos();
            make(&server, "", "a file with a long name", &much(40_000)).unwrap();
            mkdir(&server, "", "lib").unwrap();
            mkdir(&server, "lib", "deep").unwrap();
            (0..20).for_each(|n| make(&server, "lib/deep", &format!("f{n}"), b"x").unwrap());
        }
        let sound = BYTES.with_borrow(Vec::clone);
        // Where something is, zeros are dull.
        let used: Vec<usize> = (0..sound.len()).filter(|&n| sound[n] != 0).collect();
        for round in 0..120 {
            let mut bytes = sound.clone();
            for _ in 0..=random(6) {
                let at = match random(4) {
                    0 => random(64),
                    1 => random(8192),
                    _ => used[random(used.len())],
                };
                bytes[at] = if random(3) == 0 { [0, 1, 2, 0xff][random(4)] } else { random(256) as u8 };
            }
            if round % 10 == 9 {
                bytes.truncate(random(bytes.len()));
            }
            BYTES.set(bytes);
            use_it(&dos());
        }
    }
    // Nothing sound at all.
    for len in [0, 1, 511, 512, 70_000] {
        for _ in 0..20 {
            BYTES.set((0..len).map(|_| random(256) as u8).collect());
            assert!(dos().attach(b"glenda", b"").is_err());
        }
    }
}

/// A chain that bites its own tail ends, in a file and in a directory.
#[test]
fn circles_are_told() {
    format(FatType::Fat16, 16 << 20);
    make(&dos(), "", "long", &much(20_000)).unwrap();
    mkdir(&dos(), "", "lib").unwrap();
    (0..200).for_each(|n| make(&dos(), "lib", &format!("a file with number {n}"), b"").unwrap());
    // The two tables begin behind the reserved sectors; an entry is two bytes.
    BYTES.with_borrow_mut(|bytes| {
        let word = |bytes: &[u8], at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let (sector, table) = (word(bytes, 11), word(bytes, 14) * word(bytes, 11));
        let size = word(bytes, 22) * sector;
        let clusters = 2..size / 2;
        for cluster in clusters {
            for copy in 0..usize::from(bytes[16]) {
                let at = table + copy * size + cluster * 2;
                if word(bytes, at) != 0 {
                    bytes[at..at + 2].copy_from_slice(&(cluster as u16).to_le_bytes());
                }
            }
        }
    });
    let server = dos();
    let file = walk(&server, "long").unwrap();
    let lib = server.open(&walk(&server, "lib").unwrap(), abi::OREAD).unwrap().0;
    assert!(server.list(&lib, true, &mut |_| true).unwrap_err().to_string().contains("circles"));
    assert!(server.read(&file, 0, &mut [0; 100]).is_ok());
    let _ = server.remove(&file);
}
