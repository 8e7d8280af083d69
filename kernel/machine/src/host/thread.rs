//! Kernel threads on the host: `std` threads that park on a token.
//!
//! `park` waits for the token on a condition variable and takes it; `unpark` puts it there. A thread that was not
//! made by [`spawn`] (a test's own) becomes a kernel thread when it first asks for [`current`].

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::heap::aside;
use super::machine::{Charge, machine};
use super::{chaos, clock, irq, lock};
use crate::ledger::{self, Payer};
use crate::threads::Common;
pub use crate::threads::Observer;
pub use crate::types::{OutOfMemory, State, Times};

/// A kernel thread.
pub struct Thread {
    pub(crate) common: Common,
    park: Mutex<Parking>,
    wake: Condvar,
    /// Nanoseconds in user mode.
    user_ns: AtomicU64,
    /// Nanoseconds parked.
    parked_ns: AtomicU64,
    born_ns: u64,
    /// When the thread ended; 0 while it lives.
    died_ns: AtomicU64,
}

/// What `park` and `unpark` agree on.
struct Parking {
    token: bool,
    state: State,
}

/// A counted reference to a thread.
pub type ThreadRef = Arc<Thread>;

/// Pages charged for a thread: its stack on the real machine.
const STACK_PAGES: usize = 4;

std::thread_local! {
    /// Who pays for what the thread allocates. Without a destructor: a thread that is ending allocates, too.
    static PAYER: Payer = const { Payer::new() };
    static CURRENT: RefCell<Option<ThreadRef>> = const { RefCell::new(None) };
}

/// Marks the thread dead when its function returns or panics, and gives its stack back.
struct Life(ThreadRef, u16);

impl Drop for Life {
    fn drop(&mut self) {
        let m = machine();
        m.release(STACK_PAGES, Charge::Kernel, self.1);
        if std::thread::panicking() && super::power::host_state().is_none() {
            m.panics.fetch_add(1, Ordering::AcqRel);
        }
        self.0.died_ns.store(clock::now_ns().max(1), Ordering::Release);
        self.0.parking().state = State::Dead;
        self.0.wake.notify_all();
    }
}

/// Starts a thread that runs `f` and ends when it returns. `tag` is the caller's (a process id, or 0).
///
/// # Errors
/// When there is no memory for its stack.
pub fn spawn(name: &str, tag: u64, f: Box<dyn FnOnce() + Send>) -> Result<ThreadRef, OutOfMemory> {
    let home = machine();
    let owner = home.charge(STACK_PAGES, Charge::Kernel)?;
    let thread = Thread::new(name, tag, State::Ready);
    let mine = thread.clone();
    let here = home.clone();
    let body = move || {
        here.enter();
        CURRENT.with(|c| *c.borrow_mut() = Some(mine.clone()));
        mine.parking().state = State::Running;
        let life = Life(mine, owner);
        chaos::point();
        ledger::pay(owner, f);
        drop(life);
    };
    let started = aside(|| std::thread::Builder::new().name(name.to_string()).spawn(body));
    match started {
        Ok(_) => Ok(thread),
        Err(_) => {
            home.release(STACK_PAGES, Charge::Kernel, owner);
            Err(OutOfMemory)
        }
    }
}

/// The running thread's payer.
pub(crate) fn with_payer<R>(f: impl FnOnce(&Payer) -> R) -> R {
    PAYER.with(f)
}

/// The running thread has taken a lock: the host's scheduler does not ask.
pub(crate) fn has_taken() {}

/// It has let go of one.
pub(crate) fn has_let_go() {}

/// The number of the running thread.
pub(crate) fn current_id() -> u64 {
    current().id()
}

/// The running thread.
pub fn current() -> ThreadRef {
    CURRENT.with(|c| {
        c.borrow_mut()
            .get_or_insert_with(|| {
                aside(|| {
                    let me = std::thread::current();
                    Thread::new(me.name().unwrap_or("test"), 0, State::Running)
                })
            })
            .clone()
    })
}

