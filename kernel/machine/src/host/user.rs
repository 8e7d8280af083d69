//! User mode on the host: a closure plays the program.
//!
//! [`run`] calls the thread's program ([`set_user_program`]) or, when it has none, the machine's
//! ([`set_default_user_program`]); a thread made by a fork is told apart there by its registers. The program works on
//! `ctx.regs` and on memory ([`load`], [`store`]) and returns why it leaves user mode.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::RefCell;
use std::sync::PoisonError;

use abi::layout::PAGE;
use abi::ureg::Ureg;

use super::machine::machine;
use super::space::AddressSpace;
use super::{chaos, clock, lock, thread};
pub use crate::types::{Event, FPU_SIZE, FpuState};

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

/// The registers of a program while it is not running.
#[derive(Clone, Debug)]
pub struct UserContext {
    /// The general registers.
    pub regs: Ureg,
    fpu: FpuState,
}

impl UserContext {
    /// Plan 9's start values: all registers zero, a fresh floating-point unit, interrupts on.
    pub fn new() -> UserContext {
        UserContext { regs: Ureg { flags: FIXED_FLAGS, ..Ureg::default() }, fpu: FpuState::new() }
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
    ctx.regs.flags = ctx.regs.flags & USER_FLAGS | FIXED_FLAGS;
    if ctx.regs.pc >> 47 != 0 {
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
    } else {
        let shared = machine().program.lock().unwrap_or_else(PoisonError::into_inner).clone();
        shared.map_or(Event::Trap { vector: 6, error: 0 }, |program| program(ctx, space))
    };
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
