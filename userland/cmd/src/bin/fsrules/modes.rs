//! Who may do what with a file, and what its mode, owner, group and times say.

use alloc::format;
use alloc::string::{String, ToString};

use abi::{DMAPPEND, DMDIR, DMEXCL, DMTMP, OEXEC, ORDWR, OREAD, OTRUNC, OWRITE};
use lib9::{Dir, File, Result, Rfork, fd, file, proc};

use super::{check, holds, put, refused, set_mode, set_name};

pub fn append(dir: &str) -> Result<()> {
    let path = format!("{dir}/log");
    put(&path, DMAPPEND | 0o644, b"one ")?;
    // It is opened and not cut, by an open to cut it and by a create.
    let (a, b) = (File::open(&path, ORDWR | OTRUNC)?, File::create(&path, OWRITE, 0o600)?);
    drop(File::open(&path, OREAD | OTRUNC));
    holds(&path, b"one ")?;
    a.pwrite(b"two ", 0)?;
    b.pwrite(b"three", 0)?;
    holds(&path, b"one two three")?;
    let stat = fd::stat(&path)?;
    check(stat.mode & DMAPPEND != 0 && stat.qid.kind & 0x40 != 0, "stat does not show it")?;
    let entry = fd::readdir(dir)?.into_iter().find(|e| e.name == "log");
    check(entry.is_some_and(|e| e.mode & DMAPPEND != 0), "its directory does not show it")
}

/// A file becomes append-only, and is that no more.
pub fn append_set(dir: &str) -> Result<()> {
    let path = format!("{dir}/log");
    put(&path, 0o644, b"one ")?;
    set_mode(&path, DMAPPEND | 0o644)?;
    File::open(&path, OWRITE | OTRUNC)?.pwrite(b"two", 0)?;
    holds(&path, b"one two")?;
    set_name(&path, "renamed")?;
    let path = format!("{dir}/renamed");
    File::open(&path, OWRITE)?.pwrite(b" three", 0)?;
    holds(&path, b"one two three")?;
    set_mode(&path, 0o644)?;
    File::open(&path, OWRITE)?.pwrite(b"ONE", 0)?;
    holds(&path, b"ONE two three")
}

pub fn create_masked(dir: &str) -> Result<()> {
    let inner = format!("{dir}/d");
    fd::close(fd::create(&inner, OREAD, DMDIR | 0o750)?)?;
    put(&format!("{inner}/f"), 0o666, b"")?;
    fd::close(fd::create(&format!("{inner}/e"), OREAD, DMDIR | 0o777)?)?;
    let (f, e, d) = (fd::stat(&format!("{inner}/f"))?, fd::stat(&format!("{inner}/e"))?, fd::stat(&inner)?);
    check(f.mode == 0o640 && e.mode == DMDIR | 0o750, &format!("{:o} and {:o}", f.mode, e.mode))?;
    check(f.gid == d.gid, "the group is not the directory's")
}

pub fn excl(dir: &str) -> Result<()> {
    let path = format!("{dir}/lock");
    let f = File::create(&path, OWRITE, DMEXCL | 0o644)?;
    refused(File::open(&path, OREAD), "exclusive")?;
    drop(f);
    let f = File::open(&path, OREAD)?;
    check(f.stat()?.qid.kind & 0x20 != 0, "stat does not show it")?;
    refused(File::open(&path, OREAD), "exclusive")?;
    drop(f);
    // It is so as well when it becomes one.
    let other = format!("{dir}/other");
    put(&other, 0o644, b"")?;
    set_mode(&other, DMEXCL | 0o644)?;
    let f = File::open(&other, OREAD)?;
    refused(File::open(&other, OREAD), "exclusive")?;
    set_name(&other, "moved")?;
    refused(File::open(&format!("{dir}/moved"), OREAD), "exclusive")?;
    drop(f);
    File::open(&format!("{dir}/moved"), OREAD).map(drop)
}

/// Who is refused has not cut it before.
pub fn excl_cut(dir: &str) -> Result<()> {
    let path = format!("{dir}/lock");
    let f = File::create(&path, OWRITE, DMEXCL | 0o644)?;
    f.write_all(b"mine")?;
    for _ in 0..2 {
        refused(File::open(&path, OWRITE | OTRUNC), "exclusive")?;
        refused(File::open(&path, OREAD | OTRUNC), "exclusive")?;
        refused(File::create(&path, OWRITE, DMEXCL | 0o644), "exclusive")?;
        refused(File::create(&path, OWRITE, 0o644), "exclusive")?;
    }
    check(f.stat()?.length == 4, "it was cut")?;
    drop(f);
    holds(&path, b"mine")
}

/// Of those who make or open a lock at the same time one has it.
pub fn excl_race(dir: &str) -> Result<()> {
    const ROUNDS: u32 = 20;
    let path = format!("{dir}/lock");
    for child in 0..3 {
        let path = path.clone();
        proc::spawn(Rfork::PROC | Rfork::FDG, move || {
            let mut had = 0;
            while had < ROUNDS {
                let Ok(f) = File::create(&path, ORDWR, DMEXCL | 0o666) else {
                    proc::sleep(0)?;
                    continue;
                };
                f.pwrite(&[child; 8], 0)?;
                proc::sleep(0)?;
                let mut seen = [0; 9];
                let n = f.pread(&mut seen, 0)?;
                check(seen.get(..n) == Some(&[child; 8]), "two have it at a time")?;
                had += 1;
                if had % 4 == 0 {
                    fd::remove(&path)?;
                }
            }
            Ok(())
        })?;
    }
    let mut status = String::new();
    for _ in 0..3 {
        status.push_str(&proc::await_()?.msg);
    }
    check(status.is_empty(), &status)
}

