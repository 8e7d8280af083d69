//! The CMOS real-time clock: the time of day at boot, and a poor man's second for calibration.

use super::date;
use crate::amd64::dev::io::Ports;

const PORT: u16 = 0x70;
const SECONDS: u8 = 0x00;
const MINUTES: u8 = 0x02;
const HOURS: u8 = 0x04;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
/// QEMU and most firmware keep the century here.
const CENTURY: u8 = 0x32;
const UPDATING: u8 = 0x80;

fn read(register: u8) -> u8 {
    let p = Ports::of_kernel(PORT, 2);
    p.out8(0, register);
    p.in8(1)
}

/// Whether there is a clock: without one the bus answers ones.
pub fn present() -> bool {
    read(STATUS_A) != 0xff || read(STATUS_B) != 0xff
}

/// The second's register, only good for seeing it change.
pub fn second() -> u8 {
    read(SECONDS)
}

/// Seconds since 1970, or nothing without a clock that makes sense.
pub fn seconds_since_1970() -> Option<i64> {
    if !present() {
        return None;
    }
    let mut last = sample();
    // Two equal readings were not torn by an update; the chip updates once a second.
    for _ in 0..100 {
        let next = sample();
        if next == last {
            return date::to_seconds(next, read(STATUS_B));
        }
        last = next;
    }
    None
}

fn sample() -> [u8; 7] {
    for _ in 0..100_000 {
        if read(STATUS_A) & UPDATING == 0 {
            break;
        }
    }
    [SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, CENTURY].map(read)
}
