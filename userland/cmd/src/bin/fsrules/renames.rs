//! Names that change while files are open, at them and above them, by many descriptors.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use abi::{ORCLOSE, ORDWR, OREAD};
use lib9::{Dir, File, Result, Rfork, error, fd, proc};

use super::{check, holds, mkdir, put, set_name};

/// How many descriptors are open at a time.
const MANY: [usize; 4] = [1, 2, 20, 100];

/// Runs part of a rule in a process that may change its working directory.
fn elsewhere(part: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    proc::spawn(Rfork::PROC | Rfork::FDG, part)?;
    let status = proc::await_()?.msg;
    check(status.is_empty(), &status)
}

/// A file and its directory below two that get other names, and others in their places.
pub fn renamed_below(dir: &str) -> Result<()> {
    for (n, many) in MANY.into_iter().enumerate() {
        let dir = format!("{dir}/{n}");
        mkdir(&dir, 0o755)?;
        elsewhere(move || below(&dir, many)).map_err(|e| error!("{many} descriptors: {e}"))?;
    }
    Ok(())
}

fn below(dir: &str, many: usize) -> Result<()> {
    let inner = format!("{dir}/d/x");
    mkdir(&format!("{dir}/d"), 0o755)?;
    mkdir(&inner, 0o755)?;
    put(&format!("{inner}/f"), 0o644, b"hello")?;
    let files = open(&format!("{inner}/f"), ORDWR, many)?;
    let lists = open(&inner, OREAD, many)?;
    fd::chdir(&inner)?;
    set_name(&format!("{dir}/d"), "e")?;
    mkdir(&format!("{dir}/d"), 0o755)?;
    mkdir(&inner, 0o755)?;
    put(&format!("{inner}/f"), 0o644, b"another file")?;
    set_name(&format!("{dir}/e/x"), "y")?;
    mkdir(&format!("{dir}/e/x"), 0o755)?;
    put(&format!("{dir}/e/x/f"), 0o644, b"a third")?;
    all_are(&files, "f", 5)?;
    change(&files)?;
    holds("f", b"he")?;
    holds(&format!("{dir}/e/y/f"), b"he")?;
    put("g", 0o644, b"")?;
    for list in &lists {
        let mut names: Vec<String> = list.dirread()?.into_iter().map(|e| e.name).collect();
        names.sort_unstable();
        check(names == ["f", "g"], &format!("a directory lists {names:?}"))?;
        check(list.stat()?.name == "y", "a directory has its old name")?;
    }
    check(fd::stat("../y/f")?.length == 2, "above the working directory is another")?;
    // Its own name, by a path from the working directory; what is beside it goes.
    set_name("f", "h")?;
    all_are(&files, "h", 2)?;
    fd::remove("g")?;
    if let Some(file) = files.last() {
        file.pwrite(b"XY", 0)?;
    }
    holds("h", b"XY")?;
    fd::remove("h")?;
    check(fd::stat(&format!("{dir}/e/y/h")).is_err(), "a removed file is there")?;
    for other in [format!("{inner}/f"), format!("{dir}/e/x/f")] {
        check(fd::stat(&other)?.mode & 0o777 == 0o644, "the mode of another has changed")?;
    }
    holds(&format!("{inner}/f"), b"another file")?;
    holds(&format!("{dir}/e/x/f"), b"a third")?;
    fd::chdir(dir)
}

/// Two files that change their names with each other, some times.
pub fn renamed_swap(dir: &str) -> Result<()> {
    for many in MANY {
        let (a, b) = (format!("{dir}/a"), format!("{dir}/b"));
        put(&a, 0o644, b"one")?;
        put(&b, 0o644, b"two two")?;
        let (ones, twos) = (open(&a, ORDWR, many)?, open(&b, ORDWR, many)?);
        for _ in 0..3 {
            set_name(&a, "t")?;
            set_name(&b, "a")?;
            set_name(&format!("{dir}/t"), "b")?;
        }
        let told = |e| error!("{many} descriptors: {e}");
        all_are(&ones, "b", 3).and_then(|()| all_are(&twos, "a", 7)).map_err(told)?;
        change(&ones).map_err(told)?;
        holds(&b, b"on")?;
        holds(&a, b"two two")?;
        check(fd::stat(&a)?.mode & 0o777 == 0o644, "the mode of another has changed")?;
        fd::remove(&a)?;
        all_are(&ones, "b", 2)?;
        fd::remove(&b)?;
    }
    Ok(())
}

/// What goes with its last close is that file, also when a directory above it has another name.
pub fn orclose_below(dir: &str) -> Result<()> {
    mkdir(&format!("{dir}/d"), 0o755)?;
    let f = File::create(&format!("{dir}/d/f"), ORDWR | ORCLOSE, 0o644)?;
    set_name(&format!("{dir}/d"), "e")?;
    mkdir(&format!("{dir}/d"), 0o755)?;
    put(&format!("{dir}/d/f"), 0o644, b"another")?;
    drop(f);
    check(fd::stat(&format!("{dir}/e/f")).is_err(), "it is still there")?;
    holds(&format!("{dir}/d/f"), b"another")
}

fn open(path: &str, mode: u32, many: usize) -> Result<Vec<File>> {
    (0..many).map(|_| File::open(path, mode)).collect()
}

/// All are the file of this name and length.
fn all_are(files: &[File], name: &str, length: u64) -> Result<()> {
    for (n, file) in files.iter().enumerate() {
        let stat = file.stat()?;
        let is = stat.length == length && stat.name == name;
        check(is, &format!("descriptor {n} is '{}' of {} bytes", stat.name, stat.length))?;
    }
    Ok(())
}

/// Cuts the file by the first descriptor, and changes its mode by the last; all see both.
fn change(files: &[File]) -> Result<()> {
    let [first, .., last] = files else {
        return files
            .first()
            .map_or(Ok(()), |only| fd::fwstat(only.fd(), &Dir { length: 2, ..Dir::untouched() }));
    };
    fd::fwstat(first.fd(), &Dir { length: 2, ..Dir::untouched() })?;
    fd::fwstat(last.fd(), &Dir { mode: 0o600, ..Dir::untouched() })?;
    check(
        files.iter().all(|f| f.stat().is_ok_and(|s| s.mode & 0o777 == 0o600)),
        "not all see the same mode",
    )?;
    let gid = last.stat()?.gid.to_string();
    // A wstat of what it is already is none that fails.
    fd::fwstat(last.fd(), &Dir { gid, mode: 0o600, ..Dir::untouched() })
}
