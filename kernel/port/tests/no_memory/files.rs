//! Names, descriptors, unions, pipes, variables, posts, `#R`.

use std::cell::Cell;
use std::sync::Arc;

use abi::{MAFTER, MBEFORE, MCREATE, MREPL, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE};
use machine::host;
use port::Dev;
use port::call::sysfile::{
    bind, chdir, close, create, dup, fd2path, fstat, open, pipe, pread, pwrite, remove, stat, unmount, wstat,
};
use port::dev::ram::RamDev;
use port::mem::iobuf::{Dst, Src};
use port::testkit::Hosted;

use super::at_each_step;

fn hosted() -> Hosted {
    host::new_machine();
    let t = Hosted::with(vec![RamDev::new(32 << 20) as Arc<dyn Dev>], vec![], &[]);
    bind(&t.up, "#R", "/", MAFTER | MCREATE).unwrap();
    t
}

fn directory(t: &Hosted, name: &str) {
    let fd = create(&t.up, name, OREAD, abi::DMDIR | 0o777).unwrap();
    close(&t.up, fd).unwrap();
}

#[test]
fn names() {
    let t = hosted();
    let up = &t.up;
    let long = "n".repeat(200);
    let mut path = String::new();
    for _ in 0..20 {
        path = format!("{path}/{long}");
        directory(&t, &path);
    }
    let file = format!("{path}/file");
    t.create(&file, b"contents").unwrap();
    let dots = format!("{}{}", "./".repeat(30_000), &file[1..]);
    for name in [&file, &dots] {
        at_each_step(&t, "stat", || stat(up, name).map(drop), || {});
        let fd = Cell::new(-1);
        let shut = || close(up, fd.get()).unwrap();
        at_each_step(&t, "open", || open(up, name, ORDWR).map(|n| fd.set(n)), shut);
        at_each_step(&t, "open and cut", || open(up, name, OWRITE | OTRUNC).map(|n| fd.set(n)), shut);
        at_each_step(&t, "create", || create(up, name, OWRITE, 0o666).map(|n| fd.set(n)), shut);
    }
    let fd = open(up, &file, OREAD).unwrap();
    at_each_step(&t, "fd2path", || fd2path(up, fd).map(drop), || {});
    at_each_step(&t, "fstat", || fstat(up, fd).map(drop), || {});
    close(up, fd).unwrap();
    at_each_step(&t, "chdir", || chdir(up, &path), || chdir(up, "/").unwrap());
    let new = format!("{path}/new");
    at_each_step(
        &t,
        "create and remove",
        || {
            let fd = create(up, &new, OWRITE | ORCLOSE, 0o666)?;
            close(up, fd)
        },
        || {},
    );
    let missing = format!("{path}/missing{}", "x".repeat(3000));
    for n in 1..200 {
        host::heap::fail_nth(n);
        assert!(open(up, &missing, OREAD).is_err());
    }
    host::heap::fail_nth(0);
    let record = |name: &str| {
        let mut bytes = Vec::new();
        abi::Dir { name: name.into(), ..abi::Dir::untouched() }.append_to(&mut bytes);
        bytes
    };
    let (there, back) = (record("other"), record("file"));
    let other = format!("{path}/other");
    at_each_step(&t, "wstat", || wstat(up, &file, &there), || wstat(up, &other, &back).unwrap());
    let made = || t.create(&other, b"").unwrap();
    made();
    at_each_step(&t, "remove", || remove(up, &other), made);
}

#[test]
fn descriptors() {
    let t = hosted();
    let up = &t.up;
    let first = open(up, "#c/null", ORDWR).unwrap();
    at_each_step(
        &t,
        "dup",
        || {
            for n in 0..60 {
                if let Err(e) = dup(up, first, -1) {
                    (0..n).for_each(|n| close(up, first + 1 + n).unwrap());
                    return Err(e);
                }
            }
            Ok(())
        },
        || (0..60).for_each(|n| close(up, first + 1 + n).unwrap()),
    );
    let ends = Cell::new([-1; 2]);
    let shut = || ends.get().map(|fd| close(up, fd).unwrap()).into_iter().for_each(drop);
    at_each_step(&t, "pipe", || pipe(up).map(|two| ends.set(two)), shut);
    for n in 0..60 {
        dup(up, first, -1).unwrap_or_else(|e| panic!("{n}: {e}"));
    }
    at_each_step(&t, "#d", || t.ls("#d").map(drop), || {});
    at_each_step(&t, "fd", || t.read("#p/1/fd").map(drop), || {});
    at_each_step(&t, "a copy of all descriptors", || up.fgrp().copy().map(drop), || {});
}

#[test]
fn unions() {
    let t = hosted();
    let up = &t.up;
    for n in 0..40 {
        directory(&t, &format!("/d{n}"));
        t.create(&format!("/d{n}/f{n}"), b"x").unwrap();
    }
    directory(&t, "/u");
    let gone = || unmount(up, None, "/u").unwrap();
    at_each_step(&t, "bind", || bind(up, "/d0", "/u", MREPL).map(drop), gone);
    at_each_step(&t, "bind -b", || bind(up, "/d0", "/u", MBEFORE | MCREATE).map(drop), gone);
    for n in 0..40 {
        bind(up, &format!("/d{n}"), "/u", MAFTER).unwrap();
    }
    let one = || unmount(up, Some("#R"), "/u").unwrap();
    at_each_step(&t, "one more", || bind(up, "#R", "/u", MBEFORE).map(drop), one);
    at_each_step(&t, "a list", || t.ls("/u").map(drop), || {});
    at_each_step(&t, "a walk in the last", || stat(up, "/u/f39").map(drop), || {});
    at_each_step(
        &t,
        "a union elsewhere",
        || bind(up, "/u", "/d0", MREPL).map(drop),
        || unmount(up, None, "/d0").unwrap(),
    );
    at_each_step(&t, "ns", || t.read("#p/1/ns").map(drop), || {});
    at_each_step(&t, "a copy of the name space", || up.pgrp().copy().map(drop), || {});
}

