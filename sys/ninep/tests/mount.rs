//! The translation table as a whole: a mount driver in small, on its rows, against the test server. The same
//! story is told in all three dialects and must come out the same, whatever the server is like.

use ninep::attr::getattr;
use ninep::testserver::Server;
use ninep::translate::ids::Ids;
use ninep::translate::modebits::ModeBits;
use ninep::translate::stat::{File, target};
use ninep::translate::{self, FileType, create, errors, list, names, open, version, walk, wstat};
use ninep::wire::{Data, Record};
use ninep::{Dialect, NOFID, Names, Rmsg, Stat, Str, Tmsg};

type Result<T> = std::result::Result<T, String>;

struct Mount {
    server: Server,
    dialect: Dialect,
    msize: u32,
    ids: Ids,
    mode_bits: ModeBits,
    next_fid: u32,
}

impl Mount {
    fn new(mut server: Server, dialect: Dialect) -> Self {
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

    fn rpc<T>(&mut self, t: Tmsg<'_>, f: impl FnOnce(Rmsg<'_>) -> T) -> Result<T> {
        let request = t.to_vec(self.dialect, 1).unwrap();
        let reply = self.server.handle_in(&request, self.msize as usize);
        assert_eq!(self.server.broken(), None, "{t:?}");
        errors::reply(self.dialect, 1, t.kind(), &reply).map(f).map_err(String::from)
    }

    fn clunk(&mut self, fid: u32) {
        self.rpc(Tmsg::Clunk { fid }, |_| ()).unwrap();
    }

