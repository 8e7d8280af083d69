//! How calls are made: numbers, argument slots, results, registers, error strings.

use abi::syscall as no;
use lib9::alloc::format;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{self, Frame, Op, reg};
use lib9::{Error, Rfork, fd, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("calls.unknown", unknown),
    test("calls.upper-halves", upper_halves),
    test("calls.registers", registers),
    test("calls.no-arguments", no_arguments),
    test("calls.errstr", errstr),
    test("calls.errstr-cut", errstr_cut),
    test("calls.errstr-kept", errstr_kept),
    test("calls.old", old),
    test("calls.old-stat", old_stat),
    test("calls.old-wait", old_wait),
    test("calls.nsec", nsec),
    test("calls.sleep", sleep),
    test("calls.alarm", alarm),
    test("calls.tos-pid", tos_pid),
    test("calls.fversion", fversion),
];

/// A number that is no call: a note of the debug class, and an error.
fn unknown() -> Outcome {
    notes::on(Then::Noted(abi::NCONT))?;
    for number in [48, 49, 55, 1000, u64::MAX, 1 << 32] {
        let before = notes::count();
        fails(call(number, &[]), abi::error::EBADARG, &format!("call {number}"))?;
        same(notes::count(), before + 1, "notes")?;
        let (text, ureg) = notes::last();
        same(text, format!("sys: bad sys call pc={:#x}", ureg.pc), "the note")?;
        same(ureg.ax, u64::MAX, "AX in the note")?;
    }
    let died = death(|| call(48, &[]).map(drop).map_err(Into::into))?;
    check(died.starts_with("sys: bad sys call pc=0x"), &died)
}

/// The upper halves of 32-bit slots are garbage.
fn upper_halves() -> Outcome {
    let at = arena()?;
    let null = int(no::OPEN, &[put(at, "/dev/zero"), 0xdead_beef_0000_0000])?;
    let g = 0x6fff_1234_0000_0000u64;
    same(int(no::PREAD, &[g | null as u64, at, g | 16, u64::MAX])?, 16, "pread")?;
    same(int(no::SLEEP, &[g | 1])?, 0, "sleep")?;
    let other = int(no::DUP, &[g | null as u64, g | u64::from(u32::MAX)])?;
    same(other, null + 1, "dup to -1")?;
    same(int(no::CLOSE, &[g | other as u64])?, 0, "close")?;
    same(int(no::SEEK, &[at, g | null as u64, 1 << 40, g])?, 0, "seek")?;
    same(word(at), 1 << 40, "a vlong is whole")?;
    same(
        int(no::OSEEK, &[g | null as u64, g | u64::from(u32::MAX - 9), g | 1])? as u32,
        10u32.wrapping_neg(),
        "oseek",
    )?;
    same(int(no::FSTAT, &[g | null as u64, at, g | 2])?, 2, "fstat")?;
    same(int(no::CLOSE, &[g | null as u64])?, 0, "close")
}

/// A call changes RAX, RCX and R11, and nothing else; RAX is -1 in all its bits for an error.
fn registers() -> Outcome {
    for fails in [false, true] {
        let mut f = Frame::default();
        for (i, r) in f.regs.iter_mut().enumerate() {
            *r = 0x1111_0000_2222_0000 + i as u64;
        }
        for (i, x) in f.xmm.iter_mut().enumerate() {
            *x = [i as u64 | 1 << 60, !(i as u64)];
        }
        f.regs[reg::BP] = no::CLOSE;
        f.args[0] = if fails { u64::from(u32::MAX) } else { fd::dup(0, -1)? as u64 };
        let was = f;
        probe::run(Op::Syscall, &mut f);
        same(f.regs[reg::AX], if fails { u64::MAX } else { 0 }, "AX")?;
        for i in 1..reg::FLAGS {
            if i != reg::CX && i != reg::R11 {
                same(f.regs[i], was.regs[i], &format!("register {i}"))?;
            }
        }
        same(f.xmm, was.xmm, "SSE registers")?;
        check(f.regs[reg::FLAGS] & 0x400 == 0, "the direction flag is set")?;
        for leaked in [f.regs[reg::CX], f.regs[reg::R11]] {
            check(leaked < probe::top(), "an address of the kernel in a register")?;
        }
    }
    Ok(())
}

