//! Running programs: user mode as a function that returns.
//!
//! `run` loads a program's registers and goes to user mode; whatever brings the processor back (a system call, a
//! fault, the timer) stores them again and becomes `run`'s result. Device interrupts are served inside; they end
//! `run` only when the thread was kicked or its turn is over.

pub use crate::amd64::sched::watch::watch;
pub use crate::types::{Event, FPU_SIZE, FpuState};

use super::desc::{USER_CODE, USER_DATA};
use super::entry;
use super::irq;
use crate::amd64::cpu::{self, Cpu};
use crate::amd64::mem::space::AddressSpace;
use crate::amd64::sched::balance;
use crate::amd64::sched::fpu::Area;
use crate::amd64::sched::thread::{self, Thread};
use crate::amd64::sched::watch as debug;
use abi::ureg::Ureg;
use alloc::sync::Arc;
use core::arch::asm;
use core::sync::atomic::Ordering;
use x86_64::instructions::interrupts;
use x86_64::registers::control::Cr2;

/// Flags a program may set: arithmetic, direction, alignment check, identification, and resumption, with which the next
/// instruction is not watched.
const FREE_FLAGS: u64 = 0x0025_0cd5;
const RESUME: u64 = 0x1_0000;
/// Flags that are always set: bit 1, and interrupts on.
const FIXED_FLAGS: u64 = 0x202;
/// First address that is not canonical.
const LOWER_HALF_END: u64 = 1 << 47;
const DEBUG: u64 = 1;
const PROTECTION: u8 = 13;
const PAGE_FAULT: u64 = 14;

/// A program's registers. The alignment puts the end of `regs` on a 16-byte boundary, where the processor
/// can push them.
#[repr(C, align(16))]
pub struct UserContext {
    filler: u64,
    /// The general registers.
    pub regs: Ureg,
    fpu: Arc<Area>,
    /// The exception that ended the last run, and the thread's kernel time then: what it costs is charged to it.
    served: Option<(u8, u64)>,
}

const _: () = assert!((core::mem::offset_of!(UserContext, regs) + size_of::<Ureg>()).is_multiple_of(16));

impl UserContext {
    /// Plan 9's start values: everything zero, interrupts on, a fresh FPU.
    pub fn new() -> UserContext {
        let selectors = Ureg {
            cs: u64::from(USER_CODE),
            ss: u64::from(USER_DATA),
            flags: FIXED_FLAGS,
            ..Ureg::default()
        };
        UserContext { filler: 0, regs: selectors, fpu: Arc::new(Area::new()), served: None }
    }

    /// Sets the FPU to its start values.
    pub fn fpu_reset(&mut self) {
        *self.fpu_here(false) = FpuState::new();
    }

    /// A copy of the FPU's registers.
    pub fn fpu_save(&mut self) -> FpuState {
        *self.fpu_here(true)
    }

    /// Sets the FPU's registers.
    pub fn fpu_load(&mut self, state: &FpuState) {
        *self.fpu_here(false) = *state;
    }

    /// The FPU state in memory; what is in the registers is stored first, or forgotten.
    fn fpu_here(&mut self, store: bool) -> &mut FpuState {
        interrupts::without_interrupts(|| {
            let live = self.fpu.live();
            if live != 0 {
                let me = thread::current_ref();
                assert!(live == me.id(), "the registers of a program that runs elsewhere were asked for");
                if store {
                    // SAFETY: they are in this processor's registers, by the assertion.
                    unsafe { self.fpu.save() };
                } else {
                    self.fpu.discard();
                }
                // SAFETY: the running thread owns this.
                unsafe { (*me.switched.get()).fpu = None };
            }
        });
        // SAFETY: `self` is borrowed exclusively and the state is not live.
        unsafe { self.fpu.state() }
    }
}

impl Default for UserContext {
    fn default() -> UserContext {
        UserContext::new()
    }
}

/// Runs the program until it leaves user mode for something the caller has to see to.
///
/// After `Event::Syscall`, `regs.pc` is behind the instruction and `cx` and `r11` hold what the processor put there;
/// all else is the program's. Flags and selectors are made safe before entry. A kick that is pending, or the end of
/// the thread's turn, gives `Event::Interrupt` before anything runs; a program counter outside the lower half gives
/// `Event::Trap` 13. The error of `Event::Trap` 1 has a bit for each [watchpoint](watch()) that was met.
pub fn run(ctx: &mut UserContext, space: &Arc<AddressSpace>) -> Event {
    assert!(interrupts::are_enabled(), "user mode with a Lock held or in an interrupt");
    let me = thread::current_ref();
    if let Some((vector, before)) = ctx.served.take() {
        me.charge(&me.sys_cycles);
        irq::charge_trap(vector, me.sys_cycles.load(Ordering::Relaxed).saturating_sub(before));
    }
    loop {
        if me.take_kick() || thread::need_resched() {
            return Event::Interrupt;
        }
        if ctx.regs.pc >= LOWER_HALF_END {
            return Event::Trap { vector: PROTECTION, error: 0 };
        }
        interrupts::disable();
        let cpu = cpu::this();
        // Anything that came between the look above and now waits behind the interrupt flag, but a kick or the end of
        // the turn by an interrupt in between must be seen.
        if thread::need_resched() || me.kick_pending() {
            interrupts::enable();
            continue;
        }
        if let Some(old) = space.activate() {
            interrupts::enable();
            drop(old); // perhaps a whole dead address space: with interrupts on
            continue;
        }
        balance::spread(cpu);
        enter(cpu, me, ctx);
        let vector = ctx.regs.kind;
        match vector {
            irq::SYSCALL => {
                interrupts::enable();
                return Event::Syscall;
            }
            0..32 => return exception(me, ctx),
            _ => {
                irq::dispatch(vector as u8);
                let ticks = cpu.ticked.take();
                if ticks != 0 {
                    interrupts::enable();
                    me.tick(ctx.regs.pc, ticks);
                    return Event::Interrupt;
                }
            }
        }
        interrupts::enable();
    }
}

