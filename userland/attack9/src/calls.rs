//! Random system calls with random and half-valid arguments.
//!
//! Several children at a time, each with a seed, some of them as the user none. A child makes memory of its own (its
//! `arena`, where names and buffers are, and a few stranger segments), opens some files, and then calls. Each call
//! has a list of what its arguments are, and most arguments are of their kind, so that calls get far. An alarm every
//! few calls ends what waits. The arena itself stays, since names are written there.

use alloc::format;
use alloc::vec::Vec;

use abi::syscall as no;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{self, NOWHERE, PAGE_SIZE};
use lib9::{file, proc};
use ninep::testserver::hostile::Random;

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

/// Pages of the arena; names are in the first ones.
const ARENA_PAGES: u64 = 16;
const ROOM: u64 = NOWHERE + 8 * PAGE_SIZE;
const END: u64 = NOWHERE + ARENA_PAGES * PAGE_SIZE;
/// Where the stranger segments are: read-only, large and empty, shared.
const READ_ONLY: u64 = 0x12_0000_0000;
const SPARSE: u64 = 0x14_0000_0000;
const SHARED: u64 = 0x18_0000_0000;

/// What an argument is.
#[derive(Clone, Copy, Debug)]
enum Is {
    Fd,
    /// A name of something that is only looked at.
    Read,
    /// A name of something of the child's own.
    Own,
    /// The address of bytes that are read, or written.
    Room,
    Len,
    Mode,
    Perm,
    Offset,
    Ms,
    Bind,
    Fork,
    Number,
    Spec,
    Argv,
    Segment,
    Class,
    Program,
}

use Is::{
    Argv, Bind, Class, Fd, Fork, Len, Mode, Ms, Number, Offset, Own, Perm, Program, Read, Room, Segment, Spec,
};

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

/// Addresses without memory: low, in a gap, not canonical, the kernel's, at the very end.
const WRONG: &[u64] = &[
    0,
    8,
    NOWHERE - PAGE_SIZE,
    0x7fff_ffff_f000,
    0x8000_0000_0000,
    0xffff_7fff_ffff_fff8,
    0xffff_8000_0000_0000,
    0xffff_ffff_8000_0000,
    u64::MAX - 7,
];

/// Numbers at edges.
const EDGES: &[u64] =
    &[0, 1, 2, 3, 16, 255, 4095, 4096, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 63, u64::MAX];

