//! Broken processes: what is left of a program that died of a fault, and how it goes.

use lib9::alloc::format;
use lib9::alloc::string::String;
use lib9::alloc::vec;
use lib9::alloc::vec::Vec;
use lib9::sys::probe::{self, Frame, NOWHERE, Op, PAGE_SIZE, reg};
use lib9::{File, fd, file, proc};

use crate::procfs::ureg;
use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("broken.kept", broken_kept),
    test("broken.registers", broken_registers),
    test("broken.floating-point", broken_fpregs),
    test("broken.memory", broken_memory),
    test("broken.lets-go-of-files", broken_files),
    test("broken.let-go", broken_let_go),
    test("broken.four", broken_four),
    test("broken.not-for-notes", not_broken),
];

/// A child that dies of a fault with these registers; its pid.
fn break_child(f: impl FnOnce() -> Outcome) -> Result<i32, String> {
    let pid = start(|| {
        quiet()?;
        f()?;
        let mut f = patterned();
        f.regs[reg::DI] = 0x30;
        probe::run(Op::Write, &mut f);
        Err("it lives".into())
    })?;
    let said = wait(pid)?;
    check(said.starts_with("sys: trap: fault write addr=0x30 pc=0x"), &said)?;
    Ok(pid)
}

fn patterned() -> Frame {
    let mut f = Frame::default();
    for (i, r) in f.regs.iter_mut().enumerate() {
        *r = 0x4200 + i as u64;
    }
    for (i, x) in f.xmm.iter_mut().enumerate() {
        *x = [0x1000 + i as u64, 0x2000 + i as u64];
    }
    f
}

/// It stays in /proc, though its parent has its record.
fn broken_kept() -> Outcome {
    let pid = break_child(|| Ok(()))?;
    let outcome = (|| {
        same(state(pid), "Broken", "its state")?;
        check(proc_file(pid, "status")?.starts_with("usertests "), "its name")?;
        check(proc_file(pid, "segment")?.contains("Stack "), "its segments")?;
        check(proc_file(pid, "ns")?.contains("/dev\n"), "its name space")?;
        check(proc_file(pid, "fd")?.contains("/dev/null\n"), "its descriptors")?;
        let text = file::read(&format!("/proc/{pid}/text"))?;
        check(text.starts_with(b"\x7fELF"), "its program")?;
        fails(proc::await_(), abi::error::ENOCHILD, "a second record")
    })();
    release(pid);
    outcome
}

fn broken_registers() -> Outcome {
    let pid = break_child(|| Ok(()))?;
    let u = file::read(&format!("/proc/{pid}/regs"));
    release(pid);
    let u = ureg(&u?)?;
    same((u.bx, u.di, u.r15, u.kind), (0x4201, 0x30, 0x420e, 14), "registers")
}

fn broken_fpregs() -> Outcome {
    let pid = break_child(|| Ok(()))?;
    let bytes = file::read(&format!("/proc/{pid}/fpregs"));
    release(pid);
    let bytes = bytes?;
    check(bytes.len() >= 512, &format!("{} bytes", bytes.len()))?;
    // FXSAVE: the SSE registers are at 160.
    let xmm: Vec<u8> = [0x1003u64, 0x2003].iter().flat_map(|w| w.to_le_bytes()).collect();
    same(bytes.get(160 + 48..160 + 64), Some(&xmm[..]), "XMM3")
}

fn broken_memory() -> Outcome {
    let at = attach(0, "memory", NOWHERE, PAGE_SIZE)?;
    let pid = break_child(|| {
        put(at, "last words");
        Ok(())
    })?;
    let f = File::open(&format!("/proc/{pid}/mem"), abi::OREAD);
    let mut bytes = [0; 10];
    let outcome = f.and_then(|f| f.pread(&mut bytes, at)).map(drop);
    let mut text = [0; 4];
    let code =
        File::open(&format!("/proc/{pid}/mem"), abi::OREAD).and_then(|f| f.pread(&mut text, 0x20_0000));
    release(pid);
    outcome?;
    same(bytes, *b"last words", "its memory")?;
    code?;
    same(text, *b"\x7fELF", "its text")
}

/// Others who wait for its files to be closed need not wait for a debugger.
fn broken_files() -> Outcome {
    let [r, w] = fd::pipe()?;
    let pid = break_child(|| Ok(()))?;
    fd::close(w)?;
    let end = fd::read(r, &mut [0]);
    release(pid);
    same(end?, 0, "the end of its pipe")
}

/// `kill` lets it go; nothing else wakes it.
fn broken_let_go() -> Outcome {
    let pid = break_child(|| Ok(()))?;
    let outcome = (|| {
        for message in ["start", "startstop", "waitstop"] {
            check(ctl(pid, message).is_err(), message)?;
        }
        check(proc::postnote(pid, "x").is_err(), "a note")?;
        same(state(pid), "Broken", "its state")
    })();
    ctl(pid, "kill")?;
    outcome?;
    fails(fd::stat(&format!("/proc/{pid}")), abi::error::ENONEXIST, "its directory")
}

/// Four are kept; the oldest makes room.
fn broken_four() -> Outcome {
    let mut pids = Vec::new();
    for _ in 0..6 {
        pids.push(break_child(|| Ok(()))?);
    }
    let states: Vec<String> = pids.iter().map(|pid| state(*pid)).collect();
    pids.iter().for_each(|pid| release(*pid));
    same(states, vec!["", "", "Broken", "Broken", "Broken", "Broken"], "the six")
}

/// Only faults do it.
fn not_broken() -> Outcome {
    let pid = start(|| {
        proc::postnote(proc::getpid(), "a note")?;
        Ok(())
    })?;
    same(wait(pid)?, "a note", "its status")?;
    check(state(pid) != "Broken", "it is kept")
}
