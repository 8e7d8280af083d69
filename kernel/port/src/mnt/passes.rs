//! Listing a directory of a 9P2000.u server while the host changes it.
//!
//! QEMU's server fails a whole read of a directory when one entry goes between its being named and being looked at. The
//! records before it in that read are lost, the server stands behind it, and the only place to which it can be sent is
//! the beginning. It looks one entry further than it gives, so even a read of a single record can lose that.
//!
//! So the directory is read once more from its beginning, in passes, until there is no place left where something may
//! have been lost, a *gap*. A gap is closed by a pass in which what lies on both sides of it comes without a failed
//! read between. Reads are large where nothing is missing, and of about one record where something is. What was given
//! out before is not given out again.
//!
//! This relies on what is there all the time keeping its order, as in every file system. What a pass brings is compared
//! with what was given out before by the longest part of it that is in the same order in both; what is found at another
//! place was made anew, and nothing is concluded from it.
//!
//! Ownership: an open directory's cursor has one, under that one's lock.

use alloc::vec::Vec;

use machine::heap;

use crate::error::{Error, Result};
use crate::mem::held::fnv;

/// A count with which a read brings something if there is anything, in bytes: a record of the longest name, with the
/// longest target of a link.
const SURELY: usize = 8192;
/// What a record is taken to be long before there is any, in bytes.
const GUESS: usize = 128;
/// Passes one after the other after which there are no fewer gaps, before it is left at that. Something that is there
/// would have been seen in one of them, since what comes behind it goes just then in perhaps one of four: unless what
/// the server fails for is always there.
const IDLE_PASSES: u32 = 32;
/// What an entry is known by that was made anew, and so is at another place now.
const MOVED: u64 = 0;

/// An entry.
#[derive(Clone, Copy)]
struct Entry {
    /// Of its name.
    hash: u64,
    /// Its qid's path.
    path: u64,
    /// Something may be missing before it.
    gap: bool,
}

/// An entry that a pass after the first has brought. `gap` says that a read failed before it.
#[derive(Clone, Copy)]
struct Came {
    entry: Entry,
    /// Which one of those that were given out it is.
    known: Option<usize>,
}

/// What a pass came to.
pub(super) enum End {
    /// All was given out.
    Whole,
    /// The directory has to be read once more.
    Again,
    /// Passes do not help.
    Failed(Error),
}

/// How far the passes are. See the module comment.
#[derive(Default)]
pub(super) struct Passes {
    /// What was given out before this pass, or in the first one, in the server's order.
    seen: Vec<Entry>,
    /// Something may be missing behind the last.
    open_end: bool,
    /// This is not the first pass, and has brought these.
    later: bool,
    came: Vec<Came>,
    /// Where in `seen` this pass is, and where the last gap is.
    at: usize,
    last_gap: usize,
    /// A read has failed since the last entry.
    lost: bool,
    /// Passes before this one that left as many gaps as there were.
    idle: u32,
    /// In the last pass a read failed where nothing comes or goes.
    stuck: bool,
    /// The program was told what the server says.
    told: bool,
    /// Reads that failed one after the other, and what was said.
    failures: u32,
    why: Option<Error>,
    /// Bytes to ask for in the first pass after a failure; 0 before one.
    small: usize,
    /// Bytes that brought nothing, though they may have been too few; 0 for none.
    too_small: usize,
    /// Bytes and records that came in all.
    bytes: usize,
    records: usize,
}

impl Passes {
    /// How many bytes to ask for; `most` at most.
    pub(super) fn ask(&self, most: usize) -> usize {
        let ask = match (self.later, self.small) {
            (false, 0) => most,
            (false, small) => small,
            (true, _) if self.lost => 0,
            (true, _) => {
                let clear = self.seen.iter().skip(self.at).take_while(|entry| !entry.gap).count();
                // Names differ in length: rather too few.
                clear.saturating_mul(self.record()) / 4 * 3
            }
        };
        ask.max(self.least()).max(self.too_small.saturating_mul(4)).min(most)
    }

    /// What a record was long so far, in bytes.
    fn record(&self) -> usize {
        self.bytes.checked_div(self.records).unwrap_or(GUESS)
    }

