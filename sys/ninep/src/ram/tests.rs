//! The rules of the tree, asked through a session.

use alloc::string::String;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::OnceLock;
use std::vec;

use abi::{DMAPPEND, DMDIR, DMEXCL, DMTMP, Dir, OEXEC, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, Qid, error};
use parking_lot::RawMutex;

use super::Ram;
use crate::server::Files;
use crate::server::test_client::{Answer, Client};
use crate::{Stat, Str};

type Ramfs = Client<Ram<RawMutex>>;

fn keep() -> Dir<Str<'static>> {
    Dir::untouched()
}

fn no<T>(answer: Answer<T>) -> String {
    answer.err().expect("it was not refused")
}

/// `glenda`'s tree on fid 0, and another user on fid 500.
fn two_users() -> Ramfs {
    let mut c = Client::ram(1 << 20);
    c.attach(500, "mole").unwrap();
    c
}

fn allowed(c: &mut Ramfs, root: u32, name: &str, mode: u32) -> bool {
    c.walk(root, 1, name).unwrap();
    let answer = c.open(1, mode);
    assert!(answer.is_ok() || no(answer.clone()) == error::EPERM);
    c.clunk(1).unwrap();
    answer.is_ok()
}

#[test]
fn permissions_are_the_users() {
    let mut c = two_users();
    c.put("private", 0o600, b"secret");
    c.put("shared", 0o664, b"text");
    c.put("program", 0o775, b"code");
    for (name, mode, hers, his) in [
        ("private", OREAD, true, false),
        ("private", ORDWR, true, false),
        ("private", OEXEC, false, false),
        ("shared", OREAD, true, true),
        ("shared", OWRITE, true, false),
        ("shared", OREAD | OTRUNC, true, false),
        ("program", OEXEC, true, true),
        ("program", OEXEC | ORCLOSE, true, false),
    ] {
        assert_eq!(allowed(&mut c, 500, name, mode), his, "his {name} {mode}");
        assert_eq!(allowed(&mut c, 0, name, mode), hers, "her {name} {mode}");
    }
    // The directory decides about names in it.
    assert_eq!(no(c.create(500, "x", 0o644, OWRITE)), error::EPERM);
    c.walk(500, 1, "shared").unwrap();
    assert_eq!(no(c.wstat(1, Dir { name: "mine".into(), ..keep() })), error::EPERM);
    assert_eq!(no(c.remove(1)), error::EPERM);
    // Given to his group, it is his to write.
    c.walk(0, 1, "shared").unwrap();
    assert_eq!(no(c.wstat(1, Dir { gid: "mole".into(), ..keep() })), error::EPERM);
    c.clunk(1).unwrap();
    // A directory that cannot be searched hides what is in it.
    c.walk(0, 1, "").unwrap();
    c.create(1, "dir", DMDIR | 0o700, OREAD).unwrap();
    for path in ["dir x", "dir .."] {
        assert_eq!(c.walk(500, 2, path), Ok(1));
    }
    c.walk(500, 2, "dir").unwrap();
    assert_eq!(no(c.walk(2, 3, "..")), error::EPERM);
}

#[test]
fn what_is_made_has_what_its_directory_gives() {
    let mut c = two_users();
    c.walk(0, 1, "").unwrap();
    c.create(1, "dir", DMDIR | 0o770, OREAD).unwrap();
    c.walk(0, 2, "dir").unwrap();
    let qid = c.create(2, "f", 0o777, ORDWR).unwrap();
    let (mode, uid, gid) =
        c.stat(2, |s| (s.mode, s.uid.text().into_owned(), s.gid.text().into_owned())).unwrap();
    assert_eq!((mode, uid.as_str(), gid.as_str()), (0o771, "glenda", "glenda"));
    assert_eq!(c.stat(2, |s| s.qid), Ok(qid));
    c.walk(0, 3, "dir").unwrap();
    assert_eq!(no(c.create(3, "f", 0o777, OWRITE)), error::EEXIST);
    assert_eq!(no(c.create(3, "g", 0x0080_0000, OWRITE)), error::EPERM);
    let qid = c.create(3, "t", DMTMP | DMAPPEND | DMEXCL | 0o600, OWRITE).unwrap();
    assert_eq!(qid.kind, 0x64);
    // A directory gets as many times its contents change.
    let vers = |c: &mut Ramfs| c.stat(0, |s| s.qid.vers).unwrap();
    let before = vers(&mut c);
    c.put("new", 0o644, b"");
    assert_eq!(vers(&mut c), before + 1);
}

