//! rfork: what is shared, and what is copied.

use abi::Rfork;
use abi::syscall as no;
use lib9::alloc::format;
use lib9::alloc::vec::Vec;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{self, NOWHERE, PAGE_SIZE};
use lib9::{env, fd, file, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("fork.wrong", wrong),
    test("fork.memory", memory),
    test("fork.shared-memory", shared),
    test("fork.fds", fds),
    test("fork.env", environment),
    test("fork.note-group", note_group),
    test("fork.inherits", inherits),
    test("fork.not-inherited", not_inherited),
    test("fork.without-proc", without_proc),
    test("fork.registers", registers),
    test("fork.many", many),
    once("fork.two-hundred", two_hundred),
    test("fork.tree", tree),
];

/// Flags that contradict each other.
fn wrong() -> Outcome {
    let bits = |f: Rfork| u64::from(f.bits());
    for (flags, what) in [
        (bits(Rfork::PROC | Rfork::FDG | Rfork::CFDG), "RFFDG and RFCFDG"),
        (bits(Rfork::PROC | Rfork::NAMEG | Rfork::CNAMEG), "RFNAMEG and RFCNAMEG"),
        (bits(Rfork::PROC | Rfork::ENVG | Rfork::CENVG), "RFENVG and RFCENVG"),
        (bits(Rfork::MEM), "RFMEM without RFPROC"),
        (bits(Rfork::NOWAIT), "RFNOWAIT without RFPROC"),
        (bits(Rfork::PROC) | 1 << 20, "an unknown bit"),
    ] {
        fails(call(no::RFORK, &[flags]), abi::error::EBADARG, what)?;
    }
    fails(proc::await_(), abi::error::ENOCHILD, "no process was made")
}

/// A copy: what one writes the other does not see.
fn memory() -> Outcome {
    let at = arena()?;
    put(at, "before");
    let [r, w] = fd::pipe()?;
    let pid = start(|| {
        let mut byte = [0];
        fd::read(r, &mut byte)?;
        same(probe::peek(at, 6), b"before".to_vec(), "in the child, after its parent wrote")?;
        put(at, "child");
        Ok(())
    })?;
    put(at, "parent");
    fd::write(w, b"x")?;
    same(wait(pid)?, "", "the child")?;
    same(probe::peek(at, 6), b"parent".to_vec(), "in the parent, after the child wrote")
}

/// Segments of the class shared are; RFMEM shares the rest but for the stack.
fn shared() -> Outcome {
    let seg = attach(0, "shared", NOWHERE + 0x100_0000, PAGE_SIZE)?;
    child(|| {
        put(seg, "seen");
        Ok(())
    })?;
    same(probe::peek(seg, 4), b"seen".to_vec(), "a shared segment")?;
    let at = arena()?;
    let pid = proc::spawn(Rfork::FDG, move || {
        put(at, "seen");
        // A segment made by one is not the other's.
        attach(0, "memory", NOWHERE + 0x200_0000, PAGE_SIZE)?;
        Ok(())
    })?;
    same(wait(pid)?, "", "the process that shares memory")?;
    same(probe::peek(at, 4), b"seen".to_vec(), "memory under RFMEM")?;
    notes::on(Then::Land)?;
    let mut f = probe::Frame::default();
    f.regs[probe::reg::DI] = NOWHERE + 0x200_0000;
    probe::run(probe::Op::Read, &mut f);
    same(notes::count(), 1, "faults at the other's segment")
}

fn fds() -> Outcome {
    let here = |fd: i32| fd::fstat(fd).is_ok();
    let a = fd::open("/dev/null", abi::OREAD)?;
    child_with(Rfork::empty(), || {
        check(here(a), "shared: not there")?;
        fd::dup(a, 25).map(drop).map_err(Into::into)
    })?;
    check(here(25), "what a child with the same table opened")?;
    child_with(Rfork::FDG, || {
        check(here(a), "copied: not there")?;
        fd::close(a).map_err(Into::into)
    })?;
    check(here(a), "closed by a child with a copy")?;
    let pid = start_with(Rfork::CFDG, || {
        for n in 0..30 {
            check(!here(n), "a descriptor in an empty table")?;
        }
        same(fd::open("#c/null", abi::OREAD)?, 0, "the first")
    })?;
    same(wait(pid)?, "", "with an empty table")
}

fn environment() -> Outcome {
    env::putenv("v", &["one"])?;
    let v = || env::get("v").unwrap_or_default();
    child_with(Rfork::FDG, || {
        env::putenv("v", &["two"])?;
        Ok(())
    })?;
    same(v(), "two", "shared")?;
    child_with(Rfork::FDG | Rfork::ENVG, || {
        same(v(), "two", "in the copy")?;
        env::putenv("v", &["three"])?;
        Ok(())
    })?;
    same(v(), "two", "after a change of the copy")?;
    child_with(Rfork::FDG | Rfork::CENVG, || same(fd::readdir("#e")?.len(), 0, "variables in an empty one"))
}

