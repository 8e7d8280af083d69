//! Descriptors: numbers, modes, offsets.

use abi::syscall as no;
use lib9::alloc::format;
use lib9::alloc::vec::Vec;
use lib9::{File, fd};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("fd.lowest", lowest),
    test("fd.bad", bad),
    test("fd.dup", dup),
    test("fd.limit", limit),
    test("fd.mode", mode),
    test("fd.open-mode", open_mode),
    test("fd.seek", seek),
    test("fd.pread", pread),
    test("fd.shared-offset", shared_offset),
    test("fd.dev-fd", dev_fd),
    test("fd.fd2path", fd2path),
    test("fd.closed-by-another", closed_by_another),
];

/// Nothing but 0, 1 and 2.
fn three() {
    for n in 3..30 {
        let _ = fd::close(n);
    }
}

fn null() -> Result<i32, lib9::Error> {
    fd::open("/dev/null", abi::ORDWR)
}

fn lowest() -> Outcome {
    three();
    same([null()?, null()?, null()?], [3, 4, 5], "in order")?;
    fd::close(4)?;
    fd::close(3)?;
    same(fd::pipe()?, [3, 4], "the lowest free ones")?;
    fd::close(0)?;
    same(null()?, 0, "0, when it is free")
}

/// The text is the same for every call, and comes before other complaints.
fn bad() -> Outcome {
    let at = arena()?;
    for n in [-1i32, -2, 3000, 5000, i32::MAX, i32::MIN] {
        let n = n as u32 as u64;
        let calls: [(u64, Vec<u64>); 15] = [
            (no::CLOSE, [n].into()),
            (no::PREAD, [n, at, 10, 0].into()),
            (no::PREAD, [n, 8, 10, 0].into()),
            (no::PWRITE, [n, at, 10, 0].into()),
            (no::READ_OLD, [n, at, 10].into()),
            (no::WRITE_OLD, [n, at, 10].into()),
            (no::SEEK, [at, n, 0, 0].into()),
            (no::OSEEK, [n, 0, 0].into()),
            (no::FSTAT, [n, at, 1].into()),
            (no::FSTAT, [n, at, 1000].into()),
            (no::FSTAT_OLD, [n, at].into()),
            (no::FD2PATH, [n, at, 100].into()),
            (no::DUP, [n, u64::from(u32::MAX)].into()),
            (no::MOUNT, [n, u64::from(u32::MAX), put(at, "/mnt"), 0, 0].into()),
            (no::FAUTH, [n, at].into()),
        ];
        for (number, args) in calls {
            let what = format!("{} {args:x?}", no::name(number).unwrap_or("?"));
            same(
                call(number, &args).err().map(|e| lib9::alloc::string::String::from(e.text())).as_deref(),
                Some(abi::error::EBADFD),
                &what,
            )?;
        }
    }
    Ok(())
}

fn dup() -> Outcome {
    three();
    let a = null()?;
    same(fd::dup(a, -1)?, 4, "to the lowest")?;
    same(fd::dup(a, 10)?, 10, "to a number")?;
    same(fd::dup(a, a)?, a, "onto itself")?;
    fd::fstat(a)?;
    // What was there is closed.
    let [r, w] = fd::pipe()?;
    fd::dup(a, w)?;
    let mut byte = [0];
    same(fd::read(r, &mut byte)?, 0, "the other end of a pipe that was closed by dup")?;
    fails(fd::dup(a, -2), abi::error::EBADFD, "to -2")?;
    fails(fd::dup(99, 3), abi::error::EBADFD, "of none")?;
    fd::fstat(3).map(drop).map_err(Into::into)
}

/// The table grows by steps; a number far beyond is refused; there is an end.
fn limit() -> Outcome {
    three();
    let a = null()?;
    same(fd::dup(a, 18)?, 18, "18, which Go takes at once")?;
    fails(fd::dup(a, 5000), abi::error::EBADFD, "5000")?;
    let mut last = 0;
    let error = loop {
        match fd::dup(a, -1) {
            Ok(n) => last = n,
            Err(e) => break e,
        }
    };
    same(error.text(), abi::error::ENOFD, "when there are none left")?;
    same(last, 4999, "the last one")?;
    fails(null(), abi::error::ENOFD, "open")?;
    fails(fd::pipe(), abi::error::ENOFD, "pipe")?;
    fd::close(4999)?;
    fails(fd::pipe(), abi::error::ENOFD, "pipe with one left")?;
    same(null()?, 4999, "the one that a failed pipe gave back")
}

