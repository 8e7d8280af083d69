//! A mount driver in small: each of its functions is some rows of the translation table.

use ninep::attr::getattr;
use ninep::testserver::Server;
use ninep::translate::ids::Ids;
use ninep::translate::modebits::ModeBits;
use ninep::translate::stat::{File, target};
use ninep::translate::{self, FileType, create, errors, list, names, open, version, walk, wstat};
use ninep::wire::{Data, Record};
use ninep::{Dialect, NOFID, Names, Rmsg, Stat, Str, Tmsg};

use super::Result;

/// Such a mount.
pub struct Mount {
    pub server: Server,
    pub dialect: Dialect,
    pub msize: u32,
    pub ids: Ids,
    pub mode_bits: ModeBits,
    pub next_fid: u32,
}

impl Mount {
    pub fn new(mut server: Server, dialect: Dialect) -> Self {
        let asked = 8192 + 24;
        let hello = Tmsg::Version { msize: asked, version: dialect.version().into() };
        let reply = server.handle(&hello.to_vec(dialect, 1).unwrap());
        let reply = errors::reply(dialect, 1, hello.kind(), &reply).unwrap();
        let (dialect, msize) = version::accept(dialect, asked, &reply).unwrap();
        let mut m =
            Mount { server, dialect, msize, ids: Ids::new(), mode_bits: ModeBits::new(), next_fid: 1 };
        m.rpc(translate::attach(0, "glenda", ""), |_| ()).unwrap();
        m
    }

