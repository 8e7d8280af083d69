//! What a program gets is its own: nothing that another has left is in memory, registers or records.
//!
//! One process fills memory and registers with a pattern and goes; others look for it in all that the kernel gives
//! them.

use abi::syscall as no;
use abi::ureg::{UREG_SIZE, Ureg};
use core::hint::black_box;
use lib9::alloc::format;
use lib9::alloc::string::String;
use lib9::alloc::vec;
use lib9::sys::probe::{self, Frame, NOWHERE, Op, PAGE_SIZE};
use lib9::{File, fd, file, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("stale.memory", memory),
    test("stale.stack", stack),
    test("stale.short-reads", short_reads),
    test("stale.exec", exec_registers),
    test("stale.records", records),
];

/// What is left behind. No address and no small number looks like it.
const PATTERN: u64 = 0xdead_5ec2_e75a_1e5e;
/// Pages that are dirtied, and looked at: a good part of a small machine.
const PAGES: u64 = 1024;

/// A process that fills many pages, a pipe and all registers with the pattern, and ends.
fn dirty() -> Outcome {
    child(|| {
        let at = attach(0, "memory", NOWHERE, PAGES * PAGE_SIZE)?;
        let page = PATTERN.to_le_bytes().repeat(PAGE_SIZE as usize / 8);
        for n in 0..PAGES {
            probe::poke(at + n * PAGE_SIZE, &page);
        }
        let [_r, w] = fd::pipe()?;
        fd::write(w, &page)?;
        let mut f = patterned();
        f.regs[probe::reg::BP] = no::SLEEP;
        probe::run(Op::Syscall, &mut f);
        Ok(())
    })
}

/// All registers are the pattern.
fn patterned() -> Frame {
    let mut f = Frame::default();
    f.regs = [PATTERN; 16];
    f.xmm = [[PATTERN; 2]; 16];
    f
}

/// Fails if the pattern, or anything but zeros, is in `len` bytes from `at` on.
fn zeros(at: u64, len: u64, what: &str) -> Outcome {
    for n in 0..len / PAGE_SIZE {
        let page = probe::peek(at + n * PAGE_SIZE, PAGE_SIZE as usize);
        check(page.iter().all(|b| *b == 0), &format!("{what}: page {n} has {:x?}", page.get(..16)))?;
    }
    Ok(())
}

/// New segments, the break's pages, and what a segment gets when it grows.
fn memory() -> Outcome {
    dirty()?;
    for class in ["memory", "shared"] {
        child(|| {
            let at = attach(0, class, NOWHERE, PAGES * PAGE_SIZE)?;
            zeros(at, PAGES * PAGE_SIZE, class)?;
            probe::poke(at, &PATTERN.to_le_bytes());
            same(int(no::SEGFREE, &[at, PAGE_SIZE])?, 0, "letting a page go")?;
            zeros(at, PAGE_SIZE, "a page that was let go")
        })?;
        dirty()?;
    }
    child(|| {
        let base = 5 << 30;
        same(call(no::BRK, &[base])?, 0, "moving the break")?;
        let bottom = base - PAGES * PAGE_SIZE;
        zeros(bottom, PAGES * PAGE_SIZE, "the break's pages")
    })?;
    dirty()?;
    child(|| {
        let at = arena()?;
        same(int(no::SEGBRK, &[at, at + PAGES * PAGE_SIZE])?, 0, "growing")?;
        zeros(at, PAGES * PAGE_SIZE, "what a segment grew by")
    })
}

/// The stack below what is in use, and the memory behind the program's data: looked at by a program that has just
/// begun.
fn stack() -> Outcome {
    dirty()?;
    let said = run_helper(&["stale"])?;
    same(said.as_str(), "", "what a new program finds")
}

/// What the helper finds in its own memory, but for its text: a line for each page that has the pattern.
pub fn look() -> Result<String, String> {
    // The other way round, so that the search does not find itself, and so that no compiler turns it back.
    let wanted = black_box(!PATTERN);
    let pid = proc::getpid();
    let memory = File::open(&format!("/proc/{pid}/mem"), abi::OREAD)?;
    let (mut said, mut pages) = (String::new(), 0);
    for line in proc_file(pid, "segment")?.lines().filter(|line| !line.starts_with("Text")) {
        let hex = line.split_whitespace().filter(|word| word.len() >= 6);
        let mut hex = hex.filter_map(|word| u64::from_str_radix(word, 16).ok());
        let (Some(start), Some(end)) = (hex.next(), hex.next()) else { continue };
        // A stack's use begins at its end, and so does a break's.
        let mut at = start.max(end.saturating_sub(1 << 20));
        let mut page = vec![0; PAGE_SIZE as usize];
        while at < end {
            let n = memory.pread(&mut page, at).unwrap_or(0);
            let words = page.get(..n).unwrap_or_default().as_chunks::<8>().0;
            if words.iter().any(|word| black_box(!u64::from_le_bytes(*word)) == wanted) {
                said.push_str(&format!("{at:#x} of {line}\n"));
            }
            pages += usize::from(n != 0);
            at += PAGE_SIZE;
        }
    }
    check(pages > 100, "too little was looked at")?;
    Ok(said)
}