/// Each direction has to be asked for.
fn mode() -> Outcome {
    let f = Folder::new()?;
    let name = f.file("f", 0o777, b"0123456789")?;
    let mut buf = [0; 4];
    let r = File::open(&name, abi::OREAD)?;
    let w = File::open(&name, abi::OWRITE)?;
    let rw = File::open(&name, abi::ORDWR)?;
    let x = File::open(&name, abi::OEXEC)?;
    fails(fd::write(r.fd(), b"x"), abi::error::EBADUSEFD, "writing what is open for reading")?;
    fails(fd::write(x.fd(), b"x"), abi::error::EBADUSEFD, "writing what is open for execution")?;
    fails(w.read(&mut buf), abi::error::EBADUSEFD, "reading what is open for writing")?;
    same(x.read(&mut buf)?, 4, "reading what is open for execution")?;
    same(rw.read(&mut buf)?, 4, "reading")?;
    same(fd::write(rw.fd(), b"ab")?, 2, "writing")?;
    same(lib9::file::read(&name)?, b"0123ab6789".to_vec(), "the file")
}

/// Bits that `open` does not know.
fn open_mode() -> Outcome {
    for mode in [4u32, 8, abi::OEXCL, 0x80, 0x100, 0x8000_0000] {
        fails(fd::open("/dev/null", mode), abi::error::EBADARG, &format!("mode {mode:#x}"))?;
        if mode != abi::OEXCL {
            fails(
                fd::create("/env/usertests", mode, 0o666),
                abi::error::EBADARG,
                &format!("create, mode {mode:#x}"),
            )?;
        }
    }
    // The mode is judged before the name.
    fails(fd::open("/no/such", 0x100), abi::error::EBADARG, "a wrong mode for what is not there")
}

fn seek() -> Outcome {
    let f = Folder::new()?;
    let file = File::open(&f.file("f", 0o666, b"0123456789")?, abi::ORDWR)?;
    same(file.seek(3, 0)?, 3, "from the beginning")?;
    same(file.seek(4, 1)?, 7, "from here")?;
    same(file.seek(-2, 1)?, 5, "back")?;
    same(file.seek(-1, 2)?, 9, "from the end")?;
    same(file.seek(100, 2)?, 110, "beyond the end")?;
    let mut buf = [0; 4];
    same(file.read(&mut buf)?, 0, "reading there")?;
    fails(file.seek(-1, 0), abi::error::ENEGOFF, "below 0")?;
    fails(file.seek(i64::MIN, 1), abi::error::ENEGOFF, "far below 0")?;
    fails(file.seek(0, 3), abi::error::EBADARG, "whence 3")?;
    same(file.seek(0, 1)?, 110, "the offset after those")?;
    same(file.seek(1 << 40, 0)?, 1 << 40, "a large one")?;
    let dir = File::open(&f.0, abi::OREAD)?;
    fails(dir.seek(1, 0), abi::error::EISDIR, "in a directory")?;
    fails(dir.seek(0, 2), abi::error::EISDIR, "to the end of a directory")?;
    same(dir.seek(0, 0)?, 0, "to its beginning")?;
    let [r, _] = fd::pipe()?;
    fails(fd::seek(r, 0, 0), abi::error::EISSTREAM, "in a pipe")
}

/// Offsets of one's own leave the descriptor's alone; -1 is the descriptor's.
fn pread() -> Outcome {
    let f = Folder::new()?;
    let file = File::open(&f.file("f", 0o666, b"0123456789")?, abi::ORDWR)?;
    let mut buf = [0; 3];
    same((file.pread(&mut buf, 4)?, buf), (3, *b"456"), "at 4")?;
    same((file.read(&mut buf)?, buf), (3, *b"012"), "then from the beginning")?;
    same(file.pwrite(b"xx", 8)?, 2, "writing at 8")?;
    same((file.read(&mut buf)?, buf), (3, *b"345"), "and on")?;
    same(file.pread(&mut buf, 8)?, 2, "near the end")?;
    same(file.pread(&mut buf, 10)?, 0, "at the end")?;
    same(file.pread(&mut buf, 1 << 60)?, 0, "far behind")
}

