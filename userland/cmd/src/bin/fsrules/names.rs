//! Making, naming and removing.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use abi::{DMDIR, ORCLOSE, ORDWR, OREAD, OWRITE};
use lib9::{Dir, File, Result, Rfork, error, fd, ns, proc};

use super::{check, holds, mkdir, put, refused, set_name};

pub fn create_exists(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o640, b"text")?;
    refused(File::create(&path, OWRITE | abi::OEXCL, 0o644), "exist")?;
    holds(&path, b"text")?;
    // Without OEXCL it is opened and cut, and keeps its permissions.
    put(&path, 0o777, b"")?;
    holds(&path, b"")?;
    check(fd::stat(&path)?.mode == 0o640, "permissions changed")
}

/// In a union a file is made where that is allowed, and one that is there is opened where it is.
pub fn create_union(dir: &str) -> Result<()> {
    for name in ["front", "back", "point"] {
        mkdir(&format!("{dir}/{name}"), 0o777)?;
    }
    put(&format!("{dir}/front/there"), 0o644, b"in front")?;
    let dir = String::from(dir);
    proc::spawn(Rfork::PROC | Rfork::FDG | Rfork::NAMEG, move || {
        let (front, back, point) = (format!("{dir}/front"), format!("{dir}/back"), format!("{dir}/point"));
        ns::bind(&front, &point, abi::MREPL)?;
        refused(File::create(&format!("{point}/made"), OWRITE, 0o644), "forbids creation")?;
        ns::bind(&back, &point, abi::MAFTER | abi::MCREATE)?;
        put(&format!("{point}/made"), 0o644, b"behind")?;
        holds(&format!("{back}/made"), b"behind")?;
        check(fd::stat(&format!("{front}/made")).is_err(), "it was made where that is forbidden")?;
        put(&format!("{point}/there"), 0o644, b"new")?;
        holds(&format!("{front}/there"), b"new")?;
        check(fd::stat(&format!("{back}/there")).is_err(), "it was made again behind")?;
        refused(File::create(&format!("{point}/there"), OWRITE | abi::OEXCL, 0o644), "exist")?;
        set_name(&format!("{point}/made"), "renamed")?;
        holds(&format!("{back}/renamed"), b"behind")?;
        fd::remove(&format!("{point}/renamed"))?;
        check(fd::stat(&format!("{back}/renamed")).is_err(), "it is still there")
    })?;
    let status = proc::await_()?.msg;
    check(status.is_empty(), &status)
}

