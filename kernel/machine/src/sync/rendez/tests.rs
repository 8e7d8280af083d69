use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::super::testing::*;
use super::*;
use crate::clock;
use crate::host;
use crate::lock::Lock;
use crate::thread::State;

#[derive(Default)]
struct Place {
    rendez: Rendez,
    items: Count,
    got: Count,
}

fn flag() -> Arc<(Rendez, AtomicBool)> {
    Arc::new((Rendez::new(), AtomicBool::new(false)))
}

#[test]
fn a_true_condition_needs_no_wakeup() {
    let r = Rendez::new();
    r.sleep(|| true);
    assert_eq!(r.sleep_intr(|| true), Ok(()));
    assert_eq!(r.sleep_until(0, || true), Ok(()));
    assert_eq!(r.sleepers(), 0);
}

#[test]
fn wakeup_wakes_all_and_a_false_condition_sleeps_on() {
    let p = Arc::new(Place::default());
    let q = p.clone();
    let team = team(8, move |i| {
        q.rendez.sleep(|| q.items.get() > i);
        q.got.add();
    });
    eventually("eight sleepers", || p.rendez.sleepers() == 8);
    p.rendez.wakeup();
    eventually("all asleep again", || team.iter().all(|t| t.state() == State::Parked));
    assert_eq!(p.got.get(), 0);
    for n in 1..=8 {
        p.items.add();
        p.rendez.wakeup();
        eventually("one more awake", || p.got.get() == n);
    }
    join(&team);
    assert_eq!(p.rendez.sleepers(), 0);
}

#[test]
fn the_condition_is_evaluated_without_locks_and_by_the_sleeper() {
    let p = flag();
    let q = p.clone();
    let t = spawn(move || {
        let me = crate::thread::current().id();
        q.0.sleep(|| {
            assert_eq!(crate::thread::current().id(), me);
            // Sleeping inside a condition is legal because no Lock is held.
            crate::thread::yield_now();
            q.0.sleepers();
            q.1.load(Ordering::SeqCst)
        });
    });
    eventually("asleep", || p.0.sleepers() == 1 && t.state() == State::Parked);
    p.1.store(true, Ordering::SeqCst);
    p.0.wakeup();
    join(&[t]);
}

