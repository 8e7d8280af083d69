//! Names, binds and mounts.

use abi::{MAFTER, MBEFORE, MCREATE, MREPL, OREAD, OWRITE};
use lib9::alloc::format;
use lib9::alloc::string::String;
use lib9::alloc::vec::Vec;
use lib9::ns::{bind, unmount};
use lib9::{File, Rfork, fd, file};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("name.errors", errors),
    test("name.long", long),
    test("name.forms", forms),
    test("name.trailing-slash", trailing_slash),
    test("name.dotdot", dotdot),
    test("name.sharp", sharp),
    test("bind.order", order),
    test("bind.create", create),
    test("bind.flags", flags),
    test("bind.file", bind_file),
    test("bind.unmount", unmounting),
    test("bind.dotdot", bind_dotdot),
    test("bind.mount-point", mount_point),
    test("bind.ns", ns),
    test("bind.union-of-union", union_of_union),
    test("bind.names-kept", names_kept),
    test("bind.deep", deep),
    test("ns.copied", copied),
    test("ns.none", none),
    test("ns.no-mounts", no_mounts),
    test("chdir", chdir),
];

/// The part of the name that failed, in quotes, in front.
fn errors() -> Outcome {
    let f = Folder::new()?;
    f.file("plain", 0o666, b"")?;
    let open = |name: &str| File::open(name, OREAD).err().map(|e| String::from(e.text())).unwrap_or_default();
    same(open("/no/such/file"), "'/no' file does not exist", "the first")?;
    same(open("/lib/nosuch/x"), "'/lib/nosuch' file does not exist", "the second")?;
    same(open("/lib/nosuch"), "'/lib/nosuch' file does not exist", "the last")?;
    fd::chdir("/lib")?;
    same(open("nosuch"), "'nosuch' file does not exist", "relative")?;
    same(open("it's"), "'it''s' file does not exist", "with a quote")?;
    same(open(&f.at("plain/x")), format!("'{}' not a directory", f.at("plain")), "through a file")?;
    same(open("#\u{3c0}/x"), "unknown device in # filename", "no device")
}

/// A long name is cut at its front, so that the text comes through.
fn long() -> Outcome {
    let name = format!("/{}", "abcdefghij".repeat(50));
    let e = File::open(&name, OREAD).err().map(|e| String::from(e.text())).unwrap_or_default();
    check(e.len() < 128 && e.starts_with("'...") && e.ends_with("' file does not exist"), &e)?;
    fails(File::open(&"/x".repeat(33_000), OREAD), abi::error::ETOOLONG, "66000 bytes")?;
    // 400 bytes and more are ordinary.
    let f = Folder::new()?;
    let mut name = f.0.clone();
    for _ in 0..20 {
        name = format!("{name}/{}", "d".repeat(25));
        File::create(&name, OREAD, abi::DMDIR | 0o777)?;
    }
    let file = format!("{name}/file");
    file::write(&file, b"deep")?;
    same(file::read(&file)?, b"deep".to_vec(), "520 bytes of name")?;
    fd::chdir(&name)?;
    same(fd::getwd()?, name, "its directory")
}

fn forms() -> Outcome {
    let want = file::read("/lib/namespace")?;
    fd::chdir("/lib")?;
    for name in [
        "namespace",
        "./namespace",
        "/lib//namespace",
        "/lib/./namespace",
        "/./lib/namespace",
        "//lib/namespace",
        "../lib/namespace",
        "/../lib/namespace",
        "ndb/../namespace",
    ] {
        same(file::read(name)?.len(), want.len(), name)?;
    }
    fails(File::open("", OREAD), abi::error::ENONAME, "no name")?;
    for bad in ["a\nb", "\u{1}", "x\u{7f}", "/lib/\t"] {
        fails(File::open(bad, OREAD), abi::error::EBADCHAR, bad)?;
    }
    Ok(())
}

