//! Running programs: user mode as a function that returns.
//!
//! `run` loads a program's registers and goes to user mode; whatever brings the processor back (a system call, a
//! fault, an interrupt, which has been served then) stores them again and becomes `run`'s result.
//!
//! Every call of a program goes this way twice, so what most of them need is inlined into whoever runs programs, and
//! what few need is not.

pub use crate::amd64::sched::watch::watch;
pub use crate::types::{Event, FPU_SIZE, FpuState, Frame};

use super::desc::{USER_CODE, USER_DATA};
use super::entry;
use super::irq;
use crate::amd64::cpu::{self, Cpu};
use crate::amd64::interrupts;
use crate::amd64::mem::space::AddressSpace;
use crate::amd64::sched::balance;
use crate::amd64::sched::fpu::Area;
use crate::amd64::sched::thread::{self, Thread};
use crate::amd64::sched::watch as debug;
use crate::amd64::time::clock;
use abi::syscall;
use abi::ureg::Ureg;
use alloc::sync::Arc;
use core::arch::asm;
use core::ops::Deref;
use core::sync::atomic::Ordering;
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

/// A program's registers, for its own thread and for those who look at them.
#[derive(Clone)]
pub struct Regs(Arc<Area>);

impl Deref for Regs {
    type Target = Frame;

    #[inline]
    fn deref(&self) -> &Frame {
        &self.0.frame
    }
}

/// A program that can be run.
pub struct UserContext {
    /// The general registers.
    pub regs: Regs,
    /// The six words above the top of the program's stack when it left user mode for a system call that has arguments.
    /// (They are written in place: as an `Option` they would be carried about in registers.)
    words: [u64; 6],
    has_words: bool,
    /// The exception that ended the last run, and the thread's kernel time then: what it costs is charged to it.
    served: Option<(u8, u64)>,
}

impl UserContext {
    /// Plan 9's start values: everything zero, interrupts on, a fresh FPU.
    pub fn new() -> UserContext {
        let selectors = Ureg {
            cs: u64::from(USER_CODE),
            ss: u64::from(USER_DATA),
            flags: FIXED_FLAGS,
            ..Ureg::default()
        };
        UserContext {
            regs: Regs(Arc::new(Area::new(&selectors))),
            words: [0; 6],
            has_words: false,
            served: None,
        }
    }

    /// The six words above the top of the program's stack when it left user mode for a system call that has arguments,
    /// if they were there to be read.
    #[inline]
    pub fn args(&self) -> Option<&[u64; 6]> {
        self.has_words.then_some(&self.words)
    }

    /// They may be other ones by now.
    pub fn forget_args(&mut self) {
        self.has_words = false;
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
            let live = self.regs.0.live();
            if live != 0 {
                let me = thread::current_ref();
                assert!(live == me.id(), "the registers of a program that runs elsewhere were asked for");
                if store {
                    // SAFETY: they are in this processor's registers, by the assertion.
                    unsafe { self.regs.0.save() };
                } else {
                    self.regs.0.discard();
                }
                // SAFETY: the running thread owns this.
                unsafe { (*me.switched.get()).fpu = None };
            }
        });
        // SAFETY: `self` is borrowed exclusively and the state is not live.
        unsafe { self.regs.0.state() }
    }
}

impl Default for UserContext {
    fn default() -> UserContext {
        UserContext::new()
    }
}

