//! What is to be sent, and what has been and is not acknowledged yet: bytes in chunks that are taken as they are
//! wanted, and given back as they are empty. Nothing is kept by who has nothing to say.
//!
//! Who pays for the chunks is whoever the caller lets pay. There is nothing to lock here.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use machine::{OutOfMemory, heap};

/// Bytes of the smallest chunk, and of the largest.
const SMALLEST: usize = 512;
const LARGEST: usize = 16 << 10;
/// Empty chunks that are kept for what comes next.
const SPARE: usize = 4;
/// Pieces that are sent together at most: a card takes two more, for headers.
pub(crate) const PIECES: usize = 6;

/// See the module comment.
#[derive(Default)]
pub(crate) struct Unsent {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that are acknowledged.
    gone: usize,
    len: usize,
    spare: Vec<Vec<u8>>,
}

struct Chunk {
    /// All of it can be written to.
    bytes: Vec<u8>,
    used: usize,
}

/// Pieces of a stream, one behind the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slices<'a> {
    pieces: [&'a [u8]; PIECES],
    count: usize,
    len: usize,
}

impl<'a> Slices<'a> {
    /// These pieces, of which there are few.
    #[cfg(test)]
    pub(crate) fn of(pieces: &[&'a [u8]]) -> Slices<'a> {
        let mut slices = Slices::default();
        pieces.iter().for_each(|piece| assert!(slices.push(piece)));
        slices
    }

    /// Whether there was a place for it.
    fn push(&mut self, bytes: &'a [u8]) -> bool {
        let place = self.pieces.get_mut(self.count);
        let is_put = place.map(|place| *place = bytes).is_some();
        if is_put {
            self.count += 1;
            self.len += bytes.len();
        }
        is_put
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn pieces(&self) -> &[&'a [u8]] {
        self.pieces.get(..self.count).unwrap_or(&[])
    }

    /// The first `len` bytes, and the rest.
    pub(crate) fn split(&self, len: usize) -> (Slices<'a>, Slices<'a>) {
        let (mut first, mut rest) = (Slices::default(), Slices::default());
        for piece in self.pieces() {
            let (now, later) = piece.split_at(piece.len().min(len - first.len));
            if !now.is_empty() {
                first.push(now);
            }
            if !later.is_empty() {
                rest.push(later);
            }
        }
        (first, rest)
    }
}

impl Unsent {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts in up to `max` bytes, of which `get` fills in those behind so many others, if it can: how many, and whether
    /// it could not.
    ///
    /// # Errors
    /// No memory, and none was put in.
    pub(crate) fn fill(
        &mut self,
        max: usize,
        get: &mut dyn FnMut(usize, &mut [u8]) -> bool,
    ) -> Result<(usize, bool), OutOfMemory> {
        let mut done = 0;
        while done < max {
            if self.chunks.back().is_none_or(|last| last.used == last.bytes.len()) {
                match self.add(max - done) {
                    Err(error) if done == 0 => return Err(error),
                    Err(_) => break,
                    Ok(()) => {}
                }
            }
            let Some(last) = self.chunks.back_mut() else { break };
            let end = (last.used + max - done).min(last.bytes.len());
            let room = last.bytes.get_mut(last.used..end).unwrap_or(&mut []);
            let n = room.len();
            if !get(done, room) {
                return Ok((done, true));
            }
            last.used += n;
            self.len += n;
            done += n;
        }
        Ok((done, false))
    }

    /// One more chunk for `more` bytes, or some of them.
    fn add(&mut self, more: usize) -> Result<(), OutOfMemory> {
        let twice = self.chunks.back().map_or(SMALLEST, |last| 2 * last.bytes.len());
        let size = more.next_power_of_two().max(twice).clamp(SMALLEST, LARGEST);
        let bytes = match self.spare.pop().filter(|spare| spare.len() >= size) {
            Some(spare) => spare,
            None => heap::try_bytes(size)?,
        };
        heap::try_push_back(&mut self.chunks, Chunk { bytes, used: 0 })
    }

    /// Bytes from a place on, at most `max`, in as many pieces as are sent together.
    pub(crate) fn at(&self, from: usize, max: usize) -> Slices<'_> {
        let mut slices = Slices::default();
        let mut skip = self.gone + from;
        for chunk in &self.chunks {
            if skip >= chunk.used {
                skip -= chunk.used;
                continue;
            }
            let end = chunk.used.min(skip + max - slices.len());
            let piece = chunk.bytes.get(skip..end).unwrap_or(&[]);
            if piece.is_empty() || !slices.push(piece) {
                break;
            }
            skip = 0;
        }
        slices
    }

    /// The first `n` bytes are acknowledged.
    pub(crate) fn forget(&mut self, n: usize) {
        let n = n.min(self.len);
        self.gone += n;
        self.len -= n;
        loop {
            let is_last = self.chunks.len() == 1;
            let Some(first) = self.chunks.front_mut() else { return };
            if is_last && self.gone == first.used {
                // The one that is filled again.
                (first.used, self.gone) = (0, 0);
                return;
            }
            if self.gone < first.used || first.used < first.bytes.len() && self.len != 0 {
                return;
            }
            self.gone -= first.used;
            if let Some(first) = self.chunks.pop_front() {
                self.keep(first.bytes);
            }
        }
    }

    /// Keeps an empty chunk, if few are kept.
    fn keep(&mut self, bytes: Vec<u8>) {
        let has_place = self.spare.len() < SPARE && heap::try_reserve(&mut self.spare, 1).is_ok();
        if has_place && bytes.len() == LARGEST {
            self.spare.push(bytes);
        }
    }

    /// Whether it has much that is not in use.
    pub(crate) fn has_spare(&self) -> bool {
        let is_large = |first: &Chunk| self.len == 0 && first.bytes.len() > SMALLEST;
        !self.spare.is_empty() || self.chunks.front().is_some_and(is_large)
    }

    /// Gives back what is not in use.
    pub(crate) fn give_back(&mut self) {
        self.spare = Vec::new();
        if self.len == 0 {
            (self.chunks, self.gone) = (VecDeque::new(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::host::heap::fail_nth;

    fn byte(at: usize) -> u8 {
        ((at * 31) >> 3) as u8
    }

    fn put(unsent: &mut Unsent, from: usize, n: usize) -> usize {
        let mut fill = |at: usize, room: &mut [u8]| {
            room.iter_mut().enumerate().for_each(|(n, b)| *b = byte(from + at + n));
            true
        };
        unsent.fill(n, &mut fill).unwrap().0
    }

    fn check(unsent: &Unsent, first: usize) {
        let mut at = 0;
        while at < unsent.len() {
            let slices = unsent.at(at, 40_000);
            assert!(slices.len() != 0);
            for piece in slices.pieces() {
                assert!(piece.iter().enumerate().all(|(n, b)| *b == byte(first + at + n)));
                at += piece.len();
            }
        }
        assert_eq!(unsent.at(at, 10).len(), 0);
    }

    #[test]
    fn bytes_come_out_in_their_order_however_they_are_put_in() {
        machine::host::new_machine();
        let mut unsent = Unsent::default();
        let (mut first, mut end) = (0, 0);
        for round in 0..4000usize {
            let n = [1, 64, 700, 5000, 70_000][round * 7 % 5].min(150_000 - unsent.len());
            end += put(&mut unsent, end, n);
            if round % 97 == 0 {
                check(&unsent, first);
            }
            let gone = [0, 1, 3000, 100, 64_000][round * 3 % 5].min(unsent.len());
            unsent.forget(gone);
            first += gone;
            assert_eq!(unsent.len(), end - first);
        }
        check(&unsent, first);
        unsent.forget(unsent.len());
        assert!(unsent.len() == 0 && unsent.spare.len() <= SPARE && unsent.chunks.len() <= 1);
        unsent.give_back();
        assert!(unsent.spare.is_empty() && unsent.chunks.is_empty());
    }

    #[test]
    fn who_says_little_has_little() {
        machine::host::new_machine();
        let mut unsent = Unsent::default();
        for n in 0..1000 {
            put(&mut unsent, n, 64);
            unsent.forget(64);
        }
        assert_eq!(unsent.chunks.iter().map(|c| c.bytes.len()).sum::<usize>(), SMALLEST);
    }

    #[test]
    fn without_memory_it_is_as_it_was() {
        machine::host::new_machine();
        let mut unsent = Unsent::default();
        for n in 1..3 {
            fail_nth(n);
            assert!(unsent.fill(100, &mut |_, _| true).is_err());
            fail_nth(0);
            assert_eq!(unsent.len(), 0);
        }
        put(&mut unsent, 0, SMALLEST);
        fail_nth(1);
        assert_eq!(unsent.fill(100_000, &mut |_, _| true), Err(OutOfMemory));
        // What there is memory for is put in.
        fail_nth(2);
        let (put, is_absent) = unsent.fill(100_000, &mut |_, _| true).unwrap();
        assert!((1..100_000).contains(&put) && !is_absent);
        fail_nth(0);
        assert_eq!(unsent.len(), SMALLEST + put);
        unsent.forget(SMALLEST + put);
        // Who cannot give bytes gives none.
        assert_eq!(unsent.fill(10, &mut |_, _| false), Ok((0, true)));
        assert_eq!(unsent.len(), 0);
    }

    #[test]
    fn pieces_are_cut_where_it_is_said() {
        let (a, b) = ([1, 2, 3], [4, 5]);
        let both = Slices::of(&[&a, &b]);
        for len in 0..=5 {
            let (first, rest) = both.split(len);
            assert_eq!((first.len(), rest.len()), (len, 5 - len));
            assert_eq!([first.pieces().concat(), rest.pieces().concat()].concat(), [1, 2, 3, 4, 5]);
        }
    }
}