/// What is written to files of the child's own.
const WORDS: &[&str] = &[
    "kill",
    "stop",
    "start",
    "hang",
    "nohang",
    "waitstop",
    "startstop",
    "closefiles",
    "pri 5",
    "noswap",
    "private",
    "none",
    "trace",
    "interrupt",
    "hangup",
    "1",
    "0",
    "-1",
    "99999999999",
    "rw",
    "clunk\0",
    "read 1",
    "wired 0",
    "\n",
    "'",
    "#c",
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
            if watch::start(|| child(seed, &names, all)).is_ok() {
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
    let mut c = Child { random: Random(seed), names: names.mine(), all, forks: 0, left: CALLS, slot: 0 };
    if c.random.once_in(3) {
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
        let Some((number, args)) = c.random.of(CALL) else { return };
        if *number == no::EXITS && !c.random.once_in(20) {
            continue;
        }
        c.call(*number, args);
    }
}

struct Child {
    random: Random,
    names: Names,
    /// Nothing is spared.
    all: bool,
    forks: u32,
    left: u32,
    /// Which of the places for names is next.
    slot: u64,
}

impl Child {
    fn call(&mut self, number: u64, kinds: &[Is]) {
        let args: Vec<u64> = kinds.iter().map(|&kind| self.arg(number, kind)).collect();
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
                self.random.number();
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

    fn arg(&mut self, number: u64, kind: Is) -> u64 {
        let r = &mut self.random;
        let edge = |r: &mut Random| r.of(EDGES).copied().unwrap_or(0);
        match kind {
            // A segment's own address is nobody's wrong one.
            Room | Read | Own | Spec | Argv | Program | Class if r.once_in(12) => {
                r.of(WRONG).copied().unwrap_or(0)
            }
            Fd if r.once_in(20) => edge(r),
            Fd => r.below(16),
            Read => {
                let names = if r.once_in(3) { &self.names.own } else { &self.names.read };
                let name = r.of(names).cloned().unwrap_or_default();
                let opens = matches!(number, no::OPEN | no::CHDIR);
                if opens && !self.all && !Names::may_open(&name) {
                    self.put(b"/dev/null")
                } else {
                    self.put(name.as_bytes())
                }
            }
            Own => {
                let name = r.of(&self.names.own).cloned().unwrap_or_default();
                self.put(name.as_bytes())
            }
            Room => {
                if r.once_in(3) {
                    let words = r.of(WORDS).copied().unwrap_or("");
                    probe::poke(ROOM, words.as_bytes());
                }
                match r.below(12) {
                    0 => END - 1 - r.below(40),
                    1 => READ_ONLY + r.below(64),
                    2 => SPARSE + r.below(1 << 30),
                    3 => SHARED + 8 * r.below(8),
                    4 => probe::constant(),
                    5 => ROOM + r.below(4 * PAGE_SIZE),
                    6 => ROOM + PAGE_SIZE - 4,
                    _ => ROOM,
                }
            }
            Len => match r.below(8) {
                0 => edge(r),
                1 => r.below(1 << 20),
                2 => r.below(200_000),
                _ => r.below(300),
            },
            Mode => r.below(4) | if r.once_in(3) { r.number() & 0x1070 } else { 0 },
            Perm => r.number() & 0o777 | if r.once_in(3) { r.number() & 0xff00_0000 } else { 0 },
            Offset => {
                if r.once_in(3) {
                    edge(r)
                } else {
                    r.below(5000)
                }
            }
            Ms => {
                if r.once_in(30) {
                    edge(r)
                } else {
                    r.below(20)
                }
            }
            Bind => {
                if r.once_in(10) {
                    edge(r)
                } else {
                    r.number() & 0x17
                }
            }
            Fork => {
                let flags = r.number() & 0x7c5f;
                // Memory that is shared is for spawn; without a new process the flag is nothing.
                if r.once_in(2) { flags & !u64::from(abi::Rfork::PROC.bits()) } else { flags }
            }
            // To read what is only looked at: the mode of an open.
            Number if number == no::OPEN => *r.of(&[0, 0, 0, 3, 0x20]).unwrap_or(&0),
            Number if number == no::NOTIFY => {
                if r.once_in(2) {
                    0
                } else {
                    r.of(WRONG).copied().unwrap_or(0)
                }
            }
            Number if number == no::MOUNTDEV => *r.of(&[0x4d, 0x39, 0x63, 0, 0xffff_ffff]).unwrap_or(&0),
            Number => {
                if r.once_in(2) {
                    edge(r)
                } else {
                    r.below(4)
                }
            }
            Spec => {
                let spec =
                    r.of(&["", "9P2000", "host", "host:9P2000.L", ":::", "x:9P2000.u:9999999999", "'"]);
                let spec = spec.copied().unwrap_or("");
                self.put(spec.as_bytes())
            }
            Class => {
                let class =
                    r.of(&["memory", "shared", "memory", "physical", "text", ""]).copied().unwrap_or("");
                self.put(class.as_bytes())
            }
            Segment => match r.below(6) {
                0 => READ_ONLY,
                1 => SPARSE + r.below(1 << 30),
                2 => SHARED,
                3 => 0x20_0000_0000 + (r.below(1 << 20) << 12),
                4 => 0x7000_0000_0000 - r.below(1 << 34),
                _ => edge(r).max(5 << 30),
            },
            Program => {
                let name =
                    r.of(&["/bin/echo", "/bin/date", "/rc/bin/lookman", "/bin", "/bin/ls", "a", "/dev/null"]);
                let name = name.copied().unwrap_or("");
                self.put(name.as_bytes())
            }
            Argv => {
                let word = self.put(b"word");
                let list = ROOM + 5 * PAGE_SIZE;
                let count = if self.random.once_in(10) { 500 } else { self.random.below(5) };
                for i in 0..count {
                    let bad = self.random.once_in(20);
                    let pointer = if bad { self.random.of(WRONG).copied().unwrap_or(0) } else { word };
                    probe::poke(list + 8 * i, &pointer.to_le_bytes());
                }
                probe::poke(list + 8 * count, &0u64.to_le_bytes());
                list
            }
        }
    }

    /// Puts a text and a zero byte into the arena; gives its address.
    fn put(&mut self, text: &[u8]) -> u64 {
        self.slot = (self.slot + 1) % 8;
        let at = NOWHERE + self.slot * PAGE_SIZE / 2;
        let text = text.get(..text.len().min(2000)).unwrap_or(text);
        probe::poke(at, text);
        probe::poke(at + text.len() as u64, &[0]);
        at
    }
}
