//! The local APIC: end of interrupt, the one-shot timer, and who we are. Memory-mapped (xAPIC) as QEMU has it.

use super::io::Mmio;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Once;
use x86_64::registers::model_specific::Msr;

/// Vector of the timer.
pub const TIMER: u8 = 0xf0;
/// Vector of interrupts that turned out to be none.
pub const SPURIOUS: u8 = 0xff;

const BASE_MSR: u32 = 0x1b;
const BASE_ENABLE: u64 = 1 << 11;
const BASE_X2APIC: u64 = 1 << 10;
const ID: usize = 0x20;
const TASK_PRIORITY: usize = 0x80;
const EOI: usize = 0xb0;
const SPURIOUS_VECTOR: usize = 0xf0;
const LVT_TIMER: usize = 0x320;
const LVT_LINT0: usize = 0x350;
const LVT_LINT1: usize = 0x360;
const LVT_ERROR: usize = 0x370;
const INITIAL_COUNT: usize = 0x380;
const CURRENT_COUNT: usize = 0x390;
const DIVIDE: usize = 0x3e0;
const ENABLE: u32 = 1 << 8;
const MASKED: u32 = 1 << 16;
/// Divide the timer's input by 16.
const BY_16: u32 = 3;

static REGISTERS: Once<Mmio> = Once::new();
/// Timer ticks a second.
static RATE: AtomicU64 = AtomicU64::new(0);

fn registers() -> &'static Mmio {
    match REGISTERS.get() {
        Some(r) => r,
        None => panic!("local APIC used before it was found"),
    }
}

/// Finds and enables this processor's APIC; timer and local lines masked.
pub fn init() {
    let mut msr = Msr::new(BASE_MSR);
    // SAFETY: every processor with a 64-bit mode has this register; the bit written enables the APIC.
    let base = unsafe {
        let base = msr.read();
        assert!(base & BASE_X2APIC == 0, "the firmware left the local APIC in x2APIC mode");
        msr.write(base | BASE_ENABLE);
        base
    };
    let registers = REGISTERS.call_once(|| match Mmio::map(base & 0x000f_ffff_ffff_f000, 4096) {
        Ok(r) => r,
        Err(_) => panic!("no memory to map the local APIC"),
    });
    registers.write32(TASK_PRIORITY, 0);
    registers.write32(LVT_TIMER, MASKED | u32::from(TIMER));
    registers.write32(LVT_LINT0, MASKED);
    registers.write32(LVT_LINT1, MASKED);
    registers.write32(LVT_ERROR, MASKED);
    registers.write32(DIVIDE, BY_16);
    registers.write32(SPURIOUS_VECTOR, ENABLE | u32::from(SPURIOUS));
    registers.write32(EOI, 0);
}

/// This processor's APIC id.
pub fn id() -> u32 {
    registers().read32(ID) >> 24
}

/// Says that the interrupt has been served.
pub fn eoi() {
    registers().write32(EOI, 0);
}

/// Lets the timer count down from its maximum without an interrupt, for calibration.
pub fn start_counting() {
    registers().write32(LVT_TIMER, MASKED | u32::from(TIMER));
    registers().write32(INITIAL_COUNT, u32::MAX);
}

/// Ticks since `start_counting`.
pub fn counted() -> u32 {
    u32::MAX - registers().read32(CURRENT_COUNT)
}

/// Ends calibration: the timer's rate is known and its interrupt let through.
pub fn set_rate(hz: u64) {
    RATE.store(hz.max(1), Ordering::Relaxed);
    registers().write32(INITIAL_COUNT, 0);
    registers().write32(LVT_TIMER, u32::from(TIMER));
}

/// Fires the timer once, `ns` from now, or as late as it can.
pub fn fire_in(ns: u64) {
    let ticks = u128::from(ns) * u128::from(RATE.load(Ordering::Relaxed)) / 1_000_000_000;
    registers().write32(INITIAL_COUNT, u32::try_from(ticks).unwrap_or(u32::MAX).max(1));
}
