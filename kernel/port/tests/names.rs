//! Names: walking, mount points, unions, `..`, and what the failures say.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::{DMDIR, Dir, MAFTER, MBEFORE, MCREATE, MREPL, OEXEC, ORDWR, OREAD, OTRUNC, OWRITE, error};
use port::iobuf::{Dst, Src};
use port::sysfile;
use port::testkit::{Hosted, Ram};

/// A kernel whose `/n` has the memory file system `#R`.
fn with_ram() -> (Hosted, Arc<Ram>) {
    let ram = Ram::new();
    let t = Hosted::with(vec![ram.clone()], vec![], &[]);
    sysfile::bind(&t.up, "#R", "/n", MREPL | MCREATE).unwrap();
    (t, ram)
}

fn mkdir(t: &Hosted, name: &str) {
    let fd = sysfile::create(&t.up, name, OREAD, DMDIR | 0o755).unwrap();
    sysfile::close(&t.up, fd).unwrap();
}

/// The text with which opening `name` fails.
fn open_err(t: &Hosted, name: &str, mode: u32) -> String {
    sysfile::open(&t.up, name, mode).unwrap_err().text().to_string()
}

fn path_of(t: &Hosted, name: &str) -> String {
    let fd = sysfile::open(&t.up, name, OREAD).unwrap();
    let path = sysfile::fd2path(&t.up, fd).unwrap();
    sysfile::close(&t.up, fd).unwrap();
    path
}

#[test]
fn failures_name_the_part_of_the_path_that_failed() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/a");
    t.create("/n/a/file", b"x").unwrap();
    for (name, text) in [
        ("/no/such", "'/no' file does not exist"),
        ("/n/a/none", "'/n/a/none' file does not exist"),
        ("/n/a/none/x", "'/n/a/none' file does not exist"),
        ("/n/none/a/file", "'/n/none' file does not exist"),
        ("/n/a/file/x", "'/n/a/file' not a directory"),
        ("/n/a/file/..", "'/n/a/file' not a directory"),
        ("/n/a/file/", "'/n/a/file/' not a directory"),
        ("/n/a/file/.", "'/n/a/file/.' not a directory"),
        ("none", "'none' file does not exist"),
        ("./n/it's", "'./n/it''s' file does not exist"),
        ("#c/none", "'#c/none' file does not exist"),
        ("#Q", "unknown device in # filename"),
        ("#", "unknown device in # filename"),
        ("#cx/pid", "bad attach specifier"),
        ("", "empty file name"),
        ("/n/a\x01", "bad character in file name"),
        ("/n/a\x7f", "bad character in file name"),
    ] {
        assert_eq!(open_err(&t, name, OREAD), text, "{name:?}");
    }
    let long = "/x".repeat(40_000);
    assert_eq!(open_err(&t, &long, OREAD), error::ETOOLONG);
    assert_eq!(open_err(&t, "/n/a", OEXEC), "'/n/a' cannot exec directory");
    assert_eq!(open_err(&t, "/", OEXEC), "'/' cannot exec directory");
    assert_eq!(open_err(&t, "/n/a/file", 0x80), error::EBADARG);
    assert_eq!(open_err(&t, "/n/a/file", 0x1000), error::EBADARG);
    assert!(sysfile::stat(&t.up, "/n/a/file/").unwrap_err().is(error::ENOTDIR));
    assert!(sysfile::remove(&t.up, "/n/a/file/").unwrap_err().is(error::ENOTDIR));
    assert!(sysfile::chdir(&t.up, "/n/a/file").unwrap_err().is(error::ENOTDIR));
}

