//! Notes, switches and messages between processors by the thousand: nobody's registers change by them, nobody is
//! forgotten, and others have their turn meanwhile.

use abi::syscall as no;
use lib9::alloc::format;
use lib9::alloc::vec::Vec;
use lib9::sys::probe::float::Image;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{self, NOWHERE, PAGE_SIZE};
use lib9::{Rfork, fd, file, proc};

use crate::testkit::*;

pub const TESTS: &[Test] =
    &[test("storm.float", float), test("storm.notes", notes_to_all), test("storm.flushes", flushes)];

/// How long a storm lasts, in ms.
const LONG_MS: i64 = 1500;
/// Longest time that somebody else may wait for next to nothing, in ms, on a host that has much to do.
const TURN_MS: i64 = 5000;

/// A number in memory that all processes of a test share.
struct Word(u64);

impl Word {
    fn set(&self, n: u64) {
        probe::poke(self.0, &n.to_le_bytes());
    }

    fn get(&self) -> u64 {
        word(self.0)
    }
}

/// Looks every few ms, as long as the storm lasts, whether somebody who wants next to nothing has it soon.
fn others_have_their_turn() -> Outcome {
    let begun = proc::nsec();
    while proc::nsec() - begun < LONG_MS * 1_000_000 {
        let before = proc::nsec();
        proc::sleep(5)?;
        fd::close(fd::open("/dev/null", abi::OREAD)?)?;
        let ms = (proc::nsec() - before) / 1_000_000;
        check(ms < TURN_MS, &format!("another process waited for {ms} ms"))?;
    }
    Ok(())
}

/// Posts notes to these processes by turns until it is told to stop.
fn sender(pids: &[i32], stop: &Word) -> Outcome {
    for &pid in pids.iter().cycle() {
        if stop.get() != 0 {
            break;
        }
        // Too many at once are refused, and who has ended takes none.
        let _ = proc::postnote(pid, "storm");
    }
    Ok(())
}

/// Many processes have numbers in all floating point registers and another mode each, while they compute for longer
/// than a turn, give way all the time, and have notes whose handler spoils them. Everybody keeps his own.
fn float() -> Outcome {
    const WORKERS: u64 = 10;
    const ROUNDS: u64 = 24;
    const NOTES: u32 = 20;
    let stop = Word(attach(0, "shared", NOWHERE, PAGE_SIZE)?);
    // The workers have it from the beginning: without it they would end at their first note.
    notes::on(Then::Noted(abi::NCONT))?;
    let worker = |n: u64| {
        start(|| {
            let mut round = 0;
            while round < ROUNDS || notes::count() < NOTES {
                let held = Image::patterned(n << 32 | round);
                let mut image = held.clone();
                let (turns, loops) = if round.is_multiple_of(4) { (1, 2_000_000) } else { (8, 300) };
                image.hold(turns, loops);
                same(held.differs(&image), None, "a register that is another one")?;
                round += 1;
            }
            Ok(())
        })
    };
    let workers: Vec<i32> = (0..WORKERS).map(worker).collect::<Result<_, _>>()?;
    let senders: Vec<i32> = (0..2).map(|_| start(|| sender(&workers, &stop))).collect::<Result<_, _>>()?;
    let result: Outcome = workers.iter().try_for_each(|&pid| same(wait(pid)?, "", "a worker"));
    stop.set(1);
    senders.into_iter().try_for_each(|pid| same(wait(pid)?, "", "a sender"))?;
    result
}

/// Where each victim of notes says that it is ready, and how many it has had.
fn ready(n: usize, at: u64) -> Word {
    Word(at + 64 + 16 * n as u64)
}

/// Everything that one may be about when a note comes.
fn about(what: usize, at: u64, stop: &Word) -> Outcome {
    let [never, _writer] = fd::pipe()?;
    while stop.get() == 0 {
        match what % 7 {
            0 => (0..1000).for_each(|_| core::hint::spin_loop()),
            1 => drop(proc::sleep(60_000)),
            2 => drop(fd::read(never, &mut [0])),
            3 => drop(proc::rendezvous(at + what as u64, 1)),
            4 => drop(int(no::SEMACQUIRE, &[at + 8, 1])),
            // Its own, too.
            5 => {
                proc::alarm(1);
                let _ = proc::sleep(10);
            }
            _ => {
                // One that is interrupted while it makes or waits for a child has made it, and is asked for it later.
                let _ = start(|| Ok(()));
                let _ = proc::await_();
            }
        }
    }
    // Its children's records may be asked for with notes coming still.
    proc::alarm(0);
    Ok(())
}

