//! Very many of everything: segments, variables, notes, alarms, processes; binds are in `mounts`. The kernel refuses
//! what is too much, forgets what is over, and takes no longer for the thousandth than for the first.

use abi::{MCREATE, MREPL, ORCLOSE, ORDWR, OREAD, OWRITE, error};
use lib9::alloc::format;
use lib9::alloc::string::{String, ToString};
use lib9::alloc::vec;
use lib9::alloc::vec::Vec;
use lib9::ns::mount;
use lib9::{File, Rfork, fd, file, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    once("many.segments", segments),
    once("many.variables", variables),
    once("many.processes", processes),
    test("many.orphans", orphans),
    test("many.rendezvous", meetings),
    test("many.notes", storm),
    test("many.alarms", alarms),
    test("many.orclose", orclose),
    test("many.posts", posts),
    test("many.shared-segments", shared),
    test("many.zeros", zeros),
    test("many.scattered", scattered),
];

/// A time in which nothing here takes too long, unless it is done for each of those before.
const LONG_MS: i64 = 40_000;

/// It has not taken too long.
pub fn in_time(begun: i64) -> Outcome {
    let ms = (proc::nsec() - begun) / 1_000_000;
    check(ms < LONG_MS * i64::from(times()), &format!("{ms} ms"))
}

/// So many, or as many times so many as was asked for.
pub fn many(n: usize) -> usize {
    n * times() as usize
}

fn segments() -> Outcome {
    let begun = proc::nsec();
    let mut bases = Vec::new();
    for _ in 0..2000 {
        let base = attach(0, "memory", 0, 4096)?;
        lib9::sys::probe::poke(base, &[1]);
        bases.push(base);
    }
    child(|| same(lib9::sys::probe::peek(bases.first().copied().unwrap_or(0), 1), vec![1], "in the child"))?;
    for base in bases {
        call(abi::syscall::SEGDETACH, &[base])?;
    }
    in_time(begun)
}

fn variables() -> Outcome {
    let begun = proc::nsec();
    proc::rfork(Rfork::CENVG)?;
    for n in 0..20_000 {
        file::write(&format!("#e/variable{n}"), b"value")
            .or_else(|_| File::create(&format!("#e/variable{n}"), OWRITE, 0o666)?.write_all(b"value"))?;
    }
    same(fd::readdir("#e")?.len(), 20_000, "variables")?;
    child_with(Rfork::ENVG | Rfork::FDG, || {
        file::write("#e/variable77", b"other")?;
        same(fd::readdir("#e")?.len(), 20_000, "the child's")
    })?;
    same(file::read("#e/variable77")?, b"value".to_vec(), "the parent's")?;
    in_time(begun)
}

fn processes() -> Outcome {
    let begun = proc::nsec();
    for _ in 0..many(1000) {
        child(|| Ok(()))?;
    }
    in_time(begun)
}

/// A line of processes each of which ends when it has made the next.
fn orphans() -> Outcome {
    let [r, w] = fd::pipe()?;
    let pid = start_with(Rfork::NOWAIT, || {
        for _ in 0..300 {
            if let proc::Fork::Parent(_) = proc::rfork(Rfork::PROC | Rfork::NOWAIT)? {
                proc::exits_now("");
            }
        }
        fd::write(w, b"x")?;
        Ok(())
    })?;
    let mut byte = [0];
    same(fd::read(r, &mut byte)?, 1, "the last one")?;
    fd::close(r)?;
    fd::close(w)?;
    check(pid > 0, "the first one")
}

/// Who waits at a tag and dies leaves nobody to meet there.
fn meetings() -> Outcome {
    let mut waiting = Vec::new();
    for tag in 0..100 {
        waiting.push(start(|| Ok(proc::rendezvous(tag, 1).map(|_| ())?))?);
    }
    for &pid in &waiting {
        until_state(pid, "Rendezvous")?;
        ctl(pid, "kill")?;
    }
    for pid in waiting {
        wait(pid)?;
    }
    let other = start(|| Ok(proc::rendezvous(5, 2).map(|_| ())?))?;
    same(proc::rendezvous(5, 3)?, 2, "the one who lives")?;
    same(wait(other)?, String::new(), "what it says")
}

/// Processes that send each other notes as fast as they can.
fn storm() -> Outcome {
    let [told, tells] = fd::pipe()?;
    let victims: Vec<i32> = (0..8)
        .map(|_| {
            start(|| {
                proc::notify(Some(|_| proc::Noted::Continue))?;
                fd::write(tells, b"r")?;
                loop {
                    // Interrupted all the time.
                    let _ = proc::sleep(1000);
                }
            })
        })
        .collect::<Result<_, _>>()?;
    // One that has no handler yet would end at its first note.
    for _ in &victims {
        same(fd::read(told, &mut [0])?, 1, "one that is ready")?;
    }
    fd::close(told)?;
    fd::close(tells)?;
    let senders: Vec<i32> = (0..4)
        .map(|_| {
            start(|| {
                for n in 0..500 {
                    if let Some(&pid) = victims.get(n % victims.len()) {
                        // Too many at once are refused.
                        let _ = proc::postnote(pid, "storm");
                    }
                }
                Ok(())
            })
        })
        .collect::<Result<_, _>>()?;
    for pid in senders {
        same(wait(pid)?, String::new(), "a sender")?;
    }
    for &pid in &victims {
        ctl(pid, "kill")?;
    }
    for pid in victims {
        wait(pid)?;
    }
    Ok(())
}

