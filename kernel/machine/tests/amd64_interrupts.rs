//! How the hardware half keeps interrupts away: `interrupts.rs` and `lock.rs` themselves, compiled here a second time,
//! over a processor whose flag and whose pending interrupts are the test's.
//!
//! GS leads to a processor's own data, as in the kernel; each test thread has one, since programs of Linux do not use
//! that register on amd64.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![allow(dead_code, unreachable_pub, missing_docs)]

extern crate alloc;
// Where `interrupts` finds the flag's instructions.
extern crate self as x86_64;

#[allow(unused_imports)]
#[path = "../src/amd64/interrupts.rs"]
mod interrupts;
#[path = "../src/amd64/lock.rs"]
mod lock;

/// The order of locks, which has tests of its own.
mod sync {
    pub mod lockorder {
        use std::panic::Location;

        pub static SPINNING: () = ();

        pub(crate) struct Held;

        impl Held {
            pub(crate) fn check(&self, _order: &'static (), _place: &'static Location<'static>) {}
            pub(crate) fn push(&self, _order: &'static (), _place: &'static Location<'static>) {}
            pub(crate) fn pop(&self, _order: &'static (), _place: &'static Location<'static>) {}
            pub(crate) fn len(&self) -> usize {
                0
            }
        }
    }
}

mod mem {
    pub mod flush {
        pub fn serve() {}
    }
}

/// A processor.
mod cpu {
    use std::arch::asm;
    use std::cell::Cell;

    use super::interrupts::NONE_WAITS;
    use super::sync::lockorder::Held;

    #[repr(C)]
    pub(crate) struct Cpu {
        this: Cell<*const Cpu>,
        pub sections: Cell<u32>,
        pub late: Cell<(u8, u64)>,
        pub held: Held,
    }

    /// Gives the calling thread one. It is never freed: who ends may still have GS lead there.
    pub(crate) fn begin() {
        let cpu = Cpu {
            this: Cell::new(std::ptr::null()),
            sections: Cell::new(NONE_WAITS),
            late: Cell::new((0, 0)),
            held: Held,
        };
        let cpu: &'static Cpu = Box::leak(Box::new(cpu));
        cpu.this.set(cpu);
        const ARCH_PRCTL: u64 = 158;
        const SET_GS: u64 = 0x1001;
        let result: i64;
        // SAFETY: changes this thread's GS alone, which nothing but this file uses.
        unsafe {
            asm!("syscall", inlateout("rax") ARCH_PRCTL => result, in("rdi") SET_GS, in("rsi") cpu,
                lateout("rcx") _, lateout("r11") _);
        }
        assert_eq!(result, 0);
    }

    pub(crate) fn this() -> &'static Cpu {
        let this: *const Cpu;
        // SAFETY: GS leads to a `Cpu` that is never freed, which begins with its own address.
        unsafe { asm!("mov {}, gs:[0]", out(reg) this) };
        // SAFETY: as above.
        unsafe { &*this }
    }

    pub(crate) fn if_ready() -> Option<&'static Cpu> {
        Some(this())
    }
}

/// The processor's flag, and what waits for it.
mod instructions {
    pub mod interrupts {
        use std::cell::{Cell, RefCell};

        thread_local! {
            static FLAG: Cell<bool> = const { Cell::new(true) };
            static PENDING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }

        pub fn are_enabled() -> bool {
            FLAG.get()
        }

        pub fn disable() {
            FLAG.set(false);
        }

        /// What has waited comes, one after the other.
        pub fn enable() {
            FLAG.set(true);
            while FLAG.get() {
                let next =
                    PENDING.with_borrow_mut(|pending| (!pending.is_empty()).then(|| pending.remove(0)));
                let Some(vector) = next else { break };
                arrive(vector);
            }
        }

        pub fn without_interrupts<R>(f: impl FnOnce() -> R) -> R {
            let was_on = are_enabled();
            disable();
            let result = f();
            if was_on {
                enable();
            }
            result
        }

        /// A device wants something.
        pub fn raise(vector: u8) {
            PENDING.with_borrow_mut(|pending| pending.push(vector));
            if FLAG.get() {
                enable();
            }
        }

