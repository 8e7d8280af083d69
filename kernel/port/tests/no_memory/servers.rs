//! A server of 9P2000 behind a pipe: its mounts, and its files.

use std::cell::Cell;

use abi::{MREPL, ORDWR, OREAD};
use machine::host;
use port::call::sysfile::{close, dup, fauth, fversion, mount, open, stat, unmount};
use port::mem::iobuf::{Dst, Src};
use port::mnt::MntDev;
use port::testkit::Hosted;

use super::at_each_step_in;
use super::wire::served::{Act, Served, start};

fn hosted() -> Hosted {
    host::new_machine();
    Hosted::with(vec![MntDev::channels()], vec![], &[])
}

#[test]
fn mounting_a_pipe() {
    let t = hosted();
    let served = Served::plan9(|host| drop(host.file("f", b"1").unwrap()));
    let (fd, done) = start(&t, &served, |_, _| Act::Answer);
    let gone = || unmount(&t.up, None, "/n").unwrap();
    // A mount takes the descriptor with it.
    let mounts = || {
        let fd = dup(&t.up, fd, -1)?;
        mount(&t.up, fd, -1, "/n", MREPL, "", 'M').map(drop).inspect_err(|_| drop(close(&t.up, fd)))
    };
    at_each_step_in(&t, "mount", Some("mount"), mounts, gone);
    at_each_step_in(
        &t,
        "fversion",
        Some("fversion"),
        || fversion(&t.up, fd, 8192, "9P2000").map(drop),
        || (),
    );
    let refused = || match fauth(&t.up, fd, "") {
        // What this server says.
        Err(e) if e.is(abi::error::EPERM) => Ok(()),
        other => other.map(drop),
    };
    at_each_step_in(&t, "fauth", Some("fauth"), refused, || ());
    mounts().unwrap();
    assert_eq!(t.read("/n/f").unwrap(), b"1");
    gone();
    close(&t.up, fd).ok();
    done.wait();
    served.is_clean();
}

#[test]
fn files_behind_a_pipe() {
    let t = hosted();
    let served = Served::plan9(|host| drop(host.file("d/f", &[7; 30_000]).unwrap()));
    let (fd, done) = start(&t, &served, |_, _| Act::Answer);
    mount(&t.up, fd, -1, "/n", MREPL, "", 'M').unwrap();
    let up = &t.up;
    at_each_step_in(&t, "stat", Some("stat"), || stat(up, "/n/d/f").map(drop), || ());
    let file = Cell::new(-1);
    let shut = || close(up, file.get()).unwrap();
    let opens = || open(up, "/n/d/f", ORDWR).map(|fd| file.set(fd));
    at_each_step_in(&t, "open", Some("open"), opens, shut);
    let fd = open(up, "/n/d/f", OREAD).unwrap();
    let mut buf = vec![0; 30_000];
    let mut reads = || port::call::sysfile::pread(up, fd, &mut Dst::Kernel(&mut buf), 0).map(drop);
    at_each_step_in(&t, "read", Some("pread"), &mut reads, || ());
    close(up, fd).unwrap();
    let fd = open(up, "/n/d/f", ORDWR).unwrap();
    let writes = || port::call::sysfile::pwrite(up, fd, &Src::Kernel(&[1; 20_000]), 0).map(drop);
    at_each_step_in(&t, "write", Some("pwrite"), writes, || ());
    close(up, fd).unwrap();
    at_each_step_in(&t, "list", Some("pread"), || t.ls("/n/d").map(drop), || ());
    unmount(up, None, "/n").unwrap();
    done.wait();
    served.is_clean();
}
