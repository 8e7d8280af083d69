//! `create` in unions and by many.

use abi::{DMDIR, MAFTER, MBEFORE, MCREATE, ORDWR, OREAD, OWRITE, error};
use port::call::sysfile;
use port::mem::iobuf::Src;

use super::{mkdir, open_err, path_of, with_ram};

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
