//! Whether an expression matches a line, or how far from a place on, fast: sets of states are numbered, and what an
//! ASCII character does to a set is computed once. Other characters step the set itself.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::{Inst, Regexp, decode, lower};

/// Sets kept; when there are more, all is forgotten and begins anew.
const SETS: usize = 500;
const UNKNOWN: u32 = u32::MAX;
/// The set in which the answer is known, and nothing more has to be read: that of every state after a match, or, where
/// the longest is looked for, the empty one.
const FOUND: u32 = 0;

/// A matcher of lines.
#[derive(Clone, Debug)]
pub struct Dfa {
    re: Regexp,
    /// A match may begin anywhere, and how long it is does not matter.
    anywhere: bool,
    sets: Vec<Set>,
    numbers: BTreeMap<Vec<u32>, u32>,
    /// The set at the beginning of a line.
    start: u32,
    /// Of the longest match: the set at a place in the middle.
    middle: u32,
}

#[derive(Clone, Debug)]
struct Set {
    /// Instructions that wait for a character, `Eol`s that wait for the end, and `Match` where the longest is wanted.
    states: Vec<u32>,
    /// Does a match end here, whatever comes?
    accepts: bool,
    /// Does a line that ends here match?
    at_end: bool,
    next: [u32; 128],
}

impl Dfa {
    /// A matcher for `re`.
    pub fn new(re: Regexp) -> Self {
        Dfa::of(re, true)
    }

    /// For [`Dfa::longest`] of `re`.
    pub(super) fn anchored(re: Regexp) -> Self {
        Dfa::of(re, false)
    }

    fn of(re: Regexp, anywhere: bool) -> Self {
        let numbers = BTreeMap::new();
        let mut dfa = Dfa { re, anywhere, sets: Vec::new(), numbers, start: FOUND, middle: FOUND };
        dfa.reset();
        dfa
    }

    fn reset(&mut self) {
        self.numbers.clear();
        let known = Set { states: Vec::new(), accepts: false, at_end: self.anywhere, next: [FOUND; 128] };
        self.sets = vec![known];
        if self.anywhere {
            self.start = self.closure(Vec::new(), true);
        } else {
            self.numbers.insert(Vec::new(), FOUND);
            self.start = self.closure(vec![0], true);
            self.middle = self.closure(vec![0], false);
        }
    }

    /// Does the line (without a newline) match?
    pub fn matches(&mut self, line: &[u8]) -> bool {
        let mut set = self.start;
        let mut at = 0;
        while set != FOUND {
            let Some(&b) = line.get(at) else { return self.sets[set as usize].at_end };
            let known = if b < 0x80 { self.sets[set as usize].next[usize::from(b)] } else { UNKNOWN };
            if known != UNKNOWN {
                set = known;
                at += 1;
                continue;
            }
            let Some(len) = self.learn(&mut set, line, at) else { return false };
            at += len;
        }
        true
    }

    /// Where the longest match that begins at `from` ends, if there is one, and up to where the text was read to know.
    /// An [`Dfa::anchored`] one only.
    pub(super) fn longest(&mut self, text: &[u8], from: usize) -> (Option<usize>, usize) {
        let mut set = if from == 0 { self.start } else { self.middle };
        let mut at = from;
        let mut best = None;
        while set != FOUND {
            let here = &self.sets[set as usize];
            if here.accepts {
                best = Some(at);
            }
            let Some(&b) = text.get(at) else { return (if here.at_end { Some(at) } else { best }, at) };
            let known = if b < 0x80 { here.next[usize::from(b)] } else { UNKNOWN };
            if known != UNKNOWN {
                set = known;
                at += 1;
                continue;
            }
            let Some(len) = self.learn(&mut set, text, at) else { break };
            at += len;
        }
        (best, at)
    }

    /// Can a match only begin where the text does?
    pub(super) fn begins_with_text(&self) -> bool {
        self.middle == FOUND
    }

    /// Steps a set by the character at `at`, and remembers the step. How many bytes it was.
    fn learn(&mut self, set: &mut u32, text: &[u8], at: usize) -> Option<usize> {
        let (c, len) = decode(text, at)?;
        if self.sets.len() > SETS {
            let states = self.sets[*set as usize].states.clone();
            self.reset();
            *set = self.number(states);
        }
        let to = self.step(*set, c);
        if c < 0x80 {
            self.sets[*set as usize].next[c as usize] = to;
        }
        *set = to;
        Some(len)
    }

