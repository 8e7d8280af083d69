//! The test server against what QEMU's was seen to do.

use super::*;
use crate::attr::setattr;
use crate::translate::errors;
use crate::translate::ids::Ids;
use crate::translate::list::Listing;
use crate::{Attr, Dirents, NOFID, NONUM, SetAttr, Stat};
use abi::Dir;
use alloc::string::ToString;
use alloc::vec;

/// Asks, and gives the reply's bytes.
fn ask(s: &mut Server, t: Tmsg<'_>) -> Vec<u8> {
    let d = if s.plan9 { Dialect::P9 } else { s.dialect };
    s.handle(&t.to_vec(d, 7).unwrap())
}

fn errno_of(s: &mut Server, t: Tmsg<'_>) -> u32 {
    let bytes = ask(s, t);
    match Rmsg::decode(s.dialect, &bytes).unwrap().1 {
        Rmsg::Error { errno, .. } => errno,
        Rmsg::Lerror { ecode } => ecode,
        _ => 0,
    }
}

fn text_of(s: &mut Server, t: Tmsg<'_>) -> String {
    let bytes = ask(s, t);
    let (_, r) = Rmsg::decode(s.dialect, &bytes).unwrap();
    errors::text(s.dialect, &r).unwrap_or_default().to_string()
}

fn start(version: &'static str) -> Server {
    let mut s = if version == "9P2000" { Server::plan9() } else { Server::new() };
    s.host.file("dir/f", b"hello").unwrap();
    s.host.link("link", b"dir").unwrap();
    s.host.special("fifo", 0o010644, 0).unwrap();
    s.host.special("null", 0o020666, 1 << 32 | 3).unwrap();
    let v = Tmsg::Version { msize: 8192, version: version.into() };
    assert!(!s.handle(&v.to_vec(Dialect::P9, crate::NOTAG).unwrap()).is_empty());
    assert_eq!(errno_of(&mut s, crate::translate::attach(0, "glenda", "")), 0);
    s
}

fn walk(s: &mut Server, newfid: u32, path: &str) -> Vec<u8> {
    let names: Vec<Str<'_>> = path.split('/').filter(|n| !n.is_empty()).map(Str::from).collect();
    ask(s, Tmsg::Walk { fid: 0, newfid, names: Names::new(&names) })
}

#[test]
fn versions_are_qemus() {
    let mut s = start("9P2000.u");
    let v = |s: &mut Server, msize, version: &'static str| {
        let bytes =
            s.handle(&Tmsg::Version { msize, version: version.into() }.to_vec(Dialect::P9, 0).unwrap());
        match Rmsg::decode(s.dialect, &bytes).unwrap().1 {
            Rmsg::Version { msize, version } => (msize, version.to_string()),
            other => (0, alloc::format!("{other:?}")),
        }
    };
    assert_eq!(v(&mut s, 8192, "9P2000"), (8192, "unknown".into()));
    assert_eq!(s.fids(), 0);
    assert_eq!(v(&mut s, 1 << 30, "9P2000.L"), (1 << 30, "9P2000.L".into()));
    assert_eq!(v(&mut s, 4095, "9P2000.L").1, "Lerror { ecode: 90 }");
    let mut p = Server::plan9();
    assert_eq!(v(&mut p, 8192, "9P2000.u"), (8192, "9P2000".into()));
}

#[test]
fn walks_stop_at_links_and_make_no_fid() {
    let mut s = start("9P2000.u");
    let found = |bytes: &[u8]| match Rmsg::decode(Dialect::U, bytes).unwrap().1 {
        Rmsg::Walk { qids } => qids.iter().map(|q| q.kind).collect::<Vec<u8>>(),
        _ => vec![0xff],
    };
    assert_eq!(found(&walk(&mut s, 1, "link/f")), [2]);
    assert_eq!(s.fids(), 1);
    assert_eq!(found(&walk(&mut s, 1, "dir/../../dir/f")), [0x80, 0x80, 0x80, 0x80, 0]);
    assert_eq!(found(&walk(&mut s, 2, "dir/f/x")), [0x80, 0]);
    assert_eq!(found(&walk(&mut s, 2, "missing/x")), [0xff]);
    assert_eq!(found(&walk(&mut s, 1, "dir")), [0xff], "fid 1 is taken");
    assert_eq!(errno_of(&mut s, Tmsg::Clunk { fid: 9 }), ENOENT);
    assert_eq!(errno_of(&mut s, Tmsg::Read { fid: 9, offset: 0, count: 1 }), EINVAL);
}

