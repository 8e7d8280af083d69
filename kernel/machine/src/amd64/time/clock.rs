//! Time: the time stamp counter against a known clock at boot, and from then on alone.
//!
//! The known clock is the APIC timer, if QEMU or KVM make it: theirs counts nanoseconds, and takes a minute to go
//! round, so a host that stops the machine for a while spoils nothing. Or else it is the PIT's third counter, which
//! measures the APIC timer in the same few milliseconds; or the real-time clock, which takes a second or two; or else
//! an assumption, said aloud. The time of day begins as the board's clock has it, and follows its jumps when
//! somebody asks for that ([`catch_up`]).

use super::rtc;
use crate::amd64::cpu;
pub use crate::amd64::cpu::cycles;
use crate::amd64::dev::console::Console;
use crate::amd64::dev::io::Ports;
use crate::amd64::dev::lapic;
pub use crate::board_clock::BoardClock;
use crate::wall::Wall;
use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering};

/// The counter's value when time began.
static START: AtomicU64 = AtomicU64::new(0);
static HZ: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds in 2^32 cycles.
static SCALE: AtomicU64 = AtomicU64::new(0);
/// The time of day.
static WALL: Wall = Wall::new();

const PIT_HZ: u64 = 1_193_182;
/// Length of a measurement: 6 ms.
const PIT_TICKS: u64 = PIT_HZ * 6 / 1000;
const SECOND: u64 = 1_000_000_000;
/// What is assumed when nothing can be measured.
const GUESS_TSC: u64 = 1_000_000_000;
const GUESS_APIC: u64 = EMULATED_APIC;
/// Ticks a second of the APIC timer that QEMU and KVM make: a nanosecond each, divided by 16.
const EMULATED_APIC: u64 = SECOND / 16;

/// Cycles a second.
pub fn cycle_hz() -> u64 {
    HZ.load(Ordering::Relaxed)
}

/// How long that many cycles take.
pub fn cycles_to_ns(cycles: u64) -> u64 {
    ((u128::from(cycles) * u128::from(SCALE.load(Ordering::Relaxed))) >> 32) as u64
}

/// Nanoseconds since the clock was started; never goes back.
pub fn now_ns() -> u64 {
    ns_at(cycles())
}

/// The same for what the counter said.
#[inline]
fn ns_at(cycles: u64) -> u64 {
    cycles_to_ns(cycles.saturating_sub(START.load(Ordering::Relaxed)))
}

/// Nanoseconds since 1970.
pub fn wall_ns() -> i64 {
    WALL.at(now_ns())
}

/// The same for what the counter said, lately.
pub(crate) fn wall_ns_at(cycles: u64) -> i64 {
    WALL.at(ns_at(cycles))
}

/// Sets the time of day.
pub fn set_wall_ns(ns: i64) {
    WALL.set(now_ns(), ns);
}

/// Moves the time of day by `ns` within so many seconds, one at least; see `Wall::adjust`.
pub fn adjust_wall(ns: i64, seconds: u32) {
    WALL.adjust(now_ns(), ns, seconds);
}

/// Cycles in a second of the time of day: what was measured, until somebody knows better.
pub fn wall_hz() -> u64 {
    WALL.hz(cycle_hz())
}

/// Lets a second of the time of day be so many cycles. Says whether that can be: more than twice and less than half of
/// what was measured cannot.
pub fn set_wall_hz(hz: u64) -> bool {
    WALL.set_hz(now_ns(), hz, cycle_hz())
}

/// The board's clock, to be looked at again and again by [`catch_up`], by one thread; nothing without one.
pub fn board() -> Option<BoardClock> {
    reading().map(|(now, seconds)| BoardClock::new(now, seconds))
}

/// Moves the time of day by as much as the board's clock has gone further than the counter since it was looked at
/// last, as it does while QEMU is stopped. Says by how many seconds, if it has.
pub fn catch_up(board: &mut BoardClock) -> Option<i64> {
    let (now, seconds) = reading()?;
    let jump = board.look(now, seconds)?;
    WALL.step(now, jump.saturating_mul(SECOND as i64));
    Some(jump)
}

/// What counter and board say at one moment: nothing if the machine was stopped between them.
fn reading() -> Option<(u64, i64)> {
    let before = now_ns();
    let seconds = rtc::seconds_since_1970()?;
    let now = now_ns();
    (now - before < SECOND / 2).then_some((now, seconds))
}

/// Measures, starts the clock, and reads the time of day.
pub(crate) fn init() {
    lapic::init();
    // A host that stops us for as long as the PIT's counter takes to go round spoils a measurement, seldom two.
    let pit = || {
        let measured = (0..4).find_map(|_| match against_pit() {
            Pit::Rates(tsc, apic) => Some(Some((tsc, apic))),
            Pit::Absent => Some(None),
            Pit::WentRound => None,
        });
        measured.flatten()
    };
    let (tsc_hz, apic_hz) = against_apic().or_else(pit).or_else(against_rtc).unwrap_or_else(|| {
        let _ = writeln!(Console, "clock: neither PIT nor RTC: taking the time stamp counter for 1 GHz");
        (GUESS_TSC, GUESS_APIC)
    });
    HZ.store(tsc_hz, Ordering::Relaxed);
    SCALE.store(((u128::from(SECOND) << 32) / u128::from(tsc_hz)) as u64, Ordering::Relaxed);
    START.store(cycles(), Ordering::Relaxed);
    lapic::set_rate(apic_hz);
    if let Some(seconds) = rtc::seconds_since_1970() {
        set_wall_ns(seconds.saturating_mul(SECOND as i64));
    }
}

