//! What is kept of a directory's names: in the order in which they were told, and to be found by name.
//!
//! Everything here can be refused memory. Ownership: [`Names`](super::names::Names) has these, under its lock.

use alloc::string::String;
use alloc::vec::Vec;

use abi::Qid;
use machine::OutOfMemory;
use machine::heap;

use super::contents::Version;

/// A place where there is no name.
const NONE: u32 = u32::MAX;
/// Places of a directory of a few names.
const FEW: usize = 16;

/// What has a name.
pub(super) struct Told {
    pub(super) name: String,
    /// As the server says.
    pub(super) qid: Qid,
    /// The number by which it is known when it is changed.
    pub(super) file: u64,
    /// What it is like, if that was told: its record.
    pub(super) record: Option<Vec<u8>>,
    /// When it was asked for.
    pub(super) asked: u64,
}

/// A directory was read whole: those of its names that were asked for since then are all that it had.
pub(super) struct Whole {
    pub(super) asked: u64,
    pub(super) version: Version,
}

/// A directory.
#[derive(Default)]
pub(super) struct Held {
    pub(super) whole: Option<Whole>,
    told: Vec<Told>,
    /// Where in `told` a name is whose hash is here or, when others were in its way, before. A power of two of places,
    /// of which half are empty.
    places: Vec<u32>,
}

impl Held {
    /// Names, in the order in which they were told first.
    pub(super) fn told(&self) -> &[Told] {
        &self.told
    }

    /// What has this name.
    pub(super) fn find(&self, name: &str) -> Option<&Told> {
        self.told.get(self.number(name)?)
    }

    fn number(&self, name: &str) -> Option<usize> {
        let mut at = hash(name);
        // There is always an empty place, unless there is none at all.
        loop {
            let number = *self.places.get(at & self.places.len().wrapping_sub(1))?;
            match self.told.get(number as usize) {
                Some(told) if told.name == name => return Some(number as usize),
                Some(_) => at = at.wrapping_add(1),
                None => return None,
            }
        }
    }

    /// Puts in what has a name. Gives what had it.
    ///
    /// # Errors
    /// No memory: nothing has changed.
    pub(super) fn put(&mut self, told: Told) -> Result<Option<Told>, OutOfMemory> {
        if let Some(old) = self.number(&told.name).and_then(|n| self.told.get_mut(n)) {
            return Ok(Some(core::mem::replace(old, told)));
        }
        heap::try_reserve(&mut self.told, 1)?;
        if (self.told.len() + 1) * 2 > self.places.len() {
            let count = (self.places.len() * 2).max(FEW);
            let mut places = heap::try_vec(count)?;
            places.resize(count, NONE);
            self.places = places;
            (0..self.told.len()).for_each(|n| self.place(n));
        }
        self.told.push(told);
        self.place(self.told.len() - 1);
        Ok(None)
    }

    /// Makes the name with this number one that is found.
    fn place(&mut self, number: usize) {
        let Some(told) = self.told.get(number) else { return };
        let (mut at, mask) = (hash(&told.name), self.places.len().wrapping_sub(1));
        while let Some(place) = self.places.get_mut(at & mask) {
            if *place == NONE {
                *place = number as u32;
                return;
            }
            at = at.wrapping_add(1);
        }
    }
}

fn hash(name: &str) -> usize {
    let sum = fnv(0, name);
    (sum ^ sum >> 32) as usize
}

/// A name's hash, FNV-1a of 64 bits, begun with this number.
pub(crate) fn fnv(begin: u64, name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325 ^ begin, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, file: u64) -> Told {
        Told { name: name.into(), qid: Qid::file(file), file, record: None, asked: 0 }
    }

    #[test]
    fn names_are_found_and_keep_their_order() {
        machine::host::new_machine();
        let mut held = Held::default();
        assert!(held.find("0").is_none());
        for n in 0..3000 {
            assert!(held.put(told(&alloc::format!("{n}"), n)).unwrap().is_none());
        }
        for n in (0..3000).step_by(7) {
            assert_eq!(held.put(told(&alloc::format!("{n}"), n + 5000)).unwrap().unwrap().file, n);
        }
        assert_eq!(held.told().len(), 3000);
        for (n, told) in (0..).zip(held.told()) {
            assert_eq!(told.name, alloc::format!("{n}"));
            assert_eq!(held.find(&told.name).unwrap().file, if n % 7 == 0 { n + 5000 } else { n });
        }
        assert!(held.find("3000").is_none() && held.find("").is_none());
        assert!(held.places.len() >= 2 * held.told().len());
    }
}
