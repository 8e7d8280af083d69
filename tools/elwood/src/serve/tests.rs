//! A client over a socket pair, against every message.

mod peer;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use abi::{DMAPPEND, DMDIR, DMEXCL, Dir};
use ninep::wire::Data;
use ninep::{Dialect, NOFID, Names, Rmsg, Stat, Tmsg};

use super::files;
use super::tree::Tree;
use peer::{Client, Folder};

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn create(fid: u32, name: &str, perm: u32, mode: u32) -> Tmsg<'_> {
    Tmsg::Create { fid, name: name.into(), perm, mode: mode as u8, extension: "".into() }
}

#[test]
fn a_session_begins_with_a_version_and_a_version_ends_it() {
    let f = Folder::new();
    let tree = Arc::new(files::Folder::new(Tree::open(&f.served(), false).unwrap()));
    let mut c = Client::silent(&tree);
    assert_eq!(c.no(Tmsg::Clunk { fid: 0 }), "no version agreed on");
    let version = |reply: &[u8]| match Rmsg::decode(Dialect::P9, reply).unwrap().1 {
        Rmsg::Version { msize, version } => (msize, version.text().into_owned()),
        other => panic!("{other:?}"),
    };
    let mut ask = |msize, v: &str| version(&c.ask(Tmsg::Version { msize, version: v.into() }));
    assert_eq!(ask(8192, "9P1"), (8192, "unknown".into()));
    assert_eq!(ask(u32::MAX, "9P2000.u"), (1 << 20, "9P2000".into()));
    assert_eq!(ask(8192, "9P2000"), (8192, "9P2000".into()));
    let attach = Tmsg::Attach { fid: 0, afid: NOFID, uname: "u".into(), aname: "".into(), n_uname: 0 };
    c.ok(attach);
    assert_eq!(c.no(attach), "fid in use");
    let auth = Tmsg::Auth { afid: 5, uname: "u".into(), aname: "".into(), n_uname: 0 };
    assert_eq!(c.no(auth), "authentication not required");
    c.ok(Tmsg::Flush { oldtag: 55 });
    c.ask(Tmsg::Version { msize: 8192, version: "9P2000".into() });
    assert_eq!(c.no(Tmsg::Stat { fid: 0 }), "unknown fid");
}

#[test]
fn walks_stay_below_the_folder() {
    let f = Folder::new();
    symlink("../secret", f.served().join("out")).unwrap();
    symlink("/etc", f.served().join("etc")).unwrap();
    symlink("dir", f.served().join("in")).unwrap();
    symlink("loop", f.served().join("loop")).unwrap();
    let mut c = f.client(false);
    assert_eq!(c.walk(1, &["dir", "inner"]), 2);
    assert_eq!(c.walk(2, &["dir", "nothing"]), 1);
    assert_eq!(c.no(Tmsg::Stat { fid: 2 }), "unknown fid");
    assert_eq!(c.walk_fails(&["nothing"]), "file does not exist");
    assert_eq!(c.walk(3, &["file", "x"]), 1);
    // Above the folder is the folder.
    assert_eq!(c.walk(4, &["..", "..", "file"]), 3);
    assert_eq!(
        c.walk_fails(&["..", "secret"].map(|n| if n == ".." { "../secret" } else { n })),
        "file does not exist"
    );
    assert_eq!(c.walk_fails(&["dir/inner"]), "file does not exist");
    assert_eq!(c.walk_fails(&[""]), "file does not exist");
    assert_eq!(c.walk(5, &["in", "inner"]), 2);
    // Links that lead out are seen, and no more.
    for (fid, name) in [(10, "out"), (11, "etc"), (12, "loop")] {
        assert_eq!(c.walk(fid, &[name]), 1);
        for mode in [0, 1, 0x10] {
            assert_eq!(c.no(Tmsg::Open { fid, mode }), "permission denied");
        }
        assert!(c.wstat(fid, Stat::from(Dir { mode: 0o777, ..Dir::untouched() })).is_some());
        assert!(c.wstat(fid, Stat::from(Dir { length: 0, ..Dir::untouched() })).is_some());
    }
    assert_eq!(c.walk(13, &["etc", "passwd"]), 1);
    assert_eq!(c.no(create(11, "x", 0o644, 1)), "not a directory");
    c.ok(Tmsg::Remove { fid: 10 });
    assert_eq!(fs::read(f.0.join("secret")).unwrap(), b"secret");
    // A folder that becomes a link after it was walked to leads nowhere either.
    assert_eq!(c.walk(20, &["dir"]), 1);
    fs::rename(f.served().join("dir"), f.served().join("gone")).unwrap();
    symlink(&f.0, f.served().join("dir")).unwrap();
    assert!(c.ask(create(20, "new", 0o644, 1)).get(4) == Some(&107));
    assert!(!f.0.join("new").exists());
}

