//! Who had to do lately with an other side that takes nothing. Whoever ends many conversations with such ones (a
//! process that dies with all of them open) waits long for the first alone.
//!
//! That is known by the user who has begun a conversation, so that nobody's silent others cut short what a stranger
//! says at the end. Of the few users there is room for, the one of longest ago gives way.
//!
//! Lock: a leaf; what leaves it is dropped later.

use alloc::sync::Arc;

use machine::lock::Lock;

/// Users that are remembered.
const MOST: usize = 16;
/// For how long.
const JUST_NS: u64 = 10_000_000_000;

/// A user, and when he had to.
type Silent = (Arc<str>, u64);

#[derive(Default)]
pub(super) struct Silence(Lock<[Option<Silent>; MOST]>);

impl Silence {
    /// Whether this user has just waited in vain.
    pub(super) fn is_just(&self, user: &str, now_ns: u64) -> bool {
        let all = self.0.lock();
        all.iter().flatten().any(|(who, at)| **who == *user && now_ns.saturating_sub(*at) < JUST_NS)
    }

    /// This user has.
    pub(super) fn note(&self, user: &Arc<str>, now_ns: u64) {
        let new = Some((user.clone(), now_ns));
        let mut all = self.0.lock();
        let same = all.iter().position(|one| one.as_ref().is_some_and(|(who, _)| who == user));
        let place = match same {
            Some(at) => all.get_mut(at),
            None => all.iter_mut().min_by_key(|one| one.as_ref().map_or(0, |(_, at)| *at)),
        };
        let old = place.and_then(|place| core::mem::replace(place, new));
        drop(all);
        drop(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_is_known_for_a_while_and_few_are() {
        machine::host::new_machine();
        let silence = Silence::default();
        let name = |n: u64| Arc::<str>::from(std::format!("user{n}"));
        silence.note(&name(1), 5);
        assert!(silence.is_just("user1", 5) && silence.is_just("user1", 4 + JUST_NS));
        assert!(!silence.is_just("user1", 5 + JUST_NS) && !silence.is_just("user2", 5));
        for n in 2..=MOST as u64 {
            silence.note(&name(n), 10 + n);
        }
        // The first is not of longest ago any more.
        silence.note(&name(1), 100);
        silence.note(&name(99), 101);
        assert!(silence.is_just("user1", 102) && silence.is_just("user99", 102));
        assert!(!silence.is_just("user2", 102) && silence.is_just("user3", 102));
    }
}