    fn target(&mut self, link: u32) -> Result<Vec<u8>> {
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

    fn walk_once(&mut self, from: u32, newfid: u32, path: &[String]) -> Result<walk::Walked> {
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
    fn walk(&mut self, path: &str, last: bool) -> Result<u32> {
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

    fn file(&mut self, fid: u32, name: &str) -> Result<File> {
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

    fn stat(&mut self, path: &str) -> Result<File> {
        let fid = self.walk(path, true)?;
        let file = self.file(fid, path.rsplit('/').next().unwrap_or(""));
        self.clunk(fid);
        file
    }

    fn open(&mut self, path: &str, mode: u32) -> Result<u32> {
        let fid = self.walk(path, true)?;
        let opened = self.open_fid(fid, mode);
        if opened.is_err() {
            self.clunk(fid);
        }
        opened.map(|()| fid)
    }

    fn open_fid(&mut self, fid: u32, mode: u32) -> Result<()> {
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

    fn change(&mut self, fid: u32, change: &wstat::Change) -> Result<()> {
        if self.dialect == Dialect::U {
            let record = change.record().unwrap();
            return self.rpc(Tmsg::Wstat { fid, stat: Record(&record) }, |_| ());
        }
        for t in change.setattr(fid).into_iter().chain(change.rename(fid, NOFID)) {
            self.rpc(t, |_| ())?;
        }
        Ok(())
    }

    fn wstat(&mut self, path: &str, f: impl FnOnce(&mut abi::Dir)) -> Result<()> {
        let mut want = abi::Dir::untouched();
        f(&mut want);
        let fid = self.walk(path, want.name.is_empty())?;
        let done = self.wstat_fid(fid, path, &want);
        self.clunk(fid);
        done
    }

    fn wstat_fid(&mut self, fid: u32, path: &str, want: &abi::Dir) -> Result<()> {
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

    fn create(&mut self, dir: &str, name: &str, perm: u32, mode: u32) -> Result<u32> {
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

    fn close(&mut self, fid: u32, mode: u32) -> Result<()> {
        self.rpc(open::close(self.dialect, fid, mode), |_| ())
    }

    fn read(&mut self, fid: u32, offset: u64, count: u32) -> Result<Vec<u8>> {
        self.rpc(Tmsg::Read { fid, offset, count }, |r| match r {
            Rmsg::Read { data } => data.0.to_vec(),
            other => panic!("{other:?}"),
        })
    }

    fn write(&mut self, fid: u32, offset: u64, data: &[u8]) -> Result<u32> {
        self.rpc(Tmsg::Write { fid, offset, data: Data(data) }, |r| match r {
            Rmsg::Write { count } => count,
            other => panic!("{other:?}"),
        })
    }

    fn cat(&mut self, path: &str) -> Result<Vec<u8>> {
        let fid = self.open(path, abi::OREAD)?;
        let data = self.read(fid, 0, 8000);
        self.clunk(fid);
        data
    }

    /// Names, modes and lengths, in order. Links are shown as what they lead to, if they do.
    fn ls(&mut self, path: &str) -> Result<Vec<(String, u32, u64)>> {
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

fn server(dialect: Dialect) -> Server {
    let mut s = if dialect == Dialect::P9 { Server::plan9() } else { Server::new() };
    s.host.file("src/main.c", b"main(){}\n").unwrap();
    s.host.file("src/lib/io.c", b"io").unwrap();
    s
}

fn mounts() -> impl Iterator<Item = Mount> {
    Dialect::ALL.into_iter().map(|d| Mount::new(server(d), d))
}

fn err<T: std::fmt::Debug>(r: Result<T>) -> String {
    r.unwrap_err()
}

#[test]
fn the_same_story_in_three_dialects() {
    for mut m in mounts() {
        let d = m.dialect;
        assert_eq!(m.cat("src/main.c").as_deref(), Ok(&b"main(){}\n"[..]), "{d}");
        let file = m.stat("src/main.c").unwrap().dir;
        assert_eq!((file.name.as_str(), file.mode, file.length), ("main.c", 0o644, 9));
        assert_eq!((file.uid.as_str(), file.gid.as_str()), ("1000", "1000"));
        let root = m.stat("").unwrap().dir;
        assert_eq!((root.name.as_str(), root.mode, root.length), ("/", abi::DMDIR | 0o755, 0));
        let listed = m.ls("src").unwrap();
        assert_eq!(listed, [("lib".into(), abi::DMDIR | 0o755, 0), ("main.c".into(), 0o644, 9)]);

        assert_eq!(err(m.cat("src/none")), "file does not exist");
        assert_eq!(err(m.cat("none/none")), "file does not exist");
        assert_eq!(err(m.open("src", abi::OWRITE)), "file is a directory");
        assert_eq!(err(m.create("src", "main.c", 0o644, abi::OWRITE)), "file already exists");
        assert_eq!(err(m.create("src", "a/b", 0o644, abi::OWRITE)), "bad character in file name");

        // Create, write, append by hand, read, and what the host sees.
        let fid = m.create("src", "new", 0o666, abi::ORDWR).unwrap();
        assert_eq!((m.write(fid, 0, b"hello"), m.write(fid, 5, b"!")), (Ok(5), Ok(1)));
        assert_eq!(m.read(fid, 1, 100).as_deref(), Ok(&b"ello!"[..]));
        m.close(fid, abi::ORDWR).unwrap();
        assert_eq!(m.server.host.node("src/new").map(|n| (n.mode & 0o777, n.uid)), Some((0o644, 1000)));
        let fid = m.create("src", "sub", abi::DMDIR | 0o777, abi::OREAD).unwrap();
        m.close(fid, abi::OREAD).unwrap();
        assert_eq!(m.ls("src/sub"), Ok(vec![]));

        // Truncate by opening, to write and to read.
        for mode in [abi::OWRITE | abi::OTRUNC, abi::OREAD | abi::OTRUNC] {
            m.server.host.file("src/new", b"hello").unwrap();
            let fid = m.open("src/new", mode).unwrap();
            m.close(fid, mode).unwrap();
            assert_eq!(m.server.host.read("src/new"), Some(&b""[..]), "{d} {mode:#x}");
        }

        // Change what it is like, and nothing else.
        m.wstat("src/new", |w| w.mode = 0o600).unwrap();
        m.wstat("src/new", |w| w.mtime = 77).unwrap();
        let node = m.server.host.node("src/new").unwrap();
        assert_eq!((node.mode & 0o777, node.mtime, node.uid, node.gid), (0o600, 77, 1000, 1000), "{d}");
        m.wstat("src/new", |w| w.gid = "100".into()).unwrap();
        assert_eq!(m.server.host.node("src/new").map(|n| (n.uid, n.gid)), Some((1000, 100)));
        m.wstat("src/new", |w| w.length = 3).unwrap();
        assert_eq!(m.server.host.read("src/new"), Some(&b"\0\0\0"[..]));
        assert_eq!(err(m.wstat("src/new", |w| w.uid = "0".into())), "permission denied");
        assert_eq!(err(m.wstat("src/new", |w| w.mode = abi::DMDIR | 0o600)), "permission denied");
        assert_eq!(err(m.wstat("src/new", |w| w.name = "main.c".into())), "file already exists");
        m.wstat("src/new", |w| w.name = "newer".into()).unwrap();
        assert!(m.server.host.node("src/newer").is_some() && m.server.host.node("src/new").is_none());

        // Remove on close, remove, and a directory that is not empty.
        let fid = m.open("src/newer", abi::OREAD | abi::ORCLOSE).unwrap();
        m.close(fid, abi::OREAD | abi::ORCLOSE).unwrap();
        assert!(m.server.host.node("src/newer").is_none(), "{d}");
        let fid = m.walk("src", false).unwrap();
        assert_eq!(err(m.rpc(Tmsg::Remove { fid }, |_| ())), "directory not empty");
        let fid = m.walk("src/sub", false).unwrap();
        m.rpc(Tmsg::Remove { fid }, |_| ()).unwrap();
        assert_eq!(m.server.fids(), 1, "{d}: only the root's fid is left");
    }
}

#[test]
fn links_and_special_files() {
    for mut m in mounts().filter(|m| m.dialect != Dialect::P9) {
        let host = &mut m.server.host;
        host.link("abs", b"/src/lib").unwrap();
        host.link("src/rel", b"./lib/../main.c").unwrap();
        host.link("chain", b"abs/io.c").unwrap();
        host.link("dangling", b"nowhere").unwrap();
        host.link("a", b"b").unwrap();
        host.link("b", b"a").unwrap();
        host.special("fifo", 0o010644, 0).unwrap();
        host.special("null", 0o020666, 0x1_0000_0003).unwrap();
        host.file(b"p\xe8re", b"latin").unwrap();
        let d = m.dialect;
        assert_eq!(m.cat("abs/io.c").as_deref(), Ok(&b"io"[..]), "{d}");
        assert_eq!(m.cat("src/rel").as_deref(), Ok(&b"main(){}\n"[..]));
        assert_eq!(m.cat("chain").as_deref(), Ok(&b"io"[..]));
        assert_eq!(m.cat("abs/../main.c").as_deref(), Ok(&b"main(){}\n"[..]));
        assert_eq!(err(m.cat("dangling")), "file does not exist");
        assert_eq!(err(m.cat("a")), "too many symbolic links");
        assert_eq!(err(m.cat("chain/x")), "not a directory");
        assert_eq!(err(m.cat("fifo")), "permission denied");
        assert_eq!(err(m.open("null", abi::OWRITE)), "permission denied");
        assert_eq!(m.cat("p\u{efe8}re").as_deref(), Ok(&b"latin"[..]));
        let listed = m.ls("").unwrap();
        let row = |name: &str, mode, length| (name.to_string(), mode, length);
        assert_eq!(
            listed,
            [
                row("a", 0o777, 0),
                row("abs", abi::DMDIR | 0o755, 0),
                row("b", 0o777, 0),
                row("chain", 0o644, 2),
                row("dangling", 0o777, 0),
                row("fifo", 0o644, 0),
                row("null", 0o666, 0),
                row("p\u{efe8}re", 0o644, 5),
                row("src", abi::DMDIR | 0o755, 0),
            ]
        );
        // A rename or a remove of a link is one of the link, a chmod one of the file.
        m.wstat("chain", |w| w.mode = 0o600).unwrap();
        m.wstat("chain", |w| w.name = "link".into()).unwrap();
        assert_eq!(m.server.host.node("src/lib/io.c").map(|n| n.mode), Some(0o100600));
        let fid = m.walk("link", false).unwrap();
        m.rpc(Tmsg::Remove { fid }, |_| ()).unwrap();
        assert!(m.server.host.node("link").is_none() && m.server.host.node("src/lib/io.c").is_some());
        assert_eq!(m.server.fids(), 1, "{d}");
    }
}

#[test]
fn a_read_only_share_stays_as_it_is() {
    for mut m in mounts().filter(|m| m.dialect != Dialect::P9) {
        m.server.readonly = true;
        let before = m.server.host.read("src/main.c").map(<[u8]>::to_vec);
        for mode in [abi::OWRITE, abi::ORDWR, abi::OREAD | abi::OTRUNC, abi::OWRITE | abi::OTRUNC] {
            assert_eq!(err(m.open("src/main.c", mode)), "permission denied", "{mode:#x}");
        }
        assert_eq!(err(m.create("src", "x", 0o644, abi::OWRITE)), "permission denied");
        assert_eq!(err(m.wstat("src/main.c", |w| w.mode = 0o600)), "permission denied");
        // To execute is to read.
        let fid = m.open("src/main.c", abi::OEXEC).unwrap();
        m.close(fid, abi::OEXEC).unwrap();
        assert_eq!(m.server.host.read("src/main.c").map(<[u8]>::to_vec), before);
        assert_eq!(m.server.fids(), 1);
    }
}

#[test]
fn append_only_and_exclusive_files_are_kept_here() {
    for mut m in mounts().filter(|m| m.dialect != Dialect::P9) {
        let bits = abi::DMAPPEND | abi::DMEXCL;
        m.wstat("src/main.c", |w| w.mode = bits | 0o644).unwrap();
        let dir = m.stat("src/main.c").unwrap().dir;
        assert_eq!((dir.mode, dir.qid.kind), (bits | 0o644, 0x60));
        assert_eq!(m.server.host.node("src/main.c").map(|n| n.mode), Some(0o100644));
        let fid = m.open("src/main.c", abi::OWRITE).unwrap();
        m.write(fid, 0, b"// end\n").unwrap();
        m.close(fid, abi::OWRITE).unwrap();
        assert_eq!(m.server.host.read("src/main.c"), Some(&b"main(){}\n// end\n"[..]));
        m.wstat("src/main.c", |w| w.mode = 0o644).unwrap();
        assert_eq!(m.stat("src/main.c").unwrap().dir.mode, 0o644);
    }
}