#[test]
fn open_read_and_write() {
    let f = Folder::new();
    let mut c = f.client(false);
    for fid in 1..=6 {
        c.walk(fid, &["file"]);
    }
    c.open(1, abi::OREAD);
    assert_eq!(c.no(Tmsg::Open { fid: 1, mode: 0 }), "file is open already");
    assert_eq!(c.no(Tmsg::Walk { fid: 1, newfid: 50, names: Names::new(&[]) }), "file is open already");
    assert_eq!((c.read(1, 1, 3), c.read(1, 5, 10)), (b"ell".to_vec(), vec![]));
    assert!(c.no(Tmsg::Write { fid: 1, offset: 0, data: Data(b"x") }).contains("inappropriate"));
    c.open(2, abi::OWRITE);
    assert!(c.no(Tmsg::Read { fid: 2, offset: 0, count: 1 }).contains("inappropriate"));
    c.ok(Tmsg::Write { fid: 2, offset: 3, data: Data(b"p!") });
    assert_eq!(c.read(1, 0, 100), b"help!");
    assert_eq!(c.no(Tmsg::Open { fid: 3, mode: abi::OEXEC as u8 }), "permission denied");
    c.open(3, abi::ORDWR | abi::OTRUNC);
    assert_eq!(c.read(3, 0, 100), b"");
    let big: Vec<u8> = (0..8168u32).map(|i| i as u8).collect();
    c.ok(Tmsg::Write { fid: 3, offset: 0, data: Data(&big) });
    assert_eq!(c.read(3, 0, u32::MAX), big);
    assert_eq!(c.no(Tmsg::Open { fid: 4, mode: 0x80 }), "bad arg in system call");
    assert_eq!(c.no(Tmsg::Read { fid: 5, offset: 0, count: 1 }), "inappropriate use of fd");
    // Removed at clunk, and still readable until then.
    c.open(6, abi::OREAD | abi::ORCLOSE);
    c.ok(Tmsg::Clunk { fid: 6 });
    assert!(!f.served().join("file").exists());
    assert_eq!(c.read(1, 0, 3), &big[..3]);
    c.stat(1);
    assert_eq!(c.no(Tmsg::Stat { fid: 5 }), "file does not exist");
}

#[test]
fn create_is_exclusive_and_takes_the_directory_s_permissions() {
    let f = Folder::new();
    let dir = f.served().join("dir");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o750)).unwrap();
    let mut c = f.client(false);
    for fid in 1..=8 {
        c.walk(fid, &["dir"]);
    }
    c.ok(create(1, "new", 0o777, abi::ORDWR));
    assert_eq!(mode_of(&dir.join("new")), 0o751);
    c.ok(Tmsg::Write { fid: 1, offset: 0, data: Data(b"data") });
    assert_eq!(c.no(create(2, "new", 0o644, abi::OWRITE)), "file already exists");
    assert_eq!(fs::read(dir.join("new")).unwrap(), b"data");
    c.ok(create(2, "sub", DMDIR | 0o777, abi::OREAD));
    assert_eq!(mode_of(&dir.join("sub")), 0o750);
    assert!(c.list(2, 8000).is_empty());
    assert_eq!(c.no(create(3, "sub2", DMDIR | 0o777, abi::OWRITE)), "file is a directory");
    for name in ["", ".", "..", "a/b", "a\0"] {
        c.no(create(3, name, 0o644, abi::OWRITE));
    }
    for bit in [DMAPPEND, DMEXCL] {
        assert_eq!(c.no(create(3, "special", bit | 0o644, abi::OWRITE)), "not supported by the file server");
    }
    c.ok(create(3, "tmp", 0o600, abi::OWRITE | abi::ORCLOSE));
    assert!(dir.join("tmp").exists());
    c.ok(Tmsg::Clunk { fid: 3 });
    assert!(!dir.join("tmp").exists());
    c.walk(30, &["file"]);
    assert_eq!(c.no(create(30, "x", 0o644, 1)), "not a directory");
}

