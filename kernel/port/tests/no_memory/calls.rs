//! System calls of programs, by their numbers.

use std::sync::{Arc, Mutex};

use abi::syscall as call;
use abi::{OREAD, Rfork};
use machine::host::{self, Cpu, heap, program_at};

use super::is_want_of_memory;
use super::world::{BSS, FAILED, Sys, World, aout};

/// Takes much memory: who has that is refused more at once, and what makes a process or a program is not tried again.
fn have_much(cpu: &mut Cpu) {
    host::limit_pages(4000);
    cpu.must(call::BRK, &[BSS + (1 << 30)]);
    (0..400).for_each(|page| cpu.store_u64(BSS + (page + 16) * 4096, 1));
}

/// In a program: the call with each step failing in its turn. `undo` takes away what a call made that succeeded.
fn at_each_step(cpu: &mut Cpu, what: &str, number: u64, args: &[u64], mut undo: impl FnMut(&mut Cpu, u64)) {
    let first = cpu.must(number, args);
    undo(cpu, first);
    for n in 1.. {
        assert!(n < 2000, "{what} never ends");
        heap::fail_nth_in(call::name(number).unwrap(), n);
        let result = cpu.syscall(number, args);
        let (_, failed) = heap::steps();
        heap::fail_nth(0);
        if result == FAILED {
            let text = cpu.errstr();
            assert!(failed > 0 && is_want_of_memory(&text), "{what}, step {n}: {text}");
        } else {
            undo(cpu, result);
        }
        let again = cpu.must(number, args);
        undo(cpu, again);
        if failed == 0 {
            break;
        }
    }
}

#[test]
fn calls_with_memory_of_the_program() {
    let w = World::new();
    w.ok(|cpu| {
        let name = cpu.string("/n/prog");
        let shut = |cpu: &mut Cpu, fd: u64| drop(cpu.must(call::CLOSE, &[fd]));
        at_each_step(cpu, "open", call::OPEN, &[name, u64::from(OREAD)], shut);
        let buf = cpu.push(&[0; 8000]);
        at_each_step(cpu, "stat", call::STAT, &[name, buf, 8000], |_, _| ());
        let fds = cpu.push(&[0; 8]);
        at_each_step(cpu, "pipe", call::PIPE, &[fds], |cpu, _| {
            let both = cpu.load_u64(fds);
            cpu.must(call::CLOSE, &[both & 0xffff_ffff]);
            cpu.must(call::CLOSE, &[both >> 32]);
        });
        let fd = cpu.must(call::OPEN, &[name, u64::from(OREAD)]);
        at_each_step(cpu, "read", call::PREAD, &[fd, buf, 8000, 0], |_, _| ());
        at_each_step(cpu, "fd2path", call::FD2PATH, &[fd, buf, 8000], |_, _| ());
        let class = cpu.string("memory");
        at_each_step(cpu, "segattach", call::SEGATTACH, &[0, class, 0, 0x10_0000], |cpu, va| {
            drop(cpu.must(call::SEGDETACH, &[va]))
        });
    });
}

#[test]
fn forks() {
    let w = World::new();
    let live = w.live();
    for flags in [
        Rfork::empty(),
        Rfork::FDG,
        Rfork::FDG | Rfork::NAMEG | Rfork::ENVG | Rfork::NOTEG | Rfork::REND,
        Rfork::CFDG | Rfork::CNAMEG | Rfork::CENVG,
        Rfork::MEM | Rfork::FDG,
        Rfork::NAMEG | Rfork::NOMNT,
        Rfork::NOWAIT,
    ] {
        w.ok(move |cpu| {
            let flags = flags | Rfork::PROC;
            let waits = !flags.contains(Rfork::NOWAIT);
            have_much(cpu);
            let mut refused = 0;
            for n in 1.. {
                assert!(n < 2000, "{flags:?} never ends");
                heap::fail_nth_in("RFORK", n);
                let pid = cpu.fork(call::RFORK, &[u64::from(flags.bits())], |cpu| {
                    cpu.syscall(call::EXITS, &[0]);
                });
                let (_, failed) = heap::steps();
                heap::fail_nth(0);
                if pid == FAILED {
                    let text = cpu.errstr();
                    assert!(failed > 0 && is_want_of_memory(&text), "{flags:?}, step {n}: {text}");
                    refused += 1;
                } else if waits {
                    cpu.wait();
                }
                if failed == 0 {
                    break;
                }
            }
            assert!(refused > 2, "{flags:?}: {refused}");
        });
    }
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while w.live() != live && std::time::Instant::now() < end {
        std::thread::yield_now();
    }
    assert_eq!(w.live(), live);
}

/// Where another program begins.
const OTHER: u64 = 0x20_0300;

#[test]
fn exec_with_long_arguments() {
    let w = World::new();
    w.install("/n/other", &aout(OTHER, b"data", 0));
    // The step that the next program begins with; 0 when none was left to fail.
    let next = Arc::new(Mutex::new(1));
    let told = next.clone();
    program_at(OTHER, move |cpu| {
        let (_, failed) = heap::steps();
        heap::fail_nth(0);
        let mut next = told.lock().unwrap();
        *next = if failed == 0 { 0 } else { *next + 1 };
        drop(next);
        cpu.syscall(call::EXITS, &[0]);
    });
    while *next.lock().unwrap() != 0 {
        let next = next.clone();
        w.ok(move |cpu| {
            let name = cpu.string("/n/other");
            let long = cpu.string(&"a".repeat(5_000));
            let mut words = vec![name];
            words.extend([long; 8]);
            words.push(0);
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            let argv = cpu.push(&bytes);
            have_much(cpu);
            loop {
                let n = *next.lock().unwrap();
                assert!(n < 2000, "exec never ends");
                heap::fail_nth_in("EXEC", n);
                assert_eq!(cpu.syscall(call::EXEC, &[name, argv]), FAILED);
                let (_, failed) = heap::steps();
                heap::fail_nth(0);
                let text = cpu.errstr();
                assert!(failed > 0 && is_want_of_memory(&text), "step {n}: {text}");
                *next.lock().unwrap() = n + 1;
            }
        });
    }
}
