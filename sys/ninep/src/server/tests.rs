//! Sessions that ask one thing after the other, over a tree in memory.

use alloc::string::String;
use alloc::vec::Vec;
use std::vec;

use abi::{DMDIR, Dir, OREAD, OWRITE, Qid, error};
use parking_lot::RawMutex;

use super::test_client::{Client, no};
use super::{Files, Refused, Result};
use crate::ram::Ram;
use crate::wire::Data;
use crate::{Dialect, NOFID, Names, Rmsg, Stat, Stats, Str, Tmsg, WireError};

#[test]
fn a_version_comes_first_and_begins_anew() {
    let mut c = Client::new(Ram::<RawMutex>::new(b"glenda", 1 << 20, || 0));
    assert_eq!(no(c.attach(0, "glenda")), "no version agreed on");
    assert_eq!(no(c.ask(Tmsg::Flush { oldtag: 1 }, |_| ())), "no version agreed on");
    let mut version = |msize, v: &str| {
        let t = Tmsg::Version { msize, version: v.into() };
        c.ask(t, |r| match r {
            Rmsg::Version { msize, version } => (msize, version.text().into_owned()),
            _ => unreachable!(),
        })
    };
    assert_eq!(version(100, "9P2000"), Err("message size too small".into()));
    assert_eq!(version(8192, "9P3"), Ok((8192, "unknown".into())));
    assert_eq!(version(u32::MAX, "9P2000.L"), Ok((1 << 20, "9P2000".into())));
    c.attach(0, "glenda").unwrap();
    c.put("file", 0o644, b"hello");
    c.walk(0, 1, "file").unwrap();
    c.start(8192);
    assert_eq!(c.session.fids(), 0);
    assert_eq!(no(c.clunk(0)), "unknown fid");
    // An unknown version leaves no session.
    c.ask(Tmsg::Version { msize: 8192, version: "x".into() }, |_| ()).unwrap();
    assert_eq!(no(c.attach(0, "glenda")), "no version agreed on");
}

#[test]
fn fids_are_known_or_new() {
    let mut c = Client::ram(1 << 20);
    c.put("file", 0o644, b"hello");
    assert_eq!(no(c.attach(0, "glenda")), "fid in use");
    assert_eq!(no(c.attach(NOFID, "glenda")), "fid in use");
    let auth = Tmsg::Auth { afid: 5, uname: "u".into(), aname: "".into(), n_uname: 0 };
    assert_eq!(no(c.ask(auth, |_| ())), "authentication not required");
    let t = Tmsg::Attach { fid: 1, afid: 5, uname: "u".into(), aname: "".into(), n_uname: 0 };
    assert_eq!(no(c.ask(t, |_| ())), "authentication not required");
    let t = Tmsg::Attach { fid: 1, afid: NOFID, uname: "u".into(), aname: "other".into(), n_uname: 0 };
    assert_eq!(no(c.ask(t, |_| ())), error::ENONEXIST);
    // The fid of an attach that failed is free.
    c.attach(1, "u").unwrap();
    assert_eq!(no(c.walk(0, 1, "file")), "fid in use");
    assert_eq!(no(c.walk(55, 2, "")), "unknown fid");
    assert_eq!(c.walk(0, 2, "file"), Ok(1));
    c.open(2, OREAD).unwrap();
    assert_eq!(no(c.open(2, OREAD)), "file is open already");
    assert_eq!(no(c.walk(2, 3, "")), "file is open already");
    assert_eq!(no(c.create(2, "x", 0o644, OWRITE)), "file is open already");
    c.clunk(2).unwrap();
    // The root cannot be removed; its fid goes all the same.
    assert_eq!(no(c.remove(1)), error::EPERM);
    assert_eq!((no(c.clunk(1)), no(c.clunk(2))), ("unknown fid".into(), "unknown fid".into()));
    assert_eq!((no(c.remove(9)), no(c.stat(9, |_| ()))), ("unknown fid".into(), "unknown fid".into()));
    assert_eq!(c.session.fids(), 1);
}

