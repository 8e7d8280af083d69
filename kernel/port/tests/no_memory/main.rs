//! Each call with memory missing at each step at which it asks for some: it fails, or does without; nobody panics,
//! nothing is left behind, and the same call works afterwards. (`machine::host::heap` makes the steps fail, and sees to
//! it that no call takes more than its grant without asking.)

#[path = "../wire/mod.rs"]
mod wire;
#[path = "../world/mod.rs"]
mod world;

#[allow(dead_code)]
#[path = "../virtcon/port.rs"]
mod port_of_test;

mod calls;
mod files;
mod lives;
mod mounts;
mod notes;
mod ports;
mod servers;

use std::time::{Duration, Instant};

use machine::host::heap;
use port::testkit::Hosted;

/// What must be as it was: descriptors, mounts, processes, memory of the machine.
pub fn counts(t: &Hosted) -> (usize, String, usize, u64) {
    let ns = String::from_utf8(t.read("#p/1/ns").unwrap()).unwrap();
    // The numbers of mounts rise; the lines are the same.
    (t.up.fgrp().list().count(), ns, t.kernel.procs.lock().len(), machine::mem::free_bytes())
}

/// The texts of a call that memory was missing for. A name may stand in front.
pub fn is_want_of_memory(text: &str) -> bool {
    use abi::error::{EFULL, ENOMEM, ENOVMEM};
    [ENOMEM, ENOVMEM, EFULL].iter().any(|end| text.ends_with(end))
}

/// Carries `call` out with the first step failing, then the second, and so on until none is left to fail. What a call
/// that succeeded has made, `undo` takes away.
pub fn at_each_step(t: &Hosted, what: &str, call: impl FnMut() -> port::Result<()>, undo: impl FnMut()) {
    at_each_step_in(t, what, None, call, undo);
}

/// Waits until something is so: threads that a call has ended may take their time to be gone.
pub fn eventually(mut what: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    while !what() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// What must be as it was, when threads that have ended are gone.
fn settled(t: &Hosted) -> (usize, String, usize, u64) {
    let mut before = counts(t);
    eventually(|| {
        std::thread::sleep(Duration::from_millis(30));
        let last = std::mem::replace(&mut before, counts(t));
        last == before
    });
    before
}

/// The same with steps in calls of one name alone, where others run meanwhile.
pub fn at_each_step_in(
    t: &Hosted,
    what: &str,
    only: Option<&'static str>,
    mut call: impl FnMut() -> port::Result<()>,
    mut undo: impl FnMut(),
) {
    let fail = |n| only.map_or_else(|| heap::fail_nth(n), |name| heap::fail_nth_in(name, n));
    // What is made once and kept is there from now on.
    for _ in 0..2 {
        call().unwrap_or_else(|e| panic!("{what}: {e}"));
        undo();
    }
    let before = settled(t);
    for n in 1.. {
        assert!(n < 2000, "{what} never ends");
        fail(n);
        let result = call();
        let (_, failed) = heap::steps();
        heap::fail_nth(0);
        match &result {
            Ok(()) => undo(),
            Err(e) => assert!(failed > 0 && is_want_of_memory(e.text()), "{what}, step {n}: {e}"),
        }
        if !eventually(|| counts(t) == before) {
            assert_eq!(counts(t), before, "{what}, step {n}");
        }
        call().unwrap_or_else(|e| panic!("{what}, after step {n}: {e}"));
        undo();
        if failed == 0 {
            break;
        }
    }
    assert_eq!(machine::host::machine().panics(), 0, "{what}");
}
