//! The heap as `crate::heap` sees it: whether the grants of all threads are whole, and allocations that may fail.
//!
//! What is set aside for whom is in `frames`.
//!
//! A checked kernel counts what each call has allocated without asking, less what its thread has freed meanwhile, and
//! panics when that was more than [`GRANT`]: the call is named. The host counts more exactly (`host/heap.rs`), and this
//! is for what only a real machine does.

#[cfg(debug_assertions)]
pub(crate) use checked::Watch;
#[cfg(debug_assertions)]
use checked::{begin, end};

use super::frames;
use super::tables::PAGE;
use crate::amd64::with_payer;

/// Whether memory is so plentiful that every thread's grant is whole, and the calling thread's user may keep more.
#[inline]
pub fn is_granted() -> bool {
    is_granted_beside(0)
}

/// The same when so many bytes more are taken.
#[inline]
pub fn is_granted_beside(bytes: usize) -> bool {
    let whole = frames::affords(bytes.div_ceil(PAGE as usize));
    #[cfg(debug_assertions)]
    if whole {
        checked::anew();
    }
    whole
}

/// Whether the calling thread may have so many bytes more.
pub fn can_afford(bytes: u64) -> bool {
    usize::try_from(bytes.div_ceil(PAGE)).is_ok_and(frames::affords)
}

/// Runs `f`, in which an allocation that memory cannot afford fails.
#[inline]
pub fn may_fail<R>(f: impl FnOnce() -> R) -> R {
    let before = with_payer(|p| p.set_tries(true));
    let result = f();
    with_payer(|p| p.set_tries(before));
    result
}

/// Runs `f`, which allocates some bytes for each of other threads, and nothing for the caller: the memory is there,
/// since all of them have brought a grant that is much larger.
pub(crate) fn for_threads<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(debug_assertions)]
    let watched = checked::set(false);
    let result = f();
    #[cfg(debug_assertions)]
    checked::set(watched);
    result
}

/// The kernel is carrying out a call, until this is dropped. What it allocates is watched in a checked kernel.
#[derive(Debug)]
pub struct Call {
    #[cfg(debug_assertions)]
    name: &'static str,
    /// No other call of this thread was in progress.
    #[cfg(debug_assertions)]
    outer: bool,
}

impl Call {
    /// The call of this name begins.
    #[inline]
    #[cfg(not(debug_assertions))]
    pub fn enter(_name: &'static str) -> Call {
        Call {}
    }

    /// The call of this name begins.
    #[cfg(debug_assertions)]
    pub fn enter(name: &'static str) -> Call {
        Call { name, outer: begin() }
    }
}

impl Call {
    /// The same, with a name for whoever wants it.
    #[inline]
    pub fn enter_as(name: impl FnOnce() -> &'static str) -> Call {
        #[cfg(debug_assertions)]
        return Call::enter(name());
        #[cfg(not(debug_assertions))]
        {
            let _ = name;
            Call {}
        }
    }
}

#[cfg(debug_assertions)]
impl Drop for Call {
    fn drop(&mut self) {
        if self.outer {
            end(self.name);
        }
    }
}

/// So many bytes were allocated.
#[inline]
pub(super) fn took(_bytes: usize) {
    #[cfg(debug_assertions)]
    checked::took(_bytes);
}

/// A block has another size.
#[inline]
pub(super) fn changed(had: usize, size: usize) {
    match size.checked_sub(had) {
        Some(more) => took(more),
        None => gave(had - size),
    }
}

/// So many bytes were freed.
#[inline]
pub(super) fn gave(_bytes: usize) {
    #[cfg(debug_assertions)]
    checked::gave(_bytes);
}

#[cfg(debug_assertions)]
mod checked {
    use core::ptr;
    use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

    use crate::amd64::{cpu, with_payer};
    use crate::heap::GRANT;

    /// What a thread's call has allocated. Only the thread itself changes it.
    #[derive(Default)]
    pub(crate) struct Watch {
        on: AtomicBool,
        used: AtomicUsize,
        peak: AtomicUsize,
    }

    impl Watch {
        pub const fn new() -> Watch {
            Watch { on: AtomicBool::new(false), used: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
        }
    }

    /// The running thread's, unless this is an interrupt, or there are no threads yet.
    fn watch() -> Option<&'static Watch> {
        let cpu = cpu::if_ready()?;
        if ptr::eq(cpu.payer.get(), &cpu.nobody) || cpu.current.get().is_null() {
            return None;
        }
        Some(&crate::thread::current_ref().watch)
    }

    pub(super) fn begin() -> bool {
        let Some(watch) = watch().filter(|watch| !watch.on.load(Relaxed)) else { return false };
        watch.used.store(0, Relaxed);
        watch.peak.store(0, Relaxed);
        watch.on.store(true, Relaxed);
        true
    }

    pub(super) fn end(name: &str) {
        let Some(watch) = watch() else { return };
        watch.on.store(false, Relaxed);
        let peak = watch.peak.load(Relaxed);
        assert!(peak <= GRANT, "`{name}` allocated {peak} bytes without asking; {GRANT} are granted");
    }

    /// The call is watched or not; whether it was before.
    pub(super) fn set(on: bool) -> bool {
        watch().is_some_and(|watch| watch.on.swap(on, Relaxed))
    }

    /// A call that was told that the grants are whole begins anew.
    pub(super) fn anew() {
        if let Some(watch) = watch() {
            watch.used.store(0, Relaxed);
        }
    }

    pub(super) fn took(bytes: usize) {
        if with_payer(|payer| payer.tries()) {
            return;
        }
        let Some(watch) = watch().filter(|watch| watch.on.load(Relaxed)) else { return };
        let used = watch.used.load(Relaxed) + bytes;
        watch.used.store(used, Relaxed);
        watch.peak.fetch_max(used, Relaxed);
        if used > GRANT {
            // Here and not at the end of the call, so that the panic's backtrace shows who it was. It is told once.
            watch.on.store(false, Relaxed);
            panic!("{used} bytes were allocated without asking; {GRANT} are granted");
        }
    }

    pub(super) fn gave(bytes: usize) {
        if let Some(watch) = watch().filter(|watch| watch.on.load(Relaxed)) {
            watch.used.store(watch.used.load(Relaxed).saturating_sub(bytes), Relaxed);
        }
    }
}
