//! Where an expression matches, and where its parts do.

use alloc::vec;
use alloc::vec::Vec;

use super::{Inst, NSUB, Regexp, decode, lower};

/// Byte positions of a match: `(begin, end)` of the whole (0) and of each part in parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    saved: [usize; 2 * NSUB],
}

const UNSET: usize = usize::MAX;

impl Match {
    /// Where part `n` matched, if it did.
    pub fn part(&self, n: usize) -> Option<(usize, usize)> {
        let begin = *self.saved.get(2 * n)?;
        let end = *self.saved.get(2 * n + 1)?;
        (begin != UNSET && end != UNSET).then_some((begin, end))
    }

    /// First byte of the whole match.
    pub fn begin(&self) -> usize {
        self.saved[0]
    }

    /// First byte after the whole match.
    pub fn end(&self) -> usize {
        self.saved[1]
    }
}

/// The threads of one step, in order of preference, each instruction at most once.
struct Threads {
    list: Vec<(usize, Match)>,
    /// The step in which each instruction was last put into the list.
    seen: Vec<u64>,
}

/// What a search needs besides the text, to be used for the next one, too.
pub(super) struct Machine {
    now: Threads,
    next: Threads,
    todo: Vec<(usize, Match)>,
    /// Steps so far, of all searches.
    steps: u64,
}

impl Machine {
    /// A machine for the expression.
    pub(super) fn new(re: &Regexp) -> Machine {
        let threads = || Threads { list: Vec::new(), seen: vec![0; re.prog.len()] };
        Machine { now: threads(), next: threads(), todo: Vec::new(), steps: 0 }
    }
}

impl Regexp {
    /// The leftmost longest match in `text` that begins at byte `from` or later. `^` and `$` match at the ends of the
    /// text and around newlines.
    pub fn find(&self, text: &[u8], from: usize) -> Option<Match> {
        self.find_with(&mut Machine::new(self), text, from)
    }

    /// The same with a machine of this expression that may have been used before.
    pub(super) fn find_with(&self, machine: &mut Machine, text: &[u8], from: usize) -> Option<Match> {
        let from = self.candidate(text, from)?;
        let Machine { now, next, todo, steps } = machine;
        now.list.clear();
        *steps += 1;
        let mut best: Option<Match> = None;
        let mut at = from;
        loop {
            if best.is_none() {
                if now.list.is_empty() {
                    at = self.candidate(text, at)?;
                }
                // Last, so that threads that began further left are preferred.
                todo.push((0, Match { saved: [UNSET; 2 * NSUB] }));
                self.add(now, text, at, *steps, todo);
            }
            let step = decode(text, at);
            next.list.clear();
            *steps += 1;
            for (pc, m) in now.list.drain(..) {
                if best.is_some_and(|b| b.begin() < m.begin()) {
                    continue;
                }
                match &self.prog[pc] {
                    Inst::Match => {
                        if best.is_none_or(|b| m.begin() < b.begin() || m.end() > b.end()) {
                            best = Some(m);
                        }
                    }
                    inst => {
                        if let Some((c, len)) = step
                            && inst.takes(if self.fold { lower(c) } else { c })
                        {
                            todo.push((pc + 1, m));
                            self.add(next, text, at + len, *steps, todo);
                        }
                    }
                }
            }
            let Some((_, len)) = step else { return best };
            if next.list.is_empty() && best.is_some() {
                return best;
            }
            at += len;
            core::mem::swap(now, next);
        }
    }

    /// The first place from `at` on where a match can begin.
    pub(super) fn candidate(&self, text: &[u8], at: usize) -> Option<usize> {
        let Some(first) = self.first else { return Some(at) };
        // A byte beyond ASCII may be part of anything.
        let begins = |b: &u8| *b >= 0x80 || first >> *b & 1 != 0;
        text.get(at..)?.iter().position(begins).map(|n| at + n)
    }

