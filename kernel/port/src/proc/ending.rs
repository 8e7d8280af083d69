//! The end of the machine, in order: what the power button asks for.
//!
//! Every process gets the note `hangup` and some seconds; who is left then is killed; devices finish what they have
//! begun ([`Dev::finish`](crate::dev::Dev::finish)); the power goes off. Who writes `halt` to `/dev/reboot` meanwhile,
//! as init(8) does when its shell has ended, waits for that, since others are still at it. Pressing the button again
//! shortens every wait: for somebody who has seen that it takes too long.
//!
//! One kernel thread does it, made at boot, so that it is there when memory is not. [`Ending::press`] is for interrupt
//! handlers. Locks: none but the `Rendez`'s own.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use machine::clock;
use machine::heap::Call;
use machine::sync::Rendez;
use machine::thread;

use crate::error::Result;
use crate::kernel::Kernel;
use crate::proc::exit::FIRST_PID;
use crate::proc::notes::{self, NoteClass};
use crate::proc::procctl;
use crate::proc::process::{Proc, each};

/// How long processes have after the note, in nanoseconds.
const NOTED_NS: u64 = 5_000_000_000;
/// How long they have to die of a kill: a wait for a silent server ends after one second.
const KILLED_NS: u64 = 3_000_000_000;
/// How long the devices may take for what they have begun.
pub(crate) const DEVICES_NS: u64 = 5_000_000_000;
/// How often the processes that are left are counted.
const LOOK_NS: u64 = 10_000_000;

/// What is known of the end. There is one in each kernel.
#[derive(Default)]
pub struct Ending {
    /// How often the button was pressed.
    presses: AtomicU32,
    pressed: Rendez,
    begun: AtomicBool,
    /// Somebody waits for the end. Then the first process has nothing else to do: it is that one, or waits for it.
    awaited: AtomicBool,
    /// Processes that wait for it, without the first one.
    waiting: AtomicUsize,
}

impl Ending {
    /// The power button was pressed. May be called in an interrupt handler.
    pub fn press(&self) {
        self.presses.fetch_add(1, Ordering::SeqCst);
        self.pressed.wakeup();
    }

    /// Whether the machine is about to end in order.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    fn hurried(&self, presses: u32) -> bool {
        self.presses.load(Ordering::SeqCst) != presses
    }

    /// Waits until `done` or for so long, or until the button is pressed again.
    fn wait(&self, ns: u64, presses: u32, done: impl Fn() -> bool) {
        let deadline = clock::now_ns().saturating_add(ns);
        while !done() && clock::now_ns() < deadline && !self.hurried(presses) {
            let next = clock::now_ns().saturating_add(LOOK_NS);
            let _ = self.pressed.sleep_until(next, || self.hurried(presses));
        }
    }
}

/// Waits, as a process that wants the machine to end, until somebody kills it or the machine is off.
pub(crate) fn wait_for(up: &Arc<Proc>) -> Result<()> {
    let ending = &up.kernel.ending;
    let others = usize::from(up.pid != FIRST_PID);
    ending.waiting.fetch_add(others, Ordering::SeqCst);
    ending.awaited.store(true, Ordering::SeqCst);
    let result = up.despite_notes(|| Ok(Rendez::new().sleep_intr(|| false)?));
    ending.waiting.fetch_sub(others, Ordering::SeqCst);
    result
}

/// Starts the thread that waits for the power button; `off` switches the machine off.
///
/// # Errors
/// `kernel allocate failed`.
pub(crate) fn start(kernel: &Arc<Kernel>, off: impl Fn() + Send + 'static) -> Result<()> {
    let weak = Arc::downgrade(kernel);
    let ending = kernel.ending.clone();
    let body = move || {
        ending.pressed.sleep(|| ending.presses.load(Ordering::SeqCst) != 0);
        let _call = Call::enter("end of the machine");
        let Some(kernel) = weak.upgrade() else { return };
        end(&kernel);
        off();
    };
    thread::spawn("power", 0, Box::new(body))?;
    Ok(())
}

/// Ends all processes and has the devices finish.
fn end(kernel: &Kernel) {
    let ending = &kernel.ending;
    ending.begun.store(true, Ordering::SeqCst);
    let mut presses = ending.presses.load(Ordering::SeqCst);
    crate::kprint!(kernel, "power: the button was pressed, the machine ends\n");
    each_living(kernel, |p| {
        notes::post(p, "hangup", NoteClass::User);
        true
    });
    // Those that wait for the end are as good as gone.
    let left = || {
        let awaited = ending.awaited.load(Ordering::SeqCst);
        let waiting = ending.waiting.load(Ordering::SeqCst);
        each_living(kernel, |p| !(awaited && p.pid == FIRST_PID)).saturating_sub(waiting)
    };
    ending.wait(NOTED_NS, presses, || left() == 0);
    presses = ending.presses.load(Ordering::SeqCst);
    match left() {
        0 => {}
        n => crate::kprint!(kernel, "power: killed processes: {n}\n"),
    }
    // Over and over: one that was just being made has not heard of it.
    ending.wait(KILLED_NS, presses, || {
        each_living(kernel, |p| {
            procctl::kill(p);
            true
        }) == 0
    });
    presses = ending.presses.load(Ordering::SeqCst);
    let deadline = clock::now_ns().saturating_add(DEVICES_NS);
    finish_devices(kernel, &|| clock::now_ns() > deadline || ending.hurried(presses));
    crate::kprint!(kernel, "power: off\n");
    kernel.kmesg.flush();
}

/// Has all devices finish what they have begun, in so many nanoseconds at most.
pub(crate) fn finish_within(kernel: &Kernel, ns: u64) {
    let deadline = clock::now_ns().saturating_add(ns);
    finish_devices(kernel, &|| clock::now_ns() > deadline);
}

/// Has all devices finish what they have begun; they stop waiting when they are to `leave`.
fn finish_devices(kernel: &Kernel, leave: &dyn Fn() -> bool) {
    for dev in kernel.devs() {
        dev.finish(kernel, leave);
    }
}

/// Does `f` with each process that runs a program, and counts those of which it says so. Those that are kept for a
/// debugger do not run.
fn each_living(kernel: &Kernel, f: impl Fn(&Arc<Proc>) -> bool) -> usize {
    let runs = |p: &Arc<Proc>| !p.ctl.lock().broken && p.thread.get().is_some();
    each(kernel).filter(|p| runs(p) && f(p)).count()
}
