//! Who is ready to run at one processor, and who of them is next, as data. Tested on the host.
//!
//! The highest priority is first. Among threads of one priority, those of a group that has used less than its share of
//! the processor (`shares`) go before the others, and of two groups for which that is the same the one that has used
//! less; so it does not matter how many threads a group has. Within a group those go first that have slept rather than
//! run, but who has computed has a turn from time to time even so. Which group is ahead is asked when somebody is
//! chosen, not when he is queued: it changes while he waits.

use super::runq::RunQueue;
use super::shares::Shares;
use crate::ledger::Group;

/// How long those that compute wait for those of their group that have slept, in ns: two turns, so that they are sure
/// of a third. A shell that runs one short command after the other is always somebody who has slept, and what it waits
/// for may be what somebody computes.
const PATIENCE_NS: u64 = 20_000_000;

/// The queues of a processor.
pub struct Ready<T> {
    groups: [Queue<T>; Group::ALL.len()],
    /// Bit set: somebody of that group is ready.
    busy: u8,
    shares: Shares,
    len: usize,
}

/// That of one group.
struct Queue<T> {
    threads: RunQueue<T>,
    /// When one that has computed was last chosen, or had nobody before it (ns).
    served: u64,
}

/// Where a thread is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whom it works for, or the kernel, if others may wait for what it has.
    pub group: Group,
    /// Twice its priority, and one more if it has slept rather than run.
    pub level: u8,
}

impl Place {
    /// Behind everybody: a thread that was never queued.
    pub const LAST: Place = Place { group: Group::Others, level: 0 };
}

/// How far ahead somebody is: compared with others' at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u8);

impl Rank {
    fn new(level: u8, is_below_share: bool) -> Rank {
        let (priority, has_slept) = (level / 2, level % 2);
        Rank(4 * priority + 2 * u8::from(is_below_share) + has_slept)
    }
}

impl<T> Ready<T> {
    /// Nobody is ready, and nobody has run.
    pub const fn new() -> Ready<T> {
        Ready {
            groups: [const { Queue { threads: RunQueue::new(), served: 0 } }; Group::ALL.len()],
            busy: 0,
            shares: Shares::new(),
            len: 0,
        }
    }

    /// Adds a run of `ns` that ended at `now` to what the group has used.
    pub fn has_run(&mut self, group: Group, ns: u64, now: u64) {
        self.shares.add(group, ns, now);
    }

    /// How far ahead somebody is who belongs there.
    fn rank(&mut self, place: Place, now: u64) -> Rank {
        Rank::new(place.level, self.shares.is_below(place.group, now))
    }

    /// Whether the next one is ahead of somebody who belongs there.
    #[inline]
    pub fn is_ahead_of(&mut self, place: Place, now: u64) -> bool {
        match self.only() {
            None if self.busy == 0 => false,
            // Whatever the group has used.
            Some(group) if group == place.group => {
                self.groups[group as usize].threads.highest() > Some(place.level)
            }
            _ => self.best(now) > Some(self.rank(place, now)),
        }
    }

    /// How far ahead the next one is.
    fn best(&mut self, now: u64) -> Option<Rank> {
        self.next(now).map(|(rank, _)| rank)
    }

    /// Whether somebody of this priority or a higher one is ready.
    pub fn has(&self, priority: u8) -> bool {
        self.groups.iter().any(|g| g.threads.highest().is_some_and(|level| level / 2 >= priority))
    }

    /// Whether one more there needs memory.
    pub fn is_full(&self, place: Place) -> bool {
        self.groups[place.group as usize].threads.is_full(place.level)
    }

    /// Makes room for some more there.
    pub fn make_room(&mut self, place: Place) {
        self.groups[place.group as usize].threads.make_room(place.level);
    }

    /// Adds somebody behind all others of that place.
    pub fn push(&mut self, place: Place, thread: T, now: u64) {
        let queue = &mut self.groups[place.group as usize];
        if place.level.is_multiple_of(2) && queue.threads.is_empty(place.level) {
            queue.served = now;
        }
        queue.threads.push(place.level, thread);
        self.busy |= 1 << place.group as u8;
        self.len += 1;
    }

    /// Takes out somebody who is queued there.
    pub fn take(&mut self, place: Place, is_it: impl Fn(&T) -> bool) -> Option<T> {
        let thread = self.groups[place.group as usize].threads.take(place.level, is_it)?;
        self.is_taken(place.group);
        Some(thread)
    }

    /// Takes the next one, and says whether it has waited so long that it goes before those ahead of it.
    pub fn pop(&mut self, now: u64) -> Option<(T, bool)> {
        let group = match self.only() {
            Some(group) => group,
            None => self.next(now)?.1,
        };
        let queue = &mut self.groups[group as usize];
        let highest = queue.threads.highest()?;
        let computing = highest & !1;
        let is_late = now.saturating_sub(queue.served) > PATIENCE_NS;
        let level = if is_late && !queue.threads.is_empty(computing) { computing } else { highest };
        if level == computing {
            queue.served = now;
        }
        let thread = queue.threads.pop_from(level)?;
        self.is_taken(group);
        Some((thread, level != highest))
    }

    /// How many are ready.
    pub fn len(&self) -> usize {
        self.len
    }

    fn is_taken(&mut self, group: Group) {
        self.len -= 1;
        if self.groups[group as usize].threads.highest().is_none() {
            self.busy &= !(1 << group as u8);
        }
    }

    /// The only group that has somebody.
    #[inline]
    fn only(&self) -> Option<Group> {
        self.busy.is_power_of_two().then(|| Group::ALL[self.busy.trailing_zeros() as usize])
    }

