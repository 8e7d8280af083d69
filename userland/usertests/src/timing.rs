//! What tells where time goes and what a process does: `/proc/n/syscall`, `/proc/n/profile`, `/proc/n/watchpt`, `#K`.

use lib9::alloc::format;
use lib9::alloc::string::String;
use lib9::alloc::vec::Vec;
use lib9::sys::probe;
use lib9::{fd, file, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("time.syscall", syscall),
    test("time.profile", profile),
    test("time.profile-forked", profile_forked),
    test("time.kprof", kprof),
    test("time.watch", watch),
    test("time.watch-code", watch_code),
    test("time.kregs", kregs),
];

/// Ends a process, whatever was found out.
fn end(pid: i32, outcome: Outcome) -> Outcome {
    ctl(pid, "kill")?;
    wait(pid)?;
    outcome
}

/// A process that computes.
fn busy() -> Outcome {
    let mut n = 1u64;
    loop {
        n = core::hint::black_box(n.wrapping_mul(3) ^ n >> 7);
    }
}

/// What is told before a call and behind it.
fn syscall() -> Outcome {
    let pid = start(|| {
        loop {
            let _ = fd::open("/no/such", 1);
        }
    })?;
    proc::sleep(2)?;
    ctl(pid, "stop")?;
    let outcome = (|| {
        same(proc_file(pid, "syscall")?, "", "before anybody asked")?;
        for _ in 0..3 {
            let text = loop {
                ctl(pid, "startsyscall")?;
                let text = proc_file(pid, "syscall")?;
                // The library asks for the error's text, too.
                if text.starts_with(&format!("{pid} usertests Open ")) {
                    break text;
                }
                check(text.contains(" Errstr ") || text.contains(" = 0 "), &text)?;
            };
            check(text.ends_with("/\"/no/such\" 0x1"), &text)?;
            ctl(pid, "startsyscall")?;
            let text = proc_file(pid, "syscall")?;
            check(text.starts_with(" = -1 '/no'") && text.contains("does not exist"), &text)?;
            let times: Vec<u64> = text.split_whitespace().rev().take(2).flat_map(str::parse).collect();
            check(matches!(times[..], [end, begin] if end >= begin && begin > 1 << 60), &text)?;
        }
        Ok(())
    })();
    end(pid, outcome)
}

/// The counts of a file, in the order of bytes that `number` has.
fn counts(name: &str, number: fn([u8; 4]) -> u32) -> Result<Vec<u64>, String> {
    let bytes = file::read(name)?;
    same(bytes.len() as u64, fd::stat(name)?.length, "the length of the counts")?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|b| number(*b).into()).collect())
}

fn profile() -> Outcome {
    let pid = start(busy)?;
    let name = format!("/proc/{pid}/profile");
    let outcome = (|| {
        ctl(pid, "profile")?;
        proc::sleep(300)?;
        ctl(pid, "stop")?;
        let segments = proc_file(pid, "segment")?;
        let text = segments.lines().find(|l| l.starts_with("Text")).ok_or("no text")?;
        check(text.get(..10) == Some("Text   RP "), text)?;
        let ends: Vec<u64> =
            text[10..].split_whitespace().take(2).flat_map(|n| u64::from_str_radix(n, 16)).collect();
        let [base, top] = ends[..] else { return Err(format!("no addresses: {text}")) };
        let counted = counts(&name, u32::from_le_bytes)?;
        same(counted.len() as u64, (top - base) / 8, "counts")?;
        let here: u64 = counted.iter().skip(1).sum();
        // It had the processor, and was all the while in few places.
        check(counted[0] > 30 && here * 10 >= counted[0] * 9, &format!("{here} of {} ticks", counted[0]))?;
        let places = counted.iter().skip(1).filter(|n| **n > 0).count();
        check(places < 200, &format!("in {places} places"))?;
        ctl(pid, "profile")?;
        // Those who look run the same text.
        check(counts(&name, u32::from_le_bytes)?[0] < counted[0], "the next start is from nothing")
    })();
    end(pid, outcome)
}

/// Who is forked from it is counted with it: the text is the same.
fn profile_forked() -> Outcome {
    child(|| {
        let me = proc::getpid();
        ctl(me, "profile")?;
        let pid = start(busy)?;
        proc::sleep(100)?;
        let counted = counts(&format!("/proc/{me}/profile"), u32::from_le_bytes);
        end(pid, counted.and_then(|c| check(c[0] > 5, "nobody was counted")))
    })
}

fn kprof() -> Outcome {
    fails(file::control("#K/kpctl", "nonsense"), abi::error::EBADCTL, "nonsense")?;
    file::control("#K/kpctl", "startclr")?;
    let until = until_ms(300)?;
    let zeros = fd::open("/dev/zero", abi::OREAD)?;
    let mut bytes = [0; 8192];
    while until_ms(0)? < until {
        fd::read(zeros, &mut bytes)?;
    }
    file::control("#K/kpctl", "stop")?;
    let counted = counts("#K/kpdata", u32::from_be_bytes)?;
    let (all, outside): (u64, u64) = (counted[0], counted[1]);
    let inside: u64 = counted.iter().skip(2).sum();
    check(all > 30 && inside > 5, &format!("{all} ticks, {outside} outside, {inside} inside"))?;
    check(inside + outside == all, &format!("{all} ticks, {outside} outside, {inside} inside"))?;
    // Another name of the same.
    proc::sleep(20)?;
    same(counts("#κ/kpdata", u32::from_be_bytes)?, counted, "when it is stopped")?;
    file::control("#κ/kpctl", "startclr")?;
    file::control("#κ/kpctl", "stop")?;
    check(counts("#K/kpdata", u32::from_be_bytes)?[0] < all, "cleared")
}