#[test]
fn names_may_be_written_in_many_ways() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/a");
    mkdir(&t, "/n/a/b");
    t.create("/n/a/b/file", b"x").unwrap();
    for name in [
        "/n/a/b/file",
        "//n///a/./b/./file",
        "/n/a/../a/b/../../a/b/file",
        "/../../n/a/b/file",
        "n/a/b/file",
        "./n/a/b/file",
        "../n/a/b/file",
    ] {
        assert_eq!(t.read(name).unwrap(), b"x", "{name}");
        assert_eq!(path_of(&t, name), "/n/a/b/file", "{name}");
    }
    sysfile::chdir(&t.up, "/n/a/b").unwrap();
    for name in ["file", "./file", "../b/file", "../../../n/a/b/file"] {
        assert_eq!(path_of(&t, name), "/n/a/b/file", "{name}");
    }
    assert_eq!(t.ls(".").unwrap(), ["file"]);
    assert_eq!(t.ls("..").unwrap(), ["b"]);
    assert_eq!(path_of(&t, "../"), "/n/a");
    assert_eq!(t.stat("/").unwrap().name, "/");
    assert_eq!(t.stat("#c/pid").unwrap().name, "pid");
    assert_eq!(t.stat("/n/a/.").unwrap().name, "a");
    assert_eq!(t.stat("/n/a/b/..").unwrap().name, "a");
}

#[test]
fn a_walk_takes_few_messages() {
    let (t, ram) = with_ram();
    let mut name = String::from("/n");
    for i in 0..20 {
        name += &format!("/d{i}");
        mkdir(&t, &name);
    }
    let before = ram.walks.load(Ordering::Relaxed);
    t.stat(&name).unwrap();
    assert_eq!(ram.walks.load(Ordering::Relaxed) - before, 2, "twenty elements are two walks");

    // A mount point in the middle divides the walk, and counts though it was passed in one message.
    sysfile::bind(&t.up, "#c", "/n/d0/d1", MREPL).unwrap();
    assert_eq!(t.read("/n/d0/d1/osversion").unwrap(), b"2000");
    assert!(open_err(&t, "/n/d0/d1/d2", OREAD).ends_with(error::ENONEXIST));
    sysfile::unmount(&t.up, None, "/n/d0/d1").unwrap();
    t.stat(&name).unwrap();
}

#[test]
fn bind_replaces_goes_before_and_after() {
    let (t, _) = with_ram();
    for (dir, file) in [("/n/a", "one"), ("/n/b", "two"), ("/n/c", "three")] {
        mkdir(&t, dir);
        t.create(&format!("{dir}/{file}"), dir.as_bytes()).unwrap();
        t.create(&format!("{dir}/same"), dir.as_bytes()).unwrap();
    }
    mkdir(&t, "/n/to");
    t.create("/n/to/same", b"to").unwrap();

    assert!(sysfile::bind(&t.up, "/n/a", "/n/to", MREPL).unwrap() > 0);
    assert_eq!(t.ls("/n/to").unwrap(), ["one", "same"]);
    sysfile::bind(&t.up, "/n/b", "/n/to", MREPL).unwrap();
    assert_eq!(t.ls("/n/to").unwrap(), ["two", "same"]);
    sysfile::unmount(&t.up, None, "/n/to").unwrap();
    assert_eq!(t.ls("/n/to").unwrap(), ["same"]);

    // The first union keeps the directory itself.
    sysfile::bind(&t.up, "/n/a", "/n/to", MAFTER).unwrap();
    assert_eq!(t.ls("/n/to").unwrap(), ["same", "one", "same"]);
    assert_eq!(t.read("/n/to/same").unwrap(), b"to");
    sysfile::bind(&t.up, "/n/b", "/n/to", MBEFORE).unwrap();
    assert_eq!(t.ls("/n/to").unwrap(), ["two", "same", "same", "one", "same"]);
    assert_eq!(t.read("/n/to/same").unwrap(), b"/n/b");
    assert_eq!(t.read("/n/to/one").unwrap(), b"/n/a");

    // A union that is bound brings all its elements.
    mkdir(&t, "/n/other");
    sysfile::bind(&t.up, "/n/c", "/n/other", MREPL).unwrap();
    sysfile::bind(&t.up, "/n/to", "/n/other", MAFTER).unwrap();
    assert_eq!(t.ls("/n/other").unwrap(), ["three", "same", "two", "same", "same", "one", "same"]);
    sysfile::unmount(&t.up, Some("/n/c"), "/n/other").unwrap();
    assert_eq!(t.ls("/n/other").unwrap(), ["two", "same", "same", "one", "same"]);
    // What was copied stays when the source changes.
    sysfile::unmount(&t.up, None, "/n/to").unwrap();
    assert_eq!(t.ls("/n/other").unwrap(), ["two", "same", "same", "one", "same"]);
}

