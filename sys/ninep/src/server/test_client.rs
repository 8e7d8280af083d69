//! A client that waits for each answer, for the tests of servers.

use alloc::string::String;
use alloc::vec::Vec;

use abi::{Dir, OWRITE, Qid};
use parking_lot::RawMutex;

use super::{Files, Result, Session};
use crate::ram::Ram;
use crate::wire::{Data, Record};
use crate::{Dialect, NOFID, NOTAG, Names, Rmsg, Stat, Stats, Str, Tmsg};

/// Such a client, with its server.
pub(crate) struct Client<F: Files> {
    pub tree: F,
    pub session: Session<F>,
}

/// What a reply says, without borrowing it.
pub(crate) type Answer<T> = Result<T, String>;

impl Client<Ram<RawMutex>> {
    /// Attached to an empty tree of the user `glenda` as fid 0.
    pub fn ram(limit: u64) -> Self {
        let mut c = Client::new(Ram::new(b"glenda", limit, || 1000));
        c.start(8192);
        c.attach(0, "glenda").unwrap();
        c
    }
}

impl<F: Files> Client<F> {
    pub fn new(tree: F) -> Self {
        Client { tree, session: Session::new(1 << 20) }
    }

    pub fn raw(&mut self, tag: u16, t: Tmsg<'_>) -> Vec<u8> {
        self.session.handle(&self.tree, &t.to_vec(Dialect::P9, tag).unwrap()).unwrap()
    }

    pub fn ask<T>(&mut self, t: Tmsg<'_>, f: impl FnOnce(Rmsg<'_>) -> T) -> Answer<T> {
        let reply = self.raw(7, t);
        match Rmsg::decode(Dialect::P9, &reply).unwrap() {
            (7, Rmsg::Error { ename, .. }) => Err(ename.text().into_owned()),
            (7, r) if r.kind() == t.kind() + 1 => Ok(f(r)),
            other => panic!("{other:?} to {t:?}"),
        }
    }

    pub fn start(&mut self, msize: u32) {
        let reply = self.raw(NOTAG, Tmsg::Version { msize, version: "9P2000".into() });
        let want = Rmsg::Version { msize, version: "9P2000".into() };
        assert_eq!(Rmsg::decode(Dialect::P9, &reply), Ok((NOTAG, want)));
    }

    pub fn attach(&mut self, fid: u32, user: &str) -> Answer<()> {
        let t = Tmsg::Attach { fid, afid: NOFID, uname: user.into(), aname: "".into(), n_uname: 0 };
        self.ask(t, |_| ())
    }

    /// Walks; how many names were found.
    pub fn walk(&mut self, fid: u32, newfid: u32, path: &str) -> Answer<usize> {
        let names: Vec<Str<'_>> = path.split(' ').filter(|n| !n.is_empty()).map(Str::from).collect();
        self.ask(Tmsg::Walk { fid, newfid, names: Names::new(&names) }, |r| match r {
            Rmsg::Walk { qids } => qids.iter().count(),
            _ => unreachable!(),
        })
    }

    pub fn open(&mut self, fid: u32, mode: u32) -> Answer<Qid> {
        self.ask(Tmsg::Open { fid, mode: mode as u8 }, |r| match r {
            Rmsg::Open { qid, iounit } => {
                assert_eq!(iounit, 8192 - 24);
                qid
            }
            _ => unreachable!(),
        })
    }

    pub fn create(&mut self, fid: u32, name: &str, perm: u32, mode: u32) -> Answer<Qid> {
        let t = Tmsg::Create { fid, name: name.into(), perm, mode: mode as u8, extension: "".into() };
        self.ask(t, |r| match r {
            Rmsg::Create { qid, .. } => qid,
            _ => unreachable!(),
        })
    }

    pub fn read(&mut self, fid: u32, offset: u64, count: u32) -> Answer<Vec<u8>> {
        self.ask(Tmsg::Read { fid, offset, count }, |r| match r {
            Rmsg::Read { data } => data.0.to_vec(),
            _ => unreachable!(),
        })
    }

    pub fn write(&mut self, fid: u32, offset: u64, data: &[u8]) -> Answer<u32> {
        self.ask(Tmsg::Write { fid, offset, data: Data(data) }, |r| match r {
            Rmsg::Write { count } => count,
            _ => unreachable!(),
        })
    }

    pub fn clunk(&mut self, fid: u32) -> Answer<()> {
        self.ask(Tmsg::Clunk { fid }, |_| ())
    }

    pub fn remove(&mut self, fid: u32) -> Answer<()> {
        self.ask(Tmsg::Remove { fid }, |_| ())
    }

    pub fn stat<T>(&mut self, fid: u32, f: impl FnOnce(Stat<'_>) -> T) -> Answer<T> {
        self.ask(Tmsg::Stat { fid }, |r| match r {
            Rmsg::Stat { stat } => f(Stat::parse(Dialect::P9, stat.0).unwrap().0),
            _ => unreachable!(),
        })
    }

    pub fn wstat(&mut self, fid: u32, change: Dir<Str<'_>>) -> Answer<()> {
        let record = Stat::from(change).to_vec(Dialect::P9).unwrap();
        self.ask(Tmsg::Wstat { fid, stat: Record(&record) }, |_| ())
    }

    /// Makes a file with contents, and leaves no fid.
    pub fn put(&mut self, name: &str, perm: u32, data: &[u8]) {
        self.walk(0, 900, "").unwrap();
        self.create(900, name, perm, OWRITE).unwrap();
        self.write(900, 0, data).unwrap();
        self.clunk(900).unwrap();
    }

    /// The names in an open directory, read in pieces.
    pub fn list(&mut self, fid: u32, count: u32) -> Answer<Vec<String>> {
        let (mut names, mut offset) = (Vec::new(), 0);
        loop {
            let data = self.read(fid, offset, count)?;
            if data.is_empty() {
                return Ok(names);
            }
            assert!(data.len() <= count as usize);
            offset += data.len() as u64;
            names.extend(Stats::new(Dialect::P9, &data).map(|s| s.unwrap().name.text().into_owned()));
        }
    }
}

/// Why it was refused.
pub(crate) fn no<T>(answer: Answer<T>) -> String {
    answer.err().expect("it was not refused")
}
