//! What has come and nobody has read yet, and what has come apart from it: behind something that is missing.
//!
//! A packet that is worth it is kept as it came, which costs no copy. As packets on their way are it is at the kernel's
//! expense then, up to [`KEPT`] bytes of all connections together ([`Purse`]); the rest is copied, and whoever the
//! caller lets pay pays for that. What fits behind the last copy is put there in any case, so that no room stays empty
//! but before something that is longer. So what a connection has is no more than twice what it may have, however small
//! the packets are. There is nothing to lock here.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

use machine::{OutOfMemory, heap};

use super::segment::{STRETCHES, Stretch};
use super::seq::Seq;

/// Bytes that are kept as they came, of all connections.
const KEPT: usize = 4 << 20;
/// Bytes of a chunk that is copied to.
const SMALLEST: usize = 512;
const LARGEST: usize = 16 << 10;
/// Stretches that lie apart, at most.
const MOST_APART: usize = 64;

/// What all connections of a stack share: how many bytes they keep as they came.
#[derive(Default)]
pub(crate) struct Purse(AtomicUsize);

impl Purse {
    fn take(&self, bytes: usize) -> bool {
        let fits = |kept: usize| kept.checked_add(bytes).filter(|all| *all <= KEPT);
        self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn give(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A packet that has come, and where in it the data are.
pub(crate) struct Data {
    pub(crate) bytes: Vec<u8>,
    pub(crate) at: Range<usize>,
}

impl Data {
    pub(crate) fn len(&self) -> usize {
        self.at.len()
    }

    /// Leaves out the first `n` bytes.
    pub(crate) fn skip(&mut self, n: usize) {
        self.at.start = (self.at.start + n).min(self.at.end);
    }

    /// Leaves out what is behind `n` bytes.
    pub(crate) fn cut(&mut self, n: usize) {
        self.at.end = self.at.end.min(self.at.start + n);
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(self.at.clone()).unwrap_or(&[])
    }
}

/// Some of what has come.
struct Piece {
    data: Data,
    /// It is as it came: so much the purse has of it.
    kept: usize,
}

impl Piece {
    /// Keeps a packet as it came, if that is worth it, or gives it back.
    fn keep(data: Data, is_small: bool, purse: &Purse) -> Result<Piece, Data> {
        let room = data.bytes.capacity();
        let is_worth = room <= 2 * data.len() + SMALLEST && (data.len() >= SMALLEST || is_small);
        if is_worth && purse.take(room) { Ok(Piece { data, kept: room }) } else { Err(data) }
    }

    /// A copy, with room for `more` of what follows.
    fn copy(bytes: &[u8], more: usize) -> Result<Piece, OutOfMemory> {
        let mut copy = heap::try_vec((bytes.len() + more).next_power_of_two().max(SMALLEST))?;
        copy.extend_from_slice(bytes);
        Ok(Piece { data: Data { at: 0..copy.len(), bytes: copy }, kept: 0 })
    }

    /// How many bytes there is room for behind it.
    fn room(&self) -> usize {
        let Data { bytes, at } = &self.data;
        if self.kept != 0 || at.end != bytes.len() { 0 } else { bytes.capacity() - bytes.len() }
    }

    /// Puts bytes behind it where there is room; how many.
    fn add(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.room());
        let Data { bytes: all, at } = &mut self.data;
        all.extend_from_slice(bytes.get(..n).unwrap_or(&[]));
        at.end += n;
        n
    }
}

/// What can be read, in its order.
pub(crate) struct Unread {
    pieces: VecDeque<Piece>,
    len: usize,
    purse: Arc<Purse>,
}

impl Unread {
    pub(crate) fn new(purse: Arc<Purse>) -> Unread {
        Unread { pieces: VecDeque::new(), len: 0, purse }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Something has come behind the rest; whether it is kept, all of it or nothing.
    pub(crate) fn come(&mut self, data: Data) -> bool {
        let (len, had) = (data.len(), self.len);
        let fits = self.pieces.back().is_some_and(|last| len <= last.room());
        let kept = match fits {
            true => Err(data),
            false => Piece::keep(data, self.pieces.is_empty(), &self.purse),
        };
        let data = match kept {
            Ok(piece) => {
                let kept = piece.kept;
                let is_kept = heap::try_push_back(&mut self.pieces, piece).is_ok();
                if is_kept {
                    self.len += len
                } else {
                    self.purse.give(kept)
                }
                return is_kept;
            }
            Err(data) => data,
        };
        let bytes = data.get();
        let mut done = self.pieces.back_mut().map_or(0, |last| last.add(bytes));
        while done < len {
            let (chunk, _) = bytes.split_at(len.min(done + LARGEST));
            let chunk = chunk.get(done..).unwrap_or(&[]);
            // What comes next will be as much as there is by now.
            let more = had.min(LARGEST - chunk.len().min(LARGEST));
            let put = Piece::copy(chunk, more).and_then(|piece| heap::try_push_back(&mut self.pieces, piece));
            if put.is_err() {
                self.take_back(done);
                return false;
            }
            done += chunk.len();
        }
        self.len += len;
        true
    }

    /// The last `n` bytes have not come.
    fn take_back(&mut self, mut n: usize) {
        while n != 0 {
            let Some(last) = self.pieces.back_mut() else { return };
            let Data { bytes, at } = &mut last.data;
            let less = n.min(at.len());
            at.end -= less;
            bytes.truncate(at.end);
            n -= less;
            if at.start == at.end {
                self.pieces.pop_back();
            }
        }
    }

    /// Has up to `max` bytes taken; how many were.
    pub(crate) fn take(&mut self, max: usize, put: &mut dyn FnMut(usize, &[u8]) -> bool) -> usize {
        let mut done = 0;
        while let Some(first) = self.pieces.front_mut() {
            let bytes = first.data.get();
            let bytes = bytes.get(..bytes.len().min(max - done)).unwrap_or(bytes);
            if bytes.is_empty() || !put(done, bytes) {
                break;
            }
            let n = bytes.len();
            done += n;
            first.data.skip(n);
            if first.data.len() == 0 {
                self.drop_first();
            }
        }
        self.len -= done;
        done
    }

    fn drop_first(&mut self) {
        if let Some(gone) = self.pieces.pop_front() {
            self.purse.give(gone.kept);
        }
    }

    /// Throws all of it away; how much it was.
    pub(crate) fn clear(&mut self) -> usize {
        while !self.pieces.is_empty() {
            self.drop_first();
        }
        core::mem::take(&mut self.len)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What has come behind something that is missing, in its order; none lies over another.
#[derive(Default)]
pub(crate) struct Apart {
    all: Vec<(Seq, Vec<u8>)>,
    len: usize,
    /// Where the last one came.
    last: Seq,
}

impl Apart {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Something has come; what of it is new is kept, if there is room.
    pub(crate) fn come(&mut self, mut seq: Seq, data: &[u8]) {
        let mut rest = data;
        self.last = seq;
        while !rest.is_empty() {
            // The first that ends behind it: before that, or over its beginning.
            let at = self.all.iter().position(|(from, bytes)| seq.is_before(from.plus(bytes.len())));
            let at = at.unwrap_or(self.all.len());
            let next = self.all.get(at).map(|(from, bytes)| (*from, bytes.len()));
            let (new, skip) = match next {
                Some((from, len)) if from.since(seq) < rest.len() as i32 => (from.beyond(seq), len),
                _ => (rest.len(), 0),
            };
            let (before, behind) = rest.split_at(new);
            if !before.is_empty() && self.put(at, seq, before).is_err() {
                return;
            }
            // What is there already, from where it begins, or from here.
            let there = match next {
                Some((from, _)) if skip != 0 => from.plus(skip).beyond(seq.plus(new)),
                _ => 0,
            };
            seq = seq.plus(new + there.min(behind.len()));
            rest = behind.get(there.min(behind.len())..).unwrap_or(&[]);
        }
    }

    /// Puts in a stretch before the one with this place.
    fn put(&mut self, at: usize, seq: Seq, data: &[u8]) -> Result<(), OutOfMemory> {
        let before = at.checked_sub(1).and_then(|at| self.all.get_mut(at));
        if let Some((from, bytes)) = before
            && from.plus(bytes.len()) == seq
        {
            heap::try_extend(bytes, data)?;
        } else {
            if self.all.len() >= MOST_APART {
                return Err(OutOfMemory);
            }
            let copy = heap::try_copy(data)?;
            heap::try_reserve(&mut self.all, 1)?;
            self.all.insert(at, (seq, copy));
        }
        self.len += data.len();
        Ok(())
    }

    /// The stretch that begins at or before this place is not apart any more: what of it is behind that.
    pub(crate) fn next(&mut self, at: Seq) -> Option<Data> {
        while let Some((from, bytes)) = self.all.first() {
            if at.is_before(*from) {
                return None;
            }
            let skip = at.beyond(*from);
            self.len -= bytes.len();
            let (_, bytes) = self.all.remove(0);
            if skip < bytes.len() {
                return Some(Data { at: skip..bytes.len(), bytes });
            }
        }
        self.all = Vec::new();
        None
    }

    /// What is told of it: the one in which something came last, then the others in their order.
    pub(crate) fn told(&self) -> [Option<Stretch>; STRETCHES] {
        let stretch = |(from, bytes): &(Seq, Vec<u8>)| (*from, from.plus(bytes.len()));
        let is_last = |(from, to): &Stretch| !self.last.is_before(*from) && self.last.is_before(*to);
        let all = || self.all.iter().map(stretch);
        // Those that lie one behind the other are one.
        let mut told = [None; STRETCHES];
        let mut count = 0;
        for one in all().filter(is_last).chain(all().filter(|one| !is_last(one))) {
            let is_behind = |(_, to): &mut Stretch| *to == one.0;
            if let Some((_, to)) = told.iter_mut().flatten().find_map(|s| is_behind(s).then_some(s)) {
                *to = one.1;
            } else if let Some(place) = told.get_mut(count) {
                *place = Some(one);
                count += 1;
            }
        }
        told
    }

    pub(crate) fn clear(&mut self) {
        (self.all, self.len) = (Vec::new(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::host::heap::fail_nth;

    fn byte(at: usize) -> u8 {
        ((at * 31) >> 3) as u8
    }

    /// A packet with a head, whose data begin at this place.
    fn packet(at: usize, len: usize) -> Data {
        let mut bytes = std::vec![0xee; 54];
        bytes.extend((at..at + len).map(byte));
        Data { at: 54..bytes.len(), bytes }
    }

    fn take(unread: &mut Unread, max: usize) -> Vec<u8> {
        let mut got = Vec::new();
        let n = unread.take(max, &mut |at, bytes| {
            assert_eq!(at, got.len());
            got.extend_from_slice(bytes);
            true
        });
        assert_eq!(n, got.len());
        got
    }

    #[test]
    fn what_comes_is_read_in_its_order() {
        machine::host::new_machine();
        let purse = Arc::<Purse>::default();
        let mut unread = Unread::new(purse.clone());
        let (mut read, mut came) = (0, 0);
        for round in 0..3000usize {
            let len = [1, 60, 1400, 30_000, 7][round * 3 % 5];
            assert!(unread.come(packet(came, len)));
            came += len;
            let got = take(&mut unread, [0, 1, 5000, 100_000][round * 7 % 4]);
            assert!(got.iter().enumerate().all(|(n, b)| *b == byte(read + n)));
            read += got.len();
            assert_eq!(unread.len(), came - read);
        }
        // Who cannot take it now finds it again.
        assert_eq!(unread.take(10, &mut |_, _| false), 0);
        assert_eq!(take(&mut unread, usize::MAX).len(), came - read);
        assert_eq!(purse.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn small_packets_take_no_more_memory_than_large_ones() {
        machine::host::new_machine();
        let purse = Arc::<Purse>::default();
        let mut unread = Unread::new(purse.clone());
        for at in 0..60_000 {
            assert!(unread.come(packet(at, 1)));
        }
        let bytes: usize = unread.pieces.iter().map(|p| p.data.bytes.capacity()).sum();
        assert!(bytes < 120_000 && unread.pieces.len() < 20, "{bytes}");
        // One that is long and has little in it is no better.
        let mut long = packet(60_000, 100);
        long.bytes.reserve(30_000);
        assert!(unread.come(long));
        assert!(unread.pieces.iter().map(|p| p.data.bytes.capacity()).sum::<usize>() < 130_000);
        // Nor are those that come between others that are worth it.
        let mut mixed = Unread::new(purse.clone());
        for at in 0..120 {
            assert!(mixed.come(packet(513 * at, 512)) && mixed.come(packet(513 * at + 512, 1)));
        }
        let bytes: usize = mixed.pieces.iter().map(|p| p.data.bytes.capacity()).sum();
        assert!(bytes < 2 * mixed.len(), "{bytes}");
        let got = take(&mut mixed, usize::MAX);
        assert!(got.len() == 513 * 120 && got.iter().enumerate().all(|(n, b)| *b == byte(n)));
        // Those that are kept as they are have an end.
        for at in 0..5000 {
            assert!(unread.come(packet(at, 1400)));
        }
        let kept = purse.0.load(Ordering::Relaxed);
        assert!((KEPT - 2000..=KEPT).contains(&kept), "{kept}");
        drop(unread);
        assert_eq!(purse.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn without_memory_nothing_has_come() {
        machine::host::new_machine();
        let mut unread = Unread::new(Arc::default());
        assert!(unread.come(packet(0, 60)) && unread.come(packet(60, 10)));
        for n in 1..4 {
            let mut long = packet(70, 40_000);
            long.bytes.reserve(100_000);
            fail_nth(n);
            assert!(!unread.come(long));
            fail_nth(0);
            assert_eq!(unread.len(), 70);
        }
        let got = take(&mut unread, 1000);
        assert!(got.len() == 70 && got.iter().enumerate().all(|(n, b)| *b == byte(n)));
    }

    #[test]
    fn what_lies_apart_is_kept_once_and_goes_in_its_order() {
        machine::host::new_machine();
        // By chance, around the place where numbers begin again.
        let first = u32::MAX - 500;
        let mut random = 7u32;
        let mut chance = |n: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) % n
        };
        for _ in 0..300 {
            let mut apart = Apart::default();
            let mut have = [false; 1100];
            for _ in 0..chance(40) {
                let (at, len) = (chance(1000) as usize, 1 + chance(100) as usize);
                let data: Vec<u8> = (at..at + len).map(byte).collect();
                apart.come(Seq(first).plus(at), &data);
                have[at..at + len].fill(true);
                assert_eq!(apart.len(), have.iter().filter(|h| **h).count());
                let told = apart.told();
                let (from, to) = told[0].unwrap();
                let at = Seq(first).plus(at);
                assert!(!at.is_before(from) && at.is_before(to));
            }
            let mut at = 0;
            while !apart.is_empty() {
                match apart.next(Seq(first).plus(at)) {
                    Some(data) => {
                        for b in data.get() {
                            assert!(have[at] && *b == byte(at));
                            at += 1;
                        }
                    }
                    None if apart.is_empty() => {}
                    None => {
                        assert!(!have[at]);
                        at += 1;
                    }
                }
            }
            assert!(apart.is_empty() && have[at..].iter().all(|h| !h));
        }
    }

    #[test]
    fn what_lies_apart_has_an_end() {
        machine::host::new_machine();
        let mut apart = Apart::default();
        for n in 0..1000 {
            apart.come(Seq(n * 10), &[1]);
        }
        assert_eq!((apart.all.len(), apart.len()), (MOST_APART, MOST_APART));
        fail_nth(1);
        apart.come(Seq(1), &[2; 5]);
        fail_nth(0);
        assert_eq!(apart.len(), MOST_APART);
    }
}