    fn step(&mut self, set: u32, c: u32) -> u32 {
        let c = if self.re.fold { lower(c) } else { c };
        let after = self.sets[set as usize].states.iter().filter(|&&s| self.re.prog[s as usize].takes(c));
        let after = after.map(|&s| s + 1).collect();
        self.closure(after, false)
    }

    /// The number of the set that `from`, and a match that begins here if it may, lead to.
    fn closure(&mut self, from: Vec<u32>, at_start: bool) -> u32 {
        let mut seen = vec![false; self.re.prog.len()];
        let mut states = Vec::new();
        let mut todo = from;
        if self.anywhere {
            todo.push(0);
        }
        while let Some(s) = todo.pop() {
            if core::mem::replace(&mut seen[s as usize], true) {
                continue;
            }
            match &self.re.prog[s as usize] {
                Inst::Match if self.anywhere => return FOUND,
                Inst::Jump(to) => todo.push(*to as u32),
                Inst::Split(a, b) => todo.extend([*a as u32, *b as u32]),
                Inst::Save(_) => todo.push(s + 1),
                Inst::Bol | Inst::Begin if at_start => todo.push(s + 1),
                Inst::Bol | Inst::Begin => {}
                _ => states.push(s),
            }
        }
        states.sort_unstable();
        self.number(states)
    }

    fn number(&mut self, states: Vec<u32>) -> u32 {
        if let Some(&n) = self.numbers.get(&states) {
            return n;
        }
        let n = self.sets.len() as u32;
        let at_end = self.ends(&states);
        let accepts = states.iter().any(|&s| self.re.prog[s as usize] == Inst::Match);
        self.numbers.insert(states.clone(), n);
        self.sets.push(Set { states, accepts, at_end, next: [UNKNOWN; 128] });
        n
    }

    /// Do these states lead to a match when the line ends?
    fn ends(&self, states: &[u32]) -> bool {
        let mut seen = vec![false; self.re.prog.len()];
        let mut todo: Vec<u32> = states.to_vec();
        while let Some(s) = todo.pop() {
            if core::mem::replace(&mut seen[s as usize], true) {
                continue;
            }
            match &self.re.prog[s as usize] {
                Inst::Match => return true,
                Inst::Jump(to) => todo.push(*to as u32),
                Inst::Split(a, b) => todo.extend([*a as u32, *b as u32]),
                Inst::Save(_) | Inst::Eol | Inst::End => todo.push(s + 1),
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn agrees_with_find() {
        let patterns = [
            "a",
            "^a",
            "a$",
            "^a$",
            "^$",
            "",
            "(ab|ba)+$",
            "x*y",
            "[^a]b",
            "π|b",
            ".b.",
            "a\nb",
            "^(a|^b)c",
            "($)",
            "a(b$|c)d*",
        ];
        let texts: [&[u8]; 14] = [
            b"",
            b"a",
            b"ab",
            b"ba",
            b"abba",
            b"xxy",
            b"cb",
            "aπ".as_bytes(),
            b"\xffb\xff",
            b"ac",
            b"bc",
            b"abd",
            b"acd",
            b"aac",
        ];
        for pattern in patterns {
            for fold in [false, true] {
                let re = parse(pattern, fold).unwrap();
                let mut dfa = Dfa::new(re.clone());
                for text in texts {
                    assert_eq!(dfa.matches(text), re.find(text, 0).is_some(), "{pattern} in {text:?}");
                }
            }
        }
    }

    #[test]
    fn many_sets_are_forgotten_in_time() {
        // 2^11 sets of states.
        let re = parse("a..........b", false).unwrap();
        let mut dfa = Dfa::new(re.clone());
        let mut x = 1u32;
        for _ in 0..200 {
            let line: Vec<u8> = (0..60)
                .map(|_| {
                    x = x.wrapping_mul(1_103_515_245).wrapping_add(12345);
                    if x >> 16 & 1 == 0 { b'a' } else { b'c' }
                })
                .collect();
            assert!(!dfa.matches(&line));
            assert!(dfa.sets.len() <= SETS + 1);
        }
    }
}