#[test]
fn a_file_may_replace_a_file() {
    let (t, _) = with_ram();
    t.create("/n/a", b"a").unwrap();
    t.create("/n/b", b"b").unwrap();
    sysfile::bind(&t.up, "/n/a", "/n/b", MREPL).unwrap();
    assert_eq!(t.read("/n/b").unwrap(), b"a");
    let dirs = t.dirs("/n").unwrap();
    let (a, b) = (&dirs[0], &dirs[1]);
    assert_eq!((a.name.as_str(), b.name.as_str()), ("a", "b"));
    assert_eq!(a.qid, b.qid, "the listing shows what is mounted, under the old name");
    sysfile::unmount(&t.up, Some("/n/a"), "/n/b").unwrap();
    assert_eq!(t.read("/n/b").unwrap(), b"b");
}

#[test]
fn what_cannot_be_bound() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/d");
    mkdir(&t, "/n/e");
    mkdir(&t, "/n/u");
    t.create("/n/f", b"").unwrap();
    let bind = |new: &str, old: &str, flag| match sysfile::bind(&t.up, new, old, flag) {
        Ok(_) => String::new(),
        Err(e) => e.text().to_string(),
    };
    assert_eq!(bind("/n/f", "/n/d", MREPL), error::EMOUNT);
    assert_eq!(bind("/n/d", "/n/f", MREPL), error::EMOUNT);
    assert_eq!(bind("/n/f", "/n/f", MBEFORE), error::EMOUNT);
    assert_eq!(bind("/n/f", "/n/f", MAFTER), error::EMOUNT);
    assert_eq!(bind("/n/d", "/n/e", 3), error::EBADARG);
    assert_eq!(bind("/n/d", "/n/e", 0x20), error::EBADARG);
    assert_eq!(bind("#", "/n/e", MREPL), error::EBADSHARP);
    assert_eq!(bind("/n/none", "/n/e", MREPL), "'/n/none' file does not exist");
    assert_eq!(bind("/n/d", "/n/none", MREPL), "'/n/none' file does not exist");

    // A union must not be bound for creation; a single mount only if it allows creation itself.
    assert_eq!(bind("/n/d", "/n/u", MAFTER), "");
    assert_eq!(bind("/n/u", "/n/e", MREPL | MCREATE), error::EMOUNT);
    assert_eq!(bind("/n/u", "/n/e", MREPL), "");
    sysfile::unmount(&t.up, None, "/n/u").unwrap();
    sysfile::unmount(&t.up, None, "/n/e").unwrap();
    assert_eq!(bind("/n/d", "/n/u", MREPL), "");
    assert_eq!(bind("/n/u", "/n/e", MREPL | MCREATE), error::EMOUNT);
    assert_eq!(bind("/n/d", "/n/u", MREPL | MCREATE), "");
    assert_eq!(bind("/n/u", "/n/e", MREPL | MCREATE), "");
}

#[test]
fn what_cannot_be_unmounted() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/d");
    mkdir(&t, "/n/e");
    mkdir(&t, "/n/u");
    let unmount = |name: Option<&str>, old: &str| match sysfile::unmount(&t.up, name, old) {
        Ok(()) => String::new(),
        Err(e) => e.text().to_string(),
    };
    assert_eq!(unmount(None, "/n/u"), error::EUNMOUNT);
    assert_eq!(unmount(Some("/n/d"), "/n/u"), error::EUNMOUNT);
    sysfile::bind(&t.up, "/n/d", "/n/u", MREPL).unwrap();
    assert_eq!(unmount(Some("/n/e"), "/n/u"), error::EUNION);
    assert_eq!(unmount(Some("/n/d"), "/n/u"), "");
    assert_eq!(unmount(None, "/n/u"), error::EUNMOUNT);
}

