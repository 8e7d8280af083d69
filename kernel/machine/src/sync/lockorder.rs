//! The order in which locks are taken, learned and checked while the kernel runs. Only in builds with debug assertions:
//! every `cargo test`, and kernels built with `make PROFILE=checked`.
//!
//! A lock's *class* is the place in the source where it was made: all locks of one field are one class. Whenever a
//! lock is waited for while others are held, "that class before this one" is remembered for good. A taking that would
//! close a circle is a panic which names both classes, whether or not anybody would have come to harm this time: two
//! processors that took the two ways at once would wait for each other for ever. `try_lock` waits for nobody, so
//! nothing is checked there; but what it takes is held, and counts for what comes after.
//!
//! Spinning Locks and sleeping QLocks are learned apart ([`Spinning`], [`Sleeping`]): a Lock is held by a processor,
//! a QLock by a thread. Between them there is one rule, checked too: no QLock is waited for while a Lock is held. Of
//! two locks of one class nothing is said: their order is a matter of addresses or of parents and children, which the
//! modules that hold two at once write down.

use core::panic::Location;
use core::sync::atomic::{AtomicPtr, AtomicU16, AtomicU64, AtomicUsize, Ordering};

/// Most classes of a kind; what comes later is not checked.
const CLASSES: usize = 256;
/// Most locks that one holder has at a time; more are not noted.
const DEEPEST: usize = 16;

/// A class, by its number plus one; 0 is none.
type Class = u16;

