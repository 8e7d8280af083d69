//! A kernel of fifty lines stands in for the portable one: it maps what is touched, and knows a few calls.

use super::*;
use crate::host;
use crate::lock::Lock;
use crate::page::Page;
use crate::space::Prot;
use crate::thread::{self, State};

const TEXT: u64 = 0x20_0000;
const STACK: u64 = 0x7fff_0000;

/// What happened, in order.
type Log = Arc<Lock<Vec<Event>>>;

const EXIT: u64 = 8;
const GETPID: u64 = 20;
const FORK: u64 = 19;
const NOTE: u64 = 28;
const NOTED: u64 = 29;
const EXEC: u64 = 7;

fn live(mut ctx: UserContext, pid: u64, space: Arc<AddressSpace>, log: Log) {
    let mut saved = None;
    loop {
        let event = user::run(&mut ctx, &space);
        log.lock().push(event);
        match event {
            Event::PageFault { addr, .. } if addr < 0x1000 => return,
            Event::PageFault { addr, exec, .. } => {
                let prot = Prot { write: !exec, exec };
                space.map(addr & !0xfff, Page::new_zeroed().unwrap(), prot).unwrap();
            }
            Event::Syscall => match ctx.regs.bp() {
                EXIT => return,
                GETPID => ctx.regs.set_ax(pid),
                FORK => {
                    let mut child = UserContext::new();
                    child.regs.put(&Ureg { ax: 0, ..ctx.regs.get() });
                    child.fpu_load(&ctx.fpu_save());
                    let (space, log) = (space.clone(), log.clone());
                    thread::spawn("child", 0, Box::new(move || live(child, pid + 1, space, log))).unwrap();
                    ctx.regs.set_ax(pid + 1);
                }
                NOTE => {
                    saved = Some(ctx.regs.get());
                    ctx.regs.set_pc(TEXT + 0x1000);
                    ctx.regs.set_ax(0);
                    ctx.regs.set_sp(ctx.regs.sp() - 256);
                }
                NOTED => {
                    ctx.regs.put(&saved.take().unwrap());
                    ctx.regs.set_ax(77);
                }
                EXEC => ctx.regs.set_pc(TEXT + 0x2000),
                _ => ctx.regs.set_ax(u64::MAX),
            },
            Event::Interrupt => {}
            Event::Trap { vector: 3, .. } => {}
            Event::Trap { .. } => return,
        }
    }
}

/// Runs the code at `TEXT` as process 1 until all processes are gone.
fn boot() -> Log {
    let log = Log::default();
    let space = AddressSpace::new().unwrap();
    let ctx = UserContext::new();
    ctx.regs.set_pc(TEXT);
    ctx.regs.set_sp(STACK);
    let log2 = log.clone();
    let t = thread::spawn("first", 0, Box::new(move || live(ctx, 1, space, log2))).unwrap();
    while t.state() != State::Dead || Arc::strong_count(&log) > 1 {
        std::thread::yield_now();
    }
    log
}

fn fault(addr: u64, write: bool, exec: bool) -> Event {
    Event::PageFault { addr, write, exec }
}

#[test]
fn code_faults_calls_and_goes_on() {
    let m = host::new_machine();
    program_at(TEXT, |cpu| {
        cpu.regs.bx = 5;
        assert_eq!(cpu.syscall(GETPID, &[]), 1);
        assert_eq!(cpu.regs.bx, 5);
        let at = cpu.string("text");
        let mut b = [0; 5];
        cpu.load(at, &mut b);
        assert_eq!(&b, b"text\0");
        assert_eq!(cpu.syscall(99, &[1, 2, 3]) as i64, -1);
        cpu.trap(3, 0);
        // The arguments are where Plan 9 has them.
        let sp = cpu.regs.sp;
        let args = (sp - 32) & !15;
        assert_eq!([cpu.load_u64(args + 8), cpu.load_u64(args + 24)], [1, 3]);
        cpu.syscall(EXIT, &[]);
        unreachable!();
    });
    let log = boot();
    assert_eq!(m.panics(), 0);
    let log = log.lock();
    assert_eq!(log[0], fault(TEXT, false, true));
    assert_eq!(log[1], Event::Syscall);
    assert_eq!(log[2], fault(STACK - 16, true, false));
    assert_eq!(log[3..], [Event::Syscall, Event::Trap { vector: 3, error: 0 }, Event::Syscall]);
}