#[test]
fn append_only_grows() {
    let mut c = two_users();
    c.put("log", DMAPPEND | 0o644, b"one ");
    for fid in [1, 2] {
        c.walk(0, fid, "log").unwrap();
        // Truncation is granted and not done.
        c.open(fid, ORDWR | OTRUNC).unwrap();
    }
    for (fid, text) in [(1, "two "), (2, "three ")] {
        c.write(fid, 0, text.as_bytes()).unwrap();
    }
    assert_eq!(c.read(1, 0, 100).unwrap(), b"one two three ");
}

#[test]
fn exclusive_use_is_one_at_a_time() {
    let mut c = two_users();
    c.walk(0, 1, "").unwrap();
    c.create(1, "lock", DMEXCL | 0o644, OWRITE).unwrap();
    c.walk(0, 2, "lock").unwrap();
    assert_eq!(no(c.open(2, OREAD)), "exclusive use file already open");
    c.clunk(1).unwrap();
    c.open(2, OREAD).unwrap();
    // It lasts as long as the session that has it.
    c.start(8192);
    c.attach(0, "glenda").unwrap();
    c.walk(0, 2, "lock").unwrap();
    c.open(2, OREAD).unwrap();
}

/// In a directory in which everybody may make files, as `/tmp` is, nobody takes away another's.
#[test]
fn what_somebody_made_in_a_directory_of_all_stays_his() {
    let mut c = two_users();
    c.attach(501, "vole").unwrap();
    c.walk(0, 1, "").unwrap();
    c.create(1, "all", DMDIR | 0o775, OREAD).unwrap();
    c.wstat(1, Dir { mode: DMDIR | 0o777, ..keep() }).unwrap();
    c.clunk(1).unwrap();
    for (root, fid) in [(500, 2), (501, 3)] {
        c.walk(root, fid, "all").unwrap();
    }
    c.walk(2, 4, "").unwrap();
    c.create(4, "his", 0o666, OWRITE).unwrap();
    c.clunk(4).unwrap();
    c.walk(3, 5, "his").unwrap();
    assert_eq!(no(c.wstat(5, Dir { name: "mine".into(), ..keep() })), error::EPERM);
    assert_eq!(no(c.remove(5)), error::EPERM);
    // He may, and so may she whose directory it is.
    c.walk(2, 5, "his").unwrap();
    c.wstat(5, Dir { name: "still-his".into(), ..keep() }).unwrap();
    c.remove(5).unwrap();
    c.walk(3, 6, "").unwrap();
    c.create(6, "hers", 0o600, OWRITE).unwrap();
    c.walk(0, 7, "all").unwrap();
    c.walk(7, 8, "hers").unwrap();
    c.remove(8).unwrap();
}

#[test]
fn removed_files_live_until_they_are_closed() {
    let mut c = two_users();
    c.put("file", 0o644, b"hello");
    let used = c.tree.used();
    assert!(used > 0);
    for fid in 1..5 {
        c.walk(0, fid, "file").unwrap();
    }
    c.open(1, ORDWR).unwrap();
    c.remove(2).unwrap();
    c.put("file", 0o644, b"another");
    assert_eq!(c.read(1, 0, 9).unwrap(), b"hello");
    c.write(1, 5, b"!").unwrap();
    assert_eq!(c.stat(1, |s| s.length), Ok(6));
    for answer in [c.open(3, OREAD).map(|_| ()), c.stat(3, |_| ()), c.remove(4)] {
        assert_eq!(no(answer), error::ENONEXIST);
    }
    assert_eq!(no(c.wstat(3, Dir { name: "x".into(), ..keep() })), error::ENONEXIST);
    // A directory that is gone takes no files.
    c.walk(0, 5, "").unwrap();
    c.create(5, "d", DMDIR | 0o755, OREAD).unwrap();
    for fid in [6, 7] {
        c.walk(0, fid, "d").unwrap();
    }
    c.walk(0, 8, "d").unwrap();
    c.create(8, "in", 0o644, OWRITE).unwrap();
    assert_eq!(no(c.remove(6)), error::ENOTEMPTY);
    c.remove(8).unwrap();
    c.walk(0, 6, "d").unwrap();
    c.remove(6).unwrap();
    assert_eq!(no(c.create(7, "x", 0o644, OWRITE)), error::ENONEXIST);
    c.start(8192);
    c.attach(0, "glenda").unwrap();
    c.walk(0, 1, "file").unwrap();
    c.remove(1).unwrap();
    assert_eq!(c.tree.used(), 0);
}

