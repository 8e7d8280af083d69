//! A descriptor of a share is its file, whatever its name becomes: the server takes the file's other fids along when it
//! is asked in the right way, and loses some of them when it is not.

mod wire;

use std::sync::Arc;

use abi::{DMDIR, Dir, ORCLOSE, ORDWR, OREAD, OWRITE, error};
use port::Proc;
use port::call::sysfile;
use port::mem::iobuf::{Dst, Src};
use port::testkit::Hosted;
use wire::Share;

/// How many descriptors of one file there are.
const MANY: [usize; 4] = [1, 2, 20, 100];

fn open(t: &Hosted, name: &str, mode: u32) -> i32 {
    sysfile::open(&t.up, name, mode).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn fstat(up: &Arc<Proc>, fd: i32) -> Result<Dir, String> {
    let record = sysfile::fstat(up, fd).map_err(|e| e.to_string())?;
    Ok(Dir::parse(&record).unwrap().0)
}

fn fwstat(up: &Arc<Proc>, fd: i32, change: impl FnOnce(&mut Dir)) -> Result<(), String> {
    let mut dir = Dir::untouched();
    change(&mut dir);
    sysfile::fwstat(up, fd, &dir.to_bytes()).map_err(|e| e.to_string())
}

fn rename(up: &Arc<Proc>, name: &str, new: &str) {
    let dir = Dir { name: new.into(), ..Dir::untouched() };
    sysfile::wstat(up, name, &dir.to_bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
}

fn text(t: &Hosted, fd: i32) -> Vec<u8> {
    let mut buf = [0; 100];
    let n = sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), 0).unwrap();
    buf[..n].to_vec()
}

fn names(t: &Hosted, fd: i32) -> Vec<String> {
    let mut buf = [0; 8192];
    let n = sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), 0).unwrap();
    let mut names: Vec<_> = Dir::parse_all(&buf[..n]).unwrap().into_iter().map(|d| d.name).collect();
    names.sort();
    names
}

fn end(s: Share, fds: Vec<i32>) {
    for fd in fds {
        sysfile::close(&s.t.up, fd).unwrap();
    }
    s.end();
}

#[test]
fn a_renamed_file() {
    for many in MANY {
        let s = Share::new(|host| {
            host.file("dir/old", b"hello").unwrap();
        });
        let t = &s.t;
        let fds: Vec<_> = (0..many).map(|_| open(t, "/n/dir/old", ORDWR)).collect();
        rename(&t.up, "/n/dir/old", "new");
        // What has the old name now is another file.
        t.create("/n/dir/old", b"another file").unwrap();
        for (i, &fd) in fds.iter().enumerate() {
            let dir = fstat(&t.up, fd).unwrap();
            assert_eq!((dir.length, dir.name.as_str()), (5, "new"), "{i} of {many}");
            assert_eq!(text(t, fd), b"hello");
        }
        let last = fds[many - 1];
        fwstat(&t.up, last, |d| d.length = 2).unwrap();
        fwstat(&t.up, fds[many / 2], |d| d.mode = 0o600).unwrap();
        fwstat(&t.up, fds[0], |d| (d.mtime, d.atime) = (1000, 2000)).unwrap();
        assert_eq!(s.wire.host("dir/new").unwrap(), b"he");
        assert_eq!(s.wire.host("dir/old").unwrap(), b"another file");
        let dir = fstat(&t.up, last).unwrap();
        assert_eq!((dir.mode, dir.mtime, dir.length), (0o600, 1000, 2));
        assert_eq!(t.stat("/n/dir/old").unwrap().mode, 0o644);
        // And on, through a descriptor itself.
        assert_eq!(fwstat(&t.up, fds[0], |d| d.name = "old".into()), Err(error::EEXIST.into()));
        fwstat(&t.up, last, |d| d.name = "newer".into()).unwrap();
        fwstat(&t.up, fds[0], |d| d.name = "newest".into()).unwrap();
        assert_eq!(s.wire.host("dir/newest").unwrap(), b"he");
        for &fd in &fds {
            assert_eq!(fstat(&t.up, fd).unwrap().name, "newest");
        }
        end(s, fds);
    }
}

