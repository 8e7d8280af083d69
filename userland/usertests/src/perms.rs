//! Who may do what: the machine's owner, others (of whom `none` is one).

use abi::{DMDIR, ORDWR, OREAD, OWRITE};
use lib9::alloc::format;
use lib9::alloc::string::String;
use lib9::{Dir, File, Rfork, fd, file, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("perm.who", who),
    test("perm.become-none", become_none),
    test("perm.inherited", inherited),
    test("perm.devices", devices),
    test("perm.owner-files", owner_files),
    test("perm.tmp", tmp),
    test("perm.tmp-none", tmp_none),
    test("perm.exec", exec),
    test("perm.env", env),
    test("perm.srv", srv),
    test("perm.pipe", pipe),
    test("perm.proc", proc_files),
    test("perm.proc-none", proc_none),
    test("perm.private", private),
    test("perm.dup", dup),
];

/// Runs `f` as the user none.
fn as_none(f: impl FnOnce() -> Outcome) -> Outcome {
    child_with(Rfork::FDG | Rfork::NAMEG | Rfork::ENVG, || {
        none()?;
        f()
    })
}

fn none() -> Outcome {
    file::control("#c/user", "none")?;
    Ok(())
}

fn who() -> Outcome {
    let owner = file::read_string("/dev/hostowner")?;
    check(!owner.is_empty(), "no owner")?;
    same(file::read_string("/dev/user")?, owner.as_str(), "the first user")?;
    same(fd::stat("/dev/null")?.uid, owner.as_str(), "whose /dev/null is")?;
    same(fd::stat(&format!("/proc/{}/ctl", proc::getpid()))?.uid, owner.as_str(), "whose a process is")
}

/// One can become none and nobody else.
fn become_none() -> Outcome {
    for bad in ["root", "adm", "glenda2", ""] {
        check(file::control("#c/user", bad).is_err(), &format!("became {bad:?}"))?;
    }
    as_none(|| {
        same(file::read_string("#c/user")?, "none", "the user")?;
        let status = proc_file(proc::getpid(), "status")?;
        same(status.get(28..56).unwrap_or("").trim(), "none", "in status")?;
        fails(file::control("#c/user", "glenda"), abi::error::EPERM, "back again")
    })?;
    check(file::read_string("#c/user")? != "none", "its parent, too")
}

fn inherited() -> Outcome {
    as_none(|| child(|| same(file::read_string("#c/user")?, "none", "a child's user")))
}

/// What none may not do to the machine.
fn devices() -> Outcome {
    let hostowner = file::read_string("/dev/hostowner")?;
    as_none(|| {
        for (name, mode) in [
            ("#c/hostowner", OWRITE),
            ("#c/hostdomain", OWRITE),
            ("#c/sysname", OWRITE),
            ("#c/time", OWRITE),
            ("#c/bintime", OWRITE),
            ("#c/reboot", OWRITE),
            ("#c/kmesg", OREAD),
            ("#c/cons", OWRITE),
            ("#c/consctl", OWRITE),
            ("#c/swap", OWRITE),
            ("#c/sysstat", OWRITE),
        ] {
            fails(File::open(name, mode), abi::error::EPERM, name)?;
        }
        for name in [
            "#c/time",
            "#c/bintime",
            "#c/pid",
            "#c/null",
            "#c/zero",
            "#c/random",
            "#c/sysname",
            "#c/user",
            "#c/hostowner",
            "#c/swap",
            "#c/sysstat",
        ] {
            File::open(name, OREAD).map_err(|e| format!("{name}: {e}"))?;
        }
        File::open("#c/null", ORDWR)?;
        fails(fd::wstat("#c/null", &Dir { mode: 0o777, ..Dir::untouched() }), abi::error::EPERM, "wstat")?;
        check(fd::remove("#c/null").is_err(), "remove")?;
        check(File::create("#c/new", OWRITE, 0o666).is_err(), "create")
    })?;
    same(file::read_string("/dev/hostowner")?, hostowner, "the owner afterwards")
}

/// What its owner may.
fn owner_files() -> Outcome {
    for (name, mode) in
        [("/dev/sysname", ORDWR), ("/dev/kmesg", OREAD), ("/dev/cons", OWRITE), ("/dev/reboot", OWRITE)]
    {
        File::open(name, mode).map_err(|e| format!("{name}: {e}"))?;
    }
    fails(File::open("/dev/pid", OWRITE), abi::error::EPERM, "/dev/pid for writing")?;
    fails(File::open("/dev/kmesg", OWRITE), abi::error::EPERM, "/dev/kmesg for writing")?;
    fails(File::open("/dev/null", abi::OEXEC), abi::error::EPERM, "/dev/null for execution")?;
    fails(File::open("/dev", OWRITE), abi::error::EPERM, "/dev for writing")
        .or_else(|_| check(File::open("/dev", OWRITE).is_err(), "/dev for writing"))
}

