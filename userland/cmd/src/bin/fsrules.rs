//! fsrules [-x rule,...] dir: what Plan 9 says of files, tried in a directory of any file system. A line for each
//! rule that does not hold there, with what was seen; the status tells how many. Those behind -x are not tried.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use abi::{DMAPPEND, DMDIR, DMEXCL, DMTMP, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE};
use lib9::{Args, Dir, File, Result, Rfork, error, exits, fd, file, println, proc, usage};

lib9::program!(main);

/// A name, and what is tried in a fresh directory.
type Rule = (&'static str, fn(&str) -> Result<()>);

const RULES: &[Rule] = &[
    ("append", append),
    ("create-exists", create_exists),
    ("create-masked", create_masked),
    ("dir-length", dir_length),
    ("dir-write", dir_write),
    ("excl", excl),
    ("list-stable", list_stable),
    ("mode-type", mode_type),
    ("muid", muid),
    ("null-wstat", null_wstat),
    ("orclose", orclose),
    ("permissions", permissions),
    ("qid-fresh", qid_fresh),
    ("qid-stable", qid_stable),
    ("qid-version", qid_version),
    ("remove-full", remove_full),
    ("removed-open", removed_open),
    ("rename", rename),
    ("rename-dir", rename_dir),
    ("rename-exists", rename_exists),
    ("sparse", sparse),
    ("times", times),
    ("tmp", tmp),
    ("truncate", truncate),
];

fn main(args: &Args) -> Result<()> {
    let mut without = Vec::new();
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match (letter, flags.value()) {
            ('x', Ok(names)) => without.extend(names.split(',').map(String::from)),
            _ => usage(args, "[-x rule,...] dir"),
        }
    }
    let [dir] = flags.rest() else { usage(args, "[-x rule,...] dir") };
    let (mut tried, mut broken) = (0, 0);
    for (name, rule) in RULES {
        if without.iter().any(|w| w == name) {
            continue;
        }
        let place = format!("{dir}/{name}.{}", proc::getpid());
        fd::close(fd::create(&place, OREAD, DMDIR | 0o777)?)?;
        tried += 1;
        if let Err(e) = rule(&place) {
            println!("{name}: {e}");
            broken += 1;
        }
        clear(&place)?;
    }
    println!("{tried} rules, {broken} broken");
    if broken == 0 { Ok(()) } else { exits(&format!("{broken} broken")) }
}

/// Removes a directory and what is in it.
fn clear(dir: &str) -> Result<()> {
    for entry in fd::readdir(dir)? {
        let path = format!("{dir}/{}", entry.name);
        if entry.qid.is_dir() { clear(&path)? } else { fd::remove(&path)? }
    }
    fd::remove(dir)
}

fn check(holds: bool, what: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(error!("{what}")) }
}

/// It must be refused, in words that contain these.
fn refused<T>(result: Result<T>, words: &str) -> Result<()> {
    match result {
        Ok(_) => Err(error!("was allowed, which is to be refused: {words}")),
        Err(e) => check(e.text().contains(words), &format!("refused with '{}', not '{words}'", e.text())),
    }
}

/// A file with these permissions and contents.
fn put(path: &str, perm: u32, text: &[u8]) -> Result<()> {
    let f = File::create(path, OWRITE, perm)?;
    f.write_all(text)
}

fn holds(path: &str, text: &[u8]) -> Result<()> {
    let got = file::read(path)?;
    check(got == text, &format!("reads as '{}'", String::from_utf8_lossy(&got)))
}

/// Only the permissions of a directory.
fn set_mode(path: &str, mode: u32) -> Result<()> {
    fd::wstat(path, &Dir { mode, ..Dir::untouched() })
}

fn set_name(path: &str, name: &str) -> Result<()> {
    fd::wstat(path, &Dir { name: name.to_string(), ..Dir::untouched() })
}

fn append(dir: &str) -> Result<()> {
    let path = format!("{dir}/log");
    put(&path, DMAPPEND | 0o644, b"one ")?;
    let (a, b) = (File::open(&path, ORDWR | OTRUNC)?, File::open(&path, OWRITE)?);
    a.pwrite(b"two ", 0)?;
    b.pwrite(b"three", 0)?;
    holds(&path, b"one two three")?;
    let stat = fd::stat(&path)?;
    check(stat.mode & DMAPPEND != 0 && stat.qid.kind & 0x40 != 0, "stat does not show it")
}

