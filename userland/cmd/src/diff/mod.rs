//! What has to be changed in a text to make another one of it, as diff tells it.
//!
//! [`changes`] compares lines as wholes, each reduced to a number; `shortest` finds the shortest script; [`show`]
//! writes it in one of diff's forms.

mod merge;
mod shortest;
mod show;
#[cfg(test)]
mod tests;

pub use merge::{Piece, merge};
pub use show::{Form, show};

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// Which blanks count when lines are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blanks {
    /// All of them.
    #[default]
    All,
    /// Those at the end do not, and others are one blank (-b).
    Runs,
    /// None (-w).
    None,
}

/// Lines of the first text that become lines of the second, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// In the first text.
    pub old: Range<usize>,
    /// In the second.
    pub new: Range<usize>,
}

/// The lines of a text, each with its newline.
pub fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|&b| b == b'\n').collect()
}

/// Is it no text? A byte of zero near its beginning says so.
pub fn is_binary(text: &[u8]) -> bool {
    text.iter().take(8192).any(|&b| b == 0)
}

/// What has to be changed to make `new` of `old`, in order.
pub fn changes(old: &[&[u8]], new: &[&[u8]], blanks: Blanks) -> Vec<Change> {
    let mut numbers = BTreeMap::new();
    let (a, b) = (number(old, blanks, &mut numbers), number(new, blanks, &mut numbers));
    let kinds = numbers.len();
    drop(numbers);
    // Lines that only one text has are changed whatever else is, so that the others alone are compared.
    let (in_a, in_b) = (present(&a, kinds), present(&b, kinds));
    let shared = |list: &[u32], other: &[bool]| -> Vec<usize> {
        let there = |n: &u32| other.get(*n as usize) == Some(&true);
        list.iter().enumerate().filter(|(_, n)| there(n)).map(|(i, _)| i).collect()
    };
    let (places_a, places_b) = (shared(&a, &in_b), shared(&b, &in_a));
    let pick = |list: &[u32], places: &[usize]| -> Vec<u32> {
        places.iter().filter_map(|i| list.get(*i).copied()).collect()
    };
    let pairs = shortest::kept(&pick(&a, &places_a), &pick(&b, &places_b));
    let mut out = Vec::new();
    let (mut at, mut bt) = (0, 0);
    let ends = core::iter::once((a.len(), b.len()));
    let kept = pairs.iter().filter_map(|(i, j)| Some((*places_a.get(*i)?, *places_b.get(*j)?)));
    for (i, j) in kept.chain(ends) {
        if at < i || bt < j {
            out.push(Change { old: at..i, new: bt..j });
        }
        (at, bt) = (i + 1, j + 1);
    }
    out
}

/// A number for each line, the same for the same lines.
fn number<'a>(lines: &[&'a [u8]], blanks: Blanks, numbers: &mut BTreeMap<Cow<'a, [u8]>, u32>) -> Vec<u32> {
    let each = lines.iter().map(|line| {
        let next = numbers.len() as u32;
        *numbers.entry(reduced(line, blanks)).or_insert(next)
    });
    each.collect()
}

fn present(list: &[u32], kinds: usize) -> Vec<bool> {
    let mut there = vec![false; kinds];
    for n in list {
        if let Some(there) = there.get_mut(*n as usize) {
            *there = true;
        }
    }
    there
}

/// What is compared of a line.
fn reduced(line: &[u8], blanks: Blanks) -> Cow<'_, [u8]> {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    match blanks {
        Blanks::All => Cow::Borrowed(line),
        Blanks::None => line.iter().copied().filter(|b| !blank(b)).collect::<Vec<_>>().into(),
        Blanks::Runs => {
            let mut out = Vec::with_capacity(line.len());
            for word in line.split_inclusive(blank) {
                let (text, end) = match word.split_last() {
                    Some((last, text)) if blank(last) => (text, true),
                    _ => (word, false),
                };
                out.extend_from_slice(text);
                if end && out.last() != Some(&b' ') {
                    out.push(b' ');
                }
            }
            if out.last() == Some(&b' ') {
                out.pop();
            }
            out.into()
        }
    }
}
