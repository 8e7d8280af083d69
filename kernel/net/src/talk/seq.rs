//! Numbers of TCP: places in a stream, which begin again after 2^32. One is before another if it is less than half of
//! all numbers behind it.

/// A place in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seq(pub(crate) u32);

impl Seq {
    /// The place so many bytes behind this.
    pub(crate) fn plus(self, bytes: usize) -> Seq {
        Seq(self.0.wrapping_add(bytes as u32))
    }

    /// Bytes from another place to this; less than none if this is before it.
    pub(crate) fn since(self, other: Seq) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }

    /// The same, none if this is before it.
    pub(crate) fn beyond(self, other: Seq) -> usize {
        usize::try_from(self.since(other)).unwrap_or(0)
    }

    pub(crate) fn is_before(self, other: Seq) -> bool {
        self.since(other) < 0
    }

    /// The later of the two.
    pub(crate) fn later(self, other: Seq) -> Seq {
        if self.is_before(other) { other } else { self }
    }

    /// The earlier of the two.
    pub(crate) fn earlier(self, other: Seq) -> Seq {
        if self.is_before(other) { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_again() {
        let (last, first) = (Seq(u32::MAX - 1), Seq(3));
        assert!(last.is_before(first) && !first.is_before(last) && !first.is_before(first));
        assert_eq!((last.plus(5), first.since(last), last.since(first)), (first, 5, -5));
        assert_eq!((first.beyond(last), last.beyond(first)), (5, 0));
        assert_eq!((last.later(first), last.earlier(first)), (first, last));
    }
}