/// Arguments on a stack that is not there.
fn no_arguments() -> Outcome {
    let died = death(|| {
        notes::on(Then::Land)?;
        let mut f = Frame::default();
        f.regs[reg::DI] = 0x1000;
        probe::run(Op::NoStack, &mut f);
        Err("it lives".into())
    })?;
    same(died, "Suicide", "without a stack for the note")
}

fn swap(at: u64, n: u64, new: &str) -> Result<lib9::alloc::string::String, Error> {
    put(at, new);
    int(no::ERRSTR, &[at, n])?;
    let bytes = probe::peek(at, 128.min(n as usize));
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    Ok(lib9::alloc::string::String::from_utf8_lossy(bytes.get(..end).unwrap_or(&[])).into_owned())
}

/// errstr swaps.
fn errstr() -> Outcome {
    let at = arena()?;
    check(call(no::CLOSE, &[99]).is_err(), "close 99")?;
    swap(at, 128, "one")?;
    same(swap(at, 128, "two")?, "one", "what was put there")?;
    same(swap(at, 128, "")?, "two", "and again")?;
    same(swap(at, 128, "x")?, "", "an empty one")?;
    fails(call(no::ERRSTR, &[at, 0]), abi::error::EBADARG, "no room")
}

/// It is cut at the room there is, and at a character.
fn errstr_cut() -> Outcome {
    let at = arena()?;
    swap(at, 128, "abcdéf")?;
    same(swap(at, 6, "")?, "abcd", "cut before a character that does not fit")?;
    let long = "0123456789".repeat(20);
    swap(at, 4096, &long)?;
    same(swap(at, 4096, "")?.len(), 127, "the longest")?;
    swap(at, 128, "abc")?;
    probe::poke(at, b"xxxxxxxx");
    int(no::ERRSTR, &[at, 4])?;
    same(probe::peek(at, 5), b"abc\0x".to_vec(), "nothing is written beyond the room")?;
    same(swap(at, 128, "")?, "xxx", "and no more is taken")
}

/// Success does not clear it; a new process has none.
fn errstr_kept() -> Outcome {
    let at = arena()?;
    probe::call(no::CLOSE, &[99]);
    probe::call(no::SLEEP, &[0]);
    child(|| same(swap(at, 128, "")?, "", "in a new process"))?;
    probe::call(no::CLOSE, &[99]);
    probe::call(no::SLEEP, &[0]);
    same(swap(at, 128, "")?, abi::error::EBADFD, "after a call that went well")
}

/// The obsolete calls.
fn old() -> Outcome {
    let at = arena()?;
    same(int(no::SYSR1, &[])?, 0, "sysr1")?;
    probe::poke(at, b"xyz");
    same(int(no::FSESSION, &[0, at, 3])?, 0, "_fsession")?;
    same(probe::peek(at, 2), b"\0y".to_vec(), "its answer")?;
    for number in [no::WSTAT_OLD, no::FWSTAT_OLD] {
        fails(call(number, &[]), abi::error::EOLDWSTAT, "old wstat")?;
    }
    let zero = int(no::OPEN, &[put(at, "/dev/zero"), 0])?;
    probe::poke(at, b"xyz");
    same(int(no::READ_OLD, &[zero as u64, at, 2])?, 2, "_read")?;
    same(probe::peek(at, 3), b"\0\0z".to_vec(), "what was read")?;
    let null = int(no::OPEN, &[put(at, "/dev/null"), 1])?;
    same(int(no::WRITE_OLD, &[null as u64, at, 7])?, 7, "_write")?;
    probe::call(no::CLOSE, &[99]);
    put(at, "");
    same(int(no::ERRSTR_OLD, &[at])?, 0, "_errstr")?;
    same(probe::peek(at, 28), b"fd out of range or not open\0".to_vec(), "its text")
}

/// 116 bytes with names of 28.
fn old_stat() -> Outcome {
    let at = arena()?;
    probe::poke(at + 1000, &[0xaa; 120]);
    same(int(no::STAT_OLD, &[put(at, "/dev/null"), at + 1000])?, 0, "_stat")?;
    let bytes = probe::peek(at + 1000, 117);
    same(bytes.get(..5), Some(&b"null\0"[..]), "the name")?;
    same(bytes.get(116), Some(&0xaa), "the byte behind")?;
    same(int(no::FSTAT_OLD, &[0, at + 1000])?, 0, "_fstat")
}