    /// Bytes that are mostly enough for one record, and not for two.
    fn least(&self) -> usize {
        self.record() + self.record() / 2
    }

    /// A read of `asked` bytes brought nothing. Was that surely the end of the directory?
    pub(super) fn is_end(&mut self, asked: usize, most: usize) -> bool {
        let end = asked >= SURELY.min(most);
        self.too_small = if end { 0 } else { asked };
        end
    }

    /// Is nothing missing from here on, so that this pass need not go on?
    pub(super) fn has_passed_gaps(&self) -> bool {
        self.later && !self.lost && self.at > self.last_gap
    }

    /// A read brought this many bytes.
    pub(super) fn came(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.failures = 0;
        self.too_small = 0;
        self.small = self.small.saturating_mul(2);
    }

    /// A read failed. The server stands behind what was lost, or will be sent to the beginning again if it was there.
    /// How many have failed one after the other.
    pub(super) fn failed(&mut self, why: &Error, at_beginning: bool) -> u32 {
        self.lost = !at_beginning;
        self.failures += 1;
        (self.small, self.too_small) = (self.least(), 0);
        self.why = Some(why.clone());
        self.failures
    }

    /// The server is not sent to the beginning again.
    pub(super) fn goes_on(&mut self) {
        self.lost = true;
    }

    /// The program is told what the server says.
    pub(super) fn tell(&mut self) {
        self.told = true;
    }

    /// A record came. Is it to be given out?
    ///
    /// # Errors
    /// No memory to know it by.
    pub(super) fn note(&mut self, name: &str, path: u64) -> Result<bool> {
        let entry = Entry { hash: fnv(0, name), path, gap: self.lost };
        let known = if self.later {
            let known = self.find(entry.hash);
            heap::try_push(&mut self.came, Came { entry, known })?;
            self.at = known.map_or(self.at, |i| i + 1);
            known
        } else {
            heap::try_push(&mut self.seen, entry)?;
            None
        };
        self.lost = false;
        self.records += 1;
        Ok(known.is_none())
    }

    /// Which one has this name. It is mostly the next.
    fn find(&self, hash: u64) -> Option<usize> {
        let (before, after) = self.seen.split_at(self.at.min(self.seen.len()));
        let is_it = |entry: &Entry| entry.hash == hash;
        after.iter().position(is_it).map(|i| before.len() + i).or_else(|| before.iter().position(is_it))
    }

    /// The pass is over: at the end of the directory, or because it [has passed the gaps](Self::has_passed_gaps). If
    /// the directory is to be read again, the next pass begins.
    ///
    /// # Errors
    /// No memory to compare what came with what was known.
    pub(super) fn end(&mut self, at_end: bool) -> Result<End> {
        let before = self.gaps();
        if !self.later {
            self.open_end = self.lost;
        } else {
            self.merge(at_end && !self.lost)?;
        }
        let now = self.gaps();
        self.idle = if self.later && now.0 >= before.0 { self.idle + 1 } else { 0 };
        (self.later, self.at, self.lost, self.last_gap) = (true, 0, false, now.1);
        self.came.clear();
        Ok(match &self.why {
            Some(why) if now.0 > 0 && !self.told => match self.idle > IDLE_PASSES {
                true if self.stuck => End::Failed(why.clone()),
                true => End::Whole,
                false => End::Again,
            },
            _ => End::Whole,
        })
    }

    /// How many gaps there are, and where the last one is.
    fn gaps(&self) -> (usize, usize) {
        let (mut n, mut last) = (0, 0);
        let ends = self.seen.iter().map(|entry| entry.gap).chain(core::iter::once(self.open_end));
        for (i, _) in ends.enumerate().filter(|(_, gap)| *gap) {
            (n, last) = (n + 1, i);
        }
        (n, last)
    }

