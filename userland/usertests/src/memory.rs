//! Memory: the break, segments, copies, zeros.

use abi::syscall as no;
use lib9::alloc::format;
use lib9::alloc::string::String;
use lib9::alloc::vec;
use lib9::alloc::vec::Vec;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{self, Frame, NOWHERE, Op, PAGE_SIZE, reg};
use lib9::{Rfork, fd, file, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("mem.brk", brk),
    test("mem.sparse", sparse),
    test("mem.segattach", segattach),
    test("mem.segattach-wrong", segattach_wrong),
    test("mem.segattach-anywhere", anywhere),
    test("mem.segdetach", segdetach),
    test("mem.segbrk", segbrk),
    test("mem.segfree", segfree),
    test("mem.segflush", segflush),
    test("mem.read-only", read_only),
    test("mem.zero", zero),
    test("mem.copies", copies),
    test("mem.pinned", pinned),
    test("mem.segments", segments),
    test("mem.stack", stack),
    test("mem.spare", spare),
];

/// Pages of the chunks that the kernel's small blocks are cut from.
fn chunks() -> Result<u64, String> {
    let text = file::read_string("/dev/pools")?;
    let line = text.lines().find_map(|l| l.strip_suffix(" frame.heap")).ok_or("no frame.heap")?;
    line.trim().parse().map_err(|_| String::from("no number"))
}

/// Has the kernel keep a few small blocks of each size, each size in a chunk of its own: they wait unread in pipes,
/// with many others behind them that are gone afterwards.
fn scatter() -> Outcome {
    let mut few = Vec::new();
    let mut many = Vec::new();
    for size in 2..=30 {
        let [kept, filled] = [fd::pipe()?, fd::pipe()?];
        // More of them than the processor's list has room for, which is empty then.
        (0..20).try_for_each(|_| fd::write_all(kept[0], &[1; 980][..32 * size + 10]))?;
        (0..64).try_for_each(|_| fd::write_all(filled[0], &[1; 1000]))?;
        few.extend(kept);
        many.extend(filled);
    }
    // The first to be given back are those that are kept.
    few.into_iter().chain(many).try_for_each(fd::close)?;
    Ok(())
}

/// A processor that has nothing to do gives back the small blocks that it keeps, also when it has done so just before:
/// one of each size would keep a megabyte of chunks.
fn spare() -> Outcome {
    let before = chunks()?;
    scatter()?;
    // It halts, and what is kept goes. What is kept then is too early for that, and nothing else wakes it.
    proc::sleep(20)?;
    scatter()?;
    let kept = chunks()?;
    check(kept >= before + 100, &format!("{before} pages, and {kept} with blocks kept in each chunk"))?;
    proc::sleep(1500)?;
    let after = chunks()?;
    check(after < before + 60, &format!("{before} pages, then {kept}, and {after} when nothing was done"))
}

/// Is there memory at `at`?
fn there(at: u64) -> Result<bool, lib9::Error> {
    notes::on(Then::Land)?;
    let before = notes::count();
    let mut f = Frame::default();
    f.regs[reg::DI] = at;
    probe::run(Op::Read, &mut f);
    Ok(notes::count() == before)
}

/// The break moves over gigabytes; 0 tells where the bss begins.
fn brk() -> Outcome {
    let base = call(no::BRK, &[0])?;
    check(base > 0x20_0000 && base < 0x1000_0000, &format!("the bss begins at {base:#x}"))?;
    let far = 5 << 30;
    same(call(no::BRK, &[far])?, 0, "moving it")?;
    probe::poke(far - 8, b"the end.");
    same(probe::peek(far - 8, 8), b"the end.".to_vec(), "what is there")?;
    same(there(far)?, false, "memory behind it")?;
    fails(call(no::BRK, &[1]), abi::error::ENOVMEM, "below the data")?;
    fails(call(no::BRK, &[u64::MAX]), abi::error::ENOVMEM, "the end of the world")
        .or_else(|_| check(call(no::BRK, &[u64::MAX]).is_err(), "the end of the world"))?;
    check(call(no::BRK, &[0x7fff_0000_0000]).is_err(), "128 TB")?;
    attach(0, "memory", NOWHERE, PAGE_SIZE)?;
    fails(call(no::BRK, &[NOWHERE + 1]), abi::error::ENOVMEM, "over the largest segment or another")
        .or_else(|_| fails(call(no::BRK, &[NOWHERE + 1]), abi::error::ESOVERLAP, "into another segment"))
}

/// Pages cost nothing before they are touched.
fn sparse() -> Outcome {
    let before = resident()?;
    call(no::BRK, &[5 << 30])?;
    for n in 1..=4u64 {
        probe::poke((1 << 30) * n + 12345, b"x");
    }
    let grown = resident()?.saturating_sub(before);
    check(grown < 200, &format!("four bytes cost {grown} KB"))
}

/// Kilobytes, as status has them.
fn resident() -> Result<u64, lib9::Error> {
    let status = proc_file(proc::getpid(), "status")?;
    Ok(status.split_whitespace().nth(9).and_then(|n| n.parse().ok()).unwrap_or(0))
}

