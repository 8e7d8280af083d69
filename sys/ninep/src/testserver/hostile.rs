//! A server that lies, by seed: the [`Server`] of this module between a client and somebody who spoils its replies.
//!
//! A [`Hostile`] gets whole requests and says what is to be done with the stream to the client: bytes to send, time
//! to let pass, the end. It knows nothing of time or of streams, so the same one sits behind a port of QEMU's, behind
//! a pipe in the guest, and behind a mount in a test of the portable kernel. A seed is a character: one to three
//! habits, each with its own rarity, so that some sessions are spoilt at once and others long after everything went
//! well.

use alloc::vec;
use alloc::vec::Vec;

use super::Server;
use crate::{Dialect, kind};
use abi::QTDIR;

/// What is to be done with the stream to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Send nothing for so many milliseconds.
    Wait(u32),
    /// Close it.
    Close,
}

/// Numbers that mean something to somebody.
const EDGES: [u64; 12] =
    [0, 1, 2, 6, 7, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX];

/// A random sequence (splitmix64) whose whole state is its seed: what attacks are made from.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, or 0 if that is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.number().checked_rem(n).unwrap_or(0)
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of these; `None` if there are none.
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len() as u64) as usize)
    }
}

/// What a hostile server does now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    WrongTag,
    WrongLength,
    WrongType,
    Cut,
    Longer,
    Counts,
    Twice,
    Late,
    Silent,
    SilentForEver,
    Leaves,
    LeavesInside,
    SlowBytes,
    OtherQids,
    Endless,
    Spoils,
    Edges,
    Iounit,
    ForgedFlush,
    NoFlush,
    Unasked,
    Errors,
    Version,
    Swaps,
}

const HABITS: [Habit; 24] = [
    Habit::WrongTag,
    Habit::WrongLength,
    Habit::WrongType,
    Habit::Cut,
    Habit::Longer,
    Habit::Counts,
    Habit::Twice,
    Habit::Late,
    Habit::Silent,
    Habit::SilentForEver,
    Habit::Leaves,
    Habit::LeavesInside,
    Habit::SlowBytes,
    Habit::OtherQids,
    Habit::Endless,
    Habit::Spoils,
    Habit::Edges,
    Habit::Iounit,
    Habit::ForgedFlush,
    Habit::NoFlush,
    Habit::Unasked,
    Habit::Errors,
    Habit::Version,
    Habit::Swaps,
];

/// The server.
#[derive(Clone, Debug)]
pub struct Hostile {
    server: Server,
    dialect: Dialect,
    random: Random,
    habits: Vec<(Habit, u64)>,
    /// Replies that are kept back.
    late: Vec<Vec<u8>>,
    /// The last reply that had entries or data in it.
    full: Vec<u8>,
    silent: bool,
    requests: u64,
    /// Requests that are answered honestly whatever the habits are.
    honest: u64,
}

impl Hostile {
    /// One of this character, with a small tree of files, directories and links.
    pub fn new(dialect: Dialect, seed: u64) -> Hostile {
        let mut server = if dialect == Dialect::P9 { Server::plan9() } else { Server::new() };
        // The tree is as good as it gets.
        let _ = server.host.file("motd", b"hello from nobody\n");
        let _ = server.host.file("d/e/f", b"deep");
        let _ = server.host.file("big", &vec![0x55; 70_000]);
        for n in 0..60 {
            let _ = server.host.file(alloc::format!("many/a-file-with-a-name-{n}"), b"x");
        }
        if dialect != Dialect::P9 {
            let _ = server.host.link("link", b"d/e");
            let _ = server.host.link("loop", b"loop");
            let _ = server.host.link("out", b"../../../etc");
        }
        let mut random = Random(seed);
        let count = 1 + random.below(3);
        let habits = (0..count)
            .filter_map(|_| {
                let habit = *random.of(&HABITS)?;
                let rarity = *random.of(&[1, 2, 5, 20])?;
                Some((habit, rarity))
            })
            .collect();
        let honest = *random.of(&[0, 2, 2, 8, 30]).unwrap_or(&0);
        Hostile {
            server,
            dialect,
            random,
            habits,
            late: Vec::new(),
            full: Vec::new(),
            silent: false,
            requests: 0,
            honest,
        }
    }