/// Processes in the midst of everything have thousands of notes, by several and to their group. All of them have some,
/// and go when it is over.
fn notes_to_all() -> Outcome {
    const VICTIMS: usize = 28;
    let at = attach(0, "shared", NOWHERE, PAGE_SIZE)?;
    let (stop, over) = (Word(at), Word(at + 16));
    let victim = |n: usize| {
        // All in one group, and not the one that is this test's.
        start(|| {
            notes::on(Then::Noted(abi::NCONT))?;
            ready(n, at).set(1);
            about(n, at, &stop)?;
            Word(ready(n, at).0 + 8).set(u64::from(notes::count()));
            Ok(())
        })
    };
    let leader = start_with(Rfork::FDG | Rfork::NOTEG, || {
        notes::on(Then::Noted(abi::NCONT))?;
        let victims: Vec<i32> = (0..VICTIMS).map(victim).collect::<Result<_, _>>()?;
        for (n, pid) in victims.iter().enumerate() {
            Word(at + 1024 + 8 * n as u64).set(*pid as u64);
        }
        for pid in victims {
            while let Err(interrupted) = wait(pid).and_then(|said| same(said, "", "a victim")) {
                check(interrupted.ends_with(abi::error::EINTR), &interrupted)?;
            }
        }
        Ok(())
    })?;
    let place = |n: usize| Word(at + 1024 + 8 * n as u64);
    while (0..VICTIMS).any(|n| ready(n, at).get() == 0 || place(n).get() == 0) {
        proc::sleep(2)?;
    }
    let victims: Vec<i32> = (0..VICTIMS).map(|n| place(n).get() as i32).collect();
    let to_group = || {
        while over.get() == 0 {
            let _ = file::write(&format!("/proc/{leader}/notepg"), b"to all");
        }
        Ok(())
    };
    let mut senders: Vec<i32> =
        (0..3).map(|_| start(|| sender(&victims, &over))).collect::<Result<_, _>>()?;
    senders.push(start(to_group)?);
    others_have_their_turn()?;
    // Who waits is woken by a note that comes later.
    stop.set(1);
    let said = wait(leader)?;
    over.set(1);
    senders.into_iter().try_for_each(|pid| same(wait(pid)?, "", "a sender"))?;
    same(said, "", "the group")?;
    let counts: Vec<u64> = (0..VICTIMS).map(|n| Word(ready(n, at).0 + 8).get()).collect();
    check(counts.iter().all(|&n| n > 0), &format!("notes that came: {counts:?}"))?;
    check(counts.iter().sum::<u64>() > 500, &format!("notes that came: {counts:?}"))
}

/// Threads make memory and let go of it as fast as they can, so that all processors are told to forget it all the time.
/// Nobody sees what is gone, and others have their turn.
fn flushes() -> Outcome {
    const THREADS: u64 = 4;
    const PAGES: u64 = 8;
    let stop = Word(attach(0, "shared", NOWHERE, PAGE_SIZE)?);
    let here = stop.0;
    let thread = |n: u64| {
        proc::spawn(Rfork::FDG, move || {
            let stop = Word(here);
            let mut rounds = 0;
            while stop.get() == 0 || rounds < 50 {
                let base = attach(0, "memory", NOWHERE + (n + 1) * 0x100_0000, PAGES * PAGE_SIZE)?;
                for page in 0..PAGES {
                    let new = Word(base + page * PAGE_SIZE + 8 * n);
                    same(new.get(), 0, "what is in a new page")?;
                    new.set(n + 1);
                }
                call(no::SEGDETACH, &[base])?;
                rounds += 1;
            }
            Ok(())
        })
    };
    let threads: Vec<i32> = (0..THREADS).map(thread).collect::<Result<_, _>>()?;
    let result = others_have_their_turn();
    stop.set(1);
    threads.into_iter().try_for_each(|pid| same(wait(pid)?, "", "a thread"))?;
    result
}