#[test]
fn below_a_renamed_directory() {
    for many in MANY {
        let s = Share::new(|host| {
            host.file("top/dir/x/y/f", b"zzz").unwrap();
            host.file("top/dir2/x/y/f", b"not this").unwrap();
        });
        let t = &s.t;
        let fds: Vec<_> = (0..many).map(|_| open(t, "/n/top/dir/x/y/f", ORDWR)).collect();
        let dirs: Vec<_> = (0..many).map(|_| open(t, "/n/top/dir/x", OREAD)).collect();
        let inside = t.process();
        sysfile::chdir(&inside, "/n/top/dir/x/y").unwrap();
        let there = t.process();
        sysfile::chdir(&there, "/n/top/dir").unwrap();
        rename(&t.up, "/n/top/dir", "other");
        // Another directory takes its place, with the same names in it.
        rename(&t.up, "/n/top/dir2", "dir");

        for &fd in &fds {
            assert_eq!(fstat(&t.up, fd).unwrap().length, 3);
            sysfile::pwrite(&t.up, fd, &Src::Kernel(b"Z"), 0).unwrap();
            fwstat(&t.up, fd, |d| d.length = 2).unwrap();
            fwstat(&t.up, fd, |d| d.length = 3).unwrap();
        }
        for &fd in &dirs {
            assert_eq!(names(t, fd), ["y"]);
            assert_eq!(fstat(&t.up, fd).unwrap().name, "x");
        }
        assert_eq!(s.wire.host("top/other/x/y/f").unwrap(), b"Zz\0");
        assert_eq!(s.wire.host("top/dir/x/y/f").unwrap(), b"not this");
        // Names from a working directory.
        let record = sysfile::stat(&inside, "f").unwrap();
        assert_eq!(Dir::parse(&record).unwrap().0.length, 3);
        for (up, name) in [(&inside, "made"), (&there, "x/y/made2"), (&inside, "../made3")] {
            let fd = sysfile::create(up, name, OWRITE, 0o644).unwrap();
            sysfile::close(up, fd).unwrap();
        }
        let record = sysfile::stat(&inside, "../../x/y/made").unwrap();
        assert_eq!(Dir::parse(&record).unwrap().0.name, "made");
        for made in ["x/y/made", "x/y/made2", "x/made3"] {
            assert!(s.wire.host(&format!("top/other/{made}")).is_some(), "{made}");
            assert!(s.wire.host(&format!("top/dir/{made}")).is_none(), "{made}");
        }
        sysfile::remove(&inside, "made").unwrap();
        assert!(s.wire.host("top/other/x/y/made").is_none());
        // A directory in the middle, through one that is open.
        fwstat(&t.up, dirs[0], |d| d.name = "X".into()).unwrap();
        for &fd in &fds {
            assert_eq!(fstat(&t.up, fd).unwrap().length, 3);
        }
        rename(&inside, "f", "F");
        assert_eq!(s.wire.host("top/other/X/y/F").unwrap(), b"Zz\0");
        for up in [inside, there] {
            sysfile::chdir(&up, "/").unwrap();
        }
        end(s, [fds, dirs].concat());
    }
}

#[test]
fn removed_when_it_is_closed() {
    let s = Share::new(|host| {
        host.file("old", b"mine").unwrap();
    });
    let t = &s.t;
    let fd = open(t, "/n/old", OREAD | ORCLOSE);
    rename(&t.up, "/n/old", "new");
    t.create("/n/old", b"another file").unwrap();
    sysfile::close(&t.up, fd).unwrap();
    assert_eq!((s.wire.host("new"), s.wire.host("old")), (None, Some(b"another file".to_vec())));
    end(s, vec![]);
}

/// Several ways lead to a directory: from each mount, and over a link.
#[test]
fn over_other_ways() {
    let s = Share::new(|host| {
        host.file("a/b/f", b"hello").unwrap();
        host.link("link", b"a/b").unwrap();
    });
    let t = &s.t;
    s.mount("host", "/mnt").unwrap();
    let fds: Vec<_> =
        ["/n/a/b/f", "/n/link/f", "/mnt/a/b/f", "/mnt/link/f"].map(|n| open(t, n, ORDWR)).to_vec();
    rename(&t.up, "/n/link/f", "g");
    rename(&t.up, "/n/a/b", "c");
    let fd = sysfile::create(&t.up, "/n/a/b", OREAD, DMDIR | 0o755).unwrap();
    sysfile::close(&t.up, fd).unwrap();
    t.create("/n/a/b/f", b"another").unwrap();
    t.create("/n/a/b/g", b"another").unwrap();
    for &fd in &fds {
        let dir = fstat(&t.up, fd).unwrap();
        assert_eq!((dir.length, dir.name.as_str()), (5, "g"));
    }
    for (i, &fd) in fds.iter().enumerate() {
        fwstat(&t.up, fd, |d| d.name = format!("g{i}")).unwrap();
        assert_eq!(s.wire.host(&format!("a/c/g{i}")).unwrap(), b"hello");
    }
    sysfile::unmount(&t.up, None, "/mnt").unwrap();
    end(s, fds);
}