/// Milliseconds since 1970, `ms` from now.
fn until_ms(ms: u64) -> Result<u64, String> {
    Ok(lib9::proc::nsec() as u64 / 1_000_000 + ms)
}

/// A process that touches what it has watched is told so.
fn watch() -> Outcome {
    let at = arena()?;
    // What it ends of when these are watched and it does that.
    let end_of = |points: &[&str], access: fn(u64)| {
        death(|| {
            quiet()?;
            let name = format!("/proc/{}/watchpt", proc::getpid());
            for (n, point) in points.iter().enumerate() {
                let line =
                    point.replace("AT", &format!("{at:#x}")).replace("BEHIND", &format!("{:#x}", at + 8));
                let f = lib9::File::open(&name, abi::OWRITE)?;
                f.pwrite(format!("{line}\n").as_bytes(), n as u64)?;
            }
            let shown = file::read_string(&name)?;
            same((shown.lines().count(), shown.len()), (points.len(), 42 * points.len()), &shown)?;
            access(at);
            Err("nothing happened".into())
        })
    };
    let read = |at| drop(probe::peek(at, 8));
    let write = |at| drop(put(at, "watched"));
    for (points, access, ends) in [
        (&["-w- AT 8"][..], write as fn(u64), "sys: watchpoint 0"),
        (&["-w- AT 1"], read, "nothing happened"),
        (&["rw- AT 4"], read, "sys: watchpoint 0"),
        (&["-w- BEHIND 8", "rw- AT 1"], write, "sys: watchpoint 1"),
        (&["-w- BEHIND 2", "-w- BEHIND 4"], write, "nothing happened"),
    ] {
        let status = end_of(points, access)?;
        check(status.contains(ends), &format!("{points:?}: {status}"))?;
    }
    let name = format!("/proc/{}/watchpt", proc::getpid());
    for (wrong, text) in [
        ("r-- 0x400000 8", "type must be rw-, -w- or --x"),
        ("rwy 0x400000 8", "invalid type"),
        ("-w- 0x400001 8", "address must be aligned according to length"),
        ("-w- 0x400000 3", "length must be 1,2,4,8"),
        ("--x 0x400000 2", "length must be 1 on breakpoints"),
        ("-w- 0x400000", "wrong number of fields"),
        ("-w- x 8", "invalid address"),
        ("-w- 0xffffffff80000000 8", "bad address"),
        ("-w- 0 1\n-w- 1 1\n-w- 2 1\n-w- 3 1\n-w- 4 1", "there are four watchpoints"),
    ] {
        fails(file::control(&name, &format!("{wrong}\n")), text, wrong)?;
    }
    same(file::read_string(&name)?, "", "after what was wrong")
}

/// An instruction; and other threads of the processor are not told.
fn watch_code() -> Outcome {
    #[inline(never)]
    fn step(n: u64) -> u64 {
        core::hint::black_box(n) + 1
    }
    let other = start(busy)?;
    let status = death(|| {
        quiet()?;
        let step = core::hint::black_box(step as fn(u64) -> u64);
        let name = format!("/proc/{}/watchpt", proc::getpid());
        file::control(&name, &format!("--x {:#x} 1\n", step as usize))?;
        proc::sleep(30)?;
        step(1);
        Err("nothing happened".into())
    })?;
    end(other, check(status.contains("sys: watchpoint 0"), &status))?;
    // Who goes on after the note gets past it, each time.
    child(|| {
        let step = core::hint::black_box(step as fn(u64) -> u64);
        proc::notify(Some(|_| proc::Noted::Continue))?;
        let name = format!("/proc/{}/watchpt", proc::getpid());
        file::control(&name, &format!("--x {:#x} 1\n", step as usize))?;
        same((step(1), step(2)), (2, 3), "past it")
    })?;
    // With O_TRUNC they are gone.
    child(|| {
        let step = core::hint::black_box(step as fn(u64) -> u64);
        let name = format!("/proc/{}/watchpt", proc::getpid());
        file::control(&name, &format!("--x {:#x} 1\n", step as usize))?;
        drop(lib9::File::open(&name, abi::OWRITE | abi::OTRUNC)?);
        same((step(1), file::read_string(&name)?), (2, String::new()), "after it was cut")
    })
}

/// Where a process that sleeps stands in the kernel.
fn kregs() -> Outcome {
    let pid = start(|| proc::sleep(60_000).map_err(Into::into))?;
    until_state(pid, "Sleep")?;
    let regs = file::read(&format!("/proc/{pid}/kregs"))?;
    let word =
        |at: usize| regs.get(at..at + 8).map_or(0, |b| u64::from_le_bytes(b.try_into().unwrap_or_default()));
    let (pc, sp) = (word(144), word(168));
    end(pid, check(regs.len() == 184 && pc > !0 << 31 && sp > !0 << 47, &format!("{pc:x} {sp:x}")))
}