fn create_exists(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o640, b"text")?;
    refused(File::create(&path, OWRITE | abi::OEXCL, 0o644), "exist")?;
    holds(&path, b"text")?;
    // Without OEXCL it is opened and cut, and keeps its permissions.
    put(&path, 0o777, b"")?;
    holds(&path, b"")?;
    check(fd::stat(&path)?.mode == 0o640, "permissions changed")
}

fn create_masked(dir: &str) -> Result<()> {
    let inner = format!("{dir}/d");
    fd::close(fd::create(&inner, OREAD, DMDIR | 0o750)?)?;
    put(&format!("{inner}/f"), 0o666, b"")?;
    fd::close(fd::create(&format!("{inner}/e"), OREAD, DMDIR | 0o777)?)?;
    let (f, e, d) = (fd::stat(&format!("{inner}/f"))?, fd::stat(&format!("{inner}/e"))?, fd::stat(&inner)?);
    check(f.mode == 0o640 && e.mode == DMDIR | 0o750, &format!("{:o} and {:o}", f.mode, e.mode))?;
    check(f.gid == d.gid, "the group is not the directory's")
}

fn dir_length(dir: &str) -> Result<()> {
    put(&format!("{dir}/f"), 0o644, b"")?;
    check(fd::stat(dir)?.length == 0, "a directory has a length")
}

fn dir_write(dir: &str) -> Result<()> {
    for mode in [OWRITE, ORDWR, OREAD | OTRUNC] {
        check(File::open(dir, mode).is_err(), "a directory is opened for writing")?;
    }
    Ok(())
}

fn excl(dir: &str) -> Result<()> {
    let path = format!("{dir}/lock");
    let f = File::create(&path, OWRITE, DMEXCL | 0o644)?;
    refused(File::open(&path, OREAD), "exclusive")?;
    drop(f);
    let f = File::open(&path, OREAD)?;
    check(f.stat()?.qid.kind & 0x20 != 0, "stat does not show it")?;
    refused(File::open(&path, OREAD), "exclusive")
}

fn list_stable(dir: &str) -> Result<()> {
    const COUNT: usize = 120;
    for n in 0..COUNT {
        put(&format!("{dir}/a-rather-long-name-{n:03}"), 0o644, b"")?;
    }
    let (list, mut seen) = (fd::open(dir, OREAD)?, BTreeSet::new());
    loop {
        let mut buf = [0; 4096];
        let n = fd::read(list, &mut buf)?;
        if n == 0 {
            break;
        }
        for entry in Dir::parse_all(buf.get(..n).unwrap_or(&[])).map_err(|e| error!("{e}"))? {
            fd::remove(&format!("{dir}/{}", entry.name))?;
            check(seen.insert(entry.name), "a name comes twice")?;
        }
    }
    fd::close(list)?;
    check(seen.len() == COUNT, &format!("{} of {COUNT} are seen while they go", seen.len()))
}

fn mode_type(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"")?;
    check(set_mode(&path, DMDIR | 0o755).is_err(), "a file becomes a directory")?;
    set_mode(&path, 0o600)?;
    check(fd::stat(&path)?.mode == 0o600, "the mode is not what was set")
}

fn muid(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"text")?;
    let (stat, me) = (fd::stat(&path)?, file::read_string("#c/user")?);
    check(stat.uid == me && stat.muid == me, &format!("uid '{}', muid '{}', not '{me}'", stat.uid, stat.muid))
}

fn null_wstat(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"text")?;
    let before = fd::stat(&path)?;
    let f = File::open(&path, ORDWR)?;
    fd::fwstat(f.fd(), &Dir::untouched())?;
    check(fd::stat(&path)? == before, "something has changed")
}

fn orclose(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    let f = File::create(&path, ORDWR | ORCLOSE, 0o644)?;
    fd::stat(&path)?;
    drop(f);
    check(fd::stat(&path).is_err(), "it is still there")
}