#[test]
fn wstat_is_all_or_nothing() {
    let mut c = two_users();
    c.put("file", 0o644, b"hello");
    c.put("other", 0o644, b"");
    c.walk(0, 1, "file").unwrap();
    c.walk(500, 2, "file").unwrap();
    let look =
        |c: &mut Ramfs| c.stat(1, |s| (s.name.text().into_owned(), s.mode, s.length, s.mtime)).unwrap();
    let was = look(&mut c);
    for bad in [
        Dir { length: 2, name: "other".into(), ..keep() },
        Dir { length: 2, name: "a/b".into(), ..keep() },
        Dir { length: 2, mode: DMDIR | 0o700, ..keep() },
        Dir { length: 2, mode: 0x0100_0000, ..keep() },
        Dir { length: 2, uid: "mole".into(), ..keep() },
        Dir { length: 2, gid: "mole".into(), ..keep() },
        Dir { length: 1 << 63, mode: 0o600, ..keep() },
        Dir { mode: 0o600, qid: abi::Qid { kind: 0, vers: 0, path: 77 }, ..keep() },
    ] {
        assert!(c.wstat(1, bad).is_err(), "{bad:?}");
        assert_eq!(look(&mut c), was);
    }
    for bad in [
        Dir { mode: 0o666, ..keep() },
        Dir { mtime: 5, ..keep() },
        Dir { length: 0, ..keep() },
        Dir { name: "x".into(), ..keep() },
    ] {
        assert_eq!(no(c.wstat(2, bad)), error::EPERM);
    }
    assert_eq!(c.wstat(2, keep()), Ok(()));
    let vers = c.stat(1, |s| s.qid.vers).unwrap();
    c.wstat(1, Dir { name: "new".into(), mode: DMAPPEND | 0o600, mtime: 5, atime: 6, length: 2, ..keep() })
        .unwrap();
    assert_eq!(look(&mut c), ("new".into(), DMAPPEND | 0o600, 2, 5));
    assert_eq!(c.stat(1, |s| (s.atime, s.qid.kind, s.qid.vers)), Ok((6, 0x40, vers + 1)));
    assert_eq!(no(c.walk(0, 3, "file")), error::ENONEXIST);
    // The record as it was read, written back, changes nothing.
    let record = c.stat(1, |s| s.to_vec(crate::Dialect::P9).unwrap()).unwrap();
    let (whole, _) = Stat::parse(crate::Dialect::P9, &record).unwrap();
    c.wstat(1, Dir { kind: 77, dev: 9, ..*whole }).unwrap();
    assert_eq!(c.stat(1, |s| s.to_vec(crate::Dialect::P9).unwrap()).unwrap(), record);
    // Directories keep their contents when renamed; they have no length to set, and the root no name.
    c.walk(0, 3, "").unwrap();
    c.create(3, "d", DMDIR | 0o755, OREAD).unwrap();
    c.walk(0, 4, "d").unwrap();
    c.create(4, "in", 0o644, OWRITE).unwrap();
    c.wstat(3, Dir { name: "e".into(), ..keep() }).unwrap();
    assert_eq!(c.walk(0, 5, "e in"), Ok(2));
    assert_eq!(no(c.wstat(3, Dir { length: 1, ..keep() })), error::EPERM);
    assert_eq!(no(c.wstat(0, Dir { name: "x".into(), ..keep() })), error::EPERM);
}

#[test]
fn a_limit_is_a_limit() {
    let mut c = Client::ram(100_000);
    c.put("a", 0o644, &[1; 8000]);
    c.walk(0, 1, "a").unwrap();
    c.open(1, OWRITE).unwrap();
    let mut offset = 8000;
    let full = loop {
        match c.write(1, offset, &[2; 8000]) {
            Ok(n) => offset += u64::from(n),
            Err(e) => break e,
        }
    };
    assert_eq!(full, error::EFULL);
    assert!((80_000..=100_000).contains(&offset), "{offset}");
    // Names cost, too.
    let mut made = 0u32;
    let full = loop {
        c.walk(0, 2, "").unwrap();
        match c.create(2, &std::format!("{made}"), 0o644, OWRITE) {
            Ok(_) => made += 1,
            Err(e) => break e,
        }
        c.clunk(2).unwrap();
    };
    assert_eq!(full, error::EFULL);
    let long = "n".repeat(2000);
    c.walk(0, 3, "0").unwrap();
    assert_eq!(no(c.wstat(3, Dir { name: Str(long.as_bytes()), ..keep() })), error::EFULL);
    // Cutting the file makes room.
    c.wstat(1, Dir { length: 0, ..keep() }).unwrap();
    c.create(2, "more", 0o644, OWRITE).unwrap();
    c.write(2, 0, &[3; 8000]).unwrap();
}

