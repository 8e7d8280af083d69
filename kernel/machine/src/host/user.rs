//! User mode on the host: a closure plays the program.
//!
//! [`run`] asks, in this order: the thread's own program ([`set_user_program`]), straight code at the program
//! counter ([`super::program_at`], usually what a test wants), the machine's program
//! ([`set_default_user_program`]). A program given as a closure works on `ctx.regs` and on memory ([`load`],
//! [`store`]) and returns why it leaves user mode.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::RefCell;
use core::ops::Deref;
use std::sync::PoisonError;

use abi::layout::PAGE;
use abi::ureg::Ureg;

use super::machine::machine;
use super::space::AddressSpace;
use super::{chaos, clock, lock, thread};
pub use crate::types::{Event, FPU_SIZE, FpuState, Frame};
use crate::types::{WatchError, Watchpoint};

/// A program of one thread.
pub type Program = Box<dyn FnMut(&mut UserContext, &Arc<AddressSpace>) -> Event + Send>;
/// A program of all threads that have none of their own.
pub(super) type SharedProgram = Arc<dyn Fn(&mut UserContext, &Arc<AddressSpace>) -> Event + Send + Sync>;

std::thread_local! {
    static PROGRAM: RefCell<Option<Program>> = const { RefCell::new(None) };
}

/// Flags a program may set itself: arithmetic, direction, alignment check, CPUID.
const USER_FLAGS: u64 = 0x24_0cd5;
/// Flags that are always set in user mode: interrupts on, and the bit that reads as one.
const FIXED_FLAGS: u64 = 0x202;

/// A program's registers, for its own thread and for those who look at them.
#[derive(Clone)]
pub struct Regs(Arc<Frame>);

impl Deref for Regs {
    type Target = Frame;

    fn deref(&self) -> &Frame {
        &self.0
    }
}

/// A program that can be run.
pub struct UserContext {
    /// The general registers.
    pub regs: Regs,
    fpu: FpuState,
}

impl UserContext {
    /// The words above the top of the program's stack at a system call, which nobody reads on the host.
    pub fn args(&self) -> Option<&[u64; 6]> {
        None
    }

    /// They may be other ones by now.
    pub fn forget_args(&mut self) {}

    /// Plan 9's start values: all registers zero, a fresh floating-point unit, interrupts on.
    pub fn new() -> UserContext {
        let regs = Regs(Arc::new(Frame::new(&Ureg { flags: FIXED_FLAGS, ..Ureg::default() })));
        UserContext { regs, fpu: FpuState::new() }
    }

    /// Makes the floating-point unit fresh.
    pub fn fpu_reset(&mut self) {
        self.fpu = FpuState::new();
    }

    /// The floating-point registers.
    pub fn fpu_save(&mut self) -> FpuState {
        self.fpu
    }

    /// Replaces the floating-point registers.
    pub fn fpu_load(&mut self, state: &FpuState) {
        self.fpu = *state;
    }
}

/// The time of day, in nanoseconds since 1970, at a moment in the call of the calling thread.
pub fn wall_ns() -> i64 {
    super::clock::wall_ns()
}

impl Default for UserContext {
    fn default() -> UserContext {
        UserContext::new()
    }
}

/// Sets the calling thread's program.
pub fn set_user_program(program: Program) {
    PROGRAM.with(|p| *p.borrow_mut() = Some(program));
}

/// Sets the program of every thread of this machine that has none of its own.
pub fn set_default_user_program(
    program: impl Fn(&mut UserContext, &Arc<AddressSpace>) -> Event + Send + Sync + 'static,
) {
    *machine().program.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(program));
}

/// Has the calling thread's program watched at these places. On the host nothing comes of it, but that they are judged.
///
/// # Errors
/// There are too many, or one that no processor can watch.
pub fn watch(points: &[Watchpoint]) -> Result<(), WatchError> {
    if points.len() > 4 {
        return Err(WatchError::TooMany);
    }
    points.iter().try_for_each(Watchpoint::check)
}