/// What is known of the order of one kind of lock.
pub(crate) struct Order {
    places: [AtomicPtr<Location<'static>>; CLASSES],
    /// Bit `b` of row `a`: somebody who held `a` waited for `b`.
    after: [[AtomicU64; CLASSES / 64]; CLASSES],
}

/// Locks that are waited for with interrupts put off.
pub(crate) static SPINNING: Order = Order::new();
/// Locks whose waiters sleep.
pub(crate) static SLEEPING: Order = Order::new();

/// The classes that somebody holds, in the order in which they were taken. Only the holder itself changes it.
pub(crate) struct Held {
    classes: [AtomicU16; DEEPEST],
    len: AtomicUsize,
}

impl Held {
    /// None.
    pub(crate) const fn new() -> Held {
        Held { classes: [const { AtomicU16::new(0) }; DEEPEST], len: AtomicUsize::new(0) }
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// One that was made at `place` is going to be waited for.
    ///
    /// # Panics
    /// When somebody has taken it and one of those held the other way round.
    pub(crate) fn check(&self, order: &'static Order, place: &'static Location<'static>) {
        let Some(new) = order.class(place) else { return };
        for old in self.classes.iter().take(self.len()).map(|c| c.load(Ordering::Relaxed)).filter(|c| *c != 0)
        {
            if let Err(held) = order.learn(old, new) {
                panic!(
                    "lock order: the lock made at {place} is waited for while the one made at {held} is held; \
                     it was the other way round before"
                );
            }
        }
    }

    /// One that was made at `place` has been taken.
    pub(crate) fn push(&self, order: &'static Order, place: &'static Location<'static>) {
        let len = self.len();
        if let Some(slot) = self.classes.get(len) {
            slot.store(order.class(place).unwrap_or(0), Ordering::Relaxed);
        }
        self.len.store(len + 1, Ordering::Relaxed);
    }

    /// It has been released.
    pub(crate) fn pop(&self, order: &'static Order, place: &'static Location<'static>) {
        let class = order.class(place).unwrap_or(0);
        let len = self.len();
        let noted = self.classes.get(..len).unwrap_or(&self.classes);
        let last = noted.iter().rposition(|c| c.load(Ordering::Relaxed) == class);
        // Beyond what can be noted it is one of those that are not.
        if len <= DEEPEST
            && let Some(at) = last
        {
            for pair in noted[at..].windows(2) {
                pair[0].store(pair[1].load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        if last.is_some() || len > DEEPEST {
            self.len.store(len - 1, Ordering::Relaxed);
        }
    }
}

impl Order {
    const fn new() -> Order {
        Order {
            places: [const { AtomicPtr::new(core::ptr::null_mut()) }; CLASSES],
            after: [const { [const { AtomicU64::new(0) }; CLASSES / 64] }; CLASSES],
        }
    }

    /// The class of the locks made at `place`.
    fn class(&self, place: &'static Location<'static>) -> Option<Class> {
        let start = place.line() as usize * 31 + place.column() as usize;
        for i in 0..CLASSES {
            let at = (start + i) % CLASSES;
            let mine: *const Location<'static> = place;
            let found = match self.places[at].compare_exchange(
                core::ptr::null_mut(),
                mine.cast_mut(),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(at as Class + 1),
                Err(found) => found,
            };
            // SAFETY: only places that live for good are stored.
            let found = unsafe { &*found };
            if found == place {
                return Some(at as Class + 1);
            }
        }
        None
    }

    fn place(&self, class: Class) -> &'static Location<'static> {
        // SAFETY: only places that live for good are stored, and a class has one.
        unsafe { &*self.places[usize::from(class) - 1].load(Ordering::Acquire) }
    }

    fn is_after(&self, old: usize, new: usize) -> bool {
        self.after[old][new / 64].load(Ordering::Relaxed) >> (new % 64) & 1 == 1
    }

    /// `new` is waited for while `old` is held; the place of `old` if that closes a circle.
    fn learn(&self, old: Class, new: Class) -> Result<(), &'static Location<'static>> {
        let (from, to) = (usize::from(old) - 1, usize::from(new) - 1);
        if old == new || self.is_after(from, to) {
            return Ok(());
        }
        if self.leads(to, from) {
            return Err(self.place(old));
        }
        self.after[from][to / 64].fetch_or(1 << (to % 64), Ordering::Relaxed);
        Ok(())
    }

    /// Whether `from` was held, directly or through others, when `to` was waited for.
    fn leads(&self, from: usize, to: usize) -> bool {
        let mut seen = [0u64; CLASSES / 64];
        let mut open = seen;
        open[from / 64] |= 1 << (from % 64);
        while let Some(word) = open.iter().position(|w| *w != 0) {
            let at = word * 64 + open[word].trailing_zeros() as usize;
            open[word] &= open[word] - 1;
            if at == to {
                return true;
            }
            seen[word] |= 1 << (at % 64);
            for (i, row) in self.after[at].iter().enumerate() {
                open[i] |= row.load(Ordering::Relaxed) & !seen[i];
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn here() -> &'static Location<'static> {
        Location::caller()
    }

    #[test]
    fn a_circle_of_three_is_seen_before_it_happens() {
        static ORDER: Order = Order::new();
        let (a, b, c) = (here(), here(), here());
        let take = |places: &[&'static Location<'static>]| {
            let held = Held::new();
            for place in places {
                held.check(&ORDER, place);
                held.push(&ORDER, place);
            }
            held
        };
        take(&[a, b]);
        take(&[b, c]);
        take(&[a, c, c]);
        let held = take(&[b, c]);
        held.pop(&ORDER, c);
        held.pop(&ORDER, b);
        assert_eq!(held.len(), 0);
        held.check(&ORDER, a);
        let circle = std::panic::catch_unwind(|| take(&[c, a]));
        let Err(text) = circle else { panic!("no circle was seen") };
        let text = *text.downcast::<alloc::string::String>().unwrap();
        assert!(text.contains(&alloc::format!("one made at {c} is held")), "{text}");
    }

    #[test]
    fn more_than_can_be_noted_is_counted() {
        static ORDER: Order = Order::new();
        let place = here();
        let held = Held::new();
        (0..40).for_each(|_| held.push(&ORDER, place));
        (0..40).for_each(|_| held.pop(&ORDER, place));
        assert_eq!(held.len(), 0);
    }

    #[test]
    #[should_panic(expected = "lock order")]
    fn locks_taken_both_ways_are_found_though_nobody_waits() {
        let (a, b) = (crate::lock::Lock::new(1), crate::lock::Lock::new(2));
        drop((a.lock(), b.lock()));
        drop((b.lock(), a.lock()));
    }

    #[test]
    #[should_panic(expected = "lock order")]
    fn so_are_locks_whose_waiters_sleep() {
        let (a, b) = (crate::sync::QLock::new(1), crate::sync::QLock::new(2));
        drop((a.lock(), b.lock()));
        drop((b.lock(), a.lock()));
    }

    #[test]
    #[should_panic(expected = "while a Lock is held")]
    fn nobody_sleeps_with_a_lock() {
        let (a, b) = (crate::lock::Lock::new(1), crate::sync::QLock::new(2));
        let _a = a.lock();
        drop(b.lock());
    }
}
