//! Notes of the kernel's own: what it calls the fault of a program.

use lib9::alloc::format;
use lib9::alloc::string::String;
use lib9::alloc::vec::Vec;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{self, Frame, NOWHERE, Op, PAGE_SIZE, reg};
use lib9::{fd, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("note.faults", faults),
    test("note.traps", traps),
    test("note.float", float),
    test("note.not-canonical", not_canonical),
    test("note.suicide-line", suicide_line),
];

/// Runs an operation that ends in a note; the note's text without its pc.
fn fault(op: Op, di: u64) -> Result<String, String> {
    notes::on(Then::Land)?;
    let before = notes::count();
    let mut f = Frame::default();
    f.regs[reg::DI] = di;
    probe::run(op, &mut f);
    same(notes::count(), before + 1, "notes")?;
    let (text, ureg) = notes::last();
    let end = format!(" pc={:#x}", ureg.pc);
    text.strip_suffix(&end).map(String::from).ok_or(format!("{text} does not end with{end}"))
}

/// Reads, writes, jumps where nothing is, or not for that.
fn faults() -> Outcome {
    arena()?;
    let ro = attach(abi::SG_RONLY, "memory", NOWHERE + 32 * PAGE_SIZE, PAGE_SIZE)?;
    for at in [0u64, 8, 0x1f_fff0, NOWHERE - 1, NOWHERE + 8 * PAGE_SIZE, 0x7fff_ffff_f000] {
        same(fault(Op::Read, at)?, format!("sys: trap: fault read addr={at:#x}"), "a read")?;
        same(fault(Op::Write, at)?, format!("sys: trap: fault write addr={at:#x}"), "a write")?;
    }
    same(
        fault(Op::Write, ro)?,
        format!("sys: trap: fault write addr={ro:#x}"),
        "a write to what is read-only",
    )?;
    let text = probe::constant() & !7;
    same(fault(Op::Write, text)?, format!("sys: trap: fault write addr={text:#x}"), "a write to a constant")?;
    let mut f = Frame::default();
    f.regs[reg::DI] = ro;
    notes::on(Then::Land)?;
    let before = notes::count();
    probe::run(Op::Read, &mut f);
    same((notes::count(), f.regs[reg::AX]), (before, 0), "a read of what is read-only")?;
    // Data are not executed.
    same(fault(Op::Jump, NOWHERE)?, format!("sys: trap: fault read addr={NOWHERE:#x}"), "a jump into data")?;
    same(fault(Op::Jump, 0x1000)?, String::from("sys: trap: fault read addr=0x1000"), "a jump to nowhere")
}

fn traps() -> Outcome {
    same(fault(Op::Divide, 0)?, "sys: trap: divide error", "a division by zero")?;
    same(notes::last().1.kind, 0, "its number")?;
    same(fault(Op::Invalid, 0)?, "sys: trap: invalid opcode", "ud2")?;
    same(notes::last().1.kind, 6, "its number")?;
    same(fault(Op::Privileged, 0)?, "sys: trap: general protection violation", "hlt")?;
    same(fault(Op::Breakpoint, 0)?, "sys: breakpoint", "int3")?;
    // The instruction itself is where it stopped.
    let pc = notes::last().1.pc;
    same(probe::peek(pc, 1), b"\xcc".to_vec(), "what is at pc")
}

fn float() -> Outcome {
    let good = |said: String| {
        check(said.starts_with("sys: fp: division by zero fppc=0x") && said.contains(" status=0x"), &said)
    };
    good(fault(Op::FloatX87, 0)?)?;
    // QEMU's own processor (-accel tcg) never raises the exceptions of the SSE unit.
    let before = notes::count();
    match fault(Op::FloatSse, 0) {
        Err(_) if notes::count() == before => Ok(()),
        said => good(said?),
    }
}

fn not_canonical() -> Outcome {
    for at in [0x8000_0000_0000u64, 0x1234_5678_9abc_def0, 0xffff_7fff_ffff_fff8] {
        same(fault(Op::Read, at)?, "sys: trap: general protection violation", "a read")?;
    }
    // Canonical, and the kernel's.
    let at = 0xffff_8000_0000_0000u64;
    same(fault(Op::Read, at)?, format!("sys: trap: fault read addr={at:#x}"), "the kernel's memory")
}

/// What it says on descriptor 2 when a fault ends it.
fn suicide_line() -> Outcome {
    let [r, w] = fd::pipe()?;
    let pid = start(|| {
        fd::dup(w, 2)?;
        fd::close(w)?;
        let mut f = Frame::default();
        probe::run(Op::Read, &mut f);
        Ok(())
    })?;
    fd::close(w)?;
    let line = String::from_utf8_lossy(&fd::read_all(r)?).into_owned();
    let said = wait(pid)?;
    release(pid);
    check(said.starts_with("sys: trap: fault read addr=0x0 pc=0x"), &said)?;
    same(line, format!("usertests {pid}: suicide: {said}\n"), "the line")?;
    // A user's note is nobody's business.
    let [r, w] = fd::pipe()?;
    let pid = start(|| {
        fd::dup(w, 2)?;
        fd::close(w)?;
        proc::postnote(proc::getpid(), "quietly")?;
        Ok(())
    })?;
    fd::close(w)?;
    same(fd::read_all(r)?, Vec::<u8>::new(), "what a user's note says")?;
    same(wait(pid)?, "quietly", "its status")
}