/// Runs the program until it leaves user mode.
///
/// A waiting kick gives `Event::Interrupt` at once; a program counter outside the user half gives
/// `Event::Trap` 13. A thread without a program traps with 6, as if it found no instruction.
pub fn run(ctx: &mut UserContext, space: &Arc<AddressSpace>) -> Event {
    assert_eq!(lock::held(), 0, "user mode with a Lock held");
    let me = thread::current();
    if me.take_kick() || chaos::sometimes(16) {
        return Event::Interrupt;
    }
    ctx.regs.set_flags(ctx.regs.flags() & USER_FLAGS | FIXED_FLAGS);
    if ctx.regs.pc() >> 47 != 0 {
        return Event::Trap { vector: 13, error: 0 };
    }
    let since = clock::now_ns();
    // The program is taken out while it runs, so that it may replace itself.
    let own = PROGRAM.with(|p| p.borrow_mut().take());
    let event = if let Some(mut program) = own {
        let event = program(ctx, space);
        PROGRAM.with(|p| {
            p.borrow_mut().get_or_insert(program);
        });
        event
    } else if let Some(event) = super::program::run(ctx, space, &me) {
        event
    } else {
        let shared = machine().program.lock().unwrap_or_else(PoisonError::into_inner).clone();
        shared.map_or(Event::Trap { vector: 6, error: 0 }, |program| program(ctx, space))
    };
    if event == Event::Syscall {
        ctx.regs.set_kind(abi::ureg::SYSCALL);
    }
    me.add_user_ns(clock::now_ns() - since);
    event
}

/// What a program does to read memory.
///
/// # Errors
/// The page fault that the program is to return, after which it tries again.
pub fn load(space: &AddressSpace, va: u64, buf: &mut [u8]) -> Result<(), Event> {
    let mut done = 0;
    while done < buf.len() {
        let addr = va.wrapping_add(done as u64);
        let fault = Event::PageFault { addr, write: false, exec: false };
        let (page, _) = space.lookup(addr).ok_or(fault)?;
        let off = (addr % PAGE) as usize;
        let n = (buf.len() - done).min(PAGE as usize - off);
        page.read(off, &mut buf[done..done + n]);
        done += n;
    }
    Ok(())
}

