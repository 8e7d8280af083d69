//! Traps and faults of a program: their names as notes, and what a handler can make of them.

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::syscall as call;
use abi::{NCONT, NDFLT, OWRITE};
use machine::host::program_at;
use machine::types::FpuState;
use world::notes::{handed, noted};
use world::{BSS, DATA, HANDLER, Sys, World, told};

#[test]
fn traps_have_names() {
    let w = World::new();
    let texts = told();
    let tell = texts.clone();
    program_at(HANDLER, move |cpu| {
        let (_, text) = handed(cpu);
        tell.lock().unwrap().push(text.split(" pc=0x").next().unwrap().to_string());
        noted(cpu, NCONT);
    });
    w.ok(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        for vector in [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 18] {
            cpu.trap(vector, 0);
        }
        let mut fpu = *cpu.fpu.as_bytes();
        // MXCSR: a pending, unmasked division by zero.
        fpu[24..28].copy_from_slice(&0x1d84u32.to_le_bytes());
        cpu.fpu = FpuState::from_bytes(&fpu);
        cpu.trap(19, 0);
    });
    let texts = texts.lock().unwrap();
    let names = [
        "divide error",
        "debug exception",
        "nonmaskable interrupt",
        "overflow",
        "bounds check",
        "invalid opcode",
        "coprocessor not available",
        "double fault",
        "coprocessor segment overrun",
        "invalid TSS",
        "segment not present",
        "stack exception",
        "general protection violation",
        "alignment check",
        "machine check",
    ];
    for (text, name) in texts.iter().zip(names) {
        assert_eq!(*text, format!("sys: trap: {name}"));
    }
    assert!(texts[15].starts_with("sys: fp: division by zero fppc=0x"), "{}", texts[15]);
    assert!(texts[15].ends_with(" status=0x1d84"), "{}", texts[15]);
}

#[test]
fn faults_are_notes_or_the_end() {
    let w = World::new();
    for (at, write, text) in [
        (0x10, false, "sys: trap: fault read addr=0x10 pc="),
        (0x10, true, "sys: trap: fault write addr=0x10 pc="),
        (world::ENTRY, true, "sys: trap: fault write addr=0x200100 pc="),
        (0x7000_0000, true, "sys: trap: fault write addr=0x70000000 pc="),
        (
            abi::layout::USTKTOP - abi::layout::USTKSIZE - 8,
            true,
            "sys: trap: fault write addr=0x7ffffeffeff8 pc=",
        ),
    ] {
        let status = w.run(move |cpu| if write { cpu.store_u64(at, 1) } else { drop(cpu.load_u64(at)) });
        assert!(status.starts_with(text), "{status}");
        let screen = w.t.screen.take();
        assert!(screen.contains(&format!("suicide: {text}")), "{screen}");
    }
    // On descriptor 2, when there is one.
    let status = w.run(|cpu| {
        let name = cpu.string("/n/err");
        let fd = cpu.must(call::CREATE, &[name, u64::from(OWRITE), 0o666]);
        cpu.must(call::DUP, &[fd, 2]);
        cpu.load_u64(0x18);
    });
    assert!(status.starts_with("sys: trap: fault read addr=0x18 "));
    let told = String::from_utf8(w.t.read("/n/err").unwrap()).unwrap();
    assert!(
        told.starts_with("prog ") && told.contains(": suicide: sys: trap: fault read addr=0x18 pc=0x"),
        "{told}"
    );
    assert_eq!(w.t.screen.take(), "");
}

#[test]
fn data_is_not_executed() {
    let w = World::new();
    program_at(DATA, |_| unreachable!());
    program_at(BSS, |_| unreachable!());
    for at in [DATA, BSS] {
        let rounds = Arc::new(AtomicU64::new(0));
        let (round, seen) = (rounds.clone(), told());
        let tell = seen.clone();
        program_at(HANDLER, move |cpu| {
            let (frame, text) = handed(cpu);
            tell.lock().unwrap().push(text);
            if round.fetch_add(1, Ordering::SeqCst) > 0 {
                return noted(cpu, NDFLT);
            }
            cpu.store_u64(frame + 144, at);
            noted(cpu, NCONT);
        });
        let status = w.run(move |cpu| {
            cpu.must(call::NOTIFY, &[HANDLER]);
            cpu.store_u64(at, 1);
            cpu.trap(1, 0);
        });
        let text = format!("sys: trap: fault read addr={at:#x} pc={at:#x}");
        assert_eq!(status, text);
        assert_eq!(seen.lock().unwrap()[1], text);
    }
}

#[test]
fn a_nil_dereference_can_be_recovered_from() {
    let w = World::new();
    program_at(HANDLER, |cpu| {
        let (at, text) = handed(cpu);
        assert!(text.starts_with("sys: trap: fault read addr=0x8 pc="), "{text}");
        // As Go does it: the program goes on elsewhere, with a word more on its stack.
        let sp = cpu.load_u64(at + 168) - 8;
        let pc = cpu.load_u64(at + 144);
        cpu.store_u64(sp, pc);
        cpu.store_u64(at + 168, sp);
        cpu.store_u64(at + 144, HANDLER + 0x100);
        noted(cpu, NCONT);
    });
    program_at(HANDLER + 0x100, |cpu| {
        assert!(cpu.load_u64(cpu.regs.sp) > 0x7000_0000_0000);
        cpu.exits("recovered");
    });
    let status = w.run(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.load_u64(8);
        unreachable!();
    });
    assert_eq!(status, "recovered");
}

#[test]
fn a_fault_in_the_handler_is_the_end() {
    let w = World::new();
    program_at(HANDLER, |cpu| drop(cpu.load_u64(0x20)));
    let status = w.run(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.load_u64(0x10);
    });
    assert!(status.starts_with("sys: trap: fault read addr=0x20 pc="), "{status}");
    // A system call with a bad address is one too.
    program_at(HANDLER, |cpu| {
        cpu.syscall(call::OPEN, &[0x10, 0]);
    });
    let status = w.run(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.load_u64(0x10);
    });
    assert!(status.starts_with("sys: bad address in syscall pc="), "{status}");
    // So is a stack without room for the frame.
    program_at(HANDLER, |_| unreachable!());
    let status = w.run(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.regs.sp = 0x1000;
        cpu.trap(0, 0);
    });
    assert_eq!(status, "Suicide");
    assert!(w.t.screen.take().contains("suicide: bad address in notify"));
}
