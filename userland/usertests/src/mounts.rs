//! Very many mounts in a name space, and some that lead to themselves: nothing is without end.

use abi::{DMDIR, MAFTER, MCREATE, MREPL, OREAD, OWRITE, error};
use lib9::alloc::format;
use lib9::alloc::string::{String, ToString};
use lib9::ns::{bind, mount, unmount};
use lib9::{File, Rfork, fd, file, proc};

use crate::many::{in_time, many};
use crate::testkit::*;

pub const TESTS: &[Test] = &[
    once("many.binds", binds),
    once("many.mounts", mounts),
    test("many.union", union),
    test("many.crossings", crossings),
    test("many.nested", nested),
    once("many.self-mount", self_mount),
];

/// A program of `/bin` that serves 9P on a pipe: our end of that, and the process.
fn serve(args: &[&str]) -> Result<(i32, i32), String> {
    let [a, b] = fd::pipe()?;
    let server = start(|| {
        fd::dup(b, 0)?;
        fd::dup(b, 1)?;
        fd::close(a)?;
        fd::close(b)?;
        proc::exec(&format!("/bin/{}", args[0]), args)?;
        Ok(())
    })?;
    fd::close(b)?;
    Ok((a, server))
}

fn binds() -> Outcome {
    let (f, begun, all) = (Folder::new()?, proc::nsec(), many(2000));
    for n in 0..all {
        let name = f.at(&n.to_string());
        File::create(&name, OREAD, DMDIR | 0o777)?;
        bind("/lib", &name, MREPL)?;
    }
    let last = f.at(&(all - 1).to_string());
    let file = format!("{last}/namespace");
    child_with(Rfork::NAMEG | Rfork::FDG, || {
        check(file::read(&file).is_ok(), "in the copy")?;
        unmount(None, &last)?;
        Ok(())
    })?;
    check(file::read(&file).is_ok(), "the child's was a copy")?;
    let ns = proc_file(proc::getpid(), "ns")?;
    check(ns.lines().count() > all, "all are told of")?;
    for n in 0..all {
        unmount(None, &f.at(&n.to_string()))?;
    }
    in_time(begun)
}

/// Mounts of a server in a process, each with a fid of its own there, and each on another directory.
fn mounts() -> Outcome {
    let (f, begun, all) = (Folder::new()?, proc::nsec(), many(1000));
    let (a, server) = serve(&["ramfs", "-i"])?;
    for n in 0..all {
        let name = f.at(&n.to_string());
        File::create(&name, OREAD, DMDIR | 0o777)?;
        // A mount takes its descriptor with it.
        mount(fd::dup(a, -1)?, -1, &name, MREPL | MCREATE, "")?;
    }
    file::write(&f.at("0/file"), b"x")
        .or_else(|_| File::create(&f.at("0/file"), OWRITE, 0o666)?.write_all(b"x"))?;
    same(file::read(&f.at(&format!("{}/file", all - 1)))?, b"x".to_vec(), "all are one tree")?;
    for n in 0..all {
        unmount(None, &f.at(&n.to_string()))?;
    }
    fd::close(a)?;
    wait(server)?;
    in_time(begun)
}

/// A union that is bound onto itself doubles, until there is no more room.
fn union() -> Outcome {
    let f = Folder::new()?;
    let name = f.file("here", 0o666, b"x").map(|_| f.0.clone())?;
    let refused = (0..30).find_map(|_| bind(&name, &name, MAFTER).err());
    check(refused.is_some_and(|e| e.is(error::ENODEV)), "no error")?;
    same(file::read(&f.at("here"))?, b"x".to_vec(), "its file")?;
    check(fd::readdir(&name)?.len() > 500, "as often as it is there")?;
    unmount(None, &name)?;
    same(fd::readdir(&name)?.len(), 1, "afterwards")
}

/// A way through the same mount again and again.
fn crossings() -> Outcome {
    let f = Folder::new()?;
    File::create(&f.at("one"), OREAD, DMDIR | 0o777)?;
    bind(&f.0, &f.at("one"), MREPL)?;
    fd::chdir(&format!("{}{}", f.0, "/one".repeat(900)))?;
    check(File::open("one", OREAD).is_ok(), "there")?;
    fails(fd::chdir(&format!("{}{}", f.0, "/one".repeat(2048))), error::ETOOLONG, "2048 mounts")?;
    let steps = (0..200).take_while(|_| fd::chdir("one").is_ok()).count();
    check(steps < 150, "as far as one likes")?;
    fd::chdir("/")?;
    unmount(None, &f.at("one"))?;
    Ok(())
}

/// What is mounted upon was itself named through a mount, and so on.
fn nested() -> Outcome {
    let f = Folder::new()?;
    for name in ["x", "y"] {
        File::create(&f.at(name), OREAD, DMDIR | 0o777)?;
    }
    bind(&f.0, &f.at("x"), MREPL)?;
    for n in 0..1000 {
        let (from, to) = if n % 2 == 0 { ("x", "y") } else { ("y", "x") };
        if let Err(e) = bind(&f.0, &f.at(&format!("{from}/{to}")), MREPL) {
            check(n > 100 && e.is(error::ETOOLONG), e.text())?;
            return Ok(unmount(None, &f.at(from))?);
        }
        unmount(None, &f.at(from))?;
    }
    Err("there is no end to it".to_string())
}

/// A server of the name space in which it is mounted itself: a name leads through it again and again, and each time it
/// has one more request of its own to answer.
fn self_mount() -> Outcome {
    let f = Folder::new()?;
    File::create(&f.at("l"), OREAD, DMDIR | 0o777)?;
    file::write(&f.at("file"), b"x").or_else(|_| f.file("file", 0o666, b"x").map(|_| ()))?;
    let (a, server) = serve(&["exportfs", "-s"])?;
    mount(a, -1, &f.at("l"), MREPL | MCREATE, "")?;
    let name = |deep: usize| format!("{}{}/file", f.at("l").repeat(deep), f.0);
    for deep in 1..5 {
        same(file::read(&name(deep))?, b"x".to_vec(), "through it")?;
    }
    let pid = start(|| {
        quiet()?;
        file::read(&name(200)).map(|_| ())?;
        Ok(())
    })?;
    proc::sleep(300)?;
    let begun = proc::nsec();
    // It may be over already: requests that wait are counted.
    let _ = ctl(pid, "kill");
    wait(pid)?;
    let ms = (proc::nsec() - begun) / 1_000_000;
    check(ms < 5000, &format!("killed after {ms} ms"))?;
    // The last who can ask is gone, so the server ends by itself, when each of its requests that asks it another one
    // has been flushed. Killing it before that would leave helpers that wait for an answer from themselves.
    unmount(None, &f.at("l"))?;
    wait(server)?;
    Ok(())
}