/// The wait that has fields of 12 bytes.
fn old_wait() -> Outcome {
    let at = arena()?;
    let pid = start(|| Err("so it goes".into()))?;
    same(int(no::WAIT_OLD, &[at])?, pid, "_wait")?;
    let text = probe::peek(at, 4 * 12 + 64);
    same(text.get(..12), Some(format!("{pid:11} ").as_bytes()), "the pid")?;
    let msg = text.get(48..).unwrap_or(&[]);
    let want = format!("usertests {pid}: so it goes\0");
    check(msg.starts_with(want.as_bytes()), "the message")?;
    let pid = start(|| Ok(()))?;
    same(int(no::WAIT_OLD, &[0])?, pid, "without a place for it")?;
    fails(call(no::WAIT_OLD, &[0]), abi::error::ENOCHILD, "no child")
}

fn nsec() -> Outcome {
    let a = probe::call(no::NSEC, &[]) as i64;
    let b = proc::nsec();
    check(a > 1_500_000_000_000_000_000, "the clock is before 2017")?;
    check((0..60_000_000_000).contains(&(b - a)), "the clock jumps")?;
    proc::sleep(5)?;
    let slept = proc::nsec() - b;
    check(slept >= 5_000_000, &format!("5 ms of sleep are {slept} ns"))
}

fn sleep() -> Outcome {
    same(int(no::SLEEP, &[0])?, 0, "sleep 0")?;
    same(int(no::SLEEP, &[u64::from(u32::MAX)])?, 0, "sleep -1 gives way")?;
    let before = proc::nsec();
    for _ in 0..10 {
        proc::sleep(1)?;
    }
    let ms = (proc::nsec() - before) / 1_000_000;
    check((10..2000).contains(&ms), &format!("ten times 1 ms: {ms} ms"))?;
    notes::on(Then::Noted(abi::NCONT))?;
    note_in("Sleep")?;
    fails(proc::sleep(20_000), abi::error::EINTR, "a note in a sleep")
}

fn alarm() -> Outcome {
    notes::on(Then::Noted(abi::NCONT))?;
    proc::alarm(0);
    same(proc::alarm(50_000), 0, "none was set")?;
    let left = proc::alarm(40_000);
    check((40_000..=50_000).contains(&left), &format!("{left} ms left of 50000"))?;
    let left = proc::alarm(0);
    check((30_000..=40_000).contains(&left), &format!("{left} ms left of 40000"))?;
    same(proc::alarm(0), 0, "cancelled")?;
    // A child has none of its parent's.
    proc::alarm(10_000);
    child(|| same(proc::alarm(0), 0, "a child's"))?;
    let before = notes::count();
    proc::alarm(5);
    let _ = proc::sleep(10_000);
    same(notes::count(), before + 1, "alarms that came")?;
    same(notes::last().0, "alarm", "the note")?;
    same(proc::alarm(0), 0, "after it came")
}

/// The number at the top of the stack is the process's own, in every process.
fn tos_pid() -> Outcome {
    let me = proc::getpid();
    let file: i32 = lib9::file::read_string("#c/pid")?.trim().parse().map_err(|_| "#c/pid is no number")?;
    same(me, file, "Tos and #c/pid")?;
    for flags in [Rfork::FDG, Rfork::empty()] {
        child_with(flags, || {
            let file: i32 = lib9::file::read_string("#c/pid")?.trim().parse().map_err(|_| "no number")?;
            same(proc::getpid(), file, "in a child")?;
            check(file != me, "a child has its parent's number")?;
            same(lib9::file::read_string("#c/ppid")?.trim(), format!("{me}"), "#c/ppid")
        })?;
    }
    same(lib9::file::read_string("#c/pid")?.len(), 12, "bytes of #c/pid")
}

/// What is behind the descriptor has to be a server, and room for the answer.
fn fversion() -> Outcome {
    let at = arena()?;
    put(at, "9P2000");
    fails(call(no::FVERSION, &[99, 8192, at, 20]), abi::error::EBADFD, "no descriptor")?;
    let null = int(no::OPEN, &[put(at + 100, "/dev/null"), 0])?;
    fails(call(no::FVERSION, &[null as u64, 8192, at, 20]), abi::error::EBADUSEFD, "open for reading")?;
    fails(call(no::FAUTH, &[99, at]), abi::error::EBADFD, "fauth without a descriptor")
}
