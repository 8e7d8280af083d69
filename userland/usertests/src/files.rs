//! Files: create, open, read and write, stat, wstat, remove.

use abi::syscall as no;
use abi::{DMAPPEND, DMDIR, OEXCL, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE};
use lib9::alloc::format;
use lib9::alloc::vec;
use lib9::alloc::vec::Vec;
use lib9::{Dir, File, fd, file};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("file.create", create),
    test("file.create-perm", create_perm),
    test("file.create-mode", create_mode),
    test("file.create-names", create_names),
    test("file.excl", excl),
    test("file.trunc", trunc),
    test("file.rclose", rclose),
    test("file.append", append),
    test("file.stat", stat),
    test("file.stat-short", stat_short),
    test("file.stat-type", stat_type),
    test("file.wstat", wstat),
    test("file.wstat-rename", rename),
    test("file.wstat-bad", wstat_bad),
    test("file.wstat-all-or-nothing", all_or_nothing),
    test("file.remove", remove),
    test("file.holes", holes),
    test("file.qid", qid),
];

fn create() -> Outcome {
    let f = Folder::new()?;
    let name = f.at("new");
    let new = File::create(&name, ORDWR, 0o644)?;
    new.write_all(b"text")?;
    let d = fd::stat(&name)?;
    same((d.length, d.mode, d.name.as_str()), (4, 0o644, "new"), "the new file")?;
    check(fd::fd2path(new.fd())? == name, "its path")?;
    fails(File::create(&f.at("no/such"), OWRITE, 0o666), abi::error::ENONEXIST, "in no directory")?;
    fails(File::create(&f.at("new/x"), OWRITE, 0o666), abi::error::ENOTDIR, "in a file")
}

/// Permissions are those of the directory at most.
fn create_perm() -> Outcome {
    let f = Folder::new()?;
    let sub = f.at("sub");
    File::create(&sub, OREAD, DMDIR | 0o750)?;
    let perm = |name: &str, perm: u32| -> Result<u32, lib9::Error> {
        let name = format!("{sub}/{name}");
        File::create(&name, OREAD, perm)?;
        Ok(fd::stat(&name)?.mode)
    };
    same(perm("a", 0o666)?, 0o640, "a file")?;
    same(perm("b", 0o777)?, 0o751, "x bits are not the directory's business")?;
    same(perm("c", 0o400)?, 0o400, "less")?;
    same(perm("d", DMDIR | 0o777)?, DMDIR | 0o750, "a directory")?;
    same(perm("e", DMAPPEND | 0o666)?, DMAPPEND | 0o640, "an append-only file")
}

/// The mode is not checked against the new file's permission.
fn create_mode() -> Outcome {
    let f = Folder::new()?;
    let new = File::create(&f.at("ro"), ORDWR, 0o444)?;
    new.write_all(b"x")?;
    let none = File::create(&f.at("none"), OWRITE, 0)?;
    none.write_all(b"x")?;
    Ok(())
}

/// Names that are none.
fn create_names() -> Outcome {
    let f = Folder::new()?;
    let make = |name: &str, perm: u32| File::create(&f.at(name), OREAD, perm);
    fails(make("slash/", 0o666), abi::error::ENOTDMDIR, "a slash at the end")?;
    fails(make("dot/.", 0o666), abi::error::ENOTDMDIR, "a dot at the end")?;
    fails(make("a\u{1}b", 0o666), abi::error::EBADCHAR, "a control character")?;
    fails(make("a\u{7f}b", 0o666), abi::error::EBADCHAR, "a delete")?;
    make("slash/", DMDIR | 0o777)?;
    check(fd::stat(&f.at("slash"))?.is_dir(), "no directory")?;
    fails(File::create("", OREAD, 0o666), abi::error::ENONAME, "no name")?;
    check(File::create(&f.at("."), OREAD, 0o666).is_err(), "the directory itself")?;
    check(File::create(&f.at(".."), OREAD, 0o666).is_err(), "the directory above")?;
    check(File::create("/", OREAD, 0o666).is_err(), "the root")?;
    let long = "n".repeat(255);
    make(&long, 0o666)?;
    same(fd::stat(&f.at(&long))?.name, long, "a long name")?;
    make("blank and 'quote'", 0o666)?;
    make("é∂", 0o666)?;
    fd::stat(&f.at("é∂"))?;
    Ok(())
}

