//! A sparse table of pages: what a segment of many gigabytes with a few pages in it needs.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry::{Occupied, Vacant};
use alloc::vec::Vec;
use core::ops::Range;

use machine::heap;
use machine::page::{Page, drop_all};

use super::let_others;
use crate::error::Result;

/// Pages of one chunk of the table: half a megabyte.
const CHUNK: u64 = 128;

/// Places that there is room for at first.
const FEW: usize = 10;

/// A page of the table.
#[derive(Clone)]
pub(crate) struct Entry {
    /// The page.
    pub(crate) page: Page,
    /// Somebody else may hold it as well: copy before writing.
    pub(crate) cow: bool,
}

/// Some pages of a chunk of the table: from the first that there has been to the last. Most segments have few.
struct Chunk {
    /// Number in the chunk of the first place.
    first: u64,
    places: Vec<Option<Entry>>,
}

impl Chunk {
    /// The place of page `number` of the chunk, if there is one.
    fn place(&self, number: u64) -> Option<&Option<Entry>> {
        self.places.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// The place of page `number` of the chunk, made if need be.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    fn make_place(&mut self, number: u64) -> Result<Option<&mut Option<Entry>>> {
        if self.places.is_empty() {
            self.first = number;
        }
        if number < self.first {
            let more = (self.first - number) as usize;
            heap::try_reserve(&mut self.places, more)?;
            self.places.splice(..0, core::iter::repeat_with(|| None).take(more));
            self.first = number;
        }
        let at = (number - self.first) as usize;
        if at >= self.places.len() {
            // The first time for some more: where one is, others follow.
            let more = (at + 1 - self.places.len()).max(if self.places.is_empty() { FEW } else { 0 });
            heap::try_reserve(&mut self.places, more)?;
            self.places.resize_with(at + 1, || None);
        }
        Ok(self.places.get_mut(at))
    }
}

/// Pages by their number, counted from the segment's base.
#[derive(Default)]
pub(crate) struct PageMap {
    /// None of them is empty, but after an error.
    chunks: BTreeMap<u64, Chunk>,
}

impl PageMap {
    /// The page with this number, if it is there.
    pub(crate) fn get(&self, number: u64) -> Option<&Entry> {
        self.chunks.get(&(number / CHUNK))?.place(number % CHUNK)?.as_ref()
    }

    /// The number of the first page from `number` on that is there.
    pub(crate) fn first_from(&self, number: u64) -> Option<u64> {
        self.chunks.range(number / CHUNK..).find_map(|(&at, chunk)| {
            let numbers = (at * CHUNK + chunk.first..).zip(chunk.places.iter());
            numbers.filter(|(_, place)| place.is_some()).map(|(n, _)| n).find(|&n| n >= number)
        })
    }

    /// The places of a range that is part of a chunk, as far as there are any, with the number of the first.
    pub(crate) fn near(&self, range: Range<u64>) -> (u64, &[Option<Entry>]) {
        let at = range.start / CHUNK;
        let Some(chunk) = self.chunks.get(&at) else { return (range.start, &[]) };
        let first = at * CHUNK + chunk.first;
        let start = range.start.max(first);
        let end = range.end.min(first + chunk.places.len() as u64);
        let places = chunk.places.get((start - first) as usize..end.saturating_sub(first) as usize);
        (start, places.unwrap_or_default())
    }

    /// All places of a range that is part of a chunk, made if need be.
    ///
    /// # Errors
    /// As [`PageMap::insert`].
    pub(crate) fn make_near(&mut self, range: Range<u64>) -> Result<&mut [Option<Entry>]> {
        let chunk = self.chunk(range.start / CHUNK)?;
        let (first, last) = (range.start % CHUNK, range.end.saturating_sub(1).max(range.start) % CHUNK);
        if chunk.place(first).is_none() || chunk.place(last).is_none() {
            for number in [first, last] {
                chunk.make_place(number).map_err(|_| abi::error::ENOVMEM)?;
            }
        }
        let first = first - chunk.first;
        Ok(chunk.places.get_mut(first as usize..=(last - chunk.first) as usize).unwrap_or_default())
    }

    /// Puts a page into its place, in place of whatever was there.
    ///
    /// # Errors
    /// `virtual memory allocation failed` when the table would have to grow and the kernel is short of memory: a
    /// program that reads gigabytes of zeros makes it grow, though it takes no pages.
    pub(crate) fn insert(&mut self, number: u64, entry: Entry) -> Result<()> {
        let chunk = self.chunk(number / CHUNK)?;
        if let Some(place) = chunk.make_place(number % CHUNK).map_err(|_| abi::error::ENOVMEM)? {
            *place = Some(entry);
        }
        Ok(())
    }

    /// Chunk number `at`, made if need be.
    fn chunk(&mut self, at: u64) -> Result<&mut Chunk> {
        match self.chunks.entry(at) {
            Occupied(chunk) => Ok(chunk.into_mut()),
            Vacant(_) if !machine::heap::is_granted() => Err(abi::error::ENOVMEM.into()),
            Vacant(place) => Ok(place.insert(Chunk { first: 0, places: Vec::new() })),
        }
    }

    /// Numbers of the first and the last page that there may be; none when there is none.
    pub(crate) fn bounds(&self) -> Option<(u64, u64)> {
        let (first, chunk) = self.chunks.first_key_value()?;
        let (last, end) = self.chunks.last_key_value()?;
        let last = last * CHUNK + end.first + end.places.len() as u64;
        Some((first * CHUNK + chunk.first, last.saturating_sub(1)))
    }

