use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::super::testing::*;
use super::*;
use crate::clock;
use crate::host;
use crate::thread::State;

#[test]
fn a_value_put_before_is_there() {
    let c = Completion::new();
    assert!(!c.ready());
    assert_eq!(c.take(), None);
    c.put(1);
    assert!(c.ready());
    assert_eq!(c.wait(), 1);
    c.put(2);
    assert_eq!(c.take(), Some(2));
    c.put(3);
    assert_eq!(c.wait_until(0), Ok(3));
    assert_eq!(c.wait_until(clock::now_ns() + 1000), Err(Wake::TimedOut));
}

#[test]
fn a_foreign_thread_completes() {
    let c = Arc::new(Completion::new());
    let c2 = c.clone();
    let device = std::thread::spawn(move || c2.put(Box::new(42)));
    assert_eq!(*c.wait(), 42);
    device.join().unwrap();
}

#[test]
fn interruption_leaves_the_value_for_later() {
    let c = Arc::new(Completion::new());
    let c2 = c.clone();
    let t = spawn(move || {
        assert_eq!(c2.wait_intr(), Err(Interrupted));
        // As a process does that has sent its Tflush: the answer comes all the same.
        assert_eq!(c2.wait(), 7);
    });
    eventually("asleep", || t.state() == State::Parked);
    t.interrupt();
    eventually("asleep again", || t.interrupted() && t.state() == State::Parked);
    c.put(7);
    join(&[t]);
}

#[test]
fn a_value_wins_over_the_interruption() {
    let t = spawn(|| {
        let c = Completion::new();
        c.put(1);
        crate::thread::current().interrupt();
        assert_eq!(c.wait_intr(), Ok(1));
    });
    join(&[t]);
}

#[test]
fn each_value_is_taken_once_by_many_under_chaos() {
    for seed in 1..=6 {
        host::new_machine();
        host::chaos(seed);
        let c = Arc::new(Completion::new());
        let sum = Arc::new(AtomicUsize::new(0));
        let (c2, sum2) = (c.clone(), sum.clone());
        let takers = team(4, move |_| {
            for _ in 0..25 {
                sum2.fetch_add(c2.wait(), Ordering::SeqCst);
            }
        });
        for n in 1..=100 {
            eventually("room", || !c.ready());
            c.put(n);
        }
        join(&takers);
        assert_eq!(sum.load(Ordering::SeqCst), 5050);
    }
}

#[test]
fn ping_pong_under_chaos() {
    for seed in 1..=4 {
        host::new_machine();
        host::chaos(seed);
        let there = Arc::new(Completion::new());
        let back = Arc::new(Completion::new());
        let (t2, b2) = (there.clone(), back.clone());
        let t = spawn(move || {
            for n in 0..200 {
                let got: usize = t2.wait();
                assert_eq!(got, n);
                b2.put(got);
            }
        });
        for n in 0..200 {
            there.put(n);
            assert_eq!(back.wait(), n);
        }
        join(&[t]);
    }
}
