//! Pipes.

use lib9::alloc::format;
use lib9::alloc::vec;
use lib9::alloc::vec::Vec;
use lib9::sys::probe::notes::{self, Then};
use lib9::{File, fd};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("pipe.both-ways", both_ways),
    test("pipe.boundaries", boundaries),
    test("pipe.end", end),
    test("pipe.broken", broken),
    test("pipe.suicide", suicide),
    test("pipe.full", full),
    test("pipe.large", large),
    test("pipe.atomic", atomic),
    test("pipe.zero", zero),
    test("pipe.interrupted", interrupted),
    test("pipe.stat", stat),
    test("pipe.bound", bound),
    test("pipe.many", many),
];

fn read(fd: i32, n: usize) -> Result<Vec<u8>, lib9::Error> {
    let mut buf = vec![0; n];
    let n = fd::read(fd, &mut buf)?;
    buf.truncate(n);
    Ok(buf)
}

fn both_ways() -> Outcome {
    let [a, b] = fd::pipe()?;
    fd::write(a, b"one")?;
    fd::write(b, b"two")?;
    same(read(b, 10)?, b"one".to_vec(), "at b")?;
    same(read(a, 10)?, b"two".to_vec(), "at a")
}

/// A read gives bytes of one write.
fn boundaries() -> Outcome {
    let [a, b] = fd::pipe()?;
    for piece in ["one", "two", "three"] {
        fd::write(a, piece.as_bytes())?;
    }
    same(read(b, 100)?, b"one".to_vec(), "the first")?;
    same(read(b, 2)?, b"tw".to_vec(), "a part of the second")?;
    same(read(b, 100)?, b"o".to_vec(), "the rest of it")?;
    same(read(b, 100)?, b"three".to_vec(), "the third")
}

/// The other end is closed: what is left, then 0 three times, then an error.
fn end() -> Outcome {
    let [a, b] = fd::pipe()?;
    fd::write(a, b"left")?;
    fd::close(a)?;
    same(read(b, 100)?, b"left".to_vec(), "what was written before")?;
    for n in 0..3 {
        same(read(b, 100)?.len(), 0, &format!("the end, {n}"))?;
    }
    fails(read(b, 100), abi::error::EHUNGUP, "afterwards")
}

/// Writing to it is an error and a note.
fn broken() -> Outcome {
    notes::on(Then::Noted(abi::NCONT))?;
    let [a, b] = fd::pipe()?;
    fd::close(b)?;
    fails(fd::write(a, b"x"), abi::error::EHUNGUP, "writing")?;
    same(notes::count(), 1, "notes")?;
    let (text, ureg) = notes::last();
    same(text, format!("sys: write on closed pipe pc={:#x}", ureg.pc), "the note")
}

fn suicide() -> Outcome {
    let said = death(|| {
        let [a, b] = fd::pipe()?;
        fd::close(b)?;
        fd::write(a, b"x")?;
        Ok(())
    })?;
    check(said.starts_with("sys: write on closed pipe pc=0x"), &said)
}

/// A writer waits when there is too much, and goes on when somebody reads.
fn full() -> Outcome {
    let [a, b] = fd::pipe()?;
    let pid = start(|| {
        let piece = vec![7; 32 * 1024];
        for _ in 0..20 {
            fd::write_all(a, &piece)?;
        }
        Ok(())
    })?;
    fd::close(a)?;
    until_state(pid, "Pwrite")?;
    let mut got = 0;
    loop {
        match read(b, 100_000)?.len() {
            0 => break,
            n => got += n,
        }
    }
    same(got, 20 * 32 * 1024, "bytes")?;
    same(wait(pid)?, "", "the writer")
}