        /// As `kernel_trap` does it: the gate turns the flag off, and the return turns it on unless it is told not to.
        fn arrive(vector: u8) {
            FLAG.set(false);
            if crate::interrupts::may_come(vector, u64::from(vector) + 1000) {
                crate::served(vector, u64::from(vector) + 1000);
                FLAG.set(true);
            }
        }
    }
}

use std::cell::RefCell;

use instructions::interrupts::{are_enabled, disable, enable, raise};
use lock::Lock;

thread_local! {
    static SERVED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What serves an interrupt: it takes a lock, as handlers do.
fn served(vector: u8, pc: u64) {
    assert_eq!(pc, u64::from(vector) + 1000, "what it has interrupted");
    assert!(!are_enabled() && !interrupts::are_enabled());
    thread_local!(static OF_HANDLERS: Lock<u32> = const { Lock::new(0) });
    OF_HANDLERS.with(|lock| {
        let mut guard = lock.lock();
        *guard += 1;
        // Another one waits until this one is over.
        assert!(!are_enabled());
    });
    assert!(!are_enabled(), "a section in a handler turns the flag on");
    SERVED.with_borrow_mut(|served| served.push(vector));
}

fn so_far() -> Vec<u8> {
    SERVED.take()
}

/// A processor with the flag on.
fn begin() {
    interrupts::init(served);
    cpu::begin();
    assert!(interrupts::are_enabled());
}

/// Nothing is left over: no section, nothing that waits.
fn at_rest() {
    assert!(interrupts::are_enabled());
    assert_eq!(cpu::this().sections.get(), interrupts::NONE_WAITS);
    raise(99);
    assert_eq!(so_far(), [99]);
}

#[test]
fn what_comes_in_a_section_is_served_at_its_end() {
    begin();
    let lock = Lock::new(0);
    raise(50);
    assert_eq!(so_far(), [50]);
    let guard = lock.lock();
    assert!(are_enabled() && !interrupts::are_enabled());
    raise(51);
    // It is noted, and nothing else can come.
    assert!(!are_enabled());
    raise(52);
    assert!(so_far().is_empty());
    drop(guard);
    assert_eq!(so_far(), [51, 52]);
    at_rest();
}

#[test]
fn only_the_last_of_several_sections_lets_it_in() {
    begin();
    let (a, b, c) = (Lock::new(0), Lock::new(0), Lock::new(0));
    let outer = a.lock();
    let inner = b.lock();
    raise(50);
    drop(inner);
    assert!(so_far().is_empty() && !are_enabled());
    // One that begins while it waits, and one that finds its lock taken.
    drop(c.lock());
    assert!(a.try_lock().is_none());
    drop(b.lock_under(&outer));
    assert!(so_far().is_empty() && !are_enabled());
    drop(outer);
    assert_eq!(so_far(), [50]);
    at_rest();
}

#[test]
fn a_section_that_begins_with_the_flag_off_ends_with_it_off() {
    begin();
    let lock = Lock::new(0);
    disable();
    let guard = lock.lock();
    raise(50);
    drop(guard);
    assert!(lock.try_lock().is_some());
    assert!(!are_enabled() && so_far().is_empty());
    enable();
    assert_eq!(so_far(), [50]);
    at_rest();
}

#[test]
fn a_lock_that_finds_nobody_lets_in_what_came() {
    begin();
    let lock = Lock::new(0);
    let guard = lock.try_lock();
    raise(50);
    assert!(so_far().is_empty());
    drop(guard);
    assert_eq!(so_far(), [50]);
    at_rest();
}

/// As a switch of threads does it: the guard is kept, and who runs next lets go of the lock with the flag off.
fn keep_and_release(lock: &Lock<u32>, between: impl FnOnce()) -> bool {
    let guard = lock.lock();
    between();
    let was_on = guard.keep();
    assert!(!are_enabled());
    // SAFETY: kept above, by this thread.
    unsafe { lock.release() };
    assert!(!are_enabled(), "the flag is for who has kept the lock");
    was_on
}

#[test]
fn a_kept_lock_is_released_with_the_flag_off() {
    begin();
    let (lock, other) = (Lock::new(0), Lock::new(0));
    assert!(keep_and_release(&lock, || ()), "it was on");
    enable();
    // What came before the flag was turned off is served with the release, and was no reason not to turn it on.
    assert!(keep_and_release(&lock, || raise(50)), "it was on before that came");
    assert_eq!(so_far(), [50]);
    enable();
    // It was off.
    disable();
    assert!(!keep_and_release(&lock, || raise(51)));
    assert!(so_far().is_empty());
    enable();
    assert_eq!(so_far(), [51]);
    // Another section is around it: that one's end turns nothing on too early.
    let outer = other.lock();
    assert!(!keep_and_release(&lock, || ()), "interrupts were put off");
    enable();
    raise(52);
    assert!(so_far().is_empty());
    drop(outer);
    assert_eq!(so_far(), [52]);
    at_rest();
}

/// Any order of sections, interrupts and the flag: each interrupt is served once, in its order, never in a section and
/// never with the flag off, and at once when neither is so.
#[test]
fn any_order() {
    begin();
    let mut random = 12_345_u64;
    let mut below = move |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    let locks: Vec<Lock<u32>> = (0..4).map(|_| Lock::new(0)).collect();
    let (mut raised, mut all, mut next) = (Vec::new(), Vec::new(), 32);
    let mut guards = Vec::new();
    let mut off = false;
    for step in 0..200_000 {
        match below(6) {
            0 | 1 => {
                raise(next);
                raised.push(next);
                next = if next == 255 { 32 } else { next + 1 };
            }
            2 if guards.len() < locks.len() => guards.push(locks[guards.len()].lock()),
            3 => drop(guards.pop()),
            // The flag is turned off and on outside of sections, as the scheduler and handlers' entries do.
            4 if guards.is_empty() && !off => {
                disable();
                off = true;
            }
            5 if guards.is_empty() && off => {
                enable();
                off = false;
            }
            _ => {}
        }
        let served = so_far();
        assert!(served.is_empty() || guards.is_empty() && !off, "step {step}: {served:?}");
        all.extend(served);
        if guards.is_empty() && !off {
            assert_eq!(all, raised, "step {step}");
            assert!(interrupts::are_enabled());
            all.clear();
            raised.clear();
        }
    }
}
