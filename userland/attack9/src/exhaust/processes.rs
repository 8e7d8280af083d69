//! What is made of processes: them, their records, notes, alarms, waiting places.

use core::sync::atomic::{AtomicI32, Ordering};

use alloc::format;

use abi::syscall as no;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{self, NOWHERE, PAGE_SIZE};
use lib9::{Rfork, fd, file, ns, proc};

use super::{MANY, hold, until_refused};

/// Makes a process that does `f` and ends.
fn make(flags: Rfork, f: impl FnOnce()) -> lib9::Result<()> {
    match proc::rfork(Rfork::PROC | flags)? {
        proc::Fork::Parent(_) => Ok(()),
        proc::Fork::Child => {
            f();
            proc::exits_now("")
        }
    }
}

fn sleep_long() {
    let _ = proc::sleep(60_000);
}

/// Processes, as many as there can be.
pub fn processes() {
    until_refused(MANY, |_| make(Rfork::NOWAIT, sleep_long));
    hold();
}

/// The same in one memory.
pub fn threads() {
    until_refused(MANY, |_| {
        proc::spawn(Rfork::NOWAIT, || {
            sleep_long();
            Ok(())
        })
    });
    hold();
}

/// Short lives, one after the other and side by side.
pub fn short() {
    for n in 0..2 * MANY {
        let flags =
            if n.is_multiple_of(2) { Rfork::NOWAIT } else { Rfork::NOWAIT | Rfork::FDG | Rfork::ENVG };
        if make(flags, || {}).is_err() {
            let _ = proc::sleep(10);
        }
    }
}

/// Records of children that nobody waits for.
pub fn records() {
    until_refused(MANY, |_| match proc::rfork(Rfork::PROC)? {
        proc::Fork::Parent(_) => proc::sleep(0),
        proc::Fork::Child => proc::exits_now("a long reason to end, so that the record of it is a long one"),
    });
    hold();
}

/// Notes to one that does not look at them, and to one that does nothing else.
pub fn notes() {
    let mine = proc::getpid();
    for how in [Then::Noted(abi::NCONT), Then::Wait(NOWHERE)] {
        let _ = make(Rfork::NOWAIT | Rfork::NOTEG, || {
            probe::call(no::SEGATTACH, &[0, c"memory".as_ptr() as u64, NOWHERE, PAGE_SIZE]);
            let _ = notes::on(how);
            let _ = make(Rfork::NOWAIT, sleep_long);
            loop {
                let _ = proc::sleep(1000);
            }
        });
    }
    let _ = notes::on(Then::Noted(abi::NCONT));
    for _ in 0..3 {
        let _ = make(Rfork::NOWAIT, || storm(mine));
    }
    storm(mine);
}

/// Sends notes to all processes of this program but one, for a while.
fn storm(spared: i32) {
    for n in 0..3000 {
        for pid in spared..spared + 12 {
            let name = if n % 16 == 0 { "notepg" } else { "note" };
            if pid != spared && is_ours(pid) {
                let _ = file::control(&format!("/proc/{pid}/{name}"), &format!("note {n}"));
            }
        }
    }
}

fn is_ours(pid: i32) -> bool {
    file::read_string(&format!("/proc/{pid}/status")).is_ok_and(|s| s.starts_with("attack9"))
}

/// Alarms that ring all the time.
pub fn alarms() {
    until_refused(200, |_| {
        make(Rfork::NOWAIT, || {
            let _ = notes::on(Then::Noted(abi::NCONT));
            for n in 0..4000 {
                proc::alarm(1 + n % 3);
                let _ = proc::sleep(2);
            }
        })
    });
    let _ = proc::sleep(3000);
}

/// Processes that wait for somebody who never comes.
pub fn rendezvous() {
    until_refused(MANY, |n| make(Rfork::NOWAIT, || drop(proc::rendezvous(0x1000 + n as u64, 1))));
    hold();
    // Half of them are met after all.
    until_refused(MANY / 2, |n| {
        proc::alarm(500);
        proc::rendezvous(0x1000 + 2 * n as u64, 2)
    });
}

/// A semaphore with many who wait, some of whom give up.
pub fn semaphores() {
    static SEMAPHORE: AtomicI32 = AtomicI32::new(0);
    until_refused(MANY, |n| {
        proc::spawn(Rfork::NOWAIT, move || {
            if n.is_multiple_of(2) {
                proc::semacquire(&SEMAPHORE, true)?;
            } else {
                proc::tsemacquire(&SEMAPHORE, 50)?;
            }
            Ok(())
        })
    });
    hold();
    let _ = proc::semrelease(&SEMAPHORE, 50);
    SEMAPHORE.fetch_add(1, Ordering::Relaxed);
}

/// Name spaces, each a copy of a large one.
pub fn spaces() {
    until_refused(300, |n| {
        ns::bind("/dev", if n.is_multiple_of(2) { "/n/one" } else { "/n/other" }, abi::MAFTER)
    });
    until_refused(MANY, |_| make(Rfork::NOWAIT | Rfork::NAMEG | Rfork::ENVG | Rfork::FDG, sleep_long));
    hold();
}

/// Processes that died of a fault, which the kernel keeps.
pub fn broken() {
    until_refused(MANY / 10, |_| {
        make(Rfork::NOWAIT, || {
            probe::call(no::NOTIFY, &[0]);
            probe::call(no::CHDIR, &[8]);
        })
    });
    let _ = fd::readdir("/proc");
    hold();
}
