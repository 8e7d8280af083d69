//! The commands against the server engine over a tree in memory.

use std::ffi::OsStr;
use std::os::unix::net::UnixStream;
use std::thread;

use clap::Parser;
use ninep::ram::Ram;
use ninep::server::{MSIZE_MAX, Session};
use ninep::{Dialect, Framer, Rmsg};
use parking_lot::RawMutex;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

/// Serves one client of a tree.
fn served(tree: &Ram<RawMutex>, mut socket: UnixStream) {
    let mut session = Session::new(MSIZE_MAX);
    let mut framer = Framer::new(MSIZE_MAX);
    let mut piece = [0; 333];
    while let Ok(n @ 1..) = io::Read::read(&mut socket, &mut piece) {
        framer.push(&piece[..n]);
        while let Some(request) = framer.next_message().unwrap() {
            socket.write_all(&session.handle(tree, request).unwrap()).unwrap();
        }
    }
}

/// What one command prints, which is text.
fn ask(tree: &Ram<RawMutex>, words: &[&str]) -> Result<String, String> {
    let words: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
    ask_bytes(tree, &words).map(|out| String::from_utf8(out).unwrap())
}

/// What one command prints.
fn ask_bytes(tree: &Ram<RawMutex>, words: &[&[u8]]) -> Result<Vec<u8>, String> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let words = [&b"mount-test"[..], b"--unix", b"/"].into_iter().chain(words.iter().copied());
    let words = words.map(OsStr::from_bytes);
    let options = Cli::try_parse_from(words).unwrap().options;
    let mut out = Vec::new();
    let result = thread::scope(|s| {
        s.spawn(|| served(tree, theirs));
        run(Box::new(ours), &options, &mut out)
    });
    result.map_err(|e| format!("{e:#}")).map(|()| out)
}

#[test]
fn a_tree_is_made_looked_at_and_removed() {
    let tree = Ram::new(b"glenda", 1 << 30, || 1234);
    let local = std::env::temp_dir().join(format!("elwood-mount-test-{}", std::process::id()));
    let big: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(&local, &big).unwrap();
    let from = local.to_str().unwrap();
    assert_eq!(ask(&tree, &[]).unwrap(), "9P2000, messages of 1048576 bytes, 0 files in the root\n");
    assert_eq!(
        ask(&tree, &["--msize", "512"]).unwrap(),
        "9P2000, messages of 512 bytes, 0 files in the root\n"
    );
    let mut deep = String::new();
    for level in 0..20 {
        deep = format!("{deep}/d{level}");
        ask(&tree, &["mkdir", &deep]).unwrap();
    }
    let file = format!("{deep}/big/");
    assert_eq!(ask(&tree, &["put", &file, from]), Ok(String::new()));
    let sum = ask(&tree, &["sum", &deep]).unwrap();
    assert_eq!(sum.split_once("  ").map(|(_, name)| name), Some("big\n"));
    let mut hash = Sha1::new();
    hash.update(&big);
    let local_sum: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(sum.split_once(' ').map(|(sum, _)| sum), Some(local_sum.as_str()));
    assert_eq!(ask(&tree, &["sum", &file]).unwrap(), sum);
    assert_eq!(
        ask(&tree, &["--msize", "8192", "sum"]).unwrap(),
        sum.replace("big", &format!("{}/big", &deep[1..]))
    );
    // A second put replaces the first.
    std::fs::write(&local, "short").unwrap();
    ask(&tree, &["put", &file, from]).unwrap();
    assert_eq!(ask(&tree, &["cat", &file]).unwrap(), "short");
    assert_eq!(ask(&tree, &["mv", &file, "small"]), Ok(String::new()));
    assert_eq!(ask(&tree, &["ls", &deep]).unwrap(), "small\n");
    let long = ask(&tree, &["ls", "-l", &format!("{deep}/small")]).unwrap();
    assert_eq!(long, "--rw-rw-r-- glenda glenda 5 1234 small\n");
    assert_eq!(ask(&tree, &["ls", "-l"]).unwrap(), "d-rwxrwxr-x glenda glenda 0 1234 d0\n");
    ask(&tree, &["rm", &format!("{deep}/small")]).unwrap();
    assert_eq!(ask(&tree, &["sum"]).unwrap(), "");
    std::fs::remove_file(&local).unwrap();
}

