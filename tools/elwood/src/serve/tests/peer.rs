//! A folder that is served, and a client made of the codec alone, over a socket pair.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use ninep::wire::Record;
use ninep::{Dialect, Framer, NOFID, NOTAG, Names, Rmsg, Stat, Stats, Str, Tmsg};

use crate::serve::tree::Tree;
use crate::serve::{client, files};

/// A folder that goes when the test ends: `top/served` is served, `top/secret` is outside.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static N: AtomicU32 = AtomicU32::new(0);
        let n = N.fetch_add(1, Ordering::Relaxed);
        let top = std::env::temp_dir().join(format!("elwood-serve-{}-{n}", std::process::id()));
        fs::create_dir_all(top.join("served/dir")).unwrap();
        fs::write(top.join("secret"), "secret").unwrap();
        fs::write(top.join("served/file"), "hello").unwrap();
        fs::write(top.join("served/dir/inner"), "inner").unwrap();
        Folder(top)
    }

    pub fn served(&self) -> PathBuf {
        self.0.join("served")
    }

    pub fn client(&self, readonly: bool) -> Client {
        let tree = Arc::new(files::Folder::new(Tree::open(&self.served(), readonly).unwrap()));
        Client::new(&tree)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A client that waits for each answer.
pub struct Client {
    pub socket: UnixStream,
    framer: Framer,
}

impl Client {
    pub fn silent(tree: &Arc<files::Folder>) -> Client {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let tree = tree.clone();
        thread::spawn(move || client(&tree, theirs.try_clone().unwrap(), theirs));
        Client { socket: ours, framer: Framer::new(1 << 20) }
    }

    /// Attached as fid 0.
    pub fn new(tree: &Arc<files::Folder>) -> Client {
        let mut c = Client::silent(tree);
        let agreed = c.ask(Tmsg::Version { msize: 8192, version: "9P2000".into() });
        assert_eq!(
            agreed,
            Rmsg::Version { msize: 8192, version: "9P2000".into() }.to_vec(Dialect::P9, NOTAG).unwrap()
        );
        c.ok(Tmsg::Attach { fid: 0, afid: NOFID, uname: "glenda".into(), aname: "".into(), n_uname: 0 });
        c
    }

    pub fn ask(&mut self, t: Tmsg<'_>) -> Vec<u8> {
        let tag = if matches!(t, Tmsg::Version { .. }) { NOTAG } else { 7 };
        self.socket.write_all(&t.to_vec(Dialect::P9, tag).unwrap()).unwrap();
        self.next()
    }

    pub fn next(&mut self) -> Vec<u8> {
        let mut buf = [0; 4096];
        loop {
            if let Some(m) = self.framer.next_message().unwrap() {
                return m.to_vec();
            }
            let n = self.socket.read(&mut buf).unwrap();
            assert_ne!(n, 0, "the server left");
            self.framer.push(&buf[..n]);
        }
    }

    /// The reply, which must be the one to this request.
    pub fn ok(&mut self, t: Tmsg<'_>) -> Vec<u8> {
        let reply = self.ask(t);
        let (tag, r) = Rmsg::decode(Dialect::P9, &reply).unwrap();
        assert_eq!((tag, r.kind()), (7, t.kind() + 1), "{t:?}: {r:?}");
        reply
    }

    /// The error, which must come.
    pub fn no(&mut self, t: Tmsg<'_>) -> String {
        let reply = self.ask(t);
        match Rmsg::decode(Dialect::P9, &reply).unwrap() {
            (7, Rmsg::Error { ename, .. }) => ename.text().into_owned(),
            other => panic!("{t:?}: {other:?}"),
        }
    }

    /// Walks from the root; how many names were found.
    pub fn walk(&mut self, newfid: u32, path: &[&str]) -> usize {
        let names: Vec<Str<'_>> = path.iter().map(|n| Str(n.as_bytes())).collect();
        let reply = self.ok(Tmsg::Walk { fid: 0, newfid, names: Names::new(&names) });
        let (_, Rmsg::Walk { qids }) = Rmsg::decode(Dialect::P9, &reply).unwrap() else { unreachable!() };
        qids.len()
    }

    pub fn walk_fails(&mut self, path: &[&str]) -> String {
        let names: Vec<Str<'_>> = path.iter().map(|n| Str(n.as_bytes())).collect();
        self.no(Tmsg::Walk { fid: 0, newfid: 99, names: Names::new(&names) })
    }

    pub fn open(&mut self, fid: u32, mode: u32) {
        self.ok(Tmsg::Open { fid, mode: mode as u8 });
    }

    pub fn read(&mut self, fid: u32, offset: u64, count: u32) -> Vec<u8> {
        let reply = self.ok(Tmsg::Read { fid, offset, count });
        let (_, Rmsg::Read { data }) = Rmsg::decode(Dialect::P9, &reply).unwrap() else { unreachable!() };
        data.0.to_vec()
    }

    pub fn stat(&mut self, fid: u32) -> Vec<u8> {
        let reply = self.ok(Tmsg::Stat { fid });
        let (_, Rmsg::Stat { stat }) = Rmsg::decode(Dialect::P9, &reply).unwrap() else { unreachable!() };
        stat.0.to_vec()
    }

    pub fn wstat(&mut self, fid: u32, stat: Stat<'_>) -> Option<String> {
        let record = stat.to_vec(Dialect::P9).unwrap();
        let reply = self.ask(Tmsg::Wstat { fid, stat: Record(&record) });
        match Rmsg::decode(Dialect::P9, &reply).unwrap().1 {
            Rmsg::Wstat {} => None,
            Rmsg::Error { ename, .. } => Some(ename.text().into_owned()),
            other => panic!("{other:?}"),
        }
    }

    pub fn list(&mut self, fid: u32, count: u32) -> Vec<Vec<u8>> {
        let (mut names, mut offset) = (Vec::new(), 0);
        loop {
            let data = self.read(fid, offset, count);
            if data.is_empty() {
                names.sort();
                return names;
            }
            offset += data.len() as u64;
            names.extend(Stats::new(Dialect::P9, &data).map(|s| s.unwrap().name.bytes().to_vec()));
        }
    }
}