    /// Puts what this pass brought among what was known, and closes gaps. `whole_end`: the pass went to the end of the
    /// directory, and no read failed behind its last entry.
    fn merge(&mut self, whole_end: bool) -> Result<()> {
        let common = self.common()?;
        self.take_out_moved(&common);
        let mut merged = heap::try_vec(self.seen.len() + self.came.len())?;
        let (mut at, mut from) = (0, 0);
        self.stuck = false;
        for &i in &common {
            let (Some(to), Some(known)) = (self.came.get(i), self.came.get(i).and_then(|c| c.known)) else {
                continue;
            };
            let new = self.came.get(from..i).unwrap_or(&[]);
            let old = self.seen.get(at..known).unwrap_or(&[]);
            let gap = self.seen.get(known).is_some_and(|entry| entry.gap);
            let (gap, stuck) = between(&mut merged, old, new, gap, to.entry.gap);
            merged.push(Entry { gap, ..to.entry });
            self.stuck |= stuck;
            (at, from) = (known + 1, i + 1);
        }
        let new = self.came.get(from..).unwrap_or(&[]);
        let old = self.seen.get(at..).unwrap_or(&[]);
        let (open_end, stuck) = between(&mut merged, old, new, self.open_end, !whole_end);
        self.open_end = open_end;
        self.stuck |= stuck;
        self.seen = merged;
        Ok(())
    }

    /// What is known and came, but at another place or as another file, is as if it had not been known.
    fn take_out_moved(&mut self, common: &[usize]) {
        let mut common = common.iter().copied().peekable();
        for (i, came) in self.came.iter_mut().enumerate() {
            if common.next_if_eq(&i).is_some() {
                continue;
            }
            let Some(known) = came.known.take() else { continue };
            let Some(entry) = self.seen.get_mut(known) else { continue };
            entry.hash = MOVED;
            let gap = core::mem::take(&mut entry.gap);
            match self.seen.get_mut(known + 1) {
                Some(next) => next.gap |= gap,
                None => self.open_end |= gap,
            }
        }
    }

    /// The longest part of what came that is known, the same files, in the order in which they were known: the numbers
    /// of its entries.
    fn common(&self) -> Result<Vec<usize>> {
        const NONE: usize = usize::MAX;
        // The last entries of the best parts of each length, and what each entry is best put behind.
        let mut ends: Vec<(usize, usize)> = heap::try_vec(self.came.len())?;
        let mut behind: Vec<usize> = heap::try_vec(self.came.len())?;
        for (i, came) in self.came.iter().enumerate() {
            let same = |known: &usize| self.seen.get(*known).is_some_and(|seen| seen.path == came.entry.path);
            let Some(known) = came.known.filter(same) else {
                behind.push(NONE);
                continue;
            };
            let len = ends.partition_point(|(end, _)| *end < known);
            behind.push(len.checked_sub(1).and_then(|last| ends.get(last)).map_or(NONE, |(_, i)| *i));
            match ends.get_mut(len) {
                Some(end) => *end = (known, i),
                None => ends.push((known, i)),
            }
        }
        let mut common = heap::try_vec(ends.len())?;
        let mut at = ends.last().map_or(NONE, |(_, i)| *i);
        while let Some(&next) = behind.get(at) {
            common.push(at);
            at = next;
        }
        common.reverse();
        Ok(common)
    }
}

/// Puts what lies between two entries that a pass and those before it have in common: what was known there and was not
/// found again, and what came and was not known. There is room for it. Gives whether there is a gap before the latter
/// entry, and whether nothing comes or goes where there is one. `gap` is whether there was one, `lost` whether a read
/// failed just before that entry in this pass.
fn between(merged: &mut Vec<Entry>, old: &[Entry], new: &[Came], gap: bool, lost: bool) -> (bool, bool) {
    let any = gap || old.iter().any(|entry| entry.gap);
    let failed = lost || new.iter().any(|came| came.entry.gap);
    // Where no read failed, all that came is all that is there.
    let (any, closed) = if failed { (any, false) } else { (false, true) };
    merged.extend(old.iter().filter(|e| e.hash != MOVED).map(|e| Entry { gap: e.gap && !closed, ..*e }));
    merged.extend(new.iter().map(|came| Entry { gap: any && came.entry.gap, ..came.entry }));
    (any && lost, any && old.is_empty() && new.is_empty())
}