pub fn list_stable(dir: &str) -> Result<()> {
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

pub fn orclose(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    let f = File::create(&path, ORDWR | ORCLOSE, 0o644)?;
    fd::stat(&path)?;
    drop(f);
    check(fd::stat(&path).is_err(), "it is still there")?;
    put(&path, 0o644, b"")?;
    drop(File::open(&path, OREAD | ORCLOSE)?);
    check(fd::stat(&path).is_err(), "what was opened so is still there")?;
    fd::close(fd::create(&path, OREAD | ORCLOSE, DMDIR | 0o755)?)?;
    check(fd::stat(&path).is_err(), "a directory is still there")
}

/// What is removed is the file, and not another of its old name.
pub fn orclose_renamed(dir: &str) -> Result<()> {
    let path = format!("{dir}/f");
    let f = File::create(&path, ORDWR | ORCLOSE, 0o644)?;
    set_name(&path, "g")?;
    put(&path, 0o644, b"another")?;
    drop(f);
    check(fd::stat(&format!("{dir}/g")).is_err(), "it is still there")?;
    holds(&path, b"another")?;
    let f = File::open(&path, OREAD | ORCLOSE)?;
    fd::remove(&path)?;
    put(&path, 0o644, b"a third")?;
    drop(f);
    holds(&path, b"a third")
}

pub fn remove_full(dir: &str) -> Result<()> {
    let inner = format!("{dir}/d");
    fd::close(fd::create(&inner, OREAD, DMDIR | 0o755)?)?;
    put(&format!("{inner}/f"), 0o644, b"")?;
    refused(fd::remove(&inner), "not empty")?;
    fd::stat(&format!("{inner}/f")).map(drop)
}

/// A working directory that was removed is not the next one of its name.
pub fn removed_dir(dir: &str) -> Result<()> {
    let inner = format!("{dir}/d");
    mkdir(&inner, 0o755)?;
    let dir = String::from(dir);
    proc::spawn(Rfork::PROC | Rfork::FDG, move || {
        let list = fd::open(&inner, OREAD)?;
        fd::chdir(&inner)?;
        fd::remove(&inner)?;
        check(fd::stat("f").is_err() && File::create("f", OWRITE, 0o644).is_err(), "a file is made in it")?;
        mkdir(&inner, 0o755)?;
        put(&format!("{inner}/f"), 0o644, b"")?;
        check(fd::stat("f").is_err(), "it has become another")?;
        check(File::create("g", OWRITE, 0o644).is_err(), "a file is made in another")?;
        // A server may say as well that it is gone.
        check(fd::dirread(list).map_or(true, |l| l.is_empty()), "it lists another's files")?;
        fd::chdir(&dir)
    })?;
    let status = proc::await_()?.msg;
    check(status.is_empty(), &status)
}

pub fn rename(dir: &str) -> Result<()> {
    put(&format!("{dir}/a"), 0o644, b"text")?;
    set_name(&format!("{dir}/a"), "b")?;
    check(fd::stat(&format!("{dir}/a")).is_err(), "the old name is there")?;
    holds(&format!("{dir}/b"), b"text")?;
    refused(set_name(&format!("{dir}/b"), "c/d"), "file name")
        .or_else(|_| refused(set_name(&format!("{dir}/b"), "c/d"), "bad char"))
}

pub fn rename_dir(dir: &str) -> Result<()> {
    fd::close(fd::create(&format!("{dir}/d"), OREAD, DMDIR | 0o755)?)?;
    put(&format!("{dir}/d/f"), 0o644, b"text")?;
    let f = File::open(&format!("{dir}/d/f"), OREAD)?;
    set_name(&format!("{dir}/d"), "e")?;
    holds(&format!("{dir}/e/f"), b"text")?;
    check(f.read_all()? == b"text", "who had a file in it open has it no more")
}

pub fn rename_exists(dir: &str) -> Result<()> {
    put(&format!("{dir}/a"), 0o644, b"a")?;
    put(&format!("{dir}/b"), 0o644, b"b")?;
    refused(set_name(&format!("{dir}/a"), "b"), "exist")?;
    holds(&format!("{dir}/a"), b"a")?;
    holds(&format!("{dir}/b"), b"b")
}

/// So are descriptors and working directories below one that gets another name.
pub fn renamed_dir(dir: &str) -> Result<()> {
    for d in ["d", "d/x", "d/x/y", "e", "e/x", "e/x/y"] {
        mkdir(&format!("{dir}/{d}"), 0o755)?;
    }
    put(&format!("{dir}/d/x/y/f"), 0o644, b"text")?;
    put(&format!("{dir}/e/x/y/f"), 0o644, b"another text")?;
    let dir = String::from(dir);
    proc::spawn(Rfork::PROC | Rfork::FDG, move || {
        let f = File::open(&format!("{dir}/d/x/y/f"), ORDWR)?;
        let list = fd::open(&format!("{dir}/d/x"), OREAD)?;
        fd::chdir(&format!("{dir}/d/x/y"))?;
        set_name(&format!("{dir}/d"), "moved")?;
        set_name(&format!("{dir}/e"), "d")?;
        check(f.stat()?.length == 4, "stat is another's")?;
        fd::fwstat(f.fd(), &Dir { length: 2, ..Dir::untouched() })?;
        check(fd::dirread(list)?.iter().map(|e| e.name.as_str()).eq(["y"]), "the directory is another")?;
        holds("f", b"te")?;
        put("made", 0o644, b"")?;
        fd::stat(&format!("{dir}/moved/x/y/made"))?;
        fd::stat("../../x/y/made")?;
        holds(&format!("{dir}/d/x/y/f"), b"another text")?;
        fd::chdir(&dir)
    })?;
    let status = proc::await_()?.msg;
    check(status.is_empty(), &status)
}

/// A descriptor is its file, whatever its name becomes.
pub fn renamed_open(dir: &str) -> Result<()> {
    for many in [1, 2, 20, 100] {
        renamed_many(dir, many)?;
        for name in ["f", "h"] {
            fd::remove(&format!("{dir}/{name}"))?;
        }
    }
    Ok(())
}

fn renamed_many(dir: &str, many: usize) -> Result<()> {
    let path = format!("{dir}/f");
    put(&path, 0o644, b"hello")?;
    let open = (0..many).map(|_| File::open(&path, ORDWR)).collect::<Result<Vec<_>>>()?;
    set_name(&path, "g")?;
    put(&path, 0o644, b"another file")?;
    for f in &open {
        let stat = f.stat()?;
        check(stat.length == 5 && stat.name == "g", &format!("'{}' of {} bytes", stat.name, stat.length))?;
    }
    if let (Some(first), Some(last)) = (open.first(), open.last()) {
        fd::fwstat(first.fd(), &Dir { length: 2, ..Dir::untouched() })?;
        fd::fwstat(last.fd(), &Dir { mode: 0o600, ..Dir::untouched() })?;
        fd::fwstat(last.fd(), &Dir { name: "h".to_string(), ..Dir::untouched() })?;
        check(first.stat()?.mode & 0o777 == 0o600, "not all see the same mode")?;
    }
    holds(&format!("{dir}/h"), b"he")?;
    check(fd::stat(&path)?.mode & 0o777 == 0o644, "the mode of another has changed")?;
    holds(&path, b"another file")
}
