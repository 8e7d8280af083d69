use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::testing::*;
use super::*;
use crate::host;
use crate::thread::State;

/// Waiters in the queue that have not been let in.
fn waiting(gate: &Gate) -> usize {
    gate.state.lock().queue.iter().filter(|w| !w.granted).count()
}

#[test]
fn it_excludes_and_hands_over_in_order() {
    let l = Arc::new(QLock::new(Vec::new()));
    let held = l.lock();
    assert!(l.try_lock().is_none());
    let mut threads = Vec::new();
    for i in 0..8 {
        let l2 = l.clone();
        threads.push(spawn(move || l2.lock().push(i)));
        eventually("one more waiter", || waiting(&l.gate) == i + 1);
    }
    drop(held);
    // A newcomer stands behind all who wait.
    l.lock().push(8);
    join(&threads);
    assert_eq!(*l.lock(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(l.try_lock().is_some());
}

#[test]
fn a_waiter_that_is_handed_the_lock_owns_it_before_it_runs() {
    let l = Arc::new(QLock::new(0));
    let held = l.lock();
    let l2 = l.clone();
    let t = spawn(move || *l2.lock() += 1);
    eventually("a waiter", || waiting(&l.gate) == 1);
    drop(held);
    // Whether or not the thread has run by now: it was first.
    assert_eq!(*l.lock(), 1);
    join(&[t]);
}

#[test]
fn an_interrupted_waiter_leaves_and_the_next_gets_in() {
    let l = Arc::new(QLock::new(0));
    let held = l.lock();
    let (a, b) = (l.clone(), l.clone());
    let first = spawn(move || {
        assert_eq!(a.lock_intr().map(drop), Err(Interrupted));
        assert!(crate::thread::current().interrupted());
        // A free lock is had in spite of the flag.
        drop(a.try_lock());
    });
    eventually("the first waiter", || waiting(&l.gate) == 1);
    let second = spawn(move || *b.lock() += 1);
    eventually("the second waiter", || waiting(&l.gate) == 2);
    second.interrupt();
    first.interrupt();
    eventually("the first gone", || first.state() == State::Dead);
    assert_eq!(waiting(&l.gate), 1, "a plain lock() is not interruptible");
    drop(held);
    join(&[first, second]);
    assert_eq!(*l.lock(), 1);
}

#[test]
fn a_free_lock_is_had_though_interrupted() {
    let t = spawn(|| {
        crate::thread::current().interrupt();
        let l = QLock::new(1);
        assert_eq!(l.lock_intr().map(|g| *g), Ok(1));
    });
    join(&[t]);
}

#[test]
fn nothing_is_lost_under_chaos() {
    for seed in 1..=10 {
        host::new_machine();
        host::chaos(seed);
        // Two counters that are equal whenever the lock is free.
        let l = Arc::new(QLock::new((0u32, 0u32)));
        let l2 = l.clone();
        let gone = Arc::new(Count::default());
        let gone2 = gone.clone();
        let team = team(6, move |i| {
            let me = crate::thread::current();
            for n in 0..60 {
                let guard = if (i + n) % 3 == 0 {
                    match l2.lock_intr() {
                        Ok(guard) => Some(guard),
                        Err(Interrupted) => {
                            me.clear_interrupt();
                            gone2.add();
                            None
                        }
                    }
                } else {
                    Some(l2.lock())
                };
                if let Some(mut guard) = guard {
                    assert_eq!(guard.0, guard.1);
                    guard.0 += 1;
                    crate::thread::yield_now();
                    guard.1 += 1;
                }
            }
        });
        for n in 0..300 {
            team[n % 6].interrupt();
            std::thread::yield_now();
        }
        join(&team);
        let total = l.lock().0 as usize + gone.get();
        assert_eq!(total, 6 * 60);
        assert_eq!(waiting(&l.gate), 0);
    }
}

#[test]
fn readers_share_and_writers_do_not() {
    let l = Arc::new(RwQLock::new(5));
    let a = l.read();
    let b = l.read();
    assert_eq!(*a + *b, 10);
    assert!(l.try_write().is_none());
    let l2 = l.clone();
    let writer = spawn(move || *l2.write() = 6);
    eventually("a writer waits", || waiting(&l.gate) == 1);
    // No reader overtakes a waiting writer.
    assert!(l.try_read().is_none());
    drop(a);
    assert_eq!(waiting(&l.gate), 1);
    drop(b);
    join(&[writer]);
    assert_eq!(*l.read(), 6);
    assert!(l.try_write().is_some());
}

#[test]
fn readers_behind_a_writer_come_in_together() {
    let l = Arc::new(RwQLock::new(()));
    let inside = Arc::new(Count::default());
    let held = l.write();
    let (l2, inside2) = (l.clone(), inside.clone());
    let readers = team(4, move |_| {
        let guard = l2.read();
        inside2.add();
        // Leaves only when all are inside at once.
        eventually("all readers inside", || inside2.get() == 4);
        drop(guard);
    });
    eventually("four wait", || waiting(&l.gate) == 4);
    drop(held);
    join(&readers);
}

#[test]
fn a_reader_joins_readers_that_were_let_in_but_have_not_run() {
    let l = Arc::new(RwQLock::new(()));
    let held = l.write();
    let l2 = l.clone();
    let other = spawn(move || drop(l2.read()));
    eventually("a reader waits", || waiting(&l.gate) == 1);
    drop(held);
    assert!(l.try_read().is_some());
    join(&[other]);
}

#[test]
fn an_invariant_holds_under_chaos_with_readers_and_writers() {
    for seed in 1..=8 {
        host::new_machine();
        host::chaos(seed);
        let l = Arc::new(RwQLock::new((0u32, 0u32)));
        let (l2, inside) = (l.clone(), Count::default());
        let team = team(6, move |i| {
            for n in 0..60 {
                if (i * 7 + n) % 4 == 0 {
                    let mut guard = l2.write();
                    assert_eq!(inside.get(), 0);
                    guard.0 += 1;
                    crate::thread::yield_now();
                    guard.1 += 1;
                } else {
                    let guard = l2.read();
                    inside.add();
                    assert_eq!(guard.0, guard.1);
                    crate::thread::yield_now();
                    inside.sub();
                }
            }
        });
        join(&team);
        assert_eq!(l.read().0, 90);
        assert_eq!(waiting(&l.gate), 0);
    }
}

#[test]
fn values_come_out_whole() {
    let mut l = QLock::new(alloc::string::String::from("a"));
    l.get_mut().push('b');
    assert_eq!(l.into_inner(), "ab");
    let mut l = RwQLock::new(1);
    *l.get_mut() += 1;
    assert_eq!(l.into_inner(), 2);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "waits for a QLock that it holds")]
fn taking_it_twice_is_noticed() {
    let l = QLock::new(());
    let _a = l.lock();
    drop(l.lock());
}

#[test]
fn readers_behind_an_interrupted_writer_get_in() {
    // No lock asks for it today, but the gate promises it: a writer that gives up must not leave those behind it
    // standing while readers are inside.
    let g = Arc::new(Gate::new());
    g.enter(Mode::Read, false).unwrap();
    let (a, b) = (g.clone(), g.clone());
    let writer = spawn(move || assert_eq!(a.enter(Mode::Write, true), Err(Interrupted)));
    eventually("a writer waits", || waiting(&g) == 1);
    let reader = spawn(move || b.enter(Mode::Read, false).unwrap());
    eventually("a reader waits behind", || waiting(&g) == 2);
    writer.interrupt();
    join(&[writer, reader]);
    g.leave(Mode::Read);
    g.leave(Mode::Read);
    assert!(g.try_enter(Mode::Write));
}
