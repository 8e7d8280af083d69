//! Regular expressions as Plan 9 has them (section 6, `regexp`): literals, `.`, `[a-z]`, `[^a-z]`, `*`, `+`, `?`, `|`,
//! `( )`, `^`, `$` and `\x`. A match is the leftmost, and of those the longest.
//!
//! [`parse`] makes a program for a small machine whose states run in step over the text: no pattern is slower than
//! states times characters. [`Regexp::find`] also says where the parenthesised parts matched (for sed); [`Dfa`]
//! only says whether there is a match, and remembers what it learned from one line for the next (for grep).
//! [`extended`] makes a program of an expression as POSIX has it, and [`Finder`] finds it fast (for awk and the
//! editors).
//!
//! Text is bytes that are meant to be UTF-8; a byte that cannot be decoded is a character of its own.

mod dfa;
mod extended;
mod find;
mod finder;
mod parse;
mod replace;
mod text;

pub use dfa::Dfa;
pub use extended::extended;
pub use find::Match;
pub use finder::Finder;
pub use parse::{parse, unstarred};
pub use replace::Piece;
pub use text::decode;

use alloc::vec::Vec;

/// Parts in parentheses that are remembered, the whole match (0) included.
pub const NSUB: usize = 10;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Regexp {
    prog: Vec<Inst>,
    fold: bool,
    /// The ASCII characters that a match can begin with, one bit each; `None` when it can be empty.
    first: Option<u128>,
}

impl Regexp {
    fn new(prog: Vec<Inst>, fold: bool) -> Self {
        let mut re = Regexp { prog, fold, first: None };
        re.first = re.first_characters();
        re
    }

    fn first_characters(&self) -> Option<u128> {
        let mut seen = alloc::vec![false; self.prog.len()];
        let mut first = 0;
        let mut todo = alloc::vec![0];
        while let Some(pc) = todo.pop() {
            if core::mem::replace(&mut seen[pc], true) {
                continue;
            }
            match &self.prog[pc] {
                Inst::Match => return None,
                Inst::Jump(to) => todo.push(*to),
                Inst::Split(a, b) => todo.extend([*a, *b]),
                Inst::Save(_) | Inst::Bol | Inst::Eol | Inst::Begin | Inst::End => todo.push(pc + 1),
                inst => {
                    for c in 0..128u32 {
                        let folded = if self.fold { lower(c) } else { c };
                        first |= u128::from(inst.takes(folded)) << c;
                    }
                }
            }
        }
        Some(first)
    }
}

/// One instruction. Targets are indexes of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Inst {
    /// This character, then the next instruction.
    Char(u32),
    /// Any character but a newline.
    Any,
    /// A character of the set, or not of it. A newline is never matched by a negated set.
    Set { negated: bool, ranges: Vec<(u32, u32)> },
    /// Beginning of a line.
    Bol,
    /// End of a line.
    Eol,
    /// Beginning of the text.
    Begin,
    /// End of the text.
    End,
    /// Remember where this is.
    Save(usize),
    /// Go on there.
    Jump(usize),
    /// Go on at both.
    Split(usize, usize),
    /// Found.
    Match,
}

impl Inst {
    /// Does the instruction take this character?
    fn takes(&self, c: u32) -> bool {
        match self {
            Inst::Char(want) => *want == c,
            Inst::Any => c != u32::from(b'\n'),
            Inst::Set { negated, ranges } => {
                let inside = ranges.iter().any(|&(low, high)| low <= c && c <= high);
                inside != *negated && !(*negated && c == u32::from(b'\n'))
            }
            _ => false,
        }
    }
}

/// The lower-case form of a character, where that is one character.
fn lower(c: u32) -> u32 {
    let Some(c) = char::from_u32(c) else { return c };
    let mut low = c.to_lowercase();
    u32::from(low.next().filter(|_| low.next().is_none()).unwrap_or(c))
}
