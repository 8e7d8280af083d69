//! A 9P2000 client on a socket: one request at a time, files by path.
//!
//! The crate `ninep`, which is the peer in the tests of our 9P, cannot stand in for it. Version 0.6.0 was tried. Its
//! client
//!
//! - keeps names, and the texts of errors, as `String`: one name that is not UTF-8 in a directory ends the
//!   connection;
//! - survives an answer that is meant for somebody else only if its text is UTF-8 and it has at most 65535 bytes,
//!   which is the message size that is always offered: `--msize` has nothing to set, and what was agreed on is not
//!   told;
//! - does not look at how far the first `Twalk` came: what a directory does not have is `unknown fid`, a request
//!   later;
//! - takes an error in the middle of a file for its end when a file is read in pieces (`iter_chunks`), so that the
//!   sum of half a file would be printed, and otherwise holds the whole file or opens it again for each piece
//!   (`read_from`);
//! - opens without `OTRUNC`, and opens again for each call that writes: a short file leaves the end of a longer one
//!   behind it, and the second piece is refused with `file is open already` unless the file is closed after each;
//! - keeps the fid of a path after a remove that failed, which has clunked it;
//! - reads from the socket all the time, so that a time limit on reading ends a connection that has nothing to say,
//!   and `put` from a slow program fails; on TCP it takes no socket, so there is no limit at all;
//! - computes message size less header without a look: a server that agrees on less than 24 bytes makes it panic in a
//!   debug build, and ask for nearly 4 GiB in others.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use abi::{DMDIR, Dir, ORDWR, OREAD, OTRUNC, OWRITE, QTDIR, Qid};
use anyhow::{Context, Result, anyhow, bail, ensure};
use ninep::head::Head;
use ninep::translate::errors;
use ninep::wire::{Data, Record};
use ninep::{Dialect, Framer, IOHDRSZ, MAXWELEM, NOFID, NONUM, NOTAG, Names, Rmsg, Stat, Stats, Str, Tmsg};

/// Largest message that can be offered, in bytes.
pub const MSIZE_MAX: u32 = 1 << 24;

/// The fid of the tree's root.
const ROOT: u32 = 0;
/// The only other one: a client that does one thing after the other needs no more.
const FILE: u32 = 1;
/// Tags but for `Tversion`: one request at a time needs one.
const TAG: u16 = 0;

/// What both ends of a connection are.
pub trait Stream: Read + Write {
    /// How long a read waits.
    fn set_patience(&self, patience: Duration) -> io::Result<()>;
}

impl Stream for UnixStream {
    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

impl Stream for TcpStream {
    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

/// What is known of a file.
pub struct Entry {
    pub mode: u32,
    pub mtime: u32,
    pub length: u64,
    pub name: Vec<u8>,
    pub uid: Vec<u8>,
    pub gid: Vec<u8>,
}

/// A session, attached.
pub struct Client {
    stream: Box<dyn Stream>,
    framer: Framer,
    /// Largest message, in bytes.
    pub msize: u32,
}

impl Client {
    /// Agrees on a version and attaches. No answer may take longer than `patience`.
    pub fn new(
        stream: Box<dyn Stream>,
        msize: u32,
        user: &str,
        tree: &str,
        patience: Duration,
    ) -> Result<Client> {
        // An answer that comes first may be for somebody who had agreed on longer messages.
        let mut c = Client { stream, framer: Framer::new(MSIZE_MAX.max(msize)), msize };
        c.stream.set_patience(patience)?;
        c.begin(msize, user, tree)?;
        Ok(c)
    }