#[test]
fn pipes() {
    let t = hosted();
    let up = &t.up;
    let [a, b] = pipe(up).unwrap();
    let bytes = vec![7; 100_000];
    let read_all = || {
        let mut got = 0;
        while got < bytes.len() {
            let mut buf = [0; 5000];
            got += pread(up, b, &mut Dst::Kernel(&mut buf), -1).unwrap();
        }
    };
    let written = Cell::new(0);
    at_each_step(
        &t,
        "a long write",
        || {
            let n = pwrite(up, a, &Src::Kernel(&bytes), -1)?;
            written.set(n);
            // A shorter one is not what was wanted, and no failure: the rest follows.
            if n < bytes.len() {
                host::heap::fail_nth(0);
                pwrite(up, a, &Src::Kernel(&bytes[n..]), -1)?;
            }
            Ok(())
        },
        read_all,
    );
    at_each_step(
        &t,
        "a piece of a piece",
        || {
            let quiet = |f: &mut dyn FnMut()| host::heap::aside(&mut *f);
            quiet(&mut || drop(pwrite(up, a, &Src::Kernel(&[1; 300]), -1).unwrap()));
            let mut buf = [0; 100];
            let mut read = || pread(up, b, &mut Dst::Kernel(&mut buf), -1);
            let result = read();
            let mut left = 300 - result.as_ref().map_or(0, |n| *n);
            quiet(&mut || {
                while left > 0 {
                    left -= pread(up, b, &mut Dst::Kernel(&mut [0; 300]), -1).unwrap();
                }
            });
            result.map(drop)
        },
        || {},
    );
}

#[test]
fn variables_and_posts() {
    let t = hosted();
    let up = &t.up;
    bind(up, "#e", "/env", MREPL | MCREATE).unwrap_or_else(|_| {
        directory(&t, "/env");
        bind(up, "#e", "/env", MREPL | MCREATE).unwrap()
    });
    let value = vec![b'v'; 100_000];
    at_each_step(&t, "a variable", || t.create("/env/x", &value), || drop(remove(up, "/env/x")));
    for n in 0..100 {
        t.create(&format!("/env/v{n}"), b"value").unwrap();
    }
    at_each_step(&t, "all variables", || t.ls("/env").map(drop), || {});
    at_each_step(&t, "a copy of them", || up.egrp().copy().map(drop), || {});
    let [a, b] = pipe(up).unwrap();
    let name = format!("#s/{}", "p".repeat(100));
    let post = || {
        // A name without a channel is no post.
        t.create(&name, format!("{a}").as_bytes()).inspect_err(|_| drop(remove(up, &name)))
    };
    at_each_step(&t, "a post", post, || drop(remove(up, &name)));
    for n in 0..100 {
        t.create(&format!("#s/x{n}"), format!("{b}").as_bytes()).unwrap();
    }
    at_each_step(&t, "all posts", || t.ls("#s").map(drop), || {});
}

#[test]
fn memory_files() {
    let t = hosted();
    let up = &t.up;
    let bytes = vec![3; 200_000];
    t.create("/f", b"").unwrap();
    let fd = open(up, "/f", ORDWR).unwrap();
    let cut = || {
        let other = open(up, "/f", OWRITE | OTRUNC).unwrap();
        close(up, other).unwrap();
    };
    at_each_step(
        &t,
        "a long write",
        || match pwrite(up, fd, &Src::Kernel(&bytes), 0) {
            Ok(_) => Ok(()),
            Err(e) => {
                cut();
                Err(e)
            }
        },
        cut,
    );
    pwrite(up, fd, &Src::Kernel(&bytes), 0).unwrap();
    let mut buf = vec![0; 150_000];
    at_each_step(&t, "a long read", || pread(up, fd, &mut Dst::Kernel(&mut buf), 0).map(drop), || {});
    directory(&t, "/many");
    for n in 0..150 {
        t.create(&format!("/many/{n}-{}", "x".repeat(100)), b"").unwrap();
    }
    at_each_step(&t, "a long list", || t.ls("/many").map(drop), || {});
}

#[test]
fn texts_of_the_kernel() {
    let t = hosted();
    for name in
        ["#c/kmesg", "#c/config", "#c/drivers", "#c/sysstat", "#P/irqalloc", "#P/ioalloc", "#p/1/status"]
    {
        at_each_step(&t, name, || t.read(name).map(drop), || {});
    }
    at_each_step(&t, "#p", || t.ls("#p").map(drop), || {});
}

/// A compressed file of the root: without memory for a block it cannot be read, and what is kept of it is no more than
/// before.
#[test]
fn packed() {
    host::new_machine();
    let text: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    let archive = pack::pack(&port::testkit::tar(&[("text", &text)]), &[]).unwrap();
    let t = Hosted::with(vec![], vec![archive], &[]);
    let up = &t.up;
    let fd = open(up, "/text", OREAD).unwrap();
    let mut got = [0; 100];
    at_each_step(
        &t,
        "read a block, then another",
        || {
            for at in [0, 70_000] {
                let n = pread(up, fd, &mut Dst::Kernel(&mut got), at)?;
                assert_eq!(&got[..n], &text.as_bytes()[at as usize..][..100]);
            }
            Ok(())
        },
        || {},
    );
}