#[test]
fn a_walk_makes_its_fid_when_all_is_found() {
    let mut c = Client::ram(1 << 20);
    c.walk(0, 1, "").unwrap();
    c.create(1, "dir", DMDIR | 0o755, OREAD).unwrap();
    c.put("file", 0o644, b"");
    assert_eq!(no(c.walk(0, 2, "nothing x")), error::ENONEXIST);
    assert_eq!(c.walk(0, 2, "dir nothing"), Ok(1));
    assert_eq!(no(c.stat(2, |_| ())), "unknown fid");
    assert_eq!(c.walk(0, 2, "file x"), Ok(1));
    assert_eq!(c.walk(0, 2, "file"), Ok(1));
    assert_eq!(no(c.walk(2, 3, "..")), error::ENOTDIR);
    assert_eq!(c.walk(0, 3, "dir .. .. dir"), Ok(4));
    // A fid that walks itself stays where it was when the walk fails.
    assert_eq!(c.walk(3, 3, ".. nothing"), Ok(1));
    assert_eq!(c.stat(3, |s| s.name.text().into_owned()), Ok("dir".into()));
    assert_eq!(c.walk(3, 3, ".. file"), Ok(2));
    assert_eq!(c.stat(3, |s| s.name.text().into_owned()), Ok("file".into()));
    for name in [".", "a/b", "a\0"] {
        assert_eq!(no(c.walk(0, 4, name)), error::ENONEXIST);
    }
    let empty = [Str(b"")];
    assert_eq!(
        no(c.ask(Tmsg::Walk { fid: 0, newfid: 4, names: Names::new(&empty) }, |_| ())),
        error::ENONEXIST
    );
}

#[test]
fn access_is_what_the_file_was_opened_for() {
    let mut c = Client::ram(1 << 20);
    c.put("file", 0o644, b"hello");
    for fid in 1..6 {
        c.walk(0, fid, "file").unwrap();
    }
    assert_eq!(no(c.read(1, 0, 5)), error::EBADUSEFD);
    assert_eq!(no(c.write(1, 0, b"x")), error::EBADUSEFD);
    c.open(1, OREAD).unwrap();
    c.open(2, OWRITE).unwrap();
    assert_eq!(no(c.write(1, 0, b"x")), error::EBADUSEFD);
    assert_eq!(no(c.read(2, 0, 5)), error::EBADUSEFD);
    assert_eq!(no(c.open(3, 0x80)), error::EBADARG);
    assert_eq!(no(c.open(3, 4)), error::EBADARG);
    assert_eq!(c.write(2, 5, b" you"), Ok(4));
    assert_eq!(c.read(1, 1, 3), Ok(b"ell".to_vec()));
    assert_eq!(c.read(1, 9, 3), Ok(vec![]));
    // As much as fits a message.
    c.write(2, 0, &[1; 8168]).unwrap();
    c.write(2, 8168, &[2; 8168]).unwrap();
    assert_eq!(c.read(1, 0, u32::MAX).map(|data| data.len()), Ok(8168));
    assert_eq!(c.raw(7, Tmsg::Read { fid: 1, offset: 0, count: 8192 }).len(), 8168 + 11);
}

#[test]
fn names_that_cannot_be_are_not_made() {
    let mut c = Client::ram(1 << 20);
    for name in ["", ".", ".."] {
        assert_eq!(no(c.create(0, name, 0o644, OWRITE)), error::EFILENAME);
    }
    for name in ["a/b", "\0"] {
        assert_eq!(no(c.create(0, name, 0o644, OWRITE)), error::EBADCHAR);
    }
    assert_eq!(no(c.create(0, "d", DMDIR | 0o755, OWRITE)), error::EISDIR);
    c.put("file", 0o644, b"");
    c.walk(0, 1, "file").unwrap();
    assert_eq!(no(c.create(1, "x", 0o644, OWRITE)), error::ENOTDIR);
    c.walk(0, 2, "").unwrap();
    for mode in [OWRITE, abi::ORDWR, abi::OTRUNC] {
        assert_eq!(no(c.open(2, mode)), error::EISDIR);
    }
    // After all these failures the fid is what it was.
    c.open(2, OREAD).unwrap();
}

