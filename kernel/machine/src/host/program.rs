//! User programs written as straight code: a closure that computes, touches memory and makes system calls.
//!
//! [`program_at`] says what code is found at an address. When [`super::user::run`] is to go on at that address it
//! starts the code on a thread of its own and hands it the registers; the code's first fault, system call or trap
//! hands them back, and `run` returns that event. When `run` is called again with the program counter that was left,
//! the code goes on behind it. So the code looks as it would on the real machine:
//!
//! ```
//! use machine::host::program_at;
//! program_at(0x20_0028, |cpu| {
//!     let name = cpu.string("/dev/null");
//!     let fd = cpu.syscall(14, &[name, 0]); // open; faults on the stack are the kernel's business
//!     cpu.syscall(4, &[fd]); // close
//! });
//! ```
//!
//! Every place where code can be left has a program counter of its own, which is never used again. That makes the rest
//! follow: a note's handler is code at another address that runs on top and goes away when the kernel goes back to
//! where the code below was left; exec is code that is never gone back to; a forked child begins at a place where
//! [`Cpu::fork`] has left the child's code.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use abi::ureg::Ureg;

use super::machine::{Machine, machine};
use super::space::AddressSpace;
use super::thread::ThreadRef;
use super::user::{self, Event, FpuState, UserContext};

type Code = Arc<dyn Fn(&mut Cpu) + Send + Sync>;
type ChildCode = Box<dyn FnOnce(&mut Cpu) + Send>;

/// Where code was left; the first is far above what programs map.
static NEXT_PC: AtomicU64 = AtomicU64::new(0x7000_0000_0000);

/// What code a machine has.
#[derive(Default)]
pub(super) struct Programs {
    at: Mutex<BTreeMap<u64, Code>>,
    /// Code of forked children that have not begun, by the place where their parents were left.
    children: Mutex<BTreeMap<u64, ChildCode>>,
}

/// Says that `code` is what this machine's programs find at `address`. The address must be mapped for execution when
/// it is reached, else the program faults there.
pub fn program_at(address: u64, code: impl Fn(&mut Cpu) + Send + Sync + 'static) {
    machine().programs.at.lock().unwrap_or_else(PoisonError::into_inner).insert(address, Arc::new(code));
}

/// From the kernel: go on.
struct Resume {
    regs: Ureg,
    fpu: FpuState,
    space: Arc<AddressSpace>,
    thread: ThreadRef,
}

/// To the kernel: the program has left user mode.
struct Leave {
    regs: Ureg,
    fpu: FpuState,
    event: Event,
}

/// A piece of running code, as the kernel thread sees it. Dropping it ends the code where it stands.
struct Frame {
    resume: Sender<Resume>,
    leave: Receiver<Leave>,
    /// Where it was left.
    pc: u64,
}

std::thread_local! {
    /// The code of this kernel thread's process, handlers on top of what they interrupted.
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Goes on at `ctx.regs.pc`; `None` when there is no code.
pub(super) fn run(ctx: &mut UserContext, space: &Arc<AddressSpace>, thread: &ThreadRef) -> Option<Event> {
    let pc = ctx.regs.pc();
    let m = machine();
    let suspended = FRAMES.with(|f| f.borrow().iter().rposition(|frame| frame.pc == pc));
    if let Some(at) = suspended {
        // Whatever stood on top is finished: the kernel has gone back.
        FRAMES.with(|f| f.borrow_mut().truncate(at + 1));
    } else if let Some(child) = m.programs.children.lock().unwrap_or_else(PoisonError::into_inner).remove(&pc)
    {
        start(&m, child);
    } else {
        let code = m.programs.at.lock().unwrap_or_else(PoisonError::into_inner).get(&pc).cloned()?;
        if !space.lookup(pc).is_some_and(|(_, prot)| prot.exec) {
            return Some(Event::PageFault { addr: pc, write: false, exec: true });
        }
        start(&m, Box::new(move |cpu| code(cpu)));
    }
    let mut frame = FRAMES.with(|f| f.borrow_mut().pop())?;
    let (regs, fpu) = (ctx.regs.get(), ctx.fpu_save());
    let resume = Resume { regs, fpu, space: space.clone(), thread: thread.clone() };
    ctx.regs.change();
    let left = frame.resume.send(resume).ok().and_then(|()| frame.leave.recv().ok());
    ctx.regs.changed();
    let Some(left) = left else {
        // The code returned or panicked: what lies behind its end is no instruction.
        return Some(Event::Trap { vector: 6, error: 0 });
    };
    ctx.regs.put(&left.regs);
    ctx.fpu_load(&left.fpu);
    frame.pc = left.regs.pc;
    FRAMES.with(|f| f.borrow_mut().push(frame));
    Some(left.event)
}

fn start(m: &Arc<Machine>, code: ChildCode) {
    let (resume, from_kernel) = channel();
    let (to_kernel, leave) = channel();
    let home = m.clone();
    // The thread ends by itself when the frame is dropped.
    std::thread::spawn(move || {
        home.enter();
        let Ok(first) = from_kernel.recv() else { return };
        let Resume { regs, fpu, space, thread } = first;
        let mut cpu = Cpu { regs, fpu, space: Some(space), thread, from_kernel, to_kernel };
        let count = CountPanic(&home);
        code(&mut cpu);
        drop(count);
    });
    FRAMES.with(|f| f.borrow_mut().push(Frame { resume, leave, pc: 0 }));
}

/// Counts a panic of a program (a failed assertion in it) as one of the machine's.
struct CountPanic<'a>(&'a Machine);

/// What ends code whose frame was dropped; not a failure.
struct Abandoned;

std::thread_local! {
    static ABANDONED: core::cell::Cell<bool> = const { core::cell::Cell::new(false) };
}