#[test]
fn directories_are_read_in_whole_records() {
    let f = Folder::new();
    let many = f.served().join("many");
    fs::create_dir(&many).unwrap();
    let mut want: Vec<Vec<u8>> = (0..500).map(|i| format!("file-{i:03}").into_bytes()).collect();
    want.push(vec![b'n'; 255]);
    want.push(b"p\xe8re".to_vec());
    want.sort();
    for name in &want {
        fs::write(many.join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
    }
    let mut c = f.client(false);
    c.walk(1, &["many"]);
    c.open(1, abi::OREAD);
    for count in [400, 1000, 8000] {
        assert_eq!(c.list(1, count), want, "{count}");
    }
    assert_eq!(c.no(Tmsg::Read { fid: 1, offset: 0, count: 20 }), "read or write too small");
    assert_eq!(c.no(Tmsg::Read { fid: 1, offset: 3, count: 2000 }), "seek in directory");
    c.walk(2, &["many"]);
    assert_eq!(c.no(Tmsg::Open { fid: 2, mode: 1 }), "file is a directory");
    assert_eq!(c.no(Tmsg::Remove { fid: 2 }), "directory not empty");
    assert_eq!(c.no(Tmsg::Clunk { fid: 2 }), "unknown fid");
}

#[test]
fn wstat_changes_all_or_nothing() {
    let f = Folder::new();
    let mut c = f.client(false);
    c.walk(1, &["file"]);
    c.walk(2, &["dir"]);
    c.walk(3, &["dir", "inner"]);
    let keep = Dir::untouched();
    assert_eq!(c.wstat(1, Stat::default()), None);
    assert_eq!(
        c.wstat(1, Stat::from(Dir { mode: 0o600, mtime: 1234, length: 2, name: "new".into(), ..keep })),
        None
    );
    let bytes = c.stat(1);
    let s = Stat::parse(Dialect::P9, &bytes).unwrap().0;
    assert_eq!((s.mode, s.mtime, s.length, s.name), (0o600, 1234, 2, "new".into()));
    assert_eq!(fs::read(f.served().join("new")).unwrap(), b"he");
    // The whole record that was read, written back, changes nothing.
    assert_eq!(c.wstat(1, s), None);
    assert_eq!(
        c.wstat(1, Stat::from(Dir { name: "dir".into(), length: 0, ..keep })).unwrap(),
        "file already exists"
    );
    assert_eq!(fs::read(f.served().join("new")).unwrap(), b"he");
    for bad in [
        Stat::from(Dir { name: "../x".into(), ..keep }),
        Stat::from(Dir { uid: "somebody".into(), ..keep }),
        Stat::from(Dir { mode: DMDIR | 0o700, ..keep }),
        Stat::from(Dir { kind: 9, ..keep }),
        Stat::from(Dir { gid: "no such group".into(), ..keep }),
    ] {
        assert!(c.wstat(1, bad).is_some(), "{bad:?}");
    }
    // What is held below a renamed directory moves with it.
    assert_eq!(c.wstat(2, Stat::from(Dir { name: "folder".into(), ..keep })), None);
    c.open(3, abi::OREAD);
    assert_eq!(c.read(3, 0, 10), b"inner");
    assert_eq!(c.wstat(2, Stat::from(Dir { length: 5, ..keep })).unwrap(), "permission denied");
    assert_eq!(c.wstat(0, Stat::from(Dir { name: "x".into(), ..keep })).unwrap(), "permission denied");
    assert_eq!(c.no(Tmsg::Remove { fid: 0 }), "permission denied");
    assert!(f.served().exists());
}

#[test]
fn read_only_changes_nothing() {
    let f = Folder::new();
    let mut c = f.client(true);
    for fid in 1..=3 {
        c.walk(fid, &["file"]);
    }
    for mode in [abi::OWRITE, abi::ORDWR, abi::OTRUNC, abi::ORCLOSE] {
        assert_eq!(c.no(Tmsg::Open { fid: 1, mode: mode as u8 }), "permission denied");
    }
    assert_eq!(c.wstat(1, Stat::from(Dir { mode: 0, ..Dir::untouched() })).unwrap(), "permission denied");
    assert_eq!(c.no(create(0, "x", 0o644, 1)), "permission denied");
    assert_eq!(c.no(Tmsg::Remove { fid: 2 }), "permission denied");
    c.open(1, abi::OREAD);
    assert_eq!(c.read(1, 0, 10), b"hello");
}

#[test]
fn several_clients_and_requests_in_flight() {
    let f = Folder::new();
    let tree = Arc::new(files::Folder::new(Tree::open(&f.served(), false).unwrap()));
    let work = |n: u32| {
        let mut c = Client::new(&tree);
        c.walk(1, &["dir"]);
        let name = format!("of-{n}");
        c.ok(create(1, &name, 0o644, abi::ORDWR));
        for i in 0..50u64 {
            c.ok(Tmsg::Write { fid: 1, offset: i * 4, data: Data(&n.to_le_bytes()) });
        }
        assert_eq!(c.read(1, 0, 8000), n.to_le_bytes().repeat(50));
        // Many at once, and the answers in order.
        let read = |tag| Tmsg::Read { fid: 1, offset: 0, count: 4 }.to_vec(Dialect::P9, tag).unwrap();
        c.socket.write_all(&(0..20).flat_map(read).collect::<Vec<u8>>()).unwrap();
        for tag in 0..20 {
            assert_eq!(Rmsg::decode(Dialect::P9, &c.next()).unwrap().0, tag);
        }
    };
    thread::scope(|s| {
        let work = &work;
        (0..4).for_each(|n| drop(s.spawn(move || work(n))));
    });
}

#[test]
fn nonsense_gets_an_error_and_a_bad_length_ends_it() {
    let f = Folder::new();
    let mut c = f.client(false);
    c.socket.write_all(&[8, 0, 0, 0, 120, 7, 0, 1]).unwrap();
    assert_eq!(Rmsg::decode(Dialect::P9, &c.next()).unwrap().1.kind(), 107);
    c.socket.write_all(&[1, 0, 0, 0, 120, 7, 0]).unwrap();
    assert_eq!(c.socket.read(&mut [0; 10]).unwrap(), 0);
}
