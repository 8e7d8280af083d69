//! What processes tell one another: notes, to one and to all of a group, and what they exchange in a rendezvous.

use abi::syscall as call;
use abi::{NCONT, OWRITE, Rfork};
use machine::host::{Cpu, heap, program_at};

use super::world::notes::{handed, noted};
use super::world::{BSS, FAILED, HANDLER, NONE, Sys, World, fork};
use super::{eventually, is_want_of_memory};

/// Calls `number` with each step failing in its turn, and `after` when it has succeeded.
fn each_step(cpu: &mut Cpu, name: &'static str, number: u64, args: &[u64], mut after: impl FnMut(&mut Cpu)) {
    for n in 1.. {
        assert!(n < 500, "{name} never ends");
        heap::fail_nth_in(name, n);
        let result = cpu.syscall(number, args);
        let (_, failed) = heap::steps();
        heap::fail_nth(0);
        if result == FAILED {
            let text = cpu.errstr();
            assert!(failed > 0 && is_want_of_memory(&text), "{name}, step {n}: {text}");
        } else {
            after(cpu);
        }
        if failed == 0 {
            break;
        }
    }
}

/// A process that counts the notes that it gets, at an address that it shares.
fn counts_notes(cpu: &mut Cpu) -> u64 {
    cpu.store_u64(BSS + 256, 0);
    cpu.store_u64(BSS + 264, 0);
    let pid = fork(cpu, Rfork::MEM, |cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.store_u64(BSS + 264, 1);
        loop {
            cpu.sleep_ms(1000);
        }
    });
    while cpu.load_u64(BSS + 264) == 0 {
        cpu.sleep_ms(1);
    }
    pid
}

fn handler() {
    program_at(HANDLER, |cpu| {
        let (_, text) = handed(cpu);
        assert_eq!(text, "hello");
        let n = cpu.load_u64(BSS + 256);
        cpu.store_u64(BSS + 256, n + 1);
        noted(cpu, NCONT);
    });
}

#[test]
fn notes_and_notes_to_groups() {
    let w = World::new();
    handler();
    w.ok(|cpu| {
        cpu.must(call::RFORK, &[u64::from(Rfork::NOTEG.bits())]);
        let pid = counts_notes(cpu);
        for file in ["note", "notepg"] {
            let name = cpu.string(&format!("/proc/{pid}/{file}"));
            let fd = cpu.must(call::OPEN, &[name, u64::from(OWRITE)]);
            let text = cpu.string("hello");
            each_step(cpu, "PWRITE", call::PWRITE, &[fd, text, 5, u64::MAX], |cpu| {
                while cpu.load_u64(BSS + 256) == 0 {
                    cpu.sleep_ms(1);
                }
                cpu.store_u64(BSS + 256, 0);
            });
            cpu.close(fd);
        }
        let (id, own) = (cpu.string(&format!("/proc/{pid}/noteid")), cpu.string(&format!("{pid}")));
        let fd = cpu.must(call::OPEN, &[id, u64::from(OWRITE)]);
        let len = pid.to_string().len() as u64;
        each_step(cpu, "PWRITE", call::PWRITE, &[fd, own, len, u64::MAX], |_| ());
        cpu.kill(pid);
        cpu.wait();
    });
}

/// The frame of a note needs a page of the stack: without memory for it others go, or the program with the reason; it
/// is no address that is bad.
#[test]
fn the_frame_of_a_note() {
    let w = World::new();
    handler();
    let live = w.live();
    let mut failures = 0;
    for n in 1.. {
        assert!(n < 100, "never ends");
        let status = w.run(move |cpu| {
            cpu.must(call::NOTIFY, &[HANDLER]);
            cpu.store_u64(BSS + 256, 0);
            let (me, text) = (cpu.pid(), cpu.string("hello"));
            let name = cpu.string(&format!("/proc/{me}/note"));
            let fd = cpu.must(call::OPEN, &[name, u64::from(OWRITE)]);
            // The arguments are in a page, and the frame is in the one below, where nobody has been.
            let sp = cpu.regs.sp;
            cpu.regs.sp = ((sp - 0x1_0000) & !0xfff) + 0x100;
            let top = cpu.regs.sp;
            cpu.store_u64(top, 0);
            heap::fail_nth_in("way to user mode", n);
            cpu.syscall(call::PWRITE, &[fd, text, 5, u64::MAX]);
            while cpu.load_u64(BSS + 256) == 0 {
                cpu.sleep_ms(1);
            }
            cpu.regs.sp = sp;
        });
        let (_, failed) = heap::steps();
        heap::fail_nth(0);
        assert!(status.is_empty() || failed > 0 && status.contains("out of memory"), "step {n}: {status}");
        assert!(eventually(|| w.live() == live), "step {n}: processes");
        w.t.screen.take();
        failures += failed;
        if failed == 0 {
            break;
        }
    }
    assert!(failures > 0, "the page was there");
}

#[test]
fn rendezvous() {
    let w = World::new();
    w.ok(|cpu| {
        let pid = fork(cpu, NONE, |cpu| {
            loop {
                cpu.syscall(call::RENDEZVOUS, &[7, 1]);
            }
        });
        each_step(cpu, "RENDEZVOUS", call::RENDEZVOUS, &[7, 2], |_| ());
        cpu.kill(pid);
        cpu.wait();
    });
}

/// The frame of a note lies in two pages, of which only the lower one is there, and there is no memory for the other:
/// it is the process that goes, and not the processor that never comes back.
#[test]
fn a_frame_in_two_pages() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static POSTED: AtomicBool = AtomicBool::new(false);
    static OVER: AtomicBool = AtomicBool::new(false);
    let w = World::new();
    handler();
    let p = w.start(&["prog"], |cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        let page = (cpu.regs.sp - 0x1_0000) & !0xfff;
        cpu.store_u64(page + 0x180, 0);
        cpu.store_u64(page - 512, 1);
        // After a fork both are the child's as well, until they are written.
        fork(cpu, NONE, |cpu| {
            while !OVER.load(Ordering::SeqCst) {
                cpu.sleep_ms(1);
            }
        });
        cpu.store_u64(page - 512, 1);
        cpu.regs.sp = page + 0x180;
        while !POSTED.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        loop {
            cpu.pause();
        }
    });
    assert!(eventually(|| p.thread.get().is_some()));
    std::thread::sleep(std::time::Duration::from_millis(200));
    port::proc::notes::post(&p, "hello", port::proc::notes::NoteClass::User);
    machine::host::limit_pages(1);
    POSTED.store(true, Ordering::SeqCst);
    let record = w.wait();
    assert!(record.msg.contains("out of memory") || record.msg.contains("killed"), "{}", record.msg);
    machine::host::limit_pages(100_000);
    OVER.store(true, Ordering::SeqCst);
}
