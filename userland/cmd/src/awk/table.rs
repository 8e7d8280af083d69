//! Arrays: values by strings. An element remembers when it was made, so that `for(i in a)` goes over them in that
//! order.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;

use super::value::{Text, Value};

/// An array as functions share it.
pub(super) type Array = Rc<RefCell<Table>>;

#[derive(Default)]
pub(super) struct Table {
    map: HashMap<Text, Element, BuildHasherDefault<Words>>,
    /// Elements that were ever made.
    made: u64,
}

struct Element {
    /// How many were made before it.
    nth: u64,
    value: Value,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.map.contains_key(key)
    }

    /// The element, which is made if it is not there.
    pub(super) fn entry(&mut self, key: &[u8]) -> &mut Value {
        let Table { map, made } = self;
        let element = map.entry_ref(key).or_insert_with(|| {
            *made += 1;
            Element { nth: *made, value: Value::Nothing }
        });
        &mut element.value
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        self.map.remove(key);
    }

    pub(super) fn clear(&mut self) {
        self.map.clear();
    }

    /// The subscripts, in the order in which their elements were made.
    pub(super) fn keys(&self) -> Vec<Text> {
        let mut all: Vec<(u64, Text)> =
            self.map.iter().map(|(key, element)| (element.nth, key.clone())).collect();
        all.sort_unstable_by_key(|(nth, _)| *nth);
        all.into_iter().map(|(_, key)| key).collect()
    }
}

/// A hash of eight bytes at a time.
#[derive(Default)]
pub(super) struct Words(u64);

impl Words {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Words {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        self.add(rest.iter().fold(0, |word, b| word << 8 | u64::from(*b)));
    }

    fn write_usize(&mut self, n: usize) {
        self.add(n as u64);
    }

    fn finish(&self) -> u64 {
        // The map looks at the upper bits and at the lower ones.
        self.0 ^ self.0 >> 32
    }
}