#[test]
fn dotdot_undoes_a_mount() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/a");
    mkdir(&t, "/n/a/inner");
    mkdir(&t, "/n/b");
    mkdir(&t, "/n/b/deep");
    t.create("/n/b/mark", b"b").unwrap();
    // /n/a/inner shows #R from its root, where there are a and b.
    sysfile::bind(&t.up, "/n", "/n/a/inner", MREPL).unwrap();
    assert_eq!(t.read("/n/a/inner/b/mark").unwrap(), b"b");
    assert_eq!(path_of(&t, "/n/a/inner/b/.."), "/n/a/inner");
    assert_eq!(t.ls("/n/a/inner/b/../..").unwrap(), ["inner"]);
    sysfile::chdir(&t.up, "/n/a/inner/b/deep").unwrap();
    assert_eq!(path_of(&t, "."), "/n/a/inner/b/deep");
    sysfile::chdir(&t.up, "../..").unwrap();
    assert_eq!(path_of(&t, "."), "/n/a/inner");
    assert_eq!(t.ls(".").unwrap(), ["a", "b"], "the mount is crossed again");
    sysfile::chdir(&t.up, "..").unwrap();
    assert_eq!(path_of(&t, "."), "/n/a");
    assert_eq!(t.ls(".").unwrap(), ["inner"]);
    sysfile::chdir(&t.up, "../../../..").unwrap();
    assert_eq!(path_of(&t, "."), "/");
    // Devices end at their own root.
    sysfile::chdir(&t.up, "#c").unwrap();
    sysfile::chdir(&t.up, "..").unwrap();
    assert_eq!(path_of(&t, "."), "#c");
    assert_eq!(t.read("osversion").unwrap(), b"2000");
}

#[test]
fn sharp_names_ignore_mounts() {
    let (t, ram) = with_ram();
    mkdir(&t, "/n/a");
    sysfile::bind(&t.up, "#c", "/n/a", MREPL).unwrap();
    assert_eq!(t.ls("#R/a").unwrap().len(), 0);
    assert!(t.ls("/n/a").unwrap().len() > 10);
    assert!(ram.walks.load(Ordering::Relaxed) > 0);
    assert_eq!(t.ls("#R").unwrap(), ["a"]);
    // In the listing through the name space, a is what is mounted there.
    assert_eq!(t.dirs("/n").unwrap()[0].kind, u16::from(b'c'));
    assert_eq!(t.dirs("/n").unwrap()[0].name, "a");
}

#[test]
fn create_chooses_the_element_that_allows_it() {
    let (t, _) = with_ram();
    for d in ["/n/a", "/n/b", "/n/c", "/n/u"] {
        mkdir(&t, d);
    }
    sysfile::bind(&t.up, "/n/a", "/n/u", MBEFORE).unwrap();
    let e = t.create("/n/u/x", b"x").unwrap_err();
    assert_eq!(e.text(), "'/n/u/x' mounted directory forbids creation");
    sysfile::bind(&t.up, "/n/b", "/n/u", MAFTER | MCREATE).unwrap();
    sysfile::bind(&t.up, "/n/c", "/n/u", MAFTER | MCREATE).unwrap();
    t.create("/n/u/x", b"x").unwrap();
    assert_eq!((t.ls("/n/a").unwrap().len(), t.ls("/n/c").unwrap().len()), (0, 0));
    assert_eq!(t.ls("/n/b").unwrap(), ["x"]);
    assert_eq!(path_of(&t, "/n/u/x"), "/n/u/x");
    // What is there is opened wherever it is, and truncated.
    t.create("/n/c/y", b"long").unwrap();
    t.create("/n/u/y", b"s").unwrap();
    assert_eq!(t.read("/n/c/y").unwrap(), b"s");
    assert_eq!(t.ls("/n/b").unwrap(), ["x"]);
    // A plain directory needs no flag; the root cannot be written at all.
    t.create("/n/a/z", b"").unwrap();
    assert!(t.create("/dev/z", b"").unwrap_err().is(error::EPERM));
}

