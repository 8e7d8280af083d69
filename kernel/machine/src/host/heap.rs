//! The heap of tests: what a call allocates without asking is watched, and what it asks for can be refused.
//!
//! `Heap` is the global allocator of whatever is built with this crate. A thread between [`Call::enter`] and the
//! drop of that [`Call`] has a peak: the bytes that it has allocated in the ordinary way and not freed again. When
//! that is more than [`GRANT`] the drop panics, and names the call. With `RUST_BACKTRACE=1` it also says who asked for
//! the bytes that were too many.
//!
//! What is asked for inside [`may_fail`], pages, `Dma`, threads, and the question [`is_granted`] are *steps* of the
//! calling thread's machine, which can be made to fail (`failures`).
//!
//! # How a block is known
//!
//! Behind each block stands the number of the account that pays for it (`crate::ledger`), and that of the call that
//! allocated it, which no other call has; 0 when there was none or the block was asked for. So a block that is freed by
//! another call, or by another thread, is nobody's credit: memory that a call gives back belongs to all threads. What
//! this half of the machine allocates to be a machine (a page's words, a thread of `std`) is done in [`aside`], and is
//! neither counted nor refused.
//!
//! What is kept of a thread is in cells without destructors: a thread that is ending allocates too.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};
use std::alloc::System;
use std::backtrace::Backtrace;
use std::boxed::Box;
use std::string::String;

pub use super::failures::{fail_every, fail_from, fail_nth, fail_nth_in, steps};

use super::failures::refuses;
use super::machine::machine;
use crate::heap::GRANT;
use crate::ledger;

/// What stands behind a block.
const MARK: usize = size_of::<u64>();
/// In a mark, where the number of the account begins that pays for the block; the number of the call is below.
const ACCOUNT_SHIFT: u32 = 48;
/// What the real heap needs to keep account of a small block, about.
const OVERHEAD: usize = 16;
/// From here on a block is whole pages.
const PAGE: usize = 4096;

std::thread_local! {
    /// The number of the call that this thread is in, or 0.
    static CALL: Cell<u64> = const { Cell::new(0) };
    /// What it is called.
    static NAME: Cell<&'static str> = const { Cell::new("") };
    static USED: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
    /// What may be used.
    static GRANTED: Cell<usize> = const { Cell::new(GRANT) };
    /// Who passed the grant. Leaked: a cell without a destructor cannot own it.
    static CULPRIT: Cell<*mut Backtrace> = const { Cell::new(ptr::null_mut()) };
    static MAY_FAIL: Cell<bool> = const { Cell::new(false) };
    static ASIDE: Cell<bool> = const { Cell::new(false) };
}

/// Bytes that an interrupt handler may have at a time: the thread that it interrupts may have used up its grant.
pub const INTERRUPT_GRANT: usize = 0;

/// Numbers of calls.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The allocator of tests.
#[derive(Debug, Default)]
struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

/// The layout with its mark, and where that is.
fn marked(layout: Layout) -> Option<(Layout, usize)> {
    let at = layout.size().checked_next_multiple_of(MARK)?;
    let whole = Layout::from_size_align(at.checked_add(MARK)?, layout.align().max(MARK)).ok()?;
    Some((whole, at))
}

/// What the real machine would take for it.
fn cost(size: usize) -> usize {
    if size >= PAGE { size.next_multiple_of(PAGE) } else { (size + OVERHEAD).next_multiple_of(OVERHEAD) }
}

/// Notes an allocation; gives its mark, or none if it is to fail.
fn begin(size: usize) -> Option<u64> {
    if ASIDE.get() {
        return Some(0);
    }
    if MAY_FAIL.get() {
        return (ledger::may_have(cost(size)) && !refuses()).then(|| paid(size));
    }
    let call = CALL.get();
    if call == 0 {
        return Some(paid(size));
    }
    let used = USED.get() + cost(size);
    USED.set(used);
    let before = PEAK.get();
    if used > before {
        PEAK.set(used);
        let passes = before <= GRANTED.get() && used > GRANTED.get();
        // Who panics shows where itself, under a lock that this would wait for.
        if passes && CULPRIT.get().is_null() && !std::thread::panicking() {
            CULPRIT.set(aside(|| Box::into_raw(Box::new(Backtrace::capture()))));
        }
    }
    Some(paid(size) | call)
}

/// Charges a block to the thread's account; the upper part of the mark says which that is.
fn paid(size: usize) -> u64 {
    u64::from(ledger::charge(cost(size))) << ACCOUNT_SHIFT
}

