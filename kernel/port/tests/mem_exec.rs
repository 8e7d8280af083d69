//! `segflush`: what a program has written is executed.

mod world;

use abi::Rfork;
use abi::error;
use abi::syscall as call;
use machine::host::program_at;
use world::{BSS, DATA, NONE, Sys, World, fork};

/// Ends well if it is reached.
fn code_at(at: u64) {
    program_at(at, |cpu| cpu.exits(""));
}

#[test]
fn data_is_executed_after_segflush() {
    let w = World::new();
    let at = BSS + 0x3000;
    code_at(at);
    code_at(DATA);
    w.ok(move |cpu| {
        // A handler is where a note leads.
        let try_at = |cpu: &mut machine::host::Cpu, at: u64| {
            fork(cpu, NONE, move |cpu| {
                cpu.must(call::NOTIFY, &[at]);
                let me = cpu.pid();
                cpu.echo("go", &format!("/proc/{me}/note"));
            });
            cpu.wait()
        };
        cpu.store(at, b"code");
        assert!(try_at(cpu, at).contains("fault read"), "not yet");
        assert_eq!(cpu.must(call::SEGFLUSH, &[at + 1, 4]), 0);
        let said = try_at(cpu, at);
        assert!(said.ends_with(" ''"), "{said}");
        assert!(try_at(cpu, DATA).contains("fault read"), "another segment");
        // Of more than one.
        assert_eq!(cpu.must(call::SEGFLUSH, &[DATA + 0xfff, (BSS - DATA) as u32 as u64]), 0);
        assert!(try_at(cpu, DATA).ends_with(" ''"));
        assert_eq!(cpu.load_u64(at) as u32, u32::from_le_bytes(*b"code"), "it is what it was");
        for (va, len) in [(8, 1), (BSS, 1 << 30), (!0, 2), (u64::MAX - 4096, 1)] {
            assert_eq!(cpu.fails(call::SEGFLUSH, &[va, len]), error::EBADARG, "{va:#x}");
        }
        assert_eq!(cpu.must(call::SEGFLUSH, &[DATA, 0]), 0);
    });
}

#[test]
fn stacks_are_not_executed_and_shared_memory_is_for_all() {
    let w = World::new();
    let at = BSS + 0x5000;
    code_at(at);
    w.ok(move |cpu| {
        let here = cpu.push(b"code") & !0xfff;
        code_at(here);
        assert_eq!(cpu.must(call::SEGFLUSH, &[here, 4]), 0, "as on 9front");
        fork(cpu, NONE, move |cpu| {
            cpu.must(call::NOTIFY, &[here]);
            let me = cpu.pid();
            cpu.echo("go", &format!("/proc/{me}/note"));
        });
        assert!(cpu.wait().contains("fault read"));
        // Who shares the memory has touched it before.
        fork(cpu, Rfork::MEM, move |cpu| {
            cpu.store(at, b"code");
            while cpu.load_u64(BSS) == 0 {
                cpu.sleep_ms(1);
            }
            cpu.must(call::NOTIFY, &[at]);
            let me = cpu.pid();
            cpu.echo("go", &format!("/proc/{me}/note"));
        });
        cpu.must(call::SEGFLUSH, &[BSS, 1]);
        cpu.store_u64(BSS, 1);
        cpu.wait_ok();
    });
}
