//! Reads, writes, forks and execs wait for memory that is short for the moment, and are refused it when none may come.

mod world;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use abi::syscall as call;
use abi::{OREAD, Rfork, error};
use machine::host::{self, Cpu, heap, program_at};
use world::{BSS, FAILED, NONE, Sys, World, aout, fork};

const LEN: u64 = 8000;

/// A pipe.
fn pipe(cpu: &mut Cpu) -> [u64; 2] {
    let at = cpu.push(&[0; 8]);
    cpu.must(call::PIPE, &[at]);
    [cpu.u32_at(at), cpu.u32_at(at + 4)].map(u64::from)
}

/// Does something while all that asks for memory is refused, which ends after so many ms. What came of it, and how long
/// that took.
fn without_memory<T>(cpu: &mut Cpu, ms: u64, f: impl FnOnce(&mut Cpu) -> T) -> (T, Duration) {
    fork(cpu, NONE, move |cpu| {
        cpu.sleep_ms(ms);
        heap::fail_nth(0);
    });
    // The child is on its way.
    cpu.sleep_ms(50);
    heap::fail_from(1);
    let begun = Instant::now();
    let result = f(cpu);
    let took = begun.elapsed();
    heap::fail_nth(0);
    (result, took)
}

/// Has bytes in memory that were touched.
fn bytes(cpu: &mut Cpu) -> u64 {
    cpu.push(&[7; LEN as usize])
}

#[test]
fn a_write_waits_for_memory_that_comes() {
    let w = World::new();
    w.ok(|cpu| {
        let [r, w] = pipe(cpu);
        let at = bytes(cpu);
        // The call is refused when it begins, and the pipe is empty, so that nothing can be waited for there.
        let (n, took) = without_memory(cpu, 400, |cpu| cpu.call(call::PWRITE, &[w, at, LEN, !0]));
        assert_eq!(n, LEN);
        assert!(took > Duration::from_millis(200), "{took:?}");
        cpu.wait_ok();
        assert_eq!(cpu.read(r, LEN as usize), [7; LEN as usize]);
    });
}

#[test]
fn a_read_waits_for_memory_that_comes() {
    let w = World::new();
    let text: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    w.install("/n/text", text.as_bytes());
    let wanted = text.as_bytes()[..LEN as usize].to_vec();
    w.ok(move |cpu| {
        let fd = cpu.open("/n/text", OREAD);
        let at = bytes(cpu);
        // Whatever the device does without memory, what it says is that there is none.
        let (n, _) = without_memory(cpu, 400, |cpu| cpu.call(call::PREAD, &[fd, at, LEN, 0]));
        let mut got = vec![0; LEN as usize];
        cpu.load(at, &mut got);
        assert_eq!((n, got == wanted), (LEN, true));
        cpu.wait_ok();
        // A process's status is made up in memory.
        let fd = cpu.open("/proc/1/status", OREAD);
        let (n, took) = without_memory(cpu, 400, |cpu| cpu.call(call::PREAD, &[fd, at, LEN, 0]));
        assert_eq!(n, 176);
        assert!(took > Duration::from_millis(200), "{took:?}");
        cpu.wait_ok();
    });
}

#[test]
fn a_fork_waits_for_memory_that_comes() {
    let w = World::new();
    w.ok(|cpu| {
        let flags = [u64::from((NONE | Rfork::PROC | Rfork::FDG).bits())];
        let child = |cpu: &mut Cpu| _ = cpu.syscall(call::EXITS, &[0]);
        let (pid, took) = without_memory(cpu, 400, |cpu| cpu.fork(call::RFORK, &flags, child));
        assert_ne!(pid, FAILED);
        assert!(took > Duration::from_millis(200), "{took:?}");
        cpu.wait_ok();
        cpu.wait_ok();
    });
}

/// Where another program begins.
const OTHER: u64 = 0x20_0300;

#[test]
fn an_exec_waits_for_memory_that_comes() {
    let w = World::new();
    w.install("/n/other", &aout(OTHER, b"data", 0));
    let began = Arc::new(Mutex::new((None, None)));
    let (asks, begins) = (began.clone(), began.clone());
    program_at(OTHER, move |cpu| {
        begins.lock().unwrap().1 = Some(Instant::now());
        cpu.wait_ok();
        cpu.syscall(call::EXITS, &[0]);
    });
    w.ok(move |cpu| {
        let name = cpu.string("/n/other");
        let argv = cpu.push(&[name.to_le_bytes(), [0; 8]].concat());
        without_memory(cpu, 400, |cpu| {
            asks.lock().unwrap().0 = Some(Instant::now());
            cpu.syscall(call::EXEC, &[name, argv]);
        });
        panic!("exec is refused: {}", cpu.errstr());
    });
    let (asked, began) = *began.lock().unwrap();
    let took = began.unwrap() - asked.unwrap();
    assert!(took > Duration::from_millis(200), "{took:?}");
}

#[test]
fn a_note_ends_the_wait() {
    let w = World::new();
    let took = Arc::new(Mutex::new(Duration::ZERO));
    let seen = took.clone();
    let begun = Instant::now();
    let status = w.run(move |cpu| {
        let [_, w] = pipe(cpu);
        let at = bytes(cpu);
        cpu.must(call::ALARM, &[300]);
        let (_, took) = without_memory(cpu, 9000, |cpu| cpu.call(call::PWRITE, &[w, at, LEN, !0]));
        *seen.lock().unwrap() = took;
    });
    assert!(status.contains("alarm"), "{status}");
    assert!(begun.elapsed() < Duration::from_secs(8));
    heap::fail_nth(0);
    w.t.kernel.procs.lock().values().filter(|p| p.pid != 1).for_each(|p| port::proc::procctl::kill(p));
}

/// Whoever has much has it himself to give back: he is told at once.
#[test]
fn who_has_much_does_not_wait() {
    let w = World::new();
    host::limit_pages(4000);
    w.ok(|cpu| {
        cpu.must(call::BRK, &[BSS + (1 << 30)]);
        (0..400).for_each(|page| cpu.store_u64(BSS + (page + 16) * 4096, 1));
        let [_, w] = pipe(cpu);
        let at = bytes(cpu);
        let (n, took) = without_memory(cpu, 4000, |cpu| cpu.call(call::PWRITE, &[w, at, LEN, !0]));
        assert_eq!((n, cpu.errstr().as_str()), (FAILED, error::ENOMEM));
        assert!(took < Duration::from_secs(2), "{took:?}");
    });
    w.t.kernel.procs.lock().values().filter(|p| p.pid != 1).for_each(|p| port::proc::procctl::kill(p));
}

/// What a call other than a read or a write would keep is refused at once, as ever.
#[test]
fn other_calls_do_not_wait() {
    let w = World::new();
    w.ok(|cpu| {
        let at = cpu.push(&[0; 8]);
        let (n, took) = without_memory(cpu, 4000, |cpu| cpu.call(call::PIPE, &[at]));
        assert_eq!((n, cpu.errstr().as_str()), (FAILED, error::ENOMEM));
        assert!(took < Duration::from_secs(2), "{took:?}");
    });
    w.t.kernel.procs.lock().values().filter(|p| p.pid != 1).for_each(|p| port::proc::procctl::kill(p));
}