/// What is large goes in pieces, between which the tree is not locked.
#[test]
fn what_is_large_goes_in_pieces() {
    static PAUSES: AtomicUsize = AtomicUsize::new(0);
    static TREE: OnceLock<Ram<RawMutex>> = OnceLock::new();
    let pause = || {
        // Would wait for ever if it were.
        assert!(TREE.get().unwrap().files() > 0);
        PAUSES.fetch_add(1, Relaxed);
    };
    let tree = TREE.get_or_init(|| Ram::new(b"glenda", 64 << 20, || 0).with_pause(pause));
    let (root, _) = tree.attach(b"glenda", b"").unwrap();
    let make = || {
        let (file, _) = tree.create(&root, b"x", 0o644, ORDWR).unwrap();
        (0..64).for_each(|n| assert_eq!(tree.write(&file, n << 18, &[7; 1 << 18]), Ok(1 << 18)));
        file
    };
    let empty = tree.used();
    let mut pauses = 0;
    let mut goes = |what: &str, least: usize, act: &mut dyn FnMut()| {
        act();
        let n = PAUSES.load(Relaxed);
        assert!(n - pauses >= least, "{what}: {}", n - pauses);
        pauses = n;
    };
    let mut file = Some(make());
    goes("a file that is cut", 60, &mut || drop(tree.open(file.as_ref().unwrap(), ORDWR | OTRUNC).unwrap()));
    tree.write(file.as_ref().unwrap(), 0, &[7; 16 << 20]).unwrap();
    let shorter = Stat::from(Dir { length: 1 << 20, ..keep() });
    goes("one that is made shorter", 58, &mut || tree.wstat(file.as_ref().unwrap(), &shorter).unwrap());
    tree.remove(file.as_ref().unwrap()).unwrap();
    goes("what is left of it", 3, &mut || drop(file.take()));
    let file = make();
    let (open, _) = tree.open(&file, OREAD).unwrap();
    drop(file);
    goes("one that is in use", 0, &mut || tree.remove(&open).unwrap());
    let mut open = Some(open);
    goes("the last user of it", 60, &mut || drop(open.take()));
    assert_eq!(tree.used(), empty);
}

#[test]
fn several_names_are_walked_as_one_after_the_other() {
    let tree: Ram<RawMutex> = Ram::new(b"glenda", 1 << 20, || 0);
    let (root, _) = tree.attach(b"glenda", b"").unwrap();
    let (mole, _) = tree.attach(b"mole", b"").unwrap();
    let (a, _) = tree.create(&root, b"a", DMDIR | 0o755, OREAD).unwrap();
    let (b, _) = tree.create(&a, b"b", DMDIR | 0o700, OREAD).unwrap();
    drop(tree.create(&b, b"file", 0o644, OREAD).unwrap());
    for path in
        ["a", "a/b", "a/b/file", "a/b/..", "a/../a/b", "a/x/b", "a/b/file/x", "a/b/file/..", "..", "x"]
    {
        for from in [&root, &mole] {
            let mut passed = vec![];
            let names = || path.split('/').map(str::as_bytes);
            let all = tree.walk_all(from, names(), &mut |qid| passed.push(qid)).map(|file| tree.stat(&file));
            let (mut one, mut at, mut each) = (None, Ok(()), vec![]);
            for name in names() {
                if each.last().is_some_and(|qid: &Qid| !qid.is_dir()) {
                    at = Err(error::ENOTDIR.into());
                    break;
                }
                match tree.walk(one.as_ref().unwrap_or(from), name) {
                    Ok((next, qid)) => {
                        each.push(qid);
                        one = Some(next);
                    }
                    Err(e) => {
                        at = Err(e);
                        break;
                    }
                }
            }
            let one = at.map(|()| tree.stat(one.as_ref().unwrap()));
            assert_eq!((all, passed), (one, each), "{path}");
        }
    }
}
