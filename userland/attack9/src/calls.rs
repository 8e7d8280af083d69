//! Random system calls with random and half-valid arguments.
//!
//! Several children at a time, each with a seed, some of them as the user none. A child makes memory of its own (its
//! `arena`, where names and buffers are, and a few stranger segments), opens some files, and then calls. Each call
//! has a list of what its arguments are (`args`). An alarm every few calls ends what waits. The
//! arena itself stays, since names are written there.

use alloc::format;
use alloc::vec::Vec;

use abi::syscall as no;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{self, NOWHERE, PAGE_SIZE};
use lib9::{file, proc};
use ninep::testserver::hostile::Random;

use crate::args::Is::{
    Argv, Bind, Class, Fd, Fork, Len, Mode, Ms, Number, Offset, Own, Perm, Program, Read, Room, Segment, Spec,
};
use crate::args::{ARENA_PAGES, Args, Is, READ_ONLY, SHARED, SPARSE};
use crate::names::Names;
use crate::watch::{self, Before, Said};

/// Children at a time.
const WORKERS: usize = 4;
/// How long one may take, in ms.
const WORKER_MAX: u64 = 4000;
/// Calls of a child.
const CALLS: u32 = 300;
/// Processes that a child may make, and those it made theirs.
const FORKS: u32 = 3;

/// The calls, and how their arguments look.
const CALL: &[(u64, &[Is])] = &[
    (no::SYSR1, &[Number, Number]),
    (no::ERRSTR_OLD, &[Room]),
    (no::BIND, &[Read, Own, Bind]),
    (no::BIND, &[Own, Own, Bind]),
    (no::BIND, &[Read, Read, Bind]),
    (no::CHDIR, &[Own]),
    (no::CHDIR, &[Read]),
    (no::CLOSE, &[Fd]),
    (no::DUP, &[Fd, Fd]),
    (no::ALARM, &[Ms]),
    (no::EXEC, &[Program, Argv]),
    (no::EXITS, &[Own]),
    (no::FSESSION, &[Fd, Room, Len]),
    (no::FAUTH, &[Fd, Spec]),
    (no::FSTAT_OLD, &[Fd, Room]),
    (no::SEGBRK, &[Segment, Segment]),
    (no::MOUNT_OLD, &[Fd, Own, Bind, Spec]),
    (no::OPEN, &[Own, Mode]),
    (no::OPEN, &[Read, Number]),
    (no::READ_OLD, &[Fd, Room, Len]),
    (no::OSEEK, &[Fd, Offset, Number]),
    (no::SLEEP, &[Ms]),
    (no::STAT_OLD, &[Read, Room]),
    (no::RFORK, &[Fork]),
    (no::WRITE_OLD, &[Fd, Room, Len]),
    (no::PIPE, &[Room]),
    (no::CREATE, &[Own, Mode, Perm]),
    (no::FD2PATH, &[Fd, Room, Len]),
    (no::BRK, &[Segment]),
    (no::REMOVE, &[Own]),
    (no::FWSTAT_OLD, &[Fd, Room]),
    (no::NOTIFY, &[Number]),
    (no::NOTED, &[Number]),
    (no::SEGATTACH, &[Number, Class, Segment, Len]),
    (no::SEGDETACH, &[Segment]),
    (no::SEGFREE, &[Segment, Len]),
    (no::SEGFLUSH, &[Room, Len]),
    (no::RENDEZVOUS, &[Number, Number]),
    (no::UNMOUNT, &[Own, Own]),
    (no::UNMOUNT, &[Read, Own]),
    (no::WAIT_OLD, &[Room]),
    (no::SEMACQUIRE, &[Room, Number]),
    (no::TSEMACQUIRE, &[Room, Ms]),
    (no::SEMRELEASE, &[Room, Number]),
    (no::SEEK, &[Room, Fd, Offset, Number]),
    (no::FVERSION, &[Fd, Len, Spec, Len]),
    (no::ERRSTR, &[Room, Len]),
    (no::STAT, &[Read, Room, Len]),
    (no::FSTAT, &[Fd, Room, Len]),
    (no::WSTAT, &[Own, Room, Len]),
    (no::FWSTAT, &[Fd, Room, Len]),
    (no::MOUNT, &[Fd, Fd, Own, Bind, Spec]),
    (no::AWAIT, &[Room, Len]),
    (no::PREAD, &[Fd, Room, Len, Offset]),
    (no::PREAD, &[Fd, Room, Len, Offset]),
    (no::PWRITE, &[Fd, Room, Len, Offset]),
    (no::PWRITE, &[Fd, Room, Len, Offset]),
    (no::NSEC, &[Room]),
    (no::MOUNTDEV, &[Fd, Fd, Own, Bind, Spec, Number]),
];

