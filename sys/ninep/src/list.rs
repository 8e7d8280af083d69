//! The two counted lists: the names of a `Twalk` and the qids of an `Rwalk`.
//!
//! Decoded, they are views of the message's bytes that were checked once; to encode, they are built from a
//! slice. Neither allocates, and both compare by what they hold.

use core::fmt;

use crate::wire::{Field, Reader, WireError, Writer};
use crate::{MAXWELEM, Str};
use abi::Qid;

/// At most 16 names to walk.
#[derive(Clone, Copy)]
pub struct Names<'a>(Source<'a, Str<'a>>);

/// At most 16 qids, one for each name that was walked.
#[derive(Clone, Copy)]
pub struct Qids<'a>(Source<'a, Qid>);

#[derive(Clone, Copy)]
enum Source<'a, T> {
    /// The caller's own.
    Slice(&'a [T]),
    /// So many in a message, found whole when it was decoded.
    Wire(u16, &'a [u8]),
}

/// Goes through the items of a [`Names`] or [`Qids`].
#[derive(Clone, Debug)]
pub struct Items<'a, T> {
    slice: core::slice::Iter<'a, T>,
    left: u16,
    wire: Reader<'a>,
}

impl<'a, T: Field<'a> + Copy> Source<'a, T> {
    fn len(&self) -> usize {
        match self {
            Source::Slice(items) => items.len(),
            Source::Wire(n, _) => usize::from(*n),
        }
    }

    fn iter(&self) -> Items<'a, T> {
        match *self {
            Source::Slice(items) => Items { slice: items.iter(), left: 0, wire: Reader::new(&[]) },
            Source::Wire(left, bytes) => Items { slice: [].iter(), left, wire: Reader::new(bytes) },
        }
    }

    fn get(r: &mut Reader<'a>) -> Result<Self, WireError> {
        let n: u16 = r.get()?;
        if usize::from(n) > MAXWELEM {
            return Err(WireError::TooMany(n));
        }
        let mut ahead = *r;
        for _ in 0..n {
            ahead.get::<T>()?;
        }
        let bytes = r.bytes(r.left() - ahead.left())?;
        Ok(Source::Wire(n, bytes))
    }

    fn put(&self, w: &mut Writer<'_>) {
        let n = u16::try_from(self.len()).unwrap_or(u16::MAX);
        if usize::from(n) > MAXWELEM {
            return w.fail(WireError::TooMany(n));
        }
        w.put(&n);
        self.iter().for_each(|item| w.put(&item));
    }
}

impl<'a, T: Field<'a> + Copy> Iterator for Items<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if let Some(item) = self.slice.next() {
            return Some(*item);
        }
        self.left = self.left.checked_sub(1)?;
        self.wire.get().ok()
    }
}

macro_rules! list {
    ($List:ident, $T:ty) => {
        impl<'a> $List<'a> {
            /// A list to encode. More than 16 are refused then.
            pub const fn new(items: &'a [$T]) -> Self {
                $List(Source::Slice(items))
            }

            /// How many there are.
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// The items in order.
            pub fn iter(&self) -> Items<'a, $T> {
                self.0.iter()
            }

            /// The last one.
            pub fn last(&self) -> Option<$T> {
                self.iter().last()
            }
        }

        impl<'a> IntoIterator for $List<'a> {
            type Item = $T;
            type IntoIter = Items<'a, $T>;
            fn into_iter(self) -> Self::IntoIter {
                self.iter()
            }
        }

        impl<'a> Field<'a> for $List<'a> {
            fn get(r: &mut Reader<'a>) -> Result<Self, WireError> {
                Source::get(r).map($List)
            }
            fn put(&self, w: &mut Writer<'_>) {
                self.0.put(w);
            }
        }

        impl PartialEq for $List<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl Eq for $List<'_> {}

        impl fmt::Debug for $List<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }
    };
}

list!(Names, Str<'a>);
list!(Qids, Qid);
