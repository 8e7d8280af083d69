//! A value that is to be shared, and is its maker's alone until then.

use alloc::sync::Arc;
use core::fmt;
use core::ops::{Deref, DerefMut};

/// An `Arc` that nobody else has yet. What is made in several steps is in its place from the first one on: whoever
/// hands it on moves a pointer, and [`share`](Sole::share) moves nothing.
pub struct Sole<T>(Arc<T>);

impl<T> Sole<T> {
    /// The value, in memory of its own.
    #[inline]
    pub fn new(value: T) -> Sole<T> {
        Sole(Arc::new(value))
    }

    /// From here on it can be shared, and does not change any more.
    #[inline]
    pub fn share(self) -> Arc<T> {
        self.0
    }
}

impl<T> Deref for Sole<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Sole<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: there is no other `Arc` of it and no `Weak`: `new` made the only one, and as long as that is in here
        // nobody gets at it. So the borrow of `self` is one of the value.
        unsafe { &mut *Arc::as_ptr(&self.0).cast_mut() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Sole<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn it_changes_until_it_is_shared_and_stays_where_it_is() {
        let mut it = Sole::new(String::from("a"));
        it.push('b');
        let place = core::ptr::from_ref(&*it);
        let it = it;
        let shared = it.share();
        let other = shared.clone();
        assert_eq!((&**other, core::ptr::from_ref(&*shared)), ("ab", place));
        assert_eq!(Arc::strong_count(&other), 2);
    }
}
