//! A share of the host behind a device.

use std::cell::Cell;

use abi::{MREPL, ORDWR, OREAD, OWRITE};
use port::call::sysfile::{bind, close, create, open, pread, pwrite, remove, stat, unmount, wstat};
use port::mem::iobuf::{Dst, Src};

use super::at_each_step;
use super::wire::Share;

#[test]
fn files_of_a_share() {
    let s = Share::new(|host| {
        host.dir("d").unwrap();
        for n in 0..60 {
            host.file(format!("d/file-{n}"), b"12345").unwrap();
        }
        host.file("f", &[9; 40_000]).unwrap();
    });
    s.dev.make_all();
    let (t, up) = (&s.t, &s.t.up);
    at_each_step(t, "stat", || stat(up, "/n/d/file-7").map(drop), || {});
    let fd = Cell::new(-1);
    let shut = || close(up, fd.get()).unwrap();
    at_each_step(t, "open", || open(up, "/n/f", ORDWR).map(|n| fd.set(n)), shut);
    at_each_step(t, "list", || t.ls("/n/d").map(drop), || {});
    let gone = || {
        close(up, fd.get()).unwrap();
        remove(up, "/n/new").unwrap();
    };
    at_each_step(
        t,
        "create",
        || match create(up, "/n/new", OWRITE, 0o666) {
            Ok(n) => {
                fd.set(n);
                Ok(())
            }
            Err(e) => {
                // The server may have made it.
                let _ = remove(up, "/n/new");
                Err(e)
            }
        },
        gone,
    );
    let f = open(up, "/n/f", ORDWR).unwrap();
    let mut buf = vec![0; 40_000];
    at_each_step(t, "read", || pread(up, f, &mut Dst::Kernel(&mut buf), 0).map(drop), || {});
    at_each_step(t, "write", || pwrite(up, f, &Src::Kernel(&[1; 40_000]), 0).map(drop), || {});
    close(up, f).unwrap();
    let mut record = Vec::new();
    abi::Dir { mtime: 77, ..abi::Dir::untouched() }.append_to(&mut record);
    at_each_step(t, "wstat", || wstat(up, "/n/f", &record), || {});
    at_each_step(
        t,
        "bind",
        || bind(up, "/n", "/n/d", MREPL).map(drop),
        || unmount(up, None, "/n/d").unwrap(),
    );
    let root = open(up, "/n", OREAD);
    root.map(|fd| close(up, fd).unwrap()).unwrap();
    s.end();
}

#[test]
fn mounting() {
    let s = Share::new(|host| {
        host.file("f", b"1").unwrap();
    });
    unmount(&s.t.up, None, "/n").unwrap();
    at_each_step(&s.t, "mount", || s.mount("host", "/n"), || unmount(&s.t.up, None, "/n").unwrap());
    s.mount("host", "/n").unwrap();
    assert_eq!(s.t.read("/n/f").unwrap(), b"1");
    s.end();
}