#[test]
fn special_files_are_seen_and_not_opened() {
    for version in ["9P2000.u", "9P2000.L"] {
        let mut s = start(version);
        for (name, number) in [("link", ELOOP), ("fifo", ENXIO), ("null", ENXIO), ("dir/f", 0), ("dir", 0)] {
            walk(&mut s, 1, name);
            let open = if version == "9P2000.u" {
                Tmsg::Open { fid: 1, mode: 1 }
            } else {
                Tmsg::Lopen { fid: 1, flags: 1 }
            };
            assert_eq!(errno_of(&mut s, open), number, "{name}");
            assert_eq!(errno_of(&mut s, Tmsg::Clunk { fid: 1 }), 0);
        }
    }
}

#[test]
fn a_directory_has_dots_and_no_order() {
    let mut s = start("9P2000.u");
    for i in 0..100 {
        s.host.file(alloc::format!("many/{i:03}"), b"").unwrap();
    }
    walk(&mut s, 1, "many");
    assert_eq!(errno_of(&mut s, Tmsg::Open { fid: 1, mode: 0 }), 0);
    let mut names = Vec::new();
    let mut offset = 0;
    loop {
        let bytes = ask(&mut s, Tmsg::Read { fid: 1, offset, count: 1000 });
        let Rmsg::Read { data } = Rmsg::decode(Dialect::U, &bytes).unwrap().1 else { panic!() };
        if data.0.is_empty() {
            break;
        }
        offset = 77; // any number but 0 goes on
        names.extend(crate::Stats::new(Dialect::U, data.0).map(|r| r.unwrap().name.to_string()));
    }
    assert_eq!(names.len(), 102);
    assert!(names.contains(&".".into()) && names.contains(&"..".into()) && !names.is_sorted());
    let small = ask(&mut s, Tmsg::Read { fid: 1, offset: 0, count: 20 });
    assert_eq!(small.len(), 11, "too small a count looks like the end");
    // A name that vanishes between listing and stat fails the read.
    s.host.remove(alloc::format!("many/{}", names.iter().find(|n| !n.starts_with('.')).unwrap())).unwrap();
    assert_eq!(errno_of(&mut s, Tmsg::Read { fid: 1, offset: 5, count: 1000 }), ENOENT);
    let bytes = ask(&mut s, Tmsg::Read { fid: 1, offset: 0, count: 8000 });
    let Rmsg::Read { data } = Rmsg::decode(Dialect::U, &bytes).unwrap().1 else { panic!() };
    let shown: Vec<_> = Listing::new(Dialect::U, data.0, &Ids::new()).flatten().collect();
    assert!(!shown.is_empty() && shown.iter().all(|f| f.dir.name.len() == 3));
}

#[test]
fn cookies_go_on() {
    let mut s = start("9P2000.L");
    walk(&mut s, 1, "");
    ask(&mut s, Tmsg::Lopen { fid: 1, flags: 0o200000 });
    let (mut names, mut offset) = (Vec::new(), 0);
    loop {
        let bytes = ask(&mut s, Tmsg::Readdir { fid: 1, offset, count: 60 });
        let Rmsg::Readdir { data } = Rmsg::decode(Dialect::L, &bytes).unwrap().1 else { panic!() };
        let Some(last) = Dirents::new(data.0).map(Result::unwrap).last() else { break };
        names.extend(Dirents::new(data.0).map(|e| e.unwrap().name.to_string()));
        offset = last.cookie;
    }
    names.sort();
    assert_eq!(names, [".", "..", "dir", "fifo", "link", "null"]);
    assert_eq!(errno_of(&mut s, Tmsg::Read { fid: 1, offset: 0, count: 60 }), EOPNOTSUPP);
}