fn note_group() -> Outcome {
    let id = |pid: i32| proc_file(pid, "noteid");
    let mine = id(proc::getpid())?;
    child(|| same(id(proc::getpid())?, mine.as_str(), "a child's group"))?;
    child_with(Rfork::NOTEG | Rfork::FDG, || check(id(proc::getpid())? != mine, "the same group"))
}

/// Directory, user, handler, name.
fn inherits() -> Outcome {
    fd::chdir("/lib")?;
    notes::on(Then::Noted(abi::NCONT))?;
    let user = file::read_string("#c/user")?;
    child(|| {
        same(fd::getwd()?, "/lib", "the directory")?;
        same(file::read_string("#c/user")?, user.as_str(), "the user")?;
        let before = notes::count();
        proc::postnote(proc::getpid(), "x")?;
        same(notes::count(), before + 1, "notes handled")?;
        check(proc_file(proc::getpid(), "status")?.starts_with("usertests "), "the name")
    })
}

/// Alarm, notes that wait, times.
fn not_inherited() -> Outcome {
    proc::alarm(50_000);
    child(|| {
        same(proc::alarm(0), 0, "an alarm")?;
        let times = file::read_string("/dev/cputime")?;
        let real: u64 = times.split_whitespace().nth(2).and_then(|n| n.parse().ok()).ok_or("no real time")?;
        check(real < 5000, "a child that is old")
    })
}

/// The caller's own groups.
fn without_proc() -> Outcome {
    child(|| {
        env::putenv("v", &["one"])?;
        let id = proc_file(proc::getpid(), "noteid")?;
        let pid = proc::getpid();
        proc::rfork(Rfork::ENVG | Rfork::NAMEG | Rfork::NOTEG | Rfork::FDG | Rfork::REND)?;
        same(proc::getpid(), pid, "the process")?;
        check(proc_file(pid, "noteid")? != id, "its note group")?;
        env::putenv("v", &["two"])?;
        proc::rfork(Rfork::CENVG)?;
        same(fd::readdir("#e")?.len(), 0, "variables")
    })?;
    same(env::get("v").unwrap_or_default(), "one", "the parent's variable")
}

/// The child has its parent's registers but for AX.
fn registers() -> Outcome {
    let mut f = probe::Frame::default();
    for (i, r) in f.regs.iter_mut().enumerate() {
        *r = 0xabcd_0000 + i as u64;
    }
    for (i, x) in f.xmm.iter_mut().enumerate() {
        *x = [i as u64, 77 + i as u64];
    }
    f.regs[probe::reg::BP] = no::RFORK;
    f.args[0] = u64::from((Rfork::PROC | Rfork::FDG).bits());
    let was = f;
    probe::run(probe::Op::Syscall, &mut f);
    let child = f.regs[probe::reg::AX] == 0;
    let outcome = (|| {
        for i in 1..probe::reg::FLAGS {
            if i != probe::reg::CX && i != probe::reg::R11 {
                same(f.regs[i], was.regs[i], &format!("register {i}"))?;
            }
        }
        same(f.xmm, was.xmm, "SSE registers")
    })();
    if child {
        proc::exits_now(outcome.as_ref().map_or_else(|w| w.as_str(), |()| ""));
    }
    same(wait(f.regs[probe::reg::AX] as i32)?, "", "the child")?;
    outcome
}

/// One after the other.
fn many() -> Outcome {
    for n in 0..100 {
        let pid = start(|| Err(format!("{n}")))?;
        same(wait(pid)?, format!("{n}"), "a child")?;
    }
    Ok(())
}

/// At once.
fn two_hundred() -> Outcome {
    let [r, w] = fd::pipe()?;
    let mut pids = Vec::new();
    for _ in 0..200 {
        pids.push(start(|| {
            fd::close(w)?;
            same(fd::read(r, &mut [0])?, 1, "bytes read")
        })?);
    }
    let procs = fd::readdir("/proc")?.len();
    check(procs > 200, &format!("{procs} processes"))?;
    // One after the other: more than 128 records would not be kept.
    for _ in &pids {
        fd::write(w, b"x")?;
        let msg = proc::await_()?;
        check(pids.contains(&msg.pid) && msg.msg.is_empty(), &msg.msg)?;
    }
    fails(proc::await_(), abi::error::ENOCHILD, "one more")
}

/// Children of children.
fn tree() -> Outcome {
    fn grow(depth: u32) -> Outcome {
        if depth == 0 {
            return Ok(());
        }
        let pids = [start(|| grow(depth - 1))?, start(|| grow(depth - 1))?];
        for pid in pids {
            same(wait(pid)?, "", "a branch")?;
        }
        Ok(())
    }
    grow(5)
}