/// Only what may be executed is opened for that, and no directory.
pub fn exec(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"text")?;
    refused(File::open(&path, OEXEC), "permission denied")?;
    set_mode(&path, 0o755)?;
    check(File::open(&path, OEXEC)?.read_all()? == b"text", "it cannot be read")?;
    check(File::open(dir, OEXEC).is_err(), "a directory is opened to be executed")
}

/// The group stays, as it is written back; nobody makes up another.
pub fn group(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"text")?;
    let before = fd::stat(&path)?;
    fd::wstat(&path, &Dir { gid: before.gid.clone(), mode: 0o640, ..Dir::untouched() })?;
    let other = Dir { gid: "no such group".to_string(), mode: 0o600, ..Dir::untouched() };
    check(fd::wstat(&path, &other).is_err(), "it has a group that there is not")?;
    let now = fd::stat(&path)?;
    check(now.gid == before.gid && now.mode == 0o640, "what was refused has changed it")
}

pub fn mode_type(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"")?;
    check(set_mode(&path, DMDIR | 0o755).is_err(), "a file becomes a directory")?;
    set_mode(&path, 0o600)?;
    check(fd::stat(&path)?.mode == 0o600, "the mode is not what was set")
}

pub fn muid(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"text")?;
    let (stat, me) = (fd::stat(&path)?, file::read_string("#c/user")?);
    check(stat.uid == me && stat.muid == me, &format!("uid '{}', muid '{}', not '{me}'", stat.uid, stat.muid))
}

pub fn owner(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"text")?;
    let before = fd::stat(&path)?;
    let other = Dir { uid: "nobody at all".to_string(), ..Dir::untouched() };
    refused(fd::wstat(&path, &other), "permission denied")?;
    fd::wstat(&path, &Dir { uid: before.uid.clone(), muid: before.muid.clone(), ..Dir::untouched() })?;
    check(fd::stat(&path)?.uid == before.uid, "the owner has changed")
}

/// What another user may do.
pub fn permissions(dir: &str) -> Result<()> {
    let (shut, open) = (format!("{dir}/shut"), format!("{dir}/open"));
    put(&shut, 0o600, b"secret")?;
    put(&open, 0o644, b"text")?;
    set_mode(dir, DMDIR | 0o755)?;
    let there = String::from(dir);
    proc::spawn(Rfork::PROC | Rfork::FDG, move || {
        file::control("#c/user", "none")?;
        refused(File::open(&shut, OREAD), "permission denied")?;
        holds(&open, b"text")?;
        refused(File::open(&open, OWRITE), "permission denied")?;
        refused(File::create(&format!("{there}/mine"), OWRITE, 0o644), "permission denied")?;
        refused(fd::remove(&open), "permission denied")?;
        check(set_mode(&open, 0o666).is_err(), "anybody changes the mode")?;
        check(set_name(&open, "other").is_err(), "anybody renames it")
    })?;
    let status = proc::await_()?.msg;
    set_mode(dir, DMDIR | 0o777)?;
    check(status.is_empty(), &status)
}

pub fn times(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"")?;
    fd::wstat(&path, &Dir { mtime: 1_000_000, atime: 2_000_000, ..Dir::untouched() })?;
    let stat = fd::stat(&path)?;
    check((stat.mtime, stat.atime) == (1_000_000, 2_000_000), "the times are not what was set")?;
    let f = File::open(&path, ORDWR)?;
    f.pwrite(b"x", 0)?;
    let now = u32::try_from(proc::seconds()).unwrap_or(0);
    check(now.abs_diff(f.stat()?.mtime) < 60, "a write does not set the time")
}

/// Beyond what fits into 31 bits.
pub fn times_late(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"")?;
    for time in [1, 0x7fff_ffff, 0x8000_0000, 3_000_000_000] {
        fd::wstat(&path, &Dir { mtime: time, ..Dir::untouched() })?;
        check(fd::stat(&path)?.mtime == time, &format!("{time} is another time"))?;
    }
    Ok(())
}

pub fn tmp(dir: &str) -> Result<()> {
    put(&format!("{dir}/f"), DMTMP | 0o644, b"")?;
    check(fd::stat(&format!("{dir}/f"))?.mode & DMTMP != 0, "stat does not show it")
}

/// A change is made as a whole or not at all.
pub fn wstat_whole(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"text")?;
    put(&format!("{dir}/there"), 0o644, b"")?;
    let before = fd::stat(&path)?;
    let change = Dir { mode: 0o600, mtime: 1_000_000, length: 1, ..Dir::untouched() };
    for name in ["there", "a/b", ".."] {
        let change = Dir { name: name.to_string(), ..change.clone() };
        check(fd::wstat(&path, &change).is_err(), "a bad name is taken")?;
    }
    let change = Dir { mode: DMDIR | 0o600, ..change };
    check(fd::wstat(&path, &change).is_err(), "a file becomes a directory")?;
    check(fd::stat(&path)? == before, "half of what was refused was done")?;
    // And all of it.
    let change = Dir { mode: 0o600, mtime: 1_000_000, length: 1, name: "g".to_string(), ..Dir::untouched() };
    fd::wstat(&path, &change)?;
    let now = fd::stat(&format!("{dir}/g"))?;
    check((now.mode, now.mtime, now.length) == (0o600, 1_000_000, 1), "not all of it was done")
}
