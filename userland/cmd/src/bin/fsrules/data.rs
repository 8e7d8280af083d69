//! What is in a file, and its record.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::ToString;

use abi::{ORDWR, OREAD, OTRUNC, OWRITE};
use lib9::{Dir, File, Result, fd};

use super::{check, holds, put, set_name};

pub fn dir_length(dir: &str) -> Result<()> {
    put(&format!("{dir}/f"), 0o644, b"")?;
    check(fd::stat(dir)?.length == 0, "a directory has a length")
}

pub fn dir_write(dir: &str) -> Result<()> {
    for mode in [OWRITE, ORDWR, OREAD | OTRUNC] {
        check(File::open(dir, mode).is_err(), "a directory is opened for writing")?;
    }
    Ok(())
}

pub fn null_wstat(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"text")?;
    let before = fd::stat(&path)?;
    let f = File::open(&path, ORDWR)?;
    fd::fwstat(f.fd(), &Dir::untouched())?;
    check(fd::stat(&path)? == before, "something has changed")
}

pub fn qid_fresh(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        put(&path, 0o644, b"")?;
        check(seen.insert(fd::stat(&path)?.qid.path), "a removed file's qid comes again")?;
        fd::remove(&path)?;
    }
    Ok(())
}

pub fn qid_stable(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"")?;
    let first = fd::stat(&path)?.qid.path;
    put(&path, 0o644, b"more")?;
    set_name(&path, "g")?;
    let f = File::open(&format!("{dir}/g"), OREAD)?;
    check(f.stat()?.qid.path == first, "it has become another file")?;
    put(&path, 0o644, b"")?;
    check(fd::stat(&path)?.qid.path != first, "two files have one qid")
}

pub fn qid_version(dir: &str) -> Result<()> {
    let f = File::create(&format!("{dir}/f"), ORDWR, 0o644)?;
    let mut seen = BTreeSet::new();
    for n in 0..4u8 {
        f.pwrite(&[n], 0)?;
        check(seen.insert(f.stat()?.qid.vers), "a write does not change the version")?;
    }
    Ok(())
}

/// What is changed of a removed file is not changed of another that has its name.
pub fn removed_change(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"text")?;
    let f = File::open(&path, ORDWR)?;
    fd::remove(&path)?;
    put(&path, 0o644, b"another")?;
    let before = fd::stat(&path)?;
    // That may be refused.
    let _ = fd::fwstat(f.fd(), &Dir { length: 1, ..Dir::untouched() });
    let _ = fd::fwstat(f.fd(), &Dir { mode: 0o600, ..Dir::untouched() });
    let _ = fd::fwstat(f.fd(), &Dir { mtime: 1_000_000, ..Dir::untouched() });
    check(fd::fwstat(f.fd(), &Dir { name: "g".to_string(), ..Dir::untouched() }).is_err(), "it is renamed")?;
    check(fd::stat(&path)? == before, "it was another that has changed")?;
    holds(&path, b"another")
}

/// A removed file can be cut.
pub fn removed_length(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"text")?;
    let f = File::open(&path, ORDWR)?;
    fd::remove(&path)?;
    fd::fwstat(f.fd(), &Dir { length: 1, ..Dir::untouched() })?;
    check(f.stat()?.length == 1, "it has not become shorter")
}

/// Its bytes and its record are there as long as it is open; a new file of its name is another one.
pub fn removed_open(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"text")?;
    let f = File::open(&path, ORDWR)?;
    fd::remove(&path)?;
    check(f.stat()?.length == 4, "its record has gone")?;
    put(&path, 0o644, b"another")?;
    f.pwrite(b"T", 0)?;
    let mut buf = [0; 9];
    let n = f.pread(&mut buf, 0)?;
    check(buf.get(..n) == Some(b"Text"), "its bytes have gone")?;
    check(f.stat()?.length == 4, "its record is another's")?;
    holds(&path, b"another")
}

pub fn sparse(dir: &str) -> Result<()> {
    let f = File::create(&format!("{dir}/f"), ORDWR, 0o644)?;
    f.pwrite(b"end", 1 << 33)?;
    check(f.stat()?.length == (1 << 33) + 3, "the length is not that of the hole")?;
    let mut buf = [1; 100];
    check(f.pread(&mut buf, (1 << 33) - 50)? == 53, "it is shorter")?;
    check(buf.get(..50) == Some(&[0; 50]) && buf.get(50..53) == Some(b"end"), "the hole is no zeros")
}

pub fn truncate(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"0123456789")?;
    for length in [4, 8] {
        fd::wstat(&path, &Dir { length, ..Dir::untouched() })?;
    }
    holds(&path, b"0123\0\0\0\0")?;
    drop(File::open(&path, OWRITE | OTRUNC)?);
    holds(&path, b"")
}