fn stat(s: &mut Server, path: &str) -> (usize, u32, String, String) {
    walk(s, 99, path);
    let bytes = ask(s, Tmsg::Stat { fid: 99 });
    ask(s, Tmsg::Clunk { fid: 99 });
    let count = usize::from(bytes[7]) | usize::from(bytes[8]) << 8;
    let Rmsg::Stat { stat } = Rmsg::decode(s.dialect, &bytes).unwrap().1 else { panic!() };
    let (stat, _) = Stat::parse(s.dialect, stat.0).unwrap();
    (count, stat.mode, stat.name.to_string(), stat.extension.to_string())
}

#[test]
fn stats_are_qemus() {
    let mut s = start("9P2000.u");
    assert_eq!(stat(&mut s, ""), (0, 0x8000_01ed, ".".into(), "HARDLINKCOUNT 2".into()));
    assert_eq!(stat(&mut s, "dir/f"), (0, 0o644, "f".into(), "HARDLINKCOUNT 1".into()));
    assert_eq!(stat(&mut s, "link"), (0, 0x0200_01ff, "link".into(), "dir".into()));
    assert_eq!(stat(&mut s, "null"), (0, 0x0080_01b6, "null".into(), "c 1 3".into()));
    assert_eq!(stat(&mut s, "fifo"), (0, 0x0020_01a4, "fifo".into(), "".into()));
    let mut p = start("9P2000");
    assert_eq!(stat(&mut p, ""), (p_root_size(), 0x8000_01ed, "/".into(), "".into()));
}

fn p_root_size() -> usize {
    abi::dir::STATFIXLEN + "/".len() + 3 * "1000".len()
}

#[test]
fn create_opens_what_is_there_unless_told() {
    let mut s = start("9P2000.u");
    let create = |mode| Tmsg::Create { fid: 1, name: "f".into(), perm: 0o644, mode, extension: Str(&[]) };
    walk(&mut s, 1, "dir");
    assert_eq!(errno_of(&mut s, create(0x06)), EEXIST);
    assert_eq!(errno_of(&mut s, create(0x02)), 0);
    assert_eq!(s.host.read("dir/f"), Some(&b"hello"[..]));
    let mut p = start("9P2000");
    walk(&mut p, 1, "dir");
    assert_eq!(text_of(&mut p, create(0x02)), "file already exists");
}

#[test]
fn wstat_is_qemus() {
    let mut s = start("9P2000.u");
    walk(&mut s, 1, "dir/f");
    let wstat = |s: &mut Server, stat: Stat<'_>| {
        let record = stat.to_vec(Dialect::U).unwrap();
        errno_of(s, Tmsg::Wstat { fid: 1, stat: crate::wire::Record(&record) })
    };
    assert_eq!(wstat(&mut s, Stat::default()), EINVAL, "a sync of a fid that is not open");
    assert_eq!(wstat(&mut s, Stat::from(Dir { mode: 0o600, ..Dir::untouched() })), 0);
    assert_eq!(s.host.node("dir/f").map(|n| (n.mode, n.uid, n.gid)), Some((0o100600, SELF, SELF)));
    assert_eq!(wstat(&mut s, Stat::from(Dir { mode: DMSYMLINK | 0o600, ..Dir::untouched() })), EIO);
    // The ancestor's padding of zeros.
    assert_eq!(
        wstat(
            &mut s,
            Stat { dir: Dir { mode: 0o600, ..Dir::untouched() }, n_uid: 0, n_gid: 0, ..Stat::default() }
        ),
        0
    );
    assert_eq!(s.host.node("dir/f").map(|n| (n.uid, n.gid)), Some((0, 0)));
    s.host.file("dir/g", b"gone").unwrap();
    assert_eq!(wstat(&mut s, Stat::from(Dir { name: "g".into(), length: 2, ..Dir::untouched() })), 0);
    assert_eq!((s.host.read("dir/g"), s.host.read("dir/f")), (Some(&b"he"[..]), None));
    assert_eq!(stat(&mut s, "dir/g").2, "g");
    let record = Stat::from(Dir { name: "a/b".into(), ..Dir::untouched() }).to_vec(Dialect::U).unwrap();
    assert_eq!(ask(&mut s, Tmsg::Wstat { fid: 1, stat: crate::wire::Record(&record) }), []);
    assert!(s.broken().is_some_and(|why| why.contains("aborts")));
    s.reset();
    assert_eq!((s.broken(), s.fids()), (None, 0));
}