/// Attacks for so many seconds.
pub fn run(seed: u64, seconds: u64, all: bool) -> Said {
    let before = Before::now()?;
    let mut random = Random(seed);
    let until = watch::now_ms() + seconds * 1000;
    let mut children = 0;
    let names = Names::now(all);
    while watch::now_ms() < until {
        for _ in 0..WORKERS {
            let seed = random.number();
            // No process is to be had: the earlier ones will end.
            if watch::start(|| child(seed, &names, all)) {
                children += 1;
            }
        }
        watch::finish(&before, WORKER_MAX)?;
        watch::remove_below(watch::FOLDER);
    }
    before.clean()?;
    Ok(format!("{children} children"))
}

/// A child's life.
fn child(seed: u64, names: &Names, all: bool) {
    let args = Args { random: Random(seed), names: names.mine(), all, slot: 0 };
    let mut c = Child { args, forks: 0, left: CALLS };
    if c.args.random.once_in(3) {
        let _ = file::control("#c/user", "none");
    }
    for (attr, class, at, pages) in [
        (0, "memory\0", NOWHERE, ARENA_PAGES),
        (abi::SG_RONLY, "memory\0", READ_ONLY, 2),
        (0, "memory\0", SPARSE, 1 << 18),
        (0, "shared\0", SHARED, 16),
    ] {
        probe::call(no::SEGATTACH, &[u64::from(attr), class.as_ptr() as u64, at, pages * PAGE_SIZE]);
    }
    let _ = notes::on(Then::Noted(abi::NCONT));
    for _ in 0..6 {
        c.call(no::OPEN, &[Read, Number]);
    }
    c.call(no::PIPE, &[Room]);
    while c.left > 0 {
        c.left -= 1;
        if c.left.is_multiple_of(4) {
            proc::alarm(60);
        }
        let Some((number, args)) = c.args.random.of(CALL) else { return };
        if *number == no::EXITS && !c.args.random.once_in(20) {
            continue;
        }
        c.call(*number, args);
    }
}

struct Child {
    args: Args,
    forks: u32,
    left: u32,
}

impl Child {
    fn call(&mut self, number: u64, kinds: &[Is]) {
        let args: Vec<u64> = kinds.iter().map(|&kind| self.args.arg(number, kind)).collect();
        if number == no::RFORK {
            let making = args.first().is_some_and(|f| f & u64::from(abi::Rfork::PROC.bits()) != 0);
            if making && self.forks >= FORKS {
                return;
            }
            self.forks += 1;
            // A process that was made goes on, for half as long.
            if probe::call(number, &args) == 0 && making {
                self.forks = FORKS;
                self.left /= 2;
                self.args.random.number();
            }
            return;
        }
        if matches!(number, no::SEGDETACH | no::SEGFREE | no::SEGBRK) {
            // The arena is needed, and the heap is Rust's.
            let at = args.first().copied().unwrap_or(0);
            if !(READ_ONLY..SHARED + (1 << 32)).contains(&at) && at < 1 << 46 {
                return;
            }
        }
        probe::call(number, &args);
    }
}