    /// Puts the instructions in `todo` into the list of the step at `at`, following those that take no character.
    fn add(&self, threads: &mut Threads, text: &[u8], at: usize, step: u64, todo: &mut Vec<(usize, Match)>) {
        while let Some((pc, mut m)) = todo.pop() {
            if threads.seen[pc] == step {
                continue;
            }
            threads.seen[pc] = step;
            match &self.prog[pc] {
                Inst::Jump(to) => todo.push((*to, m)),
                Inst::Split(a, b) => {
                    todo.push((*b, m));
                    todo.push((*a, m));
                }
                Inst::Save(n) => {
                    m.saved[*n] = at;
                    todo.push((pc + 1, m));
                }
                Inst::Bol if at == 0 || text.get(at - 1) == Some(&b'\n') => todo.push((pc + 1, m)),
                Inst::Eol if at == text.len() || text.get(at) == Some(&b'\n') => todo.push((pc + 1, m)),
                Inst::Begin if at == 0 => todo.push((pc + 1, m)),
                Inst::End if at == text.len() => todo.push((pc + 1, m)),
                Inst::Bol | Inst::Eol | Inst::Begin | Inst::End => {}
                _ => threads.list.push((pc, m)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use alloc::vec::Vec;

    fn found(pattern: &str, text: &str) -> Option<(usize, usize)> {
        parse(pattern, false).unwrap().find(text.as_bytes(), 0).map(|m| (m.begin(), m.end()))
    }

    #[test]
    fn leftmost_and_longest() {
        for (pattern, text, want) in [
            ("abc", "xabcx", Some((1, 4))),
            ("a|ab|abc", "xabcd", Some((1, 4))),
            ("abc|b", "aabc", Some((1, 4))),
            ("(a|b)*", "abbax", Some((0, 4))),
            ("a*", "baa", Some((0, 0))),
            ("a+", "baa", Some((1, 3))),
            ("ab?c", "ac abc", Some((0, 2))),
            ("^b", "ab\nb", Some((3, 4))),
            ("b$", "ab\nb", Some((1, 2))),
            ("^$", "", Some((0, 0))),
            ("^$", "a", None),
            ("[a-c]+", "xxcabz", Some((2, 5))),
            ("[^a-c]+", "abxyc", Some((2, 4))),
            ("[\\]x]+", "a]x", Some((1, 3))),
            ("a.c", "a\ncaπc", Some((3, 7))),
            ("\\.", "a.b", Some((1, 2))),
            ("x\\ny", "x\ny", Some((0, 3))),
            ("(a*)*", "aab", Some((0, 2))),
            ("(a*)+b", "aab", Some((0, 3))),
            ("[^x]", "\n", None),
            ("", "abc", Some((0, 0))),
            ("a**", "aaa", Some((0, 3))),
        ] {
            assert_eq!(found(pattern, text), want, "{pattern} in {text:?}");
        }
    }

    #[test]
    fn parts() {
        let re = parse("([a-z]+)([0-9]*)(x|(y))", false).unwrap();
        let m = re.find(b"..abc12y", 0).unwrap();
        let parts: Vec<_> = (0..6).map(|n| m.part(n)).collect();
        assert_eq!(parts, [Some((2, 8)), Some((2, 5)), Some((5, 7)), Some((7, 8)), Some((7, 8)), None]);
    }

    #[test]
    fn later_matches_and_case() {
        let re = parse("a", false).unwrap();
        assert_eq!(re.find(b"aba", 1).map(|m| m.begin()), Some(2));
        assert_eq!(re.find(b"aba", 3), None);
        let re = parse("[A-C]Ä", true).unwrap();
        assert!(re.find("bä".as_bytes(), 0).is_some());
        assert!(re.find("dä".as_bytes(), 0).is_none());
    }

    #[test]
    fn a_star_at_the_beginning() {
        let re = parse(&super::super::unstarred("*a.(b[c]n\\"), false).unwrap();
        assert!(re.find(b"xa.(b[c]n\\y", 0).is_some());
        assert!(re.find(b"xa,(b[c]n\\y", 0).is_none());
        assert_eq!(super::super::unstarred("a*"), "a*");
    }

    #[test]
    fn bad_patterns() {
        for bad in ["(", ")", "a)", "*", "a|*", "[", "[]", "[a", "[b-a]", "\\", "[a-]", "(((a))"] {
            assert!(parse(bad, false).is_err(), "{bad}");
        }
        assert!(parse(&"(".repeat(100_000), false).is_err());
    }
}