    /// The group whose turn it is, and how far ahead it is.
    fn next(&mut self, now: u64) -> Option<(Rank, Group)> {
        let busy = self.busy;
        let mut best: Option<(Rank, Group)> = None;
        for group in Group::ALL.into_iter().filter(|g| busy >> *g as u8 & 1 != 0) {
            let Some(level) = self.groups[group as usize].threads.highest() else { continue };
            let rank = Rank::new(level, self.shares.is_below(group, now));
            let is_better = |(other, g): (Rank, Group)| {
                rank > other || rank == other && self.shares.used(group) < self.shares.used(g)
            };
            if best.is_none_or(is_better) {
                best = Some((rank, group));
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn place(group: Group, priority: u8, has_slept: bool) -> Place {
        Place { group, level: 2 * priority + u8::from(has_slept) }
    }

    /// Lets threads, so many of each group, run turns of 10 ms for 10 s, each queued again at once, and says how many
    /// ms each group got. Those of the last group come anew each time, as if they had slept.
    fn race(groups: &[(Group, usize)]) -> Vec<u64> {
        let mut ready = Ready::new();
        let at = |n: usize| place(groups[n].0, 10, n == groups.len() - 1);
        for (n, (_, threads)) in groups.iter().enumerate() {
            (0..*threads).for_each(|_| ready.push(at(n), n, 0));
        }
        let mut got = vec![0; groups.len()];
        for turn in 1..=1000 {
            let (n, _) = ready.pop(turn * 10 * MS).unwrap();
            got[n] += 10;
            ready.has_run(groups[n].0, 10 * MS, (turn + 1) * 10 * MS);
            ready.push(at(n), n, (turn + 1) * 10 * MS);
        }
        got
    }

    #[test]
    fn a_group_is_sure_of_a_third_however_many_the_others_are() {
        let got = race(&[(Group::Console, 1), (Group::Others, 1000)]);
        assert!(got[0] > 2_900, "{got:?}");
        let got = race(&[(Group::Console, 1000), (Group::Owner, 1000), (Group::Others, 1)]);
        assert!(got.iter().all(|ms| *ms > 2_800), "{got:?}");
        let got = race(&[(Group::Others, 1), (Group::Owner, 1)]);
        assert!(got.iter().all(|ms| *ms > 2_900), "{got:?}");
    }

    #[test]
    fn who_waits_is_ahead_when_its_group_has_not_run_for_a_while() {
        let mut ready = Ready::new();
        ready.has_run(Group::Console, 100 * MS, 100 * MS);
        ready.push(place(Group::Console, 10, false), "shell", 100 * MS);
        ready.push(place(Group::Others, 10, true), "swarm", 100 * MS);
        assert_eq!(ready.pop(101 * MS), Some(("swarm", false)));
        ready.push(place(Group::Others, 10, true), "swarm", 110 * MS);
        ready.has_run(Group::Others, 200 * MS, 300 * MS);
        assert_eq!(ready.pop(301 * MS), Some(("shell", false)));
    }

    #[test]
    fn who_has_waited_long_is_chosen_before_those_ahead_of_it() {
        let mut ready = Ready::new();
        ready.push(place(Group::Owner, 10, false), "compute", 0);
        ready.push(place(Group::Owner, 10, true), "sleeper", 0);
        assert_eq!(ready.pop(300 * MS), Some(("compute", true)));
        // Hence it is given another place for its turn.
        assert!(ready.is_ahead_of(place(Group::Owner, 10, false), 300 * MS));
        assert!(!ready.is_ahead_of(place(Group::Owner, 10, true), 300 * MS));
    }

    #[test]
    fn priority_first_then_the_share_then_sleep() {
        let order =
            [(9, true, true), (10, false, false), (10, false, true), (10, true, false), (10, true, true)];
        let rank =
            |(priority, below, slept): (u8, bool, bool)| Rank::new(2 * priority + u8::from(slept), below);
        assert!(order.windows(2).all(|w| rank(w[0]) < rank(w[1])));
        let mut ready = Ready::new();
        ready.push(place(Group::Owner, 10, true), 'a', 0);
        ready.push(place(Group::Kernel, 9, true), 'b', 0);
        ready.push(place(Group::Owner, 10, false), 'c', 0);
        assert_eq!((ready.best(0), ready.len()), (Some(rank((10, true, true))), 3));
        assert!(ready.has(10) && !ready.has(11));
        assert!(ready.is_ahead_of(place(Group::Owner, 10, false), 0));
        assert!(!ready.is_ahead_of(place(Group::Kernel, 10, true), 0));
        assert_eq!(ready.take(place(Group::Owner, 10, false), |t| *t == 'c'), Some('c'));
        assert_eq!(
            (ready.pop(0), ready.pop(0), ready.pop(0)),
            (Some(('a', false)), Some(('b', false)), None)
        );
        assert_eq!((ready.best(0), ready.len()), (None, 0));
        assert!(!ready.is_ahead_of(Place::LAST, 0));
        ready.push(place(Group::Owner, 10, true), 'd', 0);
        assert!(ready.is_ahead_of(place(Group::Owner, 10, false), 0));
        assert!(!ready.is_ahead_of(place(Group::Owner, 10, true), 0));
    }

    #[test]
    fn who_computes_has_a_turn_though_others_of_its_group_always_come_back() {
        let mut ready = Ready::new();
        ready.push(place(Group::Owner, 10, false), "compute", 0);
        let mut turns = 0;
        for ms in 0..1000 {
            ready.push(place(Group::Owner, 10, true), "sleeper", ms * MS);
            if ready.pop(ms * MS) == Some(("compute", true)) {
                turns += 1;
                ready.push(place(Group::Owner, 10, false), "compute", ms * MS);
            }
        }
        assert_eq!(turns, 47);
    }
}