impl Drop for CountPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && !ABANDONED.get() {
            self.0.panics.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// What a program sees of its processor.
pub struct Cpu {
    /// The general registers. `pc` is not a place of the closure's; do not set it.
    pub regs: Ureg,
    /// The floating-point registers.
    pub fpu: FpuState,
    /// Taken away while the program is not running.
    space: Option<Arc<AddressSpace>>,
    thread: ThreadRef,
    from_kernel: Receiver<Resume>,
    to_kernel: Sender<Leave>,
}

impl Cpu {
    /// Leaves user mode at a new place and returns when the kernel goes back there.
    fn leave(&mut self, event: Event) {
        self.leave_at(event, NEXT_PC.fetch_add(16, Ordering::Relaxed));
    }

    fn leave_at(&mut self, event: Event, pc: u64) {
        self.regs.pc = pc;
        self.space = None;
        let left = Leave { regs: self.regs, fpu: self.fpu, event };
        let back = self.to_kernel.send(left).ok().and_then(|()| self.from_kernel.recv().ok());
        let Some(back) = back else {
            ABANDONED.set(true);
            std::panic::resume_unwind(Box::new(Abandoned))
        };
        (self.regs, self.fpu, self.thread) = (back.regs, back.fpu, back.thread);
        self.space = Some(back.space);
    }

    /// Does `access` until it does not fault.
    fn retry(&mut self, mut access: impl FnMut(&AddressSpace) -> Result<(), Event>) {
        self.pause();
        while let Some(Err(fault)) = self.space.as_deref().map(&mut access) {
            self.leave(fault);
        }
    }

    /// Gives an interrupt the chance that it has between any two instructions. Loops of pure computation call it.
    pub fn pause(&mut self) {
        while self.thread.take_kick() {
            self.leave(Event::Interrupt);
        }
    }

    /// Reads memory.
    pub fn load(&mut self, va: u64, buf: &mut [u8]) {
        self.retry(|space| user::load(space, va, buf));
    }

    /// Writes memory.
    pub fn store(&mut self, va: u64, data: &[u8]) {
        self.retry(|space| user::store(space, va, data));
    }

    /// Reads a word of eight bytes.
    pub fn load_u64(&mut self, va: u64) -> u64 {
        let mut b = [0; 8];
        self.load(va, &mut b);
        u64::from_le_bytes(b)
    }

    /// Writes a word of eight bytes.
    pub fn store_u64(&mut self, va: u64, value: u64) {
        self.store(va, &value.to_le_bytes());
    }

    /// Runs the instruction `rep stosq` that stands at `pc`: stores `ax` at `di`, `cx` times over.
    pub fn rep_stosq(&mut self, pc: u64) {
        self.pause();
        while self.regs.cx > 0 {
            let (di, word) = (self.regs.di, self.regs.ax.to_le_bytes());
            match self.space.as_deref().map(|space| user::store(space, di, &word)) {
                Some(Err(fault)) => self.leave_at(fault, pc),
                _ => (self.regs.di, self.regs.cx) = (di.wrapping_add(8), self.regs.cx - 1),
            }
        }
    }

    /// Puts bytes on the stack and gives their address. They stay until the code ends.
    pub fn push(&mut self, data: &[u8]) -> u64 {
        let sp = (self.regs.sp.wrapping_sub(data.len() as u64)) & !15;
        self.regs.sp = sp;
        self.store(sp, data);
        sp
    }

    /// Puts a string with its terminating zero on the stack and gives its address.
    pub fn string(&mut self, text: &str) -> u64 {
        let mut bytes = Vec::from(text);
        bytes.push(0);
        self.push(&bytes)
    }

    /// Makes a system call as Plan 9 does on amd64: number in RBP, arguments on the stack above the return address.
    /// Gives RAX. A call that does not come back (exits, exec, noted) ends the closure here.
    pub fn syscall(&mut self, number: u64, args: &[u64]) -> u64 {
        self.syscall_at(number, args, NEXT_PC.fetch_add(16, Ordering::Relaxed))
    }

    /// Makes a system call that makes a process; the child's code is `child`. The child finds the parent's registers
    /// and memory as the kernel gave them to it.
    pub fn fork(&mut self, number: u64, args: &[u64], child: impl FnOnce(&mut Cpu) + Send + 'static) -> u64 {
        let pc = NEXT_PC.fetch_add(16, Ordering::Relaxed);
        let m = machine();
        let children = || m.programs.children.lock().unwrap_or_else(PoisonError::into_inner);
        children().insert(pc, Box::new(child));
        let pid = self.syscall_at(number, args, pc);
        if pid as i64 <= 0 {
            children().remove(&pc);
        }
        pid
    }

    fn syscall_at(&mut self, number: u64, args: &[u64], pc: u64) -> u64 {
        let frame = self.regs.sp.wrapping_sub(8 * (args.len() as u64 + 1)) & !15;
        for (slot, value) in (1..).zip(args) {
            self.store_u64(frame.wrapping_add(8 * slot), *value);
        }
        let (sp, bp) = (self.regs.sp, self.regs.bp);
        (self.regs.sp, self.regs.bp) = (frame, number);
        // What the SYSCALL instruction itself does.
        (self.regs.cx, self.regs.r11) = (pc, self.regs.flags);
        self.leave_at(Event::Syscall, pc);
        (self.regs.sp, self.regs.bp) = (sp, bp);
        self.regs.ax
    }

    /// Causes a processor exception; returns when the kernel goes on behind it.
    pub fn trap(&mut self, vector: u8, error: u64) {
        self.leave(Event::Trap { vector, error });
    }
}

#[cfg(test)]
mod tests;
