//! The local APIC: end of interrupt, the one-shot timer, interrupts to other processors, and who we are.
//! Memory-mapped (xAPIC) as QEMU has it.

use super::io::Mmio;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Once;
use x86_64::instructions::interrupts;
use x86_64::registers::model_specific::Msr;

/// Vector of the timer.
pub const TIMER: u8 = 0xf0;
/// Vector that asks a processor to look at its run queue, and a program on it to leave user mode.
pub const LOOK: u8 = 0xf1;
/// Vector that asks a processor to throw away translations.
pub const FLUSH: u8 = 0xf2;
/// Vector of interrupts that turned out to be none.
pub const SPURIOUS: u8 = 0xff;

/// Bytes from its registers on: those and all addresses to which a write is an interrupt, so that nobody else gets
/// them.
const MESSAGES: usize = 1 << 20;
const BASE_MSR: u32 = 0x1b;
const BASE_ENABLE: u64 = 1 << 11;
const BASE_X2APIC: u64 = 1 << 10;
const ID: usize = 0x20;
const TASK_PRIORITY: usize = 0x80;
const EOI: usize = 0xb0;
const SPURIOUS_VECTOR: usize = 0xf0;
const COMMAND: usize = 0x300;
const COMMAND_TARGET: usize = 0x310;
const LVT_TIMER: usize = 0x320;
const LVT_LINT0: usize = 0x350;
const LVT_LINT1: usize = 0x360;
const LVT_ERROR: usize = 0x370;
const INITIAL_COUNT: usize = 0x380;
const CURRENT_COUNT: usize = 0x390;
const DIVIDE: usize = 0x3e0;
const ENABLE: u32 = 1 << 8;
const MASKED: u32 = 1 << 16;
/// Of the command register: what is sent, that it is asserted, that it goes to all but the sender, and that the last
/// one is still on its way.
const NMI: u32 = 4 << 8;
const INIT: u32 = 5 << 8;
const STARTUP: u32 = 6 << 8;
const ASSERT: u32 = 1 << 14;
const ALL_OTHERS: u32 = 3 << 18;
const PENDING: u32 = 1 << 12;
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
    let registers = REGISTERS.call_once(|| match Mmio::map(base & 0x000f_ffff_ffff_f000, MESSAGES) {
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

/// The same for a context that must not fail: 0 while the APIC has not been found.
pub fn id_if_known() -> u32 {
    REGISTERS.get().map_or(0, |r| r.read32(ID) >> 24)
}

/// Highest APIC id that can be sent to: 255 is everybody.
pub const MAX_ID: u32 = 254;

/// Sends an interrupt to the processor with this APIC id.
pub fn send(target: u32, vector: u8) {
    command(target, u32::from(vector) | ASSERT);
}

/// Sends a non-maskable interrupt to all other processors.
pub fn send_nmi_to_others() {
    if REGISTERS.get().is_some() {
        command(0, NMI | ASSERT | ALL_OTHERS);
    }
}

/// Resets a processor: it waits for a start-up from then on.
pub fn send_init(target: u32) {
    command(target, INIT | ASSERT);
}

/// Lets a processor that waits for it begin in real mode at the start of the page number `page`.
pub fn send_startup(target: u32, page: u8) {
    command(target, STARTUP | ASSERT | u32::from(page));
}

/// Two writes that no interrupt handler's may come between.
fn command(target: u32, what: u32) {
    let registers = registers();
    interrupts::without_interrupts(|| {
        registers.write32(COMMAND_TARGET, target << 24);
        registers.write32(COMMAND, what);
        // QEMU delivers at once; a real one takes a little.
        while registers.read32(COMMAND) & PENDING != 0 {
            core::hint::spin_loop();
        }
    });
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
    start_timer();
}

/// Lets this processor's timer interrupt, once it is set.
pub fn start_timer() {
    registers().write32(INITIAL_COUNT, 0);
    registers().write32(LVT_TIMER, u32::from(TIMER));
}

/// Fires the timer once, `ns` from now, or as late as it can.
pub fn fire_in(ns: u64) {
    let ticks = u128::from(ns) * u128::from(RATE.load(Ordering::Relaxed)) / 1_000_000_000;
    registers().write32(INITIAL_COUNT, u32::try_from(ticks).unwrap_or(u32::MAX).max(1));
}