#[test]
fn create_rules() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/d");
    t.create("/n/f", b"old").unwrap();
    let create = |name: &str, mode, perm| match sysfile::create(&t.up, name, mode, perm) {
        Ok(fd) => {
            sysfile::close(&t.up, fd).unwrap();
            String::new()
        }
        Err(e) => e.text().to_string(),
    };
    assert_eq!(create("/n/f", OWRITE | abi::OEXCL, 0o666), "'/n/f' file already exists");
    assert_eq!(t.read("/n/f").unwrap(), b"old");
    assert_eq!(create("/n/f", OWRITE, 0o666), "");
    assert_eq!(t.read("/n/f").unwrap(), b"");
    assert_eq!(create("/n/g", OWRITE | abi::OEXCL, 0o666), "");
    assert_eq!(create("/n/new/", OWRITE, 0o666), "'/n/new/' create without DMDIR");
    assert_eq!(create("/n/new/.", OWRITE, 0o666), "'/n/new/.' create without DMDIR");
    assert_eq!(create("/n/new/", OREAD, DMDIR | 0o777), "");
    assert!(t.stat("/n/new").unwrap().is_dir());
    assert_eq!(create("/n/d", OREAD, DMDIR | 0o777), "'/n/d' file already exists");
    assert_eq!(create("/n/d", OWRITE, 0o666), "'/n/d' file is a directory");
    assert!(create("/n/d/..", OWRITE, 0o666).ends_with(error::EISDIR));
    assert!(create("/", OWRITE, 0o666).ends_with("create without DMDIR"));
    assert!(create(".", OREAD, DMDIR | 0o777).ends_with(error::EEXIST));
    assert_eq!(create("/n/none/x", OWRITE, 0o666), "'/n/none' file does not exist");
    assert_eq!(create("/n/f/x", OWRITE, 0o666), "'/n/f' not a directory");
    assert_eq!(create("/n/f/x/y", OWRITE, 0o666), "'/n/f' not a directory");
    assert_eq!(create("/n/h", 0x200, 0o666), error::EBADARG);
    // The mode is not checked against the new file's permission.
    let fd = sysfile::create(&t.up, "/n/ro", ORDWR, 0o400).unwrap();
    assert_eq!(sysfile::pwrite(&t.up, fd, &Src::Kernel(b"x"), -1).unwrap(), 1);
    assert!(open_err(&t, "/n/ro", OWRITE).ends_with(error::EPERM));
    assert_eq!(t.stat("/n/ro").unwrap().mode, 0o400);
}

#[test]
fn create_by_many_at_once_gives_everybody_the_file() {
    let (t, _) = with_ram();
    for round in 0..50 {
        let name = format!("/n/f{round}");
        let starts: Vec<_> = (0..4)
            .map(|_| {
                let name = name.clone();
                t.start(move |up| {
                    let fd = sysfile::create(up, &name, OWRITE, 0o666)?;
                    sysfile::close(up, fd)
                })
            })
            .collect();
        for (_, done) in starts {
            done.wait().unwrap();
        }
    }
    assert_eq!(t.ls("/n").unwrap().len(), 50);
}

