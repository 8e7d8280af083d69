//! The translation table as a whole: a mount driver in small ([`driver`]), on its rows, against the test server. The
//! same story is told in all three dialects and must come out the same, whatever the server is like.

mod driver;

use ninep::testserver::Server;
use ninep::{Dialect, Tmsg};

use driver::Mount;

type Result<T> = std::result::Result<T, String>;

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
