//! Notes: delivery, the four ways out of a handler, groups, promptness.

use abi::syscall as no;
use lib9::alloc::format;
use lib9::proc;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{self, Frame, NOWHERE, Op, PAGE_SIZE, reg};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("note.registers", registers),
    test("note.asynchronous", asynchronous),
    test("note.in-user-mode", in_user_mode),
    test("note.ncont", ncont),
    test("note.ndflt", ndflt),
    test("note.nsave", nsave),
    test("note.noted-wrong", noted_wrong),
    test("note.fault-in-handler", fault_in_handler),
    test("note.held", held),
    test("note.queue", queue),
    test("note.no-handler", no_handler),
    test("note.no-stack", no_stack),
    test("note.bad-handler", bad_handler),
    test("note.off", off),
    test("note.text", text),
];

fn patterned() -> Frame {
    let mut f = Frame::default();
    for (i, r) in f.regs.iter_mut().enumerate() {
        *r = 0x5555_0000_aaaa_0000 + i as u64;
    }
    for (i, x) in f.xmm.iter_mut().enumerate() {
        *x = [0x77 + i as u64, !(i as u64)];
    }
    f
}

/// The handler sees them, and all of them come back, RCX and R11 too.
fn registers() -> Outcome {
    let mut f = patterned();
    f.regs[reg::DI] = 16;
    let was = f;
    notes::on(Then::Land)?;
    probe::run(Op::Read, &mut f);
    let (_, u) = notes::last();
    let seen =
        [u.ax, u.bx, u.cx, u.dx, u.si, u.di, u.bp, u.r8, u.r9, u.r10, u.r11, u.r12, u.r13, u.r14, u.r15];
    same(&seen[..], &was.regs[..15], "in the frame")?;
    same(&f.regs[..15], &was.regs[..15], "afterwards")?;
    same(f.xmm, was.xmm, "SSE registers afterwards")?;
    same((u.kind, u.error & 2), (14, 0), "trap and error")?;
    check(u.sp != 0 && u.flags & 0x200 != 0, "stack pointer and flags")?;
    check(u.cs & 3 == 3 && u.ss & 3 == 3, "selectors")
}

/// A note from another process, anywhere in a loop: nothing is lost.
fn asynchronous() -> Outcome {
    let at = attach(0, "shared", NOWHERE, PAGE_SIZE)?;
    let pid = start(|| {
        for _ in 0..20 {
            notes::on(Then::Store(at))?;
            probe::poke(at, &0u64.to_le_bytes());
            let mut f = patterned();
            f.regs[reg::DI] = at;
            let was = f;
            probe::poke(at + 8, &1u64.to_le_bytes());
            probe::run(Op::Spin, &mut f);
            same(&f.regs[..15], &was.regs[..15], "registers")?;
            same(f.xmm, was.xmm, "SSE registers")?;
        }
        Ok(())
    })?;
    for _ in 0..20 {
        while word(at + 8) == 0 {
            proc::sleep(0)?;
        }
        probe::poke(at + 8, &0u64.to_le_bytes());
        proc::sleep(1)?;
        proc::postnote(pid, "turn")?;
    }
    same(wait(pid)?, "", "who was noted")
}

/// A process that computes gets its note soon.
fn in_user_mode() -> Outcome {
    let at = attach(0, "shared", NOWHERE, PAGE_SIZE)?;
    let pid = start(|| {
        probe::poke(at, &1u64.to_le_bytes());
        loop {
            core::hint::spin_loop();
        }
    })?;
    while word(at) == 0 {
        proc::sleep(1)?;
    }
    let before = proc::nsec();
    proc::postnote(pid, "enough")?;
    same(wait(pid)?, "enough", "its status")?;
    let ms = (proc::nsec() - before) / 1_000_000;
    check(ms < 1000, &format!("it took {ms} ms"))
}

/// On where it was.
fn ncont() -> Outcome {
    notes::on(Then::Noted(abi::NCONT))?;
    for n in 0..50 {
        proc::postnote(proc::getpid(), &format!("note {n}"))?;
        same(notes::last().0, format!("note {n}"), "the note")?;
    }
    same(notes::count(), 50, "notes")
}

/// Death, of the note.
fn ndflt() -> Outcome {
    let said = death(|| {
        notes::on(Then::Noted(abi::NDFLT))?;
        proc::postnote(proc::getpid(), "the end")?;
        Err("it lives".into())
    })?;
    same(said, "the end", "a user's note")?;
    let said = death(|| {
        notes::on(Then::Noted(abi::NDFLT))?;
        let mut f = Frame::default();
        probe::run(Op::Read, &mut f);
        Err("it lives".into())
    })?;
    check(said.starts_with("sys: trap: fault read addr=0x0 pc=0x"), &said)
}

/// NSAVE goes on outside of the handler, with the frame; NRSTR goes back by it.
fn nsave() -> Outcome {
    notes::on(Then::SaveAndLand)?;
    let mut f = patterned();
    f.regs[reg::DI] = 24;
    let was = f;
    probe::run(Op::Read, &mut f);
    same(notes::count(), 1, "notes")?;
    for i in 0..15 {
        // R12 carried something.
        if i != 11 {
            same(f.regs[i], was.regs[i], &format!("register {i}"))?;
        }
    }
    same(f.xmm, was.xmm, "SSE registers")?;
    // Not in a handler any more.
    notes::on(Then::Noted(abi::NCONT))?;
    proc::postnote(proc::getpid(), "next")?;
    same(notes::last().0, "next", "the next note")
}