#[test]
fn mount_points_are_neither_removed_nor_renamed() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/a");
    mkdir(&t, "/n/b");
    sysfile::bind(&t.up, "/n/a", "/n/b", MREPL).unwrap();
    assert_eq!(sysfile::remove(&t.up, "/n/b").unwrap_err().text(), "'/n/b' is a mount point");
    let rename = Dir { name: "c".into(), ..Dir::untouched() }.to_bytes();
    assert_eq!(sysfile::wstat(&t.up, "/n/b", &rename).unwrap_err().text(), "'/n/b' is a mount point");
    let fd = sysfile::open(&t.up, "/n/b", OREAD).unwrap();
    assert!(sysfile::fwstat(&t.up, fd, &rename).unwrap_err().is(error::EISMTPT));
    sysfile::close(&t.up, fd).unwrap();
    sysfile::unmount(&t.up, None, "/n/b").unwrap();
    sysfile::wstat(&t.up, "/n/b", &rename).unwrap();
    sysfile::remove(&t.up, "/n/c").unwrap();
    assert_eq!(t.ls("/n").unwrap(), ["a"]);
    let bad = Dir { name: "x/y".into(), ..Dir::untouched() }.to_bytes();
    assert!(sysfile::wstat(&t.up, "/n/a", &bad).unwrap_err().is(error::EBADCHAR));
    assert!(sysfile::wstat(&t.up, "/n/a", &bad[..20]).unwrap_err().is(error::EBADSTAT));
}

#[test]
fn directories_are_read_in_whole_records() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/d");
    for i in 0..30 {
        t.create(&format!("/n/d/file{i:02}"), b"").unwrap();
    }
    let fd = sysfile::open(&t.up, "/n/d", OREAD).unwrap();
    let read = |len: usize, offset: i64| {
        let mut buf = vec![0; len];
        let n = sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), offset);
        n.map(|n| Dir::parse_all(&buf[..n]).unwrap().len())
    };
    let record = t.stat("/n/d/file00").unwrap().size();
    assert!(read(record - 1, -1).unwrap_err().is(error::ESHORT));
    assert_eq!(read(record, -1).unwrap(), 1);
    assert_eq!(read(record * 3 - 1, -1).unwrap(), 2);
    // A program may name the place where it is, and no other.
    assert_eq!(read(record * 2, record as i64 * 3).unwrap(), 2);
    assert!(read(record * 2, record as i64 * 3).unwrap_err().is(error::EDIRSEEK));
    assert_eq!(read(100_000, -1).unwrap(), 25);
    assert_eq!(read(100_000, -1).unwrap(), 0);
    // Zero begins again, with what is there now.
    t.create("/n/d/new", b"").unwrap();
    assert_eq!(read(100_000, 0).unwrap(), 31);
    assert_eq!(sysfile::seek(&t.up, fd, 0, 0).unwrap(), 0);
    assert_eq!(read(100_000, -1).unwrap(), 31);
    assert!(sysfile::seek(&t.up, fd, 1, 0).unwrap_err().is(error::EISDIR));
    assert!(sysfile::seek(&t.up, fd, 0, 2).unwrap_err().is(error::EISDIR));
    assert!(sysfile::pwrite(&t.up, fd, &Src::Kernel(b"x"), -1).unwrap_err().is(error::EBADUSEFD));
}

#[test]
fn a_union_is_read_through_small_buffers() {
    let (t, ram) = with_ram();
    for d in ["a", "b"] {
        mkdir(&t, &format!("/n/{d}"));
        for i in 0..200 {
            t.create(&format!("/n/{d}/{d}{i:03}"), b"").unwrap();
        }
    }
    mkdir(&t, "/n/empty");
    sysfile::bind(&t.up, "/n/a", "/dev", MREPL).unwrap();
    sysfile::bind(&t.up, "/n/empty", "/dev", MAFTER).unwrap();
    sysfile::bind(&t.up, "/n/b", "/dev", MAFTER).unwrap();
    let names = t.ls("/dev").unwrap();
    assert_eq!(names.len(), 400);
    assert!(names[..200].iter().all(|n| n.starts_with('a')) && names[399] == "b199");
    // An element that goes away while it is read is no accident.
    let fd = sysfile::open(&t.up, "/dev", OREAD).unwrap();
    let mut buf = [0; 200];
    assert!(sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap() > 0);
    sysfile::unmount(&t.up, None, "/dev").unwrap();
    while sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap() != 0 {}
    sysfile::close(&t.up, fd).unwrap();
    // Nor is it one to stop in any place: everything is closed.
    sysfile::bind(&t.up, "/n/a", "/dev", MREPL).unwrap();
    sysfile::bind(&t.up, "/n/b", "/dev", MAFTER).unwrap();
    for reads in [1, 20, 75, 90] {
        let fd = sysfile::open(&t.up, "/dev", OREAD).unwrap();
        for _ in 0..reads {
            sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap();
        }
        assert!(ram.opens.load(Ordering::Relaxed) > 0);
        sysfile::close(&t.up, fd).unwrap();
        assert_eq!(ram.opens.load(Ordering::Relaxed), 0, "{reads}");
    }
}

