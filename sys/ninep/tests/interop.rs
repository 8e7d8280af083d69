//! 9P2000 with a client and a server that were written by somebody else (`ninep` on crates.io), over a socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use ninep::head::{Rio, Tio};
use ninep::ram::Ram;
use ninep::server::Session;
use ninep::translate::ids::Ids;
use ninep::translate::{self, FileType, attach, create, errors, io, list, open, version, walk, wstat};
use ninep::wire::{Data, Record};
use ninep::{Dialect, Framer, NOTAG, Names, Rmsg, Stat, Str, Tmsg};
use parking_lot::RawMutex;
use peer::fs::{FileType as PeerType, Mode, Perm, WStat};

/// Serves a socket until it closes.
fn serve(mut stream: UnixStream, tree: &Ram<RawMutex>) {
    let mut session = Session::new(1 << 20);
    let mut framer = Framer::new(1 << 20);
    let mut buf = [0; 777];
    while let Ok(n @ 1..) = stream.read(&mut buf) {
        framer.push(&buf[..n]);
        while let Some(request) = framer.next_message().unwrap() {
            let reply = session.handle(tree, request).unwrap();
            stream.write_all(&reply).unwrap();
        }
    }
}

/// Makes a file or directory in the root or in `dir`.
fn make(tree: &Ram<RawMutex>, dir: Option<&str>, name: &str, perm: u32, data: &[u8]) {
    let mut session = Session::new(1 << 20);
    let mut ask = |t: Tmsg<'_>| {
        let reply = session.handle(tree, &t.to_vec(Dialect::P9, 1).unwrap()).unwrap();
        assert_eq!(reply[4], t.kind() + 1, "{t:?}");
    };
    let names: Vec<Str<'_>> = dir.into_iter().map(Str::from).collect();
    let mode = if perm & abi::DMDIR != 0 { 0 } else { 1 };
    ask(Tmsg::Version { msize: 1 << 20, version: "9P2000".into() });
    ask(attach(0, "glenda", ""));
    ask(Tmsg::Walk { fid: 0, newfid: 1, names: Names::new(&names) });
    ask(Tmsg::Create { fid: 1, name: name.into(), perm, mode, extension: "".into() });
    if !data.is_empty() {
        ask(Tmsg::Write { fid: 1, offset: 0, data: Data(data) });
    }
}

#[test]
fn their_client_our_server() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let tree = Arc::new(Ram::new(b"glenda", 1 << 30, || 0));
    let big: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
    make(&tree, None, "dir", abi::DMDIR | 0o755, b"");
    make(&tree, None, "many", abi::DMDIR | 0o755, b"");
    make(&tree, Some("dir"), "big", 0o644, &big);
    make(&tree, Some("dir"), "text", 0o644, b"one\ntwo\n");
    for i in 0..300 {
        make(&tree, Some("many"), &format!("file-{i:04}"), 0o644, b"");
    }
    let served = tree.clone();
    let server = thread::spawn(move || serve(ours, &served));

    let client = peer::sync::client::Client::new_from_unix_stream("glenda", "", theirs).unwrap();
    assert_eq!(client.read("dir/big").unwrap(), big);
    assert_eq!(client.read_str("dir/text").unwrap(), "one\ntwo\n");
    // It keeps the fids of paths, and would open this one again.
    client.clunk_path("dir/text").unwrap();
    assert_eq!(client.read_from("dir/text", 4, 3).unwrap(), b"two");
    let mut names: Vec<String> = client.read_dir("many").unwrap().into_iter().map(|s| s.name).collect();
    names.sort();
    assert_eq!(names.len(), 300);
    assert_eq!((names[0].as_str(), names[299].as_str()), ("file-0000", "file-0299"));
    let stat = client.stat("dir/text").unwrap();
    assert_eq!((stat.name.as_str(), stat.n_bytes, stat.qid.ty), ("text", 8, PeerType::FILE));
    assert_eq!(stat.perms, Perm::new(0o644));
    assert_eq!(client.stat("dir").unwrap().qid.ty, PeerType::DIRECTORY);
    assert!(client.walk("nothing").unwrap_err().to_string().contains("file does not exist"));

    client.create("/", "new", Perm::new(0o640), Mode::READ_WRITE).unwrap();
    client.clunk_path("new").unwrap();
    assert_eq!(client.write_str("new", 0, "hello").unwrap(), 5);
    client.clunk_path("new").unwrap();
    assert_eq!(client.write_str("new", 5, ", world").unwrap(), 7);
    let qid = client.stat("new").unwrap().qid;
    let change = WStat { qid, perms: Some(Perm::new(0o600)), n_bytes: Some(5), ..WStat::default() };
    client.write_stat("new", change).unwrap();
    client.clunk_path("new").unwrap();
    assert_eq!(client.read_str("new").unwrap(), "hello");
    client.remove("dir/text").unwrap();
    drop(client);

    server.join().unwrap();

    // What they did is there for others.
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || serve(ours, &tree));
    let mut c = Client { stream: theirs, framer: Framer::new(1 << 20), tag: 0 };
    c.start();
    c.walk(1, "new").unwrap();
    let dir = c.stat(1).unwrap();
    assert_eq!((dir.mode, dir.length, dir.muid.as_str()), (0o600, 5, "glenda"));
    assert_eq!(c.walk(2, "dir/text").map(|walked| matches!(walked, walk::Walked::Done(_))), Ok(false));
    drop(c);
    server.join().unwrap();
}