    /// What it does about a whole request.
    pub fn answer(&mut self, request: &[u8]) -> Vec<Act> {
        self.requests += 1;
        let kind = request.get(4).copied().unwrap_or(0);
        let mut reply = self.server.handle(request);
        if reply.is_empty() {
            return vec![Act::Close];
        }
        if reply.len() > 11 && matches!(reply.get(4), Some(117 | 41)) {
            self.full.clone_from(&reply);
        }
        if self.silent {
            return Vec::new();
        }
        let mut acts = Vec::new();
        // What was kept back comes at some time, before or behind this one.
        if !self.late.is_empty() && self.random.once_in(3) {
            acts.extend(self.late.drain(..).map(Act::Send));
        }
        if self.requests <= self.honest {
            acts.push(Act::Send(reply));
            return acts;
        }
        for (habit, rarity) in self.habits.clone() {
            if self.random.once_in(rarity) && !self.spoil(habit, kind, request, &mut reply, &mut acts) {
                return acts;
            }
        }
        acts.push(Act::Send(reply));
        acts
    }

    /// Does what the habit is. False when the reply is not to be sent, or has been.
    fn spoil(
        &mut self,
        habit: Habit,
        kind: u8,
        request: &[u8],
        reply: &mut Vec<u8>,
        acts: &mut Vec<Act>,
    ) -> bool {
        let random = &mut self.random;
        match habit {
            Habit::WrongTag => {
                let tag = *random.of(&[0, 1, 2, 3, 0x7fff, 0xfffe, 0xffff]).unwrap_or(&0);
                put(reply, 5, 2, tag);
            }
            Habit::WrongLength => {
                let len = reply.len() as u64;
                let wrong = [len - 1, len + 1, len + 4096, len / 2, 0, 6, 7, u64::from(u32::MAX), 1 << 24];
                put(reply, 0, 4, *random.of(&wrong).unwrap_or(&0));
            }
            Habit::WrongType => {
                let wrong = 100 + random.below(28);
                put(reply, 4, 1, if random.once_in(2) { wrong } else { random.below(256) });
            }
            Habit::Cut => {
                let len = 7 + random.below(reply.len() as u64 - 6) as usize;
                reply.truncate(len);
                size(reply);
            }
            Habit::Longer => {
                let more = *random.of(&[1, 3, 100, 9000, 200_000]).unwrap_or(&1);
                reply.resize(reply.len() + more, 0xa5);
                size(reply);
            }
            // The first four bytes behind the head are the count of Rread, Rwrite and Rreaddir.
            Habit::Counts => {
                if matches!(reply.get(4), Some(117 | 119 | 41 | 111)) {
                    let wrong = *random.of(&EDGES).unwrap_or(&0);
                    put(reply, 7, 4, wrong);
                }
            }
            Habit::Twice => acts.push(Act::Send(reply.clone())),
            Habit::Late => {
                self.late.push(core::mem::take(reply));
                return false;
            }
            Habit::Silent => return false,
            Habit::SilentForEver => {
                self.silent = true;
                return false;
            }
            Habit::Leaves => {
                acts.push(Act::Close);
                return false;
            }
            Habit::LeavesInside => {
                let len = 1 + random.below(reply.len() as u64 - 1) as usize;
                reply.truncate(len);
                acts.push(Act::Send(core::mem::take(reply)));
                acts.push(Act::Close);
                return false;
            }
            Habit::SlowBytes => {
                let step = 1 + reply.len() / 12;
                for piece in reply.chunks(step) {
                    acts.push(Act::Send(piece.to_vec()));
                    acts.push(Act::Wait(8));
                }
                return false;
            }
            Habit::OtherQids => {
                // Of Rattach, Ropen and Rcreate the qid is first, of Rwalk it is behind the number of them.
                let at = match reply.get(4) {
                    Some(105 | 113 | 115 | 13 | 15 | 73) => 7,
                    Some(111) => 9,
                    _ => return true,
                };
                if let Some(byte) = reply.get_mut(at) {
                    *byte ^= *random.of(&[QTDIR, QTDIR, 2, 0x40, 0x20, 0x10, 8]).unwrap_or(&QTDIR);
                }
                if random.once_in(2) {
                    let path = random.below(4);
                    put(reply, at + 5, 8, path);
                }
            }
            Habit::Endless => {
                if matches!(reply.get(4), Some(117 | 41)) && reply.len() == 11 && !self.full.is_empty() {
                    let tag = reply.get(5..7).map(<[u8]>::to_vec).unwrap_or_default();
                    reply.clone_from(&self.full);
                    if let Some(place) = reply.get_mut(5..7) {
                        place.copy_from_slice(&tag);
                    }
                }
            }
            Habit::Spoils => {
                for _ in 0..1 + random.below(4) {
                    let at = 7 + random.below(reply.len() as u64) as usize;
                    if let Some(byte) = reply.get_mut(at) {
                        *byte = random.number() as u8;
                    }
                }
            }
            Habit::Edges => {
                let width = *random.of(&[1usize, 2, 4, 8]).unwrap_or(&2);
                let at = 7 + random.below(reply.len() as u64) as usize;
                let edge = *random.of(&EDGES).unwrap_or(&0);
                put(reply, at, width, edge);
            }
            Habit::Iounit => {
                if matches!(reply.get(4), Some(113 | 115 | 13 | 15)) {
                    let unit = *random.of(&[1, 1, 2, 100, 0x7fff_ffff, 0xffff_ffff]).unwrap_or(&1);
                    put(reply, 20, 4, unit);
                }
            }
            Habit::ForgedFlush => {
                let tag = [request.get(5).copied().unwrap_or(0), request.get(6).copied().unwrap_or(0)];
                acts.push(Act::Send(vec![7, 0, 0, 0, kind::RFLUSH, tag[0], tag[1]]));
                return random.once_in(2);
            }
            Habit::NoFlush => return kind != kind::TFLUSH,
            Habit::Unasked => {
                let mut other = reply.clone();
                put(&mut other, 5, 2, random.below(40));
                put(&mut other, 4, 1, 101 + 2 * random.below(14));
                acts.push(Act::Send(other));
            }
            Habit::Errors => {
                let len = *random.of(&[0usize, 1, 127, 128, 255, 4000]).unwrap_or(&0);
                let tag = reply.get(5..7).map(<[u8]>::to_vec).unwrap_or_default();
                *reply = vec![0, 0, 0, 0];
                match self.dialect {
                    Dialect::L => {
                        reply.push(7);
                        reply.extend(tag);
                        reply.extend((random.number() as u32).to_le_bytes());
                    }
                    _ => {
                        reply.push(107);
                        reply.extend(tag);
                        reply.extend((len as u16).to_le_bytes());
                        reply.resize(reply.len() + len, if random.once_in(2) { b'e' } else { 0xff });
                        if self.dialect == Dialect::U {
                            reply.extend((random.number() as u32).to_le_bytes());
                        }
                    }
                }
                size(reply);
            }
            Habit::Version => {
                if reply.get(4) == Some(&kind::RVERSION) {
                    let msize = *random.of(&[0, 1, 23, 24, 150, 256, 0xffff_ffff, 8192]).unwrap_or(&0);
                    put(reply, 7, 4, msize);
                }
            }
            Habit::Swaps => {
                if let Some(older) = self.late.pop() {
                    acts.push(Act::Send(core::mem::take(reply)));
                    acts.push(Act::Send(older));
                } else {
                    self.late.push(core::mem::take(reply));
                }
                return false;
            }
        }
        true
    }
}

/// Puts the low bytes of a number into a message, as far as there is room.
fn put(message: &mut [u8], at: usize, width: usize, value: u64) {
    for (place, byte) in message.iter_mut().skip(at).take(width).zip(value.to_le_bytes()) {
        *place = byte;
    }
}

/// Makes the size field right.
fn size(message: &mut [u8]) {
    let len = message.len() as u64;
    put(message, 0, 4, len);
}