#[test]
fn name_spaces_are_copied_and_closed() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/a");
    sysfile::bind(&t.up, "#c", "/dev", MREPL).unwrap();
    let other = t.process();
    *other.pgrp.lock() = t.up.pgrp().copy();
    sysfile::bind(&other, "/n/a", "/dev", MREPL).unwrap();
    assert!(t.read("/dev/osversion").is_ok());
    assert!(sysfile::open(&other, "/dev/osversion", OREAD).is_err());
    sysfile::unmount(&t.up, None, "/dev").unwrap();
    assert_eq!(sysfile::unmount(&other, None, "/dev"), Ok(()));

    other.pgrp().forbid_mounts();
    let copy = other.pgrp().copy();
    assert!(copy.no_mount() && !t.up.pgrp().no_mount());
    assert_eq!(sysfile::open(&other, "#R", OREAD).unwrap_err().text(), error::ENOATTACH);
    let fd = sysfile::open(&other, "#c/null", ORDWR).unwrap();
    let e = sysfile::mount(&other, fd, -1, "/dev", MREPL, "", 'M').unwrap_err();
    assert_eq!(e.text(), error::ENOATTACH);
    assert!(sysfile::bind(&other, "/n/a", "/dev", MREPL).is_ok(), "bind stays allowed");
}

#[test]
fn ns_tells_how_to_do_it_again() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/a");
    sysfile::bind(&t.up, "#c", "/dev", MREPL).unwrap();
    sysfile::bind(&t.up, "/n/a", "/dev", MBEFORE | MCREATE).unwrap();
    sysfile::bind(&t.up, "#e", "/env", MAFTER).unwrap();
    sysfile::chdir(&t.up, "/n/a").unwrap();
    let text = t.up.pgrp().text(t.up.dot().path.as_str());
    assert_eq!(text, "bind -c #R /n\nbind #c /dev\nbind -bc /n/a /dev\nbind -a #e /env\ncd /n/a\n");
}

#[test]
fn a_closed_name_space_lets_its_channels_go() {
    let (t, ram) = with_ram();
    mkdir(&t, "/n/a");
    let fd = sysfile::create(&t.up, "/n/a/f", OWRITE | abi::ORCLOSE, 0o666).unwrap();
    assert_eq!(ram.opens.load(Ordering::Relaxed), 1);
    sysfile::close(&t.up, fd).unwrap();
    assert_eq!(ram.opens.load(Ordering::Relaxed), 0);
    assert_eq!(t.ls("/n/a").unwrap().len(), 0);
    assert!(open_err(&t, "/n/a", OREAD | OTRUNC).ends_with(error::EISDIR));
}

/// A mount driver whose servers are trees of `#R`.
struct Driver(Arc<Ram>);