fn noted_wrong() -> Outcome {
    for how in [abi::NCONT, abi::NDFLT, abi::NSAVE, 17] {
        let said = death(|| {
            probe::call(no::NOTED, &[how as u64]);
            Err("it lives".into())
        })?;
        same(said, "Suicide", &format!("noted({how}) without a note"))?;
    }
    for how in [4, -1, 100] {
        let said = death(|| {
            notes::on(Then::Noted(how))?;
            proc::postnote(proc::getpid(), "x")?;
            Err("it lives".into())
        })?;
        same(said, "Suicide", &format!("noted({how})"))?;
    }
    Ok(())
}

fn fault_in_handler() -> Outcome {
    let said = death(|| {
        notes::on(Then::Fault)?;
        proc::postnote(proc::getpid(), "x")?;
        Err("it lives".into())
    })?;
    check(said.starts_with("sys: trap: fault read addr=0x8 pc=0x"), &said)
}

/// While the handler runs others wait.
fn held() -> Outcome {
    let at = attach(0, "shared", NOWHERE, PAGE_SIZE)?;
    let pid = start(|| {
        notes::on(Then::Wait(at))?;
        probe::poke(at + 8, &1u64.to_le_bytes());
        while notes::count() < 3 {
            let _ = proc::sleep(1);
        }
        same(notes::last().0, "three", "the last")
    })?;
    while word(at + 8) == 0 {
        proc::sleep(1)?;
    }
    for text in ["one", "two", "three"] {
        proc::postnote(pid, text)?;
    }
    proc::sleep(5)?;
    probe::poke(at, &1u64.to_le_bytes());
    same(wait(pid)?, "", "who was noted")
}

/// Five wait; the sixth is lost, and its sender is told.
fn queue() -> Outcome {
    let at = attach(0, "shared", NOWHERE, PAGE_SIZE)?;
    let pid = start(|| {
        notes::on(Then::Wait(at))?;
        probe::poke(at + 8, &1u64.to_le_bytes());
        while notes::count() == 0 {
            let _ = proc::sleep(1);
        }
        let _ = proc::sleep(0);
        Err(format!("{}", notes::count()))
    })?;
    while word(at + 8) == 0 {
        proc::sleep(1)?;
    }
    proc::postnote(pid, "in the handler")?;
    // It is in the handler when its queue is empty again.
    proc::sleep(20)?;
    let mut posted = 0;
    while posted < 20 && proc::postnote(pid, "waits").is_ok() {
        posted += 1;
    }
    same(posted, 5, "notes that wait")?;
    probe::poke(at, &1u64.to_le_bytes());
    same(wait(pid)?, "6", "notes handled")
}

/// Each class without a handler.
fn no_handler() -> Outcome {
    let said = death(|| {
        proc::postnote(proc::getpid(), "a note")?;
        Err("it lives".into())
    })?;
    same(said, "a note", "a user's")?;
    let said = death(|| {
        proc::alarm(5);
        proc::sleep(10_000)?;
        Ok(())
    })?;
    same(said, "alarm", "an alarm")?;
    let said = death(|| {
        probe::run(Op::Divide, &mut Frame::default());
        Err("it lives".into())
    })?;
    check(said.starts_with("sys: trap: divide error pc=0x"), &said)?;
    let said = death(|| {
        ctl(proc::getpid(), "kill")?;
        Err("it lives".into())
    })?;
    same(said, "sys: killed", "kill")
}

fn no_stack() -> Outcome {
    let said = death(|| {
        notes::on(Then::Land)?;
        let mut f = Frame::default();
        f.regs[reg::DI] = 0x2000;
        probe::run(Op::NoStack, &mut f);
        Err("it lives".into())
    })?;
    same(said, "Suicide", "its status")
}

/// A handler that is no code.
fn bad_handler() -> Outcome {
    let at = arena()?;
    notes::on(Then::Noted(abi::NCONT))?;
    fails(call(no::NOTIFY, &[NOWHERE - PAGE_SIZE]), abi::error::EBADARG, "an address without memory")?;
    let said = death(|| {
        call(no::NOTIFY, &[at])?;
        proc::postnote(proc::getpid(), "x")?;
        Err("it lives".into())
    })?;
    check(said.starts_with(&format!("sys: trap: fault read addr={at:#x}")), &said)
}

/// notify(nil) takes the handler away.
fn off() -> Outcome {
    let said = death(|| {
        notes::on(Then::Noted(abi::NCONT))?;
        proc::postnote(proc::getpid(), "one")?;
        call(no::NOTIFY, &[0])?;
        proc::postnote(proc::getpid(), "two")?;
        Err("it lives".into())
    })?;
    same(said, "two", "its status")
}

/// Up to 127 bytes; more is refused.
fn text() -> Outcome {
    notes::on(Then::Noted(abi::NCONT))?;
    let pid = proc::getpid();
    for n in [1, 50, 126, 127] {
        let text = "n".repeat(n);
        proc::postnote(pid, &text)?;
        same(notes::last().0, text, "the note")?;
    }
    check(proc::postnote(pid, &"n".repeat(128)).is_err(), "128 bytes")?;
    // Only the kernel's have a pc behind them, and room is made for it.
    proc::postnote(pid, "system")?;
    same(notes::last().0, "system", "a note that begins with sys")
}