    pub fn rpc<T>(&mut self, t: Tmsg<'_>, f: impl FnOnce(Rmsg<'_>) -> T) -> Result<T> {
        let request = t.to_vec(self.dialect, 1).unwrap();
        let reply = self.server.handle_in(&request, self.msize as usize);
        assert_eq!(self.server.broken(), None, "{t:?}");
        errors::reply(self.dialect, 1, t.kind(), &reply).map(f).map_err(String::from)
    }

    pub fn clunk(&mut self, fid: u32) {
        self.rpc(Tmsg::Clunk { fid }, |_| ()).unwrap();
    }

    pub fn target(&mut self, link: u32) -> Result<Vec<u8>> {
        if self.dialect == Dialect::L {
            return self.rpc(Tmsg::Readlink { fid: link }, |r| match r {
                Rmsg::Readlink { target } => target.bytes().to_vec(),
                other => panic!("{other:?}"),
            });
        }
        let d = self.dialect;
        self.rpc(Tmsg::Stat { fid: link }, |r| match r {
            Rmsg::Stat { stat } => target(&Stat::parse(d, stat.0).unwrap().0).bytes().to_vec(),
            other => panic!("{other:?}"),
        })
    }

    pub fn walk_once(&mut self, from: u32, newfid: u32, path: &[String]) -> Result<walk::Walked> {
        let bytes: Vec<_> = path.iter().map(|n| names::element(n)).collect::<std::result::Result<_, _>>()?;
        let strs: Vec<Str<'_>> = bytes.iter().map(Str::from).collect();
        let t = Tmsg::Walk { fid: from, newfid, names: Names::new(&strs) };
        let walked = self.rpc(t, |r| match r {
            Rmsg::Walk { qids } => walk::outcome(path.len(), qids, abi::Qid::dir(0)),
            other => panic!("{other:?}"),
        });
        Ok(walked??)
    }

    /// A fid for a path from the root, at most 16 names with its links; `last` says to follow a link at the end.
    pub fn walk(&mut self, path: &str, last: bool) -> Result<u32> {
        let mut path: Vec<String> = path.split('/').filter(|n| !n.is_empty()).map(String::from).collect();
        let mut links = walk::Links::default();
        loop {
            let fid = self.next_fid;
            self.next_fid += 1;
            match self.walk_once(0, fid, &path)? {
                walk::Walked::Done(_) => return Ok(fid),
                walk::Walked::Link { at, made: true } if at + 1 == path.len() && !last => return Ok(fid),
                walk::Walked::Missing { text, .. } => return Err(text.into()),
                walk::Walked::Link { at, made } => {
                    if !made || at + 1 < path.len() {
                        if made {
                            self.clunk(fid);
                        }
                        let again = self.walk_once(0, fid, &path[..=at])?;
                        assert_eq!(again, walk::Walked::Link { at, made: true });
                    }
                    let target = self.target(fid);
                    self.clunk(fid);
                    path = links.follow(&path, at, Str(&target?))?.names;
                }
            }
        }
    }

    pub fn file(&mut self, fid: u32, name: &str) -> Result<File> {
        let (d, ids) = (self.dialect, self.ids.clone());
        let mut file = if d == Dialect::L {
            self.rpc(Tmsg::Getattr { fid, mask: getattr::BASIC }, |r| match r {
                Rmsg::Getattr { attr } => File::from_attr(&attr, name, &ids),
                other => panic!("{other:?}"),
            })?
        } else {
            self.rpc(Tmsg::Stat { fid }, |r| match r {
                Rmsg::Stat { stat } => File::from_stat(d, &Stat::parse(d, stat.0).unwrap().0, &ids),
                other => panic!("{other:?}"),
            })?
        };
        self.mode_bits.show(&mut file.dir);
        Ok(file)
    }

    pub fn stat(&mut self, path: &str) -> Result<File> {
        let fid = self.walk(path, true)?;
        let file = self.file(fid, path.rsplit('/').next().unwrap_or(""));
        self.clunk(fid);
        file
    }

    pub fn open(&mut self, path: &str, mode: u32) -> Result<u32> {
        let fid = self.walk(path, true)?;
        let opened = self.open_fid(fid, mode);
        if opened.is_err() {
            self.clunk(fid);
        }
        opened.map(|()| fid)
    }

    pub fn open_fid(&mut self, fid: u32, mode: u32) -> Result<()> {
        let file = self.file(fid, "")?;
        if self.dialect != Dialect::P9 {
            open::permit(file.what, mode)?;
        }
        let append = self.mode_bits.get(file.dir.qid.path) & abi::DMAPPEND != 0;
        let open = open::request(self.dialect, fid, file.what, mode, append);
        if open.truncate_first {
            self.change(fid, &wstat::Change::truncate())?;
        }
        self.rpc(open.message, |_| ())
    }

    pub fn change(&mut self, fid: u32, change: &wstat::Change) -> Result<()> {
        if self.dialect == Dialect::U {
            let record = change.record().unwrap();
            return self.rpc(Tmsg::Wstat { fid, stat: Record(&record) }, |_| ());
        }
        for t in change.setattr(fid).into_iter().chain(change.rename(fid, NOFID)) {
            self.rpc(t, |_| ())?;
        }
        Ok(())
    }

    pub fn wstat(&mut self, path: &str, f: impl FnOnce(&mut abi::Dir)) -> Result<()> {
        let mut want = abi::Dir::untouched();
        f(&mut want);
        let fid = self.walk(path, want.name.is_empty())?;
        let done = self.wstat_fid(fid, path, &want);
        self.clunk(fid);
        done
    }

    pub fn wstat_fid(&mut self, fid: u32, path: &str, want: &abi::Dir) -> Result<()> {
        if self.dialect == Dialect::P9 {
            let record = wstat::plan9_record(want).unwrap();
            return self.rpc(Tmsg::Wstat { fid, stat: Record(&record) }, |_| ());
        }
        let (above, last) = path.rsplit_once('/').unwrap_or(("", path));
        let now = self.file(fid, last)?;
        let change = wstat::plan(want, &now, &self.ids)?;
        if change.name.is_some()
            && let Ok(there) = self.walk(&format!("{above}/{}", want.name), false)
        {
            self.clunk(there);
            return Err(abi::error::EEXIST.into());
        }
        if !change.is_empty() {
            self.change(fid, &change)?;
        }
        change.mode_bits.into_iter().for_each(|bits| self.mode_bits.set(now.dir.qid.path, bits));
        Ok(())
    }

    pub fn create(&mut self, dir: &str, name: &str, perm: u32, mode: u32) -> Result<u32> {
        let name = names::check(name)?;
        let fid = self.walk(dir, true)?;
        let masked = create::inherit(perm, self.file(fid, "")?.dir.mode);
        let done = match create::request(self.dialect, fid, &name, masked, mode)? {
            create::Create::Open(t) => self.rpc(t, |_| ()),
            create::Create::Mkdir(t) => self.rpc(t, |_| ()).and_then(|()| {
                let child = [Str(&name)];
                self.rpc(Tmsg::Walk { fid, newfid: fid, names: Names::new(&child) }, |_| ())?;
                self.open_fid(fid, mode)
            }),
        };
        if done.is_err() {
            self.clunk(fid);
        }
        done.map(|()| fid)
    }

    pub fn close(&mut self, fid: u32, mode: u32) -> Result<()> {
        self.rpc(open::close(self.dialect, fid, mode), |_| ())
    }

    pub fn read(&mut self, fid: u32, offset: u64, count: u32) -> Result<Vec<u8>> {
        self.rpc(Tmsg::Read { fid, offset, count }, |r| match r {
            Rmsg::Read { data } => data.0.to_vec(),
            other => panic!("{other:?}"),
        })
    }

    pub fn write(&mut self, fid: u32, offset: u64, data: &[u8]) -> Result<u32> {
        self.rpc(Tmsg::Write { fid, offset, data: Data(data) }, |r| match r {
            Rmsg::Write { count } => count,
            other => panic!("{other:?}"),
        })
    }

    pub fn cat(&mut self, path: &str) -> Result<Vec<u8>> {
        let fid = self.open(path, abi::OREAD)?;
        let data = self.read(fid, 0, 8000);
        self.clunk(fid);
        data
    }

    /// Names, modes and lengths, in order. Links are shown as what they lead to, if they do.
    pub fn ls(&mut self, path: &str) -> Result<Vec<(String, u32, u64)>> {
        let fid = self.open(path, abi::OREAD)?;
        let mut files = Vec::new();
        let mut offset = 0;
        loop {
            let (d, ids) = (self.dialect, self.ids.clone());
            let before = files.len();
            if d == Dialect::L {
                let count = 300;
                let (found, cookie) = self.rpc(Tmsg::Readdir { fid, offset, count }, |r| match r {
                    Rmsg::Readdir { data } => {
                        let mut names = list::Names::new(data.0);
                        let found: Vec<list::Entry> = names.by_ref().map(|e| e.unwrap()).collect();
                        (found, names.cookie())
                    }
                    other => panic!("{other:?}"),
                })?;
                let Some(cookie) = cookie else { break };
                offset = cookie;
                for entry in found {
                    let child = self.walk(&format!("{path}/{}", entry.name), false)?;
                    files.push(self.file(child, &entry.name)?);
                    self.clunk(child);
                }
            } else {
                let data = self.read(fid, offset, 300)?;
                if data.is_empty() {
                    break;
                }
                offset += data.len() as u64;
                files.extend(list::Listing::new(d, &data, &ids).map(|f| f.unwrap()));
            }
            for file in &mut files[before..] {
                if file.what == FileType::Link
                    && let Ok(target) = self.stat(&format!("{path}/{}", file.dir.name))
                {
                    file.dir = abi::Dir { name: file.dir.name.clone(), ..target.dir };
                }
            }
        }
        self.clunk(fid);
        let mut out: Vec<_> = files.into_iter().map(|f| (f.dir.name, f.dir.mode, f.dir.length)).collect();
        out.sort();
        Ok(out)
    }
}
