//! `#m`: the mouse. `mouse` tells where it is and what is pressed, `mousectl` says how its buttons are to be taken.
//!
//! The bytes of the device become a position on a plane of [`WIDTH`] by [`HEIGHT`] pixels, the screen's size as text. A
//! read of `mouse` waits until something has changed since the last one. No change of a button is lost: those that
//! nobody has read yet wait in a queue of [`DEEP`]; movements between them are one.
//!
//! Lock: `state`, a leaf, taken in interrupt context; the queue does not grow there. Owner: the device.

pub(crate) mod packet;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Qid, error};
use machine::clock;
use machine::lock::Lock;
use machine::sync::Rendez;

use self::packet::{Move, Packets};
use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry};
use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::proc::process::Proc;

/// The plane that the mouse moves on: pixels in a row.
pub(crate) const WIDTH: i32 = 640;
/// Rows of pixels.
pub(crate) const HEIGHT: i32 = 400;
/// Events that wait for a reader.
pub const DEEP: usize = 64;

/// The wheel's two directions are buttons that are pressed for a moment.
const WHEEL_UP: u8 = 8;
const WHEEL_DOWN: u8 = 16;
/// Turns of the wheel told at a time.
const TURNS: i32 = 8;

const MOUSE: u64 = 1;
const MOUSECTL: u64 = 2;
/// How many times as far an accelerated movement goes unless that is said, and at most.
const FASTER: i32 = 2;
const FASTEST: i32 = 10;
/// Movements up to so many pixels are for aiming and go as far as they go.
const AIM: i32 = 4;
/// Longest message, in bytes.
const MAXCTL: usize = 128;

/// What a read tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Event {
    x: i32,
    y: i32,
    buttons: u8,
    ms: u64,
}

struct State {
    packets: Packets,
    now: Event,
    waiting: VecDeque<Event>,
    /// For each of the three buttons, the one that it is taken for, from 0.
    map: [u8; 3],
    /// How many times as far a movement goes that is not for aiming.
    faster: i32,
    open: bool,
}

/// No button stands for another.
const SAME: [u8; 3] = [0, 1, 2];

impl State {
    /// Something has changed.
    fn put(&mut self, event: Event) {
        let same = self.waiting.back().is_some_and(|last| last.buttons == event.buttons);
        self.now = event;
        if !self.open {
            return;
        }
        if same || self.waiting.len() == DEEP {
            self.waiting.pop_back();
        }
        self.waiting.push_back(event);
    }

    fn moved(&mut self, m: Move, ms: u64) {
        let far = |d: i32| if d.abs() > AIM { d * self.faster } else { d };
        let x = (self.now.x + far(m.dx)).clamp(0, WIDTH - 1);
        let y = (self.now.y + far(m.dy)).clamp(0, HEIGHT - 1);
        let mapped = (0..).zip(self.map).map(|(n, to)| (m.buttons >> n & 1) << to);
        let buttons = mapped.fold(0, |all, one| all | one);
        let event = Event { x, y, buttons, ms };
        let wheel = if m.wheel < 0 { WHEEL_UP } else { WHEEL_DOWN };
        for _ in 0..m.wheel.abs().min(TURNS) {
            self.put(Event { buttons: buttons | wheel, ..event });
            self.put(event);
        }
        if m.wheel == 0 {
            self.put(event);
        }
    }
}

/// The device.
pub struct Mouse {
    state: Lock<State>,
    changed: Rendez,
    there: bool,
}

impl Mouse {
    /// A mouse in the middle of the screen, with or without a wheel; or none, and then there are no files.
    pub fn new(wheel: Option<bool>) -> Arc<Self> {
        Arc::new(Mouse {
            there: wheel.is_some(),
            state: Lock::new(State {
                packets: Packets::new(wheel == Some(true)),
                now: Event { x: WIDTH / 2, y: HEIGHT / 2, buttons: 0, ms: 0 },
                waiting: VecDeque::with_capacity(DEEP),
                map: SAME,
                faster: 1,
                open: false,
            }),
            changed: Rendez::new(),
        })
    }

    /// A byte of the device; in interrupt context.
    pub fn byte(&self, byte: u8) {
        {
            let mut state = self.state.lock();
            let Some(m) = state.packets.byte(byte) else { return };
            state.moved(m, clock::now_ns() / 1_000_000);
        }
        self.changed.wakeup();
    }

