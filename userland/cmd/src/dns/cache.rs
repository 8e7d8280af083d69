//! What is known for a while: answers by their questions, at most [`MOST`] of them and [`BYTES`] in all. What is over
//! goes first, then what is over next.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::message::{Kind, Record};

/// Most answers.
pub const MOST: usize = 512;
/// Most bytes of all answers.
pub const BYTES: usize = 256 << 10;
/// The longest that something is believed, in seconds, and that something is not there.
const LONGEST: u32 = 24 * 3600;
const NOTHING_LONGEST: u32 = 300;
/// Bytes of a text beside its own, about.
const EACH: usize = 64;

/// What is known about a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// These records.
    Records(Vec<Record>),
    /// There is no such name.
    NoName,
    /// There are no such records.
    NoRecords,
}

impl Known {
    fn bytes(&self) -> usize {
        match self {
            Known::Records(records) => records.iter().map(|r| r.owner.len() + r.value.len() + 2 * EACH).sum(),
            Known::NoName | Known::NoRecords => 0,
        }
    }
}

/// The cache. Times are seconds of a clock that goes on.
#[derive(Default)]
pub struct Cache {
    kept: BTreeMap<(String, Kind), (i64, Known)>,
    bytes: usize,
}

impl Cache {
    /// What is known about a question now.
    pub fn get(&self, name: &str, kind: Kind, now: i64) -> Option<&Known> {
        let (until, known) = self.kept.get(&(name.into(), kind))?;
        (now < *until).then_some(known)
    }

    /// Keeps an answer for so many seconds, or less.
    pub fn put(&mut self, name: &str, kind: Kind, known: Known, seconds: u32, now: i64) {
        let longest = if matches!(known, Known::Records(_)) { LONGEST } else { NOTHING_LONGEST };
        let seconds = i64::from(seconds.min(longest));
        self.remove(&(name.into(), kind));
        let bytes = name.len() + EACH + known.bytes();
        if seconds == 0 || bytes > BYTES {
            return;
        }
        while self.kept.len() >= MOST || self.bytes + bytes > BYTES {
            let first =
                self.kept.iter().min_by_key(|(_, (until, _))| *until).map(|(question, _)| question.clone());
            let Some(first) = first else { break };
            self.remove(&first);
        }
        self.bytes += bytes;
        self.kept.insert((name.into(), kind), (now + seconds, known));
    }

    fn remove(&mut self, question: &(String, Kind)) {
        if let Some((_, known)) = self.kept.remove(question) {
            self.bytes = self.bytes.saturating_sub(question.0.len() + EACH + known.bytes());
        }
    }

    /// How many answers there are, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec;

    fn records(value: &str) -> Known {
        Known::Records(vec![Record { owner: "a".into(), kind: Kind::Ip, value: value.into() }])
    }

    #[test]
    fn what_is_known_is_known_for_its_time() {
        let mut cache = Cache::default();
        cache.put("a", Kind::Ip, records("10.0.0.1"), 10, 100);
        assert_eq!(cache.get("a", Kind::Ip, 109), Some(&records("10.0.0.1")));
        assert_eq!(cache.get("a", Kind::Ip, 110), None);
        assert_eq!(cache.get("a", Kind::Ipv6, 100), None);
        cache.put("b", Kind::Ip, Known::NoName, u32::MAX, 100);
        assert_eq!(cache.get("b", Kind::Ip, 399), Some(&Known::NoName));
        assert_eq!(cache.get("b", Kind::Ip, 400), None, "that there is nothing is not believed for long");
        cache.put("c", Kind::Ip, records("1"), 0, 100);
        assert_eq!(cache.get("c", Kind::Ip, 100), None);
        cache.put("a", Kind::Ip, records("10.0.0.2"), 10, 105);
        assert_eq!(cache.get("a", Kind::Ip, 114), Some(&records("10.0.0.2")));
    }

    #[test]
    fn it_has_its_limits_and_what_ends_first_goes() {
        let mut cache = Cache::default();
        for n in 0..2 * MOST as u32 {
            cache.put(&format!("{n}"), Kind::Ip, records("1"), 10 + n, 0);
        }
        assert_eq!(cache.size().0, MOST);
        assert_eq!(cache.get("0", Kind::Ip, 0), None);
        assert!(cache.get(&format!("{}", 2 * MOST - 1), Kind::Ip, 0).is_some());
        for n in 0..500 {
            cache.put(&format!("long{n}"), Kind::Txt, records(&"x".repeat(1000)), 5000, 0);
            assert!(cache.size().0 <= MOST && cache.size().1 <= BYTES);
        }
        // All of it is given back.
        for n in 0..2 * MOST {
            cache.put(&format!("{n}"), Kind::Ip, Known::NoName, 0, 0);
        }
        for n in 0..500 {
            cache.put(&format!("long{n}"), Kind::Txt, Known::NoName, 0, 0);
        }
        assert_eq!(cache.size(), (0, 0));
    }
}