fn excl() -> Outcome {
    let f = Folder::new()?;
    File::create(&f.at("a"), OWRITE | OEXCL, 0o666)?;
    let text = format!("'{}' file already exists", f.at("a"));
    fails(File::create(&f.at("a"), OWRITE | OEXCL, 0o666), &text, "a second time")?;
    fails(File::create(&f.0, OREAD | OEXCL, DMDIR | 0o777), abi::error::EEXIST, "a directory")?;
    // Of many who try at once, one wins.
    let mut pids = Vec::new();
    for _ in 0..8 {
        pids.push(start(|| {
            let got = File::create(&f.at("race"), OWRITE | OEXCL, 0o666);
            check(got.is_err(), "won")
        })?);
    }
    let mut won = 0;
    for pid in pids {
        won += u32::from(wait(pid)? == "won");
    }
    same(won, 1, "who created it")
}

fn trunc() -> Outcome {
    let f = Folder::new()?;
    let name = f.file("a", 0o644, b"0123456789")?;
    let was = fd::stat(&name)?;
    File::create(&name, OWRITE, 0o777)?;
    let d = fd::stat(&name)?;
    same((d.length, d.mode, d.qid.path), (0, 0o644, was.qid.path), "created again: the old file, empty")?;
    file::write(&name, b"0123456789")?;
    File::open(&name, OWRITE | OTRUNC)?;
    same(fd::stat(&name)?.length, 0, "opened with OTRUNC")?;
    fails(File::open(&f.0, OREAD | OTRUNC), abi::error::EISDIR, "a directory")
        .or_else(|_| fails(File::open(&f.0, OREAD | OTRUNC), abi::error::EPERM, "a directory"))
}

fn rclose() -> Outcome {
    let f = Folder::new()?;
    let name = f.at("a");
    let a = File::create(&name, OWRITE | ORCLOSE, 0o666)?;
    let twin = File::from_fd(fd::dup(a.fd(), -1)?);
    drop(a);
    fd::stat(&name)?;
    drop(twin);
    fails(fd::stat(&name), abi::error::ENONEXIST, "after the last close")?;
    let name = f.file("b", 0o666, b"x")?;
    child(|| {
        core::mem::forget(File::open(&name, OREAD | ORCLOSE)?);
        Ok(())
    })?;
    fails(fd::stat(&name), abi::error::ENONEXIST, "after its opener's death")
}

/// Offsets do not matter: writes go to the end.
fn append() -> Outcome {
    let f = Folder::new()?;
    let name = f.at("log");
    let a = File::create(&name, OWRITE, DMAPPEND | 0o666)?;
    let b = File::open(&name, OWRITE)?;
    a.write_all(b"one")?;
    b.write_all(b"two")?;
    a.pwrite(b"three", 0)?;
    same(file::read_string(&name)?, "onetwothree", "the file")?;
    same(fd::stat(&name)?.qid.kind, abi::QTAPPEND, "the qid's type")
}

/// A new directory is open for reading.
fn stat() -> Outcome {
    let f = Folder::new()?;
    let name = f.file("a", 0o640, b"0123")?;
    let d = fd::stat(&name)?;
    same((d.name.as_str(), d.length, d.mode, d.qid.kind), ("a", 4, 0o640, 0), "a file")?;
    same(d.uid, file::read_string("/dev/user")?, "its owner")?;
    let now = lib9::proc::seconds() as u32;
    check(now.abs_diff(d.mtime) < 60, &format!("its time {} now {now}", d.mtime))?;
    same(fd::fstat(File::open(&name, OREAD)?.fd())?, fd::stat(&name)?, "fstat and stat")?;
    let d = fd::stat(&f.0)?;
    same((d.mode & DMDIR, d.qid.kind, d.length), (DMDIR, abi::QTDIR, 0), "a directory")?;
    same(fd::stat("/")?.name, "/", "the root's name")?;
    same(fd::stat("/lib/..")?.name, "/", "the root's other name")?;
    fd::chdir("/lib/ndb")?;
    same(fd::stat("..")?.name, "lib", "the name of ..")?;
    same(fd::stat(".")?.name, "ndb", "the name of .")
}