fn alarms() -> Outcome {
    let all: Vec<i32> = (0..40)
        .map(|n| {
            start(move || {
                proc::notify(Some(|_| proc::Noted::Continue))?;
                for round in 0..20 {
                    proc::alarm(1 + (n + round) % 7);
                    // Set again before it rings, often.
                    proc::alarm(1 + (n * round) % 5);
                    let _ = proc::sleep(50);
                }
                proc::alarm(60_000);
                Ok(())
            })
        })
        .collect::<Result<_, _>>()?;
    for pid in all {
        same(wait(pid)?, String::new(), "one with alarms")?;
    }
    Ok(())
}

/// Files that go when they are closed, by processes that are killed, and of one name.
fn orclose() -> Outcome {
    let f = Folder::new()?;
    for round in 0..5 {
        let all: Vec<i32> = (0..10)
            .map(|n| {
                start(|| {
                    for k in 0..30 {
                        let name = if k % 3 == 0 { f.at("same") } else { f.at(&format!("{n}.{k}")) };
                        // Another may have taken it away this moment.
                        if let Ok(file) = File::create(&name, ORDWR | ORCLOSE, 0o666) {
                            let _ = file.write_all(b"gone");
                            core::mem::forget(file);
                        }
                    }
                    proc::sleep(10_000)?;
                    Ok(())
                })
            })
            .collect::<Result<_, _>>()?;
        proc::sleep(20)?;
        for (n, &pid) in all.iter().enumerate() {
            if (n + round) % 2 == 0 { ctl(pid, "kill")? } else { proc::postnote(pid, "end")? }
        }
        for pid in all {
            wait(pid)?;
        }
    }
    same(fd::readdir(&f.0)?.len(), 0, "files that are left")
}

/// Channels posted that lead to themselves: a pipe whose server is mounted and posts what is in it.
fn posts() -> Outcome {
    let name = format!("/srv/usertests.{}", proc::getpid());
    for _ in 0..50 {
        let [a, b] = fd::pipe()?;
        let post = File::create(&name, OWRITE | ORCLOSE, 0o600)?;
        fails(post.write_all(post.fd().to_string().as_bytes()), error::EBADARG, "a post of itself")?;
        post.write_all(a.to_string().as_bytes())?;
        fd::close(a)?;
        let again = fd::open(&name, ORDWR)?;
        // Nobody serves it: the mount does not come to an end, and is killed.
        let pid = start(|| {
            let srv = fd::open(&name, ORDWR)?;
            mount(srv, -1, "/mnt", MREPL | MCREATE, "")?;
            Ok(())
        })?;
        ctl(pid, "kill")?;
        wait(pid)?;
        fd::close(again)?;
        fd::close(b)?;
        drop(post);
    }
    check(File::open(&name, ORDWR).is_err(), "it is gone")
}

/// Memory that is shared by processes which come and go.
fn shared() -> Outcome {
    let base = attach(0, "shared", 0, 16 * 4096)?;
    let mut all = Vec::new();
    for n in 0..50u64 {
        all.push(start(|| {
            let at = base + n % 16 * 4096;
            lib9::sys::probe::poke(at, &[n as u8]);
            if n % 3 == 0 {
                call(abi::syscall::SEGDETACH, &[base])?;
            }
            Ok(())
        })?);
    }
    for pid in all {
        same(wait(pid)?, String::new(), "one that shares")?;
    }
    same(lib9::sys::probe::peek(base, 1).len(), 1, "still there")?;
    call(abi::syscall::SEGDETACH, &[base])?;
    Ok(())
}

/// A read of two gigabytes ends with the process that does it.
fn zeros() -> Outcome {
    for name in ["/dev/zero", "/dev/random"] {
        let pid = start(|| {
            let at = attach(0, "memory", 0, 0x7000_0000)?;
            let file = File::open(name, OREAD)?;
            call(abi::syscall::PREAD, &[file.fd() as u64, at, 0x7000_0000, 0])?;
            Ok(())
        })?;
        proc::sleep(20)?;
        let begun = proc::nsec();
        ctl(pid, "kill")?;
        wait(pid)?;
        let ms = (proc::nsec() - begun) / 1_000_000;
        check(ms < 1000, &format!("{name}: {ms} ms"))?;
    }
    Ok(())
}

/// Pages of which small blocks of the kernel's are made.
fn heap() -> Result<u64, String> {
    let pools = file::read_string("/dev/pools")?;
    let line = pools.lines().find_map(|line| line.trim_start().strip_suffix(" frame.heap"));
    line.and_then(|n| n.parse().ok()).ok_or(String::from("/dev/pools has no heap"))
}

/// Of what goes last each piece is somewhere else, and a processor keeps it for the next: but not for ever, with all
/// the memory around it.
fn scattered() -> Outcome {
    let folder = Folder::new()?;
    let before = heap()?;
    let name = |n: usize| folder.at(&format!("a file of a name that is not short, number {n}"));
    for n in 0..8000 {
        file::write(&name(n), b"")?;
    }
    let most = heap()?;
    check(most > before + 400, &format!("8000 files take {before} to {most} pages"))?;
    let (last, first): (Vec<usize>, Vec<usize>) = (0..8000).partition(|n| n % 160 == 0);
    first.into_iter().chain(last).try_for_each(|n| fd::remove(&name(n)))?;
    // It is given back when there is nothing else to do, once a second.
    for _ in 0..100 {
        if heap()? <= before + 64 {
            return Ok(());
        }
        proc::sleep(100)?;
    }
    Err(format!("{before} pages before, {most} with the files, {} without them", heap()?))
}