/// A moment: both counters, and what the known clock said between two looks at the first.
struct Moment {
    tsc: u64,
    apic: u32,
    pit: u64,
}

/// What the PIT has said.
enum Pit {
    /// Ticks a second of the time stamp counter and the APIC timer.
    Rates(u64, u64),
    /// There is none.
    Absent,
    /// Its counter went round while it was looked at: nobody knows how often.
    WentRound,
}

/// The PIT's third counter, which makes no interrupt: counts down from 65535, 55 ms, while its gate (port 0x61) is
/// open. When it comes to 0 it goes on from the top, and its output, bit 5 there, is set for good.
fn against_pit() -> Pit {
    const OUTPUT: u8 = 0x20;
    let pit = Ports::of_kernel(0x40, 4);
    let gate = Ports::of_kernel(0x61, 1);
    let before = gate.in8(0);
    gate.out8(0, before & !0x03 | 0x01); // gate open, speaker off
    pit.out8(3, 0xb0); // counter 2, low and high byte, mode 0, binary
    pit.out8(2, 0xff);
    pit.out8(2, 0xff);
    let has_output = gate.in8(0) & OUTPUT == 0; // microvm has no such port
    lapic::start_counting();
    let first = best_moment(&pit);
    let mut looks = 0;
    let mut last = moment(&pit);
    while first.pit.saturating_sub(last.pit) < PIT_TICKS {
        looks += 1;
        // A counter that stands still is no counter; a real one needs some thousand looks.
        if looks > 1000 && last.pit >= first.pit || looks > 10_000_000 {
            break;
        }
        last = moment(&pit);
    }
    let last = best_moment(&pit);
    let went_round = has_output && gate.in8(0) & OUTPUT != 0;
    gate.out8(0, before);
    if went_round {
        return Pit::WentRound;
    }
    rates(&first, &last).map_or(Pit::Absent, |(tsc, apic)| Pit::Rates(tsc, apic))
}

fn rates(first: &Moment, last: &Moment) -> Option<(u64, u64)> {
    let ticks = first.pit.checked_sub(last.pit).filter(|t| *t >= PIT_TICKS)?;
    let tsc = last.tsc.checked_sub(first.tsc)?;
    let apic = u64::from(last.apic.checked_sub(first.apic)?);
    let rate = |n: u64| (u128::from(n) * u128::from(PIT_HZ) / u128::from(ticks)) as u64;
    (tsc > 0 && apic > 0).then(|| (rate(tsc), rate(apic)))
}

/// Of some looks the one that took the least time: a host that shares its processor may stop us anywhere.
fn best_moment(pit: &Ports) -> Moment {
    let mut best = moment(pit);
    let mut best_took = u64::MAX;
    for _ in 0..5 {
        let before = cycles();
        let m = moment(pit);
        let took = cycles() - before;
        if took < best_took {
            (best, best_took) = (m, took);
        }
    }
    best
}

fn moment(pit: &Ports) -> Moment {
    pit.out8(3, 0x80); // latch counter 2
    let tsc = cycles();
    let apic = lapic::counted();
    let pit = u64::from(pit.in8(2)) | u64::from(pit.in8(2)) << 8;
    Moment { tsc, apic, pit }
}

/// The local APIC's timer in a virtual machine that is known for its rate.
fn against_apic() -> Option<(u64, u64)> {
    if !cpu::emulated_apic() {
        return None;
    }
    // Both counters at one moment: of some looks the one that took the least time, as with the PIT.
    let moment = || {
        let look = || {
            let tsc = cycles();
            let apic = lapic::counted();
            (cycles().wrapping_sub(tsc), tsc, apic)
        };
        let best = (0..6).map(|_| look()).min().unwrap_or_else(look);
        (best.1, best.2)
    };
    lapic::start_counting();
    let (tsc0, apic0) = moment();
    let enough = apic0.checked_add((EMULATED_APIC * 6 / 1000) as u32)?;
    if !(0..10_000_000u32).any(|_| lapic::counted() >= enough) {
        return None;
    }
    let (tsc, apic) = moment();
    let (cycles, ticks) = (u128::from(tsc.checked_sub(tsc0)?), u128::from(apic.checked_sub(apic0)?));
    let hz = (cycles * u128::from(EMULATED_APIC)).checked_div(ticks)?;
    Some((u64::try_from(hz).ok().filter(|hz| *hz > 0)?, EMULATED_APIC))
}

/// Between two changes of the real-time clock's second.
fn against_rtc() -> Option<(u64, u64)> {
    if !rtc::present() {
        return None;
    }
    let change = || {
        let old = rtc::second();
        (0..50_000_000u32).any(|_| rtc::second() != old).then(cycles)
    };
    lapic::start_counting();
    let (tsc0, apic0) = (change()?, lapic::counted());
    let (tsc1, apic1) = (change()?, lapic::counted());
    Some((
        tsc1.checked_sub(tsc0).filter(|n| *n > 0)?,
        u64::from(apic1.checked_sub(apic0).filter(|n| *n > 0)?),
    ))
}