#[test]
fn directories_are_read_in_whole_records() {
    let mut c = Client::ram(1 << 20);
    let mut want: Vec<String> = (0..200).map(|i| std::format!("file-{i:03}")).collect();
    want.push("n".repeat(255));
    for name in &want {
        c.put(name, 0o644, b"");
    }
    c.walk(0, 1, "").unwrap();
    c.open(1, OREAD).unwrap();
    for count in [400, 1000, 8192] {
        assert_eq!(c.list(1, count).unwrap(), want, "{count}");
    }
    assert_eq!(no(c.read(1, 0, 20)), error::ETOOSMALL);
    let first = c.read(1, 0, 1000).unwrap().len() as u64;
    for offset in [1, first - 1, first + 1, u64::MAX] {
        assert_eq!(no(c.read(1, offset, 1000)), error::EDIRSEEK);
    }
    assert!(!c.read(1, first, 1000).unwrap().is_empty());
    // What is removed while it is being read loses nothing else.
    c.walk(0, 2, "file-000").unwrap();
    let some = c.read(1, 0, 1000).unwrap();
    c.remove(2).unwrap();
    let mut rest = Vec::new();
    let mut offset = some.len() as u64;
    loop {
        let data = c.read(1, offset, 8000).unwrap();
        if data.is_empty() {
            break;
        }
        offset += data.len() as u64;
        rest.extend(data);
    }
    let count = |data: &[u8]| Stats::new(Dialect::P9, data).filter(Result::is_ok).count();
    assert_eq!(count(&some) + count(&rest), want.len());
}

#[test]
fn remove_on_close_happens_at_clunk_and_at_the_end() {
    let mut c = Client::ram(1 << 20);
    for (name, end) in [("a", 0), ("b", 1), ("c", 2)] {
        c.walk(0, 1, "").unwrap();
        c.create(1, name, 0o644, OWRITE | abi::ORCLOSE).unwrap();
        c.walk(0, 2, name).unwrap();
        match end {
            0 => c.clunk(1).unwrap(),
            1 => {
                c.start(8192);
                c.attach(0, "glenda").unwrap();
            }
            _ => {
                let job = c.session.end();
                let done = job.run(&c.tree, &[]);
                assert!(c.session.finish(done).replies.is_empty());
                c.start(8192);
                c.attach(0, "glenda").unwrap();
            }
        }
        assert_eq!(no(c.walk(0, 3, name)), error::ENONEXIST);
        let _ = c.clunk(2);
    }
}

#[test]
fn malformed_requests_are_refused_and_oversized_ones_end_the_session() {
    let mut c = Client::ram(1 << 20);
    let whole = Tmsg::Stat { fid: 0 }.to_vec(Dialect::P9, 3).unwrap();
    for n in 0..7 {
        assert!(c.session.handle(&c.tree, &whole[..n]).is_err());
    }
    let mut ask = |bytes: &[u8]| {
        let reply = c.session.handle(&c.tree, bytes).unwrap();
        match Rmsg::decode(Dialect::P9, &reply).unwrap() {
            (3, Rmsg::Error { ename, .. }) => ename.text().into_owned(),
            other => panic!("{other:?}"),
        }
    };
    let with =
        |kind: u8, body: &[u8]| [&(body.len() as u32 + 7).to_le_bytes()[..], &[kind, 3, 0], body].concat();
    assert!(ask(&whole[..10]).contains("size"));
    assert!(ask(&with(124, &[0, 0, 0])).contains("ends inside"));
    assert!(ask(&with(124, &[0; 5])).contains("after its last"));
    assert!(ask(&with(106, &[])).contains("106"));
    assert!(ask(&with(125, &[])).contains("125"));
    assert!(ask(&with(12, &[0; 8])).contains("dialect"));
    assert!(ask(&with(126, &[0, 0, 0, 0, 5, 0, 1])).contains("count"));
    assert!(ask(&with(126, &[0, 0, 0, 0, 2, 0, 0, 0])).contains("ends inside"));
    let big = vec![0; 8192];
    let big = Tmsg::Write { fid: 0, offset: 0, data: Data(&big) }.to_vec(Dialect::P9, 3).unwrap();
    assert_eq!(c.session.handle(&c.tree, &big).err(), Some(WireError::Size(big.len() as u32)));
}

/// Refuses everything at great length.
struct Verbose;