#[test]
fn errors_are_the_servers_with_the_path() {
    let tree = Ram::new(b"glenda", 1 << 20, || 0);
    ask(&tree, &["mkdir", "d"]).unwrap();
    for (words, want) in [
        (&["cat", "none"][..], "none: file does not exist"),
        (&["cat", "d"], "d: file is a directory"),
        (&["rm", "/"], "/: permission denied"),
        (&["mkdir", "d"], "d: file already exists"),
        (&["mkdir", "a/b"], "a/b: file does not exist"),
        (&["mv", "d", "x/y"], "d: bad character in file name"),
        (&["--user", "mole", "mkdir", "m"], "m: permission denied"),
        (&["--tree", "other", "ls"], "attach: file does not exist"),
        (&["put", "x", "/nonexistent/file"], "cannot open /nonexistent/file: "),
    ] {
        let e = ask(&tree, words).unwrap_err();
        assert!(e.starts_with(want), "{words:?}: {e}");
    }
}

#[test]
fn what_is_no_server_is_said_to_be_none() {
    let say = |bytes: &[u8]| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(bytes).unwrap();
        let patience = Duration::from_millis(50);
        let e = Client::new(Box::new(ours), 8192, "u", "", patience).map(drop).unwrap_err();
        drop(theirs);
        format!("{e:#}")
    };
    assert!(say(b"HTTP/1.1 400 Bad Request\r\n").starts_with("what answers is no 9P server"));
    assert_eq!(say(b""), "no answer: does a server run at the other end?");
    // An answer for somebody else comes first; then nothing.
    let stale = b"\x07\0\0\0\x79\x05\0\x14\0\0\0\x65\xff\xff\0\x20\0\0\x07\0unknown";
    assert_eq!(say(stale), "the server speaks \"unknown\", not 9P2000");
    // That one may have agreed on longer messages than we offer, and its text need not be UTF-8.
    let mut long = Rmsg::Error { ename: "\u{e9}".into(), errno: 0 }.to_vec(Dialect::P9, 5).unwrap();
    assert_eq!(long.pop(), Some(0xa9));
    long.push(b'?');
    let data = vec![0; 70_000];
    long.extend(Rmsg::Read { data: ninep::wire::Data(&data) }.to_vec(Dialect::P9, 6).unwrap());
    long.extend(stale);
    assert_eq!(say(&long), "the server speaks \"unknown\", not 9P2000");
}

#[test]
fn names_are_bytes() {
    let tree = Ram::new(b"glenda", 1 << 20, || 0);
    ask_bytes(&tree, &[b"mkdir", b"d\xff"]).unwrap();
    ask_bytes(&tree, &[b"put", b"d\xff/\xfe", b"/dev/null"]).unwrap();
    assert_eq!(ask_bytes(&tree, &[b"ls"]).unwrap(), b"d\xff\n");
    ask_bytes(&tree, &[b"mv", b"d\xff/\xfe", b"\xc0\xaf"]).unwrap();
    let sum = ask_bytes(&tree, &[b"sum"]).unwrap();
    assert!(sum.ends_with(b"  d\xff/\xc0\xaf\n"), "{sum:?}");
    assert_eq!(ask_bytes(&tree, &[b"cat", b"d\xff/\xc0\xaf"]).unwrap(), b"");
    ask_bytes(&tree, &[b"rm", b"d\xff/\xc0\xaf"]).unwrap();
    ask_bytes(&tree, &[b"rm", b"d\xff"]).unwrap();
    assert_eq!(ask(&tree, &["ls"]).unwrap(), "");
}

#[test]
fn an_error_in_the_middle_of_a_file_is_not_its_end() {
    let tree = Ram::<RawMutex>::new(b"glenda", 1 << 20, || 0);
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || {
        let mut session = Session::new(MSIZE_MAX);
        let mut framer = Framer::new(MSIZE_MAX);
        let mut piece = [0; 333];
        let mut reads = 0;
        while let Ok(n @ 1..) = io::Read::read(&mut theirs, &mut piece) {
            framer.push(&piece[..n]);
            while let Some(request) = framer.next_message().unwrap() {
                let mut reply = session.handle(&tree, request).unwrap().to_vec();
                // The second Tread.
                reads += u32::from(request[4] == 116);
                if request[4] == 116 && reads == 2 {
                    reply =
                        Rmsg::Error { ename: "i/o error".into(), errno: 0 }.to_vec(Dialect::P9, 0).unwrap();
                }
                theirs.write_all(&reply).unwrap();
            }
        }
    });
    let mut c = Client::new(Box::new(ours), 512, "glenda", "", Duration::from_secs(10)).unwrap();
    c.put(b"file", &[7; 2000][..]).unwrap();
    let mut got = 0;
    let e = c.get(b"file", |data| {
        got += data.len();
        Ok(())
    });
    assert_eq!((format!("{:#}", e.unwrap_err()), got), ("i/o error".into(), 512 - 24));
    // The session goes on.
    assert_eq!(c.list(b"/").unwrap().len(), 1);
    drop(c);
    server.join().unwrap();
}