    fn read_mouse(&self, dst: &mut Dst<'_>) -> Result<usize> {
        let mut got = None;
        self.changed.sleep_intr(|| {
            got = self.state.lock().waiting.pop_front();
            got.is_some()
        })?;
        let Some(e) = got else { return Ok(0) };
        dst.put_from(format!("m{:>11} {:>11} {:>11} {:>11} ", e.x, e.y, e.buttons, e.ms).as_bytes(), 0)
    }

    /// `m x y` puts the mouse somewhere else.
    fn jump(&self, text: &str) -> Result<()> {
        let mut numbers = text.strip_prefix('m').ok_or(error::EBADARG)?.split_whitespace();
        let mut number = || numbers.next().and_then(|n| n.parse::<i32>().ok()).ok_or(error::EBADARG);
        let (x, y) = (number()?.clamp(0, WIDTH - 1), number()?.clamp(0, HEIGHT - 1));
        {
            let mut state = self.state.lock();
            let event = Event { x, y, ms: clock::now_ns() / 1_000_000, ..state.now };
            state.put(event);
        }
        self.changed.wakeup();
        Ok(())
    }

    fn control(&self, text: &str) -> Result<()> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut state = self.state.lock();
        match words.as_slice() {
            ["swap"] => {
                let [left, middle, right] = state.map;
                state.map = [right, middle, left];
            }
            ["buttonmap"] => state.map = SAME,
            ["linear"] => state.faster = 1,
            ["accelerated"] => state.faster = FASTER,
            ["accelerated", n] => {
                let n = n.parse().ok().filter(|n| (1..=FASTEST).contains(n));
                state.faster = n.ok_or(error::EBADCTL)?;
            }
            ["reset"] => (state.map, state.faster) = (SAME, 1),
            // What a mouse of QEMU's has one of, or does not have.
            ["res", "0" | "1" | "2" | "3"] | ["hwaccel", "on" | "off"] => {}
            ["ps2" | "ps2intellimouse" | "intellimouse"] => {}
            ["buttonmap", map] => {
                let digit = |b: &u8| b.checked_sub(b'1').filter(|n| *n < 3);
                let map: Vec<u8> = map.as_bytes().iter().filter_map(digit).collect();
                match *map.as_slice() {
                    [a, b, c] if a != b && b != c && a != c => state.map = [a, b, c],
                    _ => return Err(error::EBADCTL.into()),
                }
            }
            _ => return Err(error::EBADCTL.into()),
        }
        Ok(())
    }
}

/// Is this `mouse`, open for reading?
fn reads(c: &Chan) -> bool {
    c.qid.path == MOUSE && c.mode.is_some_and(|m| dirtab::access(m) & abi::AREAD != 0)
}

impl Dev for Mouse {
    fn letter(&self) -> char {
        'm'
    }

    fn name(&self) -> &'static str {
        "mouse"
    }

    fn list(&self, _up: &Arc<Proc>, _c: &Chan, _dir: Qid) -> Result<Vec<Entry>> {
        if !self.there {
            return Ok(Vec::new());
        }
        Ok(alloc::vec![Entry::file("mouse", MOUSE, 0o660), Entry::file("mousectl", MOUSECTL, 0o220)])
    }

    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        let mut c = dirtab::open(self, up, c, mode)?;
        if reads(&c) {
            let mut state = self.state.lock();
            if state.open {
                drop(state);
                // Not open after all: closing it must not end the other's use.
                c.mode = None;
                return Err(error::EINUSE.into());
            }
            state.open = true;
            state.waiting.clear();
        }
        Ok(c.share())
    }

    fn close(&self, c: &mut Chan) {
        if reads(c) {
            self.state.lock().open = false;
        }
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        match c.qid.path {
            MOUSE => self.read_mouse(dst),
            _ if c.qid.is_dir() => dirtab::read_dir(self, up, c, dst, offset),
            _ => Err(error::EPERM.into()),
        }
    }

    fn write(&self, _up: &Arc<Proc>, c: &Chan, src: &Src<'_>, _offset: u64) -> Result<usize> {
        let bytes = src.to_vec(MAXCTL)?;
        let text = core::str::from_utf8(&bytes).map_err(|_| error::EBADARG)?;
        if c.qid.path == MOUSE {
            self.jump(text)?
        } else {
            self.control(text)?
        }
        Ok(bytes.len())
    }

    fn is_stream(&self, c: &Chan) -> bool {
        c.qid.path == MOUSE
    }
}
