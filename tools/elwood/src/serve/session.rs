//! One client: its fids, and an answer for each request.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use abi::{DMDIR, OEXEC, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, Qid, error};
use ninep::translate::errors;
use ninep::wire::{Data, Record, WireError};
use ninep::{Dialect, IOHDRSZ, NOFID, Qids, Rmsg, Stat, Str, Tmsg, escape};
use rustix::fs::{Dir, FileType, OFlags};
use rustix::io::Errno;

use super::tree::{Change, Name, Node, Tree};

/// Largest message, in bytes.
pub const MSIZE: u32 = 1 << 20;
/// Smallest: an error text and a stat record of an ordinary name must fit.
const MSIZE_MIN: u32 = 512;

/// Why a request is refused, in Plan 9's words.
struct Refused(Cow<'static, str>);

impl From<&'static str> for Refused {
    fn from(text: &'static str) -> Self {
        Refused(text.into())
    }
}

impl From<Errno> for Refused {
    fn from(e: Errno) -> Self {
        let text = u32::try_from(e.raw_os_error()).ok().and_then(errors::errno);
        Refused(text.map_or_else(|| e.to_string().into(), Cow::Borrowed))
    }
}

impl From<std::io::Error> for Refused {
    fn from(e: std::io::Error) -> Self {
        Errno::from_io_error(&e).map_or_else(|| Refused(e.to_string().into()), Refused::from)
    }
}

impl From<WireError> for Refused {
    fn from(e: WireError) -> Self {
        Refused(e.to_string().into())
    }
}

type Result<T, E = Refused> = std::result::Result<T, E>;

struct Fid {
    name: Name,
    open: Option<Open>,
}

struct Open {
    /// `OREAD`, `OWRITE`, `ORDWR` or `OEXEC`.
    access: u32,
    remove: bool,
    what: What,
}

enum What {
    File(File),
    Directory(Listing),
}

/// A directory being read: names from the moment the reading began, so that removing what was read loses nothing.
struct Listing {
    file: File,
    names: Vec<Vec<u8>>,
    next: usize,
    offset: u64,
}

/// One client.
pub struct Session {
    tree: Arc<Tree>,
    msize: Option<u32>,
    fids: HashMap<u32, Fid>,
}

impl Session {
    /// A client that has said nothing yet.
    pub fn new(tree: Arc<Tree>) -> Session {
        Session { tree, msize: None, fids: HashMap::new() }
    }

    /// Largest message now, in bytes.
    pub fn msize(&self) -> u32 {
        self.msize.unwrap_or(MSIZE)
    }

    /// Answers one request.
    ///
    /// # Errors
    /// When the bytes have no tag to answer to, or the answer cannot be put into a message.
    pub fn handle(&mut self, request: &[u8]) -> Result<Vec<u8>, WireError> {
        let tag = ninep::head::Head::parse(request)?.tag;
        let mut scratch = Vec::new();
        let mut qids = Vec::new();
        let refused;
        let reply = match Tmsg::decode(Dialect::P9, request) {
            Ok((_, request)) => self.answer(request, &mut scratch, &mut qids),
            Err(e) => Err(e.into()),
        };
        let reply = match reply {
            Ok(reply) => reply,
            Err(Refused(text)) => {
                refused = text;
                Rmsg::Error { ename: Str(refused.as_bytes()), errno: 0 }
            }
        };
        reply.to_vec(Dialect::P9, tag)
    }