fn segattach() -> Outcome {
    for class in ["memory", "shared"] {
        let at = attach(0, class, NOWHERE + 100, 2 * PAGE_SIZE + 1)?;
        same(at, NOWHERE, "where, rounded down")?;
        same(probe::peek(at + 3 * PAGE_SIZE - 8, 8), vec![0; 8], "the last page, rounded up")?;
        same(there(at + 3 * PAGE_SIZE)?, false, "a page more")?;
        fails(attach(0, class, NOWHERE + PAGE_SIZE, 1), abi::error::ESOVERLAP, "in the same place")?;
        same(int(no::SEGDETACH, &[at + PAGE_SIZE])?, 0, "detaching")?;
    }
    Ok(())
}

fn segattach_wrong() -> Outcome {
    fails(attach(0, "nonsense", NOWHERE, 1), abi::error::EBADARG, "a class that is none")?;
    for attr in [1, 2, 0x10, 0x80, 1 << 31] {
        fails(attach(attr, "memory", NOWHERE, 1), abi::error::EBADARG, "an attribute that is none")?;
    }
    fails(attach(0, "memory", NOWHERE, 0), abi::error::EBADARG, "no length")?;
    fails(attach(0, "memory", 0x20_0000, PAGE_SIZE), abi::error::ESOVERLAP, "on the text")?;
    fails(attach(0, "memory", 0x1000, PAGE_SIZE), abi::error::EBADARG, "below the text")?;
    fails(attach(0, "memory", 0x7fff_ffff_f000, PAGE_SIZE), abi::error::EBADARG, "above the stack")?;
    fails(attach(0, "memory", 0xffff_8000_0000_0000, PAGE_SIZE), abi::error::EBADARG, "in the kernel")?;
    fails(attach(0, "memory", u64::MAX - 10, PAGE_SIZE), abi::error::EBADARG, "at the end")?;
    fails(attach(0, "memory", 0x7fff_ff00_0000, 0xffff_ffff), abi::error::ESOVERLAP, "through the stack")
        .or_else(|_| check(attach(0, "memory", 0x7fff_ff00_0000, 0xffff_ffff).is_err(), "through the stack"))
}

/// The kernel chooses: below the stack, one below the other.
fn anywhere() -> Outcome {
    let a = attach(0, "memory", 0, PAGE_SIZE)?;
    let b = attach(0, "memory", 0, 1 << 20)?;
    check(a >= NOWHERE && b >= NOWHERE && a != b, &format!("{a:#x} and {b:#x}"))?;
    probe::poke(a, b"a");
    probe::poke(b + (1 << 20) - 1, b"b");
    int(no::SEGDETACH, &[a])?;
    same(attach(0, "memory", 0, PAGE_SIZE)?, a, "the gap again")
}

fn segdetach() -> Outcome {
    let at = arena()?;
    fails(call(no::SEGDETACH, &[at - PAGE_SIZE]), abi::error::EBADARG, "where nothing is")?;
    same(int(no::SEGDETACH, &[at])?, 0, "a segment")?;
    same(there(at)?, false, "its memory")?;
    fails(call(no::SEGDETACH, &[at]), abi::error::EBADARG, "again")?;
    // In another process that shares it, it stays.
    let at = attach(0, "shared", NOWHERE, PAGE_SIZE)?;
    put(at, "stays");
    child(|| {
        int(no::SEGDETACH, &[at])?;
        same(there(at)?, false, "in the child")
    })?;
    same(probe::peek(at, 5), b"stays".to_vec(), "in the parent")
}

fn segbrk() -> Outcome {
    let at = arena()?;
    same(int(no::SEGBRK, &[at, at + 10 * PAGE_SIZE])?, 0, "growing")?;
    probe::poke(at + 10 * PAGE_SIZE - 1, b"x");
    same(int(no::SEGBRK, &[at, at + 2 * PAGE_SIZE])?, 0, "shrinking")?;
    same(there(at + 2 * PAGE_SIZE)?, false, "what was cut off")?;
    int(no::SEGBRK, &[at, at + 10 * PAGE_SIZE])?;
    same(probe::peek(at + 10 * PAGE_SIZE - 1, 1), vec![0], "after growing again")?;
    fails(call(no::SEGBRK, &[at - PAGE_SIZE, at]), abi::error::EBADARG, "where nothing is")?;
    fails(call(no::SEGBRK, &[at, at - PAGE_SIZE]), abi::error::EBADARG, "below its base")?;
    attach(0, "memory", at + 20 * PAGE_SIZE, PAGE_SIZE)?;
    fails(call(no::SEGBRK, &[at, at + 21 * PAGE_SIZE]), abi::error::ESOVERLAP, "into another")
}