/// Each bit, for the owner, in /tmp.
fn tmp() -> Outcome {
    let f = Folder::new()?;
    for (perm, r, w, x) in [
        (0o400, true, false, false),
        (0o200, false, true, false),
        (0o100, false, false, true),
        (0o600, true, true, false),
        (0, false, false, false),
    ] {
        let name = f.file(&format!("f{perm:o}"), perm, b"x")?;
        for (mode, good) in
            [(OREAD, r), (OWRITE, w), (ORDWR, r && w), (abi::OEXEC, x), (OREAD | abi::OTRUNC, r && w)]
        {
            let opened = File::open(&name, mode);
            let what = format!("mode {mode:#x} of a file of {perm:o}");
            if good {
                opened.map_err(|e| format!("{what}: {e}"))?;
            } else {
                fails(opened, abi::error::EPERM, &what)?;
            }
        }
    }
    // Directories: r to list, w to create and remove, x to walk.
    let dir = f.at("dir");
    File::create(&dir, OREAD, DMDIR | 0o777)?;
    file::write(&format!("{dir}/in"), b"x")?;
    let chmod = |mode: u32| fd::wstat(&dir, &Dir { mode: DMDIR | mode, ..Dir::untouched() });
    chmod(0o500)?;
    fails(File::create(&format!("{dir}/new"), OWRITE, 0o666), abi::error::EPERM, "creating without w")?;
    fails(fd::remove(&format!("{dir}/in")), abi::error::EPERM, "removing without w")?;
    chmod(0o300)?;
    fails(File::open(&dir, OREAD), abi::error::EPERM, "listing without r")?;
    file::read(&format!("{dir}/in"))?;
    chmod(0o600)?;
    // The walk ends before its last element, and then Plan 9 does not know why.
    check(file::read(&format!("{dir}/in")).is_err(), "walking without x")?;
    chmod(0o777).map_err(Into::into)
}

/// A file's bits for others. (A server knows the user who mounted it: none has to mount for itself.)
fn tmp_none() -> Outcome {
    let f = Folder::new()?;
    let closed = f.file("closed", 0o600, b"x")?;
    let open = f.file("open", 0o644, b"x")?;
    as_none(|| {
        fails(file::read(&closed), abi::error::EPERM, "a file of 0600")?;
        same(file::read_string(&open)?, "x", "a file of 0644")?;
        fails(File::open(&open, OWRITE), abi::error::EPERM, "writing a file of 0644")?;
        fails(fd::wstat(&open, &Dir { mode: 0o666, ..Dir::untouched() }), abi::error::EPERM, "wstat")
    })
}

fn exec() -> Outcome {
    let f = Folder::new()?;
    let name = f.file("script", 0o666, b"#!/bin/echo\n")?;
    fails(proc::exec(&name, &["x"]), abi::error::EPERM, "without x")?;
    fd::wstat(&name, &Dir { mode: 0o100, ..Dir::untouched() })?;
    let (text, status) = output(|| {
        proc::exec(&name, &["x"])?;
        Ok(())
    })?;
    same((text, status.as_str()), (format!("{name}\n"), ""), "with x alone")
}

/// Variables are everybody's in the group; those of the boot are the owner's.
fn env() -> Outcome {
    file::write("#e/usertests", b"x")?;
    as_none(|| {
        file::write("#e/usertests", b"y")?;
        fails(file::write("#ec/usertests", b"z"), abi::error::EPERM, "#ec")
    })?;
    same(file::read_string("#e/usertests")?, "x", "the parent's")?;
    fails(File::create("#e/dir", OREAD, DMDIR | 0o777), abi::error::EPERM, "a directory")
}

fn srv() -> Outcome {
    let name = format!("#s/usertests.{}", proc::getpid());
    let [a, _b] = fd::pipe()?;
    let post = File::create(&name, OWRITE, 0o600)?;
    post.write_all(format!("{a}").as_bytes())?;
    drop(post);
    let outcome = as_none(|| {
        fails(File::open(&name, ORDWR), abi::error::EPERM, "opening it")?;
        fails(fd::remove(&name), abi::error::EPERM, "removing it")?;
        fails(fd::wstat(&name, &Dir { mode: 0o666, ..Dir::untouched() }), abi::error::EPERM, "wstat")?;
        fails(File::create(&name, OWRITE, 0o600), abi::error::EEXIST, "creating it")
            .or_else(|_| check(File::create(&name, OWRITE, 0o600).is_err(), "creating it"))?;
        // What none posts is none's.
        let own = format!("#s/usertests.none.{}", proc::getpid());
        let [a, _b] = fd::pipe()?;
        File::create(&own, OWRITE, 0o600)?.write_all(format!("{a}").as_bytes())?;
        same(fd::stat(&own)?.uid, "none", "whose it is")?;
        fd::remove(&own).map_err(Into::into)
    });
    let opened = File::open(&name, ORDWR);
    fd::remove(&name)?;
    outcome?;
    opened?;
    fails(fd::stat(&name), abi::error::ENONEXIST, "after it was removed")
}