const DMSYMLINK: u32 = crate::stat::dm::SYMLINK;

#[test]
fn a_read_only_share_is_cut_all_the_same() {
    let mut s = start("9P2000.u");
    s.readonly = true;
    for (mode, number) in [(1, EROFS), (2, EROFS), (3, EROFS), (0, 0)] {
        walk(&mut s, 1, "dir/f");
        assert_eq!(errno_of(&mut s, Tmsg::Open { fid: 1, mode }), number);
        ask(&mut s, Tmsg::Clunk { fid: 1 });
    }
    walk(&mut s, 1, "dir/f");
    assert_eq!(errno_of(&mut s, Tmsg::Open { fid: 1, mode: 0x10 }), 0);
    assert_eq!(s.host.read("dir/f"), Some(&b""[..]));
    let create = Tmsg::Create { fid: 0, name: "x".into(), perm: 0, mode: 0, extension: Str(&[]) };
    assert_eq!(errno_of(&mut s, create), EROFS);
}

#[test]
fn removed_files_can_be_read_but_not_statted() {
    let mut s = start("9P2000.u");
    walk(&mut s, 1, "dir/f");
    ask(&mut s, Tmsg::Open { fid: 1, mode: 2 });
    s.host.remove("dir/f").unwrap();
    assert_eq!(errno_of(&mut s, Tmsg::Stat { fid: 1 }), ENOENT);
    assert_eq!(ask(&mut s, Tmsg::Read { fid: 1, offset: 1, count: 3 })[11..], *b"ell");
    assert_eq!(errno_of(&mut s, Tmsg::Remove { fid: 1 }), ENOENT);
    assert_eq!(s.fids(), 1, "a remove that fails clunks all the same");
}

#[test]
fn what_breaks_the_device() {
    let mut s = start("9P2000.u");
    walk(&mut s, 1, "dir/f");
    ask(&mut s, Tmsg::Open { fid: 1, mode: 0 });
    let read = Tmsg::Read { fid: 1, offset: 0, count: 100 }.to_vec(Dialect::U, 0).unwrap();
    assert_eq!(s.clone().handle_in(&read, 111).len(), 16);
    assert_eq!(s.handle_in(&read, 110), [], "even though the file is shorter");
    assert!(s.broken().is_some());
    let mut s = start("9P2000.u");
    assert_eq!(s.handle(&[13, 0, 0, 0, 104, 0, 0, 1, 0, 0, 0, 0, 0]), [], "an attach without its end");
    let mut s = start("9P2000.L");
    assert_eq!(s.handle(&Tmsg::Open { fid: 0, mode: 0 }.to_vec(Dialect::U, 0).unwrap()), []);
    let mut s = start("9P2000.u");
    assert_eq!(s.handle_in(&Tmsg::Stat { fid: 0 }.to_vec(Dialect::U, 0).unwrap(), 20), []);
    let mut s = start("9P2000.u");
    let readdir = Tmsg::Readdir { fid: 0, offset: 0, count: 9 }.to_vec(Dialect::L, 0).unwrap();
    assert_eq!(errno_in(&s.handle(&readdir)), EOPNOTSUPP, "an unknown request breaks nothing");
}

fn errno_in(bytes: &[u8]) -> u32 {
    match Rmsg::decode(Dialect::U, bytes).unwrap().1 {
        Rmsg::Error { errno, .. } => errno,
        _ => 0,
    }
}