/// It has to be a directory.
fn trailing_slash() -> Outcome {
    let f = Folder::new()?;
    let name = f.file("plain", 0o666, b"")?;
    for end in ["/", "/.", "//", "/./"] {
        let name = format!("{name}{end}");
        fails(File::open(&name, OREAD), abi::error::ENOTDIR, "open")?;
        fails(fd::stat(&name), abi::error::ENOTDIR, "stat")?;
        fails(fd::wstat(&name, &lib9::Dir::untouched()), abi::error::ENOTDIR, "wstat")?;
        fails(fd::remove(&name), abi::error::ENOTDIR, "remove")?;
        fails(fd::chdir(&name), abi::error::ENOTDIR, "chdir")?;
        fd::stat(&format!("{}{end}", f.0))?;
    }
    fails(fd::stat(&format!("{name}/..")), abi::error::ENOTDIR, "stat of file/..")?;
    fails(File::open(&format!("{name}/../plain"), OREAD), abi::error::ENOTDIR, "open through file/..")
}

fn dotdot() -> Outcome {
    fd::chdir("/lib/ndb")?;
    fd::chdir("..")?;
    same(fd::getwd()?, "/lib", "one up")?;
    fd::chdir("../../..")?;
    same(fd::getwd()?, "/", "the root, and no higher")?;
    fd::chdir("/dev")?;
    fd::chdir("..")?;
    same(fd::getwd()?, "/", "out of a mounted device")?;
    fd::chdir("/tmp")?;
    fd::chdir("../lib")?;
    same(fd::getwd()?, "/lib", "out of a mounted server")?;
    fd::chdir("#c")?;
    fd::chdir("..")?;
    same(fd::getwd()?, "#c", "above a device's root")
}

/// Names with # do not look at what is mounted.
fn sharp() -> Outcome {
    bind("/lib", "#c", MREPL).or_else(|_| bind("/lib", "/dev", MREPL))?;
    check(fd::stat("#c/null").is_ok(), "#c/null")?;
    for bad in ["#", "#\u{3c0}", "#\u{3c0}/x"] {
        fails(File::open(bad, OREAD), abi::error::EBADSHARP, bad)?;
    }
    fails(File::open("#cx/null", OREAD), abi::error::EBADSPEC, "a specifier that #c does not know")?;
    fails(bind("#M", "/mnt", MREPL), abi::error::ENOATTACH, "#M")
        .or_else(|_| check(bind("#M", "/mnt", MREPL).is_err(), "#M can be attached"))
}

fn three() -> Result<(Folder, String, String, String), lib9::Error> {
    let f = Folder::new()?;
    let dir = |name: &str| -> Result<String, lib9::Error> {
        File::create(&f.at(name), OREAD, abi::DMDIR | 0o777)?;
        file::write(&f.at(&format!("{name}/{name}")), name.as_bytes())?;
        file::write(&f.at(&format!("{name}/same")), name.as_bytes())?;
        Ok(f.at(name))
    };
    let (a, b, c) = (dir("a")?, dir("b")?, dir("c")?);
    Ok((f, a, b, c))
}

fn list(name: &str) -> Result<Vec<String>, lib9::Error> {
    Ok(fd::readdir(name)?.into_iter().map(|d| d.name).collect())
}

fn order() -> Outcome {
    let (_f, a, b, c) = three()?;
    let which = || file::read_string(&format!("{a}/same"));
    bind(&b, &a, MBEFORE)?;
    same(which()?, "b", "before")?;
    bind(&c, &a, MAFTER)?;
    same(which()?, "b", "and after")?;
    for name in ["a", "b", "c"] {
        same(file::read_string(&format!("{a}/{name}"))?, name, name)?;
    }
    let mut all = list(&a)?;
    same(all.len(), 6, "entries, duplicates too")?;
    all.sort();
    same(all, ["a", "b", "c", "same", "same", "same"], "all of them")?;
    bind(&c, &a, MREPL)?;
    same(which()?, "c", "replaced")?;
    same(list(&a)?.len(), 2, "only that")?;
    fails(file::read(&format!("{a}/a")), abi::error::ENONEXIST, "what was there")
}

/// A file is created in the first element that allows it, or nowhere.
fn create() -> Outcome {
    let (_f, a, b, c) = three()?;
    bind(&b, &a, MBEFORE)?;
    bind(&c, &a, MAFTER | MCREATE)?;
    file::write(&format!("{a}/new"), b"x")?;
    fd::stat(&format!("{c}/new"))?;
    unmount(None, &a)?;
    bind(&b, &a, MBEFORE)?;
    fails(file::write(&format!("{a}/other"), b"x"), abi::error::ENOCREATE, "nowhere")?;
    // A file that is there is opened wherever it is.
    file::write(&format!("{a}/same"), b"changed")?;
    same(file::read_string(&format!("{b}/same"))?, "changed", "the first that has it")
}

