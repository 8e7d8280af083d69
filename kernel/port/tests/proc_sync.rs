//! How processes wait for each other: `rendezvous` and semaphores.

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use abi::syscall as call;
use abi::{Rfork, error};
use world::{BSS, NONE, Sys, World, fork};

#[test]
fn meeting_at_a_tag() {
    let w = World::new();
    w.ok(|cpu| {
        fork(cpu, NONE, |cpu| {
            assert_eq!(cpu.must(call::RENDEZVOUS, &[0x1_0000_0007, 0x1111_2222_3333_4444]), 55);
        });
        assert_eq!(cpu.must(call::RENDEZVOUS, &[0x1_0000_0007, 55]), 0x1111_2222_3333_4444);
        cpu.wait_ok();
        // Another group never meets; one's own group goes on meeting.
        let lonely = fork(cpu, Rfork::REND, |cpu| {
            assert_eq!(cpu.fails(call::RENDEZVOUS, &[9, 1]), error::EINTR);
        });
        fork(cpu, NONE, |cpu| assert_eq!(cpu.must(call::RENDEZVOUS, &[9, 2]), 3));
        assert_eq!(cpu.must(call::RENDEZVOUS, &[9, 3]), 2);
        cpu.wait_ok();
        cpu.echo("interrupt", &format!("/proc/{lonely}/ctl"));
        let record = cpu.wait();
        assert!(record.contains("interrupt"), "{record}: it had no handler");
        // An interrupted one has left the tag.
        let pid = fork(cpu, NONE, |cpu| {
            cpu.syscall(call::RENDEZVOUS, &[10, 1]);
        });
        cpu.sleep_ms(2);
        cpu.kill(pid);
        cpu.wait();
        fork(cpu, NONE, |cpu| assert_eq!(cpu.must(call::RENDEZVOUS, &[10, 2]), 3));
        assert_eq!(cpu.must(call::RENDEZVOUS, &[10, 3]), 2);
        cpu.wait_ok();
    });
}

#[test]
fn semaphores_count_and_wake() {
    let w = World::new();
    w.ok(|cpu| {
        let sem = BSS + 0x100;
        assert_eq!(cpu.must(call::SEMACQUIRE, &[sem, 0]), 0, "would block");
        assert_eq!(cpu.must(call::SEMRELEASE, &[sem, 3]), 3);
        assert_eq!(cpu.must(call::SEMACQUIRE, &[sem, 1]), 1);
        assert_eq!(cpu.must(call::SEMACQUIRE, &[sem, 0]), 1);
        assert_eq!(cpu.u32_at(sem), 1);
        assert_eq!(cpu.must(call::SEMRELEASE, &[sem, 0]), 1);
        assert_eq!(cpu.must(call::TSEMACQUIRE, &[sem, 1000]), 1);
        let start = Instant::now();
        assert_eq!(cpu.must(call::TSEMACQUIRE, &[sem, 10]), 0);
        assert!(start.elapsed() >= Duration::from_millis(10));
        assert_eq!(cpu.must(call::TSEMACQUIRE, &[sem, 0]), 0);
        for count in [u32::MAX, 0x8000_0000] {
            assert_eq!(cpu.fails(call::SEMRELEASE, &[sem, u64::from(count)]), error::EBADARG);
        }
        cpu.store(sem, &(-5i32).to_le_bytes());
        assert_eq!(cpu.fails(call::SEMACQUIRE, &[sem, 1]), error::EBADARG);
        assert_eq!(cpu.fails(call::SEMRELEASE, &[sem, 1]), error::EBADARG);
        cpu.store(sem, &i32::MAX.to_le_bytes());
        assert_eq!(cpu.fails(call::SEMRELEASE, &[sem, 1]), error::EBADARG, "too many");
        // A copy of the memory has a semaphore of its own.
        cpu.store(sem, &0i32.to_le_bytes());
        fork(cpu, NONE, move |cpu| assert_eq!(cpu.must(call::SEMRELEASE, &[sem, 1]), 1));
        cpu.wait_ok();
        assert_eq!(cpu.must(call::SEMACQUIRE, &[sem, 0]), 0);
    });
}

#[test]
fn twenty_processes_share_a_semaphore() {
    const PROCS: u64 = 20;
    const ROUNDS: u64 = 30;
    let w = World::new();
    let inside = Arc::new(AtomicU64::new(0));
    w.ok(move |cpu| {
        let (units, done) = (BSS + 0x104, BSS + 0x2000);
        cpu.must(call::SEMRELEASE, &[units, 3]);
        for _ in 0..PROCS {
            let inside = inside.clone();
            fork(cpu, Rfork::MEM, move |cpu| {
                for round in 0..ROUNDS {
                    if round % 3 == 0 {
                        while cpu.must(call::TSEMACQUIRE, &[units, 1]) == 0 {}
                    } else {
                        assert_eq!(cpu.must(call::SEMACQUIRE, &[units, 1]), 1);
                    }
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
                    std::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    cpu.must(call::SEMRELEASE, &[units, 1]);
                }
                cpu.must(call::SEMRELEASE, &[done, 1]);
            });
        }
        for _ in 0..PROCS {
            assert_eq!(cpu.must(call::SEMACQUIRE, &[done, 1]), 1);
        }
        for _ in 0..PROCS {
            cpu.wait_ok();
        }
        assert_eq!(cpu.u32_at(units), 3);
    });
}

/// A waiter that is woken and killed at the same moment must not take the wakeup with it.
#[test]
fn a_wakeup_is_not_lost_with_its_waiter() {
    let w = World::new();
    w.ok(|cpu| {
        let sem = BSS + 0x108;
        for _ in 0..20 {
            let a = fork(cpu, Rfork::MEM, move |cpu| {
                cpu.syscall(call::SEMACQUIRE, &[sem, 1]);
            });
            let b = fork(cpu, Rfork::MEM, move |cpu| {
                cpu.syscall(call::SEMACQUIRE, &[sem, 1]);
            });
            cpu.sleep_ms(1);
            cpu.must(call::SEMRELEASE, &[sem, 1]);
            cpu.kill(a);
            cpu.wait();
            // Whichever has the unit: another one lets the other go.
            cpu.must(call::SEMRELEASE, &[sem, 1]);
            let record = cpu.wait();
            assert!(record.starts_with(&format!("{a} ")) || record.starts_with(&format!("{b} ")));
            cpu.store(sem, &0u32.to_le_bytes());
        }
    });
}
