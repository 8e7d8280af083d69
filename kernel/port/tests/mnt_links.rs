//! `#9`: symbolic links. QEMU's server stops at them; programs must not notice that there are any, but for `rm`
//! and `mv`, which act on the link.

mod wire;

use abi::{Dir, MREPL, OREAD, OTRUNC, OWRITE, error};
use ninep::testserver::Tree;
use ninep::{Dialect, kind};
use port::call::sysfile;
use port::testkit::Hosted;
use wire::{Fate, Share};

fn tree(host: &mut Tree) {
    host.file("data/file", b"contents").unwrap();
    host.file("data/deep/er/leaf", b"leaf").unwrap();
    host.file("top", b"top").unwrap();
    for (link, target) in [
        ("plain", &b"data/file"[..]),
        ("dir", b"data/deep"),
        ("absolute", b"/data/file"),
        ("data/up", b"../top"),
        ("data/deep/out", b"../../data"),
        ("chain3", b"chain2"),
        ("chain2", b"./chain1"),
        ("chain1", b"dir"),
        ("dangling", b"no/such"),
        ("data/far", b"/no"),
        ("loop1", b"loop2"),
        ("loop2", b"loop1"),
        ("self", b"self/x"),
        ("root", b"/"),
        ("dot", b"."),
        ("escape", b"../../../../top"),
        ("empty", b""),
        ("through", b"top/x"),
        ("bytes", b"p\xe8re"),
    ] {
        host.link(link, target).unwrap();
    }
    host.file(b"p\xe8re", b"bytes").unwrap();
}

fn open_err(t: &Hosted, name: &str) -> String {
    sysfile::open(&t.up, name, OREAD).unwrap_err().text().to_string()
}

#[test]
fn links_are_what_they_lead_to() {
    let s = Share::new(tree);
    let t = &s.t;
    for (name, contents) in [
        ("plain", &b"contents"[..]),
        ("absolute", b"contents"),
        ("dir/er/leaf", b"leaf"),
        ("data/up", b"top"),
        ("dir/out/file", b"contents"),
        ("dir/out/deep/out/up", b"top"),
        ("chain3/er/leaf", b"leaf"),
        ("chain3/out/deep/er/leaf", b"leaf"),
        ("root/data/file", b"contents"),
        ("root/root/dot/root/plain", b"contents"),
        ("dot/dot/top", b"top"),
        ("escape", b"top"),
        ("bytes", b"bytes"),
    ] {
        assert_eq!(t.read(&format!("/n/{name}")).unwrap(), contents, "{name}");
    }
    // The same file by any name.
    let (file, root) = (t.stat("/n/data/file").unwrap(), t.stat("/n").unwrap());
    for name in ["plain", "absolute", "dir/out/file"] {
        let d = t.stat(&format!("/n/{name}")).unwrap();
        assert_eq!(
            (d.qid, d.mode, d.length, d.mtime),
            (file.qid, file.mode, file.length, file.mtime),
            "{name}"
        );
        assert_eq!(d.name, name.rsplit('/').next().unwrap());
    }
    for name in ["root", "dot", "root/dot"] {
        assert_eq!(t.stat(&format!("/n/{name}")).unwrap().qid, root.qid, "{name}");
    }
    let fd = sysfile::open(&t.up, "/n/plain", OWRITE | OTRUNC).unwrap();
    sysfile::pwrite(&t.up, fd, &port::mem::iobuf::Src::Kernel(b"new"), 0).unwrap();
    sysfile::close(&t.up, fd).unwrap();
    assert_eq!(s.wire.host("data/file").unwrap(), b"new");
    t.create("/n/chain3/made", b"made").unwrap();
    assert_eq!(s.wire.host("data/deep/made").unwrap(), b"made");
    s.end();
}

#[test]
fn links_that_lead_nowhere() {
    let s = Share::new(tree);
    let t = &s.t;
    for (name, text) in [
        ("/n/dangling", "'/n/dangling' file does not exist"),
        ("/n/dangling/x", "'/n/dangling' file does not exist"),
        ("/n/data/far", "'/n/data/far' file does not exist"),
        ("/n/empty", "'/n/empty' file does not exist"),
        ("/n/through", "'/n/through' not a directory"),
        ("/n/loop1", "'/n/loop1' too many symbolic links"),
        ("/n/self", "'/n/self' too many symbolic links"),
    ] {
        assert_eq!(open_err(t, name), text);
        let e = sysfile::stat(&t.up, name).unwrap_err();
        assert!(text.ends_with(e.text()) || e.text() == text, "stat {name}: {e}");
    }
    // In the middle of a path the server's word for what fails is not important, but it fails.
    for name in ["/n/loop1/x", "/n/self/y/z", "/n/top/x"] {
        sysfile::open(&t.up, name, OREAD).unwrap_err();
    }
    // Making a file by its name does not follow it into the dark.
    assert!(sysfile::create(&t.up, "/n/dangling", OWRITE, 0o644).unwrap_err().is(error::ENONEXIST));
    assert!(s.wire.state().server.host.node("no").is_none());
    for name in ["dangling", "loop1", "self", "data/far"] {
        let mut dir = Dir::untouched();
        dir.mode = 0o600;
        sysfile::wstat(&t.up, &format!("/n/{name}"), &dir.to_bytes()).unwrap_err();
        sysfile::remove(&t.up, &format!("/n/{name}")).unwrap();
        assert!(s.wire.state().server.host.node(name).is_none(), "{name}");
    }
    s.end();
}