    fn answer<'a>(
        &mut self,
        request: Tmsg<'_>,
        scratch: &'a mut Vec<u8>,
        qids: &'a mut Vec<Qid>,
    ) -> Result<Rmsg<'a>> {
        if let Tmsg::Version { msize, version } = request {
            return self.version(msize, version);
        }
        let msize = self.msize.ok_or("no version agreed on")?;
        let most = msize.saturating_sub(IOHDRSZ);
        Ok(match request {
            Tmsg::Auth { .. } => return Err("authentication not required".into()),
            Tmsg::Attach { fid, afid, aname, .. } => {
                if afid != NOFID {
                    return Err("authentication not required".into());
                }
                if !matches!(aname.bytes(), b"" | b"/") {
                    return Err(error::ENONEXIST.into());
                }
                let qid = self.tree.node(&[])?.qid;
                self.add(fid, Name::new())?;
                Rmsg::Attach { qid }
            }
            // Everything older is answered already.
            Tmsg::Flush { .. } => Rmsg::Flush {},
            Tmsg::Walk { fid, newfid, names } => {
                self.walk(fid, newfid, names.iter(), qids)?;
                Rmsg::Walk { qids: Qids::new(qids) }
            }
            Tmsg::Open { fid, mode } => Rmsg::Open { qid: self.open(fid, mode)?, iounit: most },
            Tmsg::Create { fid, name, perm, mode, .. } => {
                Rmsg::Create { qid: self.create(fid, name.bytes(), perm, mode)?, iounit: most }
            }
            Tmsg::Read { fid, offset, count } => {
                self.read(fid, offset, count.min(most), scratch)?;
                Rmsg::Read { data: Data(scratch) }
            }
            Tmsg::Write { fid, offset, data } => Rmsg::Write { count: self.write(fid, offset, data.0)? },
            Tmsg::Clunk { fid } => {
                let fid = self.fids.remove(&fid).ok_or(UNKNOWN)?;
                self.close(fid);
                Rmsg::Clunk {}
            }
            Tmsg::Remove { fid } => {
                // The fid is gone in any case.
                let fid = self.fids.remove(&fid).ok_or(UNKNOWN)?;
                self.tree.remove(&fid.name)?;
                Rmsg::Remove {}
            }
            Tmsg::Stat { fid } => {
                let fid = self.fids.get(&fid).ok_or(UNKNOWN)?;
                let node = self.look(fid)?;
                *scratch = record(&node, fid.name.last().map_or(&b"/"[..], |n| n))?;
                if scratch.len() > most as usize {
                    return Err(error::ETOOBIG.into());
                }
                Rmsg::Stat { stat: Record(scratch) }
            }
            Tmsg::Wstat { fid, stat } => {
                self.wstat(fid, stat.0)?;
                Rmsg::Wstat {}
            }
            _ => return Err(errors::ENOTSUP.into()),
        })
    }

    fn version<'a>(&mut self, msize: u32, version: Str<'_>) -> Result<Rmsg<'a>> {
        for (_, fid) in std::mem::take(&mut self.fids) {
            self.close(fid);
        }
        self.msize = None;
        if msize < MSIZE_MIN {
            return Err("message size too small".into());
        }
        let msize = msize.min(MSIZE);
        // A dialect of 9P2000 is answered with what it is a dialect of.
        if version.bytes().split(|b| *b == b'.').next() != Some(b"9P2000") {
            return Ok(Rmsg::Version { msize, version: "unknown".into() });
        }
        self.msize = Some(msize);
        Ok(Rmsg::Version { msize, version: "9P2000".into() })
    }

    fn add(&mut self, fid: u32, name: Name) -> Result<()> {
        if fid == NOFID || self.fids.contains_key(&fid) {
            return Err("fid in use".into());
        }
        self.fids.insert(fid, Fid { name, open: None });
        Ok(())
    }

    /// A file that is not open, as `open` and `create` need it.
    fn unopened(&self, fid: u32) -> Result<&Fid> {
        match self.fids.get(&fid) {
            None => Err(UNKNOWN.into()),
            Some(Fid { open: Some(_), .. }) => Err("file is open already".into()),
            Some(fid) => Ok(fid),
        }
    }

    /// What is known of a fid's file: of the open one, if it is, even when its name has gone.
    fn look(&self, fid: &Fid) -> Result<Node> {
        match &fid.open {
            None => Ok(self.tree.node(&fid.name)?),
            Some(Open { what: What::File(f) | What::Directory(Listing { file: f, .. }), .. }) => {
                Ok(self.tree.describe(f.try_clone()?.into())?)
            }
        }
    }

    fn walk<'n>(
        &mut self,
        fid: u32,
        newfid: u32,
        names: impl Iterator<Item = Str<'n>>,
        qids: &mut Vec<Qid>,
    ) -> Result<()> {
        let from = self.unopened(fid)?;
        if newfid != fid && (newfid == NOFID || self.fids.contains_key(&newfid)) {
            return Err("fid in use".into());
        }
        let mut at = from.name.clone();
        let mut wanted = 0;
        let mut reason = None;
        for name in names {
            wanted += 1;
            if reason.is_some() {
                continue;
            }
            match self.step(&mut at, name.bytes()) {
                Ok(qid) => qids.push(qid),
                Err(e) => reason = Some(e),
            }
        }
        if let Some(reason) = reason {
            return if qids.is_empty() { Err(reason) } else { Ok(()) };
        }
        debug_assert_eq!(wanted, qids.len());
        self.fids.insert(newfid, Fid { name: at, open: None });
        Ok(())
    }

    fn step(&self, at: &mut Name, name: &[u8]) -> Result<Qid> {
        let dir = self.tree.node(at)?;
        if dir.kind != FileType::Directory {
            return Err(error::ENOTDIR.into());
        }
        if name == b".." {
            // The folder is its own parent.
            at.pop();
            return Ok(self.tree.node(at)?.qid);
        }
        valid(name).map_err(|_| error::ENONEXIST)?;
        at.push(name.to_vec());
        Ok(self.tree.node(at)?.qid)
    }

    fn open(&mut self, number: u32, mode: u8) -> Result<Qid> {
        let (access, flags) = flags(mode)?;
        let name = &self.unopened(number)?.name;
        let node = self.tree.node(name)?;
        let (remove, cut) = (u32::from(mode) & ORCLOSE != 0, u32::from(mode) & OTRUNC != 0);
        if remove || cut {
            self.tree.writable()?;
        }
        if remove && name.is_empty() {
            return Err(error::EPERM.into());
        }
        let what = if node.kind == FileType::Directory {
            if matches!(access, OWRITE | ORDWR) || cut || remove {
                return Err(error::EISDIR.into());
            }
            What::Directory(Listing::new(self.tree.reopen(&node, OFlags::RDONLY)?))
        } else {
            if access == OEXEC && node.mode & 0o111 == 0 {
                return Err(error::EPERM.into());
            }
            // The host wants the right to write for this, whatever else the file is opened for.
            What::File(self.tree.reopen(&node, if cut { flags | OFlags::TRUNC } else { flags })?)
        };
        let qid = node.qid;
        if let Some(fid) = self.fids.get_mut(&number) {
            fid.open = Some(Open { access, remove, what });
        }
        Ok(qid)
    }

    fn create(&mut self, number: u32, last: &[u8], perm: u32, mode: u8) -> Result<Qid> {
        let (access, flags) = flags(mode)?;
        valid(last)?;
        let dir_name = &self.unopened(number)?.name;
        let dir = self.tree.node(dir_name)?;
        if dir.kind != FileType::Directory {
            return Err(error::ENOTDIR.into());
        }
        // Append-only and exclusive files are promises that the host does not keep.
        if perm & !(DMDIR | abi::DMTMP | 0o777) != 0 {
            return Err(errors::ENOTSUP.into());
        }
        if perm & DMDIR != 0 && access != OREAD {
            return Err(error::EISDIR.into());
        }
        let file = self.tree.create(&dir, last, perm, flags)?;
        let qid = self.tree.describe(file.try_clone()?.into())?.qid;
        let what = if perm & DMDIR != 0 { What::Directory(Listing::new(file)) } else { What::File(file) };
        if let Some(fid) = self.fids.get_mut(&number) {
            fid.name.push(last.to_vec());
            fid.open = Some(Open { access, remove: u32::from(mode) & ORCLOSE != 0, what });
        }
        Ok(qid)
    }

    fn read(&mut self, fid: u32, offset: u64, count: u32, out: &mut Vec<u8>) -> Result<()> {
        let Session { tree, fids, .. } = self;
        let Fid { name, open } = fids.get_mut(&fid).ok_or(UNKNOWN)?;
        match open {
            Some(Open { access: OREAD | ORDWR | OEXEC, what, .. }) => match what {
                What::File(file) => {
                    out.resize(count as usize, 0);
                    let n = file.read_at(out, offset)?;
                    out.truncate(n);
                    Ok(())
                }
                What::Directory(listing) => listing.read(tree, name, offset, count as usize, out),
            },
            _ => Err(error::EBADUSEFD.into()),
        }
    }

    fn write(&mut self, fid: u32, offset: u64, data: &[u8]) -> Result<u32> {
        match &self.fids.get(&fid).ok_or(UNKNOWN)?.open {
            Some(Open { access: OWRITE | ORDWR, what: What::File(file), .. }) => {
                let n = file.write_at(data, offset)?;
                u32::try_from(n).map_err(|_| error::ETOOBIG.into())
            }
            _ => Err(error::EBADUSEFD.into()),
        }
    }

    fn wstat(&mut self, number: u32, record: &[u8]) -> Result<()> {
        let (stat, size) = Stat::parse(Dialect::P9, record)?;
        if size != record.len() {
            return Err(WireError::Trailing.into());
        }
        let fid = self.fids.get(&number).ok_or(UNKNOWN)?;
        let node = self.look(fid)?;
        if stat == Stat::default() {
            // Nothing to change: what is written is to be safe.
            if let Some(Open { what: What::File(file), .. }) = &fid.open {
                file.sync_all()?;
            }
            return Ok(());
        }
        let change = change(&stat, &node, fid.name.last())?;
        let name = fid.name.clone();
        self.tree.change(&name, &node, &change)?;
        if let (Some(new), Some(last)) = (change.name, name.len().checked_sub(1)) {
            // Whatever this client holds in there has moved with it.
            let moved = self.fids.values_mut().filter(|f| f.name.starts_with(&name));
            moved.filter_map(|f| f.name.get_mut(last)).for_each(|element| element.clone_from(&new));
        }
        Ok(())
    }

    fn close(&self, fid: Fid) {
        if fid.open.is_some_and(|open| open.remove) {
            // A clunk has no way to fail; the file may have gone before.
            let _ = self.tree.remove(&fid.name);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for (_, fid) in std::mem::take(&mut self.fids) {
            self.close(fid);
        }
    }
}