/// Room for two bytes and too little for the record: only the size.
fn stat_short() -> Outcome {
    let at = arena()?;
    let name = put(at, "/dev/null");
    let room = at + 4096;
    let whole = int(no::STAT, &[name, room, 4096])?;
    let size = probe_u16(room);
    same(i32::from(size) + 2, whole, "the size in front")?;
    for n in [2, 3, 48, 49, whole - 1] {
        lib9::sys::probe::poke(room, &[0xaa; 128]);
        same(int(no::STAT, &[name, room, n as u64])?, 2, &format!("stat with room for {n}"))?;
        same(probe_u16(room), size, "the size")?;
        same(lib9::sys::probe::peek(room + 2, 1), vec![0xaa], "the byte behind it")?;
        same(int(no::FSTAT, &[0, room, n as u64])?, 2, "fstat")
            .or_else(|e| if n > 40 { Ok(()) } else { Err(e) })?;
    }
    for n in [0, 1] {
        fails(call(no::STAT, &[name, room, n]), abi::error::ESHORTSTAT, "stat without room")?;
        fails(call(no::FSTAT, &[0, room, n]), abi::error::ESHORTSTAT, "fstat without room")?;
    }
    Ok(())
}

fn probe_u16(at: u64) -> u16 {
    lib9::sys::probe::peek(at, 2).first_chunk().map_or(0, |b| u16::from_le_bytes(*b))
}

/// The device's letter: M for what a server has, also when the server is the kernel.
fn stat_type() -> Outcome {
    let f = Folder::new()?;
    let kind = |name: &str| -> Result<char, lib9::Error> { Ok(char::from(fd::stat(name)?.kind as u8)) };
    same(kind(&f.0)?, 'M', "in /tmp")?;
    same(kind("/dev/null")?, 'c', "/dev/null")?;
    same(kind("/env")?, 'e', "/env")?;
    same(kind("/bin/rc")?, 'M', "in the root")
}

fn untouched() -> Dir {
    Dir::untouched()
}

fn wstat() -> Outcome {
    let f = Folder::new()?;
    let name = f.file("a", 0o644, b"0123456789")?;
    fd::wstat(&name, &untouched())?;
    fd::wstat(&name, &Dir { mode: 0o600, ..untouched() })?;
    same(fd::stat(&name)?.mode, 0o600, "mode")?;
    fd::wstat(&name, &Dir { mtime: 1_000_000_000, ..untouched() })?;
    same(fd::stat(&name)?.mtime, 1_000_000_000, "mtime")?;
    fd::wstat(&name, &Dir { length: 4, ..untouched() })?;
    same(file::read(&name)?, b"0123".to_vec(), "shorter")?;
    fd::wstat(&name, &Dir { length: 6, ..untouched() })?;
    same(file::read(&name)?, b"0123\0\0".to_vec(), "longer")?;
    fd::wstat(&name, &Dir { mode: DMAPPEND | 0o600, ..untouched() })?;
    same(fd::stat(&name)?.mode, DMAPPEND | 0o600, "append only")?;
    let a = File::open(&name, OREAD)?;
    fd::fwstat(a.fd(), &Dir { mode: 0o640, ..untouched() })?;
    same(fd::stat(&name)?.mode, 0o640, "by fwstat")
}

fn rename() -> Outcome {
    let f = Folder::new()?;
    let a = f.file("a", 0o644, b"x")?;
    f.file("b", 0o644, b"y")?;
    let called = |name: &str| Dir { name: name.into(), ..untouched() };
    fails(fd::wstat(&a, &called("b")), abi::error::EEXIST, "onto another file")?;
    for bad in [".", "..", "a/b", "a\nb"] {
        check(fd::wstat(&a, &called(bad)).is_err(), bad)?;
    }
    let open = File::open(&a, OREAD)?;
    let qid = open.stat()?.qid.path;
    fd::wstat(&a, &called("c"))?;
    fails(fd::stat(&a), abi::error::ENONEXIST, "the old name")?;
    same(fd::stat(&f.at("c"))?.qid.path, qid, "it is the same file")?;
    same(open.read_all()?, b"x".to_vec(), "through a descriptor from before")?;
    fd::wstat(&f.at("c"), &called("c")).map_err(|e| format!("to its own name: {e}"))?;
    File::create(&f.at("d"), OREAD, DMDIR | 0o777)?;
    f.file("d/in", 0o666, b"z")?;
    fd::wstat(&f.at("d"), &called("e"))?;
    same(file::read(&f.at("e/in"))?, b"z".to_vec(), "in a directory that was renamed")
}