/// Descriptors that were dupped or inherited share an offset; another open has its own.
fn shared_offset() -> Outcome {
    let f = Folder::new()?;
    let name = f.file("f", 0o666, b"0123456789")?;
    let file = File::open(&name, abi::OREAD)?;
    let other = File::open(&name, abi::OREAD)?;
    let twin = File::from_fd(fd::dup(file.fd(), -1)?);
    let mut buf = [0; 2];
    same((file.read(&mut buf)?, buf), (2, *b"01"), "first")?;
    same((twin.read(&mut buf)?, buf), (2, *b"23"), "the dup")?;
    child(|| {
        let mut buf = [0; 2];
        same((file.read(&mut buf)?, buf), (2, *b"45"), "a child")
    })?;
    same((file.read(&mut buf)?, buf), (2, *b"67"), "after the child")?;
    same((other.read(&mut buf)?, buf), (2, *b"01"), "another open")
}

/// `/fd/N` is what N is.
fn dev_fd() -> Outcome {
    let f = Folder::new()?;
    let file = File::open(&f.file("f", 0o666, b"0123456789")?, abi::OREAD)?;
    let name = format!("/fd/{}", file.fd());
    let mut buf = [0; 2];
    file.read(&mut buf)?;
    let same_one = File::open(&name, abi::OREAD)?;
    same((same_one.read(&mut buf)?, buf), (2, *b"23"), "it shares the offset")?;
    fails(File::open(&name, abi::OWRITE), abi::error::EBADUSEFD, "for writing")?;
    fails(File::open(&name, abi::OREAD | abi::ORCLOSE), abi::error::EPERM, "to be removed")?;
    fails(File::open("/fd/999", abi::OREAD), abi::error::ENONEXIST, "one that is not open")?;
    fails(File::open("/fd/01", abi::OREAD), abi::error::ENONEXIST, "with a zero in front")?;
    let text = lib9::file::read_string(&format!("{name}ctl"))?;
    check(text.contains(" r  R ") && text.trim_end().ends_with("/f"), &text)?;
    let names: Vec<_> = fd::readdir("/fd")?.into_iter().map(|d| (d.name, d.mode & 0o777)).collect();
    check(names.contains(&(format!("{}", file.fd()), 0o400)), "its permission")?;
    check(names.contains(&(format!("{}ctl", file.fd()), 0o400)), "its ctl")
}

fn fd2path() -> Outcome {
    let path = |name: &str| -> Result<_, lib9::Error> { fd::fd2path(File::open(name, abi::OREAD)?.fd()) };
    same(path("/lib/../lib/./namespace")?, "/lib/namespace", "cleaned")?;
    same(path("/")?, "/", "the root")?;
    same(path("/..")?, "/", "above the root")?;
    same(path("#c/pid")?, "#c/pid", "of a device")?;
    same(path("#d")?, "#d", "the root of a device")?;
    fd::chdir("/lib")?;
    same(path("namespace")?, "/lib/namespace", "relative")?;
    same(path("../lib/ndb/..")?, "/lib", "with ..")?;
    let [r, _] = fd::pipe()?;
    same(fd::fd2path(r)?, "#|/data", "a pipe")?;
    let at = arena()?;
    let lib = fd::open("/lib", abi::OREAD)?;
    int(no::FD2PATH, &[lib as u64, at, 3])?;
    same(lib9::sys::probe::peek(at, 4), b"/l\0\0".to_vec(), "cut")
}

/// A descriptor that another process of the group closes is gone.
fn closed_by_another() -> Outcome {
    let a = null()?;
    child_with(lib9::Rfork::empty(), || fd::close(a).map_err(Into::into))?;
    fails(fd::fstat(a), abi::error::EBADFD, "closed by a process that shares it")?;
    let a = null()?;
    child(|| fd::close(a).map_err(Into::into))?;
    fd::fstat(a).map(drop).map_err(Into::into)
}
