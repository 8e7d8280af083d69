//! Directories: how they are made and read.

use abi::{DMDIR, OREAD, OWRITE};
use lib9::alloc::format;
use lib9::alloc::string::String;
use lib9::alloc::vec;
use lib9::alloc::vec::Vec;
use lib9::{Dir, File, fd};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("file.mkdir", mkdir),
    test("dir.read", dir_read),
    test("dir.read-small", dir_read_small),
    test("dir.offset", dir_offset),
    test("dir.write", dir_write),
    test("dir.many", dir_many),
];

fn mkdir() -> Outcome {
    let f = Folder::new()?;
    let dir = File::create(&f.at("d"), OREAD, DMDIR | 0o777)?;
    same(dir.dirread()?.len(), 0, "files in it")?;
    fails(fd::write(dir.fd(), b"x"), abi::error::EBADUSEFD, "writing it")?;
    fails(File::create(&f.at("d"), OREAD, DMDIR | 0o777), abi::error::EEXIST, "again")?;
    check(File::create(&f.at("e"), OWRITE, DMDIR | 0o777).is_err(), "open for writing")?;
    fails(File::open(&f.at("d"), OWRITE), abi::error::EISDIR, "opening it for writing")
        .or_else(|_| fails(File::open(&f.at("d"), OWRITE), abi::error::EPERM, "opening it for writing"))
}

fn names(dirs: &[Dir]) -> Vec<String> {
    let mut names: Vec<String> = dirs.iter().map(|d| d.name.clone()).collect();
    names.sort();
    names
}

fn dir_read() -> Outcome {
    let f = Folder::new()?;
    for name in ["one", "two", "three"] {
        f.file(name, 0o666, b"x")?;
    }
    let dirs = fd::readdir(&f.0)?;
    same(names(&dirs), ["one", "three", "two"], "names")?;
    for d in &dirs {
        same(d, &fd::stat(&f.at(&d.name))?, "the record and stat")?;
    }
    same(fd::readdir("/dev")?.iter().filter(|d| d.name == "null").count(), 1, "null in /dev")
}

/// Whole records only; none fits: an error.
fn dir_read_small() -> Outcome {
    let f = Folder::new()?;
    for n in 0..10 {
        f.file(&format!("file{n}"), 0o666, b"")?;
    }
    let size = fd::stat(&f.at("file0"))?.size();
    let dir = File::open(&f.0, OREAD)?;
    let mut small = vec![0; size - 1];
    fails(dir.read(&mut small), abi::error::ESHORT, "less than a record")?;
    let mut room = vec![0; size + size / 2];
    let mut seen = Vec::new();
    loop {
        let n = dir.read(&mut room)?;
        if n == 0 {
            break;
        }
        same(n, size, "one record")?;
        seen.extend(Dir::parse_all(&room[..n])?);
    }
    same(names(&seen).len(), 10, "all of them")?;
    same(dir.read(&mut room)?, 0, "the end again")
}

/// 0 and where the last read ended are the only offsets.
fn dir_offset() -> Outcome {
    let f = Folder::new()?;
    for n in 0..4 {
        f.file(&format!("file{n}"), 0o666, b"")?;
    }
    let dir = File::open(&f.0, OREAD)?;
    let mut room = vec![0; 150];
    let n = dir.read(&mut room)?;
    check(n > 0, "nothing")?;
    fails(dir.pread(&mut room, 7), abi::error::EDIRSEEK, "offset 7")?;
    check(dir.pread(&mut room, n as u64)? > 0, "where it ended")?;
    // Rewinding shows what is there now.
    f.file("new", 0o666, b"")?;
    dir.seek(0, 0)?;
    same(dir.dirread()?.len(), 5, "after rewinding")
}

fn dir_write() -> Outcome {
    let f = Folder::new()?;
    let dir = fd::open(&f.0, OREAD)?;
    check(fd::write(dir, b"x").is_err(), "written")?;
    fails(fd::pwrite(dir, b"x", 0), abi::error::EBADUSEFD, "open for reading")
}

/// Many files, read while they are removed.
fn dir_many() -> Outcome {
    let f = Folder::new()?;
    for n in 0..60 {
        f.file(&format!("file{n:03}"), 0o666, b"")?;
    }
    same(fd::readdir(&f.0)?.len(), 60, "files")?;
    let dir = File::open(&f.0, OREAD)?;
    let mut room = vec![0; 1000];
    let mut seen = 0;
    loop {
        let n = dir.read(&mut room)?;
        if n == 0 {
            break;
        }
        for d in Dir::parse_all(&room[..n])? {
            fd::remove(&f.at(&d.name))?;
            seen += 1;
        }
    }
    check(seen > 0, "none seen")?;
    // What a server shows of a directory that is being changed is its own affair; in the end all can be removed.
    for d in fd::readdir(&f.0)? {
        fd::remove(&f.at(&d.name))?;
    }
    same(fd::readdir(&f.0)?.len(), 0, "files left")
}