/// Runs the program until it leaves user mode for something the caller has to see to.
///
/// After `Event::Syscall`, `regs` has the program counter behind the instruction, and in `cx` and `r11` what the
/// processor put there; all else is the program's. Flags and selectors are made safe before entry. A kick that is
/// pending, or the end of the thread's turn, gives `Event::Interrupt` before anything runs; a program counter outside
/// the lower half gives `Event::Trap` 13. The error of `Event::Trap` 1 has a bit for each [watchpoint](watch()) that
/// was met.
#[inline]
pub fn run(ctx: &mut UserContext, space: &Arc<AddressSpace>) -> Event {
    debug_assert!(interrupts::are_enabled(), "user mode with a Lock held or in an interrupt");
    let me = thread::current_ref();
    if ctx.served.is_some() {
        charge_served(me, ctx);
    }
    interrupts::disable();
    let cpu = cpu::this();
    if cpu.need_resched.load(Ordering::Relaxed) || me.kick_pending() {
        interrupts::enable();
        me.take_kick();
        return Event::Interrupt;
    }
    if ctx.regs.pc() >= LOWER_HALF_END {
        interrupts::enable();
        return Event::Trap { vector: PROTECTION, error: 0 };
    }
    if !space.is_loaded(cpu) && !load(space) {
        return Event::Interrupt;
    }
    if cpu.waiting.load(Ordering::SeqCst) > 0 {
        balance::spread(cpu);
    }
    enter(cpu, me, ctx);
    match ctx.regs.kind() {
        irq::SYSCALL => {
            if syscall::has_arguments(ctx.regs.bp()) {
                ctx.has_words = space.read_here(cpu, ctx.regs.sp().wrapping_add(8), &mut ctx.words);
            }
            interrupts::enable();
            Event::Syscall
        }
        // SYSCALL has cleared a program's AC flag; a trap leaves it.
        kind => {
            forbid_user_memory(cpu);
            if kind < 32 { exception(me, ctx) } else { interrupted(cpu, me, ctx, kind) }
        }
    }
}

/// The time of day, in nanoseconds since 1970, when the calling thread came out of user mode, or on to the processor
/// since: in a system call a moment after its beginning, which is known without another look at the counter.
#[inline]
pub fn wall_ns() -> i64 {
    clock::wall_ns_at(thread::current_ref().stamp.load(Ordering::Relaxed))
}

/// What serving the last exception has cost, up to here.
#[inline(never)]
fn charge_served(me: &Thread, ctx: &mut UserContext) {
    if let Some((vector, before)) = ctx.served.take() {
        me.charge(&me.sys_cycles);
        irq::charge_trap(vector, me.sys_cycles.load(Ordering::Relaxed).saturating_sub(before));
    }
}

/// Loads an address space, with interrupts off. False when they have been on since, and are: then everything is to be
/// looked at again.
#[inline(never)]
fn load(space: &Arc<AddressSpace>) -> bool {
    let Some(old) = space.activate() else { return true };
    interrupts::enable();
    drop(old); // perhaps a whole dead address space: with interrupts on
    false
}

/// Serves an interrupt that came in user mode; interrupts are on afterwards.
#[inline(never)]
fn interrupted(cpu: &Cpu, me: &Thread, ctx: &UserContext, vector: u64) -> Event {
    irq::dispatch(vector as u8);
    let ticks = cpu.ticked.take();
    interrupts::enable();
    if ticks != 0 {
        me.tick(ctx.regs.pc(), ticks);
    }
    Event::Interrupt
}

/// Loads registers, goes to user mode, comes back. Interrupts are off before and after.
#[inline(always)]
fn enter(cpu: &Cpu, me: &Thread, ctx: &UserContext) {
    let regs: &Frame = &ctx.regs;
    let flags = regs.flags() & FREE_FLAGS | FIXED_FLAGS;
    regs.set_flags(flags);
    // SYSRET takes the program counter from rcx and the flags from r11, and the selectors from nowhere.
    let by_sysret = regs.cx() == regs.pc() && regs.r11() == flags && flags & RESUME == 0;
    if !by_sysret {
        regs.set_cs(u64::from(USER_CODE));
        regs.set_ss(u64::from(USER_DATA));
    }
    if ctx.regs.0.live() != me.id() {
        load_fpu(cpu, me, &ctx.regs.0);
    }
    let frame = regs.place();
    let end = frame as u64 + size_of::<Ureg>() as u64;
    cpu.frame_end.set(end);
    // SAFETY: this processor's own tables, interrupts off.
    unsafe { (*cpu.tables.get()).set_frame(end) };
    // What was stored when a program last left user mode is still there: the kernel loads none of them.
    if regs.selectors() != cpu.selectors.get() {
        load_selectors(cpu, regs.selectors());
    }
    me.charge(&me.sys_cycles);
    me.in_user.store(true, Ordering::Relaxed);
    regs.change();
    // SAFETY: flags, selectors and the program counter are safe; the address space has the kernel's half; the trap
    // entries store into the frame, whose words anybody may look at meanwhile, and come back here. All registers but
    // rbx and rbp, which `enter_user` keeps, are given up.
    unsafe {
        asm!("call {enter}", enter = sym entry::enter_user,
            inout("rdi") frame => _, inout("esi") u32::from(by_sysret) => _,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _, clobber_abi("sysv64"));
    }
    regs.set_selectors(stored_selectors(cpu));
    regs.changed();
    me.in_user.store(false, Ordering::Relaxed);
    me.charge(&me.user_cycles);
}