fn flags() -> Outcome {
    let (_f, a, b, _c) = three()?;
    for flag in [3, 8, 0x20, 0x100, u32::MAX] {
        fails(bind(&b, &a, flag), abi::error::EBADARG, &format!("flag {flag:#x}"))?;
    }
    let plain = format!("{a}/a");
    fails(bind(&plain, &b, MREPL), abi::error::EMOUNT, "a file on a directory")?;
    fails(bind(&b, &plain, MREPL), abi::error::EMOUNT, "a directory on a file")?;
    fails(bind(&format!("{b}/b"), &plain, MAFTER), abi::error::EMOUNT, "a file after a file")?;
    fails(bind("/nosuch", &a, MREPL), "'/nosuch' file does not exist", "what is not there")?;
    fails(bind(&b, "/nosuch", MREPL), "'/nosuch' file does not exist", "where nothing is")?;
    fails(lib9::ns::mount(0, -1, &a, 3, ""), abi::error::EBADARG, "a wrong flag for mount")?;
    let null = fd::open("/dev/null", abi::ORDWR)?;
    check(lib9::ns::mount(null, -1, &a, MREPL, "").is_err(), "no server")
}

fn bind_file() -> Outcome {
    let (_f, a, b, _c) = three()?;
    let (one, other) = (format!("{a}/a"), format!("{b}/b"));
    bind(&other, &one, MREPL)?;
    same(file::read_string(&one)?, "b", "the file")?;
    same(fd::stat(&one)?.name, "a", "its name")?;
    unmount(None, &one)?;
    same(file::read_string(&one)?, "a", "afterwards")
}

fn unmounting() -> Outcome {
    let (_f, a, b, c) = three()?;
    fails(unmount(None, &a), abi::error::EUNMOUNT, "nothing is mounted")?;
    bind(&b, &a, MBEFORE)?;
    fails(unmount(Some(&c), &a), abi::error::EUNION, "another")?;
    bind(&c, &a, MBEFORE)?;
    unmount(Some(&b), &a)?;
    same(file::read_string(&format!("{a}/same"))?, "c", "one of them")?;
    unmount(None, &a)?;
    same(file::read_string(&format!("{a}/same"))?, "a", "all of them")?;
    fails(unmount(None, "/nosuch"), abi::error::ENONEXIST, "where nothing is")
}

/// `..` undoes the crossing of a mount.
fn bind_dotdot() -> Outcome {
    let (f, a, b, _c) = three()?;
    File::create(&format!("{b}/sub"), OREAD, abi::DMDIR | 0o777)?;
    bind(&b, &a, MREPL)?;
    fd::chdir(&format!("{a}/sub"))?;
    fd::chdir("..")?;
    same(file::read_string("same")?, "b", "one up")?;
    fd::chdir("..")?;
    same(fd::getwd()?, f.0.clone(), "two up")?;
    same(file::read_string(&format!("{a}/sub/../../c/same"))?, "c", "within a name")
}

fn mount_point() -> Outcome {
    let (_f, a, b, _c) = three()?;
    bind(&b, &a, MREPL)?;
    fails(fd::remove(&a), abi::error::EISMTPT, "remove")?;
    fails(
        fd::wstat(&a, &lib9::Dir { name: "z".into(), ..lib9::Dir::untouched() }),
        abi::error::EISMTPT,
        "rename",
    )?;
    unmount(None, &a).map_err(Into::into)
}

/// The lines of `/proc/n/ns` make the name space again.
fn ns() -> Outcome {
    let (_f, a, b, c) = three()?;
    bind(&b, &a, MBEFORE)?;
    bind(&c, &a, MAFTER | MCREATE)?;
    fd::chdir(&a)?;
    let text = proc_file(lib9::proc::getpid(), "ns")?;
    let (one, two) = (format!("bind -b {b} {a}\n"), format!("bind -ac {c} {a}\n"));
    check(text.contains(&format!("{one}{two}")), &text)?;
    check(text.ends_with(&format!("cd {a}\n")), &text)?;
    check(text.contains("bind '#c' /dev\n") || text.contains("bind #c /dev\n"), "no #c")
}

