//! Mount points: what can be bound where, and undone.

use abi::{Dir, MAFTER, MBEFORE, MCREATE, MREPL, OREAD, error};
use port::call::sysfile;

use super::{mkdir, with_ram};

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