impl Listing {
    fn new(file: File) -> Listing {
        Listing { file, names: Vec::new(), next: 0, offset: 0 }
    }

    /// Whole records, from the start or from where the last read ended: other offsets do not exist.
    fn read(&mut self, tree: &Tree, dir: &Name, offset: u64, count: usize, out: &mut Vec<u8>) -> Result<()> {
        if offset == 0 {
            let mut entries = Dir::read_from(&self.file)?;
            entries.rewind();
            self.names.clear();
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if name != b"." && name != b".." {
                    self.names.push(name.to_vec());
                }
            }
            (self.next, self.offset) = (0, 0);
        } else if offset != self.offset {
            return Err(error::EBADARG.into());
        }
        let mut path = dir.clone();
        while let Some(name) = self.names.get(self.next) {
            path.push(name.clone());
            // What has gone meanwhile is not listed.
            let found = tree.node(&path).ok().map(|node| record(&node, name)).transpose()?;
            path.pop();
            if let Some(record) = found {
                if out.len() + record.len() > count {
                    if out.is_empty() {
                        return Err(error::ETOOSMALL.into());
                    }
                    break;
                }
                out.extend_from_slice(&record);
            }
            self.next += 1;
        }
        self.offset += out.len() as u64;
        Ok(())
    }
}

