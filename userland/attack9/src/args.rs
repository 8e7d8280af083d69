//! What the arguments of random calls are: most of their kind, so that calls get far, some at edges, some wrong.

use abi::syscall as no;
use lib9::sys::probe::{self, NOWHERE, PAGE_SIZE};
use ninep::testserver::hostile::Random;

use crate::names::Names;

/// Pages of the arena; names are in the first ones.
pub const ARENA_PAGES: u64 = 16;
const ROOM: u64 = NOWHERE + 8 * PAGE_SIZE;
const END: u64 = NOWHERE + ARENA_PAGES * PAGE_SIZE;
/// Where the stranger segments are: read-only, large and empty, shared.
pub const READ_ONLY: u64 = 0x12_0000_0000;
pub const SPARSE: u64 = 0x14_0000_0000;
pub const SHARED: u64 = 0x18_0000_0000;

/// What an argument is.
#[derive(Clone, Copy, Debug)]
pub enum Is {
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

/// Makes arguments, in memory of the child's own where they are texts.
pub struct Args {
    pub random: Random,
    pub names: Names,
    /// Nothing is spared.
    pub all: bool,
    /// Which of the places for names is next.
    pub slot: u64,
}

impl Args {
    /// An argument of this kind for a call of this number.
    pub fn arg(&mut self, number: u64, kind: Is) -> u64 {
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