#[test]
fn rm_and_mv_act_on_the_link() {
    let s = Share::new(tree);
    let t = &s.t;
    let there = |name: &str| s.wire.state().server.host.node(name).is_some();
    sysfile::remove(&t.up, "/n/plain").unwrap();
    assert!(!there("plain") && there("data/file"));
    sysfile::remove(&t.up, "/n/dir").unwrap();
    assert!(!there("dir") && there("data/deep"));
    let rename = |name: &str, new: &str| {
        let dir = Dir { name: new.into(), ..Dir::untouched() };
        sysfile::wstat(&t.up, name, &dir.to_bytes()).map_err(|e| e.text().to_string())
    };
    rename("/n/absolute", "abs").unwrap();
    assert!(there("abs") && there("data/file"));
    assert_eq!(t.read("/n/abs").unwrap(), b"contents");
    rename("/n/dangling", "dang").unwrap();
    assert!(there("dang") && !there("dangling"));
    assert_eq!(rename("/n/dang", "top"), Err(error::EEXIST.into()));
    assert_eq!(rename("/n/data/up", "top"), Ok(()), "data/top is free");
    assert_eq!(rename("/n/top", "dang"), Err(error::EEXIST.into()), "a dangling link has the name");
    // Of a link with a new name and a new mode the one is the link's and the other the file's.
    let dir = Dir { name: "both".into(), mode: 0o600, ..Dir::untouched() };
    sysfile::wstat(&t.up, "/n/abs", &dir.to_bytes()).unwrap();
    {
        let state = s.wire.state();
        assert_eq!(state.server.host.node("data/file").unwrap().mode & 0o777, 0o600);
        assert_eq!(state.server.host.node("both").unwrap().mode, 0o120777);
    }
    s.end();
}