/// A client on our codec: one request at a time.
struct Client {
    stream: UnixStream,
    framer: Framer,
    tag: u16,
}

impl Client {
    /// Sends bytes, and waits for one message, asking the socket for no more than that.
    fn exchange(&mut self, request: &[u8]) -> Vec<u8> {
        self.stream.write_all(request).unwrap();
        loop {
            if let Some(reply) = self.framer.next_message().unwrap() {
                return reply.to_vec();
            }
            let mut piece = vec![0; self.framer.wanted().unwrap()];
            self.stream.read_exact(&mut piece).unwrap();
            self.framer.push(&piece);
        }
    }

    fn rpc<T>(&mut self, t: Tmsg<'_>, f: impl FnOnce(Rmsg<'_>) -> T) -> Result<T, String> {
        self.tag = if matches!(t, Tmsg::Version { .. }) { NOTAG } else { self.tag.wrapping_add(1) % NOTAG };
        let request = t.to_vec(Dialect::P9, self.tag).unwrap();
        let reply = self.exchange(&request);
        errors::reply(Dialect::P9, self.tag, t.kind(), &reply).map(f).map_err(String::from)
    }

    /// Agrees on a version and attaches; the message size.
    fn start(&mut self) -> u32 {
        let hello = Tmsg::Version { msize: 8192 + 24, version: "9P2000".into() };
        let agreed = self.rpc(hello, |r| version::accept(Dialect::P9, 8192 + 24, &r)).unwrap();
        let Ok((Dialect::P9, msize)) = agreed else { panic!("{agreed:?}") };
        self.rpc(attach(0, "glenda", ""), |_| ()).unwrap();
        msize
    }

    fn walk(&mut self, newfid: u32, path: &str) -> Result<walk::Walked, String> {
        let names: Vec<Str<'_>> = path.split('/').filter(|n| !n.is_empty()).map(Str::from).collect();
        let t = Tmsg::Walk { fid: 0, newfid, names: Names::new(&names) };
        self.rpc(t, |r| match r {
            Rmsg::Walk { qids } => walk::outcome(names.len(), qids, abi::Qid::dir(0)).unwrap(),
            other => panic!("{other:?}"),
        })
    }

    fn read(&mut self, fid: u32, offset: u64, count: u32) -> Vec<u8> {
        let reply = self.exchange(&Tio::read(5, fid, offset, count).to_bytes());
        let n = io::read(count, Rio::parse(&reply).unwrap()).unwrap() as usize;
        reply[11..11 + n].to_vec()
    }

    fn stat(&mut self, fid: u32) -> Result<abi::Dir, String> {
        self.rpc(Tmsg::Stat { fid }, |r| match r {
            Rmsg::Stat { stat } => {
                let (view, n) = Stat::parse(Dialect::P9, stat.0).unwrap();
                assert_eq!((view.to_vec(Dialect::P9).as_deref(), n), (Ok(stat.0), stat.0.len()));
                translate::stat::File::from_stat(Dialect::P9, &view, &Ids::new()).dir
            }
            other => panic!("{other:?}"),
        })
    }
}