/// What a program does to write memory.
///
/// # Errors
/// The page fault that the program is to return, after which it tries again.
pub fn store(space: &AddressSpace, va: u64, data: &[u8]) -> Result<(), Event> {
    let mut done = 0;
    while done < data.len() {
        let addr = va.wrapping_add(done as u64);
        let fault = Event::PageFault { addr, write: true, exec: false };
        let (page, prot) = space.lookup(addr).ok_or(fault)?;
        if !prot.write {
            return Err(fault);
        }
        let off = (addr % PAGE) as usize;
        let n = (data.len() - done).min(PAGE as usize - off);
        page.write(off, &data[done..done + n]);
        done += n;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;
    use crate::page::Page;
    use crate::space::Prot;
    use core::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn a_program_is_a_closure_with_registers_and_memory() {
        host::new_machine();
        let space = AddressSpace::new().unwrap();
        set_user_program(Box::new(|ctx, space| {
            // Copies a byte from 0x200000 to 0x201fff, which crosses no page, then calls the kernel.
            let mut b = [0; 2];
            if let Err(fault) = load(space, 0x20_0ffe, &mut b).and_then(|()| store(space, 0x20_1fff, &b)) {
                return fault;
            }
            ctx.regs.set_ax(ctx.regs.ax() + 1);
            Event::Syscall
        }));
        let mut ctx = UserContext::new();
        let fault = |addr, write| Event::PageFault { addr, write, exec: false };
        assert_eq!(run(&mut ctx, &space), fault(0x20_0ffe, false));
        let page = Page::new_zeroed().unwrap();
        page.write(0xffe, b"hi");
        space.map(0x20_0000, page, Prot::default()).unwrap();
        assert_eq!(run(&mut ctx, &space), fault(0x20_1fff, true));
        space.map(0x20_1000, Page::new_zeroed().unwrap(), Prot::default()).unwrap();
        assert_eq!(run(&mut ctx, &space), fault(0x20_1fff, true), "read-only");
        let (page, _) = space.lookup(0x20_1000).unwrap();
        space.map(0x20_1000, page, Prot { write: true, exec: false }).unwrap();
        assert_eq!(run(&mut ctx, &space), fault(0x20_2000, true));
        space.map(0x20_2000, Page::new_zeroed().unwrap(), Prot { write: true, exec: false }).unwrap();
        assert_eq!(run(&mut ctx, &space), Event::Syscall);
        let mut b = [0; 2];
        load(&space, 0x20_1fff, &mut b).unwrap();
        assert_eq!(&b, b"hi");
        assert_eq!(ctx.regs.ax(), 1);
    }

    #[test]
    fn registers_are_made_harmless() {
        host::new_machine();
        let space = AddressSpace::new().unwrap();
        set_default_user_program(|_, _| Event::Syscall);
        let mut ctx = UserContext::new();
        ctx.regs.set_flags(u64::MAX);
        assert_eq!(run(&mut ctx, &space), Event::Syscall);
        assert_eq!(ctx.regs.flags(), 0x24_0ed7);
        ctx.regs.set_pc(0x8000_0000_0000);
        assert_eq!(run(&mut ctx, &space), Event::Trap { vector: 13, error: 0 });
    }

    #[test]
    fn a_kick_or_an_interrupt_gets_it_out_once() {
        host::new_machine();
        let space = AddressSpace::new().unwrap();
        let runs = Arc::new(AtomicU64::new(0));
        let runs2 = runs.clone();
        set_user_program(Box::new(move |_, _| {
            runs2.fetch_add(1, Ordering::SeqCst);
            Event::Syscall
        }));
        let mut ctx = UserContext::new();
        let me = thread::current();
        me.kick();
        assert_eq!(run(&mut ctx, &space), Event::Interrupt);
        assert_eq!(run(&mut ctx, &space), Event::Syscall);
        me.interrupt();
        assert_eq!(run(&mut ctx, &space), Event::Interrupt);
        assert!(me.interrupted());
        me.clear_interrupt();
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        // A program that computes for ever asks whether it is wanted.
        set_user_program(Box::new(|_, _| {
            while !thread::current().host_kicked() {
                std::thread::yield_now();
            }
            Event::Interrupt
        }));
        let other = std::thread::spawn({
            let me = me.clone();
            move || {
                std::thread::sleep(core::time::Duration::from_millis(3));
                me.kick();
            }
        });
        let before = me.times().user_ns;
        assert_eq!(run(&mut ctx, &space), Event::Interrupt);
        assert!(me.times().user_ns >= before + 1_000_000);
        other.join().unwrap();
    }

    #[test]
    fn a_forked_thread_uses_the_machine_s_program_and_one_without_any_traps() {
        host::new_machine();
        let space = AddressSpace::new().unwrap();
        let mut ctx = UserContext::new();
        assert_eq!(run(&mut ctx, &space), Event::Trap { vector: 6, error: 0 });
        set_default_user_program(|ctx, _| {
            ctx.regs.set_cx(ctx.regs.ax() * 2);
            Event::Syscall
        });
        let child = crate::thread::spawn(
            "child",
            2,
            Box::new(move || {
                ctx.regs.set_ax(21);
                assert_eq!(run(&mut ctx, &space), Event::Syscall);
                assert_eq!(ctx.regs.cx(), 42);
            }),
        )
        .unwrap();
        child.host_join();
        assert_eq!(host::machine().panics(), 0);
    }

    #[test]
    fn floating_point_state_is_kept() {
        let mut ctx = UserContext::new();
        let mut s = *ctx.fpu_save().as_bytes();
        assert_eq!(s[0..2], [0x7f, 3]);
        s[160] = 9;
        ctx.fpu_load(&FpuState::from_bytes(&s));
        assert_eq!(ctx.fpu_save().as_bytes()[160], 9);
        ctx.fpu_reset();
        assert_eq!(ctx.fpu_save(), FpuState::new());
    }
}