impl port::Dev for Driver {
    fn letter(&self) -> char {
        'M'
    }
    fn name(&self) -> &'static str {
        "mnt"
    }
    fn attach(self: Arc<Self>, _: &Arc<port::Proc>, _: &str) -> port::Result<port::Chan> {
        Err(error::ENOATTACH.into())
    }
    fn walk(&self, _: &Arc<port::Proc>, _: &port::Chan, _: &[&str]) -> port::Result<port::Walk> {
        Err(error::EPERM.into())
    }
    fn stat(&self, _: &Arc<port::Proc>, _: &port::Chan) -> port::Result<Dir> {
        Err(error::EPERM.into())
    }
    fn open(&self, _: &Arc<port::Proc>, _: port::Chan, _: u32) -> port::Result<Arc<port::Chan>> {
        Err(error::EPERM.into())
    }
    fn read(&self, _: &Arc<port::Proc>, _: &port::Chan, _: &mut Dst<'_>, _: u64) -> port::Result<usize> {
        Err(error::EPERM.into())
    }
    fn as_mount_driver(self: Arc<Self>) -> Option<Arc<dyn port::MountDriver>> {
        Some(self)
    }
}

impl port::MountDriver for Driver {
    fn attach_server(
        &self,
        up: &Arc<port::Proc>,
        _server: Arc<port::Chan>,
        _auth: Option<Arc<port::Chan>>,
        spec: &str,
    ) -> port::Result<port::Chan> {
        if spec == "wrong" {
            return Err(error::EBADSPEC.into());
        }
        port::Dev::attach(self.0.clone(), up, spec)
    }
    fn version(
        &self,
        _: &Arc<port::Proc>,
        _: &Arc<port::Chan>,
        _: u32,
        version: &str,
    ) -> port::Result<String> {
        Ok(version.into())
    }
}

#[test]
fn mount_closes_the_descriptor_and_is_undone_by_it() {
    let ram = Ram::new();
    let t = Hosted::with(vec![ram.clone(), Arc::new(Driver(ram))], vec![], &[]);
    let up = &t.up;
    let [server, _other] = sysfile::pipe(up).unwrap();
    let post = sysfile::create(up, "#s/fs", OWRITE, 0o666).unwrap();
    sysfile::pwrite(up, post, &Src::Kernel(server.to_string().as_bytes()), -1).unwrap();
    sysfile::close(up, post).unwrap();
    sysfile::bind(up, "#s", "/srv", MREPL).unwrap();

    let fail = |fd, afd, old: &str, flag, spec: &str, letter| {
        sysfile::mount(up, fd, afd, old, flag, spec, letter).unwrap_err().text().to_string()
    };
    assert_eq!(fail(server, -1, "/n", 3, "", 'M'), error::EBADARG);
    assert_eq!(fail(server, -1, "/n", MREPL, "", 'x'), error::EBADARG);
    assert_eq!(fail(server, -1, "/n", MREPL, "", 'c'), error::EBADARG);
    assert_eq!(fail(99, -1, "/n", MREPL, "", 'M'), error::EBADFD);
    assert_eq!(fail(server, 99, "/n", MREPL, "", 'M'), error::EBADFD);
    assert_eq!(fail(server, -1, "/none", MREPL, "", 'M'), "'/none' file does not exist");
    assert_eq!(fail(server, -1, "/n", MREPL, "wrong", 'M'), error::EBADSPEC);
    let readonly = sysfile::open(up, "#c/null", OREAD).unwrap();
    assert_eq!(fail(readonly, -1, "/n", MREPL, "", 'M'), error::EBADUSEFD);

    assert!(sysfile::mount(up, server, -1, "/n", MREPL | MCREATE, "a b", 'M').unwrap() > 0);
    assert_eq!(sysfile::close(up, server).unwrap_err().text(), error::EBADFD, "mount has closed it");
    t.create("/n/file", b"x").unwrap();
    assert_eq!(t.ls("/n").unwrap(), ["file"]);
    let text = up.pgrp().text("/");
    assert!(text.contains("mount -c -d #R /srv/fs /n 'a b'\n"), "{text}");
    assert_eq!(sysfile::unmount(up, Some("#c/null"), "/n").unwrap_err().text(), error::EUNION);
    sysfile::unmount(up, Some("/srv/fs"), "/n").unwrap();
    assert_eq!(t.ls("/n").unwrap().len(), 0);
}