#[test]
fn linux_calls() {
    let mut s = start("9P2000.L");
    walk(&mut s, 1, "dir");
    let mkdir = Tmsg::Mkdir { dfid: 1, name: "sub".into(), mode: 0o750, gid: NONUM };
    assert_eq!((errno_of(&mut s, mkdir), errno_of(&mut s, mkdir)), (0, EEXIST));
    let (excl, gid) = (0o302, 100);
    let create = Tmsg::Lcreate { fid: 1, name: "new".into(), flags: excl, mode: 0o640, gid };
    assert_eq!(errno_of(&mut s, create), 0);
    assert_eq!(errno_of(&mut s, Tmsg::Write { fid: 1, offset: 2, data: Data(b"xy") }), 0);
    assert_eq!(s.host.read("dir/new"), Some(&b"\0\0xy"[..]));
    assert_eq!(s.host.node("dir/new").map(|n| (n.mode, n.uid, n.gid)), Some((0o100640, SELF, 100)));
    // An open fid cannot be renamed; its clone can, and leaves the open one behind.
    let rename = |fid| Tmsg::Rename { fid, dfid: NOFID, name: "newer".into() };
    assert_eq!(errno_of(&mut s, rename(1)), EINVAL);
    ask(&mut s, Tmsg::Walk { fid: 1, newfid: 2, names: Names::new(&[]) });
    assert_eq!(errno_of(&mut s, rename(2)), 0);
    let touch = Tmsg::Setattr { fid: 1, attr: SetAttr { valid: setattr::MTIME, ..SetAttr::default() } };
    assert_eq!(errno_of(&mut s, touch), ENOENT);
    // By the name of the directory all are taken along.
    walk(&mut s, 5, "dir");
    let rename_at = |oldname, newname| Tmsg::Renameat { olddirfid: 5, oldname, newdirfid: 5, newname };
    assert_eq!(errno_of(&mut s, rename_at("newer".into(), "new".into())), 0);
    assert_eq!(errno_of(&mut s, rename_at("new".into(), "newest".into())), 0);
    assert_eq!(errno_of(&mut s, touch), 0);
    let bytes = ask(&mut s, Tmsg::Getattr { fid: 1, mask: 0x7ff });
    let Rmsg::Getattr { attr } = Rmsg::decode(Dialect::L, &bytes).unwrap().1 else { panic!() };
    assert_eq!((bytes.len(), attr.size, attr.mode), (160, 4, 0o100640));
    assert_ne!(attr, Attr::default());
    walk(&mut s, 3, "link");
    let bytes = ask(&mut s, Tmsg::Readlink { fid: 3 });
    assert_eq!(Rmsg::decode(Dialect::L, &bytes).unwrap().1, Rmsg::Readlink { target: "dir".into() });
    walk(&mut s, 4, "dir");
    let unlink = |flags| Tmsg::Unlinkat { dirfid: 4, name: "sub".into(), flags };
    assert_eq!((errno_of(&mut s, unlink(0)), errno_of(&mut s, unlink(0x200))), (EISDIR, 0));
    assert_eq!(errno_of(&mut s, Tmsg::Fsync { fid: 1, datasync: 0 }), 0);
}

#[test]
fn plan9_removes_on_close_and_keeps_offsets() {
    let mut s = start("9P2000");
    walk(&mut s, 1, "dir/f");
    assert_eq!(text_of(&mut s, Tmsg::Open { fid: 1, mode: 0x40 }), "");
    ask(&mut s, Tmsg::Clunk { fid: 1 });
    assert_eq!(s.host.read("dir/f"), None);
    walk(&mut s, 1, "");
    ask(&mut s, Tmsg::Open { fid: 1, mode: 0 });
    let bytes = ask(&mut s, Tmsg::Read { fid: 1, offset: 0, count: 8000 });
    let Rmsg::Read { data } = Rmsg::decode(Dialect::P9, &bytes).unwrap().1 else { panic!() };
    assert_eq!(abi::Dir::parse_all(data.0).map(|d| d.len()), Ok(4));
    assert_eq!(text_of(&mut s, Tmsg::Read { fid: 1, offset: 3, count: 8000 }), "bad arg in system call");
    walk(&mut s, 2, "dir");
    assert_eq!(text_of(&mut s, Tmsg::Open { fid: 2, mode: 1 }), "file is a directory");
}