/// Records that are none.
fn wstat_bad() -> Outcome {
    let at = arena()?;
    let f = Folder::new()?;
    let name = f.file("a", 0o644, b"x")?;
    let good = untouched().to_bytes();
    let room = at + 4096;
    let name_at = put(at, &name);
    let mut wrong: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("one byte", vec![0]),
        ("its size only", good[..2].to_vec()),
        ("cut", good[..good.len() - 1].to_vec()),
        ("too long", good.iter().copied().chain([0]).collect()),
    ];
    for (what, at, value) in
        [("a size too small", 0, 46u8), ("a size too large", 0, 48), ("a name too long", 41, 200)]
    {
        let mut bytes = good.clone();
        bytes[at] = value;
        wrong.push((what, bytes));
    }
    for (what, bytes) in wrong {
        lib9::sys::probe::poke(room, &bytes);
        let n = bytes.len() as u64;
        fails(call(no::WSTAT, &[name_at, room, n]), abi::error::EBADSTAT, what)?;
        fails(call(no::FWSTAT, &[0, room, n]), abi::error::EBADSTAT, what)?;
    }
    lib9::sys::probe::poke(room, &good);
    same(int(no::WSTAT, &[name_at, room, good.len() as u64])?, good.len() as i32, "what a good one gives")?;
    fails(fd::wstat("/no/such", &untouched()), "file does not exist", "what is not there")
}

/// One thing that cannot be done, and nothing is done.
fn all_or_nothing() -> Outcome {
    let f = Folder::new()?;
    let name = f.file("a", 0o644, b"x")?;
    f.file("b", 0o644, b"y")?;
    let both = Dir { name: "b".into(), mode: 0o600, length: 0, ..untouched() };
    fails(fd::wstat(&name, &both), abi::error::EEXIST, "a name that is taken")?;
    let d = fd::stat(&name)?;
    same((d.mode, d.length), (0o644, 1), "the rest")?;
    check(
        fd::wstat(&name, &Dir { uid: "somebody".into(), mode: 0o600, ..untouched() }).is_err(),
        "another owner",
    )?;
    same(fd::stat(&name)?.mode, 0o644, "the mode")?;
    check(fd::wstat(&f.0, &Dir { length: 10, ..untouched() }).is_err(), "the length of a directory")
}

fn remove() -> Outcome {
    let f = Folder::new()?;
    let name = f.file("a", 0o644, b"x")?;
    fails(fd::remove(&format!("{name}/")), abi::error::ENOTDIR, "with a slash behind it")?;
    fd::remove(&name)?;
    fails(fd::remove(&name), &format!("'{name}' file does not exist"), "again")?;
    File::create(&f.at("d"), OREAD, DMDIR | 0o777)?;
    f.file("d/in", 0o666, b"")?;
    fails(fd::remove(&f.at("d")), abi::error::ENOTEMPTY, "a directory with a file in it")?;
    fd::remove(&f.at("d/in"))?;
    fd::remove(&f.at("d/"))?;
    fails(fd::remove("/lib"), abi::error::EPERM, "a directory of the root")
        .or_else(|_| check(fd::remove("/lib").is_err(), "a directory of the root"))?;
    check(fd::remove("/dev/null").is_err(), "a device's file")?;
    // What is open can still be read.
    let name = f.file("b", 0o644, b"text")?;
    let open = File::open(&name, OREAD)?;
    fd::remove(&name)?;
    let text = open.read_all();
    check(text.as_ref().is_ok_and(|t| t == b"text") || text.is_err(), "what is open gives something else")
}

/// What was never written is zero.
fn holes() -> Outcome {
    let f = Folder::new()?;
    let name = f.at("a");
    let a = File::create(&name, ORDWR, 0o666)?;
    a.pwrite(b"end", 100_000)?;
    same(a.stat()?.length, 100_003, "the length")?;
    let mut bytes = vec![1; 100_003];
    same(fd::readn(a.fd(), &mut bytes)?, 100_003, "bytes read")?;
    check(bytes[..100_000].iter().all(|&b| b == 0) && bytes.ends_with(b"end"), "what they are")
}

/// Two files have two qids; a changed file has another version.
fn qid() -> Outcome {
    let f = Folder::new()?;
    let a = f.file("a", 0o666, b"x")?;
    let b = f.file("b", 0o666, b"x")?;
    let (qa, qb) = (fd::stat(&a)?.qid, fd::stat(&b)?.qid);
    check(qa.path != qb.path, "one qid for two files")?;
    file::write(&a, b"y")?;
    let now = fd::stat(&a)?.qid;
    check(now.path == qa.path && now.vers != qa.vers, "the version")?;
    fd::remove(&a)?;
    let again = fd::stat(&f.file("a", 0o666, b"x")?)?.qid;
    check(again.path != qa.path, "a new file with an old file's qid")
}