// SAFETY: blocks are `System`'s, made longer by a mark behind what was asked for; size and alignment are at least
// what was asked, and `dealloc` computes the same longer layout from the same one.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((whole, at)) = marked(layout) else { return ptr::null_mut() };
        let Some(mark) = begin(layout.size()) else { return ptr::null_mut() };
        // SAFETY: the size is not zero, there is a mark in it.
        let block = unsafe { System.alloc(whole) };
        if !block.is_null() {
            // SAFETY: the mark lies inside the longer block, aligned to itself.
            unsafe { block.add(at).cast::<u64>().write(mark) };
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some((whole, at)) = marked(layout) else { return ptr::null_mut() };
        let Some(mark) = begin(layout.size()) else { return ptr::null_mut() };
        // SAFETY: as in `alloc`.
        let block = unsafe { System.alloc_zeroed(whole) };
        if !block.is_null() {
            // SAFETY: as in `alloc`.
            unsafe { block.add(at).cast::<u64>().write(mark) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // A layout that was given a block has room for its mark.
        let Some((whole, at)) = marked(layout) else { return };
        // SAFETY: `alloc` put the mark there.
        let mark = unsafe { block.add(at).cast::<u64>().read() };
        ledger::credit((mark >> ACCOUNT_SHIFT) as u16, cost(layout.size()));
        let call = mark & ((1 << ACCOUNT_SHIFT) - 1);
        if call != 0 && call == CALL.get() {
            USED.set(USED.get().saturating_sub(cost(layout.size())));
        }
        // SAFETY: the block and the layout that `alloc` had from `System`.
        unsafe { System.dealloc(block, whole) };
    }
}

/// Runs `f`, in which an allocation may fail: only what can say so may allocate in it.
pub fn may_fail<R>(f: impl FnOnce() -> R) -> R {
    let _back = Back(&MAY_FAIL, MAY_FAIL.replace(true));
    f()
}

/// Runs `f`, which allocates some bytes for each of other threads, and nothing for the caller: each has brought a
/// grant.
pub(crate) fn for_threads<R>(f: impl FnOnce() -> R) -> R {
    let call = CALL.replace(0);
    let result = f();
    CALL.set(call);
    result
}

/// Runs `f`, whose allocations are the host's own and none of the kernel's.
pub fn aside<R>(f: impl FnOnce() -> R) -> R {
    let _back = Back(&ASIDE, ASIDE.replace(true));
    f()
}

/// Whether the thread is in [`aside`].
pub(super) fn is_aside() -> bool {
    ASIDE.get()
}

/// The name of the call that the thread is in.
pub(super) fn call() -> Option<&'static str> {
    (CALL.get() != 0).then(|| NAME.get())
}