/// Clears a program's AC flag, which would let the kernel touch its memory.
#[inline(always)]
fn forbid_user_memory(cpu: &Cpu) {
    if cpu.smap.get() {
        // SAFETY: the processor has SMAP, hence the instruction.
        unsafe { asm!("clac", options(nomem, nostack)) };
    }
}

/// Puts a program's FPU state into the registers of the processor, with interrupts off.
#[inline(never)]
fn load_fpu(cpu: &Cpu, me: &Thread, area: &Arc<Area>) {
    assert!(area.live() == 0, "a program's registers belong to another thread");
    area.load(cpu, me.id());
    // SAFETY: the running thread owns this.
    unsafe { (*me.switched.get()).fpu = Some(area.clone()) };
}

#[inline(never)]
fn exception(me: &Thread, ctx: &mut UserContext) -> Event {
    let address = Cr2::read_raw();
    let (vector, mut error) = (ctx.regs.kind(), ctx.regs.error());
    if vector == DEBUG {
        let (met, is_before) = debug::met(cpu::this());
        error = met;
        ctx.regs.set_error(met);
        // When the program goes on there, it gets past it.
        if is_before {
            ctx.regs.set_flags(ctx.regs.flags() | RESUME);
        }
    }
    interrupts::enable();
    irq::count_trap(vector as u8);
    ctx.served = Some((vector as u8, me.sys_cycles.load(Ordering::Relaxed)));
    if vector == PAGE_FAULT {
        return Event::PageFault { addr: address, write: error & 2 != 0, exec: error & 16 != 0 };
    }
    Event::Trap { vector: vector as u8, error }
}

/// The data selectors as they are in the processor, in the order in which a `Ureg` has them, and notes that they are
/// there.
#[inline(always)]
fn stored_selectors(cpu: &Cpu) -> u64 {
    let mut now = 0u64;
    // SAFETY: stores four half words, there.
    unsafe {
        asm!("mov [{0}], ds", "mov [{0} + 2], es", "mov [{0} + 4], fs", "mov [{0} + 6], gs",
            in(reg) &raw mut now, options(nostack, preserves_flags));
    }
    cpu.selectors.set(now);
    now
}

/// Loads a program's selectors: null, or the user data segment. Others it cannot have loaded.
#[inline(never)]
fn load_selectors(cpu: &Cpu, selectors: u64) {
    let safe = |at: u32| if (selectors >> at) as u16 == USER_DATA { USER_DATA } else { 0 };
    let want = [safe(0), safe(16), safe(32), safe(48)];
    // SAFETY: null and the user data segment are always valid; loading GS changes its base, so it is done while the
    // program's base is in place and the kernel's is put aside. Interrupts are off.
    unsafe {
        asm!("mov ds, {0:x}", "mov es, {1:x}", "mov fs, {2:x}", "swapgs", "mov gs, {3:x}", "swapgs",
            in(reg) want[0], in(reg) want[1], in(reg) want[2], in(reg) want[3], options(nostack, preserves_flags));
    }
    cpu.selectors.set(want.iter().rev().fold(0, |all, s| all << 16 | u64::from(*s)));
}
