//! Notes to those who wait, compute, are many.

use lib9::alloc::format;
use lib9::alloc::vec::Vec;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{self, NOWHERE, PAGE_SIZE};
use lib9::{Rfork, fd, file, proc};

use abi::syscall as no;

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("note.group", group),
    test("note.interrupts", interrupts),
    test("note.kill-everywhere", kill_everywhere),
    test("note.storm", storm),
];

/// To all of the group but the writer.
fn group() -> Outcome {
    notes::on(Then::Noted(abi::NCONT))?;
    let mut pids = Vec::new();
    for _ in 0..3 {
        pids.push(start(|| {
            call(no::NOTIFY, &[0])?;
            proc::sleep(60_000)?;
            Ok(())
        })?);
    }
    let [r, w] = fd::pipe()?;
    let outside = start_with(Rfork::FDG | Rfork::NOTEG, || {
        fd::close(w)?;
        let _ = fd::read(r, &mut [0]);
        Ok(())
    })?;
    for pid in &pids {
        until_state(*pid, "Sleep")?;
    }
    let before = notes::count();
    file::control(&format!("/proc/{}/notepg", proc::getpid()), "all of you")?;
    for pid in pids {
        same(wait(pid)?, "all of you", "one of the group")?;
    }
    same(notes::count(), before, "notes to the writer")?;
    fd::close(w)?;
    same(wait(outside)?, "", "another group's")
}

/// Whatever waits.
fn interrupts() -> Outcome {
    notes::on(Then::Noted(abi::NCONT))?;
    let [r, _w] = fd::pipe()?;
    let sem = core::sync::atomic::AtomicI32::new(0);
    let child = start(|| {
        call(no::NOTIFY, &[0])?;
        proc::sleep(60_000).map_err(Into::into)
    })?;
    type Waits<'a> = &'a dyn Fn() -> Result<(), lib9::Error>;
    let waits: [(&str, Waits<'_>); 6] = [
        ("Sleep", &|| proc::sleep(30_000)),
        ("Pread", &|| fd::read(r, &mut [0]).map(drop)),
        ("Semacquire", &|| proc::semacquire(&sem, true).map(drop)),
        ("Tsemacquire", &|| proc::tsemacquire(&sem, 30_000).map(drop)),
        ("Rendezvous", &|| proc::rendezvous(9, 9).map(drop)),
        ("Await", &|| proc::await_().map(drop)),
    ];
    for (state, wait) in waits {
        let before = notes::count();
        note_in(state)?;
        fails(wait(), abi::error::EINTR, state)?;
        same(notes::count(), before + 1, state)?;
    }
    ctl(child, "kill")?;
    wait(child).map(drop)
}

/// `kill` finds a process in each of its states.
fn kill_everywhere() -> Outcome {
    type Life<'a> = &'a dyn Fn() -> Outcome;
    let [r, _w] = fd::pipe()?;
    let sem = core::sync::atomic::AtomicI32::new(0);
    let lives: [(&str, &str, Life<'_>); 8] = [
        ("computing", "", &|| loop {
            core::hint::spin_loop();
        }),
        ("calling", "", &|| loop {
            let _ = fd::fstat(0);
        }),
        ("sleeping", "Sleep", &|| proc::sleep(60_000).map_err(Into::into)),
        ("reading", "Pread", &|| fd::read(r, &mut [0]).map(drop).map_err(Into::into)),
        ("acquiring", "Semacquire", &|| proc::semacquire(&sem, true).map(drop).map_err(Into::into)),
        ("meeting", "Rendezvous", &|| proc::rendezvous(5, 5).map(drop).map_err(Into::into)),
        ("awaiting", "Await", &|| {
            let pid = start_with(Rfork::FDG, || proc::sleep(200).map_err(Into::into))?;
            wait(pid).map(drop)
        }),
        ("handling", "", &|| {
            let at = attach(0, "memory", NOWHERE, PAGE_SIZE)?;
            notes::on(Then::Wait(at))?;
            proc::postnote(proc::getpid(), "x")?;
            Ok(())
        }),
    ];
    for (name, waits_in, life) in &lives {
        let pid = start(*life)?;
        if waits_in.is_empty() {
            proc::sleep(5)?;
        } else {
            until_state(pid, waits_in)?;
        }
        ctl(pid, "kill").map_err(|e| format!("{name}: {e}"))?;
        same(wait(pid)?, "sys: killed", name)?;
    }
    // Stopped.
    let pid = start(|| proc::sleep(60_000).map_err(Into::into))?;
    until_state(pid, "Sleep")?;
    let spinning = start(|| {
        loop {
            core::hint::spin_loop();
        }
    })?;
    ctl(spinning, "stop")?;
    same(state(spinning), "Stopped", "its state")?;
    for pid in [pid, spinning] {
        ctl(pid, "kill")?;
        same(wait(pid)?, "sys: killed", "stopped")?;
    }
    Ok(())
}

/// Many notes to many processes; all that were taken are handled.
fn storm() -> Outcome {
    let at = attach(0, "shared", NOWHERE, PAGE_SIZE)?;
    let mut pids = Vec::new();
    for n in 0..4u64 {
        let mine = at + 64 * n;
        pids.push(start(|| {
            notes::on(Then::Noted(abi::NCONT))?;
            probe::poke(mine + 8, &1u64.to_le_bytes());
            while word(mine) == 0 {
                let _ = fd::fstat(0);
                let _ = proc::sleep(0);
            }
            Err(format!("{}", notes::count()))
        })?);
    }
    let mut sent = Vec::new();
    for (n, pid) in pids.iter().enumerate() {
        while word(at + 64 * n as u64 + 8) == 0 {
            // It may have gone for want of memory.
            check(!state(*pid).is_empty(), "one of them is no more")?;
            proc::sleep(1)?;
        }
        let mut taken = 0;
        for _ in 0..50 {
            taken += u32::from(proc::postnote(*pid, "storm").is_ok());
        }
        sent.push(taken);
    }
    for (n, pid) in pids.iter().enumerate() {
        probe::poke(at + 64 * n as u64, &1u64.to_le_bytes());
        same(wait(*pid)?, format!("{}", sent[n]), "notes handled")?;
    }
    Ok(())
}