/// The [tag](Thread::tag) of the running thread.
pub fn tag() -> u64 {
    current().tag()
}

/// Whether the running thread [is interrupted](Thread::interrupted).
pub fn is_interrupted() -> bool {
    current().interrupted()
}

/// Waits for an unpark token and takes it. May return without one.
pub fn park() {
    park_until(u64::MAX);
}

/// Waits for an unpark token, at most until `clock::now_ns() >= deadline_ns`. May return early.
pub fn park_until(deadline_ns: u64) {
    assert_eq!(lock::held(), 0, "park with a Lock held");
    assert!(!irq::in_handler(), "park in an interrupt handler");
    chaos::point();
    if chaos::sometimes(32) {
        return;
    }
    let me = current();
    let mut p = me.parking();
    if !p.token {
        let since = clock::now_ns();
        p.state = State::Parked;
        me.begins(State::Parked);
        while !p.token {
            if deadline_ns == u64::MAX {
                p = me.wake.wait(p).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let now = clock::now_ns();
            if now >= deadline_ns {
                break;
            }
            let left = Duration::from_nanos(deadline_ns - now);
            p = me.wake.wait_timeout(p, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        p.state = State::Running;
        me.begins(State::Running);
        me.parked_ns.fetch_add(clock::now_ns() - since, Ordering::Relaxed);
        machine().switches.fetch_add(1, Ordering::Relaxed);
    }
    p.token = false;
}

/// Lets other threads run.
pub fn yield_now() {
    assert_eq!(lock::held(), 0, "yield with a Lock held");
    chaos::point();
    std::thread::yield_now();
}

/// Whether the calling context can park: no Lock is held, and it is not an interrupt's.
pub fn may_park() -> bool {
    lock::held() == 0 && !irq::in_handler()
}

/// Whether a better thread waits for this processor. The host's scheduler needs no help, so only the chaos
/// injector ever says yes.
pub fn need_resched() -> bool {
    LOOKS.set(LOOKS.get() + 1);
    chaos::sometimes(16)
}

std::thread_local! {
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

/// How often the calling thread has looked whether another one waits for the processor: for tests of what is long.
pub fn looks() -> u64 {
    LOOKS.get()
}

impl Thread {
    fn new(name: &str, tag: u64, state: State) -> ThreadRef {
        Arc::new(Thread {
            common: Common::new(name, tag),
            park: Mutex::new(Parking { token: false, state }),
            wake: Condvar::new(),
            user_ns: AtomicU64::new(0),
            parked_ns: AtomicU64::new(0),
            born_ns: clock::now_ns(),
            died_ns: AtomicU64::new(0),
        })
    }

    fn parking(&self) -> MutexGuard<'_, Parking> {
        self.park.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the thread its token: its `park` returns, now or when it is next called. Tokens do not add up.
    pub fn unpark(&self) {
        chaos::point();
        let mut p = self.parking();
        p.token = true;
        if p.state == State::Parked {
            p.state = State::Ready;
            self.begins(State::Ready);
            // All: somebody may be waiting for the thread's end at the same place.
            self.wake.notify_all();
        }
    }

    /// A kick is seen when the program asks: nothing has to be done.
    pub(crate) fn recall(&self) {}

    /// Its priority has changed: the host's scheduler does not ask.
    pub(crate) fn requeue(&self) {}

    /// Whether it has been given a lock that it waited for: the host's scheduler does not ask.
    pub(crate) fn is_given(&self, _: bool) {}

    /// Waits until the thread is dead.
    pub fn host_join(&self) {
        let mut p = self.parking();
        while p.state != State::Dead {
            p = self.wake.wait(p).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether a kick is waiting. A user program that computes for long asks this and returns `Event::Interrupt`.
    pub fn host_kicked(&self) -> bool {
        self.kick_pending()
    }

    pub(super) fn add_user_ns(&self, ns: u64) {
        self.user_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Where it goes on in the kernel: nobody knows, on the host.
    pub fn kernel_place(&self) -> Option<(u64, u64)> {
        None
    }

    /// What the thread is doing.
    pub fn state(&self) -> State {
        self.parking().state
    }

    /// Time used. On the host, kernel time is what was neither parked nor in user mode.
    pub fn times(&self) -> Times {
        let end = match self.died_ns.load(Ordering::Acquire) {
            0 => clock::now_ns(),
            died => died,
        };
        let user_ns = self.user_ns.load(Ordering::Relaxed);
        let other = user_ns + self.parked_ns.load(Ordering::Relaxed);
        Times { user_ns, sys_ns: (end - self.born_ns).saturating_sub(other) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;
    use crate::lock::Lock;

    #[test]
    fn a_token_given_before_is_not_lost_and_they_do_not_add_up() {
        let me = current();
        me.unpark();
        me.unpark();
        let start = clock::now_ns();
        park();
        let end = clock::now_ns() + 3_000_000;
        park_until(end);
        assert!(clock::now_ns() >= end, "the second token was the first");
        assert!(clock::now_ns() < start + 5_000_000_000);
    }

    #[test]
    fn a_life_has_its_states_and_times() {
        host::new_machine();
        let t = spawn(
            "life",
            42,
            Box::new(|| {
                park();
                let end = clock::now_ns() + 2_000_000;
                while clock::now_ns() < end {}
            }),
        )
        .unwrap();
        assert_eq!((t.tag(), t.name().as_str()), (42, "life"));
        assert_eq!(t.priority(), 10);
        t.set_priority(99);
        assert_eq!(t.priority(), 20);
        while t.state() != State::Parked {
            std::thread::yield_now();
        }
        assert_eq!(crate::mem::kernel_bytes(), 4 * 4096);
        std::thread::sleep(Duration::from_millis(5));
        t.unpark();
        t.host_join();
        let times = t.times();
        assert!(times.sys_ns >= 2_000_000);
        assert_eq!(times, t.times(), "the dead use no time");
        assert_eq!(crate::mem::kernel_bytes(), 0);
        assert_ne!(t.id(), current().id());
    }

    #[test]
    fn current_is_the_same_all_the_time_and_of_the_spawner_in_a_spawned_thread() {
        assert!(Arc::ptr_eq(&current(), &current()));
        let seen = Arc::new(Lock::new(None));
        let seen2 = seen.clone();
        let t = spawn("me", 0, Box::new(move || *seen2.lock() = Some(current()))).unwrap();
        t.host_join();
        assert!(Arc::ptr_eq(seen.lock().as_ref().unwrap(), &t));
    }

    #[test]
    #[should_panic(expected = "park with a Lock held")]
    fn parking_with_a_lock_is_noticed() {
        let l = Lock::new(());
        let _g = l.lock();
        park_until(0);
    }

    #[test]
    fn a_panic_ends_the_thread_and_is_counted() {
        let m = host::new_machine();
        let t = spawn("bad", 0, Box::new(|| std::panic::resume_unwind(Box::new(())))).unwrap();
        t.host_join();
        assert_eq!(m.panics(), 1);
        let t = spawn("off", 0, Box::new(|| crate::power::off())).unwrap();
        t.host_join();
        assert_eq!(m.panics(), 1, "switching off is not a mistake");
        assert_eq!(crate::power::host_state(), Some(crate::power::Power::Off));
    }

    #[test]
    fn no_memory_no_thread() {
        host::new_machine();
        host::limit_pages(STACK_PAGES - 1);
        assert!(spawn("none", 0, Box::new(|| {})).is_err());
    }

    #[test]
    fn chaos_makes_park_return_without_a_token() {
        host::new_machine();
        host::chaos(3);
        let mut early = 0;
        for _ in 0..300 {
            let end = clock::now_ns() + 300_000;
            park_until(end);
            early += usize::from(clock::now_ns() < end);
        }
        host::chaos(0);
        assert!(early > 0);
    }
}