/// A read that gives less than there is room for leaves the rest of the buffer as it was.
fn short_reads() -> Outcome {
    dirty()?;
    let at = arena()?;
    let [r, w] = fd::pipe()?;
    fd::write(w, b"abc")?;
    let mine = |what: &str, n: u64, len: usize| {
        let rest = probe::peek(at + n, len - n as usize);
        check(rest.iter().all(|b| *b == 0x11), &format!("{what}: beyond what was read"))
    };
    let fill = || probe::poke(at, &[0x11; 4 * 4096]);
    fill();
    same(call(no::PREAD, &[r as u64, at, 4 * 4096, u64::MAX])?, 3, "three bytes of a pipe")?;
    mine("a pipe", 3, 4 * 4096)?;
    for name in [
        "/dev/time",
        "/dev/user",
        "/dev/pid",
        "/dev/bintime",
        "/dev/sysstat",
        "/dev/swap",
        "/dev/irqalloc",
        "/dev/config",
        "/proc/1/status",
        "/proc/1/args",
        "/proc/1/ns",
        "/proc/1/fd",
        "/proc/1/segment",
        "/dev",
        "/proc/1",
        "/env",
        "/srv",
        "/tmp",
    ] {
        let f = File::open(name, abi::OREAD)?;
        fill();
        let n = call(no::PREAD, &[f.fd() as u64, at, 4 * 4096, u64::MAX])?;
        check(n <= 4 * 4096, name)?;
        mine(name, n, 4 * 4096)?;
        let pattern = PATTERN.to_le_bytes();
        check(!probe::peek(at, n as usize).windows(8).any(|w| w == pattern), name)?;
    }
    Ok(())
}

/// A program that has just been executed, before its first instruction.
fn exec_registers() -> Outcome {
    let pid = start(|| {
        ctl(proc::getpid(), "hang")?;
        let mut f = patterned();
        f.regs[probe::reg::BP] = no::SLEEP;
        probe::run(Op::Syscall, &mut f);
        exec_again(&["sleep"])
    })?;
    let looked = (|| {
        until_state(pid, "Stopped")?;
        let bytes = file::read(&format!("/proc/{pid}/regs"))?;
        let bytes: &[u8; UREG_SIZE] = bytes.first_chunk().ok_or("short registers")?;
        let u = Ureg::from_bytes(bytes);
        let others = [u.bx, u.dx, u.si, u.di, u.bp, u.r8, u.r9, u.r10, u.r12, u.r13, u.r14, u.r15];
        same(others, [0; 12], "registers of a new program")?;
        check(u.ax > u.sp && u.ax < probe::top(), "AX is the address of the Tos")?;
        // SYSRET takes these two, so they are what it needs.
        check([0, u.pc].contains(&u.cx), "CX")?;
        check([0, u.flags].contains(&u.r11), "R11")?;
        let float = file::read(&format!("/proc/{pid}/fpregs"))?;
        let mut fresh = vec![0; float.len()];
        for (at, byte) in [(0, 0x7f), (1, 3), (24, 0x80), (25, 0x1f)] {
            if let Some(place) = fresh.get_mut(at) {
                *place = byte;
            }
        }
        // Which bits of MXCSR the processor knows may be told as well.
        let shown = |b: &[u8]| [b.get(..28).unwrap_or_default(), b.get(32..).unwrap_or_default()].concat();
        same(shown(&float), shown(&fresh), "floating point registers of a new program")
    })();
    // It hangs, and is killed.
    let _ = ctl(pid, "kill");
    wait(pid)?;
    looked
}

/// Records that the kernel makes up: the padding is zeros.
fn records() -> Outcome {
    dirty()?;
    let at = arena()?;
    let pattern = PATTERN.to_le_bytes();
    let has = |n: u64| probe::peek(at, n as usize).windows(8).any(|w| w == pattern);
    put(at + PAGE_SIZE, "/dev/null");
    let n = call(no::STAT, &[at + PAGE_SIZE, at, 1000])?;
    check(!has(n), "a stat record")?;
    start(|| Err(String::from("x")))?;
    let n = call(no::AWAIT, &[at, 1000])?;
    check(n > 0 && !has(n), "a wait record")?;
    let n = call(no::ERRSTR, &[at, 128]);
    check(n.is_ok() && probe::peek(at, 128).windows(8).all(|w| w != pattern), "an error")?;
    Ok(())
}