    /// A table of the same form with what is made of each page.
    ///
    /// # Errors
    /// As [`PageMap::insert`], or what `make` says.
    pub(crate) fn copy(&mut self, mut make: impl FnMut(u64, &mut Entry) -> Result<Entry>) -> Result<PageMap> {
        let mut copy = PageMap::default();
        for (&at, chunk) in &mut self.chunks {
            let new = copy.chunk(at)?;
            new.first = chunk.first;
            heap::try_reserve_exact(&mut new.places, chunk.places.len()).map_err(|_| abi::error::ENOVMEM)?;
            for (number, place) in (at * CHUNK + chunk.first..).zip(&mut chunk.places) {
                new.places.push(place.as_mut().map(|entry| make(number, entry)).transpose()?);
            }
            let_others();
        }
        Ok(copy)
    }

    /// All pages that are there, in order, to look at or change.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut Entry)> {
        self.chunks.iter_mut().flat_map(|(&at, chunk)| {
            let numbers = at * CHUNK + chunk.first..;
            numbers.zip(chunk.places.iter_mut()).filter_map(|(n, place)| Some((n, place.as_mut()?)))
        })
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.chunks.values().flat_map(|chunk| &chunk.places).flatten().count() as u64
    }

    /// Takes out the pages `from..to`.
    pub(crate) fn remove_range(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let last = (to - 1) / CHUNK;
        let mut at = from / CHUNK;
        // Chunk by chunk of those that are there: the range may be far larger.
        while let Some((&number, chunk)) = self.chunks.range_mut(at..=last).next() {
            let mut left = false;
            let first = number * CHUNK + chunk.first;
            at = number + 1;
            for (number, place) in (first..).zip(chunk.places.iter_mut()) {
                if (from..to).contains(&number) {
                    drop(place.take());
                }
                left |= place.is_some();
            }
            if !left {
                self.chunks.remove(&number);
            }
            let_others();
            if at > last {
                return;
            }
        }
    }
}

impl Drop for PageMap {
    /// Piece by piece, between which others have the processor: there may be gigabytes.
    fn drop(&mut self) {
        for (_, chunk) in core::mem::take(&mut self.chunks) {
            drop_all(chunk.places.into_iter().flatten().map(|entry| entry.page));
            let_others();
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn places_are_made_on_both_sides() {
        let mut map = PageMap::default();
        for n in [127, 125, 126, 120, 3, 5] {
            let entry = Entry { page: Page::new_zeroed().unwrap(), cow: n == 125 };
            map.insert(128 + n, entry).unwrap();
            assert!(map.get(128 + n).is_some_and(|e| e.cow == (n == 125)));
        }
        let numbers = |map: &mut PageMap| map.iter_mut().map(|(n, _)| n - 128).collect::<Vec<_>>();
        assert_eq!(numbers(&mut map), [3, 5, 120, 125, 126, 127]);
        assert_eq!((map.bounds(), PageMap::default().bounds()), (Some((128 + 3, 128 + 127)), None));
        assert_eq!(map.first_from(128 + 6), Some(128 + 120));
        let near = |map: &PageMap, from: u64, to: u64| {
            let (first, places) = map.near(128 + from..128 + to);
            let there = (first - 128..).zip(places).filter(|(_, place)| place.is_some());
            there.map(|(n, _)| n).collect::<Vec<_>>()
        };
        assert_eq!(
            [near(&map, 0, 16), near(&map, 4, 16), near(&map, 112, 126)],
            [vec![3, 5], vec![5], vec![120, 125]]
        );
        assert_eq!([near(&map, 6, 7), near(&map, 16, 32), near(&map, 200, 210)], [vec![], vec![], vec![]]);
        map.remove_range(128 + 4, 128 + 126);
        assert_eq!(numbers(&mut map), [3, 126, 127]);
        assert_eq!((map.count(), map.first_from(0)), (3, Some(128 + 3)));
    }

    #[test]
    fn what_is_large_goes_in_pieces() {
        let mut map = PageMap::default();
        for n in 0..40 * CHUNK {
            map.insert(n, Entry { page: Page::new_zeroed().unwrap(), cow: false }).unwrap();
        }
        let looks = machine::host::thread::looks;
        let before = looks();
        let copy = map.copy(|_, entry| Ok(entry.clone())).unwrap();
        assert_eq!((looks() - before, copy.count()), (40, 40 * CHUNK));
        map.remove_range(0, 20 * CHUNK);
        assert_eq!((looks() - before, map.count()), (60, 20 * CHUNK));
        drop(map);
        assert_eq!(looks() - before, 80);
        drop(copy);
        assert_eq!(looks() - before, 120);
    }

    #[test]
    fn sparse_and_cut() {
        let mut map = PageMap::default();
        for n in [0, 1, 127, 128, 1 << 24] {
            let page = Page::new_zeroed().unwrap();
            map.insert(n, Entry { page, cow: false }).unwrap();
        }
        assert_eq!(map.count(), 5);
        assert!(map.get(2).is_none());
        let firsts = [0, 2, 127, 129, 1 << 24, (1 << 24) + 1].map(|n| map.first_from(n));
        assert_eq!(firsts, [Some(0), Some(127), Some(127), Some(1 << 24), Some(1 << 24), None]);
        map.remove_range(1, 128);
        assert_eq!(map.iter_mut().map(|(n, _)| n).collect::<alloc::vec::Vec<_>>(), [0, 128, 1 << 24]);
        map.remove_range(0, u64::MAX);
        assert_eq!(map.count(), 0);
        assert!(map.chunks.is_empty());
    }
}
