//! What is made of names and files: descriptors, pipes, environment, binds, mounts, posts, files in memory.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use lib9::sys::Raw;
use lib9::{Rfork, fd, file, ns, proc, serve};
use ninep::ram::Ram;

use super::{MANY, hold, until_refused};

/// Open files, and the highest numbers that they can have.
pub fn descriptors() {
    until_refused(MANY, |n| {
        fd::open(if n.is_multiple_of(2) { "/dev/null" } else { "/dev/swap" }, abi::OREAD)
    });
    until_refused(MANY, |n| fd::dup(0, 100 + 37 * n as i32));
    hold();
}

/// Pipes that nobody reads, full.
pub fn pipes() {
    let bytes = vec![1; 200_000];
    until_refused(MANY, |_| {
        let [_, w] = fd::pipe()?;
        // The alarm ends the wait for a reader, and the process unless it has a handler.
        if let Ok(proc::Fork::Child) = proc::rfork(Rfork::PROC | Rfork::NOWAIT) {
            let _ = fd::write_all(w, &bytes);
            let _ = proc::sleep(60_000);
            proc::exits_now("");
        }
        Ok(())
    });
    hold();
}

/// Variables, large and small.
pub fn environment() {
    let large = vec![b'x'; 30_000];
    until_refused(MANY, |n| file_of(&format!("/env/large{n}"), &large));
    until_refused(2 * MANY, |n| file_of(&format!("/env/small{n}"), b"1"));
    hold();
}

fn file_of(name: &str, bytes: &[u8]) -> lib9::Result<()> {
    let fd = fd::create(name, abi::OWRITE, 0o666)?;
    let wrote = fd::write_all(fd, bytes);
    fd::close(fd)?;
    wrote
}

/// Binds of many names.
pub fn names() {
    until_refused(MANY, |n| {
        let name = format!("/tmp/attack/n{n}");
        fd::close(fd::create(&name, abi::OREAD, abi::DMDIR | 0o777)?)?;
        ns::bind("/dev", &name, abi::MREPL)
    });
    hold();
    let _ = proc::rfork(Rfork::NAMEG);
}

/// One name with many elements.
pub fn unions() {
    until_refused(MANY, |n| {
        ns::bind(if n.is_multiple_of(2) { "/dev" } else { "/bin" }, "/n/other", abi::MAFTER)
    });
    let _ = fd::readdir("/n/other");
    let _ = fd::stat("/n/other/nobody");
    let _ = proc::rfork(Rfork::NAMEG);
    hold();
}

/// Binds on binds: each element is what was there before.
pub fn binds() {
    until_refused(MANY, |n| {
        let flag = if n.is_multiple_of(3) { abi::MBEFORE } else { abi::MREPL };
        ns::bind("/n/other", "/n/one", flag)?;
        ns::bind("/n/one", "/n/other", flag)
    });
    let _ = fd::stat("/n/one/x");
    hold();
}

/// Mounts of one server, and files of it.
pub fn mounts() {
    let server = serve::start(|end| {
        let _ = serve::serve(&Ram::<Raw>::new(b"glenda", 1 << 20, || 0), end, end);
    });
    let Ok(server) = server else { return };
    if ns::mount(server, -1, "/n/other", abi::MREPL | abi::MCREATE, "").is_err() {
        return;
    }
    until_refused(MANY, |n| {
        let name = format!("/n/other/d{n}");
        fd::close(fd::create(&name, abi::OREAD, abi::DMDIR | 0o777)?)?;
        ns::bind("/n/other", &name, abi::MREPL)?;
        fd::open(&name, abi::OREAD)
    });
    hold();
}

/// Posts in /srv, made and removed, and those that are left.
pub fn posts() {
    let Ok([ours, theirs]) = fd::pipe() else { return };
    let post = |n: usize| {
        let fd = fd::create(&format!("/srv/attack{n}"), abi::OWRITE, 0o600)?;
        let wrote =
            fd::write_all(fd, format!("{}", if n.is_multiple_of(2) { ours } else { theirs }).as_bytes());
        fd::close(fd)?;
        wrote
    };
    for n in 0..1000 {
        if post(n).is_ok() {
            // What is posted is opened, and posted again itself.
            let _ = fd::open(&format!("/srv/attack{n}"), abi::ORDWR).map(fd::close);
            let _ = fd::remove(&format!("/srv/attack{n}"));
        }
    }
    until_refused(MANY, post);
    hold();
    until_refused(MANY, |n| fd::remove(&format!("/srv/attack{n}")));
}

/// Files in memory: large, small, and with holes.
pub fn tmp() {
    let large = vec![1; 1 << 16];
    let Ok(one) = fd::create("/tmp/attack/large", abi::OWRITE, 0o666) else { return };
    until_refused(MANY, |_| fd::write_all(one, &large));
    let _ = fd::pwrite(one, b"x", 1 << 40);
    until_refused(MANY, |n| fd::pwrite(one, b"x", (n as u64) << 21));
    hold();
    let _ = fd::remove("/tmp/attack/large");
    let _ = fd::close(one);
    until_refused(MANY, |n| file_of(&format!("/tmp/attack/small{n}"), b"x"));
    hold();
    until_refused(MANY, |n| fd::remove(&format!("/tmp/attack/small{n}")));
}

/// Folders in folders, long names, and long spellings.
pub fn paths() {
    let part = "d".repeat(200);
    let depth = until_refused(MANY, |_| {
        fd::close(fd::create(&part, abi::OREAD, abi::DMDIR | 0o777)?)?;
        fd::chdir(&part)
    });
    let _ = fd::getwd();
    let _ = fd::stat("x/../y");
    until_refused(depth.min(50), |_| fd::chdir(".."));
    for len in [1000, 10_000, 100_000, 1 << 20] {
        let _ = fd::stat(&"a/".repeat(len / 2));
        let _ = fd::stat(&"../".repeat(len / 3));
        let _ = fd::chdir(&"x".repeat(len));
    }
    hold();
    // From the bottom, since names of all of it are too long.
    let _ = fd::chdir("/tmp/attack");
    let mut deep = 0;
    while deep < depth && fd::chdir(&part).is_ok() {
        deep += 1;
    }
    for _ in 0..deep {
        let _ = fd::chdir("..");
        let _ = fd::remove(&part);
    }
}

/// Files that are removed when they are closed, many at a time.
pub fn once() {
    for _ in 0..20 {
        until_refused(200, |n| {
            let name = format!("/tmp/attack/o{}.{n}", proc::getpid());
            fd::create(&name, abi::OWRITE | abi::ORCLOSE, 0o666)
        });
        for fd in 3..203 {
            let _ = fd::close(fd);
        }
    }
    until_refused(MANY, |n| {
        fd::create(&format!("/tmp/attack/o{}.{n}", proc::getpid()), abi::OWRITE | abi::ORCLOSE, 0o666)
    });
    hold();
}

/// Messages of no bytes, of one, and many of them, which a pipe counts as it likes.
pub fn queues() {
    let Ok([_, w]) = fd::pipe() else { return };
    for size in [0, 1, 100] {
        let bytes = vec![1; size];
        if let Ok(proc::Fork::Child) = proc::rfork(Rfork::PROC | Rfork::NOWAIT) {
            for _ in 0..30 * MANY {
                if fd::write(w, &bytes).is_err() {
                    break;
                }
            }
            proc::exits_now("");
        }
    }
    let _ = proc::sleep(1500);
    let _ = file::read_string("/proc/1/fd").map(|s| String::len(&s));
}