/// Loads registers, goes to user mode, comes back. Interrupts are off before and after.
fn enter(cpu: &Cpu, me: &Thread, ctx: &mut UserContext) {
    let regs = &mut ctx.regs;
    regs.flags = regs.flags & FREE_FLAGS | FIXED_FLAGS;
    (regs.cs, regs.ss) = (u64::from(USER_CODE), u64::from(USER_DATA));
    // SYSRET takes the program counter from rcx and the flags from r11.
    let by_sysret = regs.cx == regs.pc && regs.r11 == regs.flags && regs.flags & RESUME == 0;
    if ctx.fpu.live() == 0 {
        ctx.fpu.load(cpu, me.id());
        // SAFETY: the running thread owns this.
        unsafe { (*me.switched.get()).fpu = Some(ctx.fpu.clone()) };
    } else {
        assert!(ctx.fpu.live() == me.id(), "a program's registers belong to another thread");
    }
    let end = &raw const ctx.regs as u64 + size_of::<Ureg>() as u64;
    cpu.frame_end.set(end);
    // SAFETY: this processor's own tables, interrupts off.
    unsafe { (*cpu.tables.get()).set_frame(end) };
    load_selectors(cpu, &ctx.regs);
    me.charge(&me.sys_cycles);
    me.in_user.store(true, Ordering::Relaxed);
    // SAFETY: flags, selectors and the program counter are safe; the address space has the kernel's half; the trap
    // entries store into `regs`, which nobody else uses meanwhile, and come back here.
    unsafe { entry::enter_user(&raw mut ctx.regs, u32::from(by_sysret)) };
    me.in_user.store(false, Ordering::Relaxed);
    me.charge(&me.user_cycles);
    if cpu.smap.get() {
        // A program's AC flag would let the kernel touch its memory.
        // SAFETY: the processor has SMAP, hence the instruction.
        unsafe { asm!("clac", options(nomem, nostack)) };
    }
    save_selectors(cpu, &mut ctx.regs);
}

fn exception(me: &Thread, ctx: &mut UserContext) -> Event {
    let address = Cr2::read_raw();
    if ctx.regs.kind == DEBUG {
        let (met, is_before) = debug::met(cpu::this());
        ctx.regs.error = met;
        // When the program goes on there, it gets past it.
        if is_before {
            ctx.regs.flags |= RESUME;
        }
    }
    interrupts::enable();
    let (vector, error) = (ctx.regs.kind, ctx.regs.error);
    irq::count_trap(vector as u8);
    ctx.served = Some((vector as u8, me.sys_cycles.load(Ordering::Relaxed)));
    if vector == PAGE_FAULT {
        return Event::PageFault { addr: address, write: error & 2 != 0, exec: error & 16 != 0 };
    }
    Event::Trap { vector: vector as u8, error }
}

/// Four selectors, as they are in the processor and as a `Ureg` has them.
type Selectors = [u16; 4];

fn selectors_of(regs: &Ureg) -> Selectors {
    [regs.ds, regs.es, regs.fs, regs.gs]
}

/// Stores the data selectors where the program's registers are, and notes that they are in the processor.
fn save_selectors(cpu: &Cpu, regs: &mut Ureg) {
    let mut now: Selectors = [0; 4];
    // SAFETY: stores four half words, there.
    unsafe {
        asm!("mov [{0}], ds", "mov [{0} + 2], es", "mov [{0} + 4], fs", "mov [{0} + 6], gs",
            in(reg) now.as_mut_ptr(), options(nostack, preserves_flags));
    }
    [regs.ds, regs.es, regs.fs, regs.gs] = now;
    cpu.selectors.set(now);
}

/// Loads the program's selectors where they differ: null, or the user data segment. Others it cannot have loaded.
fn load_selectors(cpu: &Cpu, regs: &Ureg) {
    // What was stored when a program last left user mode is still there: the kernel loads none of them.
    if selectors_of(regs) == cpu.selectors.get() {
        return;
    }
    let safe = |s: u16| if s == USER_DATA { s } else { 0 };
    let want = selectors_of(regs).map(safe);
    // SAFETY: null and the user data segment are always valid; loading GS changes its base, so it is done while the
    // program's base is in place and the kernel's is put aside. Interrupts are off.
    unsafe {
        asm!("mov ds, {0:x}", "mov es, {1:x}", "mov fs, {2:x}", "swapgs", "mov gs, {3:x}", "swapgs",
            in(reg) want[0], in(reg) want[1], in(reg) want[2], in(reg) want[3], options(nostack, preserves_flags));
    }
    cpu.selectors.set(want);
}