/// Whole pages become zeros.
fn segfree() -> Outcome {
    let at = arena()?;
    for n in 0..4 {
        probe::poke(at + n * PAGE_SIZE, b"full");
    }
    same(int(no::SEGFREE, &[at + 1, 3 * PAGE_SIZE - 1])?, 0, "freeing")?;
    let page = |n: u64| probe::peek(at + n * PAGE_SIZE, 4);
    same(
        [page(0), page(1), page(2), page(3)],
        [b"full".to_vec(), vec![0; 4], vec![0; 4], b"full".to_vec()],
        "pages",
    )?;
    fails(call(no::SEGFREE, &[at, 5 * PAGE_SIZE]), abi::error::EBADARG, "more than there is")?;
    fails(call(no::SEGFREE, &[at - PAGE_SIZE, 1]), abi::error::EBADARG, "where nothing is")
}

fn segflush() -> Outcome {
    let at = attach(0, "memory", NOWHERE, 2 * PAGE_SIZE)?;
    // An instruction that there is not: where it is executed, that is what comes.
    probe::poke(at + PAGE_SIZE, &[0x0f, 0x0b]);
    let jump = || {
        death(|| {
            let mut f = Frame::default();
            f.regs[reg::DI] = at + PAGE_SIZE;
            probe::run(Op::Jump, &mut f);
            Ok(())
        })
    };
    let said = jump()?;
    check(said.contains("fault read addr"), &said)?;
    same(int(no::SEGFLUSH, &[at, 1])?, 0, "segflush")?;
    let said = jump()?;
    check(said.contains("invalid opcode"), &said)?;
    fails(int(no::SEGFLUSH, &[8, 1]), abi::error::EBADARG, "where nothing is")
}

fn read_only() -> Outcome {
    let at = attach(abi::SG_RONLY, "shared", NOWHERE, PAGE_SIZE)?;
    check(there(at)?, "it cannot be read")?;
    let said = death(|| {
        probe::poke(at, b"x");
        Err("it lives".into())
    })?;
    check(said.starts_with(&format!("sys: trap: fault write addr={at:#x} pc=")), &said)
}

/// Fresh memory is zero, read or written first.
fn zero() -> Outcome {
    // Something to be found, if it is not cleared.
    child(|| {
        let at = attach(0, "memory", NOWHERE, 0x10_0000)?;
        for n in 0..256 {
            probe::poke(at + n * PAGE_SIZE, b"secret");
        }
        Ok(())
    })?;
    let at = attach(0, "memory", NOWHERE, 0x10_0000)?;
    for n in 0..256 {
        let page = at + n * PAGE_SIZE;
        if n % 2 == 0 {
            probe::poke(page + 8, b"x");
        }
        same(probe::peek(page, 8), vec![0; 8], "a fresh page")?;
    }
    Ok(())
}

/// Generations that each write.
fn copies() -> Outcome {
    let at = arena()?;
    fn generation(at: u64, n: u64) -> Outcome {
        probe::poke(at, &n.to_le_bytes());
        if n < 8 {
            child(|| {
                same(word(at), n, "inherited")?;
                generation(at, n + 1)
            })?;
        }
        same(word(at), n, "after its child wrote")
    }
    generation(at, 1)
}

/// A read that waits goes to whom it belongs, though a fork comes between.
fn pinned() -> Outcome {
    let at = attach(0, "memory", NOWHERE, PAGE_SIZE)?;
    let [r, w] = lib9::fd::pipe()?;
    let pid = proc::spawn(Rfork::FDG, move || {
        same(int(no::PREAD, &[r as u64, at, 8, u64::MAX])?, 8, "read")?;
        Ok(())
    })?;
    until_state(pid, "Pread")?;
    child(|| {
        lib9::fd::write(w, b"eight by")?;
        same(word(at), 0, "in the child")
    })?;
    same(wait(pid)?, "", "the reader")?;
    same(probe::peek(at, 8), b"eight by".to_vec(), "in the parent")
}

/// `/proc/n/segment`.
fn segments() -> Outcome {
    attach(0, "shared", NOWHERE, PAGE_SIZE)?;
    attach(abi::SG_RONLY, "memory", NOWHERE + 0x10_0000, PAGE_SIZE)?;
    let text = proc_file(proc::getpid(), "segment")?;
    for line in [
        format!("Shared    {NOWHERE:8x} {:8x}    1\n", NOWHERE + PAGE_SIZE),
        format!("Bss    R  {:8x} {:8x}    1\n", NOWHERE + 0x10_0000, NOWHERE + 0x10_0000 + PAGE_SIZE),
    ] {
        check(text.contains(&line), &text)?;
    }
    check(text.starts_with("Text   R "), &text)?;
    check(text.contains("\nStack     7ffffefff000 7ffffffff000    1\n"), &text)
}

/// 16 MiB, made when they are touched.
fn stack() -> Outcome {
    fn deep(n: u32) -> u64 {
        let mut room = [0u8; 1000];
        room[n as usize % 1000] = n as u8;
        core::hint::black_box(&mut room);
        if n == 0 { 0 } else { deep(n - 1) + u64::from(room[n as usize % 1000] != 0) }
    }
    check(deep(10_000) > 9000, "10 MB of stack")?;
    let said = death(|| {
        deep(1_000_000);
        Err("it lives".into())
    })?;
    // Below it nothing is, so there is no room for a note either; without a handler the fault itself is told.
    check(said.starts_with("sys: trap: fault write addr=0x7ffffeff"), &said)
}