#[test]
fn wakeup_one_wakes_in_the_order_of_arrival() {
    let p = Arc::new(Place::default());
    let order = Arc::new(Lock::new(Vec::new()));
    let mut threads = Vec::new();
    for i in 0..6 {
        let (p2, order2) = (p.clone(), order.clone());
        threads.push(spawn(move || {
            p2.rendez.sleep(|| p2.items.take());
            order2.lock().push(i);
            p2.got.add();
        }));
        eventually("the next sleeper", || p.rendez.sleepers() == i + 1);
    }
    // One that has come and not yet looked would take what is meant for the first.
    eventually("all asleep", || threads.iter().all(|t| t.state() == State::Parked));
    for n in 1..=6 {
        p.items.add();
        p.rendez.wakeup_one();
        eventually("one more awake", || p.got.get() == n);
    }
    join(&threads);
    assert_eq!(*order.lock(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn wakeup_one_wakes_only_one() {
    let p = Arc::new(Place::default());
    let q = p.clone();
    let looks = Arc::new(Count::default());
    let looks2 = looks.clone();
    let team = team(4, move |_| {
        q.rendez.sleep(|| {
            looks2.add();
            q.items.get() > 0
        });
    });
    eventually("four asleep", || team.iter().all(|t| t.state() == State::Parked));
    let before = looks.get();
    p.rendez.wakeup_one();
    eventually("one looked", || looks.get() == before + 1);
    eventually("asleep again", || team.iter().all(|t| t.state() == State::Parked));
    assert_eq!(looks.get(), before + 1);
    p.items.add();
    p.rendez.wakeup();
    join(&team);
}

#[test]
fn interruption_ends_only_interruptible_sleep_and_leaves_the_flag() {
    let p = flag();
    let (a, b) = (p.clone(), p.clone());
    let hard = spawn(move || {
        a.0.sleep(|| a.1.load(Ordering::SeqCst));
        assert!(crate::thread::current().interrupted());
    });
    let soft = spawn(move || {
        assert_eq!(b.0.sleep_intr(|| b.1.load(Ordering::SeqCst)), Err(Interrupted));
        let me = crate::thread::current();
        assert!(me.interrupted(), "the flag stays set");
        assert_eq!(b.0.sleep_intr(|| false), Err(Interrupted), "and ends the next sleep at once");
        assert_eq!(b.0.sleep_intr(|| true), Ok(()), "but a true condition wins");
        assert_eq!(b.0.sleep_until(u64::MAX, || false), Err(Wake::Interrupted));
        me.clear_interrupt();
        assert!(!me.interrupted());
        assert_eq!(b.0.sleep_until(clock::now_ns() + 1000, || false), Err(Wake::TimedOut));
    });
    eventually("both asleep", || p.0.sleepers() == 2);
    hard.interrupt();
    soft.interrupt();
    eventually("the soft one gone", || soft.state() == State::Dead);
    assert_eq!(p.0.sleepers(), 1);
    p.1.store(true, Ordering::SeqCst);
    p.0.wakeup();
    join(&[hard, soft]);
}

#[test]
fn an_interrupt_before_the_sleep_is_not_lost() {
    let p = flag();
    let q = p.clone();
    let go = Arc::new(AtomicBool::new(false));
    let go2 = go.clone();
    let t = spawn(move || {
        while !go2.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        // An uninterruptible sleep takes the token, but not the flag.
        let soon = clock::now_ns() + 1_000_000;
        q.0.sleep(|| clock::now_ns() >= soon || q.1.load(Ordering::SeqCst));
        assert_eq!(q.0.sleep_intr(|| false), Err(Interrupted));
    });
    t.interrupt();
    go.store(true, Ordering::SeqCst);
    p.1.store(true, Ordering::SeqCst);
    p.0.wakeup();
    join(&[t]);
}

#[test]
fn the_deadline_is_kept_and_not_anticipated() {
    let r = Rendez::new();
    for ns in [0, 1, 100_000, 3_000_000] {
        let end = clock::now_ns() + ns;
        assert_eq!(r.sleep_until(end, || false), Err(Wake::TimedOut));
        assert!(clock::now_ns() >= end);
        assert!(clock::now_ns() < end + SECOND);
    }
    assert_eq!(r.sleepers(), 0);
}

#[test]
fn whoever_leaves_passes_the_wakeup_on() {
    // The first waiter is on the list but never looks, as one that is being interrupted at this moment.
    let p = Arc::new(Place::default());
    let first = {
        let mut list = p.rendez.list.lock();
        list.next = 1;
        list.waiters.push(Waiter { seq: 0, thread: crate::thread::current(), woken: false });
        p.rendez.sleepers.fetch_add(1, Ordering::SeqCst);
        Entry { rendez: &p.rendez, seq: 0 }
    };
    let q = p.clone();
    let second = spawn(move || q.rendez.sleep(|| q.items.take()));
    eventually("the second asleep", || p.rendez.sleepers() == 2 && second.state() == State::Parked);
    p.items.add();
    p.rendez.wakeup_one();
    drop(first);
    join(&[second]);
}

#[test]
fn a_wakeup_that_comes_to_one_who_has_just_taken_is_passed_on() {
    // The first has taken what it was woken for and has not left the list when the second thing is there. It never
    // comes again, as a thread that lives for one thing does not.
    let p = Arc::new(Place::default());
    let taken = Arc::new(AtomicBool::new(false));
    let go = Arc::new(AtomicBool::new(false));
    let (q, taken2, go2) = (p.clone(), taken.clone(), go.clone());
    let first = spawn(move || {
        q.rendez.sleep(|| {
            let got = q.items.take();
            while got && !go2.load(Ordering::SeqCst) {
                taken2.store(true, Ordering::SeqCst);
                std::thread::yield_now();
            }
            got
        });
    });
    eventually("the first asleep", || p.rendez.sleepers() == 1 && first.state() == State::Parked);
    let q = p.clone();
    let second = spawn(move || q.rendez.sleep(|| q.items.take()));
    eventually("the second asleep", || p.rendez.sleepers() == 2 && second.state() == State::Parked);
    p.items.add();
    p.rendez.wakeup_one();
    eventually("the first has taken", || taken.load(Ordering::SeqCst));
    p.items.add();
    p.rendez.wakeup_one();
    go.store(true, Ordering::SeqCst);
    join(&[first, second]);
    assert_eq!((p.items.get(), p.rendez.sleepers()), (0, 0));
}

#[test]
fn no_wakeup_is_lost_under_chaos() {
    // Producers and consumers with one kind of condition, single wakeups, and interruptions all the while. Every item
    // is taken, so no consumer is left asleep beside an item.
    for seed in 1..=12 {
        host::new_machine();
        host::chaos(seed);
        let p = Arc::new(Place::default());
        let items = 150;
        let (c, d) = (p.clone(), p.clone());
        let consumers = team(6, move |_| {
            let me = crate::thread::current();
            while c.got.get() < 2 * items {
                match c.rendez.sleep_intr(|| c.got.get() >= 2 * items || c.items.take()) {
                    Ok(()) => {
                        // The last gets of all wake everybody so that they see the end.
                        if c.got.add() >= 2 * items {
                            c.rendez.wakeup();
                        }
                    }
                    Err(Interrupted) => me.clear_interrupt(),
                }
            }
        });
        let producers = team(2, move |_| {
            for _ in 0..items {
                d.items.add();
                d.rendez.wakeup_one();
            }
        });
        for n in 0..200 {
            consumers[n % 6].interrupt();
            std::thread::yield_now();
        }
        join(&producers);
        join(&consumers);
        assert_eq!(p.items.get(), 0);
        assert_eq!(p.rendez.sleepers(), 0);
    }
}

#[test]
fn timeouts_race_with_wakeups() {
    // Sleepers with tiny deadlines try again for ever; every item must still be taken.
    for seed in 1..=6 {
        host::new_machine();
        host::chaos(seed);
        let p = Arc::new(Place::default());
        let c = p.clone();
        let consumers = team(4, move |i| {
            while c.got.get() < 100 {
                let end = clock::now_ns() + 1000 * (i as u64 * 50 + 1);
                match c.rendez.sleep_until(end, || c.items.take()) {
                    Ok(()) => _ = c.got.add(),
                    Err(why) => assert_eq!(why, Wake::TimedOut),
                }
            }
        });
        for _ in 0..100 {
            p.items.add();
            p.rendez.wakeup_one();
        }
        join(&consumers);
        assert_eq!((p.items.get(), p.got.get()), (0, 100));
    }
}

#[test]
fn a_wakeup_from_an_interrupt_handler_wakes() {
    let p = Arc::new(Place::default());
    let (q, r) = (p.clone(), p.clone());
    let msi = crate::irq::msi(
        "test",
        alloc::boxed::Box::new(move || {
            q.items.add();
            q.rendez.wakeup();
        }),
    )
    .unwrap();
    let t = spawn(move || r.rendez.sleep(|| r.items.take()));
    eventually("asleep", || t.state() == State::Parked);
    assert!(crate::irq::host_raise_msi(msi.address, msi.data));
    join(&[t]);
}

#[test]
fn a_condition_that_panics_leaves_the_list() {
    let r = Rendez::new();
    let mut looks = 0;
    let result = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
        r.sleep(|| {
            looks += 1;
            if looks == 2 {
                std::panic::resume_unwind(alloc::boxed::Box::new(()));
            }
            false
        });
    }));
    assert!(result.is_err());
    assert_eq!(r.sleepers(), 0);
}

#[test]
fn a_place_among_many_is_not_on_the_call_of_who_waits() {
    // The list of so many is larger than a call is granted.
    const MANY: usize = 700;
    let p = flag();
    let q = p.clone();
    let counted = Arc::new(Count::default());
    let count = counted.clone();
    let team = team(MANY, move |_| {
        let call = crate::heap::Call::enter("WAIT");
        q.0.sleep(|| q.1.load(Ordering::SeqCst));
        drop(call);
        count.add();
    });
    eventually("all asleep", || p.0.sleepers() == MANY);
    p.1.store(true, Ordering::SeqCst);
    p.0.wakeup();
    eventually("all awake", || counted.get() == MANY);
    join(&team);
}
