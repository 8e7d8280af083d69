//! Finding a file of a tree that does not change by its directory and its name: a table of numbers at places that
//! follow from both, each with the next ones for those that found theirs taken.

use alloc::vec::Vec;

use crate::mem::held::fnv;

/// No file.
const NONE: u32 = u32::MAX;

/// The table: at least twice as many places as files.
#[derive(Default)]
pub(super) struct Index {
    places: Vec<u32>,
}

impl Index {
    /// The table of these files: each its number, directory and name.
    pub(super) fn new<'a>(files: impl Iterator<Item = (usize, usize, &'a str)> + Clone) -> Index {
        let len = (2 * files.clone().count()).next_power_of_two();
        let mut index = Index { places: alloc::vec![NONE; len] };
        for (number, dir, name) in files {
            let mut at = hash(dir, name);
            while let Some(place) = index.places.get_mut(at % len) {
                if *place == NONE {
                    *place = u32::try_from(number).unwrap_or(NONE);
                    break;
                }
                at = at.wrapping_add(1);
            }
        }
        index
    }

    /// The file `name` of the directory `dir`, if one of those that may be it `is` it.
    pub(super) fn find(&self, dir: usize, name: &str, is: impl Fn(usize) -> bool) -> Option<usize> {
        // A power of two; there is always a free place.
        let mask = self.places.len().wrapping_sub(1);
        let mut at = hash(dir, name);
        loop {
            match *self.places.get(at & mask)? {
                NONE => return None,
                number if is(number as usize) => return Some(number as usize),
                _ => at = at.wrapping_add(1),
            }
        }
    }
}

/// Begun with the directory.
fn hash(dir: usize, name: &str) -> usize {
    let sum = fnv((dir as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15), name);
    (sum ^ sum >> 32) as usize
}