impl Files for Verbose {
    type File = ();
    fn attach(&self, _: &[u8], _: &[u8]) -> Result<((), Qid)> {
        Ok(((), Qid::dir(0)))
    }
    fn walk(&self, _: &(), _: &[u8]) -> Result<((), Qid)> {
        Err(Refused("é".repeat(4000).into()))
    }
    fn open(&self, _: &(), _: u32) -> Result<((), Qid)> {
        Ok(((), Qid::dir(0)))
    }
    fn create(&self, _: &(), _: &[u8], _: u32, _: u32) -> Result<((), Qid)> {
        Ok(((), Qid { kind: 0, vers: 0, path: 1 }))
    }
    /// Says that it has done more than it could.
    fn read(&self, _: &(), _: u64, buf: &mut [u8]) -> Result<usize> {
        Ok(buf.len() + 1)
    }
    fn list(&self, _: &(), _: bool, _: &mut dyn FnMut(&[u8]) -> bool) -> Result<()> {
        Ok(())
    }
    fn write(&self, _: &(), _: u64, data: &[u8]) -> Result<usize> {
        Ok(data.len() + 1)
    }
    fn stat(&self, _: &()) -> Result<Vec<u8>> {
        Ok(vec![0; 20_000])
    }
    fn wstat(&self, _: &(), _: &Stat<'_>) -> Result<()> {
        Ok(())
    }
    fn remove(&self, _: &()) -> Result<()> {
        Ok(())
    }
}

#[test]
fn no_tree_makes_a_reply_too_long() {
    let mut c = Client::new(Verbose);
    c.start(512);
    c.attach(0, "x").unwrap();
    let text = no(c.walk(0, 1, "a"));
    assert!(text.len() == 256 && text.chars().all(|c| c == 'é'), "{text}");
    assert_eq!(no(c.stat(0, |_| ())), error::ETOOBIG);
    let t = Tmsg::Create { fid: 0, name: "f".into(), perm: 0, mode: 2, extension: "".into() };
    c.ask(t, |_| ()).unwrap();
    assert_eq!(c.read(0, 0, u32::MAX).unwrap().len(), 512 - 24);
    assert_eq!(c.write(0, 0, b"abc"), Ok(3));
}

#[test]
fn random_sessions_end_with_nothing_held() {
    let mut seed = 11;
    let mut next = |n: u64| (crate::rng::next(&mut seed) % n) as u32;
    for _ in 0..50 {
        let mut c = Client::ram(200_000);
        for _ in 0..400 {
            let (fid, other) = (next(6), next(6));
            let name = ["a", "b", "c", "..", "x"][next(5) as usize];
            let mode = [0, 1, 2, 3, 0x10, 0x11, 0x40, 0x42][next(8) as usize];
            let _ = match next(9) {
                0 | 1 => c.walk(fid, other, name).map(drop),
                2 => c.open(fid, mode).map(drop),
                3 => c
                    .create(fid, name, [0o644, 0o755 | DMDIR, 0x4000_0000 | 0o666][next(3) as usize], mode)
                    .map(drop),
                4 => c.write(fid, u64::from(next(9000)), &vec![7; next(8000) as usize]).map(drop),
                5 => c.read(fid, u64::from(next(3) * 500), 500).map(drop),
                6 => c.remove(fid),
                7 => c.clunk(fid),
                _ => c.wstat(
                    fid,
                    Dir { name: name.into(), length: u64::from(next(2)) * 100, ..Dir::untouched() },
                ),
            };
            let _ = c.attach(0, "glenda");
        }
        // Nothing is left but what can be reached: remove that, and all memory is back.
        c.start(8192);
        c.attach(0, "glenda").unwrap();
        empty(&mut c, 0);
        assert_eq!((c.session.fids(), c.tree.used()), (1, 0));
    }
}

fn empty(c: &mut Client<Ram<RawMutex>>, dir: u32) {
    c.walk(dir, dir + 1, "").unwrap();
    c.open(dir + 1, OREAD).unwrap();
    let names = c.list(dir + 1, 8000).unwrap();
    c.clunk(dir + 1).unwrap();
    for name in names {
        c.walk(dir, dir + 1, &name).unwrap();
        if c.stat(dir + 1, |s| s.mode & DMDIR != 0).unwrap() {
            empty(c, dir + 1);
        }
        c.remove(dir + 1).unwrap();
    }
}