    /// The two requests that begin a session.
    fn begin(&mut self, msize: u32, user: &str, tree: &str) -> Result<()> {
        let hello = Tmsg::Version { msize, version: Dialect::P9.version().into() };
        self.send(NOTAG, hello)?;
        let reply = loop {
            let reply = self.receive()?;
            // Others are for somebody who had the line before us: a port's device sends what it has to whoever is
            // there.
            if Head::parse(&reply)?.tag == NOTAG {
                break reply;
            }
        };
        match errors::reply(Dialect::P9, NOTAG, hello.kind(), &reply).map_err(|e| anyhow!("version: {e}"))? {
            Rmsg::Version { msize: agreed, version } => {
                ensure!(version.bytes() == b"9P2000", "the server speaks {:?}, not 9P2000", version.text());
                ensure!((256..=msize).contains(&agreed), "the server wants messages of {agreed} bytes");
                self.msize = agreed;
            }
            other => bail!("version: {other:?}"),
        }
        self.framer.set_msize(self.msize);
        let (uname, aname) = (user.into(), tree.into());
        let attach = Tmsg::Attach { fid: ROOT, afid: NOFID, uname, aname, n_uname: NONUM };
        self.ask(attach, |_| ()).context("attach")
    }

    /// The contents of a directory, as the server lists them.
    pub fn list(&mut self, path: &[u8]) -> Result<Vec<Entry>> {
        self.walk(path)?;
        self.open(OREAD)?;
        let mut all = Vec::new();
        let mut offset = 0;
        loop {
            let (read, entries) = self.read(offset, |data| {
                let entries: Result<Vec<Entry>> =
                    Stats::new(Dialect::P9, data).map(|s| Ok(Entry::new(&s?))).collect();
                (data.len() as u64, entries)
            })?;
            if read == 0 {
                return self.clunk().map(|()| all);
            }
            all.extend(entries?);
            offset += read;
        }
    }

    /// What is known of a file.
    pub fn stat(&mut self, path: &[u8]) -> Result<Entry> {
        self.walk(path)?;
        let entry = self.ask(Tmsg::Stat { fid: FILE }, |r| match r {
            Rmsg::Stat { stat } => Ok(Entry::new(&Stat::parse(Dialect::P9, stat.0)?.0)),
            other => Err(anyhow!("{other:?}")),
        })?;
        self.clunk()?;
        entry
    }

    /// Hands the bytes of a file to `take`, piece by piece.
    pub fn get(&mut self, path: &[u8], mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.walk(path)?;
        let qid = self.open(OREAD)?;
        ensure!(qid.kind & QTDIR == 0, "{}", abi::error::EISDIR);
        let mut offset = 0;
        loop {
            let (n, taken) = self.read(offset, |data| (data.len() as u64, take(data)))?;
            taken?;
            if n == 0 {
                return self.clunk();
            }
            offset += n;
        }
    }

    /// Makes a file, or empties the one that is there, and fills it from `source`; how many bytes.
    pub fn put(&mut self, path: &[u8], mut source: impl Read) -> Result<u64> {
        if self.exists(path)? {
            self.walk(path)?;
            self.open(OWRITE | OTRUNC)?;
        } else {
            self.create(path, 0o666, OWRITE)?;
        }
        let mut piece = vec![0; self.room() as usize];
        let mut offset = 0;
        loop {
            let n = match source.read(&mut piece) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if n == 0 {
                return self.clunk().map(|()| offset);
            }
            let data = piece.get(..n).unwrap_or_default();
            let written = self.ask(Tmsg::Write { fid: FILE, offset, data: Data(data) }, |r| match r {
                Rmsg::Write { count } => count,
                _ => 0,
            })?;
            ensure!(written as usize == n, "short write: {written} of {n} bytes");
            offset += u64::from(written);
        }
    }

    /// Makes a directory.
    pub fn mkdir(&mut self, path: &[u8]) -> Result<()> {
        self.create(path, DMDIR | 0o777, OREAD)?;
        self.clunk()
    }

    /// Removes a file or an empty directory.
    pub fn remove(&mut self, path: &[u8]) -> Result<()> {
        self.walk(path)?;
        self.ask(Tmsg::Remove { fid: FILE }, |_| ())
    }

    /// Gives a file another name in its directory.
    pub fn rename(&mut self, path: &[u8], name: &[u8]) -> Result<()> {
        self.walk(path)?;
        let record = Stat::from(Dir { name: Str(name), ..Dir::untouched() }).to_vec(Dialect::P9)?;
        self.ask(Tmsg::Wstat { fid: FILE, stat: Record(&record) }, |_| ())?;
        self.clunk()
    }