/// More than the pipe holds, in one write.
fn large() -> Outcome {
    let [a, b] = fd::pipe()?;
    let bytes: Vec<u8> = (0..1_000_003u32).map(|i| (i ^ i >> 8) as u8).collect();
    let pid = start(|| same(fd::write(a, &bytes)?, bytes.len(), "written"))?;
    fd::close(a)?;
    let got = fd::read_all(b)?;
    check(got == bytes, "other bytes")?;
    same(wait(pid)?, "", "the writer")
}

/// Writes of up to 64 KiB are not mixed.
fn atomic() -> Outcome {
    let [a, b] = fd::pipe()?;
    let mut pids = Vec::new();
    for n in 1..=4u8 {
        pids.push(start(|| {
            let piece = vec![n; 64 * 1024];
            for _ in 0..10 {
                fd::write_all(a, &piece)?;
            }
            Ok(())
        })?);
    }
    fd::close(a)?;
    let mut pieces = 0;
    loop {
        let piece = read(b, 64 * 1024)?;
        let Some(first) = piece.first() else { break };
        check(piece.len() == 64 * 1024 && piece.iter().all(|x| x == first), "a mixed piece")?;
        pieces += 1;
    }
    same(pieces, 40, "pieces")?;
    for pid in pids {
        same(wait(pid)?, "", "a writer")?;
    }
    Ok(())
}

/// A write of nothing is read as nothing.
fn zero() -> Outcome {
    let [a, b] = fd::pipe()?;
    same(fd::write(a, b"")?, 0, "written")?;
    fd::write(a, b"x")?;
    same(read(b, 10)?.len(), 0, "the empty piece")?;
    same(read(b, 10)?, b"x".to_vec(), "the next")
}

fn interrupted() -> Outcome {
    notes::on(Then::Noted(abi::NCONT))?;
    let [a, b] = fd::pipe()?;
    note_in("Pread")?;
    fails(read(b, 1), abi::error::EINTR, "a read")?;
    let piece = vec![0; 300_000];
    note_in("Pwrite")?;
    // Part of it may have gone in: then that counts.
    match fd::write(a, &piece) {
        Ok(n) => check(n > 0 && n < piece.len(), "everything fitted"),
        Err(e) => fails(Err::<(), _>(e), abi::error::EINTR, "a write"),
    }?;
    same(notes::count(), 2, "notes")
}

fn stat() -> Outcome {
    let [a, b] = fd::pipe()?;
    fd::write(a, b"12345")?;
    let (da, db) = (fd::fstat(a)?, fd::fstat(b)?);
    same((da.name.as_str(), db.name.as_str()), ("data", "data1"), "names")?;
    same((da.kind, da.mode), (u16::from(b'|'), 0o666), "type and mode")?;
    check(da.dev == db.dev && da.qid.path != db.qid.path, "which pipe")?;
    let other = fd::fstat(fd::pipe()?[0])?;
    check(other.dev != da.dev, "another pipe's instance")
}

/// A pipe in the name space.
fn bound() -> Outcome {
    lib9::ns::bind("#|", "/mnt", abi::MREPL)?;
    let a = File::open("/mnt/data", abi::ORDWR)?;
    let b = File::open("/mnt/data1", abi::ORDWR)?;
    a.write_all(b"x")?;
    same(read(b.fd(), 10)?, b"x".to_vec(), "at the other end")?;
    drop(a);
    same(read(b.fd(), 10)?.len(), 0, "closed")?;
    drop(b);
    let a = File::open("/mnt/data", abi::ORDWR)?;
    let b = File::open("/mnt/data1", abi::ORDWR)?;
    b.write_all(b"y")?;
    same(read(a.fd(), 10)?, b"y".to_vec(), "used again")
}

/// Many at once, and all go away.
fn many() -> Outcome {
    let mut pipes = Vec::new();
    for n in 0..200u8 {
        let p = fd::pipe()?;
        fd::write(p[0], &[n])?;
        pipes.push(p);
    }
    for (n, p) in pipes.iter().enumerate() {
        same(read(p[1], 2)?, vec![n as u8], "through one of many")?;
    }
    Ok(())
}