fn pipe() -> Outcome {
    as_none(|| {
        let [a, b] = fd::pipe()?;
        fd::write(a, b"x")?;
        let mut byte = [0];
        same(fd::read(b, &mut byte)?, 1, "none's own pipe")
    })
}

fn proc_files() -> Outcome {
    let pid = start(|| proc::sleep(60_000).map_err(Into::into))?;
    until_state(pid, "Sleep")?;
    let file = |name: &str| format!("/proc/{pid}/{name}");
    let outcome = (|| {
        for (name, mode) in [
            ("args", 0o660),
            ("ctl", 0o640),
            ("fd", 0o444),
            ("fpregs", 0o640),
            ("mem", 0o640),
            ("note", 0o640),
            ("noteid", 0o664),
            ("ns", 0o444),
            ("proc", 0o400),
            ("regs", 0o640),
            ("segment", 0o444),
            ("status", 0o444),
            ("text", 0o640),
            ("wait", 0o400),
        ] {
            same(fd::stat(&file(name))?.mode, mode, name)?;
        }
        fd::wstat(&file("ctl"), &Dir { mode: 0o600, ..Dir::untouched() })?;
        same(fd::stat(&file("mem"))?.mode, 0o600, "mem after wstat of ctl")?;
        fails(
            fd::wstat(&file("status"), &Dir { mode: 0o600, ..Dir::untouched() }),
            abi::error::EPERM,
            "wstat of status",
        )?;
        fails(File::open(&file("status"), OWRITE), abi::error::EPERM, "status for writing")
            .or_else(|_| check(file::control(&file("status"), "x").is_err(), "status written"))?;
        check(file::control(&file("text"), "x").is_err(), "text written")
    })();
    ctl(pid, "kill")?;
    wait(pid)?;
    outcome
}

/// none may do nothing to others, and others' owner may to none.
fn proc_none() -> Outcome {
    let pid = proc::getpid();
    as_none(|| {
        for name in ["ctl", "note", "notepg", "mem", "regs", "noteid", "wait", "args"] {
            fails(File::open(&format!("/proc/{pid}/{name}"), OWRITE), abi::error::EPERM, name)?;
        }
        for name in ["mem", "regs", "note", "text", "wait", "proc", "fpregs"] {
            fails(File::open(&format!("/proc/{pid}/{name}"), OREAD), abi::error::EPERM, name)?;
        }
        for name in ["status", "segment", "ns"] {
            File::open(&format!("/proc/{pid}/{name}"), OREAD).map_err(|e| format!("{name}: {e}"))?;
        }
        // Itself is another matter.
        File::open(&format!("/proc/{}/note", proc::getpid()), OWRITE)?;
        // Not even others of the same name.
        let [r, w] = fd::pipe()?;
        let other = start(|| {
            fd::close(w)?;
            let _ = fd::read(r, &mut [0]);
            Ok(())
        })?;
        let refused =
            fails(File::open(&format!("/proc/{other}/note"), OWRITE), abi::error::EPERM, "another of none's");
        let seen = proc_file(other, "status").map(|s| s.contains("none"));
        fd::close(w)?;
        wait(other)?;
        refused?;
        check(seen?, "its status")
    })
}

/// `private`: nobody reads its memory, whoever it is.
fn private() -> Outcome {
    let pid = start(|| proc::sleep(60_000).map_err(Into::into))?;
    until_state(pid, "Sleep")?;
    let open = |name: &str| File::open(&format!("/proc/{pid}/{name}"), OREAD);
    let before = open("mem").map(drop);
    let told = ctl(pid, "private");
    let after: [Result<(), lib9::Error>; 3] = ["mem", "regs", "fpregs"].map(|name| open(name).map(drop));
    let ctl_still = ctl(pid, "nohang");
    ctl(pid, "kill")?;
    wait(pid)?;
    before?;
    told?;
    for (result, name) in after.into_iter().zip(["mem", "regs", "fpregs"]) {
        fails(result, abi::error::EPERM, name)?;
    }
    ctl_still.map_err(Into::into)
}

/// /fd shows what a descriptor may be opened for.
fn dup() -> Outcome {
    let f = File::open("/dev/null", OWRITE)?;
    let name = format!("#d/{}", f.fd());
    same(fd::stat(&name)?.mode, 0o200, "its permission")?;
    let text: Result<(), String> = fails(File::open(&name, OREAD), abi::error::EBADUSEFD, "for reading");
    text
}