    /// Bytes that one message can carry.
    fn room(&self) -> u32 {
        self.msize.saturating_sub(IOHDRSZ)
    }

    fn exists(&mut self, path: &[u8]) -> Result<bool> {
        match self.walk(path) {
            Ok(()) => self.clunk().map(|()| true),
            Err(e) if e.to_string().ends_with(abi::error::ENONEXIST) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Makes `FILE` the file at `path`, sixteen names at a time.
    fn walk(&mut self, path: &[u8]) -> Result<()> {
        // Whatever an earlier failure left there.
        let _ = self.clunk();
        let names: Vec<Str<'_>> =
            path.split(|b| *b == b'/').filter(|n| !n.is_empty() && *n != b".").map(Str).collect();
        let mut from = ROOT;
        for piece in names.chunks(MAXWELEM).chain(names.is_empty().then_some(&[][..])) {
            let walk = Tmsg::Walk { fid: from, newfid: FILE, names: Names::new(piece) };
            let found = self.ask(walk, |r| match r {
                Rmsg::Walk { qids } => qids.iter().count(),
                _ => 0,
            })?;
            ensure!(found == piece.len(), "{}", abi::error::ENONEXIST);
            from = FILE;
        }
        Ok(())
    }

    fn open(&mut self, mode: u32) -> Result<Qid> {
        self.ask(Tmsg::Open { fid: FILE, mode: mode as u8 }, |r| match r {
            Rmsg::Open { qid, .. } => Ok(qid),
            other => Err(anyhow!("{other:?}")),
        })?
    }

    /// Makes `FILE` a new file.
    fn create(&mut self, path: &[u8], perm: u32, mode: u32) -> Result<()> {
        let end = path.iter().rposition(|b| *b != b'/').map_or(0, |last| last + 1);
        let path = path.get(..end).unwrap_or_default();
        let cut = path.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
        let (dir, name) = path.split_at(cut);
        self.walk(dir)?;
        let mode = (mode & (ORDWR | OWRITE)) as u8;
        self.ask(Tmsg::Create { fid: FILE, name: Str(name), perm, mode, extension: Str(&[]) }, |_| ())
    }

    fn read<T>(&mut self, offset: u64, f: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let count = self.room();
        self.ask(Tmsg::Read { fid: FILE, offset, count }, |r| match r {
            Rmsg::Read { data } => Ok(f(data.0)),
            other => Err(anyhow!("{other:?}")),
        })?
    }

    fn clunk(&mut self) -> Result<()> {
        self.ask(Tmsg::Clunk { fid: FILE }, |_| ())
    }

    /// One request and its reply; the error is the server's text.
    fn ask<T>(&mut self, t: Tmsg<'_>, f: impl FnOnce(Rmsg<'_>) -> T) -> Result<T> {
        self.send(TAG, t)?;
        let reply = self.receive()?;
        errors::reply(Dialect::P9, TAG, t.kind(), &reply).map(f).map_err(|text| anyhow!("{text}"))
    }

    fn send(&mut self, tag: u16, t: Tmsg<'_>) -> Result<()> {
        self.stream.write_all(&t.to_vec(Dialect::P9, tag)?).context("the connection is gone")
    }

    fn receive(&mut self) -> Result<Vec<u8>> {
        let mut piece = vec![0; 64 << 10];
        loop {
            if let Some(message) = self.framer.next_message().context("what answers is no 9P server")? {
                return Ok(message.to_vec());
            }
            match self.stream.read(&mut piece) {
                Ok(0) => bail!("the server has left"),
                Ok(n) => self.framer.push(piece.get(..n).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    bail!("no answer: does a server run at the other end?")
                }
                Err(e) => return Err(e).context("the connection is gone"),
            }
        }
    }
}

impl Entry {
    fn new(s: &Stat<'_>) -> Entry {
        Entry {
            mode: s.mode,
            mtime: s.mtime,
            length: s.length,
            name: s.name.bytes().to_vec(),
            uid: s.uid.bytes().to_vec(),
            gid: s.gid.bytes().to_vec(),
        }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.mode & DMDIR != 0
    }
}