const UNKNOWN: &str = "unknown fid";

/// A name that can stand in a directory.
fn valid(name: &[u8]) -> Result<()> {
    match name {
        b"" | b"." | b".." => Err(error::EFILENAME.into()),
        _ if name.iter().any(|b| matches!(b, 0 | b'/')) => Err(error::EBADCHAR.into()),
        _ => Ok(()),
    }
}

/// The access that a mode asks for, and how the host is asked for it.
fn flags(mode: u8) -> Result<(u32, OFlags)> {
    let mode = u32::from(mode);
    // OCEXEC is the client's own business.
    if mode & !(3 | OTRUNC | ORCLOSE | abi::OCEXEC) != 0 {
        return Err(error::EBADARG.into());
    }
    let access = mode & 3;
    Ok((
        access,
        match access {
            OWRITE => OFlags::WRONLY,
            ORDWR => OFlags::RDWR,
            _ => OFlags::RDONLY,
        },
    ))
}

/// The stat record of a file. Names are bytes; owners come from the host's tables.
fn record(node: &Node, name: &[u8]) -> Result<Vec<u8>, WireError> {
    let (uid, gid) = (Str(node.uid.as_bytes()), Str(node.gid.as_bytes()));
    let stat = Stat {
        kind: 0,
        dev: 0,
        qid: node.qid,
        mode: node.mode,
        atime: node.atime,
        mtime: node.mtime,
        length: node.length,
        name: Str(name),
        uid,
        gid,
        muid: uid,
        ..Stat::default()
    };
    stat.to_vec(Dialect::P9)
}

/// What a `Twstat` changes; all of it is checked before any of it is done.
fn change(stat: &Stat<'_>, node: &Node, last: Option<&Vec<u8>>) -> Result<Change> {
    const KEEP: u32 = u32::MAX;
    let keep = Stat::default();
    let fixed = (stat.kind == keep.kind || stat.kind == 0)
        && (stat.dev == keep.dev || stat.dev == 0)
        && (stat.qid == keep.qid || stat.qid == node.qid)
        && (stat.uid.is_empty() || stat.uid.bytes() == node.uid.as_bytes())
        && (stat.muid.is_empty() || stat.muid.bytes() == node.uid.as_bytes())
        && (stat.mode == KEEP || stat.mode & !0o777 == node.mode & !0o777);
    if !fixed {
        return Err(error::EPERM.into());
    }
    let name = Some(stat.name.bytes()).filter(|n| !n.is_empty());
    let name = match (name, last) {
        (Some(new), Some(old)) if new == old => None,
        (Some(_), None) => return Err(error::EPERM.into()),
        (Some(new), _) => {
            valid(new)?;
            Some(new.to_vec())
        }
        (None, _) => None,
    };
    let length = Some(stat.length).filter(|n| *n != u64::MAX);
    if node.mode & DMDIR != 0 && length.is_some_and(|n| n != 0) {
        return Err(error::EPERM.into());
    }
    Ok(Change {
        name,
        length: length.filter(|_| node.mode & DMDIR == 0),
        mode: Some(stat.mode).filter(|m| *m != KEEP),
        atime: Some(stat.atime).filter(|t| *t != KEEP),
        mtime: Some(stat.mtime).filter(|t| *t != KEEP),
        gid: Some(stat.gid).filter(|g| !g.is_empty()).map(|g| escape(g.bytes()).into_owned()),
    })
}
