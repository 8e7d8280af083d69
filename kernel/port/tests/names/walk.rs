//! Walking: what a name means, and what is said of one that means nothing.

use std::sync::atomic::Ordering;

use abi::{MREPL, OEXEC, OREAD, error};
use port::call::sysfile;

use super::{mkdir, open_err, path_of, with_ram};

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