#[test]
fn a_handler_runs_on_top_and_the_kernel_goes_back_below() {
    let m = host::new_machine();
    program_at(TEXT, |cpu| {
        for n in 0..3 {
            cpu.regs.r12 = n;
            // The call does not return before the handler has ended, and then with what noted gave.
            assert_eq!(cpu.syscall(NOTE, &[]), 77);
            assert_eq!(cpu.regs.r12, n);
        }
        cpu.syscall(EXIT, &[]);
    });
    program_at(TEXT + 0x1000, |cpu| {
        cpu.regs.r12 = 1000;
        cpu.string("on the stack");
        cpu.syscall(NOTED, &[0]);
        unreachable!();
    });
    let log = boot();
    assert_eq!(m.panics(), 0);
    assert_eq!(log.lock().iter().filter(|e| **e == Event::Syscall).count(), 7);
}

#[test]
fn forked_children_have_code_of_their_own() {
    let m = host::new_machine();
    program_at(TEXT, |cpu| {
        let shared = cpu.push(&7u64.to_le_bytes());
        let pid = cpu.fork(FORK, &[16], move |cpu| {
            assert_eq!((cpu.regs.ax, cpu.syscall(GETPID, &[])), (0, 2));
            cpu.store_u64(shared, 8);
            cpu.syscall(EXIT, &[]);
        });
        assert_eq!(pid, 2);
        while cpu.load_u64(shared) != 8 {
            cpu.pause();
        }
        assert_eq!(cpu.fork(98, &[], |_| unreachable!()) as i64, -1);
        cpu.syscall(EXIT, &[]);
    });
    boot();
    assert_eq!(m.panics(), 0);
    assert!(m.programs.children.lock().unwrap().is_empty());
}

#[test]
fn exec_is_never_gone_back_from() {
    let m = host::new_machine();
    program_at(TEXT, |cpu| {
        cpu.syscall(EXEC, &[]);
        unreachable!();
    });
    program_at(TEXT + 0x2000, |cpu| {
        cpu.syscall(EXIT, &[]);
    });
    let log = boot();
    assert_eq!(m.panics(), 0);
    let text2 = fault(TEXT + 0x2000, false, true);
    let stack = log.lock().iter().filter(|e| matches!(e, Event::PageFault { write: true, .. })).count();
    assert_eq!((log.lock()[2], stack), (text2, 0));
}

#[test]
fn the_end_of_the_code_and_a_failed_assertion_end_the_process() {
    let m = host::new_machine();
    program_at(TEXT, |_| {});
    let log = boot();
    assert_eq!(log.lock().last(), Some(&Event::Trap { vector: 6, error: 0 }));
    assert_eq!(m.panics(), 0);
    program_at(TEXT, |_| std::panic::resume_unwind(Box::new("as a failed assertion does")));
    let log = boot();
    assert_eq!(log.lock().last(), Some(&Event::Trap { vector: 6, error: 0 }));
    assert_eq!(m.panics(), 1);
}

#[test]
fn a_computing_program_is_interrupted() {
    let m = host::new_machine();
    program_at(TEXT, |cpu| {
        let me = cpu.thread.clone();
        let other = std::thread::spawn(move || me.kick());
        while cpu.regs.ax == 0 {
            cpu.pause();
            cpu.regs.ax = u64::from(other.is_finished());
        }
        cpu.pause();
        cpu.syscall(EXIT, &[]);
    });
    let log = boot();
    assert_eq!(m.panics(), 0);
    assert!(log.lock().contains(&Event::Interrupt));
}