#[test]
fn directories_show_the_ends_of_links() {
    let s = Share::new(tree);
    let t = &s.t;
    let dirs = t.dirs("/n").unwrap();
    let entry = |name: &str| dirs.iter().find(|d| d.name == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(dirs.len(), 19);
    assert_eq!((entry("plain").length, entry("plain").mode), (8, 0o644));
    assert_eq!(entry("plain").qid, t.stat("/n/data/file").unwrap().qid);
    assert!(entry("dir").is_dir() && entry("root").is_dir() && entry("chain3").is_dir());
    for name in ["dangling", "loop1", "empty"] {
        assert_eq!(
            (entry(name).length, entry(name).mode & !0o777, entry(name).qid.kind),
            (0, 0, 0),
            "{name}"
        );
    }
    s.end();
}

#[test]
fn dotdot_goes_back_the_way_one_came() {
    let s = Share::new(tree);
    let t = &s.t;
    for (name, same) in [
        ("/n/dir/..", "/n"),
        ("/n/dir/er/..", "/n/data/deep"),
        ("/n/dir/er/../..", "/n"),
        ("/n/dir/out/..", "/n/data/deep"),
        ("/n/dir/out/../..", "/n"),
        ("/n/dir/out/deep/../..", "/n/data/deep"),
        ("/n/chain3/..", "/n"),
        ("/n/data/deep/out/deep/er/../../..", "/n/data/deep"),
        ("/n/root/data/..", "/n"),
        ("/n/data/deep/..", "/n/data"),
        ("/n/data/../../n/data", "/n/data"),
    ] {
        assert_eq!(t.stat(name).unwrap().qid, t.stat(same).unwrap().qid, "{name}");
    }
    // And the shell's: one step after the other.
    for (to, at) in [("/n/dir", "/n/dir"), ("er", "/n/dir/er"), ("..", "/n/dir"), ("..", "/n"), ("..", "/")] {
        sysfile::chdir(&t.up, to).unwrap();
        let fd = sysfile::open(&t.up, ".", OREAD).unwrap();
        assert_eq!(sysfile::fd2path(&t.up, fd).unwrap(), at);
        sysfile::close(&t.up, fd).unwrap();
        assert_eq!(t.stat(".").unwrap().qid, t.stat(at).unwrap().qid, "{to}");
    }
    s.end();
}

/// Somebody removes the link that one came through, or the directory that one is in: the way back is still there.
#[test]
fn dotdot_from_what_has_been_removed() {
    let s = Share::new(tree);
    let t = &s.t;
    let at = |name: &str| {
        let fd = sysfile::open(&t.up, ".", OREAD).unwrap();
        assert_eq!(sysfile::fd2path(&t.up, fd).unwrap(), name);
        sysfile::close(&t.up, fd).unwrap();
        assert_eq!(t.stat(".").unwrap().qid, t.stat(name).unwrap().qid);
    };
    sysfile::chdir(&t.up, "/n/data/deep/out").unwrap();
    sysfile::remove(&t.up, "/n/data/deep/out").unwrap();
    sysfile::chdir(&t.up, "..").unwrap();
    at("/n/data/deep");
    sysfile::chdir(&t.up, "/n/dir").unwrap();
    sysfile::remove(&t.up, "/n/dir").unwrap();
    assert!(s.wire.state().server.host.node("dir").is_none());
    sysfile::chdir(&t.up, "..").unwrap();
    at("/n");
    s.wire.state().server.host.file("here/in/f", b"").unwrap();
    sysfile::chdir(&t.up, "/n/here/in").unwrap();
    sysfile::remove(&t.up, "/n/here/in/f").unwrap();
    sysfile::remove(&t.up, "/n/here/in").unwrap();
    sysfile::chdir(&t.up, "..").unwrap();
    at("/n/here");
    // Nothing leads back to what is not there any more.
    s.wire.state().server.host.file("here/in/f", b"").unwrap();
    sysfile::chdir(&t.up, "/n/here/in").unwrap();
    for name in ["/n/here/in/f", "/n/here/in", "/n/here"] {
        sysfile::remove(&t.up, name).unwrap();
    }
    let e = sysfile::chdir(&t.up, "..").unwrap_err();
    assert!(e.is(error::ENONEXIST), "{e}");
    sysfile::chdir(&t.up, "/").unwrap();
    s.end();
}

#[test]
fn what_is_bound_through_a_link_is_bound_on_the_file() {
    let s = Share::new(tree);
    let t = &s.t;
    sysfile::bind(&t.up, "#c", "/n/dir", MREPL).unwrap();
    assert_eq!(t.read("/n/data/deep/osversion").unwrap(), b"2000");
    assert_eq!(t.read("/n/chain1/osversion").unwrap(), b"2000");
    sysfile::unmount(&t.up, None, "/n/data/deep").unwrap();
    assert_eq!(t.read("/n/dir/er/leaf").unwrap(), b"leaf");
    s.end();
}

#[test]
fn a_link_with_many_names_takes_several_walks() {
    let s = Share::new(|host| {
        let long: Vec<String> = (0..40).map(|i| format!("d{i}")).collect();
        host.file(long.join("/"), b"far").unwrap();
        host.link("far", long.join("/").as_bytes()).unwrap();
        host.link("half", long[..20].join("/").as_bytes()).unwrap();
        host.link("d0/d1/d2/back", b"/half").unwrap();
    });
    let t = &s.t;
    assert_eq!(t.read("/n/far").unwrap(), b"far");
    let rest: Vec<String> = (20..40).map(|i| format!("d{i}")).collect();
    assert_eq!(t.read(&format!("/n/d0/d1/d2/back/{}", rest.join("/"))).unwrap(), b"far");
    s.end();
}

/// The link is changed under our feet, between being walked to and being read.
#[test]
fn a_link_that_becomes_something_else() {
    let s = Share::new(tree);
    let t = &s.t;
    let asks = if wire::dialect() == Dialect::L { kind::TREADLINK } else { kind::TSTAT };
    s.wire.plan_for(asks, |t| {
        let bytes = wire::error(t, "Stale file handle", 116);
        let len = bytes.len();
        Fate::Say(bytes, len)
    });
    assert_eq!(open_err(t, "/n/plain"), "'/n/plain' file does not exist");
    s.wire.no_plan();
    assert_eq!(t.read("/n/plain").unwrap(), b"contents");
    s.end();
}

/// A file knows the links on the way to it, and they are let go one after the other.
#[test]
fn a_long_way_of_links_ends_on_a_short_stack() {
    let s = Share::new(tree);
    let t = &s.t;
    sysfile::chdir(&t.up, &format!("/n{}", "/dot".repeat(3000))).unwrap();
    let dot = t.up.dot();
    sysfile::chdir(&t.up, "/").unwrap();
    // Closing sends messages, which takes some stack, but nothing like 3000 times some.
    let small = std::thread::Builder::new().stack_size(256 << 10);
    small.spawn(move || drop(dot)).unwrap().join().unwrap();
    assert_eq!(t.read("/n/top").unwrap(), b"top");
}