/// What another user may do.
fn permissions(dir: &str) -> Result<()> {
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

fn qid_fresh(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        put(&path, 0o644, b"")?;
        check(seen.insert(fd::stat(&path)?.qid.path), "a removed file's qid comes again")?;
        fd::remove(&path)?;
    }
    Ok(())
}

fn qid_stable(dir: &str) -> Result<()> {
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

fn qid_version(dir: &str) -> Result<()> {
    let f = File::create(&format!("{dir}/f"), ORDWR, 0o644)?;
    let mut seen = BTreeSet::new();
    for n in 0..4u8 {
        f.pwrite(&[n], 0)?;
        check(seen.insert(f.stat()?.qid.vers), "a write does not change the version")?;
    }
    Ok(())
}

fn remove_full(dir: &str) -> Result<()> {
    let inner = format!("{dir}/d");
    fd::close(fd::create(&inner, OREAD, DMDIR | 0o755)?)?;
    put(&format!("{inner}/f"), 0o644, b"")?;
    refused(fd::remove(&inner), "not empty")?;
    fd::stat(&format!("{inner}/f")).map(drop)
}

fn removed_open(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"text")?;
    let f = File::open(&path, ORDWR)?;
    fd::remove(&path)?;
    put(&path, 0o644, b"another")?;
    f.pwrite(b"T", 0)?;
    let mut buf = [0; 9];
    let n = f.pread(&mut buf, 0)?;
    check(buf.get(..n) == Some(b"Text"), "its bytes have gone")?;
    check(f.stat()?.length == 4, "its record has gone")?;
    holds(&path, b"another")
}

fn rename(dir: &str) -> Result<()> {
    put(&format!("{dir}/a"), 0o644, b"text")?;
    set_name(&format!("{dir}/a"), "b")?;
    check(fd::stat(&format!("{dir}/a")).is_err(), "the old name is there")?;
    holds(&format!("{dir}/b"), b"text")?;
    refused(set_name(&format!("{dir}/b"), "c/d"), "file name")
        .or_else(|_| refused(set_name(&format!("{dir}/b"), "c/d"), "bad char"))
}

fn rename_dir(dir: &str) -> Result<()> {
    fd::close(fd::create(&format!("{dir}/d"), OREAD, DMDIR | 0o755)?)?;
    put(&format!("{dir}/d/f"), 0o644, b"text")?;
    let f = File::open(&format!("{dir}/d/f"), OREAD)?;
    set_name(&format!("{dir}/d"), "e")?;
    holds(&format!("{dir}/e/f"), b"text")?;
    check(f.read_all()? == b"text", "who had a file in it open has it no more")
}

fn rename_exists(dir: &str) -> Result<()> {
    put(&format!("{dir}/a"), 0o644, b"a")?;
    put(&format!("{dir}/b"), 0o644, b"b")?;
    refused(set_name(&format!("{dir}/a"), "b"), "exist")?;
    holds(&format!("{dir}/a"), b"a")?;
    holds(&format!("{dir}/b"), b"b")
}

fn sparse(dir: &str) -> Result<()> {
    let f = File::create(&format!("{dir}/f"), ORDWR, 0o644)?;
    f.pwrite(b"end", 1 << 33)?;
    check(f.stat()?.length == (1 << 33) + 3, "the length is not that of the hole")?;
    let mut buf = [1; 100];
    check(f.pread(&mut buf, (1 << 33) - 50)? == 53, "it is shorter")?;
    check(buf.get(..50) == Some(&[0; 50]) && buf.get(50..53) == Some(b"end"), "the hole is no zeros")
}

fn times(dir: &str) -> Result<()> {
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

fn tmp(dir: &str) -> Result<()> {
    put(&format!("{dir}/f"), DMTMP | 0o644, b"")?;
    check(fd::stat(&format!("{dir}/f"))?.mode & DMTMP != 0, "stat does not show it")
}

fn truncate(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"0123456789")?;
    for length in [4, 8] {
        fd::wstat(&path, &Dir { length, ..Dir::untouched() })?;
    }
    holds(&path, b"0123\0\0\0\0")?;
    drop(File::open(&path, OWRITE | OTRUNC)?);
    holds(&path, b"")
}