#[test]
fn our_client_their_server() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let ram = peer::util::ram::RamFs::new("glenda", "sys");
    let everything = Perm::any_read() | Perm::any_write() | Perm::any_exec();
    ram.file_tree().try_add_node(0, "dir", everything, PeerType::DIRECTORY, Vec::new()).unwrap();
    let served =
        thread::spawn(move || peer::sync::server::Server::new(ram).handle_single_client_stream(theirs));
    let mut c = Client { stream: ours, framer: Framer::new(1 << 20), tag: 0 };

    let msize = c.start();

    // Make a file, write it in pieces, read it back.
    assert!(matches!(c.walk(1, ""), Ok(walk::Walked::Done(_))));
    let Ok(create::Create::Open(t)) = create::request(Dialect::P9, 1, b"file", 0o666, abi::ORDWR) else {
        panic!()
    };
    let iounit = c.rpc(t, |r| match r {
        Rmsg::Create { iounit, .. } => open::iounit(iounit, msize),
        other => panic!("{other:?}"),
    });
    let iounit = iounit.unwrap();
    let data: Vec<u8> = (0..50_000u32).map(|i| (i % 253) as u8).collect();
    let mut offset = 0u64;
    for piece in data.chunks(iounit as usize) {
        let n = c.rpc(Tmsg::Write { fid: 1, offset, data: Data(piece) }, |r| match r {
            Rmsg::Write { count } => io::written(piece.len() as u32, count).unwrap(),
            other => panic!("{other:?}"),
        });
        assert_eq!(n, Ok(piece.len() as u32));
        offset += piece.len() as u64;
    }
    let mut back = Vec::new();
    loop {
        let piece = c.read(1, back.len() as u64, iounit);
        if piece.is_empty() {
            break;
        }
        back.extend(piece);
    }
    assert_eq!(back, data);
    c.rpc(open::close(Dialect::P9, 1, abi::ORDWR), |_| ()).unwrap();

    // What is it like, and change it.
    c.walk(1, "file").unwrap();
    let dir = c.stat(1).unwrap();
    assert_eq!((dir.name.as_str(), dir.uid.as_str(), dir.is_dir()), ("file", "glenda", false));
    let want = abi::Dir { name: "renamed".into(), ..abi::Dir::untouched() };
    // This server wants the file's own qid in a wstat.
    let want = abi::Dir { qid: dir.qid, ..want };
    let record = wstat::plan9_record(&want).unwrap();
    c.rpc(Tmsg::Wstat { fid: 1, stat: Record(&record) }, |_| ()).unwrap();
    assert_eq!(c.stat(1).unwrap().name, "renamed");

    // Read the directory.
    c.walk(2, "").unwrap();
    let open = open::request(Dialect::P9, 2, FileType::Dir, abi::OREAD, false);
    c.rpc(open.message, |_| ()).unwrap();
    let records = c.read(2, 0, 8192);
    let names: Vec<String> =
        list::Listing::new(Dialect::P9, &records, &Ids::new()).map(|f| f.unwrap().dir.name).collect();
    assert_eq!(names, ["dir", "renamed"]);

    // Failures arrive in words.
    assert!(c.walk(3, "nothing").is_err());
    assert!(c.rpc(Tmsg::Clunk { fid: 77 }, |_| ()).is_err());
    c.rpc(Tmsg::Flush { oldtag: 1 }, |_| ()).unwrap();
    c.rpc(Tmsg::Remove { fid: 1 }, |_| ()).unwrap();
    assert!(c.walk(3, "renamed").is_err());
    drop(c);
    served.join().unwrap();
}