/// Sets a flag back when it is dropped.
struct Back(&'static std::thread::LocalKey<Cell<bool>>, bool);

impl Drop for Back {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

/// The kernel is carrying out a call, until this is dropped. A call inside of a call belongs to the outer one.
#[derive(Debug)]
pub struct Call {
    name: &'static str,
    /// No other call of this thread was in progress.
    outer: bool,
    /// It belongs to the thread that made it.
    _here: core::marker::PhantomData<*const ()>,
}

impl Call {
    /// The call of this name begins.
    #[inline]
    pub fn enter(name: &'static str) -> Call {
        let outer = CALL.get() == 0;
        if outer {
            CALL.set(NEXT.fetch_add(1, Ordering::Relaxed));
            NAME.set(name);
            USED.set(0);
            PEAK.set(0);
        }
        Call { name, outer, _here: core::marker::PhantomData }
    }

    /// The same, with a name for whoever wants it.
    #[inline]
    pub fn enter_as(name: impl FnOnce() -> &'static str) -> Call {
        Call::enter(name())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.outer {
            return;
        }
        CALL.set(0);
        judge(self.name);
    }
}

/// Panics if the call of this name, which has ended, had more than it was granted.
fn judge(name: &str) {
    let culprit = CULPRIT.replace(ptr::null_mut());
    // SAFETY: it came from a box in `begin`, and was taken out of the only place that names it.
    let culprit = (!culprit.is_null()).then(|| unsafe { Box::from_raw(culprit) });
    let (peak, granted) = (PEAK.get(), GRANTED.get());
    if peak > granted && !std::thread::panicking() {
        let who = culprit.map_or_else(String::new, |c| std::format!("\n{c}"));
        panic!("`{name}` allocated {peak} bytes without asking; {granted} are granted{who}");
    }
}

/// Runs `f` as an interrupt handler, which has [`INTERRUPT_GRANT`] of its own; what it interrupts goes on afterwards.
pub(super) fn interrupt<R>(f: impl FnOnce() -> R) -> R {
    within("interrupt", INTERRUPT_GRANT, f)
}

/// Runs `f` as a call of its own with another grant: for what is tried without a kernel.
///
/// # Panics
/// When it had more than that at a time without asking.
pub fn within<R>(name: &'static str, granted: usize, f: impl FnOnce() -> R) -> R {
    struct Interrupted {
        call: u64,
        name: &'static str,
        used: usize,
        peak: usize,
        granted: usize,
        culprit: *mut Backtrace,
        may_fail: bool,
        aside: bool,
    }
    impl Drop for Interrupted {
        fn drop(&mut self) {
            CALL.set(self.call);
            NAME.set(self.name);
            USED.set(self.used);
            PEAK.set(self.peak);
            GRANTED.set(self.granted);
            CULPRIT.set(self.culprit);
            MAY_FAIL.set(self.may_fail);
            ASIDE.set(self.aside);
        }
    }
    let _back = Interrupted {
        call: CALL.replace(NEXT.fetch_add(1, Ordering::Relaxed)),
        name: NAME.replace(name),
        used: USED.replace(0),
        peak: PEAK.replace(0),
        granted: GRANTED.replace(granted),
        culprit: CULPRIT.replace(ptr::null_mut()),
        may_fail: MAY_FAIL.replace(false),
        aside: ASIDE.replace(false),
    };
    let result = f();
    judge(name);
    result
}

/// The most bytes that the calling thread's call has had so far, or its last one had.
pub fn peak() -> usize {
    PEAK.get()
}

/// Whether memory is so plentiful that every thread's grant is whole.
///
/// A call to which that was said begins anew: what it has had so far is no part of its grant any more.
pub fn is_granted() -> bool {
    is_granted_beside(0)
}

/// The same when so many bytes more are taken.
pub fn is_granted_beside(bytes: usize) -> bool {
    let m = machine();
    let whole = super::mem::free_bytes() >= super::mem::total_bytes() / 64 + (1 << 20) + bytes as u64;
    let whole = whole && ledger::may_have(bytes) && !m.failures.step();
    if whole && CALL.get() != 0 {
        CALL.set(NEXT.fetch_add(1, Ordering::Relaxed));
        USED.set(0);
    }
    whole
}

/// Whether the calling thread may have so many bytes more. The host's own heap is not counted.
pub fn can_afford(bytes: u64) -> bool {
    let page = abi::layout::PAGE;
    usize::try_from(bytes).is_ok_and(ledger::may_have)
        && super::mem::free_bytes() >= (super::KERNEL_RESERVE as u64 * page).saturating_add(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dma::Dma;
    use crate::heap::{Text, try_bytes, try_copy, try_extend, try_format, try_push, try_string};
    use crate::host;
    use crate::page::Page;
    use crate::types::OutOfMemory;
    use alloc::vec;
    use alloc::vec::Vec;
    use core::fmt::Write;

    #[test]
    fn a_call_s_peak_is_what_it_holds_at_a_time() {
        let old = vec![0u8; 5000];
        let call = Call::enter("test");
        for _ in 0..100 {
            drop(vec![1u8; 1000]);
        }
        assert_eq!(peak(), 1024);
        drop(old);
        let two = (vec![1u8; 1000], vec![1u8; 1000]);
        assert_eq!(peak(), 2048, "what was there before is no credit");
        let asked = try_bytes(1 << 20).unwrap();
        aside(|| drop(vec![0u8; 1 << 20]));
        let inner = Call::enter("inner");
        std::thread::spawn(move || drop((two, asked))).join().unwrap();
        drop(inner);
        drop(call);
        assert!((2048..GRANT).contains(&peak()));
        drop(vec![0u8; 1 << 20]);
        let call = Call::enter("rounds");
        let kept: Vec<_> = (0..9).map(|_| is_granted().then(|| vec![0u8; 5000])).collect();
        drop((call, kept));
        assert!(peak() < GRANT);
    }

    #[test]
    #[should_panic(expected = "`test` allocated 20480 bytes without asking; 16384 are granted")]
    fn more_than_is_granted_is_noticed() {
        let _call = Call::enter("test");
        drop(vec![0u8; 20_000]);
    }

    #[test]
    fn the_step_that_is_to_fail_fails_and_nothing_has_changed() {
        host::new_machine();
        let all = || -> Result<(), OutOfMemory> {
            let mut v = try_copy(&[1u8, 2])?;
            try_extend(&mut v, &[3; 100])?;
            try_push(&mut v, 4)?;
            let text = try_string("text")?;
            assert_eq!(try_format(format_args!("{text} {}", v.len()))?, "text 103");
            drop((Page::new_zeroed()?, Dma::new(5000)?));
            crate::thread::spawn("steps", 0, Box::new(|| {}))?.host_join();
            if is_granted() { Ok(()) } else { Err(OutOfMemory) }
        };
        fail_nth(0);
        all().unwrap();
        let (count, failed) = steps();
        assert_eq!((count >= 9, failed), (true, 0));
        for n in 1..=count {
            fail_nth(n);
            assert_eq!(all(), Err(OutOfMemory), "{n}");
            all().unwrap();
            assert_eq!(steps().1, 1);
        }
        fail_from(3);
        assert_eq!((all(), all()), (Err(OutOfMemory), Err(OutOfMemory)));
        fail_every(2);
        let got: Vec<bool> = (0..6).map(|_| try_bytes(1).is_ok()).collect();
        assert_eq!(got, [true, false, true, false, true, false]);
        fail_nth(1);
        let mut v = vec![7u8; 3];
        assert_eq!(try_extend(&mut v, &[0; 9999]), Err(OutOfMemory));
        assert_eq!(v, [7; 3]);
        fail_nth(1);
        let mut text = Text::new();
        assert!(write!(text, "a").is_err() && text.finish().is_err());
        fail_nth(0);
    }
}
