//! Each call with memory missing at each step at which it asks for some: it fails, or does without; nobody panics,
//! nothing is left behind, and the same call works afterwards. (`machine::host::heap` makes the steps fail, and sees to
//! it that no call takes more than its grant without asking.)

#[path = "../wire/mod.rs"]
mod wire;
#[path = "../world/mod.rs"]
mod world;

mod calls;
mod files;
mod mounts;

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
pub fn at_each_step(
    t: &Hosted,
    what: &str,
    mut call: impl FnMut() -> port::Result<()>,
    mut undo: impl FnMut(),
) {
    // What is made once and kept is there from now on.
    for _ in 0..2 {
        call().unwrap_or_else(|e| panic!("{what}: {e}"));
        undo();
    }
    let before = counts(t);
    for n in 1.. {
        assert!(n < 2000, "{what} never ends");
        heap::fail_nth(n);
        let result = call();
        let (_, failed) = heap::steps();
        heap::fail_nth(0);
        match &result {
            Ok(()) => undo(),
            Err(e) => assert!(failed > 0 && is_want_of_memory(e.text()), "{what}, step {n}: {e}"),
        }
        let after = counts(t);
        assert_eq!((&after.0, &after.1, &after.2), (&before.0, &before.1, &before.2), "{what}, step {n}");
        assert_eq!(after.3, before.3, "{what}, step {n}: memory");
        call().unwrap_or_else(|e| panic!("{what}, after step {n}: {e}"));
        undo();
        if failed == 0 {
            break;
        }
    }
    assert_eq!(machine::host::machine().panics(), 0, "{what}");
}