/// A union that is bound comes as a whole.
fn union_of_union() -> Outcome {
    let (f, a, b, c) = three()?;
    let d = f.at("d");
    File::create(&d, OREAD, abi::DMDIR | 0o777)?;
    bind(&b, &a, MBEFORE)?;
    bind(&a, &d, MREPL)?;
    same(list(&d)?.len(), 4, "both are there")?;
    fails(bind(&a, &c, MREPL | MCREATE), abi::error::EMOUNT, "a union with -c")
}

/// Entries that are mount points keep their names and have the stat of what is mounted.
fn names_kept() -> Outcome {
    let (f, a, b, _c) = three()?;
    bind(&b, &a, MREPL)?;
    let dirs = fd::readdir(&f.0)?;
    let entry = dirs.iter().find(|d| d.name == "a").ok_or("a has gone")?;
    same(entry.qid, fd::stat(&b)?.qid, "what is there is b's")?;
    same(fd::stat(&a)?.name, "a", "the name by stat")
}

/// Many binds on one place, one below the other.
fn deep() -> Outcome {
    let (_f, a, b, c) = three()?;
    for n in 0..30 {
        bind(if n % 2 == 0 { &b } else { &c }, &a, MBEFORE)?;
    }
    same(list(&a)?.len(), 62, "entries")?;
    unmount(None, &a)?;
    same(list(&a)?.len(), 2, "afterwards")
}

fn copied() -> Outcome {
    let (_f, a, b, c) = three()?;
    let which = || file::read_string(&format!("{a}/same"));
    child_with(Rfork::NAMEG, || {
        bind(&b, &a, MREPL)?;
        same(which()?, "b", "in the copy")
    })?;
    same(which()?, "a", "in the original")?;
    child_with(Rfork::empty(), || bind(&c, &a, MREPL).map(drop).map_err(Into::into))?;
    same(which()?, "c", "when it is shared")
}

/// RFCNAMEG: nothing but the root.
fn none() -> Outcome {
    child_with(Rfork::CNAMEG, || {
        same(list("/dev")?.len(), 0, "files in /dev")?;
        fd::stat("#c/null")?;
        bind("#c", "/dev", MREPL)?;
        fd::stat("/dev/null")?;
        Ok(())
    })?;
    fd::stat("/dev/null").map(drop).map_err(Into::into)
}

/// RFNOMNT: no mounts, and of devices only | d e c p.
fn no_mounts() -> Outcome {
    child_with(Rfork::NAMEG | Rfork::NOMNT, || {
        for ok in ["#|", "#d", "#e", "#c/null", "#p"] {
            File::open(ok, OREAD)?;
        }
        for no in ["#s", "#P", "#/", "#9"] {
            fails(File::open(no, OREAD), abi::error::ENOATTACH, no)?;
        }
        let [r, w] = fd::pipe()?;
        fails(lib9::ns::mount(r, -1, "/mnt", MREPL, ""), abi::error::ENOATTACH, "mount")?;
        fd::close(w)?;
        child_with(Rfork::NAMEG, || fails(File::open("#s", OREAD), abi::error::ENOATTACH, "in a child"))?;
        child_with(Rfork::CNAMEG, || {
            fails(File::open("#s", OREAD), abi::error::ENOATTACH, "in an empty name space")
        })
    })?;
    File::open("#s", OREAD).map(drop).map_err(Into::into)
}

/// The directory is the process's own.
fn chdir() -> Outcome {
    let f = Folder::new()?;
    let plain = f.file("plain", 0o666, b"")?;
    fails(fd::chdir(&plain), abi::error::ENOTDIR, "to a file")?;
    fails(fd::chdir("/nosuch"), "'/nosuch' file does not exist", "to nowhere")?;
    fails(fd::chdir(""), abi::error::ENONAME, "to no name")?;
    fd::chdir("/lib")?;
    child_with(Rfork::empty(), || {
        same(fd::getwd()?, "/lib", "inherited")?;
        fd::chdir("/dev").map_err(Into::into)
    })?;
    same(fd::getwd()?, "/lib", "after a child's")?;
    // A directory that has been removed.
    let gone = f.at("gone");
    File::create(&gone, OREAD, abi::DMDIR | 0o777)?;
    fd::chdir(&gone)?;
    fd::remove(&gone)?;
    check(File::create("x", OWRITE, 0o666).is_err(), "a file in a directory that has been removed")?;
    fd::chdir("..").or_else(|_| fd::chdir("/")).map_err(Into::into)
}
